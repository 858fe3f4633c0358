// Notebooks as recipes: what they report with, how they are run, and what is made of their runs.
export { type CheckPlan, checkExit, movedMetrics, originDifferences, planCheck } from './check.js';
export { type Comparison, compareRuns, readableTable } from './compare.js';
export { renderComparison } from './compareReport.js';
export { type Check, type Contract, PROFILES, type Profile } from './contract.js';
export { type ExportOptions, exportFigures } from './exportFigures.js';
export { junitXml } from './junit.js';
export { type JupyterLab, startJupyterLab } from './jupyterLab.js';
export { Lab, type LabOptions, openLab, type SeriesOptions } from './lab.js';
export { writeText } from './notebook.js';
export { exitCodeOf, type Outcome } from './outcome.js';
export { type Json, oneOf, type Parameters, parseAssignments } from './parameters.js';
export { type Plan, planRuns, type RunRequest, readParams } from './plan.js';
export { ROOT } from './provenance.js';
export { type RunAllOptions, runAll } from './runAll.js';
export { type Provenance, type Run, readRun, type Status } from './runFolder.js';
export { type Progress, type RunLimits, Runner } from './runner.js';
export { markdownSummary } from './summary.js';
