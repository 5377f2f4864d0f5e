"""Draw a field of a smear: white cells, platelets and red cells, with every box and mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wbc_utils.data.synthetic.cells import Patch, red_cell, stained_cell
from wbc_utils.data.synthetic.looks import LOOKS, Look, expose
from wbc_utils.data.synthetic.morphology import Morphology, sample

RED_DIAMETER = 7.5
"""Micrometres; the usual ruler of a blood smear."""

_LEAST_VISIBLE = 0.3


@dataclass(frozen=True)
class Drawn:
    """One drawn object.

    Attributes
    ----------
    kind
        ``RBC``, ``WBC`` or ``Platelets``.
    box
        Tight pixel edges xmin, ymin, xmax, ymax: the mask fills columns xmin to xmax - 1.
    cell, nucleus
        Masks inside the box, shape (ymax - ymin, xmax - xmin); the nucleus of a red cell or platelet is empty.
    morphology
        What was drawn, None for a red cell.
    """

    kind: str
    box: tuple[int, int, int, int]
    cell: np.ndarray
    nucleus: np.ndarray
    morphology: Morphology | None


@dataclass(frozen=True)
class Field:
    """A picture (uint8, (H, W, 3)) and what is in it; stained cells come before red cells."""

    image: np.ndarray
    objects: tuple[Drawn, ...]

    def mask(self, part: str, of: Sequence[Drawn] | None = None) -> np.ndarray:
        """Return the union of the ``cell`` or ``nucleus`` masks, by default of all white cells, bool (H, W)."""
        whole = np.zeros(self.image.shape[:2], bool)
        for drawn in [one for one in self.objects if one.kind == "WBC"] if of is None else of:
            left, top, right, bottom = drawn.box
            whole[top:bottom, left:right] |= getattr(drawn, part)
        return whole


class _Canvas:
    """Densities in the making, and what was put on them."""

    def __init__(self, height: int, width: int):
        self.red = np.zeros((height, width), np.float32)
        self.stain = np.zeros((height, width, 3), np.float32)
        self.objects: list[Drawn] = []

    def _window(self, x: float, y: float, shape) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return where a patch centred at a point lies on the canvas and which part of the patch that is."""
        on_canvas, on_patch = [], []
        for centre, length, limit in ((y, shape[0], self.red.shape[0]), (x, shape[1], self.red.shape[1])):
            start = round(centre) - length // 2
            first, last = np.clip([start, start + length], 0, limit)
            on_canvas.append(slice(first, last))
            on_patch.append(slice(first - start, last - start))
        return tuple(on_canvas), tuple(on_patch)

    def _note(self, kind: str, window, part, cell: np.ndarray, nucleus: np.ndarray, morphology) -> None:
        """List an object unless too little of it is inside the picture."""
        seen, inner = cell[part], nucleus[part]
        if seen.sum() < _LEAST_VISIBLE * cell.sum():
            return
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        tight = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        left, top = window[1].start + int(columns[0]), window[0].start + int(rows[0])
        box = (left, top, left + int(np.ptp(columns)) + 1, top + int(np.ptp(rows)) + 1)
        self.objects.append(Drawn(kind, box, seen[tight], inner[tight], morphology))

    def add_stained(self, x: float, y: float, patch: Patch, morphology: Morphology) -> None:
        window, part = self._window(x, y, patch.cover.shape)
        self.stain[window] = self.stain[window] * (1 - patch.cover[part][..., None]) + patch.stain[part]
        kind = "Platelets" if morphology.code == "PLATELET" else "WBC"
        self._note(kind, window, part, patch.cell, patch.nucleus, morphology)

    def add_red(self, x: float, y: float, thickness: np.ndarray, mask: np.ndarray) -> None:
        window, part = self._window(x, y, mask.shape)
        under, new = self.red[window], thickness[part]
        free = 1 - 0.9 * np.clip(self.stain[window].sum(axis=2) * 2, 0, 1)
        self.red[window] = np.maximum(under, new * free) + 0.3 * np.minimum(under, new * free)
        self._note("RBC", window, part, mask, np.zeros_like(mask), None)


def _place_whites(count: int, radii, width: float, height: float, rng) -> list[tuple[float, float]]:
    """Return centres (micrometres) for white cells that stay apart and mostly inside the field."""
    places: list[tuple[float, float]] = []
    for index in range(count):
        margin = min(0.8 * radii[index], 0.49 * min(width, height))
        tries = np.stack([rng.uniform(margin, width - margin, 80), rng.uniform(margin, height - margin, 80)], axis=1)
        gaps = np.full(80, np.inf)
        for (x, y), radius in zip(places, radii, strict=False):
            gaps = np.minimum(gaps, np.hypot(*(tries - (x, y)).T) - radius - radii[index])
        free = np.flatnonzero(gaps > 1)
        places.append(tuple(tries[free[0] if len(free) else np.argmax(gaps)]))
    return places


