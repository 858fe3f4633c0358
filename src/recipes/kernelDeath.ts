// Why a kernel ended, or a cell failed: for want of memory, or otherwise.
import type { KernelDiedError } from '../kernel/index.js';
import { memoryText } from './progress.js';

/** What was known of memory when the kernel was last looked at. */
export interface MemorySample {
  /** Resident memory of the kernel, and of all that the system has for processes, in bytes. */
  readonly used: number;
  readonly limit: number;
  /** Processes that the system has killed for want of memory: when looked at last, and now. */
  readonly oomKillsBefore: number;
  readonly oomKillsNow: number;
}

/** Used beyond this share of all memory, a kernel that is killed was killed for that. */
const NEAR_LIMIT = 0.8;

/** The words of V8, C++ and TensorFlow. */
const OUT_OF_MEMORY =
  /heap out of memory|bad_alloc|Array buffer allocation failed|OOM when allocating|RESOURCE_EXHAUSTED|ResourceExhausted|ENOMEM|Cannot allocate memory/;

/** True where an error says that memory ran out. */
export function saysOutOfMemory(text: string): boolean {
  return OUT_OF_MEMORY.test(text);
}

/** How a kernel ended, in one sentence, and whether memory ran out. */
export function deathOf(
  { message, signal }: Pick<KernelDiedError, 'message' | 'signal'>,
  { used, limit, oomKillsBefore, oomKillsNow }: MemorySample,
): { status: 'died' | 'out-of-memory'; error: string } {
  const memory = used > 0 ? `it used ${memoryText(used)} of ${memoryText(limit)}` : 'its memory is not known';
  if (saysOutOfMemory(message)) {
    const line = message
      .split('\n')
      .find(saysOutOfMemory)!
      .replace(/^.*?It said: /, '')
      .trim();
    return { status: 'out-of-memory', error: `The kernel ran out of memory (${memory}): ${line}` };
  }
  if (signal !== 'SIGKILL') return { status: 'died', error: message };
  if (oomKillsNow > oomKillsBefore || used > NEAR_LIMIT * limit) {
    return {
      status: 'out-of-memory',
      error: `The system killed the kernel for want of memory: ${memory}. Make batches or models smaller.`,
    };
  }
  return { status: 'died', error: `Something outside killed the kernel (SIGKILL); ${memory}.` };
}
