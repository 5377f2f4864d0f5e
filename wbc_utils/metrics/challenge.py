"""The score of the CytologIA challenge: 0.2 · mean((GIoU + 1) / 2) + 0.8 · macro-F1, over true boxes.

Each true box takes the prediction of its image with the highest generalised IoU, whatever its class and however far
away. Two oddities follow, and are kept: one prediction may serve several true boxes, and predictions that no true box
takes cost nothing. A true box without any prediction in its image is a miss of its class and has a GIoU of −1.
Macro-F1 is the mean over the classes that occur or are said; a class that is said and does not occur counts 0.

Intervals resample images within those that show the same set of classes, so that every resample has every true class. A
set that one image alone shows does not vary, and the interval does not hold the chance of how many cells a class has. A
class with no cell right, or every one, is so in every resample: see `wbc_utils.metrics.bootstrap.loosened`.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS, Interval, loosened, outer_bounds
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
    offered
        Number of all predictions in these images.
    """

    images: tuple
    classes: tuple
    image: np.ndarray
    label: np.ndarray
    said: np.ndarray
    prediction: np.ndarray
    giou: np.ndarray
    iou: np.ndarray
    offered: int

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

    @property
    def sharing(self) -> int:
        """Number of true boxes whose prediction serves another one, too."""
        served = np.unique(self.prediction[self.prediction >= 0], return_counts=True)[1]
        return int(served[served > 1].sum())

    @property
    def unused(self) -> int:
        """Number of predictions that no true box takes; the score does not see them."""
        return self.offered - len(np.unique(self.prediction[self.prediction >= 0]))

    @property
    def astray(self) -> int:
        """Number of true boxes named as a class that no true box has; each such class counts 0 in macro-F1."""
        return int((~np.isin(self.said, [*self.label, len(self.classes)])).sum())

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
    return Taken(detections.images, detections.classes, truth.image, truth.label, label, row, overlap, iou, len(said))


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

    Bounds are NaN where 95 % of the resamples agree: the sample shows no variation, which does not prove that there is
    none.

    Raises
    ------
    MetricError
        If no two images show the same set of classes.
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


def gain_over_mean(several: Sequence[Taken], other: Taken, seed: int, draws: int = DRAWS) -> dict[str, Interval]:
    """Return scores(other) − the mean of the scores of several, with paired intervals; as `gains`."""
    return _intervals([*several, other], lambda scores: scores[-1] - scores[:-1].mean(axis=0), seed, draws)


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


def outcomes(taken: Taken) -> pd.DataFrame:
    """Return what became of the true boxes of each class, and of all.

    Returns
    -------
    pandas.DataFrame
        ``class``, ``n``, ``right``, ``wrong type``, ``missed``; then a row ``all`` and a row ``no true cell`` whose n
        is that of the predictions that no true box takes.
    """
    names = [*taken.classes, "all"]
    kinds = ["right", "wrong type", "missed"]
    each = pd.crosstab(pd.Categorical(taken.label, range(len(taken.classes))), taken.outcome, dropna=False)
    each = each.reindex(index=range(len(taken.classes)), columns=kinds, fill_value=0).to_numpy()
    each = np.vstack([each, each.sum(axis=0)])
    table = pd.DataFrame(each, columns=kinds)
    table.insert(0, "n", each.sum(axis=1))
    table.insert(0, "class", names)
    last = pd.DataFrame([{"class": "no true cell", "n": taken.unused}])
    return pd.concat([table, last], ignore_index=True).astype(dict.fromkeys(kinds, "Int64"))


def _intervals(several: list[Taken], statistic, seed: int, draws: int) -> dict[str, Interval]:
    """Return a statistic of the scores of several predictions of one truth, with its interval over images.

    ``statistic`` goes from scores (predictions, draws) to (draws,).
    """
    _require_one_truth(several)
    first = several[0]
    k = len(first.classes)
    sums = np.stack([group_sums(taken.addends, first.image) for taken in several], axis=1)
    shown = group_sums(np.eye(k)[first.label], first.image) > 0
    strata = np.unique(shown, axis=0, return_inverse=True)[1].ravel()
    drawn = _resampled(sums.reshape(len(sums), -1), strata, seed, draws).reshape(-1, *sums.shape[1:])
    whole = sums.sum(axis=0)
    loose = drawn.copy()
    for one in range(len(several)):
        cells = drawn[:, one, : k * (k + 1)].reshape(-1, k, k + 1), whole[one, : k * (k + 1)].reshape(k, k + 1)
        loose[:, one, : k * (k + 1)] = loosened(*cells, shown.sum(axis=0), seed).reshape(len(drawn), -1)
    found, resampled = _scores(whole[None], k), [_scores(some, k) for some in (drawn, loose)]
    result = {}
    for name in SCORES:  # rounded: what is equal in exact arithmetic differs by nothing
        outer = outer_bounds([statistic(scores[name].T) for scores in resampled])
        bounds = np.round(outer, _DECIMALS) + 0.0
        low, high = bounds if bounds[0] < bounds[1] else (np.nan, np.nan)
        value = round(float(statistic(found[name].T)[0]), _DECIMALS) + 0.0
        result[name] = Interval(value, float(low), float(high), len(sums))
    return result


def _resampled(sums: np.ndarray, strata: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Draw images with replacement, as many of each stratum as it has, and add up their sums, (draws, c)."""
    if np.bincount(strata).max() == 1:
        raise MetricError(
            f"an interval needs two images that show the same classes, found {len(sums)} with as many sets of classes; "
            "report no interval"
        )
    seeds = np.random.default_rng(seed).integers(2**32, size=strata.max() + 1)
    total = np.zeros((draws, sums.shape[1]))
    for stratum, own_seed in enumerate(seeds):
        own = sums[strata == stratum]
        total += resampled_sums(own, own_seed, draws) if len(own) > 1 else own
    return total


def _scores(sums: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Return the scores (…) from sums of `Taken.addends` (…, c)."""
    found = {"giou": sums[..., -2] / sums[..., -1], "macro_f1": np.nanmean(_f1(sums, k), axis=-1)}
    return {"score": sum(weight * found[name] for name, weight in WEIGHTS.items()), **found}


def _f1(sums: np.ndarray, k: int) -> np.ndarray:
    """Return the F1 of each class, NaN where it neither occurs nor is said, (…, k)."""
    confusion = sums[..., : k * (k + 1)].reshape(*sums.shape[:-1], k, k + 1)
    square = np.concatenate([confusion, np.zeros_like(confusion[..., :1, :])], axis=-2)
    return f1(square)[..., :k]  # what has no prediction is no class, but misses of its class


def _require_one_truth(several: Sequence[Taken]) -> None:
    first = several[0]
    for other in several[1:]:
        if (first.images, first.classes) != (other.images, other.classes) or not (
            np.array_equal(first.image, other.image) and np.array_equal(first.label, other.label)
        ):
            raise MetricError("the predictions are of other images, classes or true boxes; compare them on the same")
    if not len(first):
        raise MetricError("there is no true box; the score is a mean over true boxes")
