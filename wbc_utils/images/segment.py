"""Find the nucleus and the whole cell in a crop of a stained blood smear that is centred on one white cell.

All lengths are fractions of the image or of the cell, all colours are relative to the empty slide: nothing is tuned to
a microscope.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from wbc_utils.images.stain import otsu, relative_lab
from wbc_utils.images.masks import at_border, dilate, erode, fill_holes, large_parts, opened

SMALLEST = 32
"""Least height and width in pixels; below, an image holds too few pixels for a nucleus."""

TOO_SMALL = f"the image is smaller than {SMALLEST} pixels"
BLANK = "the image is blank"
NO_NUCLEUS = "no nucleus found"
OFF_CENTRE = "no cell in the middle of the image"
CUT_NUCLEUS = "the nucleus touches the border of the image"
CUT_CELL = "the cell is cut by the border of the image"
SEVERAL = "several nuclei of similar size"
REASONS = (TOO_SMALL, BLANK, NO_NUCLEUS, OFF_CENTRE, CUT_NUCLEUS, CUT_CELL, SEVERAL)
"""Every reason a segmentation may give."""

# Fractions of the image's size, the root of its area.
_BLUR = 0.009
_NUCLEUS_DETAIL = 0.016  # thinner parts of the nucleus are the dark rim that the lens gives the cell
_CELL_DETAIL = 0.02
_MIDDLE = 0.2  # standard deviation of the weight that favours the middle
_CELL_CORE = 0.08  # of the cell's radius: width of the blurred rim
# Stain is a* − b* + darkness / 2: high in azure-stained chromatin, which is dark, red-purple and blue.
_DARKNESS = 0.5
_CONTRAST = 10.0  # L*: less is a blank image
_CHROMATIN = 45.0  # stain of the palest chromatin
_SPLIT = 0.2  # of the stain of the nucleus: less between the two parts of a cell is texture, not cytoplasm
_RED_GAP = 0.8  # of the purple of the nucleus: red cells are below
_SIMILAR = 0.5
_LOBE = 0.2  # of the area of the largest: parts of nuclei that count
_NECK = 0.4  # of the radius of a disc as large as both: narrower is a neck between two cells
_RED_AREA = 0.01  # of the image


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Masks of one cell, and whether they can be trusted.

    Attributes
    ----------
    nucleus, cell
        Masks, bool (H, W); the cell includes the nucleus.
    reason
        None where the masks can be trusted, otherwise one of ``REASONS``; the masks are then the best guess, possibly
        empty.
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
    """Find the nucleus and the cell in the middle of an image.

    1. CIELab with the empty slide as white (``relative_lab``).
    2. Three Otsu classes of darkness: the brightest is the slide, the rest cells.
    3. Three Otsu classes of stain, a* − b* + darkness / 2: the highest are nuclei, as a first guess.
    4. Red cells are less purple for their darkness than nuclei; what they look like is learnt from the cells without
       nucleus, and they are cut off.
    5. Of the white cells the one whose nuclei weigh most in the middle is kept, holes filled.
    6. Two Otsu classes of stain inside this cell, without its blurred rim: the nucleus.

    Parameters
    ----------
    image
        RGB, uint8 (H, W, 3), one white cell in the middle; 64 to 400 pixels wide.

    Returns
    -------
    Segmentation
        Its ``reason`` is set where the masks cannot be trusted. The nucleus of a platelet is its granulomere.

    Raises
    ------
    ValueError
        If the array is not an RGB image of type uint8.
    """
    _check(image)
    height, width = image.shape[:2]
    nothing = np.zeros((height, width), bool)
    if min(height, width) < SMALLEST:
        return Segmentation(nothing, nothing, TOO_SMALL)
    size = (height * width) ** 0.5
    lightness, a, b = relative_lab(image, _BLUR * size)
    darkness = np.maximum(100 - lightness, 0)
    if darkness.max() - darkness.min() < _CONTRAST:
        return Segmentation(nothing, nothing, BLANK)
    purple = a - b
    stain = purple + _DARKNESS * darkness
    dark = otsu(darkness, classes=3)[0]
    anything = fill_holes(darkness > dark)
    chromatin = opened(anything & (stain > max(otsu(stain, classes=3)[1], _CHROMATIN)), _NUCLEUS_DETAIL * size)
    if not chromatin.any():
        return Segmentation(nothing, nothing, NO_NUCLEUS)
    hue = np.stack([a, b]) / np.maximum(darkness, 3)
    red = _red_cells(anything, chromatin, hue, size)
    white = anything if red is None else (darkness > dark / 2) & ~red
    white = opened(white | chromatin, _CELL_DETAIL * size) | chromatin
    cell, rivalled = _central(white, chromatin)
    nucleus = _nucleus(cell, chromatin, stain, size)
    return Segmentation(nucleus, cell, _doubt(nucleus, cell, rivalled))


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"Found an array of shape {image.shape} and type {image.dtype}; allowed is an RGB image of shape (H, W, 3) "
            "and type uint8. Read the file with wbc_utils.data.images.open_image, which converts grey, transparent and "
            "16-bit images."
        )


def _red_cells(anything: np.ndarray, chromatin: np.ndarray, hue: np.ndarray, size: float) -> np.ndarray | None:
    """Return the pixels of the hue of red cells, bool (H, W), None where there are no red cells to learn it from.

    Cytoplasm can be as little purple as red cells, but only red cells reach the border of an image centred on a cell.
    """
    purple = np.clip(hue[0] - hue[1], 0, 2)
    known = at_border(opened(anything & (purple < otsu(purple[anything])[0]), _CELL_DETAIL * size))
    if known.mean() < _RED_AREA:
        return None
    typical, white = np.median(hue[:, known], axis=1), np.median(hue[:, chromatin], axis=1)
    if typical[0] - typical[1] > _RED_GAP * (white[0] - white[1]):
        return None
    away = ((hue - typical[:, None, None]) ** 2).sum(axis=0)
    red = away < ((white - typical) ** 2).sum() / 4
    ring = dilate(chromatin, 2 * _CELL_DETAIL * size) & ~dilate(chromatin, _CELL_DETAIL * size)
    return None if red[ring & anything].sum() > ring.sum() / 2 else red


def _parted(white: np.ndarray, chromatin: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the connected white cells, touching ones parted at their neck; return int (H, W) and how many."""
    parts, count = ndimage.label(white)
    lobes, _ = ndimage.label(large_parts(chromatin, _LOBE))
    for part in range(1, count + 1):
        whole = parts == part
        if len(np.unique(lobes[whole & (lobes > 0)])) < 2:
            continue
        bodies, _ = ndimage.label(erode(fill_holes(whole), _NECK * (whole.sum() / np.pi) ** 0.5))
        own = np.unique(bodies[(lobes > 0) & (bodies > 0)])
        if len(own) < 2:
            continue
        nearest = ndimage.distance_transform_edt(~np.isin(bodies, own), return_distances=False, return_indices=True)
        for body in own[1:]:
            count += 1
            parts[whole & (bodies[tuple(nearest)] == body)] = count
    return parts, count


