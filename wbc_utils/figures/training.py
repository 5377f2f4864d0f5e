"""Figures of training and of trust: curves, reliability, robustness, accuracy of what is kept."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wbc_utils.figures.placement import apart

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's colour-blind-safe set, without yellow."""

MARKERS = "os^DvPX"
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)))
FEWEST_KEPT = 0.05
"""Coverage below which accuracy is not drawn: it rests on too few items."""

_LABEL_POINTS = 9


def curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw training loss (left) and validation macro-F1 (right), one row of panels a network.

    Losses of two networks may be different functions; their axes differ. Macro-F1 has one axis for all: the other
    networks stand behind in grey, the best epoch is marked and its score written. A training looks at each cell in one
    view, so that the score differs from that of a network which is asked about eight.

    Parameters
    ----------
    histories
        Name of the network → columns ``epoch``, ``loss``, ``validation_macro_f1``.
    """
    fig, panels = plt.subplots(
        len(histories), 2, figsize=(6.0, 0.7 + 1.15 * len(histories)), sharex=True, squeeze=False
    )
    for (name, history), (left, right) in zip(histories.items(), panels, strict=True):
        right.sharey(panels[0, 1])
        for other in histories.values():
            right.plot(other["epoch"], other["validation_macro_f1"], color="#cccccc", linewidth=0.8)
        left.plot(history["epoch"], history["loss"], ".-", color=COLORS[1], markersize=3)
        right.plot(history["epoch"], history["validation_macro_f1"], ".-", color=COLORS[0], markersize=3)
        best = history.loc[history["validation_macro_f1"].idxmax()]
        right.plot(best["epoch"], best["validation_macro_f1"], "o", color=COLORS[0])
        left.set_title(f"{name}: loss", fontsize=9)
        score = f"{best['validation_macro_f1']:.3f} (epoch {best['epoch']:.0f})"
        right.set_title(f"macro-F1, one view: {score}", fontsize=9)
        left.yaxis.set_major_locator(MaxNLocator(3))
        right.yaxis.set_major_locator(MaxNLocator(3))
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return fig


def reliability(before: pd.DataFrame, after: pd.DataFrame, title: str) -> Figure:
    """Draw accuracy against confidence before and after temperature scaling; the area of a mark is the bin's n.

    Parameters
    ----------
    before, after
        As `wbc_utils.metrics.calibration.reliability` returns them.
    """
    fig, panels = plt.subplots(1, 2, figsize=(6.2, 3.6), sharex=True, sharey=True)
    most = max(before["n"].max(), after["n"].max())
    for axes, table, when, color, marker in zip(
        panels, (before, after), ("before", "after"), COLORS[1::-1], "so", strict=True
    ):
        axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
        filled = table[table["n"] > 0]
        axes.plot(filled["confidence"], filled["accuracy"], color=color, linewidth=1)
        axes.scatter(filled["confidence"], filled["accuracy"], s=6 + 250 * filled["n"] / most, marker=marker,
                     facecolors=f"{color}80", edgecolors=color)  # fmt: skip
        error = (filled["n"] * (filled["accuracy"] - filled["confidence"]).abs()).sum() / filled["n"].sum()
        axes.set_title(f"{when}: calibration error {error:.3f}", fontsize=10)
        axes.set(xlabel="confidence", xlim=(0, 1.06), ylim=(0, 1.06), aspect="equal")
        note = f"largest mark: {table['n'].max()} of {table['n'].sum()}\ndashed: as sure as right"
        axes.text(1.03, 0.03, note, ha="right", fontsize=9)
    panels[0].set_ylabel("accuracy")
    fig.suptitle(title, x=0.01, ha="left", fontsize=11)
    return fig


def severity(frame: pd.DataFrame) -> Figure:
    """Draw macro-F1 against the severity of a corruption, one panel a kind, one labelled line a network.

    Parameters
    ----------
    frame
        Columns ``model``, ``kind``, ``severity`` (0 = clean), ``value``, ``low``, ``high``.
    """
    kinds, models = frame["kind"].unique(), frame["model"].unique()
    fig, panels = plt.subplots(
        len(kinds), 1, figsize=(6.0, 0.7 + 2.0 * len(kinds)), sharex=True, sharey=True, squeeze=False
    )
    for kind, axes in zip(kinds, panels[:, 0], strict=True):
        ends = {}
        for number, model in enumerate(models):
            own = frame[(frame["kind"] == kind) & (frame["model"] == model)].sort_values("severity")
            place = own["severity"] + 0.06 * (number - (len(models) - 1) / 2)  # so that intervals stand side by side
            axes.vlines(place, own["low"], own["high"], color=_look(number)["color"], linewidth=1.2)
            axes.plot(place, own["value"], **_look(number))
            ends[model] = (place.iloc[-1], own["value"].iloc[-1])
        axes.set(title=str(kind), ylabel="macro-F1")
        axes.set_xticks(sorted(frame["severity"].unique()))
        axes.grid(axis="y", color="#e5e5e5")
        panels[0, 0].set_ylim(bottom=max(0, frame["low"].min() - 0.03), top=min(1.01, frame["high"].max() + 0.03))
        _label_ends(axes, ends, inches=1.6)
    panels[-1, 0].set_xlabel("severity (0 = clean)")
    return fig


def coverage(frames: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the accuracy of the items that are kept against their share, the least confident left out first.

    Parameters
    ----------
    frames
        Name of the network → as `wbc_utils.metrics.calibration.risk_coverage` returns it.
    """
    fig, axes = plt.subplots(figsize=(6.0, 3.8))
    ends = {}
    for number, (name, frame) in enumerate(frames.items()):
        drawn = frame[frame["coverage"] >= FEWEST_KEPT]
        axes.plot(drawn["coverage"], drawn["accuracy"], markevery=0.1, **_look(number))
        ends[f"{name} {drawn['accuracy'].iloc[-1]:.3f}"] = (1.0, drawn["accuracy"].iloc[-1])
    axes.set(xlabel="coverage: share of cells that get an answer", ylabel="accuracy of the answers", xlim=(0, 1.02))
    axes.grid(color="#e5e5e5")
    _label_ends(axes, ends, inches=3.0)
    return fig


def _look(number: int) -> dict:
    """Return colour, marker and line of the n-th network; all three differ between the first seven."""
    place = number % len(COLORS)
    return {"color": COLORS[place], "marker": MARKERS[place], "linestyle": LINES[place], "markersize": 5,
            "linewidth": 1.4}  # fmt: skip


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], inches: float) -> None:
    """Write the name of each line right of its end; names that would overlap are moved apart.

    Parameters
    ----------
    ends
        Name → last point of the line.
    inches
        Height of the axes, about.
    """
    low, high = axes.get_ylim()
    wanted = [(0, (y - low) / (high - low)) for _, y in ends.values()]
    placed = apart(np.array(wanted), width=1, height=1.3 * _LABEL_POINTS / 72 / inches)
    for number, ((name, end), (_, y)) in enumerate(zip(ends.items(), placed, strict=True)):
        axes.annotate(name, end, xytext=(1.04, y), textcoords="axes fraction", va="center", fontsize=_LABEL_POINTS,
                      arrowprops={"arrowstyle": "-", "color": _look(number)["color"], "linewidth": 0.8})  # fmt: skip
