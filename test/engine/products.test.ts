// The rewrite of float32 products: what a graph becomes where a processor is slow at wide results, and where not.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { GraphNode } from '../../src/engine/capture/graph.js';
import { fastProducts } from '../../src/engine/capture/products.js';
import { Recorder } from '../../src/engine/capture/recorder.js';
import { startEngine, tf } from '../../src/engine/index.js';

before(() => startEngine('tensorflow'));

describe('fastProducts', () => {
  const recorded = (columns: number): GraphNode[] => {
    const recorder = new Recorder();
    const inputs = { a: tf.ones([4, 6]), b: tf.ones([6, columns]), c: tf.ones([4, columns]) };
    const step = ({ a, b, c }: Record<string, tf.Tensor>) => ({
      plain: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D),
      transposed: tf.matMul(a as tf.Tensor2D, c as tf.Tensor2D, true),
    });
    recorder.record('s', step, inputs);
    return recorder.nodes;
  };
  const shapes = (nodes: readonly GraphNode[]): string[] =>
    nodes.flatMap(({ op, attributes: { transpose_a, transpose_b } }) => {
      if (op === 'VitlabTranspose') return ['turned'];
      return op === 'MatMul' ? [`${transpose_a!.value ? 'aT' : 'a'} ${transpose_b!.value ? 'bT' : 'b'}`] : [];
    });

  it('turns the second factor of wide results, or the result where the first is given as its transpose', () => {
    const wide = recorded(3072);
    assert.deepEqual(shapes(fastProducts(wide, [], true)), ['turned', 'a bT', 'aT b', 'turned']);
    assert.deepEqual(shapes(fastProducts(wide, [], false)), ['a b', 'aT b']);
  });

  it('leaves others', () => {
    assert.deepEqual(shapes(fastProducts(recorded(3071), [], true)), ['a b', 'aT b']);
  });
});
