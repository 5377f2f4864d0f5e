"""COCO's average precision, and its interval over images without evaluating any resample anew.

AP is the mean, over recalls 0, 0.01, …, 1, of the highest precision reached at that recall or a higher one; the classes
count equally, and so do least IoUs of 0.5, 0.55, …, 0.95. Unlike COCO's own summary, which keeps 100 predictions, up to
300 of an image and class count: a smear field holds more cells than a photograph objects.

References
----------
T.-Y. Lin et al. (2014), *Microsoft COCO: Common Objects in Context*.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from faster_coco_eval import COCO, COCOeval_faster

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS
from wbc_utils.metrics.detection import Boxes, Detections, interval_table
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
    """Return average precision by class and its mean, computed by faster-coco-eval.

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
    _require_positive(max_detections)
    truth = _as_coco(detections, detections.truth)
    predictions = _as_coco(detections, detections.predictions)
    evaluation = COCOeval_faster(truth, predictions, "bbox")
    evaluation.params.maxDets = [max_detections]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]  # IoU, recall, class; −1 without true boxes
    each = np.where(precision[0, 0] < 0, np.nan, precision.mean(axis=1))
    numbers = detections.count(detections.truth).sum(axis=0)
    rows = {"class": [*detections.classes, MEAN], "n": [*numbers, numbers.sum()]}
    rows |= {name: _with_mean(each[chosen].mean(axis=0)) for name, chosen in _AVERAGES.items()}
    return pd.DataFrame(rows | {"note": _notes(detections.classes, numbers)})


def ap_interval(
    detections: Detections, seed: int, max_detections: int = MAX_DETECTIONS, draws: int = DRAWS
) -> pd.DataFrame:
    """Return average precision with its percentile interval if images are independent.

    The predictions are matched once; a resample only counts how often each image was drawn. The values are those of
    `coco_ap`. A resample without true boxes of a class leaves the class out of its mean, as `coco_ap` does.

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
    _require_positive(max_detections)
    n = len(detections.images)
    if n < 2:
        raise MetricError(f"an interval needs at least two independent images, found {n}; report no interval")
    ranked = list(_rank(detections, max_detections))
    values = _averages(ranked, np.ones((1, n)))
    rng, size = np.random.default_rng(seed), max(1, _CELLS_AT_ONCE // (len(detections.predictions) + n))
    blocks = [
        _averages(ranked, rng.multinomial(n, np.full(n, 1 / n), size=min(size, draws - start)).astype(float))
        for start in range(0, draws, size)
    ]
    drawn = {name: np.concatenate([block[name] for block in blocks]) for name in values}
    names = [*detections.classes, MEAN]
    return interval_table(names, {name: value[0] for name, value in values.items()}, drawn, n)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """The predictions of a class by falling score: ``image`` (n,), ``hit`` (IoUs, n); true boxes an image."""

    image: np.ndarray
    hit: np.ndarray
    truth: np.ndarray


def _rank(detections: Detections, max_detections: int) -> Iterator[_Ranked]:
    boxes, hit = detections.predictions, match(detections, IOUS) >= 0
    cells, truth = detections.cells(boxes), detections.count(detections.truth)
    kept = np.arange(len(boxes)) - np.searchsorted(cells, cells) < max_detections
    for label in range(len(detections.classes)):
        own = np.flatnonzero(kept & (boxes.label == label))
        own = own[np.argsort(-boxes.score[own], kind="stable")]
        yield _Ranked(boxes.image[own], hit[:, own], truth[:, label])


def _averages(ranked: list[_Ranked], times: np.ndarray) -> dict[str, np.ndarray]:
    """Return each average, (draws, k + 1), from how often a resample holds each image, (draws, images)."""
    each = np.stack([_average_precision(one, times) for one in ranked], axis=1)
    return {name: _with_mean(each[..., chosen].mean(axis=-1)) for name, chosen in _AVERAGES.items()}


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
        precision = true / (seen[:, at] + np.spacing(1))
        highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALLS, true / np.maximum(positives, 1)[:, None], side="right")
        found[:, place] = (highest * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
    found[positives == 0] = np.nan
    return found


def _with_mean(each: np.ndarray) -> np.ndarray:
    """Append the mean over the defined classes, (…, k) to (…, k + 1)."""
    defined = ~np.isnan(each)
    total, number = np.where(defined, each, 0).sum(axis=-1), defined.sum(axis=-1)
    mean = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return np.concatenate([each, mean[..., None]], axis=-1)


def _notes(classes: tuple, numbers: np.ndarray) -> list[str]:
    absent = [str(name) for name, number in zip(classes, numbers, strict=True) if not number]
    of_mean = f"without {', '.join(absent)}: no true box" if absent else ""
    return ["" if number else "no true box, not in the mean" for number in numbers] + [of_mean]


def _as_coco(detections: Detections, boxes: Boxes) -> COCO:
    """Return boxes as COCO's dictionaries; every identifier is a position plus one, since COCO takes 0 for none."""
    sides = np.concatenate([boxes.corners[:, :2], boxes.corners[:, 2:] - boxes.corners[:, :2]], axis=1)
    columns = (boxes.image + 1, boxes.label + 1, sides, sides[:, 2:].prod(axis=1), boxes.score)
    annotations = [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "score": score, "iscrowd": 0}
        for number, (image, label, box, area, score) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=1
        )
    ]
    return COCO(
        {
            "images": [{"id": number + 1} for number in range(len(detections.images))],
            "categories": [{"id": number + 1} for number in range(len(detections.classes))],
            "annotations": annotations,
        }
    )


def _require_positive(max_detections: int) -> None:
    if max_detections < 1:
        raise MetricError(f"{max_detections} detections an image and class; keep at least one")
