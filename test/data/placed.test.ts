import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  blankImage,
  contentChecksum,
  DataLoader,
  type Dataset,
  type Image,
  openDataset,
  placedDataset,
} from '../../src/data/index.js';
import { UsageError } from '../../src/errors.js';

/** White images, so that a picture can be told from the grey ground. */
const white = async (length: number): Promise<Dataset> => {
  const set = await openDataset(`shapes10?train=${length}`, 'train');
  const image = blankImage(32, 32);
  image.data.fill(255);
  return { ...set, image: () => image };
};

/** The mean row and column of the white pixels. */
function middleOf({ data, width }: Image): [number, number] {
  const at = Array.from({ length: data.length / 3 }, (_, i) => i).filter((i) => data[3 * i] === 255);
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  return [mean(at.map((i) => Math.floor(i / width))), mean(at.map((i) => i % width))];
}

describe('placed images', () => {
  it('have their middle in the cell that is their class', async () => {
    const set = await placedDataset(await white(64), { canvas: 48, picture: 6, cells: 4 });
    assert.equal(set.classes.length, 16);
    assert.equal(set.classes[6], 'row 2, column 3');
    for (let index = 0; index < set.length; index++) {
      const image = await set.image(index);
      assert.deepEqual([image.height, image.width], [48, 48]);
      const [row, column] = middleOf(image).map((at) => Math.floor((at + 0.5) / 12));
      assert.equal(set.label(index), row! * 4 + column!, `image ${index}`);
    }
  });

  it('lie partly outside at the border, and every cell has as many', async () => {
    const set = await placedDataset(await white(32));
    const count = async (index: number) => (await set.image(index)).data.filter((value) => value === 255).length / 3;
    assert.ok((await count(0)) < 144);
    assert.equal(await count(5), 144);
    const labels = Array.from({ length: 32 }, (_, index) => set.label(index)).sort((a, b) => a - b);
    assert.deepEqual(
      labels,
      Array.from({ length: 32 }, (_, i) => i >> 1),
    );
  });

  it('follow from the seed, and the checksum tells options apart', async () => {
    const source = await openDataset('shapes10?train=20', 'train');
    const make = (options = {}) => placedDataset(source, options);
    const first = await make();
    assert.equal(await contentChecksum(first), await contentChecksum(await make()));
    const other = await make({ seed: 1 });
    assert.notEqual(await contentChecksum(first), await contentChecksum(other));
    const sums = [first, other, await make({ cells: 2 }), source].map(({ description }) => description.checksum);
    assert.equal(new Set(sums).size, 4);
  });

  it('reach the workers of a loader', async () => {
    const set = await placedDataset(await openDataset('shapes10?train=20', 'train'));
    const batches = async (workers: number) => {
      const loader = new DataLoader(set, { batchSize: 8, workers });
      const seen: number[][] = [];
      for await (const { images, labels } of loader.epoch(0)) seen.push([...images, ...labels]);
      await loader.close();
      return seen;
    };
    assert.deepEqual(await batches(1), await batches(0));
  });

  it('refuse cells and pictures that do not fit', async () => {
    const source = await white(2);
    for (const options of [{ cells: 5 }, { cells: 16 }, { picture: 40 }, { cells: 0 }, { picture: 1.5 }]) {
      await assert.rejects(placedDataset(source, options), UsageError, JSON.stringify(options));
    }
  });
});
