"""Draw the segmentation data set: BMP images, masks of nucleus and cytoplasm, class numbers 1 to 5."""

from pathlib import Path

import numpy as np
from PIL import Image

from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.writing import Truth, put, put_mask
from wbc_utils.labels import SEGWBC_CODES

SIZE, SCALE = 120, 5.8
COUNTS = {1: 17, 2: 7, 3: 6, 4: 4, 5: 2}
"""Images of each class number."""


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder; nothing is planted in it."""
    lines = ["image ID,class label"]
    classes = rng.permutation(np.repeat(list(COUNTS), list(COUNTS.values())))
    for number, kind in enumerate(classes.tolist(), start=1):
        look = LOOKS["segwbc-yellow" if rng.random() < 0.4 else "segwbc-white"].varied(rng)
        field = draw_field(
            rng, SIZE, SIZE, whites=[SEGWBC_CODES[kind]], reds=int(rng.integers(0, 5)), platelets=0, scale=SCALE,
            look=look, centred=True,
        )  # fmt: skip
        stem = folder / "Dataset 1" / f"{number:03d}"
        put_mask(stem.with_suffix(".png"), field.mask("nucleus"), field.mask("cell"))
        Image.fromarray(field.image).save(stem.with_suffix(".bmp"))
        lines.append(f"{number},{kind}")
    put(folder / "Class Labels of Dataset 1.csv", "\r\n".join(lines) + "\r\n")
    truth.planted["segwbc"] = {}
