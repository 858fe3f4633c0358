import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { augmentations, type Batch, DataLoader, type Dataset, type Image, openDataset } from '../../src/data/index.js';
import { cacheMemory, PixelCache } from '../../src/data/loader/cache.js';
import { DataError, ShapeError, UsageError } from '../../src/errors.js';
import { loaderDigest, randomImage, temporaryFolder, writeImageFolder } from './support.js';

const shapes = () => openDataset('shapes10?train=70&seed=3', 'train');

async function all(loader: DataLoader, epoch = 0, startBatch = 0): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of loader.epoch(epoch, { startBatch })) batches.push(batch);
  return batches;
}

/** A data set in memory that counts how often an image is made. */
function counting(length: number, make = (index: number): Image => randomImage(4, 4, index)) {
  const reads = new Int32Array(length);
  const dataset: Dataset = {
    name: 'counting',
    classes: ['a', 'b'],
    length,
    description: { spec: 'counting', split: 'train', root: '/', length, classes: ['a', 'b'], checksum: 'sha256:0' },
    label: (index) => index % 2,
    image(index) {
      reads[index]!++;
      return make(index);
    },
  };
  return { dataset, reads };
}

describe('batches', () => {
  it('hold images, labels and indices in order', async () => {
    const dataset = await shapes();
    const loader = new DataLoader(dataset, { batchSize: 32, workers: 0 });
    const batches = await all(loader);
    assert.deepEqual(
      batches.map((batch) => batch.shape),
      [
        [32, 32, 32, 3],
        [32, 32, 32, 3],
        [6, 32, 32, 3],
      ],
    );
    assert.equal(loader.batches, 3);
    const { images, labels, indices } = batches[1]!;
    assert.deepEqual([indices[0], indices[31]], [32, 63]);
    assert.deepEqual(
      [...labels],
      [...indices].map((index) => dataset.label(index)),
    );
    const image = await dataset.image(37);
    assert.deepEqual(
      images.slice(5 * 3072, 6 * 3072),
      Float32Array.from(image.data, (value) => value / 255),
    );
  });

  it('leave out a last batch that is not full when asked to', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 32, workers: 0, dropLast: true });
    assert.equal(loader.batches, 2);
    assert.equal((await all(loader)).length, 2);
  });

  it('are shuffled anew every epoch, every image once', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 16, workers: 0, shuffle: true, seed: 1 });
    const order = async (epoch: number) => (await all(loader, epoch)).flatMap((batch) => [...batch.indices]);
    const [first, second] = [await order(0), await order(1)];
    assert.notDeepEqual(first, second);
    assert.deepEqual(await order(0), first);
    assert.deepEqual([...loader.order(1)], second);
    for (const indices of [first, second]) {
      assert.deepEqual(
        indices.slice().sort((a, b) => a - b),
        Array.from({ length: 70 }, (_, i) => i),
      );
    }
  });

  it('can be of some images only', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 4, workers: 0, indices: [5, 60, 7] });
    assert.deepEqual(
      (await all(loader)).map((batch) => [...batch.indices]),
      [[5, 60, 7]],
    );
    await assert.rejects(async () => new DataLoader(await shapes(), { batchSize: 4, indices: [70] }), /no image 70/);
  });

  it('give several views of the same images', async () => {
    const views = [augmentations.moco1({ size: 16 }), augmentations.moco2({ size: 16 }), augmentations.none()];
    const loader = new DataLoader(await shapes(), { batchSize: 10, workers: 0, views, seed: 2 });
    for await (const batch of loader.epoch(0)) {
      assert.deepEqual(batch.shapes, [
        [10, 16, 16, 3],
        [10, 16, 16, 3],
        [10, 32, 32, 3],
      ]);
      assert.notDeepEqual(batch.images[0], batch.images[1]);
      assert.equal(batch.images[2]!.length, 10 * 3072);
      break;
    }
    const twice = new DataLoader(await shapes(), { batchSize: 10, workers: 0, views: [views[0]!, views[0]!] });
    for await (const batch of twice.epoch(0)) assert.notDeepEqual(batch.images[0], batch.images[1]);
  });
});

