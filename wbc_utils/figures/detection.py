"""Figures of detectors: boxes on pictures, scores, precision against recall, counts, losses."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from wbc_utils.figures.training import COLORS, LINES, MARKERS
from wbc_utils.labels import cell_color, in_lineage_order
from wbc_utils.metrics.counts import bland_altman as agreement

BOX_LINES = ("-", "--", ":", "-.")
"""Line of the boxes of the first, second … class, in lineage order; further classes begin anew."""

MATCHES = {"true positive": "#009e73", "duplicate": "#e69f00", "background": "#777777"}
"""What becomes of a prediction (`wbc_utils.metrics.matching.matched_tables`), and its colour."""

_HATCHES = ("", "//", "..")


def boxes(
    images: Mapping[str, np.ndarray],
    truth: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    columns: int | None = None,
) -> Figure:
    """Draw each picture with its true boxes, then with the boxes of each detector; line and colour tell the class.

    Parameters
    ----------
    images
        uint8 (h, w, 3) by name.
    truth
        ``image``, ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px, perhaps also of other images.
    predictions
        Name of the detector → the same, filtered: what is given is drawn.
    columns
        Panels a row; all of one picture if left out.
    """
    tables = {"truth": truth, **predictions}
    columns = columns or len(tables)
    rows = -(-len(images) * len(tables) // columns)
    height = 6.4 / columns * max(image.shape[0] / image.shape[1] for image in images.values()) + 0.22
    fig, panels = plt.subplots(rows, columns, figsize=(6.4, height * rows + 0.35), squeeze=False)
    order = in_lineage_order(pd.concat([table["class"] for table in tables.values()]))
    for axes in panels.flat:
        axes.axis("off")
    wanted = [(name, title) for name in images for title in tables]
    for axes, (name, title) in zip(panels.flat, wanted, strict=False):
        own = tables[title][tables[title]["image"] == name]
        axes.imshow(images[name])
        axes.set_title(f"{title}: {len(own)}", fontsize=9)
        outline(axes, own, order)
    handles = [plt.Line2D([], [], **_line(name, order), label=name) for name in order]
    fig.legend(handles=handles, loc="outside lower center", ncols=min(len(order), 4))
    return fig


def outline(axes: Axes, table: pd.DataFrame, order: Sequence[str], **look) -> None:
    """Draw boxes on axes in px; colour and line follow the class.

    Parameters
    ----------
    order
        All classes of the figure, which decides their lines.
    look
        Of the lines, in place of that of the class.
    """
    for label, *corners in table[["class", "xmin", "ymin", "xmax", "ymax"]].itertuples(index=False):
        left, top, right, bottom = corners
        style = {**_line(label, order), **look}
        style["edgecolor"] = style.pop("color")
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, **style))


def error_crops(
    images: Mapping[str, np.ndarray],
    errors: pd.DataFrame,
    truth: pd.DataFrame,
    predictions: pd.DataFrame,
    columns: int = 5,
) -> Figure:
    """Draw the surroundings of errors: the wrong or missed box thick, true boxes white, predictions in their colour.

    Parameters
    ----------
    images
        uint8 (h, w, 3) by name.
    errors
        Rows of `wbc_utils.metrics.errors.errors` to draw.
    truth, predictions
        ``image``, ``class`` and four coordinates in px.
    """
    rows = -(-len(errors) // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(6.4, 1.85 * rows), squeeze=False)
    order = in_lineage_order([*truth["class"], *predictions["class"]])
    for axes in panels.flat:
        axes.axis("off")
    for axes, (_, error) in zip(panels.flat, errors.iterrows(), strict=False):
        side = 1.1 * max(error["xmax"] - error["xmin"], error["ymax"] - error["ymin"])
        x, y = (error["xmin"] + error["xmax"]) / 2, (error["ymin"] + error["ymax"]) / 2
        axes.imshow(images[error["image"]])
        axes.set(xlim=(x - side, x + side), ylim=(y + side, y - side))
        outline(axes, truth[truth["image"] == error["image"]], order, color="white", linestyle="-")
        outline(axes, predictions[predictions["image"] == error["image"]], order)
        outline(axes, pd.DataFrame([error]), order, linewidth=2.4)
        score = "missed" if np.isnan(error["score"]) else f"{error['score']:.2f}"
        axes.set_title(f"{error['class']}, {score}\n{error['circumstance']}", fontsize=8)
    return fig


def precision_recall(curves: Mapping[str, pd.DataFrame], points: Mapping[str, pd.DataFrame] | None = None) -> Figure:
    """Draw precision against recall, one panel a class, one line a detector.

    Parameters
    ----------
    curves
        Name of the detector → as `wbc_utils.metrics.operating.precision_recall` returns it.
    points
        Operating points to mark: name of the detector → as `wbc_utils.metrics.operating.operating_point` returns it.
    """
    order = in_lineage_order(pd.concat([table["class"] for table in curves.values()]))
    fig, panels = _class_panels(order, sharey=True)
    for label, axes in zip(order, panels, strict=True):
        for number, (name, table) in enumerate(curves.items()):
            own = table[table["class"] == label]
            look = {"color": COLORS[number % len(COLORS)], "linestyle": LINES[number % len(LINES)]}
            axes.plot(own["recall"], own["precision"], linewidth=1.4, **look, label=name)
            if points and name in points:
                point = points[name].set_index("class").loc[label]
                axes.plot(point["recall"], point["precision"], MARKERS[number % len(MARKERS)], color=look["color"])
        axes.set(title=label, xlabel="recall", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(color="#e5e5e5")
    panels[0].set_ylabel("precision")
    if len(curves) > 1:
        handles, names = panels[0].get_legend_handles_labels()
        fig.legend(handles, names, loc="outside lower center", ncols=min(len(names), 3), fontsize=10)
    return fig


def score_histograms(matched: pd.DataFrame, thresholds: Mapping[str, float] | None = None) -> Figure:
    """Draw how many predictions have which score, one panel a class, by what became of them.

    Parameters
    ----------
    matched
        ``class``, ``score`` and ``match``, as `wbc_utils.metrics.matching.matched_tables` returns it.
    thresholds
        Least score of each class to mark.
    """
    order = in_lineage_order(matched["class"])
    fig, panels = plt.subplots(len(order), 1, figsize=(6.0, 0.9 + 1.45 * len(order)), sharex=True, squeeze=False)
    bins = np.linspace(0, 1, 41)
    for label, axes in zip(order, panels[:, 0], strict=True):
        own = matched[matched["class"] == label]
        parts = [own.loc[own["match"] == match, "score"] for match in MATCHES]
        _, _, drawn = axes.hist(parts, bins=bins, stacked=True, color=list(MATCHES.values()), label=list(MATCHES))
        for bars, hatch in zip(drawn, _HATCHES, strict=True):
            for bar in bars:
                bar.set(hatch=hatch, edgecolor="white", linewidth=0)
        if thresholds:
            axes.axvline(thresholds[label], color="black", linestyle="--", linewidth=1)
        axes.set(title=f"{label}: {len(own)}", ylabel="predictions", yscale="log", xlim=(0, 1))
    panels[-1, 0].set_xlabel("score")
    handles, names = panels[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=10)
    return fig


def threshold_curves(curves: pd.DataFrame, thresholds: Mapping[str, float]) -> Figure:
    """Draw precision, recall and F1 against the score threshold, one panel a class; the chosen one is marked.

    Parameters
    ----------
    curves
        As `wbc_utils.metrics.operating.precision_recall` returns it.
    thresholds
        Least score of each class.
    """
    order = in_lineage_order(curves["class"])
    fig, panels = _class_panels(order, sharey=True)
    for label, axes in zip(order, panels, strict=True):
        own = curves[curves["class"] == label]
        both = own["precision"] + own["recall"]
        f1 = (2 * own["precision"] * own["recall"] / both.where(both > 0)).fillna(0)
        lines = {"precision": own["precision"], "recall": own["recall"], "F1": f1}
        for number, (name, values) in enumerate(lines.items()):
            axes.step(own["score"], values, where="pre", color=COLORS[number], linestyle=LINES[number], label=name)
        axes.axvline(thresholds[label], color="black", linestyle=":", linewidth=1)
        axes.set(title=f"{label}: {thresholds[label]:.2f}", xlabel="least score", xlim=(0, 1), ylim=(0, 1.02))
        axes.grid(color="#e5e5e5")
    handles, names = panels[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=10)
    return fig


def bland_altman(counts: pd.DataFrame) -> Figure:
    """Draw predicted − true number of cells against the mean of both, one panel a class, an image a mark.

    The lines are the bias and the limits of agreement; the area of a mark is the number of images on it.

    Parameters
    ----------
    counts
        As `wbc_utils.metrics.counts.image_counts` returns it.
    """
    order = in_lineage_order(counts["class"])
    fig, panels = _class_panels(order)
    for label, axes in zip(order, panels, strict=True):
        own = counts[counts["class"] == label]
        places = pd.DataFrame({"mean": (own["truth"] + own["predicted"]) / 2, "error": own["error"]})
        places = places.value_counts().rename("images").reset_index()
        size = 12 + 120 * places["images"] / places["images"].max()
        axes.scatter(places["mean"], places["error"], s=size, color=cell_color(label), alpha=0.6, linewidths=0)
        found = agreement(own["truth"], own["predicted"])
        for line, style in ((found.bias, "-"), (found.lower, "--"), (found.upper, "--")):
            axes.axhline(line.value, color="black", linestyle=style, linewidth=1)
        axes.set(title=f"{label}: {found.bias.value:+.2f}", xlabel="mean of both")
        axes.margins(x=0.12, y=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[0].set_ylabel("predicted − true, cells")
    return fig


def losses(histories: Mapping[str, pd.DataFrame], score: str) -> Figure:
    """Draw the losses of each training by epoch (left), and the loss and score of the validation images (right).

    Parameters
    ----------
    histories
        Name of the training → its history: ``epoch``, ``loss`` and its parts ``loss_…``, ``validation_loss`` and the
        score.
    score
        Name of the column of the score; its best epoch is marked.
    """
    fig, panels = plt.subplots(len(histories), 2, figsize=(6.4, 0.9 + 1.7 * len(histories)), squeeze=False)
    for (name, history), (left, right) in zip(histories.items(), panels, strict=True):
        epoch = history["epoch"]
        parts = [column for column in history if column.startswith("loss_")]
        for number, part in enumerate(parts):
            look = {"color": COLORS[number], "linestyle": LINES[number], "marker": ".", "markersize": 3}
            left.plot(epoch, history[part], **look, label=part.removeprefix("loss_"))
        left.plot(epoch, history["loss"], color="black", marker=".", label="sum, training")
        left.plot(epoch, history["validation_loss"], color="black", marker=".", linestyle=":", label="sum, validation")
        best = history.loc[history[score].idxmax()]
        right.plot(epoch, history[score], ".-", color=COLORS[0], markersize=3)
        right.plot(best["epoch"], best[score], "o", color=COLORS[0])
        left.set_title(f"{name}: losses", fontsize=10)
        title = f"{score.replace('_ap', ' AP')}, best {best[score]:.3f} (epoch {best['epoch']:.0f})"
        right.set_title(title, fontsize=10)
        left.set_ylim(bottom=0)
        right.set_ylim(0, 1.02)
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in panels[-1]:
        axes.set_xlabel("epoch")
    handles, names = panels[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9)
    return fig


def _class_panels(order: Sequence[str], sharey: bool = False) -> tuple[Figure, np.ndarray]:
    """Return a figure with a panel a class side by side."""
    fig, panels = plt.subplots(1, len(order), figsize=(6.4, 3.0), sharey=sharey, squeeze=False)
    return fig, panels[0]


def _line(label: str, order: Sequence[str]) -> dict:
    """Return colour and line of the boxes of a class."""
    place = list(order).index(label)
    return {"color": cell_color(label), "linestyle": BOX_LINES[place % len(BOX_LINES)], "linewidth": 1.2}
