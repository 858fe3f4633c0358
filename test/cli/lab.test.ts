import assert from 'node:assert/strict';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { startCli } from '../recipes/support.js';
import { alive, until } from '../support/processes.js';

/** The JupyterLab that a process has started. */
function serverOf(pid: number): number | undefined {
  const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  for (const id of children) {
    const file = `/proc/${id}/cmdline`;
    if (fs.existsSync(file) && fs.readFileSync(file, 'utf8').includes('jupyter-lab')) return Number(id);
  }
  return undefined;
}

describe('vitlab lab', () => {
  it('answers on loopback to whoever has the token, and ends with Ctrl-C', async () => {
    const { child, said, result } = startCli(['lab']);
    try {
      const [, url] = await said(/JupyterLab: (http:\/\/127\.0\.0\.1:\d+\/lab\?token=[0-9a-f]{48})\n/);
      const { origin, searchParams } = new URL(url!);
      const headers = { authorization: `token ${searchParams.get('token')}` };
      assert.equal((await fetch(url!)).status, 200);
      assert.equal((await fetch(`${origin}/api/contents`)).status, 403);
      const specs = await (await fetch(`${origin}/api/kernelspecs`, { headers })).json();
      const { default: byDefault, kernelspecs } = specs as { default: string; kernelspecs: Record<string, unknown> };
      assert.equal(byDefault, 'tslab');
      assert.match(JSON.stringify(kernelspecs['tslab']), /launch\.cjs/);
      child.kill('SIGINT');
      assert.equal((await result).code, 0);
      await assert.rejects(fetch(`${origin}/api`));
    } finally {
      child.kill('SIGINT');
      await result;
    }
  });

  it('leaves no server behind when its terminal closes before that answers', async () => {
    const { child, result } = startCli(['lab']);
    let server: number | undefined;
    try {
      await until(() => {
        server = serverOf(child.pid!);
        return server !== undefined;
      }, 'a server is started');
      child.kill('SIGHUP');
      const { code, stderr } = await result;
      assert.deepEqual([code, stderr], [1, 'vitlab: JupyterLab was stopped before it answered.\n']);
      await until(() => !alive(server!), 'the server has ended');
    } finally {
      child.kill('SIGKILL');
      if (server !== undefined && alive(server)) process.kill(server, 'SIGKILL');
    }
  });
});
