"""ONNX Runtime: layers in f32 and int8, ResNet-18, and the f32 twin of a chain."""

import numpy as np
import onnxruntime as ort

import onnx_models
from serve import Job, array, layer_arrays, nchw, nhwc, serve


def session(model, values):
    """A Job of an ONNX model (bytes or a path), its input and output bound once. Quantised outputs stay as they are."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    net = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding = net.io_binding()
    value = ort.OrtValue.ortvalue_from_numpy(values)
    binding.bind_ortvalue_input(net.get_inputs()[0].name, value)
    binding.bind_output(net.get_outputs()[0].name, "cpu")
    job = Job(lambda: net.run_with_iobinding(binding), lambda: binding.get_outputs()[0].numpy())
    job.keep = value
    return job


def prepare(case, variant):
    if case["kind"] == "network":  # ResNet-18 beside it
        x = nchw(array(case["input"], case["shape"]))
        return session(onnx_models.resnet18(case["work"], variant == "int8"), x)
    if case["kind"] == "chain":
        return session(case["twin"], array(case["input"], case["shape"]))
    x, weight = layer_arrays(case)
    if variant == "f32":
        job = session(onnx_models.layer(case, weight), nchw(x))
        raw = job.output
        job.output = lambda: nhwc(raw())
        return job
    model, quantise, restore = onnx_models.quantised_layer(case, weight)
    job = session(model, quantise(nchw(x)))
    raw = job.output
    job.output = lambda: nhwc(restore(raw()))
    return job


if __name__ == "__main__":
    serve(prepare, onnxruntime=ort.__version__, numpy=np.__version__)
