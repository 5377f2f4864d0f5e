"""What is around a cell: the empty slide, the red cells and the camera, measured without looking at the cell.

Nothing here knows the cell type. What can be predicted from it was learnt from the slide, the stain, the patient or the
microscope, not from the cell.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed, parallel_config

from wbc_utils import repro
from wbc_utils.data.images import ImageError, open_image
from wbc_utils.images.masks import dilate
from wbc_utils.images.segment import segment
from wbc_utils.images.stain import otsu

SURROUNDINGS: dict[str, tuple[str, ...]] = {
    "colour of the slide": ("slide_r", "slide_g", "slide_b"),
    "colour of the red cells": ("red_r", "red_g", "red_b", "red_spread_r", "red_spread_g", "red_spread_b"),
    "sharpness and noise": ("edge_50", "edge_90", "edge_99", "noise_r", "noise_g", "noise_b"),
    "crowding": ("crowding",),
}
"""Names of the measures by kind, in the order of `surroundings`.

``slide`` and ``red``: mean of the empty slide and of what is darker but no nucleus, grey levels; ``spread``: standard
deviation; ``edge``: percentiles of the largest step to the right or lower neighbour, grey levels; ``noise``: mean
|2 x − left − right| on the slide, grey levels; ``crowding``: share that is no slide.
"""

FILLED = "the cell fills the border of the image"
BARE = "no slide or no red cells along the border of the image"

# Lengths as fractions of the image's size, the root of its area.
_BORDER = 0.10  # width of the border that is measured; the same for small and large cells
_HALO = 0.06  # around the cell; compression and sharpening carry its colour that far
_LEAST_BORDER = 0.5  # of the border; less is a matter of how large the cell is
_LEAST_PIXELS = 20  # of slide and of red cells
_BATCH = 64  # images a task


def surroundings(image: np.ndarray) -> np.ndarray | str:
    """Measure a border of fixed width, without the cell and its halo.

    Slide, red cells and nuclei are told apart by the three Otsu classes of brightness of the whole image.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3), one white cell in the middle.

    Returns
    -------
    numpy.ndarray or str
        The measures in the order of `SURROUNDINGS`, float64; or the reason why there are none, `FILLED` or `BARE`.
    """
    border = _border(image)
    if border is None:
        return FILLED
    levels = image.astype(np.float32)
    brightness = levels.sum(axis=2)
    dark, bright = otsu(brightness[::2, ::2], classes=3)
    slide = border & (brightness >= bright)
    red = border & (brightness >= dark) & (brightness < bright)
    plain = slide[:, 1:-1] & slide[:, 2:] & slide[:, :-2]
    if min(slide.sum(), red.sum(), plain.sum()) < _LEAST_PIXELS:
        return BARE
    grey = brightness / 3
    steps = np.maximum(np.abs(grey[:-1, 1:] - grey[:-1, :-1]), np.abs(grey[1:, :-1] - grey[:-1, :-1]))
    noise = np.abs(2 * levels[:, 1:-1] - levels[:, 2:] - levels[:, :-2])
    measures = [
        levels[slide].mean(axis=0),
        levels[red].mean(axis=0),
        levels[red].std(axis=0),
        np.percentile(steps[border[:-1, :-1]], [50, 90, 99]),
        noise[plain].mean(axis=0),
        [1 - slide.sum() / border.sum()],
    ]
    return np.concatenate(measures).astype(float)


def _border(image: np.ndarray) -> np.ndarray | None:
    """Return the pixels that are measured, bool (H, W), None if the cell leaves too few."""
    height, width = image.shape[:2]
    size = (height * width) ** 0.5
    thickness = max(1, round(_BORDER * size))
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    full = border.sum()
    cell = segment(image).cell
    if cell.any():
        border &= ~dilate(cell, _HALO * size)
    return border if border.sum() >= _LEAST_BORDER * full else None


def measure_surroundings(paths: Iterable[Path | str], workers: int | None = None) -> pd.DataFrame:
    """Measure the surroundings of the cells of image files.

    Parameters
    ----------
    paths
        Image files, each with one cell in the middle.
    workers
        Number of processes, each with one thread; by default one a core usable by this process.

    Returns
    -------
    pandas.DataFrame
        One row a file, in order: the measures of `SURROUNDINGS`, NaN where there are none, and ``reason`` why, else
        empty.
    """
    files = [Path(path) for path in paths]
    batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
    rows: list[np.ndarray | str] = []
    with parallel_config("loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=max(1, min(workers or cpu_count(), len(batches))), return_as="generator")
        for measured in pool(delayed(_measure_batch)(batch) for batch in batches):
            rows += measured
            repro.progress(f"surroundings: {len(rows)} of {len(files)} images")
    names = [name for kind in SURROUNDINGS.values() for name in kind]
    nothing = np.full(len(names), np.nan)
    values = [nothing if isinstance(row, str) else row for row in rows]
    frame = pd.DataFrame(np.array(values).reshape(-1, len(names)), columns=names)
    return frame.assign(reason=[row if isinstance(row, str) else "" for row in rows])


def _measure_batch(files: list[Path]) -> list[np.ndarray | str]:
    return [_measure(path) for path in files]


def _measure(path: Path) -> np.ndarray | str:
    try:
        return surroundings(open_image(path))
    except ImageError as error:
        return error.reason
