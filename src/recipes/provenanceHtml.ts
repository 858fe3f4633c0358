// Where a run came from, as a list that people can read.
import { escapeHtml } from '../plot/index.js';
import { plural } from '../words.js';
import { durationText, memoryText } from './progress.js';
import type { Provenance, Source } from './runFolder.js';

/** A definition list of everything in provenance.json that the head of the report does not say. */
export function provenanceHtml(provenance: Provenance): string {
  const {
    git,
    engine,
    threads,
    machine,
    seed,
    versions,
    data,
    weights,
    startedAt,
    finishedAt,
    seconds,
    earlierAttempts,
  } = provenance;
  const rows: [string, string | undefined][] = [
    ['Code', git ? `${git.commit}${git.dirty ? ', with uncommitted changes' : ''}` : 'not in a git working tree'],
    ['Engine', engine ? `${engine.name} ${engine.version}, ${engine.device}` : 'not recorded'],
    [
      'Machine',
      [
        machine.cpu,
        plural(machine.cores, 'core'),
        memoryText(machine.memoryBytes),
        ...machine.gpus,
        machine.platform,
      ].join(', '),
    ],
    [
      'Versions',
      Object.entries(versions)
        .map((entry) => entry.join(' '))
        .join(', '),
    ],
    ['Threads', threads === null ? undefined : `${threads} of TensorFlow in the kernel`],
    ['Seed', seed === null ? undefined : String(seed)],
    ['Data', sourcesText(data)],
    ['Weights', sourcesText(weights)],
    ['Started', startedAt],
    ['Ended', finishedAt ?? undefined],
    ['Duration', seconds === null ? undefined : durationText(seconds)],
    ['Peak memory', provenance.peakMemoryBytes === null ? undefined : memoryText(provenance.peakMemoryBytes)],
    [
      'Earlier attempts',
      earlierAttempts.map((attempt) => `${attempt.status} after ${durationText(attempt.seconds)}`).join(', ') ||
        undefined,
    ],
    ['Exit status', provenance.exitCode === null ? undefined : String(provenance.exitCode)],
  ];
  const known = rows.filter((row): row is [string, string] => row[1] !== undefined);
  return `<dl>${known.map(([term, text]) => `<dt>${term}</dt><dd>${escapeHtml(text)}</dd>`).join('\n')}</dl>`;
}

function sourcesText(sources: readonly Source[]): string | undefined {
  return sources.map(({ name, checksum }) => `${name} (${checksum})`).join(', ') || undefined;
}
