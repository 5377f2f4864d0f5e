"""What the boxes of a class look like, in two colour statistics, and how far a box is from that.

Stained nuclei make white cells blue and purple, haemoglobin makes red cells pink; mean saturation and the blueness of
the bluest tenth of the pixels tell them apart without any training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from wbc_utils.data.images import ImageError, open_image

REFERENCES = 400
"""Boxes of each class that are looked at, evenly spaced over the table."""

FEWEST_REFERENCES = 5
"""Below this many boxes the spread of a class is not known well enough to judge by."""


def describe(pixels: np.ndarray) -> np.ndarray:
    """Return mean saturation and the 90th percentile of blueness.

    Parameters
    ----------
    pixels
        ``uint8``, height × width × 3, RGB.

    Returns
    -------
    numpy.ndarray
        Saturation is (max − min) / max over the channels as in HSV, 0 for black; blueness is (B − R) / 255.
    """
    colors = pixels.reshape(-1, 3).astype(float)
    highest = colors.max(axis=1)
    saturation = (highest - colors.min(axis=1)) / np.maximum(highest, 1)
    blueness = (colors[:, 2] - colors[:, 0]) / 255
    return np.array([saturation.mean(), np.percentile(blueness, 90)])


@dataclass(frozen=True)
class Appearance:
    """Mean and standard deviation of the statistics of `describe`, by class.

    Attributes
    ----------
    means, deviations
        One array of two numbers a class; a class with too few readable boxes is absent.
    """

    means: Mapping[str, np.ndarray]
    deviations: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, boxes: pd.DataFrame, paths: pd.Series) -> "Appearance":
        """Measure the boxes of a table; an image that cannot be decoded gives no reference.

        Parameters
        ----------
        boxes
            Rows with ``image``, ``class`` and the four coordinates in pixels.
        paths
            Absolute path of each image, indexed by ``image``.
        """
        chosen = []
        for _, rows in boxes.groupby("class"):
            positions = np.linspace(0, len(rows) - 1, min(REFERENCES, len(rows)))
            chosen.append(rows.iloc[np.unique(positions.astype(int))])
        measured: dict[str, list[np.ndarray]] = {}
        for image, rows in pd.concat(chosen).groupby("image") if chosen else ():
            try:
                pixels = open_image(Path(paths[image]))
            except ImageError:
                continue
            for _, box in rows.iterrows():
                measured.setdefault(box["class"], []).append(describe(_crop(pixels, box)))
        known = {name: np.array(values) for name, values in measured.items() if len(values) >= FEWEST_REFERENCES}
        return cls(
            {name: values.mean(axis=0) for name, values in known.items()},
            {name: np.maximum(values.std(axis=0, ddof=1), 1e-3) for name, values in known.items()},
        )

    def distances(self, box: pd.Series, paths: pd.Series) -> dict[str, float]:
        """Return the standardised distance of one box to each class; nothing if its image cannot be decoded.

        The distance is the root mean square of (statistic − class mean) / class standard deviation.
        """
        try:
            found = describe(_crop(open_image(Path(paths[box["image"]])), box))
        except ImageError:
            return {}
        scaled = {name: (found - mean) / self.deviations[name] for name, mean in self.means.items()}
        return {name: float(np.sqrt(np.mean(values**2))) for name, values in scaled.items()}


def _crop(pixels: np.ndarray, box: pd.Series) -> np.ndarray:
    height, width = pixels.shape[:2]
    left, top = min(int(box["xmin"]), width - 1), min(int(box["ymin"]), height - 1)
    right, bottom = int(np.ceil(box["xmax"])), int(np.ceil(box["ymax"]))
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
