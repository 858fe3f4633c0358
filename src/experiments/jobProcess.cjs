// The process of a job: TypeScript is loaded through tsx, whatever loaded the parent's modules.
require('tsx/cjs/api').register();
require('./jobProcess.ts');
