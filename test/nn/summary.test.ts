// Summaries: shapes, parameters and work, checked by hand and against the count of a published table.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { tensorflow } from '../../src/engine/backend.js';
import { startEngine, type Tensor, tf } from '../../src/engine/index.js';
import { createModel } from '../../src/models/index.js';
import { BatchNorm2d, Conv2d, formatSummary, Linear, Relu, Sequential, summary } from '../../src/nn/index.js';
import { applyTuning } from '../../src/tuning/index.js';

before(() => startEngine());

describe('summary', () => {
  it('lists shapes, parameters and multiply-accumulates of every layer', () => {
    const model = new Sequential([
      new Conv2d(3, 8, 3, { stride: 2, padding: 1, bias: false }),
      new BatchNorm2d(8),
      new Relu(),
      new Conv2d(8, 8, 5, { groups: 8, padding: 2 }),
      new Linear(8, 4),
    ]);
    const { rows, ...total } = summary(model, [2, 6, 10, 3]);
    assert.deepEqual(
      rows.map(({ name, type, outputShape, parameters, multiplyAccumulates }) => [
        name,
        type,
        outputShape,
        parameters,
        multiplyAccumulates,
      ]),
      [
        ['0', 'Conv2d', [2, 3, 5, 8], 8 * 27, 2 * 15 * 8 * 27],
        ['1', 'BatchNorm2d', [2, 3, 5, 8], 16, 0],
        ['2', 'Relu', [2, 3, 5, 8], 0, 0],
        ['3', 'Conv2d', [2, 3, 5, 8], 8 * 25 + 8, 2 * 15 * 8 * 25],
        ['4', 'Linear', [2, 3, 5, 4], 36, 2 * 15 * 32],
      ],
    );
    assert.deepEqual(rows[0]!.inputShape, [2, 6, 10, 3]);
    assert.equal(total.parameters, 8 * 27 + 16 + 208 + 36);
    assert.equal(total.inLayers, total.parameters);
    assert.equal(total.multiplyAccumulates, 30 * (8 * 27 + 8 * 25 + 32));
  });

  it('counts the two products of attention as its own work', () => {
    const model = createModel('vit_nano_patch4_32');
    const attention = summary(model, [1, 32, 32, 3]).rows.find(({ name }) => name === 'blocks.0.attn')!;
    assert.equal(attention.multiplyAccumulates, 2 * 65 * 65 * 64);
    assert.equal(attention.parameters, 0);
  });

  it('leaves the model as it was: no values, no hooks, no tensors, the same mode', () => {
    const model = createModel('vit_nano_patch4_32').train();
    const { numTensors } = tf.memory();
    summary(model, [1, 32, 32, 3]);
    assert.equal(tf.memory().numTensors, numTensors);
    assert.ok([...model.namedParameters()].every(([, { initialized }]) => !initialized));
    for (const [, module] of model.namedModules()) {
      assert.ok(module.training);
      assert.ok(!Object.hasOwn(module, 'forward'));
    }
    assert.ok(!Object.hasOwn(tf.engine(), 'runKernel'));
  });

  it('computes nothing: each kind of op is run once, however deep the model', () => {
    const backend = tensorflow();
    const { binding } = backend;
    const opsOf = (depth: number): number => {
      let ops = 0;
      const executeOp: typeof binding.executeOp = (...call) => {
        ops++;
        return binding.executeOp(...call);
      };
      backend.binding = Object.create(binding, { executeOp: { value: executeOp } });
      try {
        summary(createModel('vit_nano_patch4_32', { depth }), [2, 32, 32, 3]);
        return ops;
      } finally {
        backend.binding = binding;
      }
    };
    assert.ok(opsOf(2) > 10);
    assert.equal(opsOf(12), opsOf(2));
  });

  it('computes where the pass looks at values', () => {
    class Looks extends Linear {
      override forward(x: Tensor): Tensor {
        assert.deepEqual([...x.dataSync()], [0, 0]);
        return super.forward(x);
      }
    }
    const { outputShape, multiplyAccumulates } = summary(new Sequential([new Looks(2, 3)]), [1, 2]);
    assert.deepEqual([outputShape, multiplyAccumulates], [[1, 3], 6]);
  });

  it('takes a model with values as it is', () => {
    const model = createModel('swin_nano_patch4_window4_32').initialize(3);
    const empty = createModel('swin_nano_patch4_window4_32');
    const before = model.stateDict();
    const values = Object.values(before).map((tensor) => tensor.dataSync().slice());
    assert.deepEqual(summary(model, [1, 32, 32, 3]), summary(empty, [1, 32, 32, 3]));
    assert.deepEqual(
      Object.values(model.stateDict()).map((tensor) => tensor.dataSync().slice()),
      values,
    );
    model.dispose();
  });

  it('cleans up after a pass that fails', () => {
    const model = createModel('vit_nano_patch4_32');
    assert.throws(() => summary(model, [1, 20, 32, 3]), /Expected images/);
    assert.ok([...model.namedModules()].every(([, module]) => !Object.hasOwn(module, 'forward')));
    assert.ok([...model.namedParameters()].every(([, { initialized }]) => !initialized));
  });

  it('shows what is not part of the pass', () => {
    class Spare extends Linear {
      readonly spare = new Linear(2, 2);
    }
    const { rows, parameters } = summary(new Sequential([new Spare(2, 3)]), [1, 2]);
    assert.deepEqual(
      rows.map(({ name, outputShape }) => [name, outputShape]),
      [
        ['0', [1, 3]],
        ['0.spare', undefined],
      ],
    );
    assert.equal(parameters, 15);
  });
});

describe('the write-up of AdaptFormer', () => {
  it('has 86,316,400 parameters in its layers, which its table gives, and 86,394,736 in all', () => {
    const model = createModel('vit_base_patch3_32');
    applyTuning(model, 'adaptformer', { freeze: false });
    const found = summary(model, [1, 32, 32, 3]);
    assert.equal(found.inLayers, 86316400);
    assert.equal(found.parameters, 86394736);
    assert.equal(found.trainable, 86394736);
    assert.deepEqual(found.heldByModel, ['cls_token', 'pos_embed']);
    const text = formatSummary(found);
    assert.match(text, /Parameters: 86,394,736, 329\.57 MB/);
    assert.match(text, /in the layers above: 86,316,400, 329\.27 MB/);
    assert.match(text, /held by the model itself: 78,336 \(cls_token, pos_embed\)/);
  });

  it('trains 4.56 MB, 1.38 %, when frozen (both cut, not rounded)', () => {
    const model = createModel('vit_base_patch3_32', { numClasses: 10 });
    applyTuning(model, 'adaptformer', { trainNorm: false });
    const { trainable, parameters } = summary(model, [1, 32, 32, 3]);
    assert.equal(trainable, 1197334);
    assert.equal(Math.floor((100 * 4 * trainable) / 2 ** 20), 456);
    assert.equal(Math.floor((100 * 100 * trainable) / parameters), 138);
  });
});
