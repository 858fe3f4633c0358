// One line a step with its seconds; on a terminal the line is alive while the step runs.

export class Progress {
  #number = 0;
  constructor(total, out = process.stdout) {
    this.total = total;
    this.out = out;
  }

  /** Shows `title` while `work(live)` runs; `live(text)` is what it is at just now. Returns what `work` returns. */
  async during(title, work) {
    const began = performance.now();
    const label = `[${++this.#number}/${this.total}] ${title}`;
    const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
    let doing = '';
    const draw = () => {
      const line = `${label} … ${seconds()}  ${doing}`;
      this.out.write(`\r\x1b[K${line.slice(0, (this.out.columns || 80) - 1)}`);
    };
    if (!this.out.isTTY) this.out.write(`${label} … `);
    const timer = this.out.isTTY ? setInterval(draw, 200) : undefined;
    const end = (how) => {
      clearInterval(timer);
      this.out.write(this.out.isTTY ? `\r\x1b[K${label} … ${how}${seconds()}\n` : `${how}${seconds()}\n`);
    };
    try {
      const result = await work((text) => {
        doing = text;
      });
      end('');
      return result;
    } catch (error) {
      end('failed after ');
      throw error;
    }
  }
}
