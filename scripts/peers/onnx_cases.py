"""Cases by PyTorch, ONNX Runtime and QONNX: small nets, one for each thing that ONNX files are built of.

    onnx_cases.py OUT [--seed S] [--only TEXT]

`torch_*` are exported by PyTorch (by both of its exporters) and computed by ONNX Runtime; `graph_*` are built operator by
operator, for what PyTorch does not write; `qonnx_*` are computed by QONNX, some exported by Brevitas. Arrays are NHWC.
Each case takes a few KB: OUT is crates/signbit-convert/tests/data/onnx too.
"""

import io
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import common

warnings.filterwarnings("ignore")
CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


# PyTorch


class Net(nn.Module):
    """A function of x as a module; `parts` are its layers."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def norm(random, channels, scale=1.0, dims=2):
    layer = (nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d)(channels)
    values = common.batch_norm(random, channels, scale)
    for target, value in zip((layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var), values):
        target.copy_(torch.from_numpy(value))
    return layer


def export(net, shape, opset=17, dynamo=False, batch="batch", **more):
    net.eval()
    file = io.BytesIO()
    example = torch.randn(2 if batch else 1, *shape)
    if dynamo:
        axes = ({0: torch.export.Dim("batch")},) if batch else None
        torch.onnx.export(net, (example,), dynamo=True, dynamic_shapes=axes, verbose=False, **more).save(file)
    else:
        axes = {"x": {0: batch}} if batch else None
        names = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": axes}
        torch.onnx.export(net, (example,), file, dynamo=False, opset_version=opset, **names, **more)
    model = onnx.load_from_string(file.getvalue())
    without_traces(model)
    return model


def without_traces(message):
    """Takes out where in which program a node was made: paths of the machine that exported it."""
    for field, value in message.ListFields():
        if field.name in ("metadata_props", "doc_string"):
            message.ClearField(field.name)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                without_traces(part)


def binary(conv, x, alpha=True):
    """A convolution with the signs of its weights, times their mean magnitude."""
    w = torch.sign(conv.weight)
    if alpha:
        w = w * conv.weight.abs().mean((1, 2, 3), keepdim=True)
    return F.conv2d(x, w, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def small(random, first=3, middle=5):
    return {
        "conv": nn.Conv2d(first, middle, 3, padding=1),
        "bn": norm(random, middle),
        "second": nn.Conv2d(middle, 4, 3, padding=1, stride=2, bias=False),
        "bn2": norm(random, 4, 6.0),
        "dense": nn.Linear(4 * 3 * 4, 3),
    }


def small_forward(net, x):
    x = torch.sign(net.bn(net.conv(x)))
    x = torch.sign(net.bn2(binary(net.second, x)))
    return net.dense(torch.flatten(x, 1))


for name, options in {
    "folded": {},
    "unfolded": {"do_constant_folding": False},
    "opset9": {"opset": 9},
    "opset11": {"opset": 11, "do_constant_folding": False},
    "opset13": {"opset": 13, "do_constant_folding": False},
    "opset20": {"opset": 20, "do_constant_folding": False},
    "one": {"batch": None},
    "dynamo": {"dynamo": True},
    "dynamo_plain": {"dynamo": True, "optimize": False},
}.items():

    def make(random, options=options):
        return export(Net(small_forward, **small(random)), (3, 6, 8), **options), (3, 6, 8)

    CASES[f"torch_net_{name}"] = make


@case
def torch_group_dilation(random):
    def forward(net, x):
        return binary(net.b, torch.sign(net.a(x)), alpha=False)

    a = nn.Conv2d(4, 6, (3, 2), groups=2, dilation=(2, 1), padding=(2, 1), stride=(1, 2))
    return export(Net(forward, a=a, b=nn.Conv2d(6, 6, 3, groups=3, dilation=2, padding=2)), (4, 7, 6)), (4, 7, 6)


@case
def torch_flatten_norm(random):
    """Batch norm of a flattened feature map: its constants are in the order CHW."""

    def forward(net, x):
        x = net.bn(torch.flatten(net.conv(x), 1))
        return net.dense(torch.sign(x)) + 0.5

    parts = {"conv": nn.Conv2d(2, 3, 2), "bn": norm(random, 3 * 3 * 4, dims=1), "dense": nn.Linear(36, 5)}
    return export(Net(forward, **parts), (2, 4, 5)), (2, 4, 5)


@case
def torch_bireal(random):
    """The sign of Bi-Real Net and ReActNet, whose surrogate stays in the file; RSign, RPReLU, a shortcut."""

    def activation(x):
        out = torch.sign(x)
        below, first, second = x < -1, x < 0, x < 1
        out1 = -1 * below.type(torch.float32) + (x * x + 2 * x) * (1 - below.type(torch.float32))
        out2 = out1 * first.type(torch.float32) + (-x * x + 2 * x) * (1 - first.type(torch.float32))
        out3 = out2 * second.type(torch.float32) + 1 * (1 - second.type(torch.float32))
        return out.detach() - out3.detach() + out3

    def weights(w):
        scale = w.abs().mean((1, 2, 3), keepdim=True).detach()
        hard = scale * torch.sign(w)
        soft = torch.clamp(w, -1.0, 1.0)
        return hard.detach() - soft.detach() + soft

    def forward(net, x):
        y = activation(x + net.shift)
        y = net.bn(F.conv2d(y, weights(net.conv.weight), None, 1, 1)) + x
        return F.avg_pool2d(net.prelu(y - net.shift) + net.shift, 2)

    parts = {"conv": nn.Conv2d(5, 5, 3), "bn": norm(random, 5, 2.0), "prelu": nn.PReLU(5)}
    net = Net(forward, **parts)
    net.shift = nn.Parameter(torch.from_numpy(common.normal(random, (1, 5, 1, 1), 0.3)))
    net.prelu.weight.data.copy_(torch.from_numpy(common.normal(random, 5)))
    return export(net, (5, 4, 6), do_constant_folding=False), (5, 4, 6)


@case
def torch_where(random):
    """Signs that are written as comparisons, with ties on either side."""

    def forward(net, x):
        one = torch.ones(1)
        a = torch.where(x >= 0, 1.0, -1.0)
        b = torch.where(x > 0.5, one, -one) + torch.where(x < net.limit, 2.0, 0.5)
        c = (x <= -0.5).float() + (x > 0).to(torch.float32) * 2 - 1
        return torch.cat([a, b, c], 1)

    net = Net(forward)
    net.limit = nn.Parameter(torch.tensor([0.25, -0.25, 0.0]).reshape(3, 1, 1))
    return export(net, (3, 4, 4)), (3, 4, 4), {"exact": True}


@case
def torch_pad(random):
    def forward(net, x):
        x = F.pad(torch.sign(x), (1, 2, 0, 1), value=-1.0)
        x = F.pad(net.a(x), (1, 1, 1, 1), value=1.0)
        return net.b(F.pad(x, (0, 1, 0, 0)))

    parts = {"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(4, 2, 2)}
    return export(Net(forward, **parts), (3, 5, 4)), (3, 5, 4)


@case
def torch_transposed(random):
    """Transposed convolutions: groups, dilation, output padding, and one of signs before a sign."""

    def forward(net, x):
        x = torch.sign(net.bn(net.a(x)))
        w = torch.sign(net.b.weight)
        w = w * net.b.weight.abs().mean((0, 2, 3), keepdim=True)
        x = F.conv_transpose2d(x, w, net.b.bias, 2, 1, 1)
        return net.c(torch.sign(net.bn2(x)))

    parts = {
        "a": nn.ConvTranspose2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 0), groups=2, dilation=(1, 2)),
        "bn": norm(random, 6),
        "b": nn.ConvTranspose2d(6, 5, 3),
        "bn2": norm(random, 5, 4.0),
        "c": nn.ConvTranspose2d(5, 2, 2, stride=3, bias=False),
    }
    return export(Net(forward, **parts), (4, 3, 4)), (4, 3, 4)


@case
def torch_gate(random):
    """Squeeze and excite, by views; a gate of one channel."""

    def forward(net, x):
        n, c, _, _ = x.shape
        gate = torch.sigmoid(net.up(F.relu(net.down(F.adaptive_avg_pool2d(x, 1).view(n, c)))))
        x = x * gate.view(n, c, 1, 1)
        return x * torch.sigmoid(net.one(x)) + F.hardtanh(x)

    parts = {"down": nn.Linear(6, 2), "up": nn.Linear(2, 6), "one": nn.Conv2d(6, 1, 1)}
    return export(Net(forward, **parts), (6, 3, 4)), (6, 3, 4)


@case
def torch_mlp(random):
    """As LFC: pictures of one channel, views by computed shapes, batch norm of [N, C, 1]."""

    def forward(net, x):
        x = torch.sign(2 * x.view(x.shape[0], -1) - 1)
        x = torch.matmul(x, net.a) * net.alpha
        x = torch.sign(net.bn(x.unsqueeze(2)).squeeze(2))
        return torch.log(torch.exp(net.scale)) * torch.matmul(x, net.b)

    net = Net(forward, bn=norm(random, 9, dims=1))
    net.a = nn.Parameter(torch.from_numpy(common.signs(random, (30, 9))))
    net.b = nn.Parameter(torch.from_numpy(common.signs(random, (9, 4))))
    net.alpha = nn.Parameter(torch.rand(1, 9) + 0.1)
    net.scale = nn.Parameter(torch.tensor(0.25))
    return export(net, (1, 5, 6), opset=9), (1, 5, 6)


@case
def torch_pools(random):
    def forward(net, x):
        a = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        b = F.avg_pool2d(x, 2, 2, 1, count_include_pad=True)
        c = F.avg_pool2d(x, (3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=False)
        d = F.max_pool2d(x, 2, 1, 1, dilation=2)
        vectors = [a.mean((2, 3)), b.amax((2, 3)), c.flatten(2).mean(2), F.adaptive_max_pool2d(d, 1).flatten(1)]
        return torch.cat(vectors, 1)

    return export(Net(forward), (3, 8, 7)), (3, 8, 7)


@case
def torch_split(random):
    def forward(net, x):
        a, b, c = torch.split(x, [1, 3, 2], 1)
        d, e = torch.chunk(x[:, 2:], 2, 1)
        y = torch.cat([F.leaky_relu(b), torch.sign(a), c], 1)
        y = F.relu6(net.mix(y)) - torch.cat([d, e, a, a], 1)
        return F.softmax(net.prelu(y), 1)

    parts = {"mix": nn.Conv2d(6, 6, 1), "prelu": nn.PReLU()}
    return export(Net(forward, **parts), (6, 3, 5)), (6, 3, 5)


@case
def torch_channels_first_output(random):
    return export(Net(lambda net, x: net.conv(x).flatten(1), conv=nn.Conv2d(3, 4, 2)), (3, 3, 4)), (3, 3, 4)


@case
def torch_tokens(random):
    """Channels last inside: rows and columns joined, dense layers at each of them."""

    def forward(net, x):
        n, c, h, w = x.shape
        y = x.flatten(2).transpose(1, 2)
        y = net.dense(torch.sign(y)) + y
        y = torch.softmax(y, -1)
        return net.conv(y.permute(0, 2, 1).reshape(n, c, h, w))

    return export(Net(forward, dense=nn.Linear(4, 4), conv=nn.Conv2d(4, 2, 2)), (4, 3, 5)), (4, 3, 5)


# Graphs by hand


class Graph:
    """A graph under construction."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def const(self, array):
        self.count += 1
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"c{self.count}"))
        return f"c{self.count}"

    def __call__(self, op, *inputs, outputs=1, domain="", **attributes):
        inputs = [i if isinstance(i, str) else self.const(i) for i in inputs]
        self.count += 1
        names = [f"{op}_{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, shape, y, opset=13, domains=(), inputs=()):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])
        y = helper.make_tensor_value_info(y, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "graph", [x, *inputs], [y], self.constants)
        sets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8)


