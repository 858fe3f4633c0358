// Which parameters decay.
import type { Parameter } from '../../nn/index.js';
import type { ParameterGroup } from './optimizer.js';

/**
 * Two groups, as timm makes them: parameters of two and more dimensions decay, the others (norms and biases) and those
 * that `except` names do not. A group without parameters is left out.
 */
export function decayGroups(
  parameters: ReadonlyMap<string, Parameter>,
  weightDecay: number,
  { except = () => false }: { except?: (name: string) => boolean } = {},
): ParameterGroup[] {
  const decaying = new Map<string, Parameter>();
  const fixed = new Map<string, Parameter>();
  for (const [name, parameter] of parameters) {
    (parameter.shape.length > 1 && !except(name) ? decaying : fixed).set(name, parameter);
  }
  const groups = [
    { parameters: decaying, weightDecay },
    { parameters: fixed, weightDecay: 0 },
  ];
  return groups.filter((group) => group.parameters.size > 0);
}
