"""Draw the CytologIA challenge: fields with one boxed white cell or more, classes in the challenge's spelling."""

from pathlib import Path

import numpy as np

from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.morphology import Morphology, sample
from wbc_utils.data.synthetic.writing import Truth, put, put_jpeg
from wbc_utils.labels import CYTOLOGIA_CODES

SIZE, COUNT, CROWDED = 360, 30, 5
"""Pixels, images, and how many images show more than one white cell."""

_SHARES = {
    "PNN": 0.30, "LY": 0.18, "MO": 0.10, "EO": 0.08, "BA": 0.05, "B": 0.07, "PM": 0.04, "M": 0.05, "MM": 0.04,
    "LH_lyAct": 0.04, "Er": 0.03, "LLC": 0.02,
}  # fmt: skip


def _cell(name: str, rng: np.random.Generator) -> Morphology:
    """Draw the morphology of a class; CLL cells, which have no code, are lymphocytes with clumpier chromatin."""
    if name == "LLC":
        return sample("LY", rng, clump=1.3, contrast=1.5)
    return sample(CYTOLOGIA_CODES[name], rng)


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder and note what was planted."""
    lines, crowded = ["NAME,x1,y1,x2,y2,class"], []
    several = set(rng.choice(COUNT, CROWDED, replace=False).tolist())
    numbers = np.sort(rng.choice(np.arange(1, 100_000), COUNT, replace=False))
    for index, number in enumerate(numbers):
        count = int(rng.integers(2, 4)) if index in several else 1
        names = [str(name) for name in rng.choice(list(_SHARES), count, p=list(_SHARES.values()))]
        field = draw_field(
            rng, SIZE, SIZE, whites=[_cell(name, rng) for name in names], reds=int(rng.integers(18, 40)),
            platelets=int(rng.integers(0, 4)), scale=6.0, look=LOOKS["cytologia"].varied(rng, 1.5),
        )  # fmt: skip
        image = f"{number:05d}.jpg"
        put_jpeg(folder / "images" / image, field.image)
        truth.add_boxes("cytologia", f"images/{image}", field.objects)
        for name, drawn in zip(names, field.objects, strict=False):
            lines.append(",".join(map(str, [image, *drawn.box, name])))
        if count > 1:
            crowded.append(f"images/{image}")
    put(folder / "train.csv", "\n".join(lines) + "\n")
    truth.planted["cytologia"] = {"several_white_cells": crowded}