def _central(white: np.ndarray, chromatin: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the white cell whose chromatin weighs most in the middle, and whether another comes close."""
    parts, count = _parted(white, chromatin)
    vertical, horizontal = (np.exp(-(((np.arange(n) + 0.5) / n - 0.5) ** 2) / (2 * _MIDDLE**2)) for n in white.shape)
    weight = np.bincount(parts[chromatin], (vertical[:, None] * horizontal)[chromatin], minlength=count + 1)
    best = int(np.argmax(weight))
    rivals = np.delete(weight, best)
    return fill_holes(parts == best), bool(rivals.max() > _SIMILAR * weight[best])


def _nucleus(cell: np.ndarray, chromatin: np.ndarray, stain: np.ndarray, size: float) -> np.ndarray:
    """Return the nucleus of a cell, bool (H, W); the first guess where there is no cytoplasm to compare with."""
    guess = cell & chromatin
    inside = stain[erode(cell, _CELL_CORE * (cell.sum() / np.pi) ** 0.5)]
    if inside.size:
        threshold = otsu(inside)[0]
        high, low = inside[inside > threshold], inside[inside <= threshold]
        if high.size and low.size and high.mean() - low.mean() >= _SPLIT * high.mean():
            guess = opened(cell & (stain > threshold), _NUCLEUS_DETAIL * size)
    return large_parts(fill_holes(guess), 0.05)


def _doubt(nucleus: np.ndarray, cell: np.ndarray, rivalled: bool) -> str | None:
    """Return why the masks are not to be trusted, None if they are."""
    if not nucleus.any():
        return NO_NUCLEUS
    height, width = cell.shape
    y, x = (np.mean(where) for where in np.nonzero(nucleus))
    if max(abs(y / height - 0.5), abs(x / width - 0.5)) > 0.3:
        return OFF_CENTRE
    if rivalled:
        return SEVERAL
    if _on_border(nucleus) > 0:
        return CUT_NUCLEUS
    if _on_border(cell) > 0.05 * (height + width):
        return CUT_CELL
    return None


def _on_border(mask: np.ndarray) -> int:
    return int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
