"""Draw the WBCBench data set: thirteen classes, extremely unbalanced, CSV files with empty columns at the end."""

from pathlib import Path

import numpy as np

from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.writing import Truth, put, put_jpeg

SIZE, SCALE = 96, 4.2
COUNTS = {
    "SNE": 64, "LY": 45, "MO": 30, "EO": 20, "BNE": 16, "BL": 12, "MY": 9, "MMY": 8, "PMY": 6, "VLY": 4, "BA": 3,
    "PC": 2, "PLY": 1,
}  # fmt: skip
"""Images of each class; the largest is 64 times the smallest."""

_SPLITS = ("train", "train", "train", "val", "test")


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder; nothing is planted in it."""
    codes = [(code, index) for code, count in COUNTS.items() for index in range(count)]
    lines: dict[str, list[str]] = {split: ["ID,labels,split,,"] for split in dict.fromkeys(_SPLITS)}
    for number, position in enumerate(rng.permutation(len(codes)).tolist(), start=1):
        code, index = codes[position]
        field = draw_field(
            rng, SIZE, SIZE, whites=[code], reds=int(rng.integers(3, 10)), platelets=0, scale=SCALE,
            look=LOOKS["wbcbench"].varied(rng, 1.5), centred=True,
        )  # fmt: skip
        name, split = f"{number:08d}.jpg", _SPLITS[index % len(_SPLITS)]
        put_jpeg(folder / "images" / name, field.image)
        lines[split].append(f"{name},{code},{split},,")
    for split, rows in lines.items():
        put(folder / f"{split}.csv", "\n".join(rows) + "\n")
    truth.planted["wbcbench"] = {}
