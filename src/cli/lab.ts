// `vitlab lab`: JupyterLab with the project's kernel.
import { Command, InvalidArgumentError } from 'commander';
import { startJupyterLab } from '../recipes/index.js';

/** What ends it, closing its terminal included. */
const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The `lab` command. */
export function labCommand(): Command {
  return new Command('lab')
    .description('start JupyterLab on this machine alone (127.0.0.1, behind a random token); Ctrl-C ends it')
    .option('--port <port>', 'where it listens (default: 8888, or a free port)', portNumber)
    .action(async ({ port }: { port?: number }) => {
      const { url, logFile, child, ended } = await startJupyterLab(port);
      let stopping = false;
      // SIGTERM whatever came: it ends the kernels and removes the file that holds the token, which SIGINT does not
      const passOn = () => {
        stopping = true;
        child.kill('SIGTERM');
      };
      for (const signal of STOP_SIGNALS) process.on(signal, passOn);
      console.log(`JupyterLab: ${url}\nLog: ${logFile}\nCtrl-C ends it.`);
      const code = await ended;
      for (const signal of STOP_SIGNALS) process.off(signal, passOn);
      if (!stopping && code !== 0)
        console.error(`vitlab: JupyterLab ended with exit code ${code}; its log is ${logFile}.`);
      process.exitCode = stopping ? 0 : code;
    });
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('It takes a port from 1 to 65535.');
}
