// Starts the kernel: puts the parts together and binds the sockets that the connection file names.
const fs = require('node:fs');
const { createCompiler, tslabRequire } = require('./compiler.cjs');
const { Executor } = require('./executor.cjs');
const { Guard } = require('./guard.cjs');
const { Modules } = require('./modules.cjs');
const { Output } = require('./output.cjs');
const { Server } = require('./server.cjs');
const { SourceMaps } = require('./stacks.cjs');

async function start({ root, connectionFile }) {
  // tslab takes the working directory as the root of all sources; cells import './src/…' from wherever they lie.
  process.chdir(root);
  const connection = JSON.parse(fs.readFileSync(connectionFile, 'utf8'));
  const maps = new SourceMaps(root);
  const compiler = createCompiler(root, maps);
  const modules = new Modules(root, maps);
  const guard = new Guard();
  const watched = process.env.VITLAB_HEADLESS !== '1';
  const executor = new Executor({ compiler, modules, maps, guard, watched });
  const server = new Server({
    connection,
    zmq: tslabRequire('zeromq'),
    info: {
      typescriptVersion: compiler.typescriptVersion,
      implementationVersion: tslabRequire('./package.json').version,
    },
  });
  const output = new Output((type, content, parent) => server.publish(type, content, parent), watched);

  await guard.start({ connectionFile, onInterrupt: () => executor.interrupt() });
  await server.bind(connection);
  maps.install();
  output.install();
  globalThis.vitlabKernel = output.api();
  // What tslab's own `display` writes through.
  tslabRequire('./dist/jupyter.js').lastWriteDisplayData = (content, update) =>
    output.send(update ? 'update_display_data' : 'display_data', content);
  server.serve(executor, output);
}

module.exports = {
  start: (options) =>
    start(options).catch((error) => {
      process.stderr.write(`The kernel could not start: ${error.stack ?? error}\n`);
      process.exit(1);
    }),
};
