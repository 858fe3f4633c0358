// A matrix product with its bias in one run: tfjs has the shader, under a name that it takes gradients of in its own way.
import { tf } from '../tf.js';
import { checkShape, registerKernel } from './kernel.js';

/** x `[rows, in]`, weight `[out, in]`, bias `[out]` → x Wᵀ + b. */
registerKernel('VitlabLinear', ([x, weight, bias]) => {
  const [rows = 0, width = 0] = x!.shape;
  const [out = 0] = weight!.shape;
  checkShape('The input of a linear layer', x!, [rows, width]);
  checkShape('The weight of a linear layer', weight!, [out, width]);
  checkShape('The bias of a linear layer', bias!, [out]);
  const made = tf.getKernel('_FusedMatMul', 'webgpu').kernelFunc({
    inputs: { a: x!, b: weight!, bias: bias! },
    attrs: { transposeA: false, transposeB: true },
    backend: tf.backend(),
  });
  return [made as tf.TensorInfo];
});
