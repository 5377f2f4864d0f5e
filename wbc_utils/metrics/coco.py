"""COCO's average precision, and its interval over images without evaluating any resample anew.

AP is the mean, over recalls 0, 0.01, …, 1, of the highest precision reached at that recall or a higher one; the classes
count equally, and so do least IoUs of 0.5, 0.55, …, 0.95. Unlike COCO's own summary, which keeps 100 predictions, up to
300 of an image and class count: a smear field holds more cells than a photograph objects.

References
----------
T.-Y. Lin et al. (2014), *Microsoft COCO: Common Objects in Context*.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS
from wbc_utils.metrics.detection import Detections, interval_table, require_paired, times_drawn
from wbc_utils.metrics.matching import match

MAX_DETECTIONS = 300
"""Predictions of an image and class that count, those of highest score."""

IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MEAN = "mean"
"""Row of the mean over classes."""

_CELLS_AT_ONCE = 2_000_000  # resample × prediction held in memory together
_AVERAGES = {"AP": slice(None), "AP50": [0], "AP75": [5]}


def coco_ap(detections: Detections, max_detections: int = MAX_DETECTIONS) -> pd.DataFrame:
    """Return average precision by class and its mean.

    Returns
    -------
    pandas.DataFrame
        A row a class and the row "mean": ``class``, ``n`` (true boxes), ``AP``, ``AP50``, ``AP75``, ``note``. A class
        without true boxes has no AP (NaN) and is not in the mean; ``note`` says so in both rows.

    Raises
    ------
    MetricError
        If ``max_detections`` is below 1.
    """
    found = _averages(_rank(detections, max_detections), np.ones((1, len(detections.images))))
    numbers = detections.count(detections.truth).sum(axis=0)
    rows = {"class": [*detections.classes, MEAN], "n": [*numbers, numbers.sum()]}
    rows |= {name: value[0] for name, value in found.items()}
    return pd.DataFrame(rows | {"note": _notes(detections.classes, numbers)})


def ap_scores(
    truth: pd.DataFrame, predictions: pd.DataFrame, images: Sequence[Hashable], classes: Sequence[Hashable]
) -> dict[str, float]:
    """Return the means over the classes that a training watches, ``validation_ap50`` first.

    Parameters
    ----------
    truth, predictions, images, classes
        As `wbc_utils.metrics.detection.Detections.of`.
    """
    mean = coco_ap(Detections.of(truth, predictions, images, classes)).iloc[-1]
    return {"validation_ap50": float(mean["AP50"]), "validation_ap": float(mean["AP"])}


def ap_interval(
    detections: Detections, seed: int, max_detections: int = MAX_DETECTIONS, draws: int = DRAWS
) -> pd.DataFrame:
    """Return average precision with its percentile interval if images are independent.

    The predictions are matched once; a resample only counts how often each image was drawn. The values are those of
    `coco_ap`. A resample without true boxes of a class has no mean: one over fewer classes would be of something else.

    Parameters
    ----------
    seed, draws
        Of the bootstrap.
    max_detections
        As `coco_ap`.

    Returns
    -------
    pandas.DataFrame
        ``class`` (the classes and "mean"), ``metric`` ("AP", "AP50", "AP75"), ``value``, ``low``, ``high``, ``n``
        (images).

    Raises
    ------
    MetricError
        If there are fewer than two images or ``max_detections`` is below 1.
    """
    values, drawn = _resampled(detections, seed, max_detections, draws)
    return interval_table([*detections.classes, MEAN], values, drawn, len(detections.images))


def ap_difference(
    first: Detections, second: Detections, seed: int, max_detections: int = MAX_DETECTIONS, draws: int = DRAWS
) -> pd.DataFrame:
    """Return AP(second) − AP(first) of two detectors on the same images with its paired interval.

    Parameters
    ----------
    first, second
        Predictions of either beside the same truth.
    seed, max_detections, draws
        As `ap_interval`; both are scored on the same resamples.

    Returns
    -------
    pandas.DataFrame
        As `ap_interval`.

    Raises
    ------
    MetricError
        If images, classes or truth differ; as `ap_interval`.
    """
    require_paired(first, second)
    (before, drawn_before), (after, drawn_after) = (
        _resampled(one, seed, max_detections, draws) for one in (first, second)
    )
    values = {name: after[name] - before[name] for name in after}
    drawn = {name: drawn_after[name] - drawn_before[name] for name in after}
    return interval_table([*first.classes, MEAN], values, drawn, len(first.images))


def _resampled(
    detections: Detections, seed: int, max_detections: int, draws: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return each average, (k + 1,), and those of the resamples, (draws, k + 1)."""
    n, ranked = len(detections.images), _rank(detections, max_detections)
    at_once = max(1, _CELLS_AT_ONCE // (len(detections.predictions) + n))
    blocks = [_averages(ranked, times.astype(float)) for times in times_drawn(n, seed, draws, at_once)]
    values = {name: value[0] for name, value in _averages(ranked, np.ones((1, n))).items()}
    drawn = {name: np.concatenate([block[name] for block in blocks]) for name in values}
    for name, value in values.items():
        drawn[name][np.isnan(drawn[name][:, ~np.isnan(value)]).any(axis=1), -1] = np.nan
    return values, drawn


@dataclass(frozen=True, eq=False)
class _Ranked:
    """The predictions of a class by falling score: ``image`` (n,), ``hit`` (IoUs, n); true boxes an image."""

    image: np.ndarray
    hit: np.ndarray
    truth: np.ndarray


def _rank(detections: Detections, max_detections: int) -> list[_Ranked]:
    if max_detections < 1:
        raise MetricError(f"{max_detections} detections an image and class; keep at least one")
    boxes, hit = detections.predictions, match(detections, IOUS) >= 0
    cells, truth = detections.cells(boxes), detections.count(detections.truth)
    kept = np.arange(len(boxes)) - np.searchsorted(cells, cells) < max_detections
    ranked = []
    for label in range(len(detections.classes)):
        own = np.flatnonzero(kept & (boxes.label == label))
        own = own[np.argsort(-boxes.score[own], kind="stable")]
        ranked.append(_Ranked(boxes.image[own], hit[:, own], truth[:, label]))
    return ranked


def _averages(ranked: list[_Ranked], times: np.ndarray) -> dict[str, np.ndarray]:
    """Return each average, (draws, k + 1), from how often a resample holds each image, (draws, images)."""
    each = np.stack([_average_precision(one, times) for one in ranked], axis=1)
    return {name: with_mean(each[..., chosen].mean(axis=-1)) for name, chosen in _AVERAGES.items()}


def _average_precision(ranked: _Ranked, times: np.ndarray) -> np.ndarray:
    """Return the average precision of each resample at each IoU, (draws, IoUs).

    Precision is highest where a true positive was just added, so that no other place has to be looked at.
    """
    seen = np.cumsum(times[:, ranked.image], axis=1)
    positives = times @ ranked.truth
    found = np.full((len(times), len(IOUS)), np.nan)
    for place, hit in enumerate(ranked.hit):
        at = np.flatnonzero(hit)
        true = np.cumsum(times[:, ranked.image[at]], axis=1)
        precision = true / np.maximum(seen[:, at], 1)
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALLS, true / np.maximum(positives, 1)[:, None], side="right")
        found[:, place] = (highest * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
    found[positives == 0] = np.nan
    return found


def with_mean(each: np.ndarray) -> np.ndarray:
    """Append the mean over the defined classes, (…, k) to (…, k + 1)."""
    defined = ~np.isnan(each)
    total, number = np.where(defined, each, 0).sum(axis=-1), defined.sum(axis=-1)
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return np.concatenate([each, mean[..., None]], axis=-1)


def _notes(classes: tuple, numbers: np.ndarray) -> list[str]:
    absent = [str(name) for name, number in zip(classes, numbers, strict=True) if not number]
    of_mean = f"without {', '.join(absent)}: no true box" if absent else ""
    return ["" if number else "no true box, not in the mean" for number in numbers] + [of_mean]
