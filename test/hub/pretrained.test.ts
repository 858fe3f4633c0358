// Models from a hub on this machine: downloads, cache, offline mode, and what is loaded into the model.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { loadCheckpoint, resampleTimm, type TensorRecord, writeSafetensors } from '../../src/checkpoint/index.js';
import { checksumOf } from '../../src/data/index.js';
import { startEngine, tf } from '../../src/engine/index.js';
import { CheckpointError, UsageError } from '../../src/errors.js';
import { fromPretrained, HubError, HubRepo, loadWeights } from '../../src/hub/index.js';
import { createModel, type ImageModel } from '../../src/models/index.js';
import { tempDir } from '../support/tempDir.js';
import { p, tensor, torchFile } from '../support/torchFile.js';
import { FakeHub } from './hubServer.js';

const REPO = 'tester/vit_nano';
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const CONFIG = {
  architecture: 'vit_nano_patch4_32',
  num_classes: 7,
  global_pool: 'token',
  model_args: { depth: 1, embed_dim: 8, init_values: null },
  pretrained_cfg: {
    input_size: [3, 16, 16],
    fixed_input_size: true,
    interpolation: 'bicubic',
    crop_pct: 0.9,
    mean: [0.5, 0.4, 0.3],
    std: [0.2, 0.2, 0.25],
    first_conv: 'patch_embed.proj',
    classifier: 'head',
  },
};
const ENVIRONMENT = ['HF_ENDPOINT', 'HF_TOKEN', 'VITLAB_CACHE', 'VITLAB_OFFLINE'];

const place = tempDir();
const saved = Object.fromEntries(ENVIRONMENT.map((name) => [name, process.env[name]]));
let reference: ImageModel;
let weights: TensorRecord;
let weightBytes: Buffer;
let hub: FakeHub;
let runs = 0;

const asBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const quick = { download: { attempts: 2, retryMs: 1 } };
const logits = (model: ImageModel, size = 16): number[] =>
  tf.tidy(() => [...model.forward(tf.randomNormal([2, size, size, 3], 0, 1, 'float32', 3)).dataSync()]);
/** A state dict as `torch.save` writes it. */
function pickledState(state: TensorRecord): Buffer {
  const entries = Object.entries(state).map(([name, { shape, data }], i) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
    return [p.text(name), tensor({ key: String(i), count: data.length, shape, strides })] as const;
  });
  const storages = Object.values(state).map(({ data }, i) => [String(i), Buffer.from(data.buffer)] as const);
  return torchFile(p.dict(entries), Object.fromEntries(storages));
}
const cached = (): string[] => fs.readdirSync(process.env['VITLAB_CACHE']!, { recursive: true }).map(String);

before(async () => {
  await startEngine();
  reference = createModel('vit_nano_patch4_32', { depth: 1, embedDim: 8, imgSize: 16, numClasses: 7 }, { seed: 5 });
  weights = Object.fromEntries(
    Object.entries(reference.stateDict()).map(([name, tensor]) => [
      name,
      { dtype: 'float32', shape: [...tensor.shape], data: Float32Array.from(tensor.dataSync()) },
    ]),
  );
  writeSafetensors(place('w.safetensors'), weights, { format: 'pt' });
  weightBytes = fs.readFileSync(place('w.safetensors'));
});

beforeEach(async () => {
  hub = await new FakeHub().start();
  const files = { 'config.json': asBytes(CONFIG), 'model.safetensors': weightBytes, 'README.md': Buffer.from('#') };
  hub.repos.set(REPO, { commit: COMMIT, files, large: ['model.safetensors'] });
  for (const name of ENVIRONMENT) delete process.env[name];
  process.env['HF_ENDPOINT'] = `${hub.endpoint}/`;
  process.env['VITLAB_CACHE'] = place(`cache${runs++}`);
});

afterEach(() => hub.stop());

