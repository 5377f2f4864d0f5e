"""Figures of rival detectors: learning rates in cross-validation, crowding, recall by what makes a cell hard."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wbc_utils.figures.training import COLORS, LINES, MARKERS
from wbc_utils.labels import cell_color, in_lineage_order

_HATCHES = ("", "//", "..")


def rate_curves(curves: Mapping[str, pd.DataFrame], chosen: Mapping[str, tuple[float, int]]) -> Figure:
    """Draw mean AP over the folds by epoch, with ± one deviation, one panel a detector, one line a learning rate.

    Parameters
    ----------
    curves
        Name of the detector → ``rate``, ``epoch``, ``mean``, ``sd`` (NaN of a single fold), ``folds``.
    chosen
        Name of the detector → rate and epoch to mark.
    """
    fig, panels = plt.subplots(
        len(curves), 1, figsize=(6.0, 0.9 + 1.9 * len(curves)), sharex=True, sharey=True, squeeze=False
    )
    rates = sorted({rate for table in curves.values() for rate in table["rate"]}, reverse=True)
    for (name, table), axes in zip(curves.items(), panels[:, 0], strict=True):
        for rate, own in table.groupby("rate", sort=False):
            number = rates.index(rate) % len(COLORS)
            look = {"color": COLORS[number], "linestyle": LINES[number], "marker": MARKERS[number]}
            spread = own["sd"].fillna(0)
            axes.fill_between(
                own["epoch"], own["mean"] - spread, own["mean"] + spread, color=COLORS[number], alpha=0.15
            )
            axes.plot(own["epoch"], own["mean"], **look, markersize=4, linewidth=1.3, label=f"rate {rate:g}")
        rate, epoch = chosen[name]
        best = table[(table["rate"] == rate) & (table["epoch"] == epoch)]["mean"].iloc[0]
        axes.plot(epoch, best, "o", markersize=11, markerfacecolor="none", markeredgecolor="black")
        axes.set_title(f"{name}: {rate:g}, {epoch} epochs, AP {best:.3f}", fontsize=10)
        axes.set_ylabel("AP, left out")
        axes.grid(axis="y", color="#e5e5e5")
    panels[0, 0].set_ylim(bottom=0)
    lines = {line.get_label(): line for axes in panels[:, 0] for line in axes.lines if line.get_label()[0] != "_"}
    order = [f"rate {rate:g}" for rate in rates]
    fig.legend([lines[name] for name in order], order, loc="outside lower center", ncols=5, fontsize=10)
    panels[-1, 0].set_xlabel("epoch")
    panels[-1, 0].xaxis.set_major_locator(MaxNLocator(8, integer=True))
    return fig


def nearest_overlaps(nearest: pd.DataFrame, nms_iou: float) -> Figure:
    """Draw how many cells overlap their nearest neighbour how much, and the IoU from which suppression drops one.

    Parameters
    ----------
    nearest
        ``class`` and ``iou`` of each cell.
    nms_iou
        IoU of suppression.
    """
    order = in_lineage_order(nearest["class"])
    fig, axes = plt.subplots(figsize=(6.0, 3.2))
    bins = np.linspace(0, max(nms_iou + 0.05, nearest["iou"].max()), 31)
    looks = [{"color": cell_color(name), "hatch": hatch} for name, hatch in zip(order, _HATCHES, strict=False)]
    below = np.zeros(len(bins) - 1)
    for name, look in zip(order, looks, strict=True):
        count = np.histogram(nearest[nearest["class"] == name]["iou"], bins)[0]
        axes.bar(bins[:-1], count, np.diff(bins), bottom=below, align="edge", label=name, edgecolor="white",
                 linewidth=0, **look)  # fmt: skip
        below = below + count
    axes.axvline(nms_iou, color="black", linestyle="--", linewidth=1, label="suppression")
    axes.set(xlabel="IoU with the nearest neighbour", ylabel="cells (log scale)", yscale="log")
    axes.legend(fontsize=10)
    return fig


def recall_by(frame: pd.DataFrame, xlabels: Mapping[str, str]) -> Figure:
    """Draw the recall of each detector by bin, one panel a property of the cells, with intervals.

    Parameters
    ----------
    frame
        ``property``, ``detector``, ``name`` (of the bin, in order), ``value``, ``low``, ``high``.
    xlabels
        Property → what its axis says.
    """
    detectors = list(frame["detector"].unique())
    fig, panels = plt.subplots(len(xlabels), 1, figsize=(6.0, 0.7 + 2.2 * len(xlabels)), sharey=True, squeeze=False)
    for (what, label), axes in zip(xlabels.items(), panels[:, 0], strict=True):
        own = frame[frame["property"] == what]
        bins = list(own["name"].unique())
        for number, detector in enumerate(detectors):
            rows = own[own["detector"] == detector]
            place = np.arange(len(bins)) + 0.12 * (number - (len(detectors) - 1) / 2)
            look = {"color": COLORS[number % len(COLORS)], "linestyle": LINES[number % len(LINES)]}
            axes.vlines(place, rows["low"], rows["high"], color=look["color"], linewidth=1.4)
            axes.plot(place, rows["value"], marker=MARKERS[number % len(MARKERS)], markersize=5, **look, label=detector)
        counts = own.drop_duplicates("name")["cells"]
        axes.set_xticks(range(len(bins)), [f"{name}\n{n} cells" for name, n in zip(bins, counts, strict=True)])
        axes.set(xlabel=label, ylabel="recall", ylim=(0, 1.03))
        axes.grid(axis="y", color="#e5e5e5")
    fig.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=10)
    return fig
