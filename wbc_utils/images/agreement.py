"""How well found masks agree with masks drawn by a person."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from wbc_utils.data.images import open_image
from wbc_utils.images.segment import segment
from wbc_utils.metrics.segmentation import dice

BACKGROUND, CYTOPLASM, NUCLEUS = 0, 1, 2


def read_truth(path: Path) -> np.ndarray:
    """Return a drawn mask as 0 background, 1 cytoplasm, 2 nucleus, uint8 (H, W); white is nucleus, grey cytoplasm."""
    grey = np.asarray(Image.open(path).convert("L"))
    return np.where(grey > 191, NUCLEUS, np.where(grey > 63, CYTOPLASM, BACKGROUND)).astype(np.uint8)


def agreement(images: Iterable[Path], truths: Iterable[Path]) -> pd.DataFrame:
    """Segment images and compare with the truth.

    Parameters
    ----------
    images, truths
        Files, pairwise.

    Returns
    -------
    pandas.DataFrame
        One row an image: ``path``, ``truth``, ``nucleus`` and ``cell`` (Dice coefficients; flagged images count with
        the masks they have), ``reason`` (empty where the segmentation trusts itself).
    """
    rows = []
    for path, truth in zip(images, truths, strict=True):
        drawn, found = read_truth(truth), segment(open_image(path))
        nucleus, cell = dice(found.nucleus, drawn == NUCLEUS), dice(found.cell, drawn != BACKGROUND)
        rows.append((path, truth, nucleus, cell, found.reason or ""))
    return pd.DataFrame(rows, columns=["path", "truth", "nucleus", "cell", "reason"])
