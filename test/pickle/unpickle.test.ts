import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  PickleError,
  type PickleHandler,
  type PickleOptions,
  readPickle,
  Tuple,
  unpickle,
} from '../../src/pickle/index.js';
import { Rng } from '../../src/random/index.js';

const encode: PickleHandler = {
  call: ([text, encoding]) => {
    assert.equal(encoding, 'latin1');
    return new Uint8Array(Buffer.from(text as string, 'latin1'));
  },
};
const orderedDict: PickleHandler = {
  call: () => new Map(),
  build: (instance, state) => void (instance as Map<unknown, unknown>).set('state', state),
};
const globals = { '_codecs.encode': encode, 'collections.OrderedDict': orderedDict };
const base64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
const raw = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
const read = (text: string, options: Partial<PickleOptions> = {}) => unpickle(raw(text), { globals, ...options });

describe('values of every protocol', () => {
  // written by CPython's pickle.dumps(value, protocol)
  const file = path.join(__dirname, '..', 'fixtures', 'pickle', 'protocols.json');
  const pickles = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>;
  for (const [protocol, text] of Object.entries(pickles)) {
    it(`protocol ${protocol}`, () => {
      const value = unpickle(base64(text), { globals }) as Map<string, unknown>;
      assert.deepEqual(value.get('ints'), [
        ...[0, 1, -1, 255, 256, 65535, 65536, -(2 ** 31), 2 ** 31, 2 ** 53 - 1],
        ...[2n ** 53n, -(2n ** 63n), 2n ** 80n, -(2n ** 80n)],
      ]);
      assert.deepEqual(value.get('floats'), [0.5, -1e300, Infinity]);
      assert.equal(value.get('text'), 'naïve ☃ 𝄞\n\\');
      assert.deepEqual([...(value.get('bytes') as Uint8Array)], [0, 255, 0, 255, 0, 255]);
      assert.ok(value.get('flags') instanceof Tuple);
      assert.deepEqual([...(value.get('flags') as Tuple)], [true, false, null]);
      const nested = (value.get('nested') as Map<string, Tuple[]>).get('a')!;
      assert.deepEqual(
        nested.map((tuple) => [...tuple]),
        [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]],
      );
      const [first, second] = value.get('twice') as unknown[];
      assert.equal(first, second, 'the same list twice is one list');
    });
  }

  it('reads sets, frozen sets and bytearrays', () => {
    assert.deepEqual(unpickle(base64('gASVCwAAAAAAAACPlChLAUsCSwOQLg=='), { globals }), new Set([1, 2, 3]));
    assert.deepEqual(unpickle(base64('gASVBgAAAAAAAAAoSwWRlC4='), { globals }), new Set([5]));
    assert.deepEqual(unpickle(base64('gAWVDgAAAAAAAACWAwAAAAAAAAB4eXqULg=='), { globals }), raw('xyz'));
  });

  it('reads Python 2 strings as text or bytes, dictionary keys always as text', () => {
    const text = '}U\x01aU\x02\xe9\x00s.';
    assert.deepEqual(read(text), new Map([['a', 'é\0']]));
    assert.deepEqual(read(text, { byteStrings: 'bytes' }), new Map([['a', raw('\xe9\0')]]));
    assert.equal(read("S'a\\x41\\n\\101\\\\'\n."), 'aA\nA\\');
  });

  it('reads several pickles in a row', () => {
    const bytes = raw('K\x01.K\x02.');
    const first = readPickle(bytes, 0, { globals });
    assert.deepEqual([first.value, first.end], [1, 3]);
    assert.deepEqual(readPickle(bytes, first.end, { globals }), { value: 2, end: 6 });
  });
});

