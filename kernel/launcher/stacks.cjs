// Stacks that speak of the notebook: positions in cells and in src/*.ts instead of those in the JavaScript that runs,
// without the frames of the kernel. Source maps are read when a stack is first looked at, never before.
const fs = require('node:fs');
const path = require('node:path');
const { SourceMap } = require('node:module');
const { inspect, types } = require('node:util');

const HIDDEN = [`${path.sep}node_modules${path.sep}tslab${path.sep}`, __dirname + path.sep, 'node:vm'];
const MAX_CAUSES = 5;

class SourceMaps {
  #root;
  /** JavaScript text → the maps (JSON) of the steps that made it, the last step first. */
  #ofText = new Map();
  /** Script name as V8 knows it → { text, name, linesBefore }. */
  #scripts = new Map();

  constructor(root) {
    this.#root = root;
  }

  add(text, steps) {
    this.#ofText.set(text, steps);
  }

  stepsOf(text) {
    return this.#ofText.get(text);
  }

  /** Says which text runs under `script`, the name to show for it, and how many lines the compiler put before it. */
  register(script, text, name, linesBefore = 0) {
    const steps = this.#ofText.get(text);
    if (steps) this.#scripts.set(script, { steps, name, linesBefore });
  }

  /** `script:line:column` of running JavaScript as `name:line:column` of its source (both count from 1). */
  describe(script, line, column) {
    const known = this.#scripts.get(script);
    if (!known) return `${this.#shorten(script)}:${line}:${column}`;
    known.maps ??= known.steps.map((step) => new SourceMap(JSON.parse(step)));
    let position = { originalLine: line - 1, originalColumn: column - 1 };
    for (const map of known.maps) {
      position = map.findEntry(position.originalLine, position.originalColumn);
      if (position.originalLine === undefined) return known.name;
    }
    return `${known.name}:${position.originalLine + 1 - known.linesBefore}:${position.originalColumn + 1}`;
  }

  #shorten(script) {
    const file = script.startsWith('file://') ? script.slice('file://'.length) : script;
    return file.startsWith(this.#root + path.sep) ? path.relative(this.#root, file) : script;
  }

  /** Makes `error.stack` of every error speak of sources. */
  install() {
    Error.prepareStackTrace = (error, frames) => {
      const lines = [];
      for (const frame of frames) {
        const script = frame.getFileName() ?? frame.getScriptNameOrSourceURL?.() ?? '';
        if (HIDDEN.some((part) => script.includes(part))) continue;
        const place = `${script}:${frame.getLineNumber()}:${frame.getColumnNumber()}`;
        lines.push(
          `    at ${frame.toString().replace(place, () => this.describe(script, frame.getLineNumber(), frame.getColumnNumber()))}`,
        );
      }
      return [headline(error), ...lines].join('\n');
    };
  }
}

/** The TypeScript (or JavaScript) file that compiled to `script`. */
function sourceOf(script) {
  const stem = script.replace(/\.js$/, '');
  return ['.ts', '.tsx', '.js', '.jsx'].map((ending) => stem + ending).find((file) => fs.existsSync(file)) ?? script;
}

function headline(error) {
  try {
    return Error.prototype.toString.call(error);
  } catch {
    return 'Error';
  }
}

/** What Jupyter wants to know of a thrown value: `ename`, `evalue`, and `traceback` as lines. */
function describeThrown(thrown) {
  if (!types.isNativeError(thrown) && !(thrown instanceof Error)) {
    const evalue = typeof thrown === 'string' ? thrown : inspect(thrown);
    return { ename: typeof thrown, evalue, traceback: [`Thrown: ${evalue}`] };
  }
  const ename = String(thrown.name || thrown.constructor?.name || 'Error');
  return { ename, evalue: String(thrown.message), traceback: tracebackOf(thrown) };
}

function tracebackOf(error, depth = 0) {
  const lines = String(error.stack ?? headline(error))
    .split('\n')
    .filter((line) => !/^\s+at .*\bnode:/.test(line));
  if (depth === MAX_CAUSES) return lines;
  const nested = (label, inner) => {
    const [first, ...rest] =
      types.isNativeError(inner) || inner instanceof Error ? tracebackOf(inner, depth + 1) : [inspect(inner)];
    return [`  [${label}]: ${first}`, ...rest.map((line) => `  ${line}`)];
  };
  if (error.cause !== undefined) lines.push(...nested('cause', error.cause));
  if (error instanceof AggregateError) {
    for (const [index, inner] of error.errors.entries()) lines.push(...nested(`errors ${index}`, inner));
  }
  return lines;
}

module.exports = { SourceMaps, describeThrown, sourceOf };
