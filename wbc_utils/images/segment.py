"""Find the nucleus and the whole cell in a crop of a stained blood smear that is centred on one white cell.

All lengths are fractions of the image or of the cell, all colours are relative to the empty slide: nothing is tuned to
a microscope.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from wbc_utils.images.masks import at_border, dilate, erode, fill_holes, large_parts, opened
from wbc_utils.images.stain import otsu, relative_lab

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

# Lengths as fractions of the image's size, the root of its area.
_BLUR = 0.009  # standard deviation of the smoothing
_NUCLEUS_DETAIL = 0.016  # radius; thinner parts of a nucleus are the dark rim that the lens gives the cell
_CELL_DETAIL = 0.02  # radius; thinner parts of a cell are the coloured rims of red cells
_MIDDLE = 0.2  # standard deviation of the weight that favours the middle
_OFF_CENTRE = 0.25  # distance of a nucleus from the middle, along the height or the width
# Lengths as fractions of the radius of a disc as large as the cell, or as the cells that touch.
_CELL_CORE = 0.08  # width of the cell's blurred rim
_NECK = 0.3  # half the width of what joins two cells
# Colours relative to the empty slide.
_DARKNESS = 0.5  # weight beside a* − b* in the stain, which is high in azure-stained chromatin: dark, red and blue
_CONTRAST = 10.0  # L*; an image with less is blank
_CHROMATIN = 60.0  # stain; red cells have about 30, the palest nuclei 80
_SPLIT = 0.2  # of the stain of the nucleus; parts of a cell that differ by less are both nucleus
_RED_GAP = 0.8  # of the purple of the nucleus; what has more is no red cell
# Areas and weights.
_RED_AREA = 0.01  # of the image; fewer red cells are too few to learn their hue from
_LOBE = 0.05  # of the area of the largest; smaller parts of a nucleus are dirt
_CUT = 0.05  # of the height and width; a cell with more of its outline on the border is cut
_SIMILAR = 0.5  # of the weight of the nucleus in the middle; another with more comes close


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
    4. The hue (a*, b* / darkness) of red cells is learnt from what is little purple and reaches the border; pixels
       nearer to it than to the hue of nuclei are cut off, and pale cytoplasm that is not nearer is added. Where the
       surroundings of the nuclei have the hue of red cells themselves, hue is no guide and nothing is cut.
    5. Of the cells that are left, parted at their necks, the one whose nuclei weigh most in the middle is kept, holes
       filled.
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

    References
    ----------
    Otsu 1979, IEEE Transactions on Systems, Man, and Cybernetics 9(1), 62-66.
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
    red = opened(away < ((white - typical) ** 2).sum() / 4, _BLUR * size)
    ring = dilate(chromatin, 2 * _CELL_DETAIL * size) & ~dilate(chromatin, _CELL_DETAIL * size)
    return None if red[ring & anything].sum() > ring.sum() / 2 else red


def _central(white: np.ndarray, chromatin: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the white cell whose chromatin weighs most in the middle, and whether another comes close."""
    vertical, horizontal = (np.exp(-(((np.arange(n) + 0.5) / n - 0.5) ** 2) / (2 * _MIDDLE**2)) for n in white.shape)
    weight = chromatin * vertical[:, None] * horizontal
    group, outer_rival = _heaviest(ndimage.label(white)[0], weight)
    cell, inner_rival = _heaviest(_parted(fill_holes(group)), weight)
    return cell, max(outer_rival, inner_rival) > _SIMILAR * weight[cell].sum()


def _heaviest(parts: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the heaviest of numbered parts, bool (H, W), and the weight of the second."""
    weights = np.bincount(parts.ravel(), weight.ravel(), minlength=3)
    weights[0] = 0
    best = np.argmax(weights)
    return parts == best, float(np.delete(weights, best).max())


def _parted(group: np.ndarray) -> np.ndarray:
    """Return the number of each cell of a connected group, int (H, W), cells parted where only a neck joins them."""
    bodies, count = ndimage.label(erode(group, _NECK * (group.sum() / np.pi) ** 0.5))
    if count < 2:
        return group.astype(np.intp)
    nearest = ndimage.distance_transform_edt(bodies == 0, return_distances=False, return_indices=True)
    return np.where(group, bodies[tuple(nearest)], 0)


def _nucleus(cell: np.ndarray, chromatin: np.ndarray, stain: np.ndarray, size: float) -> np.ndarray:
    """Return the nucleus of a cell, bool (H, W); the first guess where there is no cytoplasm to compare with."""
    guess = cell & chromatin
    inside = stain[erode(cell, _CELL_CORE * (cell.sum() / np.pi) ** 0.5)]
    if inside.size:
        threshold = otsu(inside)[0]
        high, low = inside[inside > threshold], inside[inside <= threshold]
        if high.size and low.size and high.mean() - low.mean() >= _SPLIT * high.mean():
            guess = opened(cell & (stain > threshold), _NUCLEUS_DETAIL * size)
    return large_parts(cell & fill_holes(guess), _LOBE)


def _doubt(nucleus: np.ndarray, cell: np.ndarray, rivalled: bool) -> str | None:
    """Return why the masks are not to be trusted, None if they are."""
    if not nucleus.any():
        return NO_NUCLEUS
    height, width = cell.shape
    y, x = (np.mean(where) for where in np.nonzero(nucleus))
    if max(abs(y / height - 0.5), abs(x / width - 0.5)) > _OFF_CENTRE:
        return OFF_CENTRE
    if rivalled:
        return SEVERAL
    if _on_border(nucleus) > 0:
        return CUT_NUCLEUS
    if _on_border(cell) > _CUT * (height + width):
        return CUT_CELL
    return None


def _on_border(mask: np.ndarray) -> int:
    return int(mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum())