after(() => {
  for (const [name, value] of Object.entries(saved)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

describe('fromPretrained', () => {
  it('builds the model, loads its weights and says how images are prepared', async () => {
    const { model, report, preprocess, commit } = await fromPretrained(REPO);
    assert.deepEqual(logits(model), logits(reference));
    assert.deepEqual(report.taken.sort(), Object.keys(weights).sort());
    assert.deepEqual([report.missing, report.unexpected, report.reshaped, report.dropped], [[], [], [], []]);
    assert.deepEqual(preprocess, {
      mean: [0.5, 0.4, 0.3],
      std: [0.2, 0.2, 0.25],
      size: [16, 16],
      interpolation: 'bicubic',
      cropPct: 0.9,
    });
    assert.equal(commit, COMMIT);
    assert.equal(report.checksum, checksumOf([weightBytes]));
    assert.equal(model.training, false);
  });

  it('drops the head for other classes and starts a new one from the seed', async () => {
    const heads: number[][] = [];
    for (const seed of [1, 1, 2]) {
      const { model, report } = await fromPretrained(REPO, { numClasses: 3, seed });
      assert.deepEqual(report.dropped.sort(), ['head.bias', 'head.weight']);
      assert.deepEqual(report.missing, ['head.weight', 'head.bias']);
      assert.deepEqual(model.stateDict()['head.weight']!.shape, [3, 8]);
      assert.deepEqual([...model.stateDict()['cls_token']!.dataSync()], [...weights['cls_token']!.data]);
      heads.push([...model.stateDict()['head.weight']!.dataSync()]);
    }
    assert.deepEqual(heads[0], heads[1]);
    assert.notDeepEqual(heads[0], heads[2]);
    const { model, report } = await fromPretrained(REPO, { numClasses: 0 });
    assert.deepEqual([report.missing, report.dropped.length], [[], 2]);
    assert.equal(logits(model).length, 2 * 8);
  });

  it('resamples the position embedding for images of another size', async () => {
    const { model, report, preprocess } = await fromPretrained(REPO, { imgSize: [24, 20] });
    assert.deepEqual(report.reshaped, [{ name: 'pos_embed', from: [1, 17, 8], to: [1, 31, 8] }]);
    assert.deepEqual(preprocess.size, [24, 20]);
    const expected = resampleTimm(weights['pos_embed']!, { newGrid: [6, 5] }).data;
    assert.deepEqual([...model.stateDict()['pos_embed']!.dataSync()], [...expected]);
  });

  it('reads pytorch_model.bin where there are no safetensors', async () => {
    const repo = hub.repos.get(REPO)!;
    delete repo.files['model.safetensors'];
    repo.files['pytorch_model.bin'] = pickledState(weights);
    const { model } = await fromPretrained(REPO);
    assert.deepEqual(logits(model), logits(reference));
  });

  it('reports names that the model or the file lacks', async () => {
    const { 'norm.weight': _, ...rest } = weights;
    writeSafetensors(place('other.safetensors'), { ...rest, 'extra.weight': weights['norm.weight']! });
    hub.repos.get(REPO)!.files['model.safetensors'] = fs.readFileSync(place('other.safetensors'));
    const { report } = await fromPretrained(REPO);
    assert.deepEqual([report.missing, report.unexpected], [['norm.weight'], ['extra.weight']]);
  });

  it('refuses weights of another shape, and files without a name of the model', async () => {
    const repo = hub.repos.get(REPO)!;
    repo.files['config.json'] = asBytes({ ...CONFIG, num_classes: 5 });
    await assert.rejects(fromPretrained(REPO), (error: Error) => {
      assert.ok(error instanceof CheckpointError);
      assert.match(error.message, /head\.weight of tester\/vit_nano is \[7,8\], the model needs \[5,8\]/);
      return true;
    });
    repo.commit = 'b'.repeat(40);
    repo.files['config.json'] = asBytes(CONFIG);
    writeSafetensors(place('none.safetensors'), { x: weights['norm.weight']! });
    repo.files['model.safetensors'] = fs.readFileSync(place('none.safetensors'));
    await assert.rejects(fromPretrained(REPO), /Nothing in the weights .* they have x, it needs cls_token/);
  });

  it('names the nearest architecture, and what config.json lacks', async () => {
    const repo = hub.repos.get(REPO)!;
    const withConfig = (config: unknown, commit: string) => {
      repo.files['config.json'] = asBytes(config);
      repo.commit = commit.repeat(40);
      return fromPretrained(REPO);
    };
    await assert.rejects(withConfig({ ...CONFIG, architecture: 'vit_base_patch16_225' }, '1'), (error: Error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /tester\/vit_nano is a vit_base_patch16_225.*Did you mean vit_base_patch16_224\?/);
      return true;
    });
    await assert.rejects(withConfig({ ...CONFIG, model_args: { reg_tokens: 4 } }, '2'), /Unrecognized key.*regTokens/s);
    await assert.rejects(withConfig({ architectures: ['ViTModel'] }, '3'), /not one that timm writes.*architecture/s);
    const { pretrained_cfg: cfg, ...flat } = { ...CONFIG, ...CONFIG.pretrained_cfg };
    assert.equal((await withConfig(flat, '4')).preprocess.cropPct, cfg.crop_pct);
  });
});

describe('downloads from a hub', () => {
  it('are cached, by commit and contents', async () => {
    await fromPretrained(REPO);
    assert.equal(hub.downloads().length, 2);
    await fromPretrained(REPO);
    assert.equal(hub.downloads().length, 2);
    hub.repos.get(REPO)!.commit = 'c'.repeat(40);
    hub.repos.get(REPO)!.files['README.md'] = Buffer.from('# changed');
    assert.equal((await fromPretrained(REPO)).commit, 'c'.repeat(40));
    assert.equal(hub.downloads().length, 2, 'the files that did not change are not asked for again');
    const asked = hub.seen.length;
    assert.equal((await fromPretrained(REPO, { revision: COMMIT })).commit, COMMIT);
    assert.equal(hub.seen.length, asked, 'a known commit needs no question');
  });

  it('continue where a connection was cut', async () => {
    hub.cutAfter = 3000;
    assert.ok(weightBytes.length > hub.cutAfter);
    await assert.rejects(fromPretrained(REPO, { download: { attempts: 1 } }), HubError);
    assert.deepEqual(cached().filter((name) => name.endsWith('.part')).length, 1);
    hub.cutAfter = undefined;
    const { model } = await fromPretrained(REPO);
    assert.deepEqual(logits(model), logits(reference));
    const ranges = hub.downloads().map(({ range }) => range);
    assert.deepEqual(ranges, [undefined, undefined, 'bytes=3000-']);
    assert.deepEqual(
      cached().filter((name) => name.endsWith('.part')),
      [],
    );
  });

  it('of wrong contents are not kept', async () => {
    hub.sendInstead = Buffer.from(weightBytes).fill(0, weightBytes.length - 400);
    const repo = hub.repos.get(REPO)!;
    const source = await HubRepo.open(REPO, quick);
    await assert.rejects(source.file('model.safetensors'), /sha256 [0-9a-f]{64}, expected/);
    hub.sendInstead = asBytes({ ...CONFIG, num_classes: 8 });
    await assert.rejects(source.file('config.json'), /arrived with the git hash [0-9a-f]{40}, expected/);
    assert.deepEqual(
      cached().filter((name) => /blobs./.test(name)),
      [],
    );
    hub.sendInstead = undefined;
    assert.deepEqual(fs.readFileSync(await source.file('config.json')), repo.files['config.json']);
    await loadCheckpoint(await source.file('model.safetensors'));
  });

  it('take a token to the hub and not to where it redirects', async () => {
    hub.repos.get(REPO)!.gated = true;
    await assert.rejects(fromPretrained(REPO), (error: HubError) => {
      assert.ok(error instanceof HubError);
      assert.equal(error.status, 401);
      assert.match(error.message, /config\.json of tester\/vit_nano.*gated.*HF_TOKEN/);
      return true;
    });
    process.env['HF_TOKEN'] = 'hf_bad';
    await assert.rejects(fromPretrained(REPO), (error: HubError) => {
      assert.equal(error.status, 403);
      assert.match(error.message, /Ask for access/);
      assert.doesNotMatch(error.message, /hf_bad/);
      return true;
    });
    process.env['HF_TOKEN'] = 'hf_good';
    await fromPretrained(REPO);
    assert.ok(
      hub
        .downloads()
        .slice(-2)
        .every(({ authorization }) => authorization === 'Bearer hf_good'),
    );
    const stored = hub.seen.filter(({ host }) => host === 'store');
    assert.deepEqual(
      stored.map(({ authorization }) => authorization),
      [undefined, undefined],
    );
    process.env['HF_TOKEN'] = 'secret';
    await assert.rejects(fromPretrained(REPO), { name: 'UsageError', message: /must start with 'hf_'/ });
  });

  it('name what is not there', async () => {
    await assert.rejects(fromPretrained('tester/other'), /answers 401 for tester\/other at 'main'.*does not exist/);
    await assert.rejects(fromPretrained(REPO, { revision: 'v2' }), (error: HubError) => {
      assert.equal(error.status, 404);
      assert.match(error.message, /tester\/vit_nano at 'v2'/);
      return true;
    });
    await assert.rejects(fromPretrained('a/b/c'), UsageError);
    const repo = hub.repos.get(REPO)!;
    delete repo.files['model.safetensors'];
    await assert.rejects(
      fromPretrained(REPO),
      /neither model\.safetensors nor pytorch_model\.bin; it has config\.json/,
    );
  });

  it('refuse hashes that are none, before anything is written', async () => {
    const repo = hub.repos.get(REPO)!;
    repo.commit = '../../outside';
    await assert.rejects(fromPretrained(REPO), /gives '\.\.\/\.\.\/outside' as the commit/);
    assert.equal(fs.existsSync(process.env['VITLAB_CACHE']!), false);
  });
});

describe('offline', () => {
  it('uses the cache alone', async () => {
    await fromPretrained(REPO);
    const asked = hub.seen.length;
    process.env['VITLAB_OFFLINE'] = '1';
    const { model } = await fromPretrained(REPO);
    assert.deepEqual(logits(model), logits(reference));
    assert.equal(hub.seen.length, asked);
    assert.equal((await fromPretrained(REPO, { revision: COMMIT })).commit, COMMIT);
  });

  it('says what is not in the cache', async () => {
    await assert.rejects(
      fromPretrained(REPO, { offline: true }),
      /vit_nano at 'main' is not in the cache.*offline mode/,
    );
    await (await HubRepo.open(REPO)).file('config.json');
    await assert.rejects(fromPretrained(REPO, { offline: true }), /model\.safetensors of .* is not in the cache/);
    assert.equal(hub.downloads().length, 1);
  });

  it('is proposed where the hub cannot be reached', async () => {
    process.env['HF_ENDPOINT'] = 'http://127.0.0.1:1';
    await assert.rejects(fromPretrained(REPO), /cannot be asked for tester\/vit_nano.*VITLAB_OFFLINE=1/);
    process.env['HF_ENDPOINT'] = 'huggingface.co';
    await assert.rejects(fromPretrained(REPO), UsageError);
  });

  it('keeps the cache where it is told to', async () => {
    const cacheDir = place('elsewhere');
    await fromPretrained(REPO, { cacheDir });
    assert.equal((await fromPretrained(REPO, { cacheDir, offline: true })).commit, COMMIT);
    assert.ok(
      fs
        .readdirSync(path.join(cacheDir), { recursive: true })
        .map(String)
        .some((name) => name.includes('blobs')),
    );
    assert.equal(fs.existsSync(process.env['VITLAB_CACHE']!), false);
  });
});

describe('loadWeights', () => {
  const settings = { depth: 1, embedDim: 8, imgSize: 16, numClasses: 7 };

  it('loads a file of any format into a model that is there', async () => {
    const files = { 'w.safetensors': weightBytes, 'w.pth': pickledState(weights) };
    for (const [name, bytes] of Object.entries(files)) {
      const file = place(name);
      fs.writeFileSync(file, bytes);
      const model = createModel('vit_nano_patch4_32', settings, { seed: 9 });
      assert.notDeepEqual(logits(model), logits(reference));
      const report = await loadWeights(model, file);
      assert.deepEqual([report.missing, report.unexpected, report.dropped], [[], [], []]);
      assert.equal(report.checksum, checksumOf([bytes]));
      assert.deepEqual(logits(model), logits(reference));
    }
  });

  it('refuses the weights of another model, and says which tensor shows it', async () => {
    const file = place('other.safetensors');
    fs.writeFileSync(file, weightBytes);
    const wider = createModel('vit_nano_patch4_32', { ...settings, embedDim: 16 }, { seed: 9 });
    await assert.rejects(loadWeights(wider, file), (error: Error) => {
      return (
        error instanceof CheckpointError && /of .*other\.safetensors is \[.*\], the model needs \[/.test(error.message)
      );
    });
  });
});
