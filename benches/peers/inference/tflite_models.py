"""Layers as .tflite in f32 and int8, made by TensorFlow. Runs in the environment of LCE.

    tflite_models.py CASES.json      a list of cases of compare.py; writes WORK/NAME-{f32,int8}.tflite, if not there
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from serve import layer_arrays


def convert(case):
    x, weight = layer_arrays(case)
    if case["kind"] == "dense":
        layer = tf.keras.layers.Dense(case["c_out"], use_bias=False)
        weight = weight.T
    else:
        layer = tf.keras.layers.Conv2D(case["c_out"], case["kernel"], padding="same", use_bias=False)
        weight = weight.transpose(1, 2, 3, 0)
    inputs = tf.keras.Input(x.shape[1:], batch_size=case["n"])
    model = tf.keras.Model(inputs, layer(inputs))
    layer.set_weights([weight])
    for variant in ("f32", "int8"):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if variant == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([x] for _ in range(2))
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        yield variant, converter.convert()


def main():
    for case in json.loads(Path(sys.argv[1]).read_text()):
        path = Path(case["work"]) / case["name"]
        if Path(f"{path}-int8.tflite").exists():
            continue
        for variant, data in convert(case):
            Path(f"{path}-{variant}.tflite").write_bytes(data)


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
