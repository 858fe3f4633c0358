import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  applyPipeline,
  augmentations,
  crop,
  gaussianBlur,
  horizontalFlip,
  type Image,
  normalizeTable,
  Pipeline,
  pad,
  resize,
  rotate,
  TRANSFORM_NAMES,
  type TransformSpec,
} from '../../src/data/index.js';
import { ShapeError, UsageError } from '../../src/errors.js';
import { Rng } from '../../src/random/index.js';
import { randomImage } from './support.js';

const image = randomImage(12, 10);
const run = (specs: TransformSpec[], of: Image = image, seed = 0) => applyPipeline(specs, of, new Rng(seed, 'test'));
const bytes = (of: Image) => Float32Array.from(of.data, (value) => Math.fround(value / 255));

/** How often an event of the transform's randomness happens. */
function share(specs: TransformSpec[], event: (out: Float32Array) => boolean, of: Image = image): number {
  const pipeline = new Pipeline(specs);
  let hits = 0;
  for (let seed = 0; seed < 2000; seed++) {
    if (event(applyPipeline(pipeline, of, new Rng(7, 'share', seed)).data)) hits++;
  }
  return hits / 2000;
}

describe('pipelines', () => {
  it('without transforms give floats from 0 to 1 in HWC order', () => {
    const { data, height, width } = run([]);
    assert.deepEqual([height, width], [12, 10]);
    assert.deepEqual(data, bytes(image));
  });

  it('normalise by channel', () => {
    const { data } = run([{ name: 'normalize', mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 2] }]);
    for (const i of [0, 1, 2, 100, 101, 104]) {
      const wanted = (image.data[i]! / 255 - [0.1, 0.2, 0.3][i % 3]!) / [0.5, 0.25, 2][i % 3]!;
      assert.ok(Math.abs(data[i]! - wanted) < 1e-6, `value ${i}: ${data[i]} instead of ${wanted}`);
    }
    assert.equal(normalizeTable([0, 0, 0], [1, 1, 1])[255], 1);
  });

  it('follow from their generator and leave the input alone', () => {
    const before = image.data.slice();
    for (const preset of [
      augmentations.adaptformer(),
      augmentations.moco1({ size: 8 }),
      augmentations.moco2({ size: 8 }),
    ]) {
      assert.deepEqual(run(preset), run(preset));
      assert.notDeepEqual(run(preset).data, run(preset, image, 1).data);
    }
    assert.deepEqual(image.data, before);
  });

  it('survive JSON', () => {
    for (const make of Object.values(augmentations)) {
      const specs = make({ size: 9 });
      const again = JSON.parse(JSON.stringify(specs)) as TransformSpec[];
      assert.deepEqual(again, specs);
      assert.deepEqual(run(again), run(specs));
    }
  });

  it('know every name they list', () => {
    const examples: Record<string, Record<string, unknown>> = {
      resize: { size: 6 },
      centerCrop: { size: 6 },
      crop: { top: 0, left: 0, height: 4, width: 4 },
      pad: { padding: 2 },
      randomCrop: { size: 6 },
      randomResizedCrop: { size: 6 },
      randomRotation: { degrees: 10 },
      posterize: { bits: 4 },
      sharpness: { factor: 2 },
      randomApply: { transforms: [{ name: 'invert' }] },
      normalize: { mean: [0, 0, 0], std: [1, 1, 1] },
    };
    for (const name of TRANSFORM_NAMES) {
      const spec = { name, ...examples[name] } as TransformSpec;
      const specs: TransformSpec[] =
        name === 'randomErasing' ? [{ name: 'normalize', mean: [0, 0, 0], std: [1, 1, 1] }, spec] : [spec];
      const { data, height, width } = run(specs);
      assert.equal(data.length, height * width * 3, name);
      assert.ok(data.every(Number.isFinite), name);
    }
  });
});

