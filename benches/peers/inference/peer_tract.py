"""tract: layers in f32, ResNet-18, and the f32 twin of a chain."""

import numpy as np
import tract

import onnx_models
from serve import Job, array, layer_arrays, nchw, nhwc, serve


def session(path, values):
    """A Job of an ONNX model's file, planned for one thread (tract has no other)."""
    model = tract.onnx().load(str(path))
    model.set_input_fact(0, ",".join(map(str, values.shape)) + ",f32")
    net = model.into_model().into_runnable()
    value = tract.Tensor.from_numpy(values)
    return Job(lambda: net.run([value]), lambda: net.run([value])[0].to_numpy())


def prepare(case, _variant):
    if case["kind"] == "network":  # ResNet-18 beside it
        return session(onnx_models.resnet18(case["work"], False), nchw(array(case["input"], case["shape"])))
    if case["kind"] == "chain":
        return session(case["twin"], array(case["input"], case["shape"]))
    x, weight = layer_arrays(case)
    path = f"{case['work']}/{case['name']}-tract.onnx"
    with open(path, "wb") as file:
        file.write(onnx_models.layer(case, weight))
    job = session(path, np.ascontiguousarray(nchw(x)))
    raw = job.output
    job.output = lambda: nhwc(raw())
    return job


if __name__ == "__main__":
    serve(prepare, tract=tract.version(), numpy=np.__version__)