def f32(random, *shape):
    return common.normal(random, shape)


def i64(*values):
    return np.array(values, np.int64)


@case
def graph_auto_pad(random):
    g = Graph()
    parts = []
    for pad in ("SAME_UPPER", "SAME_LOWER"):
        for kernel, stride in (((2, 2), (1, 1)), ((3, 4), (1, 1))):
            parts.append(g("Conv", "x", f32(random, 2, 3, *kernel), auto_pad=pad, strides=stride))
        parts.append(g("MaxPool", "x", kernel_shape=(2, 3), auto_pad=pad))
        parts.append(g("AveragePool", "x", kernel_shape=(2, 4), auto_pad=pad))
    y = g("Concat", *parts, axis=1)
    y = g("Conv", y, f32(random, 3, 20, 4, 3), auto_pad="SAME_LOWER", strides=(2, 2))
    y = g("Conv", y, f32(random, 2, 3, 2, 1), auto_pad="VALID")
    return g.model((3, 6, 5), y), (3, 6, 5)


@case
def graph_transposed_sizes(random):
    """The sizes of transposed convolutions by auto_pad and output_shape."""
    g = Graph()

    def up(**attributes):
        return g("ConvTranspose", "x", f32(random, 3, 2, 4, 3), strides=(2, 2), **attributes)

    parts = [up(auto_pad=pad) for pad in ("SAME_UPPER", "SAME_LOWER")]
    parts.append(up(output_shape=(6, 10)))
    parts.append(up(output_shape=(6, 10), auto_pad="SAME_UPPER"))
    parts.append(up(pads=(1, 0, 1, 1)))
    return g.model((3, 3, 5), g("Concat", *parts, axis=1)), (3, 3, 5)


