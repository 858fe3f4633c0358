import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ParityCase } from '../../src/parity/case.js';
import { Checker } from '../../src/parity/check.js';
import { dataKinds } from '../../src/parity/data.js';
import { golden } from './support.js';

async function run(parityCase: ParityCase) {
  const check = new Checker(parityCase.spec, parityCase.tensors('expected'));
  await dataKinds[parityCase.spec.kind]!(parityCase, check);
  return check.finish();
}

describe('parity with torchvision, Pillow and the official files', () => {
  for (const name of readdirSync(golden)) {
    it(name, async () => {
      const result = await run(ParityCase.open(path.join(golden, name)));
      assert.deepEqual(result.failures, []);
      assert.equal(result.passed, true);
    });
  }

  it('is bit-exact with Pillow, not only within tolerance', async () => {
    const parityCase = ParityCase.open(path.join(golden, 'transforms'));
    const expected = parityCase.tensors('expected');
    const unequal: string[] = [];
    const exact = {
      close: (name: string, got: ArrayLike<number>) => {
        const wanted = expected[name]!;
        if (wanted.dtype === 'uint8' && !Buffer.from(got as Uint8Array).equals(wanted.data as Uint8Array))
          unequal.push(name);
      },
      alternative: () => {},
      fail: (name: string, message: string) => assert.fail(`${name} ${message}`),
    };
    await dataKinds['transforms']!(parityCase, exact as unknown as Checker);
    assert.deepEqual(unequal, []);
  });

  it('fails when an operation is unknown or a result wrong', async () => {
    const parityCase = ParityCase.open(path.join(golden, 'transforms'));
    const config = parityCase.spec.config as { items: { op: string; params: Record<string, unknown> }[] };
    config.items[0]!.op = 'swirl';
    config.items.find((item) => item.op === 'crop')!.params['top'] = 1;
    const { passed, failures } = await run(parityCase);
    assert.equal(passed, false);
    assert.match(failures.join('\n'), /swirl, which is unknown/);
    assert.match(failures.join('\n'), /crop.*off by/);
  });
});
