import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { float32, type TensorData, tensorRecord } from '../../src/checkpoint/index.js';
import { DataError } from '../../src/errors.js';
import { Checker, errorShare, parseTolerance } from '../../src/parity/index.js';

const outputs = { rule: 'abs(a-b) <= atol + rtol*abs(b)', atol: 1e-5, rtol: 1e-4 };
const grads = { rule: 'abs(a-b) <= atol + rtol*max(abs(b)) (max over the tensor)', atol: 1e-6, rtol: 1e-4 };
const wide = (...values: bigint[]): TensorData => ({
  dtype: 'int64',
  shape: [values.length],
  data: BigInt64Array.from(values),
});

function checker(
  tensors: Record<string, TensorData>,
  tolerances: Record<string, unknown> = { outputs, grads },
): Checker {
  return new Checker({ tolerances }, tensorRecord(Object.entries(tensors)));
}

describe('rules of tolerance', () => {
  it('reads each rule that cases state', () => {
    assert.deepEqual(parseTolerance('t', outputs), { rule: 'element', atol: 1e-5, rtol: 1e-4 });
    assert.deepEqual(parseTolerance('t', grads), { rule: 'tensor', atol: 1e-6, rtol: 1e-4 });
    assert.deepEqual(parseTolerance('t', { rule: 'equal' }), { rule: 'equal' });
    assert.deepEqual(parseTolerance('t', { rule: 'relative', rtol: 1e-9, atol: 1e-12 }), {
      rule: 'element',
      atol: 1e-12,
      rtol: 1e-9,
    });
    const level = 'abs(a-b) <= 1 (grey levels); at most 1 percent of the values may differ by 2';
    assert.deepEqual(parseTolerance('t', { rule: level }), { rule: 'levels', limit: 1, outlier: 2, share: 0.01 });
    const hue = 'abs(a-b) <= 3 grey levels (8-bit HSV in the PIL variant), at most 2 percent above 1';
    assert.deepEqual(parseTolerance('t', { rule: hue }), { rule: 'levels', limit: 1, outlier: 3, share: 0.02 });
    const pixels = 'equal except for at most 1 percent of the pixels (ties of nearest neighbour)';
    assert.deepEqual(parseTolerance('t', { rule: pixels }), {
      rule: 'levels',
      limit: 0,
      outlier: 255,
      share: 0.01,
      perPixel: true,
    });
  });

  it('refuses a rule it does not know, or one without its numbers', () => {
    for (const wrong of [{ rule: 'roughly' }, { rule: outputs.rule, atol: 1 }, { rule: 'relative' }, 'equal', null]) {
      assert.throws(() => parseTolerance('t', wrong), DataError);
    }
  });

  it('measures against each element, or against the largest of the tensor', () => {
    const near = (rule: unknown, expected: number) => {
      const share = errorShare([1.001, 100], [1, 100], parseTolerance('t', rule));
      assert.ok(Math.abs(share / expected - 1) < 1e-9, `${share} is not ${expected}`);
    };
    near(outputs, 0.001 / (1e-5 + 1e-4));
    near(grads, 0.001 / (1e-6 + 1e-4 * 100));
  });

  it('never passes NaN, and passes an infinity only for itself', () => {
    for (const rule of [outputs, grads, { rule: 'equal' }]) {
      const tolerance = parseTolerance('t', rule);
      for (const [got, expected] of [
        [Number.NaN, 1],
        [1, Number.NaN],
        [Number.NaN, Number.NaN],
        [Infinity, 1],
        [1, Infinity],
        [-Infinity, Infinity],
      ] as const) {
        assert.ok(!(errorShare([got, 0], [expected, 0], tolerance) <= 1), `${got} for ${expected}`);
      }
    }
    assert.equal(errorShare([Infinity], [Infinity], parseTolerance('t', outputs)), 0);
    assert.equal(errorShare([Number.NaN], [0], { rule: 'levels', limit: 1, outlier: 2, share: 1 }), Infinity);
  });

  it('allows a share of outliers, by value or by pixel', () => {
    const levels = { rule: 'levels', limit: 1, outlier: 2, share: 0.25 } as const;
    assert.equal(errorShare([0, 0, 0, 1], [0, 0, 0, 0], levels), 1);
    assert.equal(errorShare([0, 0, 0, 2], [0, 0, 0, 0], levels), 1);
    assert.equal(errorShare([0, 0, 2, 2], [0, 0, 0, 0], levels), 2);
    assert.equal(errorShare([0, 0, 0, 3], [0, 0, 0, 0], levels), Infinity);
    const pixels = { rule: 'levels', limit: 0, outlier: 255, share: 0.5, perPixel: true } as const;
    assert.equal(errorShare([9, 9, 9, 0, 0, 0], [0, 0, 0, 0, 0, 0], pixels, 3), 1);
    assert.equal(errorShare([9, 0, 0, 9, 0, 0], [0, 0, 0, 0, 0, 0], pixels, 3), 2);
  });
});

