"""Runs SavedModels on images with TensorFlow: runSavedModel.py FOLDER IMAGES SHAPE LOGITS [FOLDER …].

IMAGES and LOGITS are files of raw little-endian float32, SHAPE is B,H,W,C.
"""

import sys

import numpy as np
import tensorflow as tf

words = sys.argv[1:]
for i in range(0, len(words), 4):
    folder, images_file, shape, logits_file = words[i : i + 4]
    images = np.fromfile(images_file, dtype="<f4").reshape([int(side) for side in shape.split(",")])
    serve = tf.saved_model.load(folder).signatures["serving_default"]
    _, inputs = serve.structured_input_signature
    assert list(inputs) == ["images"], inputs
    logits = serve(images=tf.constant(images))["logits"].numpy()
    logits.astype("<f4").tofile(logits_file)
    print(folder, tf.__version__, logits.shape)
