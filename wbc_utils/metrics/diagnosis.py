"""Scores of a yes-or-no diagnosis of patients, averaged over repeats of cross-validation, with intervals over patients.

A resample draws patients with replacement, the two classes together; a patient's verdicts in all repeats go together.
What it does not hold is the chance of another training set: the models are those of the repeats.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wbc_utils.metrics import MetricError, calibration
from wbc_utils.metrics.bootstrap import DRAWS, Interval, percentile_bounds

Statistic = Callable[["Verdicts", np.ndarray], np.ndarray]
"""From verdicts on n patients and how often each is drawn, (draws, n), to one score a draw, mean over the repeats."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What r repeats of a cross-validation say of n patients, each time by a model that did not see the patient.

    Attributes
    ----------
    malignant
        Truth, (n,) bool.
    scores
        Probability of malignant, (r, n).
    called
        Whether the model calls the patient malignant, at a threshold that the patient had no part in, (r, n) bool.

    Raises
    ------
    MetricError
        If shapes differ, a score is no probability, or a class has no patient.
    """

    malignant: np.ndarray
    scores: np.ndarray
    called: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.malignant)
        if self.scores.ndim != 2 or self.scores.shape != self.called.shape or self.scores.shape[1] != n:
            raise MetricError(
                f"scores of shape {self.scores.shape} and calls of shape {self.called.shape} for {n} patients; give "
                "one of each for every repeat and patient"
            )
        if not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise MetricError("scores must be probabilities between 0 and 1, none missing")
        if self.malignant.all() or not self.malignant.any():
            raise MetricError(f"all {n} patients have the same diagnosis; scores of a diagnosis need both")

    def interval(self, statistic: Statistic, seed: int, draws: int = DRAWS) -> Interval:
        """Return a score with its interval."""
        weights = _times_drawn(len(self.malignant), seed, draws)
        return _interval(statistic(self, weights), len(self.malignant))

    def gain_over(self, other: "Verdicts", statistic: Statistic, seed: int, draws: int = DRAWS) -> Interval:
        """Return by how much a score exceeds that of other verdicts on the same patients, with its interval.

        Raises
        ------
        MetricError
            If the other verdicts are on other patients.
        """
        if not np.array_equal(self.malignant, other.malignant):
            raise MetricError("the two models were asked about other patients; a paired gain needs the same ones")
        weights = _times_drawn(len(self.malignant), seed, draws)
        return _interval(statistic(self, weights) - statistic(other, weights), len(self.malignant))

    def ece(self, seed: int, bins: int = 10) -> Interval:
        """Return the expected calibration error of the probability of malignant; its interval is over patients."""
        repeats = len(self.scores)
        labels, patients = (np.tile(one, repeats) for one in (self.malignant, np.arange(len(self.malignant))))
        return calibration.ece_interval(self.scores.ravel(), labels.astype(int), patients, seed, bins)

    def at_prior(self, share: float) -> "Verdicts":
        """Return what was said as if of a population with another share of malignant patients; the calls stay.

        Parameters
        ----------
        share
            Of malignant patients, above 0 and below 1. What was said counts as of one half, as a loss that weighs both
            classes alike makes it: p → s p / (s p + (1 − s)(1 − p)) (Saerens et al. 2002, *Adjusting the Outputs of a
            Classifier to New a Priori Probabilities*, equation 2.4).

        Raises
        ------
        MetricError
            If the share is out of range.
        """
        if not 0 < share < 1:
            raise MetricError(f"found a share of {share}; it must be above 0 and below 1")
        ill, well = share * self.scores, (1 - share) * (1 - self.scores)
        return Verdicts(self.malignant, ill / (ill + well), self.called)

    def spread(self, statistic: Statistic) -> float:
        """Return the standard deviation of a score over the repeats: the chance of the folds and of the training.

        Raises
        ------
        MetricError
            If there is one repeat.
        """
        if len(self.scores) < 2:
            raise MetricError("a spread over repeats needs at least two")
        each = np.ones((1, len(self.malignant)))
        alone = [Verdicts(self.malignant, self.scores[[row]], self.called[[row]]) for row in range(len(self.scores))]
        return float(np.std([statistic(one, each)[0] for one in alone], ddof=1))


def balanced_accuracy(verdicts: Verdicts, weights: np.ndarray) -> np.ndarray:
    """Return the mean of sensitivity and specificity, (draws,); NaN where a draw has one class only."""
    right = (verdicts.called == verdicts.malignant).mean(axis=0)
    return (_mean(right, weights, verdicts.malignant) + _mean(right, weights, ~verdicts.malignant)) / 2


def sensitivity(verdicts: Verdicts, weights: np.ndarray) -> np.ndarray:
    """Return the share of malignant patients that are called so, (draws,)."""
    return _mean(verdicts.called.mean(axis=0), weights, verdicts.malignant)


def specificity(verdicts: Verdicts, weights: np.ndarray) -> np.ndarray:
    """Return the share of reactive patients that are not called malignant, (draws,)."""
    return _mean(1 - verdicts.called.mean(axis=0), weights, ~verdicts.malignant)


def auroc(verdicts: Verdicts, weights: np.ndarray) -> np.ndarray:
    """Return the probability that a malignant patient has a higher score than a reactive one, ties half, (draws,)."""
    above = verdicts.scores[:, verdicts.malignant, None] - verdicts.scores[:, None, ~verdicts.malignant]
    wins = ((np.sign(above) + 1) / 2).mean(axis=0)
    ill, well = weights[:, verdicts.malignant], weights[:, ~verdicts.malignant]
    return _ratio(((ill @ wins) * well).sum(axis=1), ill.sum(axis=1) * well.sum(axis=1))


def sensitivity_at(specificity: float) -> Statistic:
    """Return the statistic: highest sensitivity of a threshold that keeps a specificity, both read on the same draw.

    It is a point of the ROC curve, not of a decision: the threshold is chosen on the patients that are scored.

    Raises
    ------
    MetricError
        If the specificity is not in (0, 1].
    """
    if not 0 < specificity <= 1:
        raise MetricError(f"found a specificity of {specificity}; it must be above 0 and at most 1")

    def statistic(verdicts: Verdicts, weights: np.ndarray) -> np.ndarray:
        return np.mean([_highest(row, verdicts.malignant, weights, specificity) for row in verdicts.scores], axis=0)

    return statistic


def _highest(scores: np.ndarray, malignant: np.ndarray, weights: np.ndarray, specificity: float) -> np.ndarray:
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-1))  # patients of one score are called together
    ill, well = (np.cumsum(weights[:, order] * kind[order], axis=1) for kind in (malignant, ~malignant))
    called, alarms = (_ratio(part[:, last], part[:, -1:]) for part in (ill, well))
    kept = alarms <= 1 - specificity + 1e-12
    return np.where(np.isnan(alarms[:, -1]), np.nan, np.where(kept, called, 0).max(axis=1))


def expected_range(verdicts: Verdicts, reactive: int, malignant: int, seed: int, draws: int = DRAWS) -> Interval:
    """Return the balanced accuracy that a test set of some size would show of a model like this one.

    Patients of each class are drawn with replacement, each with the calls of one repeat drawn at random.

    Parameters
    ----------
    reactive, malignant
        Patients of the test set.

    Returns
    -------
    Interval
        Mean and range of the middle 95 % of such test sets; n is their size.
    """
    rng = np.random.default_rng(seed)
    right = verdicts.called == verdicts.malignant
    repeats = rng.integers(len(right), size=draws)
    found = np.zeros(draws)
    for kind, number in ((~verdicts.malignant, reactive), (verdicts.malignant, malignant)):
        drawn = rng.choice(np.flatnonzero(kind), size=(draws, number))
        found += right[repeats[:, None], drawn].mean(axis=1) / 2
    low, high = percentile_bounds(found)
    return Interval(float(found.mean()), float(low), float(high), reactive + malignant)


def balanced_threshold(scores: Sequence[float], malignant: Sequence[bool]) -> float:
    """Return the threshold of highest balanced accuracy; of several, the middle of the widest gap between scores.

    Parameters
    ----------
    scores, malignant
        Of patients that the threshold may be chosen on, (n,).

    Raises
    ------
    MetricError
        If a class is missing.
    """
    scores, malignant = np.asarray(scores, dtype=float), np.asarray(malignant, dtype=bool)
    if malignant.all() or not malignant.any():
        raise MetricError(f"all {len(malignant)} patients have the same diagnosis; a threshold needs both")
    edges = np.concatenate([[0.0], np.unique(scores), [1.0]])
    called = scores[None] >= ((edges[:-1] + edges[1:]) / 2)[:, None]
    found = (called[:, malignant].mean(axis=1) + (~called[:, ~malignant]).mean(axis=1)) / 2
    best = np.flatnonzero(found >= found.max() - 1e-12)
    widest = best[np.argmax(np.diff(edges)[best])]
    return float((edges[widest] + edges[widest + 1]) / 2)


def _times_drawn(n: int, seed: int, draws: int) -> np.ndarray:
    """Return how often each patient is drawn, (1 + draws, n); the first row is everybody once."""
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    return np.vstack([np.ones(n), drawn])


def _interval(found: np.ndarray, n: int) -> Interval:
    low, high = percentile_bounds(found[1:])
    return Interval(float(found[0]), float(low), float(high), n)


def _mean(values: np.ndarray, weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    own = weights[:, chosen]
    return _ratio(own @ values[chosen], own.sum(axis=1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
