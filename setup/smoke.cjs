// Loads what was installed, in one process: `node setup/smoke.cjs <kernel.json> [<addon> <ops>]`, from the clone's root.
// Says what is wrong in one line and exits with 1, else is silent.
const { spawnSync } = require('node:child_process');
const { existsSync, readFileSync } = require('node:fs');
const path = require('node:path');

const [kernelFile, addonFile, opsFile] = process.argv.slice(2);
const root = process.cwd();

function check(what, test) {
  let wrong;
  try {
    wrong = test();
  } catch (error) {
    wrong = error.message.split('\n')[0];
  }
  if (wrong) {
    console.error(`${what}: ${wrong}`);
    process.exitCode = 1;
  }
}

if (addonFile) {
  check('The TensorFlow addon does not work', () => {
    process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
    const tensorflow = require(path.join(root, addonFile));
    const left = tensorflow.createTensor([2, 2], tensorflow.TF_FLOAT, new Float32Array([1, 2, 3, 4]));
    const right = tensorflow.createTensor([2, 1], tensorflow.TF_FLOAT, new Float32Array([10, 100]));
    const flag = (name) => ({ name, type: tensorflow.TF_ATTR_BOOL, value: false });
    const type = { name: 'T', type: tensorflow.TF_ATTR_TYPE, value: tensorflow.TF_FLOAT };
    const attributes = [flag('transpose_a'), flag('transpose_b'), type];
    const [product] = tensorflow.executeOp('MatMul', attributes, [left, right], 1);
    const seen = [...tensorflow.tensorDataSync(product.id)].join(', ');
    return seen === '210, 430' ? '' : `[[1, 2], [3, 4]] times [10, 100] gave ${seen}, not 210, 430.`;
  });
}

if (opsFile) {
  check('The TensorFlow ops of vitlab do not load', () => {
    const { instructions } = require(path.join(root, opsFile));
    return typeof instructions === 'string' ? '' : 'they do not say what they are compiled for.';
  });
}

check('danfojs-node does not load', () => {
  const { DataFrame } = require(require.resolve('danfojs-node', { paths: [root] }));
  return new DataFrame([[1, 2]], { columns: ['a', 'b'] }).shape.join() === '1,2' ? '' : 'a table has the wrong shape.';
});

if (addonFile && process.platform === 'linux') {
  check('More than one TensorFlow is loaded', () => {
    const lines = readFileSync('/proc/self/maps', 'utf8').split('\n');
    const files = lines.map((line) => line.slice(line.indexOf('/'))).filter((file) => /libtensorflow[^/]*$/.test(file));
    const folders = [...new Set(files.map((file) => path.dirname(file)))];
    return folders.length === 1 ? '' : `from ${folders.join(' and ') || 'nowhere'}.`;
  });
}

check('JupyterLab does not start', () => {
  const jupyter = spawnSync(path.join(root, '.venv/bin/jupyter'), ['lab', '--version'], { encoding: 'utf8' });
  return /^\d+\./.test(jupyter.stdout ?? '')
    ? ''
    : (jupyter.error?.message ?? jupyter.stderr.trim().split('\n').at(-1));
});

check(`The notebook kernel (${kernelFile}) is damaged`, () => {
  if (!existsSync(kernelFile)) return 'the file is not there.';
  const { argv } = JSON.parse(readFileSync(kernelFile, 'utf8'));
  return argv.includes('{connection_file}') ? '' : 'its argv has no {connection_file}.';
});