@case
def graph_channels_last(random):
    """A file with NHWC outside, as from TensorFlow."""
    g = Graph()
    x = g("Transpose", g("Mul", "x", np.float32(0.5)), perm=(0, 3, 1, 2))
    y = g("Transpose", g("Conv", x, f32(random, 5, 3, 2, 2)), perm=(0, 2, 3, 1))
    y = g("Add", y, f32(random, 5))
    y = g("Concat", y, g("Slice", y, i64(1), i64(3), i64(3)), axis=3)
    y = g("MatMul", g("Sign", y), f32(random, 7, 4))
    y = g("Reshape", y, i64(0, -1))
    return g.model((4, 5, 3), g("MatMul", y, f32(random, 48, 6))), (4, 5, 3), {"input": "NHWC"}


@case
def graph_old(random):
    """Version 7: attributes for what are operands now."""
    g = Graph()
    x = g("Clip", "x", min=-1.0, max=0.75)
    a, b = g("Split", x, outputs=2, axis=1, split=(2, 2))
    x = g("Concat", g("Slice", a, axes=(1,), starts=(-1,), ends=(9,)), b, axis=1)
    x = g("Pad", x, pads=(0, 0, 1, 0, 0, 0, 0, 2), value=0.5, mode="constant")
    x = g("Dropout", g("Conv", x, f32(random, 3, 3, 2, 2), f32(random, 3)), ratio=0.5)
    x = g("ReduceMean", x, axes=(2, 3), keepdims=1)
    x = g("Squeeze", x, axes=(2, 3))
    x = g("Gemm", x, f32(random, 3, 4), f32(random, 4), alpha=0.5, beta=2.0)
    x = g("BatchNormalization", g("Unsqueeze", x, axes=(2,)), *common.batch_norm(random, 4))
    return g.model((4, 3, 4), g("Softmax", g("Flatten", x)), opset=7), (4, 3, 4)


