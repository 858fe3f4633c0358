// danfojs-node asks for a spreadsheet package that is published outside the npm registry. Nothing here reads
// spreadsheets, so any use of it is an error that says so.
module.exports = new Proxy(
  {},
  {
    get(_target, name) {
      if (name === '__esModule' || typeof name === 'symbol') return undefined;
      throw new Error(
        `Excel files are not supported here (xlsx.${name} was asked for): convert the sheet to CSV and use readCSV.`,
      );
    },
  },
);
