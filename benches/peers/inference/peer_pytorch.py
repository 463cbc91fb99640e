"""PyTorch: layers in f32, convolutions in channels_last."""

import torch
from torch import nn

from serve import Job, layer_arrays, nchw, nhwc, serve


def prepare(case, _variant):
    x, weight = layer_arrays(case)
    if case["kind"] == "dense":
        net = nn.Linear(case["c_in"], case["c_out"], bias=False)
    else:
        net = nn.Conv2d(case["c_in"], case["c_out"], case["kernel"], padding=case["kernel"] // 2, bias=False)
        weight = weight.transpose(0, 3, 1, 2)
    net.weight.data = torch.from_numpy(weight.copy())
    x = torch.from_numpy(nchw(x))
    if case["kind"] == "conv":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode():
            return net(x)

    return Job(run, lambda: nhwc(run().numpy()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(prepare, torch=torch.__version__, cpu_capability=torch.backends.cpu.get_cpu_capability())
