// `vitlab convert IN OUT`: a checkpoint under the names of another library, as safetensors.
import { Command, Option } from 'commander';
import { convertNames, loadCheckpoint, type Naming, namings, writeSafetensors } from '../checkpoint/index.js';
import { UsageError } from '../errors.js';
import { plural } from '../words.js';

/** The `convert` command. */
export function convertCommand(): Command {
  return new Command('convert')
    .description('rewrite a checkpoint (.safetensors, .pth, .npz) as safetensors under the names of a library')
    .argument('<in>', 'checkpoint to read; its names are recognised')
    .argument('<out>', 'file to write, ending in .safetensors')
    .addOption(new Option('--to <naming>', 'names to write').choices(namings).default('vitlab'))
    .action(async (source: string, target: string, { to }: { to: Naming }) => {
      if (!target.endsWith('.safetensors')) {
        throw new UsageError(`${target} does not end in .safetensors, the one format that is written.`);
      }
      const { tensors, dropped, from } = convertNames(await loadCheckpoint(source), to);
      writeSafetensors(target, tensors, { format: 'pt', naming: to });
      for (const name of dropped) console.log(`left out: ${name}`);
      console.log(`${plural(Object.keys(tensors).length, 'tensor')}, ${from} to ${to}: ${target}`);
    });
}
