"""Cells with known masks: geometric figures and drawn cells; and the plain implementation to compare with."""

import importlib.util
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wbc_utils.data.synthetic.cells import stained_cell
from wbc_utils.data.synthetic.morphology import MORPHOLOGIES, sample
from wbc_utils.images.segment import Segmentation

NUCLEATED = [code for code, typical in MORPHOLOGIES.items() if typical.lobes]

masks = arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))).filter(np.any)


def disc(radius, side=None, centre=None):
    """Return a disc on a square; its centre lies on a pixel."""
    side = side or 2 * int(radius) + 5
    row, column = centre or (side // 2, side // 2)
    y, x = np.mgrid[:side, :side]
    return np.hypot(y - row, x - column) <= radius


def ellipse(half_height, half_width):
    y, x = np.mgrid[-half_height - 2 : half_height + 3, -half_width - 2 : half_width + 3]
    return (y / half_height) ** 2 + (x / half_width) ** 2 <= 1


def beads(count, radius=9, gap=22, neck=1):
    """Return discs in a row, joined by a bar."""
    mask = np.zeros((2 * radius + 5, gap * (count - 1) + 2 * radius + 5), bool)
    y, x = np.indices(mask.shape)
    middle = radius + 2
    for number in range(count):
        mask |= np.hypot(y - middle, x - middle - number * gap) <= radius
    mask[middle - neck : middle + neck + 1, middle : middle + gap * (count - 1) + 1] = True
    return mask


def drawn_cell(code, seed=0, scale=7.0, side=160):
    """Return the image and the true masks of one drawn cell in the middle of a square."""
    rng = np.random.default_rng(seed)
    patch = stained_cell(sample(code, rng), scale, rng)
    offset = [(side - length) // 2 for length in patch.cell.shape]
    place = tuple(slice(max(start, 0), start + length) for start, length in zip(offset, patch.cell.shape, strict=True))
    part = tuple(slice(max(-start, 0), max(-start, 0) + side) for start in offset)
    stain, cell, nucleus = np.zeros((side, side, 3)), np.zeros((side, side), bool), np.zeros((side, side), bool)
    stain[place], cell[place] = patch.stain[part], patch.cell[part]
    nucleus[place] = (patch.nucleus & patch.cell)[part]
    image = 235 * np.exp(-stain) + rng.normal(0, 3, stain.shape)
    return np.clip(image, 0, 255).astype(np.uint8), Segmentation(nucleus, cell)


def turned(image, segmentation, quarter, mirrored=False):
    """Return image and masks rotated by quarters of a turn, then mirrored."""
    parts = [np.rot90(part, quarter) for part in (image, segmentation.nucleus, segmentation.cell)]
    image, nucleus, cell = (np.ascontiguousarray(part[:, ::-1] if mirrored else part) for part in parts)
    return image, Segmentation(nucleus, cell)


def doubled(image, segmentation):
    """Return image and masks with every pixel repeated twice along rows and columns."""
    parts = (image, segmentation.nucleus, segmentation.cell)
    image, nucleus, cell = (part.repeat(2, axis=0).repeat(2, axis=1) for part in parts)
    return image, Segmentation(nucleus, cell)


@st.composite
def cells(draw):
    """Draw small noise images with arbitrary masks, the nucleus inside the cell and not empty."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    nucleus = draw(arrays(bool, shape).filter(np.any))
    cell = nucleus | draw(arrays(bool, shape))
    return draw(arrays(np.uint8, (*shape, 3))), Segmentation(nucleus, cell)


def plain_features():
    """Return the plain scikit-image implementation that the benchmark measures against."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "plain_features.py"
    spec = importlib.util.spec_from_file_location("plain_features", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.plain_features
