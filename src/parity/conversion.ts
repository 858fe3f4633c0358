// Runners of the checkpoint fixtures that end in a model: foreign weights, loaded, must give the expected logits.
import { z } from 'zod';
import { convertNames, fitState, loadCheckpoint, type TensorRecord, zeros } from '../checkpoint/index.js';
import { SWIN_DEFAULTS, SwinTransformer, VisionTransformer } from '../models/index.js';
import type { Module } from '../nn/index.js';
import type { CaseRunner, ParityCase } from './case.js';
import type { Checker } from './check.js';
import { checkTensor, toImages, toStateDict } from './modelRun.js';
import { size } from './models/shared.js';
import { originalSwinConfig } from './models/swin.js';
import { vitConfig, vitSchema } from './models.js';

const state = 'state.';

const npzViT: CaseRunner = async (parityCase, check) => {
  const model = new VisionTransformer(vitConfig(parityCase.config(vitSchema)));
  const shapes = Object.fromEntries([...model.namedParameters()].map(([name, { shape }]) => [name, shape]));
  const { tensors } = convertNames(await loadCheckpoint(parityCase.path(parityCase.spec.files[0]!)), 'timm');
  const grid = model.patchEmbed.gridSize;
  const fitted = fitState(tensors, shapes, { grid, interpolation: 'bilinear', antialias: false });
  // A head for other classes does not fit; the reference leaves the model's own, which is zero.
  const heads = fitted.report.mismatched.map(({ name }) => name);
  check.equal(
    'left out',
    heads.filter((name) => !name.startsWith('head.')),
    [],
  );
  check.equal('missing', fitted.report.missing, []);
  for (const name of heads) fitted.tensors[name] = zeros([...shapes[name]!]);
  checkState(check, parityCase, fitted.tensors);
  await checkLogits(check, parityCase, model, fitted.tensors);
};

const keyConversion: CaseRunner = async (parityCase, check) => {
  const weights = parityCase.tensors('weights');
  const source = Object.keys(weights).length > 0 ? weights : parityCase.tensors('inputs');
  const { dropped: expectedDropped } = parityCase.config(z.looseObject({ dropped: z.array(z.string()).optional() }));
  const { tensors, dropped, from } = convertNames(source, 'timm');
  if (expectedDropped) check.equal('left out', [...dropped].sort(), [...expectedDropped].sort());
  checkState(check, parityCase, tensors);
  const back = convertNames(tensors, from === 'npz' ? 'timm' : from).tensors;
  const kept = Object.keys(source).filter((name) => !dropped.includes(name));
  check.equal('names on the way back', Object.keys(back).sort(), kept.sort());
  if ('logits' in parityCase.tensors('expected')) {
    // The case describes the model in the original's words; the logits are those of timm's with the converted weights.
    const { image } = parityCase.config(z.looseObject({ image: size }));
    const { smallMap, padBeforeShift, padImage } = SWIN_DEFAULTS;
    const config = { ...originalSwinConfig(parityCase), imgSize: image, smallMap, padBeforeShift, padImage };
    await checkLogits(check, parityCase, new SwinTransformer(config), tensors);
  }
};

/** Every tensor of the state must be expected, and equal (a missing one is what the checker finds itself). */
function checkState(check: Checker, parityCase: ParityCase, tensors: TensorRecord): void {
  const prefixed = Object.keys(parityCase.tensors('expected')).some((name) => name.startsWith(state));
  for (const [name, tensor] of Object.entries(tensors)) check.close(prefixed ? state + name : name, tensor);
}

async function checkLogits(
  check: Checker,
  parityCase: ParityCase,
  model: Module,
  tensors: TensorRecord,
): Promise<void> {
  model.loadStateDict(toStateDict(tensors));
  const logits = model.eval().forward(toImages(parityCase.tensors('inputs')['image']!));
  await checkTensor(check, 'logits', logits);
  model.dispose();
}

export const conversionKinds: Record<string, CaseRunner> = {
  'npz-vit': npzViT,
  'key-conversion': keyConversion,
};
