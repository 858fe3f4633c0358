// Curves that renew themselves under a notebook's cell while training runs: the loss over the steps, the accuracy over
// the epochs. All trainings of a cell share one picture; at the end it becomes a plotly figure and stays.
import { kernelDisplay } from '../kernel/index.js';
import { axis, baseLayout, cycle, type Figure, PALETTE, panelsFigure, sketchSvg } from '../plot/index.js';
import type { EpochRecord } from './state.js';

const PLOTLY_MIME = 'application/vnd.plotly.v1+json';
/** Points of a loss curve; each is the mean over the steps since the one before. */
const POINTS = 100;
const DRAW_MS = 2000;
/** Share of the time that drawing may take. */
const SHARE = 0.005;
const HEIGHT = 340;

/** A curve that grows. */
export interface LivePoints {
  x: number[];
  y: number[];
}

/** The figure of one cell, with all trainings that it has seen. */
class LiveFigure {
  readonly trainings: LiveCurves[] = [];
  private readonly id = `curves-${process.pid}-${performance.now()}`;
  private shown = false;
  private nextAt = 0;

  constructor(readonly cell: string) {}

  /** Draws a picture anew where it is due, or, for good, the figure. */
  draw(forGood = false): void {
    const began = performance.now();
    if (began < this.nextAt && !forGood) return;
    const figure = liveFigure(this.trainings);
    const names = this.trainings.map(({ label }) => label).join(', ');
    const bundle = {
      'text/plain': `Loss and accuracy of ${names} over the training.`,
      'image/svg+xml': sketchSvg(figure),
      ...(forGood && { [PLOTLY_MIME]: figure }),
    };
    const display = kernelDisplay();
    if (this.shown) display?.updateDisplay(this.id, bundle);
    else display?.display(bundle, {}, this.id);
    this.shown = true;
    const now = performance.now();
    this.nextAt = now + Math.max(DRAW_MS, (now - began) / SHARE);
  }
}

let latest: LiveFigure | undefined;

/** The curves of one training. */
export class LiveCurves {
  readonly loss: LivePoints = { x: [], y: [] };
  readonly evalLoss: LivePoints = { x: [], y: [] };
  readonly trainTop1: LivePoints = { x: [], y: [] };
  readonly evalTop1: LivePoints = { x: [], y: [] };
  private readonly figure: LiveFigure;
  private readonly stepsAPoint: number;
  private sum = 0;
  private count = 0;

  /**
   * Curves below the running cell, or undefined where there is nobody to see them: outside of a notebook, and where one
   * runs headless unless `wanted` says so. `steps`: of the whole training.
   */
  static open(label: string, steps: number, wanted?: boolean): LiveCurves | undefined {
    const display = kernelDisplay();
    if (!display || !(wanted ?? display.watched)) return undefined;
    if (latest?.cell !== display.cell) latest = new LiveFigure(display.cell);
    return new LiveCurves(label, steps, latest);
  }

  private constructor(
    readonly label: string,
    steps: number,
    figure: LiveFigure,
  ) {
    this.figure = figure;
    this.stepsAPoint = Math.max(1, Math.ceil(steps / POINTS));
    figure.trainings.push(this);
  }

  /** Takes the loss of an update; `step` is 1 for the first. */
  step(step: number, loss: number): void {
    this.sum += loss;
    this.count++;
    if (this.count === this.stepsAPoint) {
      add(this.loss, step, this.sum / this.count);
      this.sum = 0;
      this.count = 0;
    }
    this.figure.draw();
  }

  /** Takes an epoch that has ended. Without `labels` nothing in it is right or wrong. */
  epoch(record: EpochRecord, { labels = true }: { labels?: boolean } = {}): void {
    if (labels) add(this.trainTop1, record.epoch, record.trainTop1);
    if (record.evalLoss !== undefined) add(this.evalLoss, record.steps, record.evalLoss);
    if (record.evalTop1 !== undefined) add(this.evalTop1, record.epoch, record.evalTop1);
    this.figure.draw();
  }

  /** Takes the epochs of before this process: of their loss, the means are known. */
  resume(history: readonly EpochRecord[], options: { labels?: boolean } = {}): void {
    for (const record of history) {
      add(this.loss, record.steps, record.trainLoss);
      this.epoch(record, options);
    }
  }

  /** Draws what there is, for good. */
  finish(): void {
    this.figure.draw(true);
  }
}

function add({ x, y }: LivePoints, at: number, value: number): void {
  x.push(at);
  y.push(value);
}

/** Loss and, where there are labels, accuracy side by side. */
function liveFigure(trainings: readonly LiveCurves[]): Figure {
  const panel = (title: string, xLabel: string, data: Figure['data'], percent: boolean): Figure => ({
    data,
    layout: {
      ...baseLayout(title),
      xaxis: { ...axis({ label: xLabel }), rangemode: 'tozero' },
      yaxis: axis(
        { percent },
        data.flatMap((trace) => (trace as { y: number[] }).y),
      ),
    },
  });
  const lines = (trained: 'loss' | 'trainTop1', evaluated: 'evalLoss' | 'evalTop1') =>
    trainings.flatMap((training, index) => [
      ...(trained === 'loss' || training[trained].x.length
        ? [line(training.label, training[trained], cycle(PALETTE, index), false)]
        : []),
      ...(training[evaluated].x.length
        ? [line(`${training.label}, evaluated`, training[evaluated], cycle(PALETTE, index), true)]
        : []),
    ]);
  const panels = [panel('Loss', 'step', lines('loss', 'evalLoss'), false)];
  if (trainings.some(({ trainTop1, evalTop1 }) => trainTop1.x.length + evalTop1.x.length > 0)) {
    panels.push(panel('Top-1 accuracy', 'epoch', lines('trainTop1', 'evalTop1'), true));
  }
  return panelsFigure(panels, { height: HEIGHT });
}

function line(name: string, { x, y }: LivePoints, color: string, evaluated: boolean): Figure['data'][number] {
  return {
    type: 'scatter',
    mode: evaluated || x.length === 1 ? 'lines+markers' : 'lines',
    name,
    x: [...x],
    y: [...y],
    line: { color, width: evaluated ? 2 : 1.5, dash: evaluated ? 'dash' : 'solid' },
    marker: { color, size: 6 },
  };
}
