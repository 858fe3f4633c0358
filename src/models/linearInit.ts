// How the linear layers of a transformer start; their biases start at 0.
import { type Initializer, init } from '../nn/index.js';

/**
 * `truncatedNormal` has σ = 0.02 whatever the width, as timm and Swin have it: made for hundreds of channels, it leaves the
 * branches of a narrow model almost silent. `xavier` goes by the size of each matrix, with query, key and value as three
 * (MoCo v3; timm's `weight_init='moco'`).
 */
export type LinearInit = (typeof LINEAR_INITS)[number];

export const LINEAR_INITS = ['truncatedNormal', 'xavier'] as const;

interface Starts {
  weightInit: Initializer;
  biasInit: Initializer;
  /** Of the weight that holds query, key and value. */
  qkvInit: Initializer;
}

const normal = init.truncatedNormal(0.02);

/** What the layers are made with. */
export const LINEAR_STARTS: Readonly<Record<LinearInit, Starts>> = {
  truncatedNormal: { weightInit: normal, qkvInit: normal, biasInit: init.zeros },
  xavier: { weightInit: init.xavierUniform, qkvInit: init.xavierOfParts(3), biasInit: init.zeros },
};
