// What a notebook must have to be a recipe in git, beyond that it runs: checked by reading it.
import fs from 'node:fs';
import path from 'node:path';
import { UsageError } from '../errors.js';
import { cleanNotebook } from './cleanNotebook.js';
import { type Contract, contractOf, PROFILES } from './contract.js';
import { hasTag, type Notebook, readNotebook } from './notebook.js';
import { declaredParameters, type Parameter, resolveParameters } from './parameters.js';

/** Everything that is wrong with a notebook as a recipe, a sentence each. @throws UsageError where it is no notebook */
export function checkNotebook(file: string): string[] {
  const notebook = readNotebook(file);
  const problems: string[] = [];
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  if (fs.readFileSync(file, 'utf8') !== cleanNotebook(notebook)) {
    problems.push("It is not in normal form, or holds outputs of a run: 'vitlab notebooks clean' mends that.");
  }
  problems.push(...introProblems(notebook, file), ...languageProblems(notebook));
  const declared = attempt(() => declaredParameters(notebook, file));
  if (declared) problems.push(...parameterProblems(notebook, declared));
  const contract = attempt(() => contractOf(notebook, file));
  if (contract) problems.push(...contractProblems(notebook, contract));
  if (contract && declared) {
    for (const profile of PROFILES) {
      attempt(() => resolveParameters(declared, { profile: contract.profiles[profile] ?? {} }, file));
    }
  }
  return problems;
}

function introProblems({ cells: [first] }: Notebook, file: string): string[] {
  if (first?.cell_type !== 'markdown' || !/^# \S/.test(first.source)) {
    return ["The first cell must be text that begins with a heading ('# …')."];
  }
  const command = `npx vitlab run notebooks/${path.basename(file)}`;
  return first.source.includes(command) ? [] : [`The first cell must give the command: ${command} …`];
}

/** Letters of Latin and Greek, and those of mathematics, which belong to no script. */
const FOREIGN = /(?![\p{Script=Latin}\p{Script=Greek}\p{Script=Common}\p{Script=Inherited}])\p{L}/u;

function languageProblems({ cells }: Notebook): string[] {
  return cells.flatMap(({ id, source }) => {
    const line = source.split('\n').find((text) => FOREIGN.test(text));
    return line === undefined ? [] : [`Cell ${id} is not English only: ${line.trim().slice(0, 60)}`];
  });
}

function parameterProblems(notebook: Notebook, declared: readonly Parameter[]): string[] {
  if (declared.length === 0) return ["It has no cell tagged 'parameters' that declares any."];
  const problems = declared.some(({ name }) => name === 'seed') ? [] : ["It has no parameter 'seed'."];
  const named = namedInOpenLab(codeOf(notebook));
  if (!named) return [...problems, 'It calls no openLab({ …, parameters: { … } }).'];
  const missing = declared.map(({ name }) => name).filter((name) => !named.has(name));
  if (missing.length > 0) problems.push(`openLab is not told of the parameters ${missing.join(', ')}.`);
  return problems;
}

/** The names in the object that `openLab` gets as `parameters`; undefined where it gets none. */
function namedInOpenLab(code: string): Set<string> | undefined {
  const object = /\bopenLab\(\{[\s\S]*?\bparameters:\s*\{([^{}]*)\}/.exec(code)?.[1];
  return object === undefined ? undefined : new Set(object.match(/[A-Za-z_$][\w$]*(?=\s*(?:[,:]|$))/g));
}

function contractProblems(notebook: Notebook, { reproduces, profiles, expects }: Contract): string[] {
  const problems: string[] = [];
  if (reproduces === '') problems.push("Its contract does not say what it 'reproduces'.");
  for (const profile of PROFILES) {
    if (!profiles[profile]) problems.push(`Its contract has no profile '${profile}'; one of only defaults is {}.`);
    const expected = Object.values(expects).some((ranges) => ranges[profile]);
    if (!expected) problems.push(`Its contract expects no metric in the profile '${profile}'.`);
  }
  const recorded = recordedNames(codeOf(notebook));
  for (const metric of Object.keys(expects)) {
    if (!recorded.some((pattern) => pattern.test(metric))) {
      problems.push(`Its contract expects '${metric}', which no cell records.`);
    }
  }
  return problems;
}

const LITERAL = /'([^'\n]*)'|"([^"\n]*)"|`([^`]*)`/g;

/**
 * What `record` may be called with: its literal arguments, templates with anything in their places. Where it is also
 * called with a computed name, any literal of the code may be that name.
 */
function recordedNames(code: string): RegExp[] {
  const calls = [...code.matchAll(/\brecord\(\s*(['"`]?)/g)];
  const computed = calls.some(([, quote]) => quote === '');
  const texts = computed ? [code] : calls.map(({ index }) => code.slice(index).split('\n').slice(0, 3).join('\n'));
  const names = texts.flatMap((text) => {
    const literals = [...text.matchAll(LITERAL)].map(([, single, double, template]) => single ?? double ?? template!);
    return computed ? literals : literals.slice(0, 1);
  });
  return names
    .filter((name) => name !== '')
    .map((name) => {
      const parts = name.split(/\$\{[^}]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      return new RegExp(`^${parts.join('.+')}$`);
    });
}

function codeOf({ cells }: Notebook): string {
  return cells
    .filter((cell) => cell.cell_type === 'code' && !hasTag(cell, 'parameters'))
    .map(({ source }) => source)
    .join('\n');
}
