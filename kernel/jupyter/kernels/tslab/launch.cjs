// What Jupyter starts: `node launch.cjs <connection file>`. The project's root is four folders up.
const path = require('node:path');

require('../../../launcher/main.cjs').start({
  root: path.resolve(__dirname, '../../../..'),
  connectionFile: process.argv[2],
});