describe('what pipelines refuse', () => {
  const refused: [string, unknown[], RegExp][] = [
    ['an unknown name', [{ name: 'randomCorp', size: 3 }], /transforms\[0\].*did you mean randomCrop/],
    ['an inherited name', [{ name: 'toString' }], /no transform "toString"/],
    [
      'an unknown parameter',
      [{ name: 'horizontalFlip', probability: 1 }],
      /transforms\[0\], horizontalFlip.*probability/,
    ],
    ['a missing parameter', [{ name: 'randomCrop' }], /size/],
    ['a probability above 1', [{ name: 'horizontalFlip', p: 1.5 }], /horizontalFlip/],
    ['a reversed range', [{ name: 'gaussianBlur', sigma: [2, 1] }], /lower bound comes first/],
    ['a deviation of 0', [{ name: 'normalize', mean: [0, 0, 0], std: [1, 0, 1] }], /above 0/],
    [
      'pixels after floats',
      [{ name: 'normalize', mean: [0, 0, 0], std: [1, 1, 1] }, { name: 'invert' }],
      /before normalize/,
    ],
    ['erasing before floats', [{ name: 'randomErasing' }], /after normalize/],
    [
      'floats inside randomApply',
      [{ name: 'randomApply', transforms: [{ name: 'randomErasing' }] }],
      /inside randomApply/,
    ],
    [
      'a wrong inner transform',
      [{ name: 'randomApply', transforms: [{ name: 'pad' }] }],
      /transforms\[0\]\.transforms\[0\], pad/,
    ],
  ];
  for (const [what, specs, message] of refused) {
    it(what, () => {
      assert.throws(
        () => new Pipeline(specs as TransformSpec[]),
        (error: Error) => error instanceof UsageError && message.test(error.message) && !error.message.includes('\n'),
      );
    });
  }

  it('paddings and kernels that the image is too small for', () => {
    assert.throws(() => pad(image, 10, 'reflect'), ShapeError);
    assert.throws(() => gaussianBlur(image, 25, 1), ShapeError);
    assert.throws(() => gaussianBlur(image, 4, 1), ShapeError);
    assert.throws(() => resize(image, 0, 4), UsageError);
  });
});