describe('determinism', () => {
  const transforms = augmentations.adaptformer();

  it('does not depend on the number of workers or on prefetching', async () => {
    const dataset = await shapes();
    const digest = (workers: number, prefetch: number) =>
      loaderDigest(dataset, { batchSize: 16, transforms, shuffle: true, seed: 4, workers, prefetch }, [0, 1]);
    const inline = await digest(0, 0);
    assert.equal(await digest(1, 0), inline);
    assert.equal(await digest(3, 5), inline);
  });

  it('depends on seed and epoch', async () => {
    const dataset = await shapes();
    const digest = (seed: number, epoch: number) =>
      loaderDigest(dataset, { batchSize: 16, transforms, seed, workers: 0 }, [epoch]);
    const sums = [await digest(0, 0), await digest(0, 1), await digest(1, 0)];
    assert.equal(new Set(sums).size, 3);
    assert.equal(await digest(0, 0), sums[0]);
  });

  it('augments an image the same whatever batch it is in', async () => {
    const dataset = await shapes();
    const imageOf = async (batchSize: number, index: number) => {
      const loader = new DataLoader(dataset, { batchSize, transforms, seed: 9, workers: 0, shuffle: batchSize > 20 });
      for (const batch of await all(loader, 2)) {
        const at = batch.indices.indexOf(index);
        if (at >= 0) return batch.images.slice(at * 3072, (at + 1) * 3072);
      }
      return assert.fail('the image is in no batch');
    };
    assert.deepEqual(await imageOf(32, 41), await imageOf(7, 41));
  });

  it('goes on in the middle of an epoch', async () => {
    const dataset = await shapes();
    for (const workers of [0, 2]) {
      const options = { batchSize: 8, transforms, shuffle: true, seed: 5, workers };
      const whole = await all(new DataLoader(dataset, options), 3);
      const loader = new DataLoader(dataset, options);
      assert.deepEqual(await all(loader, 3, 6), whole.slice(6));
      assert.deepEqual(await all(loader, 3, 9), []);
      await loader.close();
    }
  });
});

describe('the cache', () => {
  it('keeps decoded images over epochs', async () => {
    const { dataset, reads } = counting(20);
    const loader = new DataLoader(dataset, { batchSize: 5, workers: 0 });
    const [first, second] = [await all(loader, 0), await all(loader, 1)];
    assert.deepEqual(first, second);
    // the first eight are looked at once more to see how large images are
    assert.deepEqual(
      [...reads],
      Array.from({ length: 20 }, (_, i) => (i < 8 ? 2 : 1)),
    );
  });

  it('stays within its limit', async () => {
    const { dataset, reads } = counting(20);
    const loader = new DataLoader(dataset, { batchSize: 5, workers: 0, cacheBytes: 5 * 48 });
    await all(loader, 0);
    reads.fill(0);
    await all(loader, 1);
    assert.deepEqual(
      [...reads],
      Array.from({ length: 20 }, (_, i) => (i < 5 ? 0 : 1)),
    );
    const none = new DataLoader(dataset, { batchSize: 5, workers: 0, cacheBytes: 0 });
    await all(none);
    reads.fill(0);
    await all(none, 1);
    assert.equal(
      reads.reduce((a, b) => a + b),
      20,
    );
  });

  it('holds images of different sizes', () => {
    const cache = new PixelCache(cacheMemory(3, 1000));
    const other = new PixelCache(cacheMemory(3, 1000));
    cache.put(0, randomImage(3, 5, 1));
    cache.put(2, randomImage(7, 2, 2));
    assert.deepEqual(cache.get(0), randomImage(3, 5, 1));
    assert.deepEqual(cache.get(2), randomImage(7, 2, 2));
    assert.equal(cache.get(1), undefined);
    assert.equal(other.get(0), undefined);
    cache.put(1, randomImage(20, 20, 3));
    assert.equal(cache.get(1), undefined, 'too large for what is left');
    cache.put(1, randomImage(1, 1, 4));
    assert.deepEqual(cache.get(1), randomImage(1, 1, 4));
  });
});