describe('the checker', () => {
  it('picks the rule by name and keeps the largest share', () => {
    const check = checker({ logits: float32([100]), 'grad.w': float32([100, 0]) });
    check.close('logits', [100.001], [1]);
    check.close('grad.w', [100, 0.009], [2]);
    const { passed, checks, worst, worstName } = check.finish();
    assert.deepEqual([passed, checks, worstName], [true, 2, 'grad.w']);
    assert.ok(worst > 0.89 && worst < 0.91);
  });

  it('fails on a difference, another shape, another length, and a tensor nobody expects', () => {
    const expected = { a: float32([1, 2], [1, 2]) };
    const failing = (act: (check: Checker) => void) => {
      const check = checker(expected);
      act(check);
      const { passed, failures } = check.finish();
      assert.equal(passed, false);
      return failures.join('; ');
    };
    assert.match(
      failing((check) => check.close('a', [1, 2.1], [1, 2])),
      /a is off by/,
    );
    assert.match(
      failing((check) => check.close('a', [1, 2], [2])),
      /a has the shape \[2\], expected \[1,2\]/,
    );
    assert.match(
      failing((check) => check.close('a', [1, 2, 3])),
      /a has 3 values, expected 2/,
    );
    assert.match(
      failing((check) => check.close('b', [1])),
      /b is not among the expected tensors/,
    );
    assert.match(
      failing((check) => check.equal('x', { n: 1n }, { n: 2n })),
      /x is \{"n":"1n"\}, expected \{"n":"2n"\}/,
    );
    assert.match(
      failing((check) => check.equal('nan', Number.NaN, Number.NaN)),
      /nan is/,
    );
  });

  it('fails when an expected tensor was not checked, or nothing was', () => {
    const check = checker({ a: float32([1]), b: float32([1]) });
    check.close('a', [1]);
    assert.deepEqual(check.finish().failures, ['b is expected but was never checked']);
    assert.deepEqual(checker({}).finish().failures, ['nothing was checked']);
  });

  it('takes one of two valid results, as long as that one is checked', () => {
    const both = { a: float32([1]), b: float32([2]) };
    const right = checker(both);
    right.close('a', [1]);
    right.alternative('b', 'a');
    assert.equal(right.finish().passed, true);
    const neither = checker(both);
    neither.alternative('b', 'a');
    neither.alternative('a', 'b');
    assert.equal(neither.finish().passed, false);
  });

  it('compares 64-bit integers that a double cannot tell apart', () => {
    const check = checker({ a: wide(2n ** 60n) }, { values: { rule: 'equal' } });
    check.close('a', wide(2n ** 60n + 1n));
    assert.equal(check.finish().passed, false);
    const same = checker({ a: wide(2n ** 60n) }, { values: { rule: 'equal' } });
    same.close('a', wide(2n ** 60n));
    assert.equal(same.finish().passed, true);
  });

  it('checks values beside the tensors by a rule or by the name of one', () => {
    const check = checker({});
    check.value('mean', 1.00001, 1, 'outputs');
    check.value('list', [1, 2], [1, 2.5], { rule: 'element', atol: 1, rtol: 0 });
    assert.deepEqual([check.finish().passed, check.finish().worst], [true, 0.5]);
    assert.throws(() => check.value('x', 1, 1, 'nothing'), /no tolerance nothing; it has outputs, grads/);
  });
});