describe('random transforms', () => {
  const near = (value: number, wanted: number) =>
    assert.ok(Math.abs(value - wanted) < 0.05, `${value} is not about ${wanted}`);

  it('flip as often as they should', () => {
    const flipped = bytes(horizontalFlip(image));
    const isFlipped = (out: Float32Array) => out.every((value, i) => value === flipped[i]);
    near(share([{ name: 'horizontalFlip' }], isFlipped), 0.5);
    near(share([{ name: 'horizontalFlip', p: 0.1 }], isFlipped), 0.1);
    near(share([{ name: 'randomApply', p: 0.8, transforms: [{ name: 'horizontalFlip', p: 1 }] }], isFlipped), 0.8);
  });

  it('crop every place of the padded image equally often', () => {
    const small = randomImage(2, 2, 5);
    const places = new Map<string, number>();
    const pipeline = new Pipeline([{ name: 'randomCrop', size: 2, padding: 1 }]);
    for (let seed = 0; seed < 4500; seed++) {
      const key = applyPipeline(pipeline, small, new Rng(1, 'crop', seed)).data.join();
      places.set(key, (places.get(key) ?? 0) + 1);
    }
    assert.equal(places.size, 9);
    for (const count of places.values()) assert.ok(count > 400 && count < 600, `${count} of 4500`);
    const shifted = bytes(crop(small, -1, -1, 2, 2)).join();
    assert.ok(places.has(shifted), 'the corner that holds mostly padding is among them');
  });

  it('pad a crop that is larger than the image', () => {
    const { data, height, width } = run([{ name: 'randomCrop', size: 16 }]);
    assert.deepEqual([height, width], [16, 16]);
    assert.equal(data.filter((value) => value === 0).length >= (16 * 16 - 120) * 3, true);
  });

  it('jitter within their bounds', () => {
    const grey: Image = { data: new Uint8Array(4 * 4 * 3).fill(100), height: 4, width: 4 };
    const pipeline = new Pipeline([{ name: 'colorJitter', brightness: 0.1 }]);
    const levels = Array.from(
      { length: 500 },
      (_, seed) => applyPipeline(pipeline, grey, new Rng(2, 'jitter', seed)).data[0]! * 255,
    );
    assert.ok(Math.min(...levels) >= 89 && Math.max(...levels) <= 110);
    assert.ok(Math.min(...levels) < 92 && Math.max(...levels) > 107, 'the whole range is used');
  });

  it('rotate to both sides, at most as far as said', () => {
    const wide = randomImage(32, 32, 9);
    const turned = (degrees: number) => bytes(rotate(wide, degrees)).join();
    assert.notEqual(turned(15), turned(-15));
    assert.deepEqual(run([{ name: 'randomRotation', degrees: 0 }], wide).data, bytes(wide));
    const first = (of: Image) => run([{ name: 'randomRotation', degrees: 15 }], of, 3).data.join();
    assert.notEqual(first(wide), bytes(wide).join());
  });

  it('erase one rectangle with the value, within the share of the area', () => {
    const normalize: TransformSpec = { name: 'normalize', mean: [0, 0, 0], std: [1, 1, 1] };
    const bright: Image = { data: new Uint8Array(20 * 20 * 3).fill(255), height: 20, width: 20 };
    const { data } = run([normalize, { name: 'randomErasing', p: 1, scale: [0.1, 0.2], value: [7, 8, 9] }], bright);
    const erased = [...data].filter((value) => value !== 1);
    assert.ok(erased.length >= 0.05 * data.length && erased.length <= 0.3 * data.length, `${erased.length} values`);
    assert.deepEqual(erased.slice(0, 3), [7, 8, 9]);
    near(
      share([normalize, { name: 'randomErasing', p: 0.3, value: 5 }], (out) => out.includes(5), bright),
      0.3,
    );
    const noisy = run([normalize, { name: 'randomErasing', p: 1, value: 'random' }], bright).data.filter(
      (value) => value !== 1,
    );
    assert.ok(noisy.some((value) => value < 0) && noisy.some((value) => value > 1));
  });

  it('take resized crops from within the image', () => {
    const flat: Image = { data: new Uint8Array(30 * 20 * 3).fill(128), height: 30, width: 20 };
    for (let seed = 0; seed < 50; seed++) {
      const { data, height, width } = run(
        [{ name: 'randomResizedCrop', size: [7, 9], interpolation: 'bicubic' }],
        flat,
        seed,
      );
      assert.deepEqual([height, width], [7, 9]);
      assert.ok(data.every((value) => Math.round(value * 255) === 128));
    }
    const sliver = randomImage(100, 2, 3);
    assert.equal(run([{ name: 'randomResizedCrop', size: 4 }], sliver).data.length, 48);
  });
});

describe('the presets of MoCo v3', () => {
  it('turn hues and blur as the authors do, or as they are told', () => {
    const turned = JSON.stringify(augmentations.moco2({ hue: 0.5, blurSigma: [0.1, 0.3] }));
    assert.match(turned, /"hue":0.5/);
    assert.match(turned, /"sigma":\[0.1,0.3\]/);
    assert.match(JSON.stringify(augmentations.moco1()), /"hue":0.1.*"sigma":\[0.1,2\]/);
  });

  it('refuse a hue of more than half a circle', () => {
    assert.throws(() => new Pipeline(augmentations.moco1({ hue: 0.6 })), UsageError);
  });
});

describe('the preset of the AdaptFormer reproduction', () => {
  it('is the list of the document', () => {
    assert.deepEqual(
      augmentations.adaptformer().map((spec) => spec.name),
      ['randomCrop', 'randomApply', 'randomApply', 'horizontalFlip', 'randomRotation', 'normalize'],
    );
    assert.deepEqual(augmentations.none(), [
      { name: 'normalize', mean: [0.5071, 0.4865, 0.4409], std: [0.1942, 0.1918, 0.1958] },
    ]);
  });

  it('keeps 32 × 32', () => {
    const { height, width } = run(augmentations.adaptformer(), randomImage(32, 32));
    assert.deepEqual([height, width], [32, 32]);
  });
});
