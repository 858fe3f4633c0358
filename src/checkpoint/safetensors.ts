// The safetensors format (https://github.com/huggingface/safetensors#format): eight bytes of header length, a JSON
// header, then the data without holes. Nothing is allocated from a length that was not checked against the file.
import fs from 'node:fs';
import { CheckpointError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { openForReading, readExactly } from './fileIo.js';
import { parseHeaderJson } from './headerJson.js';
import {
  type Dtype,
  elementBytes,
  elementCount,
  fromBytes,
  type TensorData,
  type TensorRecord,
  tensorRecord,
  toBytes,
} from './tensorData.js';

const maxHeaderBytes = 100_000_000;

const codes: Record<Dtype, string> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint64: 'U64',
  uint32: 'U32',
  uint16: 'U16',
  uint8: 'U8',
  bool: 'BOOL',
};
const dtypeOfCode = new Map(Object.entries(codes).map(([dtype, code]) => [code, dtype as Dtype]));

export interface TensorInfo {
  dtype: Dtype;
  shape: number[];
  /** First byte and byte past the last, counted from the end of the header. */
  offsets: [number, number];
}

/** An open safetensors file: the header is read and checked, tensors are read one by one when asked for. */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    private readonly fd: number,
    private readonly dataStart: number,
    private readonly infos: Map<string, TensorInfo>,
    readonly metadata: Record<string, string>,
  ) {}

  /** Opens a file and checks its header against every rule of the format. Throws CheckpointError. */
  static open(path: string): SafetensorsFile {
    const fd = openForReading(path);
    try {
      const fileSize = fs.fstatSync(fd).size;
      const headerSize = readHeaderSize(fd, fileSize);
      const { infos, metadata } = parseHeader(readExactly(fd, 8, headerSize), fileSize - 8 - headerSize);
      return new SafetensorsFile(path, fd, 8 + headerSize, infos, metadata);
    } catch (error) {
      fs.closeSync(fd);
      throw new CheckpointError(`${path} is not a sound safetensors file: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** The names of the tensors in the order of the header. */
  get names(): string[] {
    return [...this.infos.keys()];
  }

  /** Type, shape and place of one tensor. Throws CheckpointError for a name that is not in the file. */
  info(name: string): TensorInfo {
    const info = this.infos.get(name);
    if (!info) throw new CheckpointError(`${this.path} holds no tensor ${JSON.stringify(name)}.`);
    return info;
  }

  /** Reads one tensor. */
  read(name: string): TensorData {
    const { dtype, shape, offsets } = this.info(name);
    const bytes = readExactly(this.fd, this.dataStart + offsets[0], offsets[1] - offsets[0]);
    return fromBytes(dtype, shape, bytes);
  }

  close(): void {
    fs.closeSync(this.fd);
  }
}

/** Reads all tensors of a safetensors file. Throws CheckpointError. */
export function readSafetensors(path: string): TensorRecord {
  const file = SafetensorsFile.open(path);
  try {
    return tensorRecord(file.names.map((name) => [name, file.read(name)]));
  } finally {
    file.close();
  }
}

/**
 * Writes tensors as safetensors, largest alignment first, so that every tensor is aligned. The file appears whole
 * or not at all. Throws CheckpointError when a tensor's data do not fit its shape.
 */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorData>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const names = Object.keys(tensors).sort(
    (a, b) => elementBytes(tensors[b]!.dtype) - elementBytes(tensors[a]!.dtype) || (a < b ? -1 : 1),
  );
  const header: Array<[string, unknown]> = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : [];
  let end = 0;
  for (const name of names) {
    const { dtype, shape, data } = tensors[name]!;
    if (name === '__metadata__') throw new CheckpointError('A tensor cannot be named __metadata__ in safetensors.');
    if (elementCount(shape) !== data.length || elementBytes(dtype) !== data.BYTES_PER_ELEMENT) {
      throw new CheckpointError(`Tensor ${name}: ${data.length} elements do not fill ${dtype} [${shape}].`);
    }
    header.push([name, { dtype: codes[dtype], shape, data_offsets: [end, end + data.byteLength] }]);
    end += data.byteLength;
  }
  const json = `{${header.map(([name, info]) => `${JSON.stringify(name)}:${JSON.stringify(info)}`).join(',')}}`;
  const padded = json + ' '.repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(padded)));
  writeFileAtomic(path, [length, Buffer.from(padded), ...names.map((name) => toBytes(tensors[name]!))]);
}

function readHeaderSize(fd: number, fileSize: number): number {
  if (fileSize < 8) throw new CheckpointError(`it has ${fileSize} bytes; the header length alone takes 8.`);
  const size = readExactly(fd, 0, 8).readBigUInt64LE();
  if (size > BigInt(maxHeaderBytes)) {
    throw new CheckpointError(`its header claims ${size} bytes, more than the format's ${maxHeaderBytes}.`);
  }
  if (Number(size) > fileSize - 8) {
    throw new CheckpointError(`its header claims ${size} bytes, but only ${fileSize - 8} follow.`);
  }
  return Number(size);
}

function parseHeader(bytes: Buffer, dataBytes: number) {
  const header = parseHeaderJson(bytes);
  const infos = new Map<string, TensorInfo>();
  const metadata = Object.create(null) as Record<string, string>;
  for (const [name, value] of header) {
    if (name === '__metadata__') Object.assign(metadata, checkMetadata(value));
    else infos.set(name, checkInfo(name, value));
  }
  checkCoverage(infos, dataBytes);
  return { infos, metadata };
}

function checkMetadata(value: unknown): Record<string, string> {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || Object.values(value).some((entry) => typeof entry !== 'string')) {
    throw new CheckpointError('its __metadata__ is not an object of strings.');
  }
  return value as Record<string, string>;
}

function checkInfo(name: string, value: unknown): TensorInfo {
  const fail = (what: string) => new CheckpointError(`tensor ${JSON.stringify(name)} ${what}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('is not described by an object.');
  const { dtype: code, shape, data_offsets: offsets } = value as Record<string, unknown>;
  const dtype = dtypeOfCode.get(String(code));
  if (dtype === undefined) {
    throw fail(`has the dtype ${JSON.stringify(code)}; known are ${Object.values(codes).join(', ')}.`);
  }
  if (!isCounts(shape)) throw fail(`has the shape ${JSON.stringify(shape)}, not a list of whole numbers.`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw fail(`has the data_offsets ${JSON.stringify(offsets)}, not [begin, end].`);
  }
  const count = elementCount(shape);
  const [begin, end] = offsets as [number, number];
  if (count === undefined || count * elementBytes(dtype) !== end - begin) {
    throw fail(`is ${dtype} [${shape}], which does not take the ${end - begin} bytes of its data_offsets.`);
  }
  return { dtype, shape, offsets: [begin, end] };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((entry) => Number.isSafeInteger(entry) && entry >= 0);
}

/** The tensors must lie one behind the other from the first data byte to the last. */
function checkCoverage(infos: Map<string, TensorInfo>, dataBytes: number): void {
  const inOrder = [...infos].sort(([, a], [, b]) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]);
  let end = 0;
  for (const [name, { offsets }] of inOrder) {
    if (offsets[0] !== end) {
      const what = offsets[0] < end ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new CheckpointError(`tensor ${JSON.stringify(name)} at bytes ${offsets.join('-')} ${what}.`);
    }
    end = offsets[1];
  }
  if (end !== dataBytes) throw new CheckpointError(`its tensors take ${end} bytes, but it holds ${dataBytes}.`);
}
