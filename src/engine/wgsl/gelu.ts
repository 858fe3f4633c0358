// GELU, Hendrycks & Gimpel 2016 (arXiv:1606.08415), the exact form, and its gradient.
import { elementGroups, elementwise } from './elementwise.js';
import { checkShape, registerKernel } from './kernel.js';
import { run, sizeOf, unwritten } from './program.js';

/** The normal distribution function, by a rational approximation of erf over |x| ≤ 4 with the coefficients of Eigen's. */
const DISTRIBUTION = `
fn distribution(value: f32) -> f32 {
  let x = clamp(value * 0.70710678, -4.0, 4.0);
  let s = x * x;
  var p = -2.72614225801306e-10;
  p = p * s + 2.77068142495902e-08;
  p = p * s - 2.10102402082508e-06;
  p = p * s - 5.69250639462346e-05;
  p = p * s - 7.34990630326855e-04;
  p = p * s - 2.95459980854025e-03;
  p = p * s - 1.60960333262415e-02;
  var q = -1.45660718464996e-05;
  q = q * s - 2.13374055278905e-04;
  q = q * s - 1.68282697438203e-03;
  q = q * s - 7.37332916720468e-03;
  q = q * s - 1.42647390514189e-02;
  return 0.5 + 0.5 * x * p / q;
}
`;

const FORWARD = elementwise({
  ...{ name: 'VitlabGelu', writes: ['y'], reads: ['x'] },
  code: `${DISTRIBUTION}
fn each(i: u32) { y[i] = x[i] * distribution(x[i]); }
`,
});

const GRADIENT = elementwise({
  ...{ name: 'VitlabGeluGrad', writes: ['dx'], reads: ['dy', 'x'] },
  code: `${DISTRIBUTION}
fn each(i: u32) {
  let value = x[i];
  dx[i] = dy[i] * (distribution(value) + value * 0.39894228 * exp(-0.5 * value * value));
}
`,
});

registerKernel('VitlabGelu', ([x]) => {
  const y = unwritten(x!.shape);
  const count = sizeOf(x!);
  run(FORWARD, { writes: [y], reads: [x!], uniforms: { count }, groups: elementGroups(count) });
  return [y];
});

registerKernel('VitlabGeluGrad', ([dy, x]) => {
  checkShape('The gradient of GELU', dy!, x!.shape);
  const dx = unwritten(x!.shape);
  const count = sizeOf(x!);
  run(GRADIENT, { writes: [dx], reads: [dy!, x!], uniforms: { count }, groups: elementGroups(count) });
  return [dx];
});