describe('images that cannot be read', () => {
  const root = temporaryFolder();
  const bad = path.join(root, 'train', 'cat', '002.png');
  const damaged = async () => {
    await writeImageFolder(root, ['cat', 'dog'], { train: 6, test: 1 });
    writeFileSync(bad, 'no image');
    truncateSync(path.join(root, 'train', 'dog', '005.png'), 60);
    return openDataset(`imagefolder:${root}`, 'train');
  };

  it('are an error that names the file, from workers too', async () => {
    const dataset = await damaged();
    for (const workers of [0, 2]) {
      const loader = new DataLoader(dataset, { batchSize: 4, workers });
      await assert.rejects(all(loader), (error) => error instanceof DataError && error.message.includes(bad));
      assert.equal(loader.activeWorkers, 0, 'the workers have stopped');
    }
  });

  it('are left out and counted with onError skip', async () => {
    const dataset = await damaged();
    const batchesOf = async (workers: number) => {
      const loader = new DataLoader(dataset, { batchSize: 4, workers, onError: 'skip' });
      const batches = await all(loader);
      await loader.close();
      assert.equal(loader.stats().skipped, 2);
      return batches;
    };
    const batches = await batchesOf(0);
    assert.deepEqual(
      batches.map((batch) => [...batch.indices]),
      [
        [0, 1, 3],
        [4, 5, 6, 7],
        [8, 9, 10],
      ],
    );
    assert.deepEqual(
      batches.map((batch) => batch.skipped),
      [1, 0, 1],
    );
    assert.deepEqual(batches[0]!.shape, [3, 8, 8, 3]);
    assert.equal(batches[0]!.images.length, 3 * 8 * 8 * 3);
    assert.deepEqual(await batchesOf(2), batches);
  });

  it('are replaced where batches must be full', async () => {
    const dataset = await damaged();
    const transforms = augmentations.cropFlip({ size: 8 });
    const loader = new DataLoader(dataset, { batchSize: 4, workers: 0, onError: 'skip', dropLast: true, transforms });
    const [first] = await all(loader);
    assert.deepEqual([...first!.indices], [0, 1, 3, 0]);
    assert.deepEqual(first!.shape, [4, 8, 8, 3]);
    const size = 8 * 8 * 3;
    assert.notDeepEqual(first!.images.slice(3 * size), first!.images.slice(0, size), 'augmented anew');
    assert.deepEqual((await all(loader))[0], first);
  });

  it('are an error when no image of a batch can be read', async () => {
    const { dataset } = counting(4, () => {
      throw new DataError('The image x.png is damaged.');
    });
    const loader = new DataLoader(dataset, { batchSize: 2, workers: 0, onError: 'skip' });
    await assert.rejects(all(loader), /None of the 2 images.*x\.png/);
  });

  it('other errors are never skipped', async () => {
    const { dataset } = counting(4, () => {
      throw new TypeError('a mistake');
    });
    await assert.rejects(all(new DataLoader(dataset, { batchSize: 2, workers: 0, onError: 'skip' })), TypeError);
  });
});

describe('what the loader refuses', () => {
  it('images of different sizes in a batch', async () => {
    const { dataset } = counting(4, (index) => randomImage(4 + index, 4));
    await assert.rejects(
      all(new DataLoader(dataset, { batchSize: 4, workers: 0 })),
      (error) => error instanceof ShapeError && /Image 1 is 5 × 4.*image 0.*4 × 4.*resize/.test(error.message),
    );
  });

  it('options that make no sense', async () => {
    const dataset = await shapes();
    for (const options of [
      { batchSize: 0 },
      { batchSize: 2.5 },
      { batchSize: 4, workers: -1 },
      { batchSize: 4, views: [] },
      { batchSize: 4, transforms: [], views: [[]] },
      { batchSize: 4, transforms: [{ name: 'invert', much: true }] },
    ]) {
      assert.throws(() => new DataLoader(dataset, options as never), UsageError, JSON.stringify(options));
    }
    await assert.rejects(all(new DataLoader(dataset, { batchSize: 4, workers: 0 }), -1), UsageError);
  });

  it('a data set that workers would not open as it is', async () => {
    const { description, ...rest } = await shapes();
    const changed = { ...rest, description: { ...description, checksum: 'sha256:0' } };
    await assert.rejects(all(new DataLoader(changed, { batchSize: 2, workers: 1 })), /has changed since it was opened/);
  });

  it('fewer images than a batch where only full batches count', async () => {
    const dataset = await shapes();
    for (const [indices, images] of [[undefined, 70] as const, [[1, 2, 3], 3] as const]) {
      const options = { batchSize: 96, dropLast: true, ...(indices && { indices }) };
      assert.throws(
        () => new DataLoader(dataset, options),
        (error) => error instanceof UsageError && new RegExp(`${images} images.*batchSize.* 96`).test(error.message),
      );
    }
    assert.equal(new DataLoader(dataset, { batchSize: 70, dropLast: true }).batches, 1);
  });
});

