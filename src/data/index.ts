// The data room: data sets, transforms, the loader, downloads. Typed arrays only; no engine is loaded here.
export {
  contentChecksum,
  type Dataset,
  type DatasetDescription,
  type SharedImages,
  type Split,
} from './dataset.js';
export { blankImage, decodeImage, type Image, readImage } from './image.js';
export * from './loader/index.js';
export { type DatasetSource, dataRoot, datasetSource, datasetSources, openDataset } from './registry.js';
export * from './transforms/index.js';
