import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startCli } from '../recipes/support.js';

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
});
