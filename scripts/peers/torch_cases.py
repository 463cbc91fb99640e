"""Cases by PyTorch: small nets with architecture files, and the published binary networks at tiny widths.

    torch_cases.py OUT [--seed S] [--only TEXT]

Each case holds `model.safetensors`, for the `net_*` ones `architecture.toml`, for `recipe_*` the recipe, and PyTorch's own output. Arrays are NHWC.
The published networks read pictures of 224x224; their input is not saved but made by `pattern`, which a test repeats.
"""

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

import common


def pattern(shape):
    """Multiples of 1/64 in [-2, 2), the same everywhere: from the index in the flat array."""
    index = np.arange(np.prod(shape), dtype=np.uint32)
    return ((((index * np.uint32(2654435761)) >> 24).astype(np.float32) - 128) / 64).reshape(shape)


class Sign(nn.Module):
    def forward(self, x):
        return torch.sign(x)


class Shift(nn.Module):
    """A learned number per channel, added."""

    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        return x + self.bias


class BinaryConv(nn.Conv2d):
    """Signs of the weights, times their mean magnitude if `scaled`; the padding is `pad_value`."""

    def __init__(self, *args, scaled=True, pad_value=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.scaled, self.pad_value = scaled, pad_value

    def forward(self, x):
        alpha = self.weight.abs().mean((1, 2, 3), keepdim=True) if self.scaled else 1.0
        v, h = self.padding
        x = F.pad(x, (h, h, v, v), value=self.pad_value)
        return F.conv2d(x, alpha * torch.sign(self.weight), self.bias, self.stride, 0, self.dilation, self.groups)


class BinaryLinear(nn.Linear):
    def forward(self, x):
        alpha = self.weight.abs().mean(1, keepdim=True)
        return F.linear(x, alpha * torch.sign(self.weight), self.bias)


class FlatConv(nn.Module):
    """A binary convolution of padding k / 2 whose weights are one column."""

    def __init__(self, inputs, outputs, k, stride=1, flat=True):
        super().__init__()
        self.shape, self.stride, self.flat = (outputs, inputs, k, k), stride, flat
        if flat:
            self.weights = nn.Parameter(torch.empty(int(np.prod(self.shape)), 1))
        else:
            self.weight = nn.Parameter(torch.empty(self.shape))

    def forward(self, x):
        w = self.weights.view(self.shape) if self.flat else self.weight
        y = F.conv2d(x, torch.sign(w), stride=self.stride, padding=self.shape[2] // 2)
        return y * w.abs().mean((1, 2, 3)).view(-1, 1, 1)


class ReActNetABlock(nn.Module):
    def __init__(self, c, out, stride):
        super().__init__()
        self.doubles, self.stride = out == 2 * c, stride
        self.move11, self.binary_3x3, self.bn1 = Shift(c), FlatConv(c, c, 3, stride), nn.BatchNorm2d(c)
        self.move12, self.prelu1, self.move13 = Shift(c), nn.PReLU(c), Shift(c)
        self.move21 = Shift(c)
        if self.doubles:
            self.binary_pw_down1, self.bn2_1 = FlatConv(c, c, 1), nn.BatchNorm2d(c)
            self.binary_pw_down2, self.bn2_2 = FlatConv(c, c, 1), nn.BatchNorm2d(c)
        else:
            self.binary_pw, self.bn2 = FlatConv(c, c, 1), nn.BatchNorm2d(c)
        self.move22, self.prelu2, self.move23 = Shift(out), nn.PReLU(out), Shift(out)

    def forward(self, x):
        y = self.bn1(self.binary_3x3(torch.sign(self.move11(x))))
        y = y + (F.avg_pool2d(x, 2, 2) if self.stride == 2 else x)
        y = self.move13(self.prelu1(self.move12(y)))
        bits = torch.sign(self.move21(y))
        if self.doubles:
            halves = [self.bn2_1(self.binary_pw_down1(bits)) + y, self.bn2_2(self.binary_pw_down2(bits)) + y]
            z = torch.cat(halves, 1)
        else:
            z = self.bn2(self.binary_pw(bits)) + y
        return self.move23(self.prelu2(self.move22(z)))


class First(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn1(self.conv1(x))


class ReActNetA(nn.Module):
    def __init__(self, widths=(4, 8, 16, 16), classes=7):
        super().__init__()
        blocks = [First(3, widths[0])]
        for i in range(1, len(widths)):
            stride = 2 if widths[i] != widths[i - 1] and i > 1 else 1
            blocks.append(ReActNetABlock(widths[i - 1], widths[i], stride))
        self.feature = nn.ModuleList(blocks)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        for block in self.feature:
            x = block(x)
        return self.fc(x.mean((2, 3)))


class ResNetBlock(nn.Module):
    def __init__(self, c, out, stride, reactnet):
        super().__init__()
        self.binary_conv = FlatConv(c, out, 3, stride, flat=not reactnet)
        self.bn1 = nn.BatchNorm2d(out)
        self.reactnet = reactnet
        if reactnet:
            self.move0, self.move1, self.prelu, self.move2 = Shift(c), Shift(out), nn.PReLU(out), Shift(out)
        self.downsample = None
        if stride != 1 or c != out:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(2, stride), nn.Conv2d(c, out, 1, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        y = self.bn1(self.binary_conv(torch.sign(self.move0(x) if self.reactnet else x)))
        y = y + (self.downsample(x) if self.downsample else x)
        return self.move2(self.prelu(self.move1(y))) if self.reactnet else y


class ResNet(nn.Module):
    def __init__(self, reactnet, widths=(4, 6, 8, 10), blocks=(2, 2, 1, 1), classes=7):
        super().__init__()
        c = widths[0]
        self.conv1, self.bn1 = nn.Conv2d(3, c, 7, 2, 3, bias=False), nn.BatchNorm2d(c)
        self.stages = len(widths)
        for stage, (out, n) in enumerate(zip(widths, blocks), 1):
            layers = []
            for b in range(n):
                layers.append(ResNetBlock(c, out, 2 if b == 0 and stage > 1 else 1, reactnet))
                c = out
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = F.max_pool2d(self.bn1(self.conv1(x)), 3, 2, 1)
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class Layers(nn.Module):
    """One layer after the other, under the names of their places."""

    TOML = """input = [9, 7, 3]

[[layer]]
type = "conv2d"
name = "0"
stride = [2, 1]
padding = 1

[[layer]]
type = "batch_norm"
name = "1"
eps = 0.001

[[layer]]
type = "sign"

[[layer]]
type = "conv2d"
name = "3"
weights = "scaled_sign"
padding = [1, 0]

[[layer]]
type = "batch_norm"
name = "4"

[[layer]]
type = "clip"

[[layer]]
type = "max_pool2d"
kernel = 2
stride = 1

[[layer]]
type = "sign"

[[layer]]
type = "conv2d"
name = "8"
weights = "sign"
padding = 2
dilation = 2
groups = 2

[[layer]]
type = "batch_norm"
name = "9"

[[layer]]
type = "prelu"
name = "10"

[[layer]]
type = "flatten"

[[layer]]
type = "batch_norm"
name = "12"

[[layer]]
type = "sign"

[[layer]]
type = "dense"
name = "14"
weights = "scaled_sign"

[[layer]]
type = "batch_norm"
name = "15"

[[layer]]
type = "relu"

[[layer]]
type = "dense"
name = "17"

[[layer]]
type = "softmax"
"""

    @staticmethod
    def net():
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, (2, 1), 1), nn.BatchNorm2d(6, eps=0.001), Sign(),
            BinaryConv(6, 8, 3, padding=(1, 0), bias=False), nn.BatchNorm2d(8), nn.Hardtanh(),
            nn.MaxPool2d(2, 1), Sign(),
            BinaryConv(8, 4, 3, padding=2, dilation=2, groups=2, scaled=False), nn.BatchNorm2d(4), nn.PReLU(),
            nn.Flatten(), nn.BatchNorm1d(64), Sign(),
            BinaryLinear(64, 12), nn.BatchNorm1d(12), nn.ReLU(),
            nn.Linear(12, 5), nn.Softmax(1),
        )  # fmt: skip


class Joined(nn.Module):
    """Shortcuts, everything learned per channel, and two flattened pictures side by side."""

    TOML = """input = [6, 8, 2]
sign_of_zero = 0

[[layer]]
type = "conv2d"
name = "stem"
padding = [1, 2, 0, 1]

[[layer]]
type = "scale"
name = "alpha"

[[layer]]
type = "bias"
name = "shift"
id = "shifted"

[[layer]]
type = "rsign"
name = "move"

[[layer]]
type = "conv2d"
name = "binary"
weights = "scaled_sign"
padding = 1
pad_value = -1

[[layer]]
type = "add"
id = "sum"
from = ["binary", "shifted", "binary"]

[[layer]]
type = "rprelu"
id = "act"
bias_in = "move_in.bias"
slope = "slope.weight"
bias_out = "move_out.bias"

[[layer]]
type = "avg_pool2d"
id = "small"
kernel = 3
stride = 2
padding = 1
count_include_pad = false

[[layer]]
type = "sigmoid"
id = "gate"

[[layer]]
type = "mul"
from = ["small", "gate"]

[[layer]]
type = "concat"
id = "wide"
from = ["mul10", "small"]

[[layer]]
type = "pad"
padding = [1, 0, 0, 2]
value = 0.5
id = "framed"

[[layer]]
type = "flatten"
id = "left"

[[layer]]
type = "flatten"
id = "right"
from = "input"

[[layer]]
type = "concat"
id = "both"
from = ["left", "right"]

[[layer]]
type = "sign"

[[layer]]
type = "dense"
name = "fc"
weights = "sign"
id = "head"

[[layer]]
type = "global_avg_pool"
from = "act"

[[layer]]
type = "dense"
name = "side"
id = "side_head"

[[layer]]
type = "add"
from = ["head", "side_head"]
"""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 5, (2, 4), bias=False)
        self.alpha = nn.Parameter(torch.empty(5, 1, 1))
        self.shift = nn.Parameter(torch.empty(1, 5, 1, 1))
        self.move, self.move_in, self.move_out = Shift(5), Shift(5), Shift(5)
        self.slope = nn.PReLU(5)
        self.binary = BinaryConv(5, 5, 3, padding=1, pad_value=-1.0)
        self.fc = nn.Linear(10 * 4 * 6 + 96, 3)
        self.side = nn.Linear(5, 3)

    def forward(self, x):
        shifted = self.stem(F.pad(x, (2, 1, 1, 0))) * self.alpha + self.shift
        y = self.binary(torch.sign(self.move(shifted)))
        act = self.move_out(self.slope(self.move_in(y + shifted + y)))
        small = F.avg_pool2d(act, 3, 2, 1, count_include_pad=False)
        framed = F.pad(torch.cat([small * torch.sigmoid(small), small], 1), (0, 2, 1, 0), value=0.5)
        both = torch.cat([framed.flatten(1), x.flatten(1)], 1)
        head = F.linear(torch.sign(both), torch.sign(self.fc.weight), self.fc.bias)
        return head + self.side(act.mean((2, 3)))


class Recipe(nn.Module):
    """A network of signbit's recipes: layers by the recipe's names, the order in `forward`."""

    def __init__(self, layers, forward):
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.order = forward

    def forward(self, x):
        return self.order(self, x)


def signs(layer, x):
    """A layer with the signs of its weights."""
    weight = torch.sign(layer.weight)
    return F.linear(x, weight) if weight.dim() == 2 else F.conv2d(x, weight, padding=1)


def same(c, out):
    return nn.Conv2d(c, out, 3, padding=1, bias=False)


def mlp(width=12, inputs=75, classes=4):
    layers = {"dense4": nn.Linear(width, classes)}
    for i in (1, 2, 3):
        layers[f"dense{i}"] = nn.Linear(inputs if i == 1 else width, width, bias=False)
        layers[f"norm{i}"] = nn.BatchNorm1d(width)

    def forward(net, x):
        x = x.flatten(1)
        for i in (1, 2, 3):
            x = torch.sign(getattr(net, f"norm{i}")(signs(getattr(net, f"dense{i}"), x)))
        return net.dense4(x)

    return Recipe(layers, forward)


def small_cnn(w=3, classes=4):
    layers = {"conv1": same(3, w), "conv2": same(w, w), "conv3": same(w, 2 * w), "conv4": same(2 * w, 2 * w)}
    layers |= {f"norm{i}": nn.BatchNorm2d(c) for i, c in enumerate((w, w, 2 * w, 2 * w), 1)}
    layers |= {"dense5": nn.Linear(3 * 2 * 2 * w, 8 * w, bias=False), "norm5": nn.BatchNorm1d(8 * w)}
    layers["dense6"] = nn.Linear(8 * w, classes)

    def forward(net, x):
        x = torch.sign(net.norm1(net.conv1(x)))
        x = torch.sign(net.norm2(F.max_pool2d(signs(net.conv2, x), 2)))
        x = torch.sign(net.norm3(signs(net.conv3, x)))
        x = torch.sign(net.norm4(F.max_pool2d(signs(net.conv4, x), 2)))
        x = torch.sign(net.norm5(signs(net.dense5, x.flatten(1))))
        return net.dense6(x)

    return Recipe(layers, forward)


def xnornet_small(w=2, classes=4):
    """Binary convolutions with alpha and K (Rastegari et al. 2016, section 3.2)."""
    widths, pooled = (w, w, 2 * w, 2 * w, 4 * w, 4 * w), (False, True, False, True, False, False)
    layers = {"conv1": same(3, w), "dense7": nn.Linear(4 * w, classes)}
    layers |= {f"conv{i + 1}": same(widths[i - 1], widths[i]) for i in range(1, 6)}
    layers |= {f"norm{i + 1}": nn.BatchNorm2d(widths[i]) for i in range(6)}

    def forward(net, x):
        y = net.conv1(x)
        for i in range(1, 6):
            real, conv = getattr(net, f"norm{i}")(y), getattr(net, f"conv{i + 1}")
            k = F.avg_pool2d(real.abs().mean(1, keepdim=True), 3, 1, 1)
            alpha = conv.weight.abs().mean((1, 2, 3)).view(-1, 1, 1)
            y = signs(conv, torch.sign(real)) * alpha * k
            if pooled[i]:
                y = F.max_pool2d(y, 2)
        return net.dense7(F.relu(net.norm6(y)).mean((2, 3)))

    return Recipe(layers, forward)


RECIPES = {
    "recipe_mlp": (mlp, 'network = "mlp"\nwidth = 12\n', (5, 5, 3)),
    "recipe_small_cnn": (small_cnn, 'network = "small-cnn"\nwidth = 3\n', (12, 8, 3)),
    "recipe_xnornet_small": (xnornet_small, 'network = "xnornet-small"\nwidth = 2\n', (12, 9, 3)),
}


def randomise(net, random):
    """Weights and statistics as a trained network has them, gammas of both signs."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)):
                gamma, beta, mean, variance = common.batch_norm(random, module.num_features, zeros=False)
                for tensor, value in zip((module.weight, module.bias, module.running_mean, module.running_var),
                                         (gamma, beta, mean, variance)):
                    tensor.copy_(torch.from_numpy(value))
                continue
            for name, tensor in module.named_parameters(recurse=False):
                scale = 0.5 if name == "bias" or tensor.dim() < 2 else 2 / np.sqrt(max(tensor[0].numel(), 9))
                tensor.copy_(torch.from_numpy(common.normal(random, tuple(tensor.shape), scale)))
    return net.eval()


def nhwc(tensor):
    array = tensor.numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def cases():
    """Name, network, architecture, type of the saved numbers, prefix of the names."""
    for name, (build, _, _) in RECIPES.items():
        yield name, build, None, torch.float32, ""
    yield "net_layers", Layers.net, Layers.TOML, torch.float32, ""
    yield "net_joined", Joined, Joined.TOML, torch.float32, "module."
    yield "net_f16", Layers.net, Layers.TOML, torch.float16, ""
    yield "net_bf16", Layers.net, Layers.TOML, torch.bfloat16, ""
    yield "net_f64", Layers.net, Layers.TOML, torch.float64, ""
    yield "reactnet_a", ReActNetA, None, torch.float32, "module."
    yield "reactnet_18", lambda: ResNet(True), None, torch.float32, ""
    yield "bireal_18", lambda: ResNet(False), None, torch.float32, ""


def one(out, seed, name, build, toml, dtype, prefix):
    random = common.rng(seed, name)
    net = randomise(build(), random)
    # What is computed with is what is saved.
    rounded = {key: value.to(dtype) if value.is_floating_point() else value for key, value in net.state_dict().items()}
    net.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in rounded.items()})
    recipe = RECIPES.get(name)
    if toml is None and recipe is None:
        x = pattern((1, 224, 224, 3))
    else:
        h, w, c = recipe[2] if recipe else (int(n) for n in toml.split("]", 1)[0].split("[")[1].split(","))
        # None is 0, whose sign is 0 in PyTorch.
        x = common.dyadic(random, (4, h, w, c)) + np.float32(1 / 32)
    with torch.no_grad():
        y = nhwc(net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())))
    path = common.folder(out, name)
    save_file({prefix + key: value.contiguous().clone() for key, value in rounded.items()}, path / "model.safetensors")
    if toml is not None:
        (path / "architecture.toml").write_text(toml)
    if recipe is not None:
        (path / "recipe.toml").write_text(recipe[1])
    common.save(path, "torch " + torch.__version__, x, y)
    if toml is None and recipe is None:
        (path / "input.npy").unlink()


def main():
    args = common.arguments(__doc__, grids=("small",)).parse_args()
    torch.set_num_threads(1)
    for name, *case in cases():
        if args.only in name:
            one(args.out, args.seed, name, *case)
    common.index(args.out)


if __name__ == "__main__":
    main()
