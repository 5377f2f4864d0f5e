"""Figures of exploratory analysis: counts, sizes, shares, patients, samples."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from wbc_utils.labels import cell_color, in_lineage_order

MARKERS = "o^sDvP*X"
MOST_CLASSES = 4
"""Classes that get a panel or a mark of their own in figures of boxes."""


def class_counts(labels: pd.Series, title: str) -> Figure:
    """Draw one labelled bar a class, in lineage order, on a logarithmic axis.

    Parameters
    ----------
    labels
        One class name an object.
    """
    counts = labels.value_counts()
    order = in_lineage_order(counts.index)[::-1]
    fig, axes = plt.subplots(figsize=(6.0, 0.9 + 0.28 * len(order)))
    axes.barh(order, [counts[name] for name in order], color=[cell_color(name) for name in order])
    for position, name in enumerate(order):
        axes.text(counts[name] * 1.05, position, f"{counts[name]}", va="center", fontsize=10)
    axes.set(xscale="log", xlim=(0.8, counts.max() * 2.5), xlabel="objects (log scale)", title=title)
    return fig


def _few_classes(boxes: pd.DataFrame) -> pd.DataFrame:
    """Treat all boxes as one class where there are too many classes for a panel or a mark each."""
    return boxes if len(set(boxes["class"])) <= MOST_CLASSES else boxes.assign(**{"class": "all classes"})


def objects_per_image(boxes: pd.DataFrame, images: pd.DataFrame, title: str) -> Figure:
    """Draw a histogram of the number of objects an image, one panel a class.

    Parameters
    ----------
    boxes, images
        Tables of a `wbc_utils.data.tables.Dataset`; images without a box count as zero.
    """
    boxes = _few_classes(boxes)
    order = in_lineage_order(boxes["class"])
    fig, panels = plt.subplots(len(order), 1, figsize=(6.0, 0.7 + 1.3 * len(order)), squeeze=False)
    for name, axes in zip(order, panels[:, 0], strict=True):
        count = boxes[boxes["class"] == name].groupby("image").size().reindex(images["image"], fill_value=0)
        values, times = np.unique(count, return_counts=True)
        axes.bar(values, times, color=cell_color(name), width=0.8)
        axes.set(ylabel="images", title=f"{title}: {name}, median {count.median():.0f}", ylim=(0, None))
        axes.set_xlim(values.min() - 0.9, max(values.max(), values.min() + 3) + 0.9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panels[-1, 0].set_xlabel("objects in the image")
    return fig


def box_sizes(boxes: pd.DataFrame, title: str) -> Figure:
    """Draw width against height of every box, with the 95th percentile of both for each class."""
    boxes = _few_classes(boxes)
    fig, axes = plt.subplots(figsize=(6.0, 5.0))
    for name, marker in zip(in_lineage_order(boxes["class"]), MARKERS, strict=False):
        own = boxes[boxes["class"] == name]
        width, height = own["xmax"] - own["xmin"], own["ymax"] - own["ymin"]
        wide, high = width.quantile(0.95), height.quantile(0.95)
        color, label = cell_color(name), f"{name}, 95 %: {wide:.0f} × {high:.0f}"
        axes.scatter(width, height, s=10, marker=marker, color=color, alpha=0.35, linewidths=0, rasterized=True)
        axes.plot([0, wide, wide], [high, high, 0], color=color, linestyle="--", linewidth=1)
        axes.scatter([], [], s=30, marker=marker, color=color, label=label)
    axes.set(xlabel="width, px", ylabel="height, px", title=title, xlim=(0, None), ylim=(0, None))
    axes.legend(loc="upper left", fontsize=10)
    return fig


def class_share(boxes: pd.DataFrame, minority: str, title: str) -> Figure:
    """Draw the share of one class among the boxes of each image, images sorted by it."""
    share = (boxes["class"] == minority).groupby(boxes["image"]).mean().sort_values().to_numpy()
    fig, axes = plt.subplots()
    axes.fill_between(np.arange(len(share)), share, step="mid", color=cell_color(minority), alpha=0.8)
    axes.axhline(0.1, color="black", linewidth=1, linestyle=":")
    axes.text(0, 0.105, "10 %, the published upper bound", fontsize=10)
    axes.set(
        xlabel="images, sorted", ylabel=f"share of {minority}", title=title, ylim=(0, max(0.15, share.max() * 1.1))
    )
    return fig


def patients_by_label(patients: pd.DataFrame, title: str) -> Figure:
    """Draw age and lymphocyte count of every labelled patient, by label and sex."""
    groups = {0: ("reactive", "#117733", "o"), 1: ("malignant", "#882255", "^")}
    fig, axes = plt.subplots(figsize=(6.0, 4.4))
    for label, (name, color, marker) in groups.items():
        own = patients[patients["label"] == label]
        parts = {"F": (own["sex"] == "F", "none"), "M": (own["sex"] == "M", color)}
        if own["sex"].isna().any():
            parts["sex unknown"] = (own["sex"].isna(), "lightgrey")
        for sex, (chosen, face) in parts.items():
            part = own[chosen]
            axes.scatter(part["age"], part["lymphocyte_count"], s=30, marker=marker, edgecolors=color, facecolors=face,
                         alpha=0.8, label=f"{name}, {sex} ({len(part)})")  # fmt: skip
    axes.set(xlabel="age, years", ylabel="lymphocytes, 10⁹/L (log scale)", yscale="log", title=title)
    axes.legend(fontsize=10)
    return fig


def color_statistics(images: pd.DataFrame, title: str) -> Figure:
    """Draw mean brightness against mean saturation, one mark an image, one colour and marker a data set.

    Parameters
    ----------
    images
        With columns ``dataset``, ``brightness`` and ``saturation`` in 0 … 1.
    """
    fig, axes = plt.subplots(figsize=(6.0, 4.4))
    colors = plt.colormaps["tab10"].colors
    for index, (name, own) in enumerate(images.groupby("dataset", sort=True)):
        style = {"marker": MARKERS[index % len(MARKERS)], "color": colors[index % len(colors)], "linewidths": 0}
        axes.scatter(own["brightness"], own["saturation"], s=10, alpha=0.4, rasterized=True, **style)
        axes.scatter([], [], s=30, label=f"{name} ({len(own)})", **style)
    axes.set(xlabel="mean brightness", ylabel="mean saturation", title=title)
    axes.legend(fontsize=10)
    return fig


def image_grid(pictures: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4) -> Figure:
    """Draw small pictures with a title each.

    Parameters
    ----------
    pictures
        uint8 arrays (H, W, 3).
    """
    rows = -(-len(pictures) // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(6.4, 1.85 * rows), squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, picture, title in zip(panels.flat, pictures, titles, strict=False):
        axes.imshow(picture)
        axes.set_title(title, fontsize=9)
    return fig


def boxes_on_images(pictures: Sequence[np.ndarray], boxes: Sequence[pd.DataFrame], columns: int = 2) -> Figure:
    """Draw pictures with their boxes; line style as well as colour tells the class.

    Parameters
    ----------
    boxes
        One table a picture with ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in pixels.
    """
    order = in_lineage_order(pd.concat(boxes)["class"])
    styles = dict(zip(order, ("-", "--", ":", "-.") * 8, strict=False))
    rows = -(-len(pictures) // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(6.4, 2.6 * rows + 0.3), squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, picture, own in zip(panels.flat, pictures, boxes, strict=False):
        axes.imshow(picture)
        for row in own.itertuples():
            name = own.loc[row.Index, "class"]
            axes.add_patch(
                Rectangle((row.xmin, row.ymin), row.xmax - row.xmin, row.ymax - row.ymin, fill=False,
                          edgecolor=cell_color(name), linestyle=styles[name], linewidth=1.4)
            )  # fmt: skip
    handles = [plt.Line2D([], [], color=cell_color(name), linestyle=styles[name], label=name) for name in order]
    fig.legend(handles=handles, loc="outside lower center", ncols=min(len(order), 4))
    return fig


def pair_grid(pairs: Sequence[tuple[np.ndarray, np.ndarray]], titles: Sequence[str]) -> Figure:
    """Draw pairs of pictures side by side, one pair a row of a two-column block."""
    pictures = [picture for pair in pairs for picture in pair]
    labels = [text for title in titles for text in (title, "")]
    return image_grid(pictures, labels)


def hash_distances(distances: pd.DataFrame, threshold: int, title: str) -> Figure:
    """Draw the perceptual-hash distances of known copies and of different images.

    Parameters
    ----------
    distances
        Columns ``kind`` and ``distance`` (bits of 64).
    threshold
        Largest distance still searched.
    """
    fig, axes = plt.subplots()
    bins = np.arange(0, 66, 2) - 0.5
    styles = (("#0072b2", ""), ("#d55e00", "//"))
    for (kind, own), style in zip(distances.groupby("kind", sort=True), styles, strict=True):
        weights = np.full(len(own), 1 / len(own))
        axes.hist(own["distance"], bins=bins, weights=weights, color=style[0], hatch=style[1], alpha=0.6,
                  label=f"{kind} (n = {len(own)})")  # fmt: skip
    axes.axvline(threshold + 0.5, color="black", linestyle="--")
    axes.text(threshold + 1, axes.get_ylim()[1] * 0.92, f"threshold {threshold}", fontsize=10)
    axes.set(xlabel="smallest Hamming distance over 8 orientations, bits", ylabel="share of pairs", title=title)
    axes.legend(fontsize=10)
    return fig