@case
def graph_arithmetic(random):
    g = Graph()
    per_channel = lambda: f32(random, 3, 1, 1)
    x = g("Sub", per_channel(), g("Div", "x", np.abs(per_channel()) + np.float32(0.5)))
    x = g("Max", g("Min", x, np.float32(0.75)), np.float32(-0.5))
    y = g("Neg", g("HardSigmoid", x, alpha=0.25, beta=0.4))
    y = g("Sub", g("PRelu", g("Add", x, f32(random, 1, 3, 1, 1)), per_channel()), y)
    y = g("Mul", y, g("Mul", x, y))
    return g.model((3, 2, 3), g("Add", g("Add", y, y), np.float32(0.1))), (3, 2, 3)


@case
def graph_constants(random):
    """Weights in other types, and made by constant nodes."""
    g = Graph()
    shape = (4, 3, 2, 2)
    w = g("Cast", random.integers(-3, 4, shape).astype(np.int8), to=TensorProto.FLOAT)
    x = g("Conv", "x", g("Mul", w, np.float32(0.25)))
    half = g("Cast", f32(random, 4, 4, 1, 1).astype(np.float16), to=TensorProto.FLOAT)
    double = g("Cast", f32(random, 4).astype(np.float64), to=TensorProto.FLOAT)
    x = g("Conv", x, half, double)
    latent = g.const(f32(random, 2, 4, 1, 1))
    ones = g("ConstantOfShape", g("Shape", latent), value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]))
    sign = g("Where", g("GreaterOrEqual", latent, np.float32(0)), ones, g("Neg", ones))
    scale = g("ReduceMean", g("Abs", latent), axes=(1, 2, 3))
    x = g("Conv", x, g("Mul", sign, scale))
    size = g("Concat", i64(0), g("Unsqueeze", g("Gather", g("Shape", "x"), np.int64(1)), i64(0)), i64(-1), axis=0)
    x = g("Reshape", g("Concat", x, g("Slice", x, i64(0), i64(1), i64(1)), axis=1), size)
    x = g("ReduceMax", x, axes=(2,), keepdims=0)
    w = g("Expand", g("Transpose", f32(random, 1, 3)), i64(3, 2))
    return g.model((3, 3, 4), g("MatMul", x, w)), (3, 3, 4)


