"""Draw the blood-cell-detection data set: PNG with alpha, boxes in pixels and, in a second file, as ratios."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.writing import Truth, put

SIZE, COUNT = 256, 30
TWICE = ("image-1.png", "image-100.png", "image-104.png", "image-114.png")
"""Images in which one box is annotated twice with different labels, as in the real release."""

_CORNERS = ["xmin", "ymin", "xmax", "ymax"]
_CODES = ("SNE", "LY", "MO", "EO", "BNE")


def _names(rng: np.random.Generator) -> list[str]:
    """Return file names with gaps in their numbering, in the text order of the real table."""
    others = rng.choice(np.setdiff1d(np.arange(2, 121), [100, 104, 114]), COUNT - len(TWICE), replace=False)
    return sorted([*TWICE, *(f"image-{number}.png" for number in others)])


def _rows(name: str, objects, rng: np.random.Generator) -> list[tuple]:
    """Return the annotation of one image as a hand would click it: within a pixel of the tight box."""
    rows = []
    for drawn in objects:
        if drawn.kind != "Platelets":
            clicked = np.clip(np.array(drawn.box) + rng.uniform(-1, 1, 4), 0, SIZE)
            rows.append((name, *map(float, clicked), drawn.kind.lower()))
    return rows


def _annotate_twice(rows: list[tuple]) -> list[tuple]:
    """Repeat one box under the other label: the white cell's in the first image, a red cell's in the others."""
    first, second = ("wbc", "rbc") if rows[0][0] == TWICE[0] else ("rbc", "wbc")
    index = next(i for i, row in enumerate(rows) if row[-1] == first)
    return [*rows[: index + 1], (*rows[index][:-1], second), *rows[index + 1 :]]


def _write_tables(folder: Path, table: pd.DataFrame, planted: list[dict]) -> None:
    """Write both CSV files; the newer one, in ratios, lacks the second label of image-1."""
    lines = ['"image","xmin","ymin","xmax","ymax","label"']
    for image, xmin, ymin, xmax, ymax, label in table.itertuples(index=False):
        corners = ",".join(str(int(value)) if value in (0, SIZE) else repr(value) for value in (xmin, ymin, xmax, ymax))
        lines.append(f'"{image}",{corners},"{label}"')
    put(folder / "annotations.csv", "\n".join(lines) + "\n")

    corrected = next(entry["rows"][1] for entry in planted if entry["image"] == f"images/{TWICE[0]}")
    ratio = table.drop(index=corrected)
    ratio[_CORNERS] /= SIZE
    ratio.insert(0, "image_id", ratio["image"].str.extract(r"-(\d+)\.", expand=False).astype(int))
    put(folder / "annotations_ratio.csv", ratio.to_csv(index=False, lineterminator="\n"))


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder and note what was planted."""
    rows: list[tuple] = []
    planted: list[dict] = []
    for name in _names(rng):
        code = str(rng.choice(_CODES, p=[0.45, 0.25, 0.12, 0.08, 0.10]))
        field = draw_field(
            rng, SIZE, SIZE, whites=[code], reds=int(rng.integers(14, 28)), platelets=int(rng.random() < 0.15),
            scale=6.8, look=LOOKS["bcd"].varied(rng),
        )  # fmt: skip
        opaque = np.dstack([field.image, np.full((SIZE, SIZE), 255, np.uint8)])
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(opaque).save(folder / "images" / name, compress_level=4)
        truth.add_boxes("bcd", f"images/{name}", field.objects)
        own = _rows(name, field.objects, rng)
        if name in TWICE:
            own = _annotate_twice(own)
            second = next(i for i in range(1, len(own)) if own[i][1:5] == own[i - 1][1:5])
            planted.append(
                {
                    "image": f"images/{name}",
                    "rows": [len(rows) + second - 1, len(rows) + second],
                    "labels": [own[second - 1][-1], own[second][-1]],
                }
            )
        rows += own
    _write_tables(folder, pd.DataFrame(rows, columns=["image", *_CORNERS, "label"]), planted)
    truth.planted["bcd"] = {"annotated_twice": planted}
