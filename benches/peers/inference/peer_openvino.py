"""OpenVINO: layers in f32, and its BinaryConvolution (opset1, xnor-popcount).

Variants: f32; binary, from f32 to f32 (a FakeQuantize of two levels makes the bits); operator, the time that
OpenVINO's own counters (PERF_COUNT) give for the BinaryConvolution alone, in whole microseconds.
"""

import numpy as np
import openvino as ov
from openvino import opset1, opset8

from serve import Job, layer_arrays, nchw, serve

CORE = ov.Core()


TO_NCHW, TO_NHWC = ([0, 3, 1, 2], [0, 2, 3, 1])
# Memory that OpenVINO takes over without a copy.
KEPT = []


def transposed(value, order):
    return opset8.transpose(value, opset8.constant(np.array(order)))


def real(case, weight, x):
    """NHWC outside, which saves OpenVINO the reordering on both sides."""
    value = opset8.parameter(x.shape, np.float32)
    if case["kind"] == "dense":
        return ov.Model([opset8.matmul(value, opset8.constant(weight), False, True)], [value])
    pad = [case["kernel"] // 2] * 2
    weight = opset8.constant(np.ascontiguousarray(weight.transpose(TO_NCHW)))
    product = opset8.convolution(transposed(value, TO_NCHW), weight, [1, 1], pad, pad, [1, 1])
    return ov.Model([transposed(product, TO_NHWC)], [value])


def binary(case, weight, x):
    """NCHW in (with a transposition before its FakeQuantize, OpenVINO 2026.4 crashes), NHWC out. The bits of the
    activations are the levels 0 and 1; with -1 and 1 OpenVINO takes another way, whose results are wrong."""
    if case["kind"] == "dense":
        raise NotImplementedError("convolutions only")
    value = opset8.parameter(x.shape, np.float32)
    zero, one = (opset8.constant(np.full((1, 1, 1, 1), v, np.float32)) for v in (0, 1))
    signs = opset8.fake_quantize(value, zero, zero, zero, one, 2)
    weight = np.ascontiguousarray(weight.transpose(TO_NCHW))
    packed = np.packbits(weight.reshape(-1) > 0, bitorder="little")
    tensor = ov.Tensor(packed, ov.Shape(weight.shape), ov.Type.u1)
    KEPT.extend([packed, tensor])
    pad = [case["kernel"] // 2] * 2
    product = opset1.binary_convolution(signs, ov.op.Constant(tensor), [1, 1], pad, pad, [1, 1], "xnor-popcount", 1.0)
    return ov.Model([transposed(product, TO_NHWC)], [value])


def prepare(case, variant):
    x, weight = layer_arrays(case)
    if variant != "f32":
        x = nchw(x)
    model = (real if variant == "f32" else binary)(case, weight, x)
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    if variant == "operator":
        options["PERF_COUNT"] = True
    request = CORE.compile_model(model, "CPU", options).create_infer_request()
    request.set_input_tensor(ov.Tensor(x, shared_memory=True))
    job = Job(request.infer, lambda: request.get_output_tensor().data)
    job.keep = x
    if variant == "operator":

        def measured():
            request.infer()
            steps = request.get_profiling_info()
            return sum(s.real_time.total_seconds() for s in steps if s.node_type == "BinaryConvolution")

        job.measured = measured
    return job


if __name__ == "__main__":
    serve(prepare, openvino=ov.__version__, numpy=np.__version__)
