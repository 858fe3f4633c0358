// Figures (plotly JSON), tables, and the few pictures that are made without a browser.
export {
  type Bars,
  type BarsOptions,
  type Better,
  barsFigure,
  type Curve,
  curvesFigure,
  type Figure,
  type FigureOptions,
  type HeatMap,
  heatMapFigure,
  type Point,
  paretoFront,
  scatterFigure,
} from './figures.js';
export { type HeatMapGridOptions, type HeatMapPanel, heatMapGridFigure } from './heatMapGrid.js';
export { type HistogramOptions, histogramFigure, type Sample } from './histogram.js';
export { type ImageGridOptions, imageGridFigure, type Tile } from './images.js';
export { type HeatGrid, type OverlayOptions, overlayHeat } from './overlay.js';
export { panelsFigure } from './panels.js';
export { encodePng } from './png.js';
export { sketchSvg } from './sketch.js';
export { stripFigure } from './strips.js';
export { type AxisOptions, axis, baseLayout, cycle, INK, PALETTE } from './style.js';
export {
  type CellValue,
  type DataFrameLike,
  escapeHtml,
  formatCell,
  formatNumber,
  type Table,
  type TableSource,
  tableCsv,
  tableHtml,
  tableText,
  toTable,
} from './table.js';
