// Run folders without a kernel: what a finished run leaves, for the tests of the report and the comparison.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Lab } from '../../src/recipes/lab.js';
import { newProvenance } from '../../src/recipes/provenance.js';
import type { Provenance } from '../../src/recipes/runFolder.js';

export const ENGINE = { name: 'tensorflow', device: 'cpu', version: '2.21.0' };

export function provenanceOf(changes: Partial<Provenance> = {}): Provenance {
  return newProvenance({
    status: 'finished',
    exitCode: 0,
    notebook: 'notebooks/recipe.ipynb',
    profile: 'quick',
    parameters: { epochs: 2 },
    engine: ENGINE,
    data: [{ name: 'shapes10', checksum: 'sha256:1234' }],
    seconds: 120,
    peakMemoryBytes: 1.5e9,
    ...changes,
  });
}

/** Writes a run folder; `fill` records into its lab. */
export function writeRun(dir: string, changes: Partial<Provenance> = {}, fill: (lab: Lab) => void = () => {}): string {
  mkdirSync(dir, { recursive: true });
  fill(new Lab(dir, 'quick', {}, false, ENGINE));
  writeFileSync(path.join(dir, 'provenance.json'), JSON.stringify(provenanceOf(changes)));
  return dir;
}
