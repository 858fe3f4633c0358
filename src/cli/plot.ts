// `vitlab plot RUNDIR`: a run's figures as image files.
import { Command, InvalidArgumentError, Option } from 'commander';
import { exportFigures } from '../recipes/index.js';

interface PlotFlags {
  readonly format: 'png' | 'svg';
  readonly width: number;
  readonly height: number;
  readonly scale: number;
  readonly out?: string;
}

/** The `plot` command. */
export function plotCommand(): Command {
  return new Command('plot')
    .description('export the figures of a run as PNG or SVG, drawn by Chromium (CHROMIUM names another one)')
    .argument('<rundir>', 'run folder')
    .addOption(new Option('--format <format>', 'kind of image').choices(['png', 'svg']).default('png'))
    .option('--width <pixels>', 'width', size, 800)
    .option('--height <pixels>', 'height of figures that have none of their own', size, 500)
    .option('--scale <factor>', 'pixels of a PNG per pixel of the figure', size, 2)
    .option('--out <dir>', 'where the images go (default: the figures folder of the run)')
    .action(async (runDir: string, { out, ...flags }: PlotFlags) => {
      const files = await exportFigures(runDir, { ...flags, ...(out !== undefined && { outDir: out }) });
      for (const file of files) console.log(file);
    });
}

function size(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 10_000) return value;
  throw new InvalidArgumentError('It takes a positive number up to 10000.');
}
