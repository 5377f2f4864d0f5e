"""Figures of segmentation: outlines on pictures, distributions of overlap."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from wbc_utils.data.images import open_image
from wbc_utils.images.agreement import BACKGROUND, NUCLEUS, read_truth
from wbc_utils.images.segment import segment
from wbc_utils.metrics.segmentation import dice

NUCLEUS_COLOR = "#f0e442"
CELL_COLOR = "#009e73"
TRUTH_COLOR = "white"


def outlines(
    pictures: Sequence[np.ndarray],
    nuclei: Sequence[np.ndarray],
    cells: Sequence[np.ndarray],
    titles: Sequence[str],
    truths: Sequence[np.ndarray] | None = None,
    columns: int = 5,
) -> Figure:
    """Draw pictures with the outlines of nucleus (solid) and cell (dashed); true outlines, where given, in white.

    Parameters
    ----------
    pictures
        uint8 arrays (H, W, 3).
    nuclei, cells
        Found masks, bool (H, W).
    truths
        True masks, uint8 (H, W): 0 background, 1 cytoplasm, 2 nucleus.
    """
    rows = -(-len(pictures) // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(6.4, 1.55 * rows), squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for number, axes in zip(range(len(pictures)), panels.flat, strict=False):
        axes.imshow(pictures[number])
        for mask, color, style in ((nuclei[number], NUCLEUS_COLOR, "-"), (cells[number], CELL_COLOR, "--")):
            _outline(axes, mask, color, style)
        if truths is not None:
            _outline(axes, truths[number] == 2, TRUTH_COLOR, ":")
            _outline(axes, truths[number] > 0, TRUTH_COLOR, ":")
        axes.set_title(titles[number], fontsize=8)
    return fig


def dice_histogram(values: dict[str, np.ndarray], title: str) -> Figure:
    """Draw the distribution of Dice coefficients, one panel a region."""
    fig, panels = plt.subplots(len(values), 1, figsize=(6.0, 0.8 + 1.5 * len(values)), sharex=True, squeeze=False)
    for (region, found), color, axes in zip(values.items(), ("#0072b2", "#009e73"), panels[:, 0], strict=False):
        axes.hist(found, bins=np.linspace(0, 1, 51), color=color)
        axes.axvline(np.mean(found), color="black", linestyle="--", linewidth=1)
        axes.set(ylabel="images", title=f"{title}: {region}, mean {np.mean(found):.3f}")
    panels[-1, 0].set(xlabel="Dice coefficient", xlim=(min(map(np.min, values.values())) - 0.02, 1))
    return fig


def _outline(axes, mask: np.ndarray, color: str, style: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=color, linestyles=style, linewidths=1)


def montage(paths: Iterable[Path], truths: Iterable[Path] | None = None, titles: Iterable[str] | None = None) -> Figure:
    """Segment image files and draw what was found, beside what people drew.

    Parameters
    ----------
    truths
        Drawn masks, pairwise; the Dice coefficients of nucleus and cell then stand above each picture.
    titles
        Text above each picture where there is no truth.
    """
    pictures = [open_image(path) for path in paths]
    found = [segment(picture) for picture in pictures]
    nuclei, cells = [one.nucleus for one in found], [one.cell for one in found]
    if truths is None:
        return outlines(pictures, nuclei, cells, [""] * len(pictures) if titles is None else list(titles))
    drawn = [read_truth(path) for path in truths]
    overlap = [
        f"{dice(one.nucleus, truth == NUCLEUS):.2f} / {dice(one.cell, truth != BACKGROUND):.2f}"
        for one, truth in zip(found, drawn, strict=True)
    ]
    return outlines(pictures, nuclei, cells, overlap, drawn)
