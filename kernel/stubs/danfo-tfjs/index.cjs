// danfojs-node asks for a second TensorFlow; only one may be loaded in a process. It gets the tfjs that
// the project itself uses, whatever engine is active.
module.exports = require('@tensorflow/tfjs');
