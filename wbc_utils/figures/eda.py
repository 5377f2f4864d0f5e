"""Figures of exploratory analysis: counts, sizes, shares, patients, samples."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wbc_utils.labels import cell_color, in_lineage_order

MARKERS = "o^sDvP*X"


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


def objects_per_image(boxes: pd.DataFrame, images: pd.DataFrame, title: str) -> Figure:
    """Draw a histogram of the number of objects an image, one panel a class.

    Parameters
    ----------
    boxes, images
        Tables of a `wbc_utils.data.tables.Dataset`; images without a box count as zero.
    """
    order = in_lineage_order(boxes["class"])[:6]
    fig, panels = plt.subplots(len(order), 1, figsize=(6.0, 0.7 + 1.15 * len(order)), squeeze=False)
    for name, axes in zip(order, panels[:, 0], strict=True):
        count = boxes[boxes["class"] == name].groupby("image").size().reindex(images["image"], fill_value=0)
        values, times = np.unique(count, return_counts=True)
        axes.bar(values, times, color=cell_color(name), width=0.8)
        axes.set_ylabel("images")
        axes.text(0.99, 0.9, f"{name}: median {count.median():.0f}", transform=axes.transAxes, ha="right", va="top")
    panels[0, 0].set_title(title)
    panels[-1, 0].set_xlabel("objects in the image")
    return fig


def box_sizes(boxes: pd.DataFrame, title: str) -> Figure:
    """Draw width against height of every box, with the 95th percentile of both for each class."""
    order = in_lineage_order(boxes["class"])[:6]
    fig, axes = plt.subplots(figsize=(6.0, 5.0))
    for name, marker in zip(order, MARKERS, strict=False):
        own = boxes[boxes["class"] == name]
        width, height = own["xmax"] - own["xmin"], own["ymax"] - own["ymin"]
        color = cell_color(name)
        axes.scatter(width, height, s=10, marker=marker, color=color, alpha=0.35, linewidths=0, label=name)
        wide, high = width.quantile(0.95), height.quantile(0.95)
        axes.plot([0, wide, wide], [high, high, 0], color=color, linestyle="--", linewidth=1)
        axes.annotate(f"{name} 95 %: {wide:.0f} × {high:.0f}", (wide, high), color=color, fontsize=10,
                      xytext=(3, 3), textcoords="offset points")  # fmt: skip
    axes.set(xlabel="width, px", ylabel="height, px", title=title, xlim=(0, None), ylim=(0, None))
    axes.legend(loc="lower right", markerscale=2)
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
        for sex, face in (("F", "none"), ("M", color)):
            part = own[own["sex"] == sex]
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
        style = {"marker": MARKERS[index % len(MARKERS)], "color": colors[index], "linewidths": 0}
        axes.scatter(own["brightness"], own["saturation"], s=8, alpha=0.3, **style)
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
