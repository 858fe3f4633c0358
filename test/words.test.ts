import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { plural } from '../src/index.js';

describe('plural', () => {
  it('has the noun as its number asks', () => {
    const texts = [0, 1, 2, 2000].map((count) => plural(count, 'epoch'));
    assert.deepEqual(texts, ['0 epochs', '1 epoch', '2 epochs', '2,000 epochs']);
  });

  it('takes plurals that are no s', () => {
    assert.deepEqual([plural(1, 'class', 'classes'), plural(10, 'class', 'classes')], ['1 class', '10 classes']);
  });
});
