"""The architectures of larq-zoo at 224x224, with random weights, converted and run by LCE.

    zoo_cases.py OUT [NAMES...] [--grid small|full] [--seed S] [--intermediates]

The published weights are not needed: what is compared is arithmetic. Batch norm statistics are those of a forward pass
over smooth random pictures, slightly moved, so that values keep a sensible size through all layers. What LCE's converter
refuses is printed with its reason.
"""

import subprocess
import sys
import time

import lce_tools  # first: it quiets TensorFlow

import larq_zoo
import numpy as np
import tensorflow as tf

import common

SIZE = 224
NAMES = {
    "QuickNetSmall": larq_zoo.sota.QuickNetSmall,
    "QuickNet": larq_zoo.sota.QuickNet,
    "QuickNetLarge": larq_zoo.sota.QuickNetLarge,
    **{
        name: getattr(larq_zoo.literature, name)
        for name in (
            "BinaryAlexNet", "BiRealNet", "BinaryResNetE18", "BinaryDenseNet28", "BinaryDenseNet37",
            "BinaryDenseNet37Dilated", "BinaryDenseNet45", "RealToBinaryNet", "MeliusNet22", "XNORNet", "DoReFaNet",
        )
    },
}


def pictures(random, count):
    """Smooth random pictures: noise of a few pixels, enlarged, with the scale that the zoo's preprocessing gives."""
    total = np.zeros((count, SIZE, SIZE, 3), np.float32)
    for cells in (4, 14, 56):
        noise = common.normal(random, (count, cells, cells, 3))
        total += tf.image.resize(noise, (SIZE, SIZE), method="bicubic").numpy()
    return (total / np.std(total)).astype(np.float32)


def soften(model, inputs):
    """Smaller logits where a random last layer makes a softmax of ones and zeros, which would hide differences."""
    last = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.Dense)]
    if not last or hasattr(last[-1], "kernel_quantizer"):
        return
    for _ in range(3):
        with lce_tools.quiet():
            spread = np.std(np.log(np.maximum(model.predict(inputs, verbose=0), 1e-30)))
        if spread < 2.0:
            break
        last[-1].set_weights([weight / np.float32(spread) for weight in last[-1].get_weights()])


def one(options, name):
    began = time.time()
    random = common.rng(options.seed, name)
    lce_tools.seed(int(random.integers(2**31)))
    with lce_tools.quiet():
        model = NAMES[name](weights=None)
    lce_tools.randomise(model, random, pictures(random, 4))
    inputs = pictures(random, 2)
    soften(model, inputs)
    case = lce_tools.write(options.out, name, model, inputs, keep_intermediates=options.intermediates)
    told = case.get("lce_cannot_run") or f"Keras - LCE: {case['keras_difference']:.1e}"
    size = (options.out / name / "model.tflite").stat().st_size
    print(f"{name:24} {size:>10} bytes  {time.time() - began:4.0f} s  {told}  {' '.join(sorted(set(case['operators'])))}")


def main():
    parser = common.arguments(__doc__.splitlines()[0], names=True)
    parser.add_argument("--intermediates", action="store_true", help="also every tensor on the way (large)")
    options = parser.parse_intermixed_args()
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.names or (list(NAMES) if options.grid == "full" else ["QuickNetSmall"])
    if len(names) == 1:
        try:
            one(options, names[0])
            common.index(options.out)
        except (lce_tools.Refused, ValueError, NotImplementedError) as error:
            sys.exit(f"refused: {str(error).splitlines()[0][:300]}")
        return
    # Each in a process of its own, since the converter can end its process.
    refused = {}
    for name in names:
        more = ["--intermediates"] if options.intermediates else []
        command = [sys.executable, __file__, str(options.out), name, "--seed", str(options.seed), *more]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        print(done.stdout, end="", flush=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("refused: ")]
            refused[name] = said[-1] if said else f"the process ended with status {done.returncode}"
            print(f"{name:24} {refused[name]}", flush=True)
    common.write_json(options.out / "refused.json", refused)
    print(f"{len(common.index(options.out))} cases, {len(refused)} refused")


if __name__ == "__main__":
    main()