describe('names and calls', () => {
  it('calls permitted handlers, sets items and state', () => {
    const value = unpickle(base64('gAJjY29sbGVjdGlvbnMKT3JkZXJlZERpY3QKcQApUnEBKFgBAAAAYnECSwFYAQAAAGFxA0sCdS4='), {
      globals,
    });
    assert.deepEqual(
      value,
      new Map([
        ['b', 1],
        ['a', 2],
      ]),
    );
    assert.deepEqual(read('ccollections\nOrderedDict\n)RK\x07b.'), new Map([['state', 7]]));
  });

  it('resolves persistent ids through the caller', () => {
    const bytes = base64('gAJdcQAoWAcAAABzdG9yYWdlcQFLB4ZxAlFYAQAAAHhxA2Uu');
    const seen: unknown[] = [];
    const persistentLoad = (id: unknown) => seen.push([...(id as Tuple)]);
    assert.deepEqual(unpickle(bytes, { globals, persistentLoad }), [1, 'x']);
    assert.deepEqual(seen, [['storage', 7]]);
    assert.throws(() => unpickle(bytes, { globals }), PickleError);
  });

  const refused: Record<string, string> = {
    GLOBAL: 'cos\nsystem\n.',
    'REDUCE of os.system': "cos\nsystem\n(S'true'\ntR.",
    STACK_GLOBAL: '\x80\x04\x8c\x08builtins\x8c\x04eval\x93.',
    INST: "(S'true'\nios\nsystem\n.",
    'inherited object names': 'cconstructor\nname\n.',
    prototype: '\x80\x04\x8c\x09__proto__\x8c\x08toString\x93.',
    'dotted name': 'ccollections\nOrderedDict.fromkeys\n.',
  };
  for (const [name, text] of Object.entries(refused)) {
    it(`refuses ${name} by name`, () => assert.throws(() => read(text), /not allowed; nothing was run/));
  }

  it('refuses calls and states that no handler takes', () => {
    for (const text of [
      'K\x01)R.', // calls a number
      'ccollections\nOrderedDict\nK\x01R.', // arguments that are no tuple
      'c_codecs\nencode\n(X\x00\x00\x00\x00X\x06\x00\x00\x00latin1tRK\x01b.', // a state without a handler
      '}K\x01b.', // a state of a plain value
      '\x82\x01.', // extension registry
      '\x97.', // out-of-band buffer
    ]) {
      assert.throws(() => read(text), PickleError, JSON.stringify(text));
    }
  });
});

describe('damaged and hostile pickles', () => {
  const broken: Record<string, string> = {
    empty: '',
    'no STOP': 'K\x01',
    'empty stack': '.',
    'unknown opcode': '\xff.',
    'protocol 99': '\x80\x63K\x01.',
    'string past the end': 'X\xff\xff\xff\x7fabc.',
    'bytes of 2^63': '\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.',
    'frame past the end': '\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00K\x01.',
    'memo slot never filled': 'h\x05.',
    'negative memo slot': 'K\x01p-1\n.',
    'no mark': 'K\x01t.',
    'append to a tuple': ')K\x01a.',
    'item of a list': ']K\x01K\x02s.',
    'odd dictionary': '}(K\x01u.',
    'text that is no UTF-8': 'X\x01\x00\x00\x00\xff.',
    'integer that is none': 'Iabc\n.',
    'huge integer': '\x8b\xff\xff\xff\x7f.',
    'huge decimal': `L${'9'.repeat(5000)}L\n.`,
    'unquoted string': 'Sabc\n.',
  };
  for (const [name, text] of Object.entries(broken)) {
    it(`refuses: ${name}`, () => assert.throws(() => read(text), PickleError));
  }

  it('bounds the number of values', () => {
    assert.throws(() => read(`${']'.repeat(50)}.`, { maxValues: 20 }), /more than 20 values/);
  });

  it('keeps a nest of shared references small', () => {
    // every level holds the one below twice: 2^60 leaves if it were copied
    const text = `]q\x00${'h\x00h\x00\x86q\x00'.repeat(60)}.`;
    assert.equal((read(text) as Tuple).length, 2);
  });

  it('refuses every truncation of a valid pickle', () => {
    const whole = '\x80\x02}q\x00(U\x01aK\x01X\x01\x00\x00\x00bG?\xe0\x00\x00\x00\x00\x00\x00u.';
    assert.deepEqual(
      read(whole),
      new Map<string, number>([
        ['a', 1],
        ['b', 0.5],
      ]),
    );
    for (let length = 0; length < whole.length; length++)
      assert.throws(() => read(whole.slice(0, length)), PickleError);
  });

  it('ends every random change of a pickle in a value or a PickleError', () => {
    const whole = base64(
      'gAJ9cQAoWAQAAABpbnRzcQFdcQIoSwBLAUr/////ZVgFAAAAZmxhZ3NxDYiJTodxDljGAAAAY2NvbGxlY3Rpb25zCk9yZGVyZWREaWN0CilScQFLB2J1Lg==',
    );
    let refused = 0;
    for (let run = 0; run < 4000; run++) {
      const rng = new Rng(1, 'fuzz', run);
      const changed = whole.slice(0, rng.chance(0.2) ? rng.integer(whole.length) : whole.length);
      for (let i = 0; i <= rng.integer(4) && changed.length > 0; i++)
        changed[rng.integer(changed.length)] = rng.integer(256);
      try {
        unpickle(changed, { globals: { 'collections.OrderedDict': orderedDict } });
      } catch (error) {
        assert.ok(error instanceof PickleError, `run ${run}: ${(error as Error).stack}`);
        refused++;
      }
    }
    assert.ok(refused > 2000, `${refused} of 4000 were refused`);
  });
});
