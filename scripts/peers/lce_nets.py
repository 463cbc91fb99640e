"""The nets of lce_cases.py: one for each thing that networks converted by LCE are built of."""

import larq as lq
import tensorflow as tf

L = tf.keras.layers
SIGN = {"kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
BINARY = {"input_quantizer": "ste_sign", **SIGN, "use_bias": False}

# name: (builder, settings of lce_cases.one)
NETS = {}


def net(**settings):
    def register(build):
        NETS[f"net_{build.__name__}"] = (build, settings)
        return build

    return register


def norm():
    return L.BatchNormalization(momentum=0.9)


def activation(name):
    return {
        "relu": lambda: L.ReLU(),
        "relu6": lambda: L.ReLU(6.0),
        "relu_n1": lambda: L.Activation(lq.activations.hard_tanh),
        "prelu": lambda: L.PReLU(shared_axes=[1, 2]),
        "leaky": lambda: L.LeakyReLU(0.25),
    }[name]()


def bconv(x, filters, kernel=3, **options):
    return lq.layers.QuantConv2D(filters, kernel, **{**BINARY, "padding": "same", **options})(x)


def sequential(inputs, *layers):
    x = inputs
    for layer in layers:
        x = layer(x)
    return tf.keras.Model(inputs, x)


def single_conv(chosen):
    inputs = x = L.Input((*chosen["size"], chosen["channels"]))
    x = bconv(
        x,
        chosen["filters"],
        chosen["kernel"],
        strides=chosen["strides"],
        dilation_rate=chosen["dilation"],
        groups=chosen["groups"],
        padding=chosen["padding"],
        pad_values=float(chosen["pad_values"]),
        input_quantizer="approx_sign" if chosen["quantizer"] == "approx_sign" else "ste_sign",
        kernel_quantizer=chosen["quantizer"] if chosen["quantizer"] != "approx_sign" else "ste_sign",
        use_bias=chosen["order"] == "bias",
    )
    after = [activation(chosen["activation"])] if chosen["activation"] else []
    if chosen["order"] == "activation_norm":
        after = [*after, norm()]
    elif chosen["order"] == "norm_activation":
        after = [norm(), *after]
    for layer in after:
        x = layer(x)
    if chosen["next"] == "pool":
        x = L.MaxPool2D(2, padding="same")(x)
    if chosen["next"] != "none":
        # Behind this one, values go on as bits, where LCE can.
        x = norm()(bconv(x, 9, 1))
    return tf.keras.Model(inputs, x)


def single_dense(channels, units):
    inputs = L.Input((channels,))
    return sequential(inputs, lq.layers.QuantDense(units, **BINARY), norm())


def stem(size=8, channels=32, batch=None):
    inputs = L.Input((size, size, 3), batch_size=batch)
    return inputs, norm()(L.Conv2D(channels, 3, padding="same", use_bias=False)(inputs))


def head(x, classes=5):
    return L.Softmax()(L.Dense(classes)(L.GlobalAvgPool2D()(x)))


@net()
def shortcut():
    inputs, x = stem()
    for _ in range(2):
        x = L.add([x, norm()(bconv(x, 32, pad_values=1.0))])
    y = norm()(bconv(x, 40, strides=2))
    x = norm()(L.Conv2D(40, 1, use_bias=False)(L.AvgPool2D(2)(x)))
    return tf.keras.Model(inputs, head(L.add([x, y])))


@net()
def concat():
    inputs, x = stem(channels=24)
    for _ in range(3):
        x = L.concatenate([x, bconv(norm()(x), 7)])
    return tf.keras.Model(inputs, head(L.ReLU()(norm()(x))))


@net()
def real_depthwise():
    inputs, x = stem(channels=12)
    x = L.ReLU()(norm()(L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, use_bias=True)(x)))
    return tf.keras.Model(inputs, norm()(bconv(x, 10)))


@net()
def blur_pool():
    inputs, x = stem(channels=33)
    x = norm()(bconv(x, 33, pad_values=1.0))
    x = L.MaxPool2D(3, strides=1, padding="same")(x)
    blur = L.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, trainable=False,
                             depthwise_initializer=blur_initializer)
    return tf.keras.Model(inputs, norm()(bconv(blur(x), 8)))


def blur_initializer(shape, dtype=None):
    line = tf.constant([0.25, 0.5, 0.25])
    filt = tf.reshape(line[:, None] * line[None, :], (3, 3, 1, 1))
    return tf.broadcast_to(filt, shape)


