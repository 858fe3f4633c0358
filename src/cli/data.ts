// `vitlab data`: which data sets there are, getting one, checking one.
import { Command } from 'commander';
import { dataRoot, datasetSources, getDataset, presentFiles, verifyDataset } from '../data/index.js';

/** The command `data` with `list`, `get` and `verify`. */
export function dataCommand(): Command {
  const command = new Command('data').description(
    'list, download and check data sets (in $VITLAB_DATA, default data/)',
  );
  const place = () => dataRoot();

  command
    .command('list')
    .description('all data sets and whether they are here')
    .action(() => {
      for (const source of datasetSources()) {
        const here = presentFiles(source, place());
        const state =
          source.archives.length === 0 ? 'built in' : here.length > 0 ? `here: ${here.join(', ')}` : 'not here';
        console.log(`${source.name.padEnd(12)} ${state.padEnd(28)} ${source.about}`);
      }
    });

  command
    .command('get')
    .description('download a data set; continues where it stopped')
    .argument('<name>', 'the data set, such as cifar10')
    .option('--from <url>', 'a folder to download from instead of the official one (also $VITLAB_DATA_MIRROR)')
    .option('--archive <file>', 'which archive, where there are several (such as cifar-10-binary.tar.gz)')
    .action(async (name: string, options: { from?: string; archive?: string }) => {
      const onProgress = progressLine();
      const where = await getDataset(name, {
        root: place(),
        ...options,
        onProgress,
        onStep: (text) => console.log(text),
      });
      console.log(`${name} is in ${where}`);
    });

  command
    .command('verify')
    .description('check the archives of a data set and that it can be read')
    .argument('<name>', 'the data set, such as cifar10')
    .action(async (name: string) => {
      for (const line of await verifyDataset(name, place())) console.log(line);
      console.log(`${name} is right`);
    });

  return command;
}

/** Writes progress to stderr: in place on a terminal, else a line for every tenth. */
function progressLine(): (received: number, total: number | undefined) => void {
  let shown = '';
  return (received, total) => {
    const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
    const tenth = total === undefined ? undefined : Math.floor((received * 10) / total);
    const text = process.stderr.isTTY
      ? `${megabytes(received)}${total === undefined ? '' : ` of ${megabytes(total)}`} MB`
      : tenth === undefined
        ? ''
        : `${tenth * 10} %`;
    if (text === shown || text === '') return;
    shown = text;
    process.stderr.write(process.stderr.isTTY ? `\r${text}${received === total ? '\n' : ''}` : `${text}\n`);
  };
}
