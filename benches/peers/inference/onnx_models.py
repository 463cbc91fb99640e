"""ONNX models of the layers, in f32 and int8, and ResNet-18 with random weights."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

OPSET = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]


def bytes_of(nodes, x, y, tensors):
    """A serialised model. `x` and `y` are (name, type, shape), `tensors` arrays by name."""
    values = [helper.make_tensor_value_info(*v) for v in (x, y)]
    constants = [numpy_helper.from_array(np.ascontiguousarray(t), n) for n, t in tensors.items()]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=OPSET, ir_version=9).SerializeToString()


def shapes(case):
    if case["kind"] == "dense":
        return [case["n"], case["c_in"]], [case["n"], case["c_out"]]
    return [case["n"], case["c_in"], case["h"], case["w"]], [case["n"], case["c_out"], case["h"], case["w"]]


def layer(case, weight):
    """One convolution or dense layer in f32, NCHW."""
    x, y = shapes(case)
    if case["kind"] == "dense":
        nodes, tensors = [helper.make_node("MatMul", ["x", "w"], ["y"])], {"w": weight.T}
    else:
        pad = case["kernel"] // 2
        nodes = [helper.make_node("Conv", ["x", "w"], ["y"], pads=[pad] * 4)]
        tensors = {"w": weight.transpose(0, 3, 1, 2)}
    return bytes_of(nodes, ("x", TensorProto.FLOAT, x), ("y", TensorProto.FLOAT, y), tensors)


def quantised_layer(case, weight):
    """The layer with uint8 activations and int8 weights: the model, and functions that quantise its input and bring
    its output back. Weights are ±64, so that pairs of products fit into the 16 bits of older instructions."""
    x, y = shapes(case)
    in_scale, w_scale = np.float32(1 / 127), np.float32(1 / 64)
    out_scale = np.float32(4 * np.sqrt(weight[0].size) / 127)
    tensors = {"xs": in_scale, "xz": np.uint8(128), "ws": w_scale, "wz": np.int8(0), "ys": out_scale,
               "yz": np.uint8(128)}
    tensors = {name: np.array(value) for name, value in tensors.items()}
    w8 = (weight * 64).astype(np.int8)
    if case["kind"] == "dense":
        tensors["w"] = w8.T
        nodes = [helper.make_node("QGemm", ["x", "xs", "xz", "w", "ws", "wz", "", "ys", "yz"], ["y"],
                                  domain="com.microsoft", transB=0)]
    else:
        tensors["w"] = w8.transpose(0, 3, 1, 2)
        pad = case["kernel"] // 2
        nodes = [helper.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], pads=[pad] * 4)]
    model = bytes_of(nodes, ("x", TensorProto.UINT8, x), ("y", TensorProto.UINT8, y), tensors)

    def quantise(values):
        return np.clip(np.rint(values / in_scale) + 128, 0, 255).astype(np.uint8)

    def restore(values):
        return (values.astype(np.float32) - 128) * out_scale

    return model, quantise, restore


def resnet18(work, int8):
    """The path of ResNet-18 (He et al. 2016) at 224x224 with random weights, batch norm folded into the convolutions;
    with `int8` quantised by ONNX Runtime's own static quantisation. Made once per folder `work`."""
    path = Path(work) / "resnet18-f32.onnx"
    if not path.exists():
        path.write_bytes(resnet18_f32())
    if not int8:
        return str(path)
    quantised = Path(work) / "resnet18-int8.onnx"
    if not quantised.exists():
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Pictures(CalibrationDataReader):
            def __init__(self):
                random = np.random.default_rng(1)
                self.left = [random.standard_normal((1, 3, 224, 224), np.float32) for _ in range(2)]

            def get_next(self):
                return {"x": self.left.pop()} if self.left else None

        # The fastest of the types and formats on x86; with int8 activations it takes eight times as long.
        quantize_static(str(path), str(quantised), Pictures(), quant_format=QuantFormat.QDQ, per_channel=True,
                        reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return str(quantised)


def resnet18_f32():
    random = np.random.default_rng(1)
    nodes, tensors = [], {}

    def add(op, inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], name=f"n{len(nodes)}", **attributes))
        return name

    def conv(x, c_in, c_out, kernel, stride):
        name = f"w{len(nodes)}"
        tensors[name] = (random.standard_normal((c_out, c_in, kernel, kernel)) * np.sqrt(1 / (c_in * kernel**2))
                         ).astype(np.float32)
        tensors[name + "b"] = (0.1 * random.standard_normal(c_out)).astype(np.float32)
        return add("Conv", [x, name, name + "b"], pads=[kernel // 2] * 4, strides=[stride] * 2)

    x = add("Relu", [conv("x", 3, 64, 7, 2)])
    x = add("MaxPool", [x], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    c_in = 64
    for c_out in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if block == 0 and c_out > 64 else 1
            inner = add("Relu", [conv(x, c_in, c_out, 3, stride)])
            inner = conv(inner, c_out, c_out, 3, 1)
            short = conv(x, c_in, c_out, 1, stride) if c_in != c_out else x
            x = add("Relu", [add("Add", [inner, short])])
            c_in = c_out
    x = add("Flatten", [add("GlobalAveragePool", [x])])
    tensors["fc"] = (random.standard_normal((1000, 512)) / 20).astype(np.float32)
    tensors["fcb"] = np.zeros(1000, np.float32)
    nodes.append(helper.make_node("Gemm", [x, "fc", "fcb"], ["y"], name="fc", transB=1))
    model = bytes_of(nodes, ("x", TensorProto.FLOAT, [1, 3, 224, 224]), ("y", TensorProto.FLOAT, [1, 1000]), tensors)
    checker.check_model(model)
    return model
