// Tuned models as files: what was trained, as safetensors, with a description of how in the metadata. The base is not
// part of it, but its checksum is, so that nothing is put on top of another one unnoticed.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { SafetensorsFile, type TensorRecord, tensorRecord, toBytes, writeSafetensors } from '../checkpoint/index.js';
import { CheckpointError, UsageError } from '../errors.js';
import { Buffer, type Module, recordOf, tensorOf } from '../nn/index.js';
import { isHead } from './modules.js';
import { applyTuning, type Tuning, tuningMethods } from './registry.js';

const KEY = 'vitlab.tuning';

const descriptionSchema = z.strictObject({
  method: z.enum(Object.keys(tuningMethods) as [keyof typeof tuningMethods]),
  options: z.record(z.string(), z.unknown()),
  base: z.strictObject({ name: z.string().optional(), sha256: z.string() }),
});

/**
 * How a file's tensors were trained, and on what.
 * @interface
 */
export type TunedDescription = z.infer<typeof descriptionSchema>;

/** SHA-256 over names, shapes and values, in order of the names. */
function checksum(record: TensorRecord): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(record).sort()) {
    const tensor = record[name]!;
    hash.update(`${name} ${tensor.dtype} [${tensor.shape}]\n`).update(toBytes(tensor));
  }
  return hash.digest('hex');
}

/** The checksum of what a model has beside the head and the tensors of these names. */
const baseChecksum = (model: Module, trained: ReadonlySet<string>): string =>
  checksum(recordOf(model, (name) => !trained.has(name) && !isHead(name)));

/**
 * Writes what a tuned model trains: its trainable parameters and the buffers beside them. The file appears whole or not
 * at all.
 * @param tuning what `tune` gave
 * @param base the name of the base model, for messages
 * @throws UsageError while something is merged into the base's weights
 */
export function saveTuned(path: string, model: Module, tuning: Tuning, { base }: { base?: string } = {}): void {
  if ([...model.namedModules()].some(([, module]) => (module as Module & { merged?: boolean }).merged)) {
    throw new UsageError('What was trained is merged into the base now: take it out again before it is saved.');
  }
  const trained = recordOf(model, (_name, stored) => (stored instanceof Buffer ? !stored.frozen : stored.trainable));
  const sha256 = baseChecksum(model, new Set(Object.keys(trained)));
  const description: TunedDescription = { ...tuning, base: { ...(base !== undefined && { name: base }), sha256 } };
  writeSafetensors(path, trained, { [KEY]: JSON.stringify(description) });
}

/** What a file of tuned parameters says about itself. @throws CheckpointError for any other file */
export function describeTuned(path: string): TunedDescription {
  return read(path).description;
}

function read(path: string): { description: TunedDescription; tensors: TensorRecord } {
  const file = SafetensorsFile.open(path);
  try {
    const description = descriptionSchema.parse(JSON.parse(file.metadata[KEY] ?? 'null'));
    return { description, tensors: tensorRecord(file.names.map((name) => [name, file.read(name)])) };
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(`${path} holds no tuned parameters: ${(error as Error).message}`, { cause: error });
  } finally {
    file.close();
  }
}

/**
 * Tunes a base model as a file says, in place, and loads what the file holds.
 * @param model the base, with its values and not tuned yet
 * @param force loads onto another base too
 * @throws CheckpointError where the file is no such file, the base is another one (nothing is changed then), or a tensor
 * does not fit
 */
export function loadTuned(path: string, model: Module, { force = false }: { force?: boolean } = {}): Tuning {
  const { description, tensors } = read(path);
  const { method, options, base } = description;
  const sha256 = baseChecksum(model, new Set(Object.keys(tensors)));
  if (sha256 !== base.sha256 && !force) {
    throw new CheckpointError(
      `${path} was tuned (${method}) on another base: ${base.name ? `${base.name}, ` : ''}checksum ` +
        `${base.sha256.slice(0, 12)}, but this ${model.constructor.name} has ${sha256.slice(0, 12)}. ` +
        'Load the base that it was tuned on, or pass { force: true } to use it on this one.',
    );
  }
  const tuning = applyTuning(model, method, options);
  const state = Object.fromEntries(Object.entries(tensors).map(([name, data]) => [name, tensorOf(data)]));
  const { unexpected, mismatched } = model.loadStateDict(state, { strict: false });
  for (const tensor of Object.values(state)) tensor.dispose();
  const faults = [
    ...unexpected.map((name) => `${name} is not in the model`),
    ...mismatched.map(({ name, expected, found }) => `${name} is [${found}] instead of [${expected}]`),
  ];
  if (faults.length > 0)
    throw new CheckpointError(`${path} does not fit this model: ${faults.slice(0, 5).join('; ')}.`);
  return tuning;
}
