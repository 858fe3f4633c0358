// The shapes and types that ops give, learnt by running each kind of op once on zeros. The values of a step do not matter
// while it is recorded, so recording holds these outlines alone and takes neither the memory nor the time of a step.
import type { Binding, OpAttribute, TensorHandle } from '../backend.js';
import { DataType } from './graph.js';

/** A tensor without its values. */
export type Outline = Pick<TensorHandle, 'shape' | 'dtype'>;

/** An input of an op. The values of a constant may decide the shape of the result: axes, sizes, paddings. */
export interface OutlineInput extends Outline {
  constant?: {
    /** Of the native tensor. */
    id: number;
    /** Constants of the same name are equal. */
    name: string;
  };
}

export class Outlines {
  /** By op, attributes and inputs: of twelve blocks of a transformer eleven are looked up. */
  private readonly known = new Map<string, readonly Outline[]>();

  constructor(private readonly binding: Binding) {}

  /** What `op` gives. Throws what TensorFlow throws where it refuses such inputs. */
  of(op: string, attributes: OpAttribute[], inputs: readonly OutlineInput[], outputs: number): readonly Outline[] {
    const kinds = inputs.map(({ shape, dtype, constant }) => constant?.name ?? [dtype, ...shape]);
    const key = JSON.stringify([op, attributes, kinds, outputs]);
    const known = this.known.get(key);
    if (known) return known;
    const made: number[] = [];
    try {
      const ids = inputs.map(({ constant, ...outline }) => constant?.id ?? this.zeros(outline, made));
      const handles = this.binding.executeOp(op, attributes, ids, outputs);
      made.push(...handles.map(({ id }) => id));
      const outlines = handles.map(({ shape, dtype }) => ({ shape, dtype }));
      this.known.set(key, outlines);
      return outlines;
    } finally {
      for (const id of made) this.binding.deleteTensor(id);
    }
  }

  /** The id of a tensor of zeros; all that is made on the way is added to `made`. */
  private zeros({ shape, dtype }: Outline, made: number[]): number {
    const { binding } = this;
    const keep = (id: number): number => made[made.push(id) - 1]!;
    const run = (op: string, types: Record<string, number>, inputs: number[]): number => {
      const attributes = Object.entries(types).map(([name, value]) => ({ name, type: binding.TF_ATTR_TYPE, value }));
      return keep(binding.executeOp(op, attributes, inputs, 1)[0]!.id);
    };
    const float = keep(binding.createTensor([], DataType.float, new Float32Array(1)));
    const zero = dtype === DataType.float ? float : run('Cast', { SrcT: DataType.float, DstT: dtype }, [float]);
    if (shape.length === 0) return zero;
    const dims = keep(binding.createTensor([shape.length], DataType.int32, Int32Array.from(shape)));
    return run('Fill', { T: dtype, index_type: DataType.int32 }, [dims, zero]);
  }
}
