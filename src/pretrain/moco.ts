// MoCo v3, Chen et al. 2021 (arXiv:2104.02057): a base encoder with a predictor chases a slowly moving copy of itself.
import { RandomKey, type Step, type Tensor, valueAndGradients } from '../engine/index.js';
import { BatchNorm1d, ForwardContext, Linear, Module, Relu, Sequential } from '../nn/index.js';
import {
  clipByGlobalNorm,
  copyOf,
  type FeatureModel,
  gradientNorms,
  moveTowards,
  type Optimizer,
} from '../train/index.js';
import { mocoLoss } from './mocoLoss.js';

/** A model whose head is replaced by the projector. */
export type Encoder = FeatureModel & { head: Module };

export interface MocoOptions {
  /** Width of queries and keys. */
  outDim?: number;
  /** Hidden width of projector and predictor. */
  mlpDim?: number;
  temperature?: number;
}

/** Linear layers without bias, each followed by batch norm and between two by ReLU; the last norm is not affine. */
function projection(layers: number, inDim: number, hidden: number, outDim: number): Sequential {
  const modules: Module[] = [];
  for (let layer = 1; layer <= layers; layer++) {
    const last = layer === layers;
    const width = last ? outDim : hidden;
    modules.push(new Linear(layer === 1 ? inDim : hidden, width, { bias: false }));
    modules.push(new BatchNorm1d(width, { affine: !last }));
    if (!last) modules.push(new Relu());
  }
  return new Sequential(modules);
}

/** Both encoders, whose heads are projectors of three layers, and the predictor of two. */
export class Moco extends Module {
  readonly baseEncoder: Encoder;
  /** No gradient reaches it; its batch statistics are its own. */
  readonly momentumEncoder: Encoder;
  readonly predictor: Sequential;
  readonly temperature: number;

  /** @param makeEncoder makes an encoder; is called twice */
  constructor(makeEncoder: () => Encoder, { outDim = 256, mlpDim = 4096, temperature = 0.2 }: MocoOptions = {}) {
    super();
    const encoder = (): Encoder => {
      const made = makeEncoder();
      made.head = projection(3, made.numFeatures, mlpDim, outDim);
      return made;
    };
    this.baseEncoder = encoder();
    this.momentumEncoder = encoder();
    this.predictor = projection(2, outDim, mlpDim, outDim);
    this.temperature = temperature;
    for (const [, parameter] of this.momentumEncoder.namedParameters()) parameter.fix();
  }

  /** The momentum encoder starts as a copy of the base encoder. */
  override initialize(seed: number): this {
    const base = new Map([...this.baseEncoder.namedParameters()]);
    const fresh = [...this.momentumEncoder.namedParameters()].filter(([, parameter]) => !parameter.initialized);
    super.initialize(seed);
    for (const [name, parameter] of fresh) parameter.set(copyOf(base.get(name)!.value));
    return this;
  }

  /** Queries: images `[B, H, W, C]` → `[B, outDim]`. */
  override forward(images: Tensor, context?: ForwardContext): Tensor {
    return this.predictor.forward(this.baseEncoder.forward(images, context), context);
  }

  /** Keys: images `[B, H, W, C]` → `[B, outDim]`. */
  keys(images: Tensor, context?: ForwardContext): Tensor {
    return this.momentumEncoder.forward(images, context);
  }

  /** Moves the parameters of the momentum encoder, not its statistics. `rate`: scalar, 1 - momentum. */
  moveMomentumEncoder(rate: Tensor): void {
    const averages = new Map([...this.momentumEncoder.namedParameters()]);
    const trained = this.baseEncoder.trainableParameters();
    moveTowards(
      [...trained].map(([name, parameter]) => [averages.get(name)!.value, parameter.value] as const),
      rate,
    );
  }
}

/** Before the path of a module, the name of the norm of its gradients. */
export const GRAD_NORM = 'gradNorm/';

export interface MocoStepOptions {
  /** Largest norm of all gradients together. */
  clipNorm?: number;
  /** Modules by path (`base_encoder.blocks.0`) whose gradients are measured before they are clipped. */
  gradNorms?: readonly string[];
  /** Is called with q1, q2, k1, k2 and what the encoders tap. */
  tap?: (name: string, value: Tensor) => void;
}

/**
 * One update. First the momentum encoder moves, then it computes the keys, then the base encoder learns.
 * Inputs: view1 and view2 `[B, H, W, C]`; learningRate, step (1 for the first) and rate (1 - momentum), scalars; key
 * `[seed, step]` int32, needed only where the encoder drops something. Outputs: loss, and `gradNorm/<path>` for each of
 * `gradNorms`, see `gradientNorms`.
 */
export function mocoStep(
  model: Moco,
  optimizer: Optimizer,
  { clipNorm, gradNorms = [], tap }: MocoStepOptions = {},
): Step {
  const parameters = optimizer.parameters();
  return ({ view1, view2, learningRate, step, rate, key }) => {
    model.train();
    const context = new ForwardContext(key && new RandomKey(key), tap);
    const tapped = (name: string, value: Tensor): Tensor => {
      tap?.(name, value);
      return value;
    };
    model.moveMomentumEncoder(rate!);
    const k1 = tapped('k1', model.keys(view1!, context));
    const k2 = tapped('k2', model.keys(view2!, context));
    const { value, gradients } = valueAndGradients(
      () => {
        const q1 = tapped('q1', model.forward(view1!, context));
        const q2 = tapped('q2', model.forward(view2!, context));
        return mocoLoss(q1, k1, q2, k2, model.temperature);
      },
      [...parameters.values()].map((parameter) => parameter.value),
    );
    const named = new Map([...parameters.keys()].map((name, i) => [name, gradients[i]!]));
    const norms = Object.entries(gradientNorms(model, named, gradNorms));
    const clipped = clipNorm === undefined ? named : clipByGlobalNorm(named, clipNorm).gradients;
    optimizer.apply(clipped, { learningRate: learningRate!, step: step! });
    return { loss: value, ...Object.fromEntries(norms.map(([path, norm]) => [`${GRAD_NORM}${path}`, norm])) };
  };
}
