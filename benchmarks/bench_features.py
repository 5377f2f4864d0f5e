"""Speed of the 89 features on one core, against the same numbers in plain scikit-image (plain_features.py).

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_features.py [FOLDER]

Without a folder of cell images, 140 cells of all nucleated types are drawn at 160 × 160 pixels. Both sides get the same
decoded image and masks and are compared number by number. Decoding and segmentation are timed
beside them; nothing is written.
"""

import io
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from plain_features import plain_features
from sheet import Sheet, take_turns

from wbc_utils.data.images import find_images, open_image
from wbc_utils.data.synthetic.cells import stained_cell
from wbc_utils.data.synthetic.morphology import MORPHOLOGIES, sample
from wbc_utils.images.cytoplasm import extract_tavakoli
from wbc_utils.images.features import FEATURES, extract
from wbc_utils.images.segment import Segmentation, segment

SIDE = 160
SCALE = 7.0  # pixels per micrometre
CELLS_A_TYPE = 10
REPEATS = 7
MOST = 300  # images taken from a folder


def draw_cells() -> list[tuple[np.ndarray, Segmentation]]:
    """Draw cells of every nucleated type with their true masks."""
    rng = np.random.default_rng(0)
    found = []
    for code in [code for code, typical in MORPHOLOGIES.items() if typical.lobes] * CELLS_A_TYPE:
        patch = stained_cell(sample(code, rng), SCALE, rng)
        height, width = patch.cell.shape
        side = max(height, width, SIDE)
        top, left = (side - height) // 2, (side - width) // 2
        margins = ((top, side - height - top), (left, side - width - left))
        stain = np.pad(patch.stain, (*margins, (0, 0)))
        image = 235 * np.exp(-stain) + rng.normal(0, 3, stain.shape)
        nucleus, cell = np.pad(patch.nucleus & patch.cell, margins), np.pad(patch.cell, margins)
        found.append((np.clip(image, 0, 255).astype(np.uint8), Segmentation(nucleus, cell)))
    return found


def read_cells(folder: Path) -> list[tuple[np.ndarray, Segmentation]]:
    """Read and segment a sample of the images of a folder; those without nucleus are left out."""
    names = find_images(folder)
    images = [open_image(folder / name) for name in names[:: max(1, len(names) // MOST)][:MOST]]
    return [(image, masks) for image in images if (masks := segment(image)).nucleus.any()]


def ours(cells) -> np.ndarray:
    """Measure all cells with the package."""
    return np.stack([extract(image, masks) for image, masks in cells])


def peer(cells) -> np.ndarray:
    """Measure all cells with plain scikit-image."""
    return np.stack([plain_features(image, masks.nucleus, masks.cell) for image, masks in cells])


def compare(sheet: Sheet, cells) -> None:
    """Compare the numbers, then time both sides in turns."""
    found, expected = ours(cells), peer(cells)
    apart = np.abs(found - expected) / np.maximum(np.abs(expected), np.finfo(float).tiny)
    worst = np.unravel_index(apart.argmax(), apart.shape)
    sheet.note(f"largest relative difference of {found.size} numbers: {apart.max():.1e} ({FEATURES[worst[1]].name})")
    our_times, peer_times = take_turns(
        lambda: ours(cells), lambda: peer(cells), repeats=REPEATS, clock=time.process_time
    )
    sheet.ratio("89 features, one core", our_times, peer_times, peer="plain scikit-image", asked="≥ 4")
    sheet.line("89 features, one core", [len(cells) / value for value in our_times], "images/s")
    sheet.line("the same in plain scikit-image, one core", [len(cells) / value for value in peer_times], "images/s")


def chain(sheet: Sheet, cells) -> None:
    """Time the steps beside the features, and the whole way from file to features."""

    def jpeg(image: np.ndarray) -> io.BytesIO:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=85)
        return file

    files = [jpeg(image) for image, _ in cells]

    def whole(files) -> None:
        for file in files:
            image = np.array(Image.open(file))
            masks = segment(image)
            if masks.nucleus.any():
                extract(image, masks)

    steps = {
        "decoding (JPEG)": (lambda files: [np.array(Image.open(file)) for file in files], files),
        "segmentation": (lambda cells: [segment(image) for image, _ in cells], cells),
        "51 features of report 004": (lambda cells: [extract_tavakoli(*cell) for cell in cells], cells),
        "decoding, segmentation and 89 features": (whole, files),
    }
    for name, (step, items) in steps.items():
        [times] = take_turns(lambda step=step, items=items: step(items), repeats=3, clock=time.process_time)
        sheet.line(name, [len(items) / value for value in times], "images/s")


def main() -> None:
    """Run the benchmark."""
    cells = read_cells(Path(sys.argv[1])) if len(sys.argv) > 1 else draw_cells()
    if not cells:
        sys.exit(f"{sys.argv[1]} holds no images of cells")
    sides = sorted({image.shape[0] for image, _ in cells})
    with Sheet("features", "the 89 features of a cell", ("numpy", "scipy", "scikit-image")) as sheet:
        sheet.note(f"{len(cells)} cells, {sides[0]}–{sides[-1]} pixels; {REPEATS} repeats; processor times")
        compare(sheet, cells)
        chain(sheet, cells)


if __name__ == "__main__":
    main()
