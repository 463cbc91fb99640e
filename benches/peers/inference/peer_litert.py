"""LiteRT (TensorFlow Lite) with its XNNPACK delegate: layers in f32 and int8, from files of tflite_models.py."""

from pathlib import Path

import ai_edge_litert
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from serve import Job, layer_arrays, serve


def prepare(case, variant):
    path = Path(case["work"]) / f"{case['name']}-{variant}.tflite"
    if not path.exists():
        raise FileNotFoundError("no .tflite of it: TensorFlow, which makes them, is in the environment of LCE")
    net = Interpreter(str(path), num_threads=1)
    net.allocate_tensors()
    (x,), (y,) = net.get_input_details(), net.get_output_details()
    values, _ = layer_arrays(case)
    if variant == "int8":
        scale, zero = x["quantization"]
        values = np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)
    net.set_tensor(x["index"], values)

    def output():
        found = net.get_tensor(y["index"])
        if variant == "int8":
            scale, zero = y["quantization"]
            found = (found.astype(np.float32) - zero) * scale
        return found

    return Job(net.invoke, output)


if __name__ == "__main__":
    serve(prepare, litert=getattr(ai_edge_litert, "__version__", None), numpy=np.__version__)
