"""Figures of an embedding: its projection, the graph of its class centroids, neighbours of single cells."""

from collections.abc import Collection, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from wbc_utils.figures.placement import apart
from wbc_utils.labels import cell_color
from wbc_utils.metrics.embedding import nearest_class

MARKERS = "osD^vPX*"
EXPECTED_COLOR = "#0072b2"
OTHER_COLOR = "#d55e00"

_ROOM = (5.2, 4.2)  # inches that the graph may fill
_CODE_WIDTH = 0.1  # of a character, inches
_CODE_HEIGHT = 0.55  # of a code in its box, with room for an arrow, inches


def scatter(
    points: np.ndarray, labels: Sequence[str], order: Sequence[str], title: str, highlight: Collection[str] = ()
) -> Figure:
    """Draw a projection with the code of each class at the median of its points.

    Parameters
    ----------
    points
        Projected items, (n, 2). The axes of t-SNE have no unit and are not drawn.
    labels
        Class of each item, (n,).
    order
        Classes to draw, in lineage order.
    highlight
        Classes drawn on top, large, each with a mark of its own.
    """
    labels = np.asarray(labels)
    fig, axes = plt.subplots(figsize=(6.0, 5.6))
    size = np.clip(15_000 / len(points), 5, 30)
    for code in order:
        if code not in highlight:
            own = points[labels == code]
            axes.scatter(own[:, 0], own[:, 1], s=size, color=cell_color(code), alpha=0.5, linewidths=0, rasterized=True)
    for number, code in enumerate([code for code in order if code in highlight]):
        own = points[labels == code]
        look = {"marker": MARKERS[number % len(MARKERS)], "color": cell_color(code), "label": f"{code} ({len(own)})"}
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=max(22, 2 * size),
            edgecolors="black",
            linewidths=0.3,
            alpha=0.8,
            rasterized=True,
            **look,
        )
    axes.set(title=title, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    medians = {code: np.median(points[labels == code], axis=0) for code in order if (labels == code).any()}
    _write_codes(axes, medians, highlight)
    if highlight:
        fig.legend(loc="outside lower center", ncols=4, fontsize=10)
    return fig


def _write_codes(axes: Axes, medians: dict[str, np.ndarray], bold: Collection[str]) -> None:
    """Write each code at its place, moved where codes would overlap, with a line back to the place."""
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())  # asked for, they hold all points drawn so far
    to_axes = axes.transAxes.inverted()
    places = to_axes.transform(axes.transData.transform(np.array(list(medians.values()))))
    moved = apart(places, width=0.02 * max(map(len, medians)), height=0.045)
    halo = [withStroke(linewidth=3, foreground="white")]
    for place, spot in zip(places, moved, strict=True):
        axes.plot(*np.transpose([place, spot]), color="black", linewidth=1, transform=axes.transAxes, zorder=3,
                  path_effects=halo)  # fmt: skip
    for code, spot in zip(medians, moved, strict=True):
        weight = "bold" if code in bold else "normal"
        axes.text(*spot, code, ha="center", va="center", fontsize=11, fontweight=weight, transform=axes.transAxes,
                  zorder=4, path_effects=halo)  # fmt: skip


def lineage_graph(distances: pd.DataFrame, edges: Collection[tuple[str, str]], title: str) -> Figure:
    """Draw the class centroids in two dimensions, with an arrow from each class to the class nearest to it.

    Places follow from classical scaling of the distances (Torgerson 1952); codes that would overlap are moved apart.

    Parameters
    ----------
    distances
        Between class centroids, (k, k), as `wbc_utils.metrics.embedding.centroid_distances` returns them.
    edges
        Pairs of classes that follow each other in maturation: the expected graph, drawn as broad grey lines. Pairs
        with a class that is not in ``distances`` are left out.
    """
    order = list(distances.index)
    width = _CODE_WIDTH * max(map(len, order)) + 0.3
    spots = apart(_layout(distances.to_numpy()), width, _CODE_HEIGHT)
    places = dict(zip(order, spots, strict=True))
    expected = [set(pair) for pair in edges if set(pair) <= set(order)]
    fig, axes = plt.subplots(figsize=(6.0, 5.2))
    for one, other in map(sorted, expected):  # sorted, so that a figure has the same bytes in every process
        axes.plot(*np.transpose([places[one], places[other]]), color="#d9d9d9", linewidth=9, solid_capstyle="round")
    boxes = {code: _boxed(axes, code, place) for code, place in places.items()}
    for code, near in nearest_class(distances).items():
        _arrow(axes, boxes[code], boxes[near], {code, near} in expected)
    axes.set(title=title, xlim=(-3, 3), ylim=(spots[:, 1].min() - 0.3, spots[:, 1].max() + 0.3), aspect="equal")
    axes.axis("off")
    fig.legend(handles=[
        plt.Line2D([], [], color="#d9d9d9", linewidth=9, label="expected order"),
        plt.Line2D([], [], color=EXPECTED_COLOR, label="nearest: as expected"),
        plt.Line2D([], [], color=OTHER_COLOR, linestyle="--", label="nearest: another"),
    ], loc="outside lower center", ncols=3, fontsize=10)  # fmt: skip
    return fig


