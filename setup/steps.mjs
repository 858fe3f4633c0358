// What is installed. A step has the inputs it is made from, the files that must be there afterwards, the steps before
// it, and `run(run)`; nothing half-made is ever at its final place with a stamp beside it.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ask, findCompiler, findPython, pythonVersion } from './machine.mjs';
import { fileHash, temporary } from './stamps.mjs';

const GB = 1e9;
const addonFolder = 'node_modules/@tensorflow/tfjs-node-gpu';
const addonFile = `${addonFolder}/lib/napi-v8/tfjs_binding.node`;
const opsFile = `${addonFolder}/lib/napi-v8/vitlab_ops.node`;
const tensorflowFolder = '.vitlab/tensorflow';
const libraries = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
const kernelFile = 'kernel/jupyter/kernels/tslab/kernel.json';

/** The steps for one of TensorFlow's variants: `cpu`, `gpu`, `arm64` or `none`. */
export function stepsFor(root, variant) {
  const native = variant === 'none' ? [] : [tensorflow(root, variant), addon(root), ops(root)];
  const installed = [nodePackages(root), jupyterLab(root), ...native];
  return [...installed, smoke(root, installed)];
}

function nodePackages(root) {
  return {
    name: 'node-packages',
    title: 'Node packages',
    needs: { npm: true, disk: 1.5 * GB },
    after: [],
    inputs: {
      abi: process.versions.modules,
      platform: `${process.platform}-${process.arch}`,
      dependencies: dependencies(root),
      files: ['package-lock.json', '.npmrc'].map((file) => fileHash(path.join(root, file))),
    },
    outputs: ['node_modules/.package-lock.json'],
    intact: () => true,
    async run(run) {
      await run('npm', ['ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund']);
    },
  };
}

/** The part of package.json that npm installs by. */
function dependencies(root) {
  const described = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  return [described.dependencies, described.devDependencies, described.optionalDependencies, described.overrides];
}

function jupyterLab(root) {
  const python = path.join(root, '.venv', 'bin', 'python');
  return {
    name: 'jupyterlab',
    title: 'JupyterLab',
    needs: { python: true, pypi: true, disk: 1 * GB },
    after: [],
    // The root is an input, because the scripts of a virtual environment hold absolute paths.
    inputs: { root, requirements: fileHash(path.join(root, 'requirements/lab.txt')) },
    outputs: ['.venv/bin/jupyter-lab', '.venv/share/jupyter/labextensions/jupyterlab-plotly/package.json'],
    // It is judged by its own Python, not by the one that happens to be first in PATH today.
    intact: (made) => pythonVersion(python) === made.python,
    async run(run) {
      const old = path.join(temporary(root), 'venv');
      if (existsSync(path.join(root, '.venv'))) renameSync(path.join(root, '.venv'), old);
      rmSync(old, { recursive: true, force: true });
      await run(findPython().command, ['-m', 'venv', '.venv']);
      await run(python, [...pipInstall, '-r', 'requirements/lab.txt']);
      return { python: pythonVersion(python) };
    },
  };
}

const pipInstall = ['-m', 'pip', 'install', '--require-hashes', '--only-binary=:all:', '--progress-bar=off'];

// The wheel serves as a C++ library, so its Python version is free: one that TensorFlow publishes.
function tensorflow(root, variant) {
  const requirements = `requirements/tensorflow-${variant}.txt`;
  const version = /^tensorflow(?:-cpu)?==(\S+)/m.exec(readFileSync(path.join(root, requirements), 'utf8'))?.[1];
  return {
    name: 'tensorflow',
    title: `TensorFlow ${version}${variant === 'gpu' ? ' with CUDA' : ''}`,
    needs: { pypi: true, disk: (variant === 'gpu' ? 12 : 3) * GB },
    after: [],
    inputs: { variant, requirements: fileHash(path.join(root, requirements)), platform: process.arch },
    outputs: [
      `${tensorflowFolder}/tensorflow/include`,
      ...libraries.map((so) => `${tensorflowFolder}/tensorflow/${so}`),
    ],
    intact: () => true,
    async run(run) {
      const fresh = path.join(temporary(root), 'tensorflow');
      const old = path.join(temporary(root), 'tensorflow-old');
      const final = path.join(root, tensorflowFolder);
      const wheel = ['--no-deps', '--no-compile', '--python-version', '3.12', '--target', fresh];
      await run(path.join(root, '.venv/bin/python'), [...pipInstall, ...wheel, '-r', requirements]);
      if (existsSync(final)) renameSync(final, old);
      renameSync(fresh, final);
    },
  };
}

/** tfjs-node's own binding source, compiled against that TensorFlow. */
function addon(root) {
  const compiler = findCompiler();
  const wheel = path.join(root, tensorflowFolder, 'tensorflow');
  // Seen from lib/napi-v8, so that the clone can be moved.
  const relative = path.relative(path.join(root, path.dirname(addonFile)), wheel);
  const flags = ['-O2', '-std=c++17', '-shared', '-fPIC', '-DNAPI_VERSION=8', `-Wl,-rpath,$ORIGIN/${relative}`];
  return {
    name: 'addon',
    title: 'TensorFlow addon for Node (compiled)',
    needs: { compiler: true, disk: 0 },
    after: ['node-packages', 'tensorflow'],
    inputs: { flags },
    outputs: [addonFile],
    // Once made, it works without a compiler too.
    intact: (made) => compiler === undefined || made.compiler === compiler.version,
    async run(run) {
      const source = path.join(root, addonFolder);
      const part = path.join(temporary(root), 'tfjs_binding.node');
      const headers = path.join(root, 'node_modules/node-api-headers/include');
      const includes = [headers, path.join(wheel, 'include'), source].map((folder) => `-I${folder}`);
      const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => path.join(source, 'binding', file));
      const links = [`-L${wheel}`, ...libraries.map((so) => `-l:${so}`)];
      await run(compiler.command, [...flags, ...includes, ...sources, '-o', part, ...links]);
      mkdirSync(path.dirname(path.join(root, addonFile)), { recursive: true });
      renameSync(part, path.join(root, addonFile));
      return { compiler: compiler.version };
    },
  };
}

