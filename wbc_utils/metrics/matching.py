"""Which prediction takes which true box: greedily by falling score, one to one, within image and class, as COCO does.

A match depends on the predictions of higher score only. Dropping those below a score threshold, or all but the first so
many of an image and class, therefore changes no match of the others: one matching serves every operating point.

References
----------
T.-Y. Lin et al. (2014), *Microsoft COCO*. A tie goes to the later of equally good true boxes, as in its code.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.overlap import paired_iou

_PAIRS_AT_ONCE = 1_000_000  # pairs of boxes held in memory together


@dataclass(frozen=True, eq=False)
class Pairs:
    """Predictions and true boxes of one image and class that overlap; those of one prediction from worst to best.

    Attributes
    ----------
    prediction, truth
        Positions in `Detections.predictions`, never falling, and in `Detections.truth`, (n,) int.
    iou
        Intersection over union, (n,).
    """

    prediction: np.ndarray
    truth: np.ndarray
    iou: np.ndarray

    def best(self) -> "Pairs":
        """Return the best pair of each prediction that has one."""
        last = np.flatnonzero(np.diff(self.prediction, append=-1))
        return Pairs(self.prediction[last], self.truth[last], self.iou[last])


def overlapping(detections: Detections, least: float = 0.0) -> Pairs:
    """Return the pairs of one image and class with an IoU above zero and of at least ``least``."""
    blocks = []
    for prediction, truth in _pairs_by_block(detections):
        iou = paired_iou(detections.predictions.corners[prediction], detections.truth.corners[truth])
        near = (iou > 0) & (iou >= least)
        blocks.append((prediction[near], truth[near], iou[near]))
    prediction, truth, iou = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    order = np.lexsort((truth, iou, prediction))
    return Pairs(prediction[order], truth[order], iou[order])


def match(detections: Detections, ious: Sequence[float]) -> np.ndarray:
    """Return the true box that each prediction takes at each least IoU, or −1, (thresholds, predictions) int.

    Positions are those in `Detections.truth` and `Detections.predictions`.

    Raises
    ------
    MetricError
        If an IoU is not in (0, 1].
    """
    least = np.asarray(ious, dtype=float)
    if not ((least > 0) & (least <= 1)).all():
        raise MetricError(f"least IoUs {ious}; give numbers above 0 and up to 1")
    pairs = overlapping(detections, least.min())
    taken = np.zeros((len(least), len(detections.truth)), dtype=bool)
    taker = np.full((len(least), len(detections.predictions)), -1)
    for chosen in _by_rank(pairs.prediction, detections.cells(detections.predictions)):
        prediction, truth = pairs.prediction[chosen], pairs.truth[chosen]
        free = ~taken[:, truth] & (pairs.iou[chosen] >= least[:, None])
        firsts = np.flatnonzero(np.diff(prediction, prepend=-1))
        best = np.maximum.reduceat(np.where(free, np.arange(len(truth)), -1), firsts, axis=1)
        threshold, place = np.nonzero(best >= 0)
        won = truth[best[threshold, place]]
        taken[threshold, won] = True
        taker[threshold, prediction[firsts[place]]] = won
    return taker


def matched_tables(detections: Detections, iou: float = 0.5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of predictions and of truth with what became of each row.

    Returns
    -------
    predictions
        As given, and ``match``: "true positive", "duplicate" (overlaps enough, but others took the boxes) or
        "background"; ``iou`` with the box it took, else with the box of its class that it overlaps most (0: none);
        ``truth``: row number (from 0) of that box in the table of truth, missing where there is none.
    truth
        As given, and ``found`` (bool) and ``prediction``: row number of the prediction that took it.

    Raises
    ------
    MetricError
        As `match`.
    """
    pairs, taken = overlapping(detections), match(detections, [iou])[0]
    n, best = len(detections.predictions), pairs.best()
    overlap, nearest = np.zeros(n), np.full(n, -1)
    overlap[best.prediction], nearest[best.prediction] = best.iou, best.truth
    own = taken[pairs.prediction] == pairs.truth
    overlap[pairs.prediction[own]] = pairs.iou[own]
    hit = taken >= 0
    kind = np.where(hit, "true positive", np.where(overlap >= iou, "duplicate", "background"))
    finder = np.full(len(detections.truth), -1)
    finder[taken[hit]] = np.flatnonzero(hit)
    truth_table, prediction_table = detections.tables
    truth_row, prediction_row = detections.truth.row, detections.predictions.row
    given, true = np.argsort(prediction_row), np.argsort(truth_row)
    predictions = prediction_table.assign(
        match=kind[given], iou=overlap[given], truth=_rows(np.where(hit, taken, nearest)[given], truth_row)
    )
    return predictions, truth_table.assign(found=finder[true] >= 0, prediction=_rows(finder[true], prediction_row))


def _pairs_by_block(detections: Detections) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all pairs of one image and class, some predictions at a time."""
    cells, true_cells = detections.cells(detections.predictions), detections.cells(detections.truth)
    start = np.searchsorted(true_cells, cells, side="left")
    size = np.searchsorted(true_cells, cells, side="right") - start
    before = np.cumsum(size) - size
    borders = np.searchsorted(before, np.arange(_PAIRS_AT_ONCE, size.sum(), _PAIRS_AT_ONCE))
    for block in np.split(np.arange(len(size)), borders):
        prediction = np.repeat(block, size[block])
        within = np.arange(len(prediction)) - np.repeat(before[block] - before[block[:1]], size[block])
        yield prediction, start[prediction] + within


def _by_rank(prediction: np.ndarray, cells: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pairs of the first prediction of every image and class, then those of the second, and so on."""
    some, pair = np.unique(prediction, return_inverse=True)
    own = cells[some]
    rank = (np.arange(len(some)) - np.searchsorted(own, own))[pair]
    order = np.argsort(rank, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(rank[order])) + 1) if len(order) else []


def _rows(position: np.ndarray, row: np.ndarray) -> pd.array:
    """Return row numbers of the table given, missing where the position is −1."""
    missing = position < 0
    rows = row[np.where(missing, 0, position)] if len(row) else position
    return pd.arrays.IntegerArray(rows.astype(np.int64), missing)