@net(samples=3)
def mlp():
    inputs = L.Input((70,))
    binary = dict(BINARY)
    return sequential(
        inputs,
        lq.layers.QuantDense(33, **SIGN, use_bias=False), norm(),
        lq.layers.QuantDense(64, **binary), norm(),
        lq.layers.QuantDense(40, **binary), norm(),
        L.Dense(5, activation="softmax"),
    )


@net(samples=3, exact=True)
def mlp_ties():
    inputs = L.Input((70,))
    return sequential(
        inputs,
        lq.layers.QuantDense(33, **BINARY), norm(), lq.layers.QuantDense(40, **BINARY), norm(),
        lq.layers.QuantDense(5, **BINARY), norm(),
    )


@net()
def flatten_dense():
    inputs, x = stem(size=6, channels=12)
    x = norm()(bconv(x, 7, padding="valid"))
    x = norm()(lq.layers.QuantDense(20, **BINARY)(L.Flatten()(x)))
    return tf.keras.Model(inputs, L.Dense(4)(x))


@net()
def binary_max_pool():
    inputs, x = stem(size=12, channels=33)
    x = norm()(bconv(x, 33, padding="valid"))
    x = L.MaxPool2D(2)(x)
    x = norm()(bconv(x, 35, pad_values=1.0))
    x = L.MaxPool2D((3, 2), strides=(2, 2), padding="same")(x)
    return tf.keras.Model(inputs, norm()(bconv(x, 8, 1)))


@net()
def max_pool_of_signs():
    inputs, x = stem(size=9, channels=40)
    quantizer = lq.quantizers.SteSign()
    x = L.MaxPool2D(3, strides=2, padding="same")(quantizer(x))
    x = lq.layers.QuantConv2D(8, 3, padding="same", pad_values=1.0, use_bias=False, **SIGN)(x)
    return tf.keras.Model(inputs, norm()(x))


@net()
def packed_valid():
    inputs, x = stem(size=9)
    for channels in (33, 70, 12):
        x = norm()(bconv(x, channels, padding="valid"))
    return tf.keras.Model(inputs, x)


@net(exact=True)
def packed_valid_ties():
    inputs = x = L.Input((8, 7, 33))
    for channels in (33, 70, 12):
        x = norm()(bconv(x, channels, padding="valid"))
    return tf.keras.Model(inputs, x)


@net()
def packed_one():
    inputs, x = stem(size=7, channels=7)
    for channels in (70, 33, 12):
        x = norm()(bconv(x, channels, pad_values=1.0))
    return tf.keras.Model(inputs, x)


@net()
def packed_relu():
    inputs, x = stem(size=9)
    for channels in (33, 12):
        x = norm()(bconv(x, channels, padding="valid", activation="relu"))
    return tf.keras.Model(inputs, norm()(bconv(x, 6, padding="valid", activation="relu")))


@net()
def packed_strided_dilated():
    inputs, x = stem(size=13)
    x = norm()(bconv(x, 64, strides=2, pad_values=1.0))
    x = norm()(bconv(x, 33, dilation_rate=2, padding="valid"))
    return tf.keras.Model(inputs, norm()(bconv(x, 6, 1)))


@net()
def packed_groups():
    inputs, x = stem(size=7, channels=64)
    x = norm()(bconv(x, 128, groups=2, pad_values=1.0))
    x = norm()(bconv(x, 64, groups=4, padding="valid"))
    return tf.keras.Model(inputs, norm()(bconv(x, 6, 1)))


@net()
def packed_two_uses():
    inputs, x = stem(size=7)
    x = norm()(bconv(x, 33, padding="valid"))
    quantizer = lq.quantizers.SteSign()
    bits = quantizer(x)
    a = lq.layers.QuantConv2D(8, 3, padding="valid", use_bias=False, **SIGN)(bits)
    b = lq.layers.QuantConv2D(8, 1, use_bias=False, **SIGN)(bits)
    return tf.keras.Model(inputs, L.concatenate([norm()(L.GlobalAvgPool2D()(a)), L.GlobalAvgPool2D()(b)]))


@net()
def signs_out():
    inputs, x = stem(size=7)
    return tf.keras.Model(inputs, lq.quantizers.SteSign()(norm()(bconv(x, 35))))


@net()
def gate():
    inputs, x = stem()
    y = norm()(bconv(x, 32))
    g = L.GlobalAvgPool2D()(x)
    g = L.Dense(32, activation="sigmoid")(L.Dense(8, activation="relu")(g))
    y = L.multiply([y, L.Reshape((1, 1, 32))(g)])
    return tf.keras.Model(inputs, head(L.add([x, y])))


@net()
def swish():
    inputs, x = stem()
    y = L.multiply([x, L.Activation("sigmoid")(x)])
    return tf.keras.Model(inputs, norm()(bconv(y, 9)))


