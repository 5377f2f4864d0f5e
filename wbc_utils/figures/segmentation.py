"""Figures of segmentation: outlines on pictures, distributions of overlap."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

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
    for (region, dice), color, axes in zip(values.items(), ("#0072b2", "#009e73"), panels[:, 0], strict=False):
        axes.hist(dice, bins=np.linspace(0, 1, 51), color=color)
        axes.axvline(np.mean(dice), color="black", linestyle="--", linewidth=1)
        axes.set(ylabel="images", title=f"{title}: {region}, mean {np.mean(dice):.3f}")
    panels[-1, 0].set(xlabel="Dice coefficient", xlim=(min(map(np.min, values.values())) - 0.02, 1))
    return fig


def _outline(axes, mask: np.ndarray, color: str, style: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=color, linestyles=style, linewidths=1)