def _place_reds(count: int, taken: list[tuple[float, float, float]], width: float, height: float, rng):
    """Return centres (micrometres) of up to `count` red cells: some overlap each other, none a stained cell."""
    tries = np.stack([rng.uniform(-3, width + 3, 40 * count), rng.uniform(-3, height + 3, 40 * count)], axis=1)
    for x, y, radius in taken:
        tries = tries[np.hypot(*(tries - (x, y)).T) > radius + 0.52 * RED_DIAMETER]
    nearest = RED_DIAMETER * np.where(rng.random(len(tries)) < 0.4, rng.uniform(0.55, 0.9, len(tries)), 0.98)
    places = np.empty((0, 2))
    for at, least in zip(tries, nearest, strict=True):
        if len(places) == count:
            break
        if not len(places) or np.hypot(*(places - at).T).min() > least:
            places = np.vstack([places, at])
    return places


def _place_platelets(count: int, taken, width: float, height: float, rng) -> list[tuple[float, float]]:
    """Return centres (micrometres) of platelets, half of them beside another one."""
    places: list[tuple[float, float]] = []
    keep_off = np.array([(x, y, radius + 2.4) for x, y, radius in taken]).reshape(-1, 3)
    while len(places) < count:
        if places and rng.random() < 0.5:
            turn = rng.uniform(0, 2 * np.pi)
            at = np.array(places[-1]) + 3.7 * np.array([np.cos(turn), np.sin(turn)])
        else:
            at = np.array([rng.uniform(2, width - 2), rng.uniform(2, height - 2)])
        crowded = any(np.hypot(*(at - other)) < 3.2 for other in np.array(places).reshape(-1, 2))
        inside = 2 < at[0] < width - 2 and 2 < at[1] < height - 2
        if inside and not crowded and (np.hypot(*(keep_off[:, :2] - at).T) > keep_off[:, 2]).all():
            places.append((float(at[0]), float(at[1])))
    return places


def draw_field(
    rng: np.random.Generator,
    width: int = 640,
    height: int = 480,
    *,
    whites: Sequence[str | Morphology] = ("SNE",),
    reds: int = 20,
    platelets: int = 2,
    scale: float = 13.5,
    look: Look | str = "cbc",
    centred: bool = False,
) -> Field:
    """Draw a smear field.

    Parameters
    ----------
    rng
        Source of every random choice: the same state draws the same field.
    width, height
        Pixels.
    whites
        Codes of `wbc_utils.labels.CELL_TYPES`, or cells from `sample`. ``PLATELET`` is listed as ``Platelets``.
    reds, platelets
        Number of red cells tried (fewer where there is no room) and of further platelets.
    scale
        Pixels per micrometre.
    look
        A look or the name of one in `LOOKS`.
    centred
        Put the first white cell in the middle, as data sets of single cells do.
    """
    look = LOOKS[look] if isinstance(look, str) else look
    cells = [sample(one, rng) if isinstance(one, str) else one for one in whites]
    wide, high = width / scale, height / scale
    radii = [cell.diameter / 2 for cell in cells]
    places = _place_whites(len(cells), radii, wide, high, rng)
    if centred:
        places[0] = (wide / 2 + rng.normal(0, 0.3), high / 2 + rng.normal(0, 0.3))
    canvas = _Canvas(height, width)
    taken = [(x, y, radius) for (x, y), radius in zip(places, radii, strict=True)]
    for (x, y), cell in zip(places, cells, strict=True):
        canvas.add_stained(x * scale, y * scale, stained_cell(cell, scale, rng), cell)
    for x, y in _place_platelets(platelets, taken, wide, high, rng):
        cell = sample("PLATELET", rng, diameter=0.75)
        canvas.add_stained(x * scale, y * scale, stained_cell(cell, scale, rng), cell)
        taken.append((x, y, 0.3 * cell.diameter))
    for x, y in _place_reds(reds, taken, wide, high, rng):
        size = RED_DIAMETER * np.clip(rng.normal(1, 0.06), 0.8, 1.2)
        canvas.add_red(x * scale, y * scale, *red_cell(size, scale, look.pallor, look.rim, rng))
    return Field(expose(canvas.red, canvas.stain, look, scale, rng), tuple(canvas.objects))


def draw_cell(
    code: str, rng: np.random.Generator, size: int = 160, look: Look | str = "pbc"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one cell among red cells on a square picture 32 micrometres wide.

    Returns
    -------
    image, nucleus, cell
        uint8 (size, size, 3) and two bool masks (size, size); a platelet's nucleus is empty.
    """
    field = draw_field(
        rng, size, size, whites=[code], reds=int(rng.integers(8, 17)), platelets=0, scale=size / 32, look=look,
        centred=True,
    )  # fmt: skip
    centre = field.objects[:1]
    return field.image, field.mask("nucleus", centre), field.mask("cell", centre)