@net()
def sliced():
    inputs, x = stem(channels=40)
    y = norm()(bconv(x, 8))
    tail = L.add([L.Lambda(lambda t: t[..., -8:])(x), y])
    x = L.concatenate([L.Lambda(lambda t: t[..., :-8])(x), tail])
    return tf.keras.Model(inputs, norm()(bconv(x, 6)))


@net()
def zero_pad_layer():
    inputs, x = stem(size=7)
    x = L.ZeroPadding2D(((1, 2), (0, 1)))(x)
    x = L.ReLU()(norm()(L.Conv2D(33, 3, strides=2, use_bias=False)(x)))
    return tf.keras.Model(inputs, norm()(bconv(x, 6)))


@net()
def average_pool_same():
    inputs, x = stem(size=7, channels=12)
    x = L.AvgPool2D(3, strides=2, padding="same")(x)
    return tf.keras.Model(inputs, L.MaxPool2D(2)(norm()(bconv(x, 6))))


@net()
def real_conv_options():
    inputs = x = L.Input((11, 9, 3))
    x = L.Conv2D(16, 3, dilation_rate=2, padding="same", activation="relu")(x)
    x = L.Conv2D(16, (3, 2), strides=(2, 1), padding="valid", activation="relu6" and tf.nn.relu6)(x)
    x = L.Conv2D(8, 3, strides=2, padding="same", groups=2)(x)
    return tf.keras.Model(inputs, L.PReLU()(norm()(x)))


@net()
def real_group_conv():
    inputs, x = stem(channels=16)
    return tf.keras.Model(inputs, norm()(L.Conv2D(8, 3, padding="same", groups=4)(x)))


@net()
def scales():
    inputs, x = stem(channels=33)
    x = norm()(bconv(x, 20, kernel_quantizer="magnitude_aware_sign"))
    return tf.keras.Model(inputs, bconv(x, 6, kernel_quantizer="magnitude_aware_sign"))


@net()
def swish_sign():
    inputs, x = stem(channels=33)
    return tf.keras.Model(inputs, norm()(bconv(x, 6, input_quantizer="swish_sign")))


@net()
def quant_depthwise():
    inputs, x = stem(channels=33)
    x = lq.layers.QuantDepthwiseConv2D(3, padding="same", input_quantizer="ste_sign", depthwise_quantizer="ste_sign",
                                       use_bias=False)(x)
    return tf.keras.Model(inputs, norm()(x))


@net()
def binary_weights_only():
    inputs, x = stem(channels=8)
    x = lq.layers.QuantConv2D(9, 3, padding="same", **SIGN)(L.ReLU()(x))
    return tf.keras.Model(inputs, norm()(x))


@net()
def ternary_weights():
    inputs, x = stem(channels=8)
    x = lq.layers.QuantConv2D(9, 3, padding="same", input_quantizer="ste_sign", kernel_quantizer="ste_tern")(x)
    return tf.keras.Model(inputs, norm()(x))


@net()
def norm_first():
    inputs = x = L.Input((6, 6, 33))
    x = norm()(x)
    return tf.keras.Model(inputs, norm()(bconv(L.ReLU()(norm()(bconv(x, 40))), 6)))


@net(samples=2)
def batch_3():
    inputs, x = stem(size=6, batch=3)
    x = L.add([x, norm()(bconv(x, 32))])
    return tf.keras.Model(inputs, head(norm()(bconv(x, 33, padding="valid"))))


@net(samples=2)
def two_samples():
    inputs, x = stem(size=6, channels=7)
    return tf.keras.Model(inputs, head(norm()(bconv(x, 33))))


@net()
def two_outputs_joined():
    inputs, x = stem(size=6)
    a = L.GlobalMaxPool2D()(x)
    b = L.GlobalAvgPool2D()(norm()(bconv(x, 20)))
    return tf.keras.Model(inputs, L.Dense(3)(L.concatenate([a, b])))


def int8(build):
    # A range for every tensor turns the whole net to int8; the binary layers take and give int8 then.
    return {"convert_options": {"experimental_default_int8_range": (-8.0, 8.0)}, "note": f"int8 of {build.__name__}"}


for build in (shortcut, packed_valid, binary_max_pool, mlp):
    NETS[f"net_int8_{build.__name__}"] = (build, int8(build))
NETS["net_int8_io"] = (
    shortcut,
    {
        "convert_options": {
            "experimental_default_int8_range": (-8.0, 8.0),
            "inference_input_type": tf.int8,
            "inference_output_type": tf.int8,
        },
    },
)
