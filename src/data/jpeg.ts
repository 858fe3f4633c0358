// Small JPEG images, decoded where they are asked for: libjpeg-turbo as WebAssembly. sharp decodes in other threads, and
// for an image of 32 × 32 pixels handing it over costs ten times what decoding does.
import { readFileSync } from 'node:fs';
import type { Image } from './image.js';

/** More pixels than this are worth sharp's threads and its vector instructions. */
const MOST_PIXELS = 128 * 128;
const MOST_BYTES = 4 * MOST_PIXELS;

const CMYK = 3; // TJCS_CMYK; TJCS_YCCK is 4
const RGB = 0; // TJPF_RGB

interface Codec {
  memory: WebAssembly.Memory;
  malloc(bytes: number): number;
  tjInitDecompress(): number;
  tjDecompressHeader3(
    handle: number,
    source: number,
    bytes: number,
    width: number,
    height: number,
    subsampling: number,
    colorspace: number,
  ): number;
  tjDecompress2(
    handle: number,
    source: number,
    bytes: number,
    target: number,
    width: number,
    pitch: number,
    height: number,
    format: number,
    flags: number,
  ): number;
}

/** An instance with room for one image. */
interface Decoder {
  codec: Codec;
  handle: number;
  source: number;
  /** Four numbers: width, height, subsampling, colour space. */
  header: number;
  target: number;
}

let compiled: WebAssembly.Module | undefined;
let decoder: Decoder | undefined;

function start(): Decoder {
  compiled ??= new WebAssembly.Module(readFileSync(require.resolve('@cwasm/jpeg-turbo/jpeg-turbo.wasm')));
  const refused = () => {
    throw new Error('not decodable');
  };
  const codec = new WebAssembly.Instance(compiled, {
    env: { setjmp: () => 0, longjmp: refused },
    wasi_snapshot_preview1: {
      environ_sizes_get: () => 0,
      environ_get: refused,
      proc_exit: refused,
      fd_close: refused,
      fd_seek: refused,
      fd_write: refused,
    },
  }).exports as unknown as Codec;
  return {
    codec,
    handle: codec.tjInitDecompress(),
    source: codec.malloc(MOST_BYTES),
    header: codec.malloc(16),
    target: codec.malloc(3 * MOST_PIXELS),
  };
}

/**
 * The RGB image in JPEG bytes, the same to the bit as sharp decodes it; undefined for whatever is not a small, undamaged
 * JPEG image in grey or YCbCr without a colour profile, which is for sharp to decode or to refuse.
 */
export function decodeSmallJpeg(bytes: Uint8Array): Image | undefined {
  if (bytes.length > MOST_BYTES || bytes[0] !== 0xff || bytes[1] !== 0xd8) return undefined;
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('ICC_PROFILE')) return undefined;
  decoder ??= start();
  try {
    return decode(decoder, bytes);
  } catch {
    // Damaged. What the codec throws leaves it in a state that nothing more can be decoded in.
    decoder = undefined;
    return undefined;
  }
}

function decode({ codec, handle, source, header, target }: Decoder, bytes: Uint8Array): Image | undefined {
  new Uint8Array(codec.memory.buffer, source).set(bytes);
  const told = codec.tjDecompressHeader3(handle, source, bytes.length, header, header + 4, header + 8, header + 12);
  const [width = 0, height = 0, , colorspace = 0] = new Int32Array(codec.memory.buffer, header, 4);
  if (told !== 0 || width * height > MOST_PIXELS || colorspace >= CMYK) return undefined;
  // not 0 for a warning as well, such as for a file that ends too early
  if (codec.tjDecompress2(handle, source, bytes.length, target, width, 3 * width, height, RGB, 0) !== 0)
    return undefined;
  return { data: new Uint8Array(codec.memory.buffer, target, 3 * width * height).slice(), height, width };
}
