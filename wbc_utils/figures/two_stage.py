"""Figures of the two-stage pipeline: what became of the cells of each type, and where the time goes."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wbc_utils.figures.training import COLORS
from wbc_utils.labels import cell_color

_HATCHES = ("", "//", "..", "xx", "\\\\", "--")
_DARK = 0.5


def outcomes(confusion: np.ndarray, missed: np.ndarray, order: Sequence[str], title: str) -> Figure:
    """Draw true against predicted types, and beside them the cells that the first stage missed, by row share.

    Parameters
    ----------
    confusion
        Counts of the cells that were found, (k, k): rows are true, columns predicted types.
    missed
        Counts of those that were not, (k,).
    order
        Codes of rows and columns.
    """
    counts = np.column_stack([confusion, missed])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    fig, axes = plt.subplots(figsize=(6.0, 1.6 + 0.55 * len(order)))
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    for row, column in np.argwhere(counts > 0):
        color = "white" if share[row, column] > _DARK else "black"
        axes.text(column + 0.5, row + 0.5, f"{counts[row, column]}", ha="center", va="center", color=color)
    axes.axvline(len(order), color="black", linewidth=2)
    axes.set_xticks(np.arange(len(order) + 1) + 0.5, [*order, "missed"], rotation=45)
    axes.set_yticks(np.arange(len(order)) + 0.5, order)
    for label, code in zip(axes.get_yticklabels(), order, strict=True):
        label.set_color(cell_color(code))
        label.set_fontweight("bold")
    axes.set(xlabel="predicted", ylabel="true", title=title)
    axes.invert_yaxis()
    return fig


def budget(table: pd.DataFrame, stages: Sequence[str], limit: float | None = None) -> Figure:
    """Draw milliseconds an image as one stacked bar a row; colour and hatch tell the stage.

    Parameters
    ----------
    table
        ``name``, a column a stage, ``total``.
    stages
        Columns in the order of the stack.
    limit
        Milliseconds to mark, if they are within reach of the bars.
    """
    rows = table.iloc[::-1].reset_index(drop=True)
    fig, axes = plt.subplots(figsize=(6.0, 1.5 + 0.42 * len(rows)))
    left = np.zeros(len(rows))
    for number, stage in enumerate(stages):
        width = rows[stage].fillna(0).to_numpy(float)
        look = {"color": COLORS[number % len(COLORS)], "hatch": _HATCHES[number % len(_HATCHES)], "edgecolor": "white"}
        axes.barh(range(len(rows)), width, left=left, label=stage, linewidth=0, **look)
        left += width
    for place, total in enumerate(rows["total"]):
        axes.annotate(f"{total:.0f}" if total >= 10 else f"{total:.1f}", (left[place], place), xytext=(4, -4),
                      textcoords="offset points")  # fmt: skip
    if limit is not None and limit < 2 * left.max():
        axes.axvline(limit, color="black", linestyle="--")
    axes.set_yticks(range(len(rows)), rows["name"])
    axes.set(xlabel="ms an image")
    axes.margins(x=0.1)
    fig.legend(loc="outside lower center", ncols=3)
    return fig