@case
def graph_initializer_inputs(random):
    """Old files list initializers as inputs; the batch is 1."""
    g = Graph()
    w = g.const(common.signs(random, (2, 3, 2, 2)))
    y = g("Conv", "x", w)
    info = helper.make_tensor_value_info(w, TensorProto.FLOAT, [2, 3, 2, 2])
    model = g.model((3, 3, 3), g("Reshape", y, i64(1, -1)), inputs=[info])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model, (3, 3, 3)


# QONNX

QONNX = "qonnx.custom_op.general"


@case
def qonnx_bipolar(random):
    """Ties at 0, scales per tensor and per channel, negative ones too; weights through quantizers of more bits."""
    g = Graph()
    zero, quantizer = np.float32(0), {"domain": QONNX, "signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
    x = g("BipolarQuant", "x", np.float32(1), domain=QONNX)
    w = g("BipolarQuant", f32(random, 4, 3, 3, 3), np.abs(f32(random, 4, 1, 1, 1)), domain=QONNX)
    x = g("BatchNormalization", g("Conv", x, w, pads=(1, 1, 1, 1)), *common.batch_norm(random, 4, 3.0))
    x = g("BipolarQuant", x, f32(random, 1, 4, 1, 1), domain=QONNX)
    w = g("Quant", f32(random, 2, 4, 1, 1), np.float32(0.25), zero, np.float32(3), **quantizer)
    x = g("Quant", g("Conv", x, w), np.float32(0.5), zero, np.float32(1), **quantizer)
    w = g("Quant", f32(random, 24, 3), np.float32(0.125), zero, np.float32(8), **quantizer)
    return g.model((3, 3, 4), g("MatMul", g("Flatten", x), w), domains=[QONNX]), (3, 3, 4), {"dyadic": True}


@case
def qonnx_thresholds(random):
    """As FINN lowers them."""
    g = Graph()
    x = g("MultiThreshold", "x", common.dyadic(random, (3, 1)), domain=QONNX, out_dtype="BIPOLAR", out_scale=2.0, out_bias=-1.0)
    x = g("Conv", x, common.signs(random, (4, 3, 2, 2)))
    x = g("MultiThreshold", x, common.dyadic(random, (1, 1)), domain=QONNX, out_dtype="BINARY", data_layout="NCHW")
    x = g("XnorPopcountMatMul", g("Flatten", x), (common.signs(random, (24, 5)) + 1) / 2, domain=QONNX)
    return g.model((3, 3, 4), g("Mul", x, np.float32(0.5)), domains=[QONNX]), (3, 3, 4), {"dyadic": True, "exact": True}


@case
def qonnx_brevitas(random):
    """Exported by Brevitas: bipolar weights and activations."""
    import brevitas.nn as qnn
    from brevitas.export import export_qonnx
    from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst

    weights = {"weight_quant": SignedBinaryWeightPerTensorConst, "scaling_init": 0.1, "bias": False}
    act = lambda: qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst, min_val=-1.0, max_val=1.0)
    net = nn.Sequential(
        act(),
        qnn.QuantConv2d(3, 4, 3, padding=1, **weights),
        norm(random, 4, 0.5),
        act(),
        nn.Flatten(),
        qnn.QuantLinear(48, 5, **weights),
        norm(random, 5, 0.5, dims=1),
    ).eval()
    file = io.BytesIO()
    export_qonnx(net, torch.randn(1, 3, 3, 4), file, opset_version=13)
    return onnx.load_from_string(file.getvalue()), (3, 3, 4)


