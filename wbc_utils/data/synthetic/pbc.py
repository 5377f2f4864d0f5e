"""Draw the Barcelona data set: one centred cell an image, eight folders, the fine label in the file name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wbc_utils.data.synthetic import attributes
from wbc_utils.data.synthetic.fields import Drawn, draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.writing import Truth, jpeg_bytes, put, put_mask

SIZE, SCALE = 160, 5.0
FOLDERS = {
    "PMY": "ig", "MY": "ig", "MMY": "ig", "IG": "ig", "BNE": "neutrophil", "SNE": "neutrophil",
    "NEUTROPHIL": "neutrophil", "EO": "eosinophil", "BA": "basophil", "MO": "monocyte", "LY": "lymphocyte",
    "ERB": "erythroblast", "PLATELET": "platelet",
}  # fmt: skip
COUNTS = {
    "PMY": 14, "MY": 24, "MMY": 21, "IG": 6, "BNE": 36, "SNE": 36, "NEUTROPHIL": 4, "EO": 52, "BA": 22, "MO": 25,
    "LY": 22, "ERB": 25, "PLATELET": 36,
}  # fmt: skip
"""Images drawn of each prefix; the seven planted duplicates come on top."""

_TOP = "PBC_dataset_normal_DIB"
_CHANGES = {
    "rotated by 90 degrees": np.rot90,
    "mirrored": np.fliplr,
    "turned upside down": np.flipud,
}


@dataclass
class _Item:
    """One image: path below the data set's folder, pixels, file content, the cell in its middle and its masks."""

    path: str
    pixels: np.ndarray
    jpeg: bytes
    centre: Drawn
    nucleus: np.ndarray
    cell: np.ndarray


def _path(prefix: str, number: int) -> str:
    return f"{_TOP}/{FOLDERS[prefix]}/{prefix}_{number}.jpg"


def _draw(prefix: str, number: int, rng: np.random.Generator) -> _Item:
    field = draw_field(
        rng, SIZE, SIZE, whites=[prefix], reds=int(rng.integers(6, 18)), platelets=int(rng.random() < 0.15),
        scale=SCALE, look=LOOKS["pbc"].varied(rng), centred=True,
    )  # fmt: skip
    centre = field.objects[0]
    nucleus, cell = field.mask("nucleus", [centre]), field.mask("cell", [centre])
    return _Item(_path(prefix, number), field.image, jpeg_bytes(field.image, 85), centre, nucleus, cell)


def _write(folder: Path, truth_folder: Path, item: _Item) -> None:
    put(folder / item.path, item.jpeg)
    put_mask(truth_folder / item.path.replace(_TOP, "pbc").replace(".jpg", ".png"), item.nucleus, item.cell)


def _copy(item: _Item, path: str, change=None) -> _Item:
    """Return the item under another name: byte for byte, or turned and encoded again."""
    if change is None:
        return _Item(path, item.pixels, item.jpeg, item.centre, item.nucleus, item.cell)
    pixels = np.ascontiguousarray(change(item.pixels))
    return _Item(path, pixels, jpeg_bytes(pixels, 70), item.centre, change(item.nucleus), change(item.cell))


def _duplicates(by_prefix: dict[str, list[_Item]], numbers) -> tuple[list[_Item], dict]:
    """Return the planted copies and their description."""
    copies: list[_Item] = []
    planted: dict[str, list] = {"exact_duplicates": [], "conflicting_duplicates": [], "near_duplicates": []}
    for prefix, under, key in (
        ("EO", "EO", "exact_duplicates"),
        ("SNE", "SNE", "exact_duplicates"),
        ("PLATELET", "PLATELET", "exact_duplicates"),
        ("MY", "MMY", "conflicting_duplicates"),
    ):
        original = by_prefix[prefix][2]
        copies.append(_copy(original, _path(under, next(numbers))))
        planted[key].append([original.path, copies[-1].path])
    for prefix, (words, change) in zip(("BNE", "MO", "ERB"), _CHANGES.items(), strict=True):
        original = by_prefix[prefix][4]
        copies.append(_copy(original, _path(prefix, next(numbers)), change))
        planted["near_duplicates"].append({"original": original.path, "copy": copies[-1].path, "change": words})
    return copies, planted


def write(folder: Path, rng: np.random.Generator, truth: Truth) -> None:
    """Write the data set into a folder, its masks into ``truth/pbc`` beside it, and note what was planted."""
    numbers = iter(rng.choice(np.arange(1000, 999_999), sum(COUNTS.values()) + 7, replace=False).tolist())
    by_prefix = {prefix: [_draw(prefix, next(numbers), rng) for _ in range(n)] for prefix, n in COUNTS.items()}
    copies, planted = _duplicates(by_prefix, numbers)
    drawn = [item for items in by_prefix.values() for item in items]
    for item in drawn + copies:
        _write(folder, folder.parent / "truth", item)

    lines = [",".join(attributes.COLUMNS)]
    for prefix, items in by_prefix.items():
        for item in items[::3] + items[1::3] if prefix in attributes.LABELS else []:
            name = Path(item.path).name
            lines.append(",".join(attributes.describe(name, item.centre.morphology, item.nucleus, item.cell)))
    put(folder / "wbcatt_attributes.csv", "\r\n".join(lines) + "\r\n")
    truth.planted["pbc"] = planted
