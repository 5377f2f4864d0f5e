"""Find the nucleus and the whole cell in a crop of a stained blood smear that is centred on one white cell."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.filters import threshold_otsu
from skimage.morphology import convex_hull_image


@dataclass(frozen=True)
class Segmentation:
    """Masks of one cell, and whether they can be trusted.

    Attributes
    ----------
    nucleus, cell
        Masks, bool (H, W); the cell includes the nucleus.
    reason
        None where the masks can be trusted, otherwise why not; the masks are then the best guess, possibly empty.
    """

    nucleus: np.ndarray
    cell: np.ndarray
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the masks can be trusted."""
        return self.reason is None

    @cached_property
    def cytoplasm(self) -> np.ndarray:
        """Cell without nucleus, bool (H, W)."""
        return self.cell & ~self.nucleus

    @cached_property
    def hull(self) -> np.ndarray:
        """Convex hull of the nucleus, bool (H, W)."""
        return convex_hull_image(self.nucleus) if self.nucleus.any() else np.zeros_like(self.nucleus)

    @cached_property
    def roc(self) -> np.ndarray:
        """Part of the cytoplasm inside the convex hull of the nucleus, bool (H, W) (Tavakoli et al. 2021)."""
        return self.cytoplasm & self.hull


def segment(image: np.ndarray) -> Segmentation:
    lab = rgb2lab(image).astype(np.float32)
    stain = lab[..., 1] - lab[..., 2]
    mask = stain > threshold_otsu(stain)
    labels, n = ndimage.label(mask)
    nucleus = ndimage.binary_fill_holes(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:]))
    cell = ndimage.binary_fill_holes(ndimage.binary_dilation(nucleus, iterations=max(1, len(image) // 12)))
    return Segmentation(nucleus, cell | nucleus)
