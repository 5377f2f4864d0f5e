"""Figures of classifiers: confusion in lineage order, scores with intervals, learning curves."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wbc_utils.labels import CELL_TYPES, CONFUSABLE_PAIRS, cell_color


def confusion_matrix(confusion: np.ndarray, order: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix by row share, with the pairs that report 001 calls confusable outlined.

    Parameters
    ----------
    confusion
        Counts, (k, k): rows are true, columns predicted classes.
    order
        Class codes of rows and columns, in lineage order.
    """
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    fig, axes = plt.subplots(figsize=(6.0, 5.8))
    axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    for row, column in np.argwhere(confusion > 0):
        dark = share[row, column] > 0.5
        axes.text(column + 0.5, row + 0.5, f"{confusion[row, column]}", ha="center", va="center", fontsize=8,
                  color="white" if dark else "black")  # fmt: skip
    place = {code: index for index, code in enumerate(order)}
    for one, other in CONFUSABLE_PAIRS:
        if one in place and other in place:
            for row, column in ((place[one], place[other]), (place[other], place[one])):
                axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2))
    middle = np.arange(len(order)) + 0.5
    axes.set_xticks(middle, order, rotation=45)
    axes.set_yticks(middle, order)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    axes.invert_yaxis()
    return fig


def scores(table: pd.DataFrame, title: str, xlabel: str) -> Figure:
    """Draw one score a row with its interval, the first row on top.

    Parameters
    ----------
    table
        Columns ``name``, ``value``, ``low``, ``high``; names that are class codes get their colour.
    """
    rows = table.iloc[::-1].reset_index(drop=True)
    fig, axes = plt.subplots(figsize=(6.0, 1.1 + 0.3 * len(rows)))
    for place, row in rows.iterrows():
        color = cell_color(row["name"]) if row["name"] in CELL_TYPES else "#0072b2"
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2)
        axes.plot(row["value"], place, "o", color=color)
        axes.annotate(f"{row['value']:.3f}", (row["high"], place), xytext=(5, -3.5), textcoords="offset points",
                      fontsize=9)  # fmt: skip
    axes.set_yticks(range(len(rows)), rows["name"])
    axes.set(xlabel=xlabel, title=title)
    axes.margins(x=0.12)
    axes.grid(axis="x", color="#dddddd")
    return fig


def learning_curve(table: pd.DataFrame, title: str) -> Figure:
    """Draw a score against the number of training cells.

    Parameters
    ----------
    table
        Columns ``cells``, ``value``, ``low``, ``high``.
    """
    fig, axes = plt.subplots()
    axes.fill_between(table["cells"], table["low"], table["high"], color="#0072b2", alpha=0.2)
    axes.plot(table["cells"], table["value"], "o-", color="#0072b2")
    axes.set(xlabel="training cells (log scale)", ylabel="macro-F1", xscale="log", title=title)
    return fig
