// One set-up at a time in a clone. Each raises its own flag (a file named by process and start time) and then looks
// for others: two cannot both see nobody, and the flag of a dead process is nobody's, so anyone may take it down.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** When a process started, in clock ticks (Linux); '0' where that cannot be known, `undefined` where it is gone. */
export function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    if (process.platform === 'linux') return undefined;
    try {
      process.kill(pid, 0);
      return '0';
    } catch (error) {
      return error.code === 'EPERM' ? '0' : undefined;
    }
  }
}

/** Waits until no other set-up works in this clone; `say` gets one line where that takes time. */
export async function acquireLock(folder, say) {
  mkdirSync(folder, { recursive: true });
  const own = path.join(folder, `${process.pid}-${startTime(process.pid)}`);
  let said = false;
  for (;;) {
    writeFileSync(own, '');
    const others = readdirSync(folder).filter((name) => /^\d+-\d+$/.test(name) && name !== path.basename(own));
    const busy = others.map((name) => ({ pid: name.split('-')[0], state: stateOf(folder, name) }));
    const other = busy.find(({ state }) => state !== 'gone');
    if (other === undefined) break;
    rmSync(own, { force: true });
    if (!said && other.state === 'alive') {
      say(`Another set-up is at work in this folder (process ${other.pid}); waiting for it to end.`);
      said = true;
    }
    await sleep(200 + Math.random() * 300);
  }
  return {
    /** Notes the child that does the work, so that it can be ended should this process die without it. */
    holds(pid) {
      const content = pid === undefined ? '' : `${pid}-${startTime(pid)}`;
      writeFileSync(`${own}.tmp`, content);
      renameSync(`${own}.tmp`, own);
    },
    release() {
      rmSync(own, { force: true });
    },
  };
}

// `alive`, `gone`, or `ending`: dead, but the child that it left at work is only just being ended.
function stateOf(folder, name) {
  const [pid, start] = name.split('-');
  if (startTime(pid) === start) return 'alive';
  const file = path.join(folder, name);
  try {
    const [child, childStart] = readFileSync(file, 'utf8').split('-');
    if (childStart !== undefined && startTime(child) === childStart) {
      process.kill(-Number(child), 'SIGKILL');
      return 'ending';
    }
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
  }
  rmSync(file, { force: true });
  return 'gone';
}
