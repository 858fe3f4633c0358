// The data room: data sets, transforms, the loader, downloads. Typed arrays only; no engine is loaded here.
export {
  checksumOf,
  contentChecksum,
  type Dataset,
  type DatasetDescription,
  type SharedImages,
  type Split,
  sharedImage,
} from './dataset.js';
export { type DownloadOptions, download } from './files/download.js';
export { fileHash } from './files/hash.js';
export { extractArchive, type TarEntry, tarEntries } from './files/tar.js';
export { type GetOptions, getArchive, getDataset, verifyDataset } from './get.js';
export { blankImage, decodeImage, type Image, readImage } from './image.js';
export * from './loader/index.js';
export { holdOut, imagesPerClass } from './perClass.js';
export { type PlacedOptions, placedDataset } from './placed.js';
export {
  type Archive,
  type DatasetSource,
  dataRoot,
  datasetSource,
  datasetSources,
  openDataset,
  presentFiles,
} from './registry.js';
export { type CifarData, type CifarName, readCifar } from './sets/cifar.js';
export { type CubImage, classIndices, cubJson, readCub } from './sets/cub.js';
export type { ParsedSpec } from './spec.js';
export * from './transforms/index.js';
