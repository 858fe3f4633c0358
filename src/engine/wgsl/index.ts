// Ops of our own in WGSL, for the WebGPU engine.
import { type OwnAttributes, provideOwnOps } from '../ownOps.js';
import { type Tensor, tf } from '../tf.js';
import './attention.js';
import './gelu.js';
import './layerNorm.js';
import './product.js';
import { probeSubgroups } from './subgroups.js';
import { hasUpdate, updateVariables } from './updates.js';

const plain = (attributes: OwnAttributes): tf.NamedAttrMap =>
  Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, Object.values(value)[0]]));

/** Gives the WebGPU engine its ops. */
export async function provideWgslOps(): Promise<void> {
  await probeSubgroups();
  provideOwnOps('webgpu', {
    has: (name) => hasUpdate(name) || tf.getKernel(name, 'webgpu') !== undefined,
    execute(name, inputs, _outputs, attributes, only) {
      // a list where tfjs knows names, as its own ops of many tensors do it
      const tensors = inputs as unknown as tf.NamedTensorMap;
      const made = tf.engine().runKernel(name, tensors, { ...plain(attributes), ...(only !== undefined && { only }) });
      return [made].flat() as Tensor[];
    },
    update: updateVariables,
  });
}
