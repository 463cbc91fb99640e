#!/usr/bin/env python3
"""Training of a binary network in PyTorch, as a process that steps on demand (train_serve.py).

The network and the step are those of `signbit bench-train NET`:

    mlp        784-1024-1024-1024-10; hidden layers binary (the first one on real input)
    small-cnn  64C3-64C3-MP2-128C3-128C3-MP2-512-10 on 28 x 28 x 1; first convolution real
    binarynet  128C3-128C3-MP2-256C3-256C3-MP2-512C3-512C3-MP2-1024-1024-10 on 28 x 28 x 1; first convolution real

Batch normalisation and sign after each hidden layer, a real last layer with
bias, cross entropy, Adam, latent weights clipped to [-1, 1] after the update.

A mode is words joined by "+":

    eager          no compiler
    channels-last  NHWC in memory (convolutions only)
    compile        torch.compile around forward, loss and backward
    compile-step   the same, and torch.compile around optimiser and clip as well
    autotune       with one of these: mode="max-autotune"
    fused          Adam(fused=True)
"""

import importlib

import numpy
import torch
import torch.nn.functional as F
from torch import nn

from train_serve import arguments, serve

WORDS = {"eager", "channels-last", "compile", "compile-step", "autotune", "fused"}
COMPILED = {"compile", "compile-step"}


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
    return nn.Sequential(*dense(784, 1024), *dense(1024, 1024), *dense(1024, 1024), nn.Linear(1024, 10))


def conv(kind, c_in, c_out, pool):
    layers = [kind(c_in, c_out, 3, padding=1, bias=False)]
    layers += [nn.MaxPool2d(2)] if pool else []
    return [*layers, nn.BatchNorm2d(c_out), Sign()]


def dense(c_in, c_out):
    return [BinaryLinear(c_in, c_out, bias=False), nn.BatchNorm1d(c_out), Sign()]


def small_cnn():
    return nn.Sequential(
        *conv(nn.Conv2d, 1, 64, False),
        *conv(BinaryConv2d, 64, 64, True),
        *conv(BinaryConv2d, 64, 128, False),
        *conv(BinaryConv2d, 128, 128, True),
        nn.Flatten(),
        *dense(128 * 7 * 7, 512),
        nn.Linear(512, 10),
    )


def binarynet():
    return nn.Sequential(
        *conv(nn.Conv2d, 1, 128, False),
        *conv(BinaryConv2d, 128, 128, True),
        *conv(BinaryConv2d, 128, 256, False),
        *conv(BinaryConv2d, 256, 256, True),
        *conv(BinaryConv2d, 256, 512, False),
        *conv(BinaryConv2d, 512, 512, True),
        nn.Flatten(),
        *dense(512 * 3 * 3, 1024),
        *dense(1024, 1024),
        nn.Linear(1024, 10),
    )


NETS = {"mlp": (mlp, (784,)), "small-cnn": (small_cnn, (1, 28, 28)), "binarynet": (binarynet, (1, 28, 28))}


def build(net, words, batch):
    """A function that does one training step and returns the loss, and one that gives the latent weights."""
    torch.manual_seed(1)
    make, shape = NETS[net]
    model = make()
    images, labels = torch.rand(batch, *shape), torch.randint(0, 10, (batch,))
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
    if words & COMPILED:
        forward_backward = torch.compile(forward_backward, **how)
    if "compile-step" in words:
        update = torch.compile(update, **how)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward_backward(images, labels)
        update()
        return loss.detach()

    return step, lambda: [weight.detach().numpy() for weight in latent]


def main():
    args = arguments(__doc__, NETS, WORDS)
    torch.set_num_threads(args.threads)
    if args.words & COMPILED:
        importlib.import_module("torch._inductor.compile_fx")  # so that its memory counts as that of an import
    serve(lambda: build(args.net, args.words, args.batch), torch=torch.__version__, numpy=numpy.__version__,
          cpu_capability=torch.backends.cpu.get_cpu_capability())


if __name__ == "__main__":
    main()
