// Checkpoint files of any known format: what they hold, and their tensors.
import fs from 'node:fs';
import { CheckpointError } from '../errors.js';
import { openForReading, readExactly } from './fileIo.js';
import { detectNaming, type Naming } from './keyMaps.js';
import { readNpz, readNpzHeaders } from './npz.js';
import { readSafetensors, SafetensorsFile } from './safetensors.js';
import { type Dtype, elementBytes, elementCount, type TensorRecord } from './tensorData.js';
import { loadTorch } from './torch.js';
import { findStateDict, isTensor, leaves, lookForStateDict } from './torchState.js';
import { ZipArchive } from './zip.js';

export type CheckpointFormat = 'safetensors' | 'torch' | 'npz';

/** What a file holds, without its tensors' elements. */
export interface Contents {
  format: CheckpointFormat;
  /** In the order of the file; names are paths for PyTorch files. */
  tensors: Array<{ name: string; dtype: Dtype; shape: number[] }>;
  /** Metadata and other values that are not tensors, as text. */
  values: Array<[string, string]>;
  /** How the parameters are named; undefined when that is not known. */
  naming: Naming | 'npz' | undefined;
  elements: number;
  bytes: number;
}

/** The format of a file, told from its first bytes. Throws CheckpointError when it cannot be opened. */
export async function detectFormat(path: string): Promise<CheckpointFormat> {
  const start = readStart(path);
  if (start.toString('latin1', 0, 2) === 'PK') {
    const archive = await openArchive(path);
    archive.close();
    return archive.names.some((name) => name.endsWith('.npy')) ? 'npz' : 'torch';
  }
  // Safetensors begin with a length and the brace of the header, older PyTorch files with the opcode of a protocol.
  if (start[0] === 0x80 && start[8] !== 0x7b) return 'torch';
  return 'safetensors';
}

async function openArchive(path: string): Promise<ZipArchive> {
  try {
    return await ZipArchive.open(path);
  } catch (error) {
    throw new CheckpointError(`${path} is not a sound zip archive: ${(error as Error).message}`, { cause: error });
  }
}

function readStart(path: string): Buffer {
  const fd = openForReading(path);
  try {
    return readExactly(fd, 0, Math.min(fs.fstatSync(fd).size, 16));
  } catch (error) {
    throw new CheckpointError(`Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The tensors of a checkpoint under the names that the file gives them; for PyTorch files the model's state dict
 * (`findStateDict`). Throws CheckpointError.
 */
export async function loadCheckpoint(path: string): Promise<TensorRecord> {
  const format = await detectFormat(path);
  if (format === 'safetensors') return readSafetensors(path);
  return format === 'npz' ? readNpz(path) : findStateDict(await loadTorch(path)).tensors;
}

/** Lists what a file holds. Of .pth zip archives, .npz and safetensors only headers are read. Throws CheckpointError. */
export async function inspectCheckpoint(path: string): Promise<Contents> {
  const format = await detectFormat(path);
  const { tensors, values, modelNames = tensors.map(({ name }) => name) } = await listOf[format](path);
  const count = ({ shape }: { shape: number[] }) => elementCount(shape) ?? 0;
  return {
    format,
    tensors,
    values,
    naming: detectNaming(modelNames),
    elements: tensors.reduce((sum, tensor) => sum + count(tensor), 0),
    bytes: tensors.reduce((sum, tensor) => sum + count(tensor) * elementBytes(tensor.dtype), 0),
  };
}

interface Listing extends Pick<Contents, 'tensors' | 'values'> {
  /** The parameters' names, where they are not those of `tensors`. */
  modelNames?: string[];
}

const listOf: Record<CheckpointFormat, (path: string) => Listing | Promise<Listing>> = {
  safetensors: (path) => {
    const file = SafetensorsFile.open(path);
    file.close();
    return {
      tensors: file.names.map((name) => ({ name, dtype: file.info(name).dtype, shape: file.info(name).shape })),
      values: Object.entries(file.metadata),
    };
  },
  npz: async (path) => {
    const headers = await readNpzHeaders(path);
    return { tensors: headers.map(([name, { dtype, shape }]) => ({ name, dtype, shape })), values: [] };
  },
  torch: async (path) => {
    const content = await loadTorch(path, { headerOnly: true });
    const modelNames = Object.keys(lookForStateDict(content)?.tensors ?? {});
    const listing: Listing = { tensors: [], values: [], modelNames };
    for (const [name, value] of leaves(content)) {
      if (isTensor(value)) listing.tensors.push({ name: name || '_', dtype: value.dtype, shape: value.shape });
      else listing.values.push([name, text(value)]);
    }
    return listing;
  },
};

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Set) return `a set of ${value.size}`;
  return typeof value === 'object' && value !== null ? ((value as { name?: string }).name ?? 'object') : String(value);
}
