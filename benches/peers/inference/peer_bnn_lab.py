"""bnn-lab: its packed dense layer.

Variants: packed, packed activations and weights to f32; f32, its module PackedBinaryXNORLinear from f32 to f32.
"""

import bnn
import numpy as np
import torch
from bnn.kernels import packed
from bnn.wrap.packed_linear import PackedBinaryXNORLinear

from serve import Job, layer_arrays, serve


def prepare(case, variant):
    if case["kind"] != "dense":
        raise NotImplementedError("its convolution is one in f32")
    if not packed.native_kernel_available():
        raise RuntimeError("its native kernel is not there")
    x, weight = layer_arrays(case)
    if variant == "packed":
        (a, n), (w, _) = packed.pack_binary_pm1(x), packed.pack_binary_pm1(weight)
        run = lambda: packed.binary_gemm_native_prepacked(a, w, n)  # noqa: E731
        return Job(run, run)
    net = PackedBinaryXNORLinear(torch.from_numpy(weight), alpha=torch.ones(1))
    values = torch.from_numpy(x)

    def run():
        with torch.inference_mode():
            return net(values)

    return Job(run, lambda: run().numpy())


if __name__ == "__main__":
    torch.set_num_threads(1)
    packed.set_num_threads(1)
    serve(prepare, bnn_lab=bnn.__version__, torch=torch.__version__, numpy=np.__version__)
