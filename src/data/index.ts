// The data room: data sets, transforms, the loader, downloads. Typed arrays only; no engine is loaded here.
export { blankImage, decodeImage, type Image, readImage } from './image.js';
export * from './transforms/index.js';
