import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import {
  convertNames,
  detectNaming,
  float32,
  type Naming,
  readNpz,
  readSafetensors,
  type TensorRecord,
  tensorRecord,
  toFloat64,
  zeros,
} from '../../src/checkpoint/index.js';
import { UsageError } from '../../src/errors.js';

const golden = path.join(__dirname, '..', 'fixtures', 'golden', 'checkpoints');

/** A state dict in which every tensor is different. */
function stateOf(shapes: Record<string, number[]>): TensorRecord {
  let next = 0;
  return tensorRecord(
    Object.entries(shapes).map(([name, shape]) => {
      const tensor = zeros(shape);
      for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = next++;
      return [name, tensor];
    }),
  );
}

const vit = stateOf({
  cls_token: [1, 1, 2],
  pos_embed: [1, 5, 2],
  'patch_embed.proj.weight': [2, 3, 4, 4],
  'patch_embed.proj.bias': [2],
  ...Object.fromEntries(
    [0, 11].flatMap((i) =>
      Object.entries({
        'norm1.weight': [2],
        'norm1.bias': [2],
        'attn.qkv.weight': [6, 2],
        'attn.qkv.bias': [6],
        'attn.proj.weight': [2, 2],
        'attn.proj.bias': [2],
        'norm2.weight': [2],
        'norm2.bias': [2],
        'mlp.fc1.weight': [4, 2],
        'mlp.fc1.bias': [4],
        'mlp.fc2.weight': [2, 4],
        'mlp.fc2.bias': [2],
      }).map(([name, shape]) => [`blocks.${i}.${name}`, shape]),
    ),
  ),
  'norm.weight': [2],
  'norm.bias': [2],
  'head.weight': [3, 2],
  'head.bias': [3],
});

const swinOriginal = (): TensorRecord =>
  readSafetensors(path.join(golden, 'swin-original-to-timm', 'weights.safetensors'));

describe('key maps', () => {
  for (const naming of ['torchvision', 'adaptformer', 'vpt', 'timm', 'vitlab'] as Naming[]) {
    it(`takes a ViT to ${naming} and back without loss`, () => {
      const there = convertNames(vit, naming);
      assert.deepEqual([there.from, there.dropped], ['timm', []]);
      assert.equal(detectNaming(Object.keys(there.tensors)), naming === 'vitlab' ? 'timm' : naming);
      const back = convertNames(there.tensors, 'timm');
      assert.deepEqual({ ...back.tensors }, { ...vit });
    });
  }

  it('leaves the classifier out for MoCo v3, whose head is the projector', () => {
    const there = convertNames(vit, 'moco-v3');
    assert.deepEqual(there.dropped, ['head.weight', 'head.bias']);
    assert.ok(Object.keys(there.tensors).every((name) => name.startsWith('module.base_encoder.')));
    const back = convertNames(there.tensors, 'timm').tensors;
    assert.deepEqual({ ...back, 'head.weight': vit['head.weight'], 'head.bias': vit['head.bias'] }, { ...vit });
  });

  it('splits query, key and value in that order', () => {
    const { tensors } = convertNames(vit, 'adaptformer');
    const parts = ['q', 'k', 'v'].map((part) => tensors[`blocks.11.attn.${part}_proj.bias`]!);
    assert.deepEqual(
      parts.flatMap((part) => Array.from(toFloat64(part))),
      Array.from(toFloat64(vit['blocks.11.attn.qkv.bias']!)),
    );
    const odd = tensorRecord([...Object.entries(vit), ['blocks.0.attn.qkv.bias', float32([1, 2, 3, 4])]]);
    assert.throws(() => convertNames(odd, 'vpt'), /does not fall into query, key and value/);
  });

  it('takes a Swin to torchvision, the original and back', () => {
    const timm = convertNames(swinOriginal(), 'timm').tensors;
    for (const naming of ['torchvision', 'swin'] as Naming[]) {
      const there = convertNames(timm, naming).tensors;
      assert.equal(detectNaming(Object.keys(there)), naming);
      assert.deepEqual({ ...convertNames(there, 'timm').tensors }, { ...timm });
    }
    const torchvision = Object.keys(convertNames(timm, 'torchvision').tensors);
    for (const name of ['features.0.2.bias', 'features.2.reduction.weight', 'features.3.1.mlp.3.weight', 'head.bias']) {
      assert.ok(torchvision.includes(name), name);
    }
  });

  it('looks past what data parallelism and compilation put before the names', () => {
    const wrapped = tensorRecord(Object.entries(vit).map(([name, tensor]) => [`_orig_mod.module.${name}`, tensor]));
    assert.deepEqual({ ...convertNames(wrapped, 'timm').tensors }, { ...vit });
  });

  it("reads Google's arrays, also under a prefix and with big_vision's numbers", async () => {
    const arrays = await readNpz(path.join(golden, 'npz-same', 'file.npz'));
    const plain = convertNames(arrays, 'timm');
    assert.equal(plain.from, 'npz');
    const renamed = (name: string) =>
      `params/${name.replace('Attention_1', 'Attention_0').replace('LayerNorm_2', 'LayerNorm_1').replace('MlpBlock_3', 'MlpBlock_0')}`;
    const other = tensorRecord(Object.entries(arrays).map(([name, tensor]) => [renamed(name), tensor]));
    assert.deepEqual({ ...convertNames(other, 'timm').tensors }, { ...plain.tensors });
    const lacking = tensorRecord(Object.entries(arrays).filter(([name]) => name !== 'cls'));
    assert.throws(() => convertNames(lacking, 'timm'), /lacks cls/);
    const more = tensorRecord([...Object.entries(arrays), ['conv_root/kernel', float32([1])]]);
    assert.throws(() => convertNames(more, 'timm'), /without a place here: conv_root\/kernel/);
  });

  it('refuses another family, a tensor without a name there, and half a joined tensor', () => {
    assert.throws(() => convertNames(vit, 'swin'), UsageError);
    assert.throws(() => convertNames(swinOriginal(), 'vpt'), UsageError);
    const adapter = tensorRecord([...Object.entries(vit), ['blocks.0.adaptmlp.scale', float32([1])]]);
    assert.throws(() => convertNames(adapter, 'torchvision'), /no torchvision name for blocks\.0\.adaptmlp\.scale/);
    const half = tensorRecord(
      Object.entries(convertNames(vit, 'vpt').tensors).filter(([name]) => !name.endsWith('layer.0.attn.key.bias')),
    );
    assert.throws(() => convertNames(half, 'timm'), /a part of blocks\.0\.attn\.qkv\.bias/);
  });

  it('does not pretend to know names that are nobody’s', () => {
    assert.equal(detectNaming(['a', 'b.weight']), undefined);
    assert.equal(detectNaming([]), undefined);
  });
});
