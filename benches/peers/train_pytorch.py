#!/usr/bin/env python3
"""Training of a binary network in PyTorch, as a process that steps on demand.

Usage: train_pytorch.py NET MODE THREADS [--batch N]

Builds the network, compiles and warms up, prints one JSON line about itself,
then waits. For each line on stdin that holds a number k it runs k training
steps and prints {"step_ms": [k times], "loss": last}. It ends when stdin does.

The network and the step are those of `signbit bench-train NET`:

    mlp        784-1024-1024-1024-10; hidden layers binary (the first one on real input)
    small-cnn  64C3-64C3-MP2-128C3-128C3-MP2-512-10 on 28 x 28 x 1; first convolution real

Batch normalisation and sign after each hidden layer, a real last layer with
bias, cross entropy, Adam, latent weights clipped to [-1, 1] after the update.

A mode is words joined by "+":

    eager          no compiler
    channels-last  NHWC in memory (small-cnn only)
    compile        torch.compile around forward, loss and backward
    compile-step   the same, and torch.compile around optimiser and clip as well
    autotune       with one of these: mode="max-autotune"
    fused          Adam(fused=True)
"""

import argparse
import json
import sys
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn

WARM_UP = 4
# Batches in memory, used in turn: a step finds its samples in RAM, not in cache.
BATCHES = 20
WORDS = {"eager", "channels-last", "compile", "compile-step", "autotune", "fused"}


class SignSte(torch.autograd.Function):
    """Sign with the straight-through estimator: the gradient passes where |x| <= 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


sign = SignSte.apply


class Sign(nn.Module):
    def forward(self, x):
        return sign(x)


class BinaryLinear(nn.Linear):
    def forward(self, x):
        return F.linear(x, sign(self.weight))


class BinaryConv2d(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, sign(self.weight), None, self.stride, self.padding)


def mlp():
    layers = []
    for width in (784, 1024, 1024):
        layers += [BinaryLinear(width, 1024, bias=False), nn.BatchNorm1d(1024), Sign()]
    return nn.Sequential(*layers, nn.Linear(1024, 10))


def small_cnn():
    def conv(kind, c_in, c_out, pool):
        layers = [kind(c_in, c_out, 3, padding=1, bias=False)]
        layers += [nn.MaxPool2d(2)] if pool else []
        return [*layers, nn.BatchNorm2d(c_out), Sign()]

    return nn.Sequential(
        *conv(nn.Conv2d, 1, 64, False),
        *conv(BinaryConv2d, 64, 64, True),
        *conv(BinaryConv2d, 64, 128, False),
        *conv(BinaryConv2d, 128, 128, True),
        nn.Flatten(),
        BinaryLinear(128 * 7 * 7, 512, bias=False),
        nn.BatchNorm1d(512),
        Sign(),
        nn.Linear(512, 10),
    )


NETS = {"mlp": (mlp, (784,)), "small-cnn": (small_cnn, (1, 28, 28))}


def build(net, words, batch):
    """A function of a batch's number that does one training step and returns the loss."""
    torch.manual_seed(1)
    make, shape = NETS[net]
    model = make()
    images = torch.rand(BATCHES * batch, *shape)
    labels = torch.randint(0, 10, (BATCHES * batch,))
    if "channels-last" in words:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused="fused" in words)
    latent = [m.weight for m in model if isinstance(m, (BinaryLinear, BinaryConv2d))]

    def forward_backward(x, y):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    def update():
        optimizer.step()
        with torch.no_grad():
            torch._foreach_clamp_min_(latent, -1.0)
            torch._foreach_clamp_max_(latent, 1.0)

    how = {"mode": "max-autotune"} if "autotune" in words else {}
    if words & {"compile", "compile-step"}:
        forward_backward = torch.compile(forward_backward, **how)
    if "compile-step" in words:
        update = torch.compile(update, **how)

    def step(i):
        rows = slice((i % BATCHES) * batch, (i % BATCHES + 1) * batch)
        optimizer.zero_grad(set_to_none=True)
        loss = forward_backward(images[rows], labels[rows])
        update()
        return loss

    return step, latent


def serve(step):
    done = 0
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            loss = step(done)
            times.append(round((time.perf_counter() - start) * 1e3, 4))
            done += 1
        print(json.dumps({"step_ms": times, "loss": round(loss.item(), 4)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("net", choices=NETS)
    parser.add_argument("mode")
    parser.add_argument("threads", type=int)
    parser.add_argument("--batch", type=int, default=100)
    args = parser.parse_args()
    words = set(args.mode.split("+"))
    if words - WORDS:
        parser.error(f"no such mode: {args.mode}")
    torch.set_num_threads(args.threads)

    start = time.perf_counter()
    step, latent = build(args.net, words, args.batch)
    for i in range(WARM_UP):
        step(i)
    if max(w.abs().max().item() for w in latent) > 1.0:
        sys.exit("the latent weights were not clipped")
    about = {
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": sys.version.split()[0],
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "warm_up_s": round(time.perf_counter() - start, 1),
    }
    print(json.dumps(about), flush=True)
    serve(step)


if __name__ == "__main__":
    main()