def _boxed(axes: Axes, code: str, place: np.ndarray) -> Text:
    box = {"boxstyle": "round", "facecolor": "white", "edgecolor": cell_color(code), "linewidth": 2}
    return axes.text(*place, code, ha="center", va="center", fontsize=10, zorder=4, bbox=box)


def _arrow(axes: Axes, start: Text, end: Text, expected: bool) -> None:
    """Draw an arrow from box to box, after the boxes, whose size is known once they are drawn."""
    style = {"color": EXPECTED_COLOR, "linestyle": "-"} if expected else {"color": OTHER_COLOR, "linestyle": "--"}
    arrow = FancyArrowPatch(start.get_position(), end.get_position(), patchA=start.get_bbox_patch(),
                            patchB=end.get_bbox_patch(), arrowstyle="-|>", mutation_scale=13, linewidth=1.6,
                            connectionstyle="arc3,rad=0.15", zorder=5, **style)  # fmt: skip
    axes.add_patch(arrow)


def _layout(distances: np.ndarray) -> np.ndarray:
    """Return places in inches around the origin, one scale for both axes; the order runs from left to right."""
    centring = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    places = vectors[:, :-3:-1] * np.sqrt(np.maximum(values[:-3:-1], 0))
    places *= np.where(np.arange(len(distances)) @ (places - places.mean(axis=0)) < 0, -1, 1)
    places -= (places.max(axis=0) + places.min(axis=0)) / 2
    return places * min(room / max(extent, 1e-12) for room, extent in zip(_ROOM, np.ptp(places, axis=0), strict=True))


def neighbours(
    queries: Sequence[np.ndarray],
    titles: Sequence[str],
    labels: Sequence[str],
    near: Sequence[Sequence[np.ndarray]],
    near_labels: Sequence[Sequence[str]],
) -> Figure:
    """Draw one row a cell: the cell, then its nearest neighbours; those with another label are crossed.

    Parameters
    ----------
    queries
        uint8 arrays (H, W, 3), (q,).
    titles
        Text above each query, (q,).
    labels
        Class of each query, (q,).
    near, near_labels
        Pictures and classes of the k neighbours of each query, (q, k).
    """
    columns = 1 + len(near[0])
    fig, panels = plt.subplots(
        len(queries), columns, figsize=(6.4, (6.4 / columns + 0.25) * len(queries)), squeeze=False
    )
    for row, (first, *others) in enumerate(panels):
        _picture(first, queries[row], titles[row], "black", "-")
        for axes, picture, code in zip(others, near[row], near_labels[row], strict=True):
            same = code == labels[row]
            look = ("#555555", "-") if same else ("#c1121f", "--")
            _picture(axes, picture, code if same else f"✗ {code}", *look)
    return fig


def gallery(pictures: Sequence[np.ndarray], titles: Sequence[str], columns: int = 4) -> Figure:
    """Draw pictures in rows, each under its title.

    Parameters
    ----------
    pictures
        uint8 arrays (H, W, 3), at least one.
    titles
        Text above each.
    columns
        Pictures a row.
    """
    rows = -(-len(pictures) // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(6.4, (6.4 / columns + 0.25) * rows), squeeze=False)
    for axes, picture, title in zip(panels.flat, pictures, titles, strict=False):
        _picture(axes, picture, title, "black", "-")
    for axes in panels.flat[len(pictures) :]:
        axes.set_axis_off()
    return fig


def _picture(axes: Axes, picture: np.ndarray, title: str, color: str, line: str) -> None:
    axes.imshow(picture)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9, color=color)
    axes.spines[:].set(visible=True, color=color, linestyle=line, linewidth=1.5)