def compute(model, x):
    """Sample by sample, as the batch may be fixed."""
    if any(node.domain not in ("", "ai.onnx") for node in model.graph.node):
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.core.onnx_exec import execute_onnx
        from qonnx.transformation.infer_shapes import InferShapes

        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        wrapped = ModelWrapper(model).transform(InferShapes())
        names = model.graph.input[0].name, model.graph.output[0].name
        return np.concatenate([execute_onnx(wrapped, {names[0]: sample[None]})[names[1]] for sample in x])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in x])


def main():
    arguments = common.arguments(__doc__.splitlines()[0]).parse_args()
    for name, make in CASES.items():
        if arguments.only not in name:
            continue
        random = common.rng(arguments.seed, name)
        torch.manual_seed(int(random.integers(1 << 31)))
        model, shape, *more = make(random)
        more = more[0] if more else {}
        dyadic = more.pop("dyadic", False) or more.get("exact", False)
        channels_last = more.pop("input", "") == "NHWC"
        x = common.dyadic(random, (3, *shape), 1 / 4) if dyadic else common.normal(random, (3, *shape))
        path = common.folder(arguments.out, name)
        onnx.save(model, path / "model.onnx")
        y = compute(model, x)
        if y.ndim == 4 and not channels_last:
            y = y.transpose(0, 2, 3, 1)
        peer = "qonnx" if name.startswith("qonnx") else f"onnxruntime {onnxruntime.__version__}"
        common.save(path, peer, x if channels_last else x.transpose(0, 2, 3, 1), y.astype(np.float32), note=make.__doc__ or "", **more)
    common.index(arguments.out)


if __name__ == "__main__":
    main()
