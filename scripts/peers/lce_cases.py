"""Cases by Larq and LCE: nets over a grid of options, converted and run by LCE.

    lce_cases.py OUT [--grid small|full] [--seed S] [--only TEXT]

Two kinds: single layers `conv_*`, `dense_*`, whose options are drawn at random so that all of them meet, and nets
`net_*` of a few layers, one for each thing that converted networks are built of (lce_nets.py). What LCE's converter
refuses is printed with its reason and left out.
"""

import itertools

import lce_tools  # first: it quiets TensorFlow

import tensorflow as tf

import common
import lce_intermediates
import lce_nets

GRID = {
    "channels": (3, 7, 32, 33, 64, 70, 128),
    "filters": (1, 5, 32, 33, 70),
    "kernel": (1, 2, 3, (3, 2), 5),
    "strides": (1, 1, 2, (2, 1)),
    "dilation": (1, 1, 1, 2, (1, 2)),
    "groups": (1, 1, 1, 2, 4),
    "padding": ("same", "same", "valid"),
    "pad_values": (0, 1),
    "activation": (None, "relu", "relu6", "relu_n1", "prelu", "leaky"),
    "order": ("activation_norm", "norm_activation", "no_norm", "bias"),
    "next": ("none", "conv", "conv", "pool"),
    "quantizer": ("ste_sign", "ste_sign", "approx_sign", "magnitude_aware_sign"),
}
COUNTS = {"small": 12, "full": 120}


def conv_options(random):
    chosen = {key: values[int(random.integers(len(values)))] for key, values in GRID.items()}
    if chosen["groups"] > 1:
        # A group holds a multiple of 32 channels, else LCE refuses.
        chosen["channels"] = 32 * chosen["groups"]
        chosen["filters"] = 6 * chosen["groups"]
    if chosen["dilation"] != 1:
        # Keras refuses the two together.
        chosen["strides"] = 1
    if chosen["quantizer"] == "magnitude_aware_sign" and chosen["order"] == "no_norm":
        # A scaled dot product of exactly 0 is what each of the peer's kernels rounds to another side.
        chosen["order"] = "bias"
    if chosen["padding"] == "valid":
        chosen["pad_values"] = 0
    chosen["size"] = (int(random.integers(9, 12)), int(random.integers(9, 13)))
    return chosen


def one(out, name, build, seed, refused, samples=1, exact=False, **more):
    """Build, randomise, convert and save one case."""
    random = common.rng(seed, name)
    tf.keras.backend.clear_session()
    lce_tools.seed(int(random.integers(2**31)))
    try:
        with lce_tools.quiet():
            model = build()
        shape = model.input_shape[1:]
        batch = model.input_shape[0]
        draw = common.dyadic if exact else common.normal
        lce_tools.randomise(model, random, draw(random, (batch or 32, *shape)), exact=exact)
        inputs = draw(random, (samples * (batch or 1), *shape))
        case = lce_tools.write(out, name, model, inputs, exact=exact, **more)
    except (lce_tools.Refused, lce_intermediates.Disagree, ValueError, NotImplementedError) as error:
        refused[name] = str(error)
        print(f"{name:32} refused: {str(error).splitlines()[0][:160]}")
        return
    told = case.get("lce_cannot_run") or f"Keras - LCE: {case['keras_difference']:.1e}"
    print(f"{name:32} {' '.join(case['operators'])[:120]}  {told}", flush=True)


def main():
    options = common.arguments(__doc__.splitlines()[0]).parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    refused = {}

    def wanted(name):
        return options.only in name

    for number in range(COUNTS[options.grid]):
        name = f"conv_{number:03}"
        if wanted(name):
            chosen = conv_options(common.rng(options.seed, "options of " + name))
            one(options.out, name, lambda: lce_nets.single_conv(chosen), options.seed, refused,
                exact=number % 3 == 0 and chosen["quantizer"] != "magnitude_aware_sign", options=chosen)
    for channels, filters in itertools.product((3, 33, 70, 256), (5, 70)):
        name = f"dense_{channels}_{filters}"
        if wanted(name) and (options.grid == "full" or channels == 70):
            one(options.out, name, lambda: lce_nets.single_dense(channels, filters), options.seed, refused,
                samples=3, exact=filters == 5)
    for name, (build, settings) in lce_nets.NETS.items():
        if wanted(name):
            one(options.out, name, build, options.seed, refused, **settings)
    common.write_json(options.out / "refused.json", refused)
    print(f"{len(common.index(options.out))} cases, {len(refused)} refused")


if __name__ == "__main__":
    main()
