// Models from the Hugging Face hub: downloaded, checked, cached, and loaded into models of ours.
export { hubCacheDir, type Manifest, type RepoFile } from './cache.js';
export { HubError } from './errors.js';
export {
  fromPretrained,
  loadWeights,
  type Pretrained,
  type PretrainedOptions,
  type PretrainedReport,
} from './pretrained.js';
export { type HubOptions, HubRepo } from './repo.js';
export type { Preprocess } from './timmConfig.js';