/** Instruction sets that the kernels of native/ are compiled for: vectors of how many floats, in how many registers. */
const instructionSets = {
  x64: [
    { name: 'avx512', width: 16, registers: 32, flags: ['f', 'dq', 'vl', 'bw'].map((part) => `-mavx512${part}`) },
    { name: 'avx2', width: 8, registers: 16, flags: ['-mavx2'] },
    { name: 'baseline', width: 4, registers: 16, flags: undefined },
  ],
  arm64: [{ name: 'baseline', width: 4, registers: 32, flags: undefined }],
};

/** Those that multiply bfloat16, for products and attention in it: vectors of AVX-512, and the tiles of AMX. */
const halfSets = [
  { name: 'avx512bf16', flags: ['-mavx512bf16'] },
  { name: 'amx', flags: ['-mavx512bf16', '-mamx-tile', '-mamx-bf16'] },
];

/** Whether a compiler, with its assembler, knows all of them; those before GCC 11 and Clang 12 do not. */
function knowsHalf(compiler) {
  if (process.arch !== 'x64') return false;
  const input = '#include <immintrin.h>\nvoid f() { _tile_dpbf16ps(0, 1, 2); }\n';
  return ask(compiler, [...halfSets.at(-1).flags, '-x', 'c++', '-c', '-', '-o', '/dev/null'], { input }) !== undefined;
}

/** vitlab's own TensorFlow ops (native/): kernels for each instruction set, and what registers them. */
function ops(root) {
  const compiler = findCompiler();
  const wheel = path.join(root, tensorflowFolder, 'tensorflow');
  const relative = path.relative(path.join(root, path.dirname(opsFile)), wheel);
  const folder = path.join(root, 'native');
  const common = ['-std=c++17', '-fPIC', '-w'];
  return {
    name: 'ops',
    title: 'TensorFlow ops of vitlab (compiled)',
    needs: { compiler: true, disk: 0 },
    after: ['addon'],
    inputs: {
      common,
      sources: readdirSync(folder)
        .sort()
        .map((file) => [file, fileHash(path.join(folder, file))]),
    },
    outputs: [opsFile],
    intact: (made) => compiler === undefined || made.compiler === compiler.version,
    async run(run) {
      const objects = [];
      const compile = async (source, name, flags) => {
        const object = path.join(temporary(root), `${name}.o`);
        objects.push(object);
        await run(compiler.command, [...common, ...flags, '-c', path.join(folder, source), '-o', object]);
      };
      const headers = [path.join(root, 'node_modules/node-api-headers/include'), path.join(wheel, 'include')];
      const defines = ['-DNDEBUG', '-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=vitlab_ops'];
      const registering = ['-O2', ...defines, ...headers.map((header) => `-I${header}`)];
      const half = knowsHalf(compiler.command);
      await compile('ops.cc', 'ops', registering);
      await compile('productOp.cc', 'productOp', registering);
      await compile('dispatch.cc', 'dispatch', ['-O2', ...(half ? ['-DVITLAB_HALF'] : [])]);
      for (const { name, width, registers, flags } of instructionSets[process.arch]) {
        const wide = flags ? [...flags, '-mfma', `-mprefer-vector-width=${32 * width}`] : [];
        const size = [`-DVITLAB_WIDTH=${width}`, `-DVITLAB_REGISTERS=${registers}`];
        const fast = ['-O3', '-fno-math-errno', '-fno-trapping-math', ...wide, ...size];
        const all = [...fast, `-DVITLAB_ISA=${name}`];
        await compile('kernels.cc', `kernels-${name}`, all);
        await compile('depthwise.cc', `depthwise-${name}`, all);
        await compile('dropout.cc', `dropout-${name}`, all);
        await compile('updates.cc', `updates-${name}`, [...all, '-ffp-contract=off']);
        if (!half || name !== 'avx512') continue;
        for (const set of halfSets) {
          const multiplying = [...fast, ...set.flags, `-DVITLAB_ISA=${set.name}`];
          await compile('halfAttention.cc', `halfAttention-${set.name}`, multiplying);
          await compile('product.cc', `product-${set.name}`, multiplying);
        }
      }
      const part = path.join(temporary(root), 'vitlab_ops.node');
      const links = [`-L${wheel}`, ...libraries.map((so) => `-l:${so}`), `-Wl,-rpath,$ORIGIN/${relative}`];
      await run(compiler.command, ['-shared', ...objects, '-o', part, ...links]);
      renameSync(part, path.join(root, opsFile));
      return { compiler: compiler.version, half };
    },
  };
}

function smoke(root, installed) {
  return {
    name: 'smoke',
    title: 'Check of what was installed',
    needs: { disk: 0 },
    after: installed.map((step) => step.name),
    inputs: { test: fileHash(path.join(root, 'setup/smoke.cjs')), kernel: fileHash(path.join(root, kernelFile)) },
    outputs: [],
    intact: () => true,
    async run(run) {
      const native = installed.some((step) => step.name === 'addon');
      await run(process.execPath, [
        path.join(root, 'setup/smoke.cjs'),
        kernelFile,
        ...(native ? [addonFile, opsFile] : []),
      ]);
    },
  };
}
