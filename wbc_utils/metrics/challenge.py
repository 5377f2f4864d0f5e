"""The score of the CytologIA challenge: 0.2 · mean((GIoU + 1) / 2) + 0.8 · macro-F1, over true boxes.

Each true box takes the prediction of its image with the highest generalised IoU, whatever its class and however far
away. Two oddities follow, and are kept: one prediction may serve several true boxes, and predictions that no true box
takes cost nothing. A true box without any prediction in its image is a miss of its class and has a GIoU of −1.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS, Interval, percentile_bounds
from wbc_utils.metrics.classification import f1
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.groups import group_sums, resampled_sums
from wbc_utils.metrics.overlap import giou, paired_iou

WEIGHTS = {"giou": 0.2, "macro_f1": 0.8}
"""Share of each part in the score."""

FOUND = 0.5
"""IoU from which a true box counts as found in the tables of errors; the score itself has no such border."""

SCORES = ("score", "giou", "macro_f1")
"""What `intervals` and the others return: the score and its parts, ``giou`` as mean((GIoU + 1) / 2)."""


_DECIMALS = 12


@dataclass(frozen=True, eq=False)
class Taken:
    """What each true box takes, in the order of `Detections.truth`; make it with `take`.

    Attributes
    ----------
    images, classes
        Names of all images, and the k classes.
    image, label
        Position of the image and of the true class, (n,) int.
    said
        Position of the predicted class, k where the image has no prediction, (n,) int.
    prediction
        Row of the prediction in the table that was given, −1 where there is none, (n,) int.
    giou, iou
        Overlap with it, −1 and 0 where there is none, (n,).
    """

    images: tuple
    classes: tuple
    image: np.ndarray
    label: np.ndarray
    said: np.ndarray
    prediction: np.ndarray
    giou: np.ndarray
    iou: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def confusion(self) -> np.ndarray:
        """True (rows) and predicted (columns) classes, and at the end what has no prediction, (k, k + 1) int."""
        return self._counts.sum(axis=0).reshape(len(self.classes), -1).astype(int)

    @property
    def outcome(self) -> np.ndarray:
        """What became of each true box: ``right``, ``wrong type`` or ``missed`` (IoU below `FOUND`), (n,) object."""
        typed = np.where(self.said == self.label, "right", "wrong type")
        return np.where(self.iou >= FOUND, typed, "missed").astype(object)

    @cached_property
    def _counts(self) -> np.ndarray:
        """Cell of the confusion matrix of each true box, (n, k (k + 1))."""
        k = len(self.classes)
        cells = np.zeros((len(self), k * (k + 1)))
        cells[np.arange(len(self)), self.label * (k + 1) + self.said] = 1
        return cells

    @property
    def addends(self) -> np.ndarray:
        """What has to be summed over true boxes to know the scores, (n, k (k + 1) + 2)."""
        return np.column_stack([self._counts, (self.giou + 1) / 2, np.ones(len(self))])


def take(detections: Detections) -> Taken:
    """Give each true box the prediction of its image with the highest GIoU; of equal ones the higher score wins."""
    truth, said = detections.truth, detections.predictions
    n, k = len(truth), len(detections.classes)
    chosen, overlap = np.full(n, -1), np.full(n, -1.0)
    ranked = np.lexsort((said.row, -said.score, said.image))
    start, stop = (np.searchsorted(said.image[ranked], truth.image, side=side) for side in ("left", "right"))
    for image in np.unique(truth.image[start < stop]):
        own = np.flatnonzero(truth.image == image)
        members = ranked[start[own[0]] : stop[own[0]]]
        near = giou(truth.corners[own], said.corners[members])
        chosen[own], overlap[own] = members[near.argmax(axis=1)], near.max(axis=1)
    some = chosen >= 0
    label, row, iou = np.full(n, k), np.full(n, -1), np.zeros(n)
    label[some], row[some] = said.label[chosen[some]], said.row[chosen[some]]
    iou[some] = paired_iou(truth.corners[some], said.corners[chosen[some]])
    return Taken(detections.images, detections.classes, truth.image, truth.label, label, row, overlap, iou)


def score(taken: Taken) -> float:
    """Return the score.

    Raises
    ------
    MetricError
        If there is no true box.
    """
    _require_one_truth([taken])
    return float(_scores(taken.addends.sum(axis=0), len(taken.classes))["score"])


def intervals(taken: Taken, seed: int, draws: int = DRAWS) -> dict[str, Interval]:
    """Return the score and its parts (`SCORES`) with percentile intervals if images are independent.

    Raises
    ------
    MetricError
        If fewer than two images have a true box.
    """
    return _intervals([taken], lambda scores: scores[0], seed, draws)


def gains(first: Taken, second: Taken, seed: int, draws: int = DRAWS) -> dict[str, Interval]:
    """Return scores(second) − scores(first) on the same true boxes, with paired intervals.

    Raises
    ------
    MetricError
        If images, classes or true boxes differ; as `intervals`.
    """
    return _intervals([first, second], lambda scores: scores[1] - scores[0], seed, draws)


def shares_lost(
    actual: Taken, true_boxes: Taken, true_types: Taken, seed: int, draws: int = DRAWS
) -> dict[str, Interval]:
    """Return which share of the distance to a perfect score each stage would win back by being perfect itself.

    Parameters
    ----------
    actual
        The two stages as they are.
    true_boxes
        The second stage on true boxes: what is lost there is its own.
    true_types
        Boxes of the first stage with the type of the true box that takes them: what is lost there is the first's.
    seed, draws
        Of the bootstrap.

    Returns
    -------
    dict
        ``detection`` and ``classification``: (score with that stage perfect − score) / (1 − score); NaN where nothing
        is lost. They need not sum to 1.

    Raises
    ------
    MetricError
        As `gains`.
    """

    def share(place: int):
        def of(scores: np.ndarray) -> np.ndarray:
            won, lost = scores[place] - scores[0], 1 - scores[0]
            return np.divide(won, lost, out=np.full(lost.shape, np.nan), where=lost > 0)

        return of

    stages = [actual, true_boxes, true_types]
    return {
        name: _intervals(stages, share(place), seed, draws)["score"]
        for place, name in enumerate(("detection", "classification"), start=1)
    }


def ladder(rungs: Mapping[str, Taken], seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """Return one row a rung: its score with interval, the parts, and the paired gain over the rung before.

    Returns
    -------
    pandas.DataFrame
        ``rung``, ``score``, ``low``, ``high``, ``giou``, ``macro_f1``, and from the second on ``gain``, ``gain low``,
        ``gain high`` of the score.

    Raises
    ------
    MetricError
        As `gains`.
    """
    rows, before = [], None
    for name, taken in rungs.items():
        found = intervals(taken, seed, draws)
        own = found["score"]
        row = {"rung": name, "score": own.value, "low": own.low, "high": own.high}
        row |= {part: found[part].value for part in WEIGHTS}
        if before is not None:
            gain = gains(before, taken, seed, draws)["score"]
            row |= {"gain": gain.value, "gain low": gain.low, "gain high": gain.high}
        rows.append(row)
        before = taken
    return pd.DataFrame(rows)


def choose_outside(several: Sequence[Taken], folds: Mapping[Hashable, Hashable]) -> dict[Hashable, int]:
    """Choose, for each fold, what scores best on the images outside it: what is chosen never saw what it is scored on.

    Parameters
    ----------
    several
        Candidates on the same true boxes; of equally good ones the first is chosen.
    folds
        Image → fold.

    Returns
    -------
    dict
        Fold → position of the chosen candidate.

    Raises
    ------
    MetricError
        If there is no candidate, an image has no fold, or no true box lies outside a fold; as `gains`.
    """
    if not several:
        raise MetricError("there is no candidate to choose; give at least one")
    _require_one_truth(several)
    first = several[0]
    own = pd.Series([folds.get(first.images[place]) for place in first.image], dtype=object)
    if own.isna().any() or own.nunique() < 2:
        found = f"{own.isna().sum()} of {len(own)} true boxes without a fold, the others in {own.nunique()} folds"
        raise MetricError(f"{found}; give each image one of at least two folds")
    chosen = {}
    for fold in sorted(own.unique()):
        outside = (own != fold).to_numpy()
        scores = [_scores(one.addends[outside].sum(axis=0), len(one.classes))["score"] for one in several]
        chosen[fold] = int(np.argmax(scores))
    return chosen


def outcomes(taken: Taken, extra: int) -> pd.DataFrame:
    """Return what became of the true boxes of each class, and of all.

    Parameters
    ----------
    extra
        Predictions that no true box took; the score does not see them.

    Returns
    -------
    pandas.DataFrame
        ``class``, ``n``, ``right``, ``wrong type``, ``missed``; then a row ``all`` and a row ``no true cell`` whose n
        is ``extra``.
    """
    names = [*taken.classes, "all"]
    kinds = ["right", "wrong type", "missed"]
    each = pd.crosstab(pd.Categorical(taken.label, range(len(taken.classes))), taken.outcome, dropna=False)
    each = each.reindex(index=range(len(taken.classes)), columns=kinds, fill_value=0).to_numpy()
    each = np.vstack([each, each.sum(axis=0)])
    table = pd.DataFrame(each, columns=kinds)
    table.insert(0, "n", each.sum(axis=1))
    table.insert(0, "class", names)
    last = pd.DataFrame([{"class": "no true cell", "n": extra}])
    return pd.concat([table, last], ignore_index=True).astype(dict.fromkeys(kinds, "Int64"))


def _intervals(several: list[Taken], statistic, seed: int, draws: int) -> dict[str, Interval]:
    """Return a statistic of the scores of several predictions of one truth, with its interval over images.

    ``statistic`` goes from scores (predictions, draws) to (draws,).
    """
    _require_one_truth(several)
    k, images = len(several[0].classes), several[0].image
    sums = np.stack([group_sums(taken.addends, images) for taken in several], axis=1)
    number, width = len(sums), sums.shape[2]
    drawn = resampled_sums(sums.reshape(number, -1), seed, draws).reshape(-1, len(several), width)
    found, resampled = _scores(sums.sum(axis=0)[None], k), _scores(drawn, k)
    result = {}
    for name in SCORES:  # rounded: what is equal in exact arithmetic differs by nothing
        low, high = np.round(percentile_bounds(statistic(resampled[name].T)), _DECIMALS)
        result[name] = Interval(round(float(statistic(found[name].T)[0]), _DECIMALS), float(low), float(high), number)
    return result


def _scores(sums: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Return the scores (…) from sums of `Taken.addends` (…, c)."""
    confusion = sums[..., : k * (k + 1)].reshape(*sums.shape[:-1], k, k + 1)
    square = np.concatenate([confusion, np.zeros_like(confusion[..., :1, :])], axis=-2)
    each = f1(square)[..., :k]  # what has no prediction is no class, but misses of its class
    found = {"giou": sums[..., -2] / sums[..., -1], "macro_f1": np.nanmean(each, axis=-1)}
    return {"score": sum(weight * found[name] for name, weight in WEIGHTS.items()), **found}


def _require_one_truth(several: Sequence[Taken]) -> None:
    first = several[0]
    for other in several[1:]:
        if (first.images, first.classes) != (other.images, other.classes) or not (
            np.array_equal(first.image, other.image) and np.array_equal(first.label, other.label)
        ):
            raise MetricError("the predictions are of other images, classes or true boxes; compare them on the same")
    if not len(first):
        raise MetricError("there is no true box; the score is a mean over true boxes")
