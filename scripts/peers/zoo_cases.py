"""The architectures of larq-zoo at 224x224, with random weights, converted and run by LCE.

    zoo_cases.py OUT [NAMES...] [--grid small|full] [--seed S] [--intermediates]

The published weights are not needed: what is compared is arithmetic. Batch norm statistics are those of a forward pass
over smooth random pictures, slightly moved, so that values keep a sensible size through all layers. What LCE's converter
refuses is printed with its reason.
"""

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


def main():
    parser = common.arguments(__doc__.splitlines()[0], names=True)
    parser.add_argument("--intermediates", action="store_true", help="also every tensor on the way (large)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    refused = {}
    for name in options.names or (NAMES if options.grid == "full" else ["QuickNetSmall"]):
        began = time.time()
        random = common.rng(options.seed, name)
        tf.keras.backend.clear_session()
        lce_tools.seed(int(random.integers(2**31)))
        try:
            with lce_tools.quiet():
                model = NAMES[name](weights=None)
            lce_tools.randomise(model, random, pictures(random, 4))
            case = lce_tools.write(options.out, name, model, pictures(random, 2),
                                   keep_intermediates=options.intermediates)
        except (lce_tools.Refused, ValueError, NotImplementedError) as error:
            refused[name] = str(error)
            print(f"{name:24} refused: {str(error).splitlines()[0][:300]}", flush=True)
            continue
        told = case.get("lce_cannot_run") or f"Keras - LCE: {case['keras_difference']:.1e}"
        size = (options.out / name / "model.tflite").stat().st_size
        kinds = sorted(set(case["operators"]))
        print(f"{name:24} {size:>10} bytes  {time.time() - began:4.0f} s  {told}  {' '.join(kinds)}", flush=True)
    common.write_json(options.out / "refused.json", refused)
    print(f"{len(common.index(options.out))} cases, {len(refused)} refused")


if __name__ == "__main__":
    main()
