// Optimisers, schedules, losses, metrics, trainer.
export { crossEntropy } from './losses.js';
