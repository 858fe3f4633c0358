// The command line: picks a command, loads only that one, and turns errors into one paragraph and an exit status.
import { Command, CommanderError } from 'commander';
import { version } from '../../package.json';
import { nearest, UsageError, VitlabError } from '../errors.js';

interface Entry {
  readonly summary: string;
  /** Commands load on use, so that help appears without starting an engine. */
  readonly load: () => Command;
}

/** Every command, in the order of the help page. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  doctor: {
    summary: 'say what works here, what is missing and how to get it',
    load: () => (require('./doctor.js') as typeof import('./doctor.js')).doctorCommand(),
  },
  run: {
    summary: 'execute notebooks headless and check the metrics they expect',
    load: () => (require('./run.js') as typeof import('./run.js')).runCommand(),
  },
  compare: {
    summary: 'show runs side by side',
    load: () => (require('./compare.js') as typeof import('./compare.js')).compareCommand(),
  },
  plot: {
    summary: "export a run's figures as PNG or SVG",
    load: () => (require('./plot.js') as typeof import('./plot.js')).plotCommand(),
  },
  gallery: {
    summary: 'make pages for reading of finished runs',
    load: () => (require('./gallery.js') as typeof import('./gallery.js')).galleryCommand(),
  },
  notebooks: {
    summary: 'clean notebooks, and check that they are recipes',
    load: () => (require('./notebooks.js') as typeof import('./notebooks.js')).notebooksCommand(),
  },
  lab: {
    summary: 'start JupyterLab on this machine',
    load: () => (require('./lab.js') as typeof import('./lab.js')).labCommand(),
  },
  demo: {
    summary: 'run the AdaptFormer recipe at its quick size, and compare',
    load: () => (require('./demo.js') as typeof import('./demo.js')).demoCommand(),
  },
  convert: {
    summary: 'rewrite a checkpoint as safetensors under the names of a library',
    load: () => (require('./convert.js') as typeof import('./convert.js')).convertCommand(),
  },
  inspect: {
    summary: 'list what a checkpoint holds without loading it',
    load: () => (require('./inspect.js') as typeof import('./inspect.js')).inspectCommand(),
  },
  data: {
    summary: 'list, download and verify data sets',
    load: () => (require('./data.js') as typeof import('./data.js')).dataCommand(),
  },
  bench: {
    summary: 'measure this build against PyTorch on this machine',
    load: () => (require('./bench.js') as typeof import('./bench.js')).benchCommand(),
  },
  parity: {
    summary: 'run fixture cases against this build',
    load: () => (require('./parity.js') as typeof import('./parity.js')).parityCommand(),
  },
};

const EXIT_HELP = `
Exit status: 0 success, 1 a failed run, 2 bad usage, 3 a metric out of its expected range, 4 timeout, 5 kernel died,
130 interrupted.`;

/** Runs the command line and sets the exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  quietOnClosedPipe();
  const debug = argv.includes('--debug');
  try {
    await dispatch(argv.filter((word) => word !== '--debug'));
  } catch (error) {
    process.exitCode = report(error, debug);
  }
}

async function dispatch(argv: readonly string[]): Promise<void> {
  const program = new Command('vitlab')
    .description('Vision-transformer experiments as TypeScript notebooks.')
    .version(version)
    .option('--debug', 'show where an error came from')
    .addHelpText('after', EXIT_HELP);
  const [name] = argv[0] === 'help' ? argv.slice(1) : argv;
  if (name !== undefined && !name.startsWith('-') && name !== 'help' && !COMMANDS[name]) {
    const guess = nearest(name, Object.keys(COMMANDS));
    throw new UsageError(
      `There is no command '${name}'. ${guess ? `Did you mean '${guess}'? ` : ''}` +
        `The commands are ${Object.keys(COMMANDS).join(', ')}; 'vitlab --help' says more.`,
    );
  }
  for (const [key, entry] of Object.entries(COMMANDS)) {
    program.addCommand(key === name ? entry.load() : new Command(key).summary(entry.summary));
  }
  throwInsteadOfExit(program);
  if (argv.length === 0) {
    program.outputHelp();
    return;
  }
  await program.parseAsync(argv, { from: 'user' });
}

/** Commands built elsewhere inherit nothing, so each gets the settings itself. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => {} });
  command.commands.forEach(throwInsteadOfExit);
}

/** Prints what went wrong; returns the exit status. */
function report(error: unknown, debug: boolean): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0 || error.code === 'commander.help') return error.exitCode === 0 ? 0 : 2;
    console.error(`vitlab: ${error.message.replace(/^error: /, '')}`);
    return 2;
  }
  const message = error instanceof Error ? error.message : String(error);
  const known = error instanceof VitlabError;
  const where = known || debug ? '' : ' (an unexpected error: --debug shows where)';
  console.error(`vitlab: ${message.trim() || 'failed without a message'}${where}`);
  if (debug && error instanceof Error) console.error(withCauses(error));
  return known ? error.exitCode : 1;
}

function withCauses(error: Error): string {
  const cause = error.cause instanceof Error ? `\nCaused by: ${withCauses(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}

/** `vitlab … | head` closes the pipe early, which is no failure. */
function quietOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}
