// One fake for npm, python3 and c++: makes the files that the real one would, and notes what it was asked. What goes
// wrong comes from the environment: FAKE_FAIL and FAKE_HANG name a call, FAKE_OFFLINE, FAKE_PYTHON, FAKE_NO_VENV, FAKE_NO_AMX.
const fs = require('node:fs');
const path = require('node:path');

const tool = path.basename(process.argv[1]).replace('python3', 'python');
const args = process.argv.slice(2);
const { FAKE_CLONE: clone, FAKE_FAIL, FAKE_HANG, FAKE_SLOW, FAKE_OFFLINE, FAKE_PYTHON } = process.env;
const { FAKE_NO_VENV, FAKE_NO_AMX } = process.env;

function make(file, content = '') {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
}

/** A call that installs something: noted, then broken off half-way where the environment says so. */
function install(name, half, rest) {
  fs.appendFileSync(path.join(clone, 'calls'), `${name}\n`);
  half();
  if (FAKE_FAIL === name) {
    console.error(`fake ${name} went wrong`);
    process.exit(1);
  }
  if (FAKE_HANG === name) {
    fs.writeFileSync(path.join(clone, 'hanging.tmp'), String(process.pid));
    fs.renameSync(path.join(clone, 'hanging.tmp'), path.join(clone, 'hanging'));
    setTimeout(() => {}, 600_000);
  } else setTimeout(rest, Number(FAKE_SLOW ?? 0));
}

const fakes = {
  npm() {
    if (args[0] === '--version') return console.log('11.0.0');
    if (args[0] === 'view' && FAKE_OFFLINE) {
      console.error('npm error code ENOTFOUND');
      process.exit(1);
    }
    if (args[0] === 'ci') {
      fs.rmSync('node_modules', { recursive: true, force: true });
      const half = () => make('node_modules/half/package.json');
      install('npm ci', half, () => make('node_modules/.package-lock.json'));
    }
  },
  python() {
    const code = args[0] === '-c' ? args[1] : '';
    if (code.includes('version_info')) return console.log(FAKE_PYTHON ?? '3.11.7');
    if (code.includes('ensurepip') && FAKE_NO_VENV) process.exit(1);
    if (code.includes('urllib') && FAKE_OFFLINE) process.exit(1);
    if (args[1] === 'venv') {
      const python = path.resolve(args[2], 'bin/python');
      install(
        'venv',
        () => make(path.resolve(args[2], 'pyvenv.cfg')),
        () => {
          fs.mkdirSync(path.dirname(python), { recursive: true });
          fs.copyFileSync(process.argv[1], python);
        },
      );
    }
    if (args[1] === 'pip' && args[2] === 'install') {
      const requirements = path.basename(args[args.indexOf('-r') + 1], '.txt');
      const target = args.includes('--target') ? args[args.indexOf('--target') + 1] : '.venv';
      const files = args.includes('--target')
        ? ['tensorflow/include/tensorflow/c/c_api.h', 'tensorflow/libtensorflow_cc.so.2']
        : ['bin/jupyter-lab', 'share/jupyter/labextensions/jupyterlab-plotly/package.json'];
      const half = () => make(path.join(target, files[0]), requirements);
      install(`pip ${requirements}`, half, () => {
        make(path.join(target, files[1]), requirements);
        if (args.includes('--target')) make(path.join(target, 'tensorflow/libtensorflow_framework.so.2'), requirements);
      });
    }
  },
  'c++'() {
    if (args[0] === '--version') return console.log('fake c++ 12.2.0');
    if (args.includes('-fsyntax-only')) return;
    if (FAKE_NO_AMX && args.some((arg) => arg.startsWith('-mamx'))) process.exit(1);
    const output = args[args.indexOf('-o') + 1];
    if (args.includes('-c')) return make(output);
    install(
      output.endsWith('vitlab_ops.node') ? 'compile ops' : 'compile',
      () => make(output, 'half'),
      () => make(output, 'whole'),
    );
  },
};
fakes[tool]();
