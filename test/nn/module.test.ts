// Modules: how parameters are found and named, initialised, saved and loaded.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { CheckpointError, ShapeError, VitlabError } from '../../src/errors.js';
import { Buffer, Identity, init, Linear, Module, Parameter, Sequential } from '../../src/nn/index.js';

before(() => startEngine());

class Toy extends Module {
  protected override readonly names = { special: 'my.own_name', merged: '' };
  readonly posEmbed = new Parameter([1, 2], init.normal(1));
  readonly special = new Parameter([2], init.ones);
  readonly runningMean = new Buffer([2], init.zeros);
  readonly table = new Buffer([2], init.zeros, false);
  readonly blocks: Module[] = [new Linear(2, 2), new Linear(2, 2, { bias: false })];
  readonly merged: Module = new Linear(2, 1);
  readonly named: Record<string, Module> = { second_head: new Linear(1, 1) };
  readonly config = { depth: 2 };
  readonly none = undefined;

  override forward(x: Tensor): Tensor {
    return x;
  }
}

const NAMES = [
  'pos_embed',
  'my.own_name',
  'running_mean',
  'blocks.0.weight',
  'blocks.0.bias',
  'blocks.1.weight',
  'weight',
  'bias',
  'named.second_head.weight',
  'named.second_head.bias',
];

describe('Module', () => {
  it('names what it holds in snake case, by index, by key, or as the class says', () => {
    assert.deepEqual(Object.keys(new Toy().initialize(0).stateDict()), NAMES);
    const modules = [...new Toy().namedModules()].map(([name, module]) => `${name}:${module.constructor.name}`);
    assert.deepEqual(modules, [':Toy', 'blocks.0:Linear', 'blocks.1:Linear', ':Linear', 'named.second_head:Linear']);
  });

  it('keeps buffers that are not persistent out of the state dict only', () => {
    assert.deepEqual(
      [...new Toy().namedBuffers()].map(([name]) => name),
      ['running_mean', 'table'],
    );
  });

  it('initialises each parameter from the seed and its name alone', () => {
    const value = (module: Module, name: string): number[] => [...module.initialize(3).stateDict()[name]!.dataSync()];
    const alone = value(new Sequential([new Linear(2, 2)]), '0.weight');
    const accompanied = value(new Sequential([new Linear(2, 2), new Linear(9, 9)]), '0.weight');
    assert.deepEqual(alone, accompanied);
    assert.notDeepEqual(value(new Toy(), 'blocks.0.weight'), value(new Toy(), 'blocks.1.weight'));
  });

  it('leaves alone what has a value when it initialises', () => {
    const toy = new Toy().initialize(0);
    toy.special.set(tf.tensor1d([5, 6]));
    assert.deepEqual([...toy.initialize(1).special.value.dataSync()], [5, 6]);
  });

  it('loads a state dict, or refuses it as a whole', () => {
    const [from, to] = [new Toy().initialize(1), new Toy().initialize(2)];
    const before = [...to.posEmbed.value.dataSync()];
    const { bias: _, ...missing } = from.stateDict();
    assert.throws(() => to.loadStateDict(missing), /missing: bias/);
    assert.throws(() => to.loadStateDict({ ...from.stateDict(), other: tf.scalar(1) }), /unexpected: other/);
    const wrong = { ...from.stateDict(), bias: tf.zeros([3]) };
    assert.throws(() => to.loadStateDict(wrong), /bias is \[3\] instead of \[1\]/);
    assert.throws(() => to.loadStateDict(wrong), CheckpointError);
    assert.deepEqual([...to.posEmbed.value.dataSync()], before);
    assert.equal(to.loadStateDict(from.stateDict()).loaded.length, NAMES.length);
    assert.deepEqual([...to.posEmbed.value.dataSync()], [...from.posEmbed.value.dataSync()]);
  });

  it('takes what fits when it is not strict, and says what did not', () => {
    const toy = new Toy().initialize(0);
    const report = toy.loadStateDict(
      { bias: tf.zeros([3]), pos_embed: tf.ones([1, 2]), x: tf.zeros([]) },
      { strict: false },
    );
    assert.deepEqual(report.loaded, ['pos_embed']);
    assert.deepEqual(report.unexpected, ['x']);
    assert.deepEqual(
      report.mismatched.map(({ name }) => name),
      ['bias'],
    );
    assert.equal(report.missing.length, NAMES.length - 2);
    assert.deepEqual([...toy.posEmbed.value.dataSync()], [1, 1]);
  });

  it('trains what it is told to, but never what is fixed', () => {
    const toy = new Toy();
    toy.special.fix();
    toy.setTrainable((name) => name.endsWith('weight') || name.startsWith('my.'));
    assert.deepEqual(
      [...toy.trainableParameters().keys()],
      NAMES.filter((name) => name.endsWith('weight')),
    );
  });

  it('passes training mode down', () => {
    const modules = [...new Toy().train().namedModules()].map(([, module]) => module);
    assert.ok(modules.every(({ training }) => training));
    modules[0]!.eval();
    assert.ok(modules.every(({ training }) => !training));
  });

  it('gives modules by path', () => {
    const toy = new Toy();
    assert.equal(toy.get('blocks.1'), toy.blocks[1]);
    assert.throws(() => toy.get('blocks.2'), VitlabError);
  });

  it('frees all of its tensors', () => {
    const before = tf.memory().numTensors;
    const toy = new Toy().initialize(0);
    assert.equal(tf.memory().numTensors, before + NAMES.length + 1);
    toy.dispose();
    assert.equal(tf.memory().numTensors, before);
    assert.throws(() => toy.posEmbed.value, VitlabError);
  });

  it('refuses a value of another shape', () => {
    assert.throws(() => new Toy().special.set(tf.zeros([3])), ShapeError);
  });
});

describe('Sequential', () => {
  it('applies its layers in order and names them by index or by key', () => {
    const double = new (class extends Module {
      override forward(x: Tensor): Tensor {
        return tf.mul(x, 2);
      }
    })();
    const add = new (class extends Module {
      override forward(x: Tensor): Tensor {
        return tf.add(x, 1);
      }
    })();
    const x = tf.scalar(3);
    assert.equal(new Sequential([double, add]).forward(x).dataSync()[0], 7);
    assert.equal(new Sequential({ a: add, b: double }).forward(x).dataSync()[0], 8);
    const names = [...new Sequential({ fc: new Linear(1, 1) }).namedParameters()].map(([name]) => name);
    assert.deepEqual(names, ['fc.weight', 'fc.bias']);
    assert.equal(new Identity().forward(x), x);
  });
});
