import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, it, mock } from 'node:test';
import type { Command } from 'commander';
import { float32, readSafetensors, SafetensorsFile, writeSafetensors } from '../../src/checkpoint/index.js';
import { convertCommand } from '../../src/cli/convert.js';
import { inspectCommand } from '../../src/cli/inspect.js';
import { CheckpointError, UsageError } from '../../src/errors.js';
import { tempDir } from '../support/tempDir.js';

const temp = tempDir();
const golden = (...parts: string[]) => path.join(__dirname, '..', 'fixtures', 'golden', 'checkpoints', ...parts);

/** What the command prints. */
async function output(command: Command, ...args: string[]): Promise<string[]> {
  const log = mock.method(console, 'log', () => undefined);
  try {
    await command
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .parseAsync(args, { from: 'user' });
    return log.mock.calls.flatMap((call) => String((call.arguments as unknown[])[0]).split('\n'));
  } finally {
    log.mock.restore();
  }
}

describe('vitlab inspect', () => {
  it('lists tensors, values and sums', async () => {
    const lines = await output(inspectCommand(), golden('pth-nested-zip', 'file.pth'));
    assert.match(lines[0]!, /: torch, names as in moco-v3$/);
    assert.ok(lines.some((line) => /^ {2}optimizer\/state\/0\/mu +float32 +\[3\]$/.test(line)));
    assert.ok(lines.includes('  epoch = 12'));
    assert.equal(lines.at(-1), '10 tensors, 196 elements, 0.0 MiB');
  });

  it('gives the same as JSON', async () => {
    const json = JSON.parse((await output(inspectCommand(), '--json', golden('npz-same', 'file.npz'))).join('\n'));
    assert.deepEqual([json.format, json.naming, json.tensors.length, json.elements], ['npz', 'npz', 40, 10138]);
  });

  it('lets no name of a file steer the terminal', async () => {
    writeSafetensors(temp('evil.safetensors'), { 'a\u001b[2J\u202e': float32([1]) }, { 'k\n': '\u0007' });
    const lines = await output(inspectCommand(), temp('evil.safetensors'));
    assert.ok(lines.some((line) => line.includes('a\\u{1b}[2J\\u{202e}')));
    assert.ok(lines.includes('  k\\u{a} = \\u{7}'));
  });

  it('refuses what it cannot read', async () => {
    await assert.rejects(output(inspectCommand(), temp('nowhere')), CheckpointError);
    await assert.rejects(output(inspectCommand(), golden('pth-refuse', 'os-system.pth')), /os\.system/);
  });
});

describe('vitlab convert', () => {
  it('takes a nested MoCo v3 file to plain names', async () => {
    const lines = await output(convertCommand(), golden('pth-nested-zip', 'file.pth'), temp('moco.safetensors'));
    assert.deepEqual(Object.keys(readSafetensors(temp('moco.safetensors'))).sort(), [
      'blocks.0.attn.qkv.weight',
      'cls_token',
      'pos_embed',
    ]);
    assert.ok(lines.includes('left out: module.momentum_encoder.cls_token'));
    assert.match(lines.at(-1)!, /^3 tensors, moco-v3 to vitlab: /);
  });

  it('takes a Google ViT to torchvision and back to timm', async () => {
    await output(convertCommand(), golden('npz-same', 'file.npz'), temp('tv.safetensors'), '--to', 'torchvision');
    const file = SafetensorsFile.open(temp('tv.safetensors'));
    assert.ok(file.names.includes('encoder.layers.encoder_layer_1.self_attention.in_proj_weight'));
    assert.deepEqual({ ...file.metadata }, { format: 'pt', naming: 'torchvision' });
    file.close();
    await output(convertCommand(), temp('tv.safetensors'), temp('timm.safetensors'), '--to', 'timm');
    const timm = readSafetensors(temp('timm.safetensors'));
    const expected = readSafetensors(golden('npz-same', 'expected.safetensors'));
    for (const [name, tensor] of Object.entries(timm)) assert.deepEqual(tensor, expected[`state.${name}`], name);
    assert.equal(Object.keys(timm).length, Object.keys(expected).length - 1);
  });

  it('refuses other endings, unknown namings and families, and then writes nothing', async () => {
    const source = golden('npz-same', 'file.npz');
    await assert.rejects(output(convertCommand(), source, temp('x.pth')), UsageError);
    await assert.rejects(output(convertCommand(), source, temp('x.safetensors'), '--to', 'keras'), /Allowed choices/);
    await assert.rejects(output(convertCommand(), source, temp('x.safetensors'), '--to', 'swin'), UsageError);
    assert.equal(fs.existsSync(temp('x.safetensors')), false);
  });
});
