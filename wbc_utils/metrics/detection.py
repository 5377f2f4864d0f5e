"""Predicted boxes beside the true ones: checked once, in an order that no shuffling of rows changes.

Every score of a detector starts from `Detections`. The images are named apart from the boxes, since one without true
boxes is where false alarms count and one without any box still belongs to the sample.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import percentile_bounds
from wbc_utils.metrics.overlap import box_faults

COORDINATES = ["xmin", "ymin", "xmax", "ymax"]

Thresholds = float | Mapping[Hashable, float]
"""Lowest score that counts as a detection: one for all classes, or one for each."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes as arrays, ordered by image and class; predictions then by falling score, the rest by coordinates.

    Attributes
    ----------
    image, label
        Position of the image in `Detections.images` and of the class in `Detections.classes`, (n,) int.
    corners
        ``xmin, ymin, xmax, ymax`` in px, (n, 4).
    score
        (n,) of predictions; 1 of true boxes.
    row
        Position in the table that was given, (n,) int.
    """

    image: np.ndarray
    label: np.ndarray
    corners: np.ndarray
    score: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, eq=False)
class Detections:
    """Predictions and truth of the same images; make it with `of`, which checks them.

    Attributes
    ----------
    images
        Names in sorted order.
    classes
        In the order of every table of scores.
    truth, predictions
        Boxes in canonical order.
    tables
        The tables of truth and of predictions as they were given.
    """

    images: tuple
    classes: tuple
    truth: Boxes
    predictions: Boxes
    tables: tuple[pd.DataFrame, pd.DataFrame]

    @classmethod
    def of(
        cls, truth: pd.DataFrame, predictions: pd.DataFrame, images: Sequence[Hashable], classes: Sequence[Hashable]
    ) -> "Detections":
        """Check the tables and put them in order.

        Parameters
        ----------
        truth
            A row a true box: ``image``, ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px; others may be there.
        predictions
            The same and ``score``.
        images
            Every image that was looked at, also those without a box.
        classes
            The k classes.

        Raises
        ------
        MetricError
            If a column is missing, there is no image or class, one is named twice, a box is of another image or
            class, has no area, reversed borders or a coordinate that is not finite, or a score is not in [0, 1].
        """
        for name, members in (("images", images), ("classes", classes)):
            if not len(members) or len(set(members)) < len(members):
                found = f"{len(members)} {name}, {len(set(members))} of them different"
                raise MetricError(f"{found}; name at least one, each once")
        ordered = tuple(sorted(images))
        boxes = [_ordered("truth", truth, ordered, classes, scored=False)]
        boxes.append(_ordered("predictions", predictions, ordered, classes, scored=True))
        return cls(ordered, tuple(classes), *boxes, (truth, predictions))

    def cells(self, boxes: Boxes) -> np.ndarray:
        """Return the number of the image and class of each box, ``image · k + class``, (n,) int; it never falls."""
        return boxes.image * len(self.classes) + boxes.label

    def count(self, boxes: Boxes, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Count the boxes, or a boolean choice of them, in each image and class, (images, k) int."""
        shape = len(self.images), len(self.classes)
        return np.bincount(self.cells(boxes)[chosen], minlength=shape[0] * shape[1]).reshape(shape)

    def detected(self, thresholds: Thresholds) -> np.ndarray:
        """Return which predictions reach the lowest score of their class, (n,) bool.

        Raises
        ------
        MetricError
            If a threshold is not in [0, 1], or thresholds by class do not name each class once.
        """
        each = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(self.classes, thresholds)
        if set(each) != set(self.classes) or not all(0 <= value <= 1 for value in each.values()):
            wanted = f"one number from 0 to 1, or one for each of {list(self.classes)}"
            raise MetricError(f"score thresholds {thresholds}; give {wanted}")
        return self.predictions.score >= np.array([each[name] for name in self.classes])[self.predictions.label]


