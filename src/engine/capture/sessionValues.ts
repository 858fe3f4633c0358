// Where the values of variables are. A session keeps its variables in its own memory. Their tensors are then lent to it:
// they hold nothing, and whoever reads one makes the session give the value back first.
import { type TensorRecord, tensorflow } from '../backend.js';
import type { Variable } from '../tf.js';
import type { SessionVariable } from './recordingSession.js';

/** The sessions that have the present value of a tensor. */
const holders = new WeakMap<object, Set<SessionValues>>();

/** tfjs-node's id of a tensor without native memory. */
const NOTHING = -1;

const recordOf = ({ dataId }: Variable): TensorRecord => tensorflow().tensorMap.get(dataId);

/** The values of `variables` in one session. Nobody has to send or fetch them: `ready` and reading a tensor do. */
export class SessionValues {
  /** Tensors that are lent to this session, and the place of their variable. */
  private readonly lent = new Map<TensorRecord, number>();

  /** @param allSet a node that is there once all variables are set from their feeds */
  constructor(
    private readonly session: number,
    private readonly variables: readonly SessionVariable[],
    private readonly allSet: string,
  ) {}

  /**
   * Before a run that changes `changed`: what was assigned outside since the last run is sent in, and the variables that
   * change are this session's alone, so that they are changed in place.
   */
  ready(changed: ReadonlySet<SessionVariable>): void {
    if (this.variables.some(({ variable }) => !holders.get(variable.dataId)?.has(this))) this.send();
    for (const [place, one] of this.variables.entries()) if (changed.has(one)) this.own(one.variable, place);
  }

  /** Gives back what is lent to this session. */
  giveBack(): void {
    if (this.lent.size === 0) return;
    const { binding } = tensorflow();
    const reads = this.variables.map(({ read }) => read).join();
    const unused = new Map(binding.runSavedModel(this.session, [], '', reads).map(({ id }, place) => [place, id]));
    for (const [record, place] of this.lent) {
      Object.defineProperty(record, 'id', { value: unused.get(place), writable: true });
      unused.delete(place);
    }
    this.lent.clear();
    for (const id of unused.values()) binding.deleteTensor(id);
  }

  private send(): void {
    this.giveBack();
    const backend = tensorflow();
    const ids = backend.getInputTensorIds(this.variables.map(({ variable }) => variable));
    const feeds = this.variables.map(({ feed }) => feed).join();
    const [done] = backend.binding.runSavedModel(this.session, ids, feeds, `${this.allSet}:0`);
    backend.binding.deleteTensor(done!.id);
    for (const [place, { variable }] of this.variables.entries()) {
      const all = holders.get(variable.dataId);
      if (all) all.add(this);
      else holders.set(variable.dataId, new Set([this]));
      if (recordOf(variable).refCount === 1) this.lend(variable, place);
    }
  }

  /** Makes the variable this session's alone. */
  private own(variable: Variable, place: number): void {
    const record = recordOf(variable);
    if (record.refCount === 1 && this.lent.has(record) && holders.get(variable.dataId)!.size === 1) return;
    void record.id; // whoever it is lent to gives it back
    if (record.refCount > 1) {
      // a clone keeps the old value
      const fresh = tensorflow().createOutputTensor({ ...record, id: NOTHING });
      variable.assign(fresh);
      fresh.dispose();
    }
    holders.set(variable.dataId, new Set([this]));
    this.lend(variable, place);
  }

  private lend(variable: Variable, place: number): void {
    const record = recordOf(variable);
    if (record.id !== NOTHING) tensorflow().binding.deleteTensor(record.id);
    const get = (): number => {
      this.giveBack();
      return record.id;
    };
    Object.defineProperty(record, 'id', { configurable: true, get });
    this.lent.set(record, place);
  }
}
