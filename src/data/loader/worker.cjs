// Starts a data worker: TypeScript is loaded through tsx, whatever loaded the main thread's modules.
require('tsx/cjs/api').register();
require('./worker.ts');