describe('worker threads', () => {
  it('read the files that were there when the set was opened', async () => {
    const root = temporaryFolder();
    await writeImageFolder(root, ['cat', 'dog'], { train: 3, test: 1 });
    const dataset = await openDataset(`imagefolder:${root}`, 'train');
    const batches = async (workers: number) => {
      const loader = new DataLoader(dataset, { batchSize: 4, workers });
      const made = await all(loader);
      await loader.close();
      return made;
    };
    const before = await batches(0);
    await writeImageFolder(root, ['ant'], { train: 3, test: 1 });
    assert.deepEqual(await batches(2), before);
    const gone = dataset.files![4]!;
    rmSync(gone);
    await assert.rejects(batches(2), (error) => error instanceof DataError && error.message.includes(gone));
  });

  it('stop when the loop is left early, and start again', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 8, workers: 2 });
    for await (const _ of loader.epoch(0)) {
      assert.equal(loader.activeWorkers, 2);
      break;
    }
    assert.equal(loader.activeWorkers, 0);
    assert.equal((await all(loader)).length, 9);
    assert.equal(loader.activeWorkers, 2, 'after a whole epoch they wait for the next');
    await loader.close();
    assert.equal(loader.activeWorkers, 0);
  });

  it('stop when the loop throws', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 8, workers: 1 });
    await assert.rejects(async () => {
      for await (const _ of loader.epoch(0)) throw new Error('from the loop');
    }, /from the loop/);
    assert.equal(loader.activeWorkers, 0);
  });

  it('leave an epoch that was begun and never finished', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 8, workers: 1 });
    const left = loader.epoch(0);
    const first = (await left.next()).value as Batch;
    assert.deepEqual((await all(loader))[0], first);
    await assert.rejects(left.next(), /ended when another was begun/);
    assert.equal(loader.activeWorkers, 1);
    await loader.close();
  });

  it('do not keep the process alive', () => {
    const script = `
      import { DataLoader, openDataset } from '${path.join(__dirname, '..', '..', 'src', 'data', 'index.js')}';
      openDataset('shapes10?train=64', 'train').then(async (dataset) => {
        const loader = new DataLoader(dataset, { batchSize: 8, workers: 2 });
        for await (const batch of loader.epoch(0)) console.log(batch.shape[0]);
        const left = loader.epoch(1);
        await left.next();
        console.log('done', loader.activeWorkers);
      });`;
    const file = path.join(temporaryFolder(), 'script.ts');
    writeFileSync(file, script);
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', file], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `${'8\n'.repeat(8)}done 2\n`);
  });

  it('count what they did', async () => {
    const loader = new DataLoader(await shapes(), { batchSize: 8, workers: 1 });
    assert.deepEqual(loader.stats(), {
      batches: 0,
      images: 0,
      skipped: 0,
      seconds: 0,
      waitedSeconds: 0,
      imagesPerSecond: 0,
    });
    await all(loader);
    await loader.close();
    const { batches, images, seconds, waitedSeconds, imagesPerSecond } = loader.stats();
    assert.deepEqual([batches, images], [9, 70]);
    assert.ok(waitedSeconds > 0 && seconds >= waitedSeconds && Math.abs(imagesPerSecond - 70 / seconds) < 1e-9);
  });
});
