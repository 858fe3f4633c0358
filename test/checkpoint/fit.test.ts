import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeFit, fitState, zeros } from '../../src/checkpoint/index.js';
import { CheckpointError } from '../../src/errors.js';

const state = {
  pos_embed: zeros([1, 17, 4]),
  'norm.weight': zeros([4]),
  'head.weight': zeros([3, 4]),
  extra: zeros([1]),
};
const shapes = { pos_embed: [1, 10, 4], 'norm.weight': [4], 'head.weight': [5, 4], 'norm.bias': [4] };

describe('fitting a state dict to a model', () => {
  it('reports what was taken, reshaped, missing, unexpected and kept', () => {
    const { tensors, report } = fitState(state, shapes, { grid: [3, 3] });
    assert.deepEqual(Object.keys(tensors), ['pos_embed', 'norm.weight']);
    assert.deepEqual(tensors['pos_embed']!.shape, [1, 10, 4]);
    assert.deepEqual(report, {
      taken: ['norm.weight'],
      reshaped: [{ name: 'pos_embed', from: [1, 17, 4], to: [1, 10, 4] }],
      missing: ['norm.bias'],
      unexpected: ['extra'],
      mismatched: [{ name: 'head.weight', expected: [5, 4], found: [3, 4] }],
    });
    assert.equal(
      describeFit(report),
      [
        '2 tensors taken',
        'reshaped: pos_embed [1,17,4] to [1,10,4]',
        'missing: norm.bias',
        'unexpected: extra',
        'kept: head.weight [5,4], the file has [3,4]',
      ].join('\n'),
    );
  });

  it('leaves a position embedding alone that fits, has another width, or has no grid to go to', () => {
    assert.deepEqual(fitState(state, { pos_embed: [1, 17, 4] }, { grid: [2, 8] }).report.taken, ['pos_embed']);
    assert.equal(fitState(state, { pos_embed: [1, 17, 8] }, { grid: [4, 4] }).report.mismatched.length, 1);
    assert.equal(fitState(state, { pos_embed: [1, 10, 4] }).report.mismatched.length, 1);
  });

  it('refuses a computed table of another grid', () => {
    assert.throws(() => fitState(state, shapes, { grid: [3, 3], posEmbed: 'computed' }), CheckpointError);
    const none = fitState({ other: zeros([1]) }, { mine: [1] });
    assert.throws(() => describeFit(none.report), /None of the file's tensors fits.*other instead of mine/);
  });
});