def interval_table(
    names: Sequence[Hashable], values: Mapping[str, np.ndarray], drawn: Mapping[str, np.ndarray], n: int
) -> pd.DataFrame:
    """Return metrics with their percentile intervals: ``class``, ``metric``, ``value``, ``low``, ``high``, ``n``.

    Parameters
    ----------
    names
        The k classes, or what else the rows are.
    values, drawn
        Of each metric the value (k,) and what the resamples gave (draws, k).
    n
        Images that were resampled.
    """
    tables = []
    for metric, value in values.items():
        low, high = percentile_bounds(drawn[metric])
        rows = {"class": list(names), "metric": metric, "value": value, "low": low, "high": high, "n": n}
        tables.append(pd.DataFrame(rows))
    return pd.concat(tables, ignore_index=True)


def side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `interval_table` with one row a class: each metric, and its interval in words.

    Returns
    -------
    pandas.DataFrame
        ``class``, then for each metric its value under its name and the bounds under "<metric>, 95 %".
    """
    wide = {"class": table["class"].unique()}
    for metric, rows in table.groupby("metric", sort=False):
        bounds = zip(rows["low"], rows["high"], strict=True)
        wide |= {
            metric: rows["value"].to_numpy(),
            f"{metric}, 95 %": [f"{low:.3f} to {high:.3f}" for low, high in bounds],
        }
    return pd.DataFrame(wide)


def times_drawn(images: int, seed: int, draws: int, at_once: int) -> Iterator[np.ndarray]:
    """Yield how often resamples of images with replacement hold each image, some resamples at a time, (some, n) int.

    Parameters
    ----------
    images
        Number n of independent images.
    seed, draws
        Of the bootstrap; the same seed draws the same images, whatever ``at_once`` is.
    at_once
        Most resamples at a time.

    Raises
    ------
    MetricError
        If there are fewer than two images.
    """
    if images < 2:
        raise MetricError(f"an interval needs at least two independent images, found {images}; report no interval")
    rng = np.random.default_rng(seed)
    for start in range(0, draws, at_once):
        yield rng.multinomial(images, np.full(images, 1 / images), size=min(at_once, draws - start))


def require_paired(first: Detections, second: Detections) -> None:
    """Refuse to compare detections of other images, classes or true boxes.

    Raises
    ------
    MetricError
        Saying in what they differ.
    """
    truths = [(one.truth.image, one.truth.label, one.truth.corners) for one in (first, second)]
    same = {
        "images": first.images == second.images,
        "classes": first.classes == second.classes,
        "true boxes": all(map(np.array_equal, *truths)),
    }
    if differing := [name for name, equal in same.items() if not equal]:
        raise MetricError(f"the two have other {' and '.join(differing)}; compare predictions beside one truth")


def _ordered(name: str, table: pd.DataFrame, images: Sequence, classes: Sequence, scored: bool) -> Boxes:
    missing = [column for column in ["image", "class", *COORDINATES, *["score"] * scored] if column not in table]
    if missing:
        raise MetricError(f"the {name} have no column {missing}, only {list(table.columns)}; see Detections.of")
    image = pd.Index(images).get_indexer(table["image"])
    label = pd.Index(classes).get_indexer(table["class"])
    corners = np.column_stack([_numbers(table[side]) for side in COORDINATES])
    score = _numbers(table["score"]) if scored else np.ones(len(table))
    faults = {
        f"an image that is not among the {len(images)} given": image < 0,
        f"a class that is not among {list(classes)}": label < 0,
        **box_faults(corners),
        "a score that is not from 0 to 1": ~((score >= 0) & (score <= 1)),
    }
    for fault, wrong in faults.items():
        if wrong.any():
            first = table[wrong].iloc[0].to_dict()
            raise MetricError(
                f"{wrong.sum()} of {len(table)} {name} have {fault}, the first {first}; repair or drop them"
            )
    order = np.lexsort((*corners.T[::-1], -score, label, image))
    return Boxes(image[order], label[order], corners[order], score[order], order)


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
