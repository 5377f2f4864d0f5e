"""How far a classifier's confidence can be believed: reliability, calibration error, temperature, abstention.

References
----------
C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger (2017), *On Calibration of Modern Neural Networks*, ICML.
Y. Geifman, R. El-Yaniv (2017), *Selective Classification for Deep Neural Networks*, NeurIPS.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from scipy import special
from scipy.optimize import brentq

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS, Interval, group_numbers, percentile_bounds
from wbc_utils.metrics.groups import group_sums, resampled_sums

BINS = 15
"""Bins of equal width between 0 and 1, as Guo et al."""


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the probabilities exp(z / T) / Σ exp(z / T) of each row, (n, k), in double precision.

    Raises
    ------
    MetricError
        If the temperature is not positive.
    """
    if not temperature > 0:
        raise MetricError(f"a temperature must be positive, found {temperature}")
    return special.softmax(np.asarray(logits, dtype=float) / temperature, axis=-1)


def nll(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of −log p(true class); infinite if a true class has probability zero.

    Parameters
    ----------
    probabilities
        Rows that sum to one, (n, k).
    labels
        Position of the true class, (n,) int.

    Raises
    ------
    MetricError
        As `require_probabilities`.
    """
    probabilities, labels = require_probabilities(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Compare the confidence (largest probability) with the accuracy, in bins of equal width.

    Parameters
    ----------
    probabilities, labels
        As `nll`.
    bins
        Number of bins; each holds its upper bound, the first one also 0.

    Returns
    -------
    pandas.DataFrame
        One row a bin: ``low``, ``high``, ``n`` items, mean ``confidence`` and ``accuracy``, both NaN where n = 0.

    Raises
    ------
    MetricError
        As `require_probabilities`, or if there is no bin.
    """
    place, confidence, correct = _binned(probabilities, labels, bins)
    edges = np.linspace(0, 1, bins + 1)
    n, sure, right = (np.bincount(place, weights, minlength=bins) for weights in (None, confidence, correct))
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {"low": edges[:-1], "high": edges[1:], "n": n, "confidence": sure / n, "accuracy": right / n}
        )


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """Return the expected calibration error Σ (n_b / n) |accuracy_b − confidence_b| (Guo et al. 2017, equation 3).

    Parameters and errors are those of `reliability`.
    """
    return float(_gap(_gap_parts(*_binned(probabilities, labels, bins), bins).sum(axis=0)))


def ece_interval(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[Hashable],
    seed: int,
    bins: int = BINS,
    draws: int = DRAWS,
) -> Interval:
    """Return the expected calibration error and its interval if whole groups are independent.

    Absolute gaps make the estimate too large, and a resample of it too large again: percentiles of the resamples
    then miss the truth altogether. The interval is therefore the basic one, 2 × estimate − percentile (A. C. Davison,
    D. V. Hinkley 1997, *Bootstrap Methods and their Application*, section 5.2), cut at 0 and never below the estimate.
    Near 0 it would still leave the 0 out half of the time. So where labels drawn from the probabilities, whole groups
    alike, have such an error or a larger one in 2.5 % of the draws, the lower bound is 0 (after the consistency
    resampling of J. Bröcker, L. A. Smith 2007, *Increasing the Reliability of Reliability Diagrams*).

    Parameters
    ----------
    probabilities, labels, bins
        As `reliability`; or the probability of one event and whether it happened, (n,) each: then the bins are of that
        probability, and what is too low for some does not make up for what is too high for others.
    groups
        Group (duplicates, patient) of each item, (n,).
    seed, draws
        Of the bootstrap.

    Raises
    ------
    MetricError
        As `reliability`, `wbc_utils.metrics.groups.group_sums` and `wbc_utils.metrics.groups.resampled_sums`.
    """
    place, confidence, correct = (_binned_event if np.ndim(probabilities) == 1 else _binned)(
        probabilities, labels, bins
    )
    sums = group_sums(_gap_parts(place, confidence, correct, bins), groups)
    value = float(_gap(sums.sum(axis=0)))
    low, high = percentile_bounds(_gap(resampled_sums(sums, seed, draws)))
    by_chance = percentile_bounds(_calibrated_gaps(place, confidence, group_numbers(groups), bins, seed, draws))[1]
    least = 0.0 if value <= by_chance else max(2 * value - float(high), 0.0)
    return Interval(value, least, max(2 * value - float(low), value), len(sums))


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Return the accuracy of the items that are kept if the least confident are abstained from.

    Parameters
    ----------
    confidence
        One number an item, (n,); only its order matters.
    correct
        Whether the prediction is right, (n,) bool.

    Returns
    -------
    pandas.DataFrame
        One row a distinct confidence, from the highest down: ``coverage`` (share of items at least that confident),
        their ``accuracy``, and that confidence as ``threshold``.

    Raises
    ------
    MetricError
        If lengths differ, there is no item, or a confidence is NaN.
    """
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    if confidence.shape != correct.shape or not len(confidence):
        raise MetricError(f"{len(confidence)} confidences and {len(correct)} outcomes; give one of each per item")
    if np.isnan(confidence).any():
        raise MetricError(f"{np.isnan(confidence).sum()} of {len(confidence)} confidences are NaN")
    order = np.argsort(-confidence, kind="stable")
    sure, right = confidence[order], np.cumsum(correct[order])
    last = np.flatnonzero(np.append(np.diff(sure) != 0, True))  # items of equal confidence are kept together
    kept = last + 1
    return pd.DataFrame({"coverage": kept / len(sure), "accuracy": right[last] / kept, "threshold": sure[last]})


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that minimises the negative log-likelihood of softmax(logits / T).

    The likelihood is convex in β = 1 / T, with slope mean(Σ_c p_c z_c − z_true); the root of the slope is found.

    Parameters
    ----------
    logits
        Of items that the network was not trained on, (n, k).
    labels
        Position of the true class, (n,) int.

    Raises
    ------
    MetricError
        If no finite positive temperature is the best: because every item is right, so that T → 0, or because logits
        do not favour the true classes, so that T → ∞; if lengths differ, a label is out of range, or a logit is not
        finite.

    References
    ----------
    Guo et al. (2017), section 4.2.
    """
    logits, labels = _require_items(logits, labels, "logits")
    logits = logits - logits.max(axis=1, keepdims=True)
    true = logits[np.arange(len(labels)), labels]

    def slope(beta: float) -> float:
        return float(((np.exp(special.log_softmax(beta * logits, axis=1)) * logits).sum(axis=1) - true).mean())

    if not (true < 0).any():
        raise MetricError(
            f"all {len(true)} items are right, so that the best temperature is 0; use more items or keep T = 1"
        )
    if slope(0) >= 0:
        raise MetricError("the logits do not favour the true classes, no temperature helps; check the labels' order")
    upper = 1.0
    while slope(upper) < 0:
        upper *= 2
    return 1 / brentq(slope, 0, upper, xtol=1e-12, rtol=1e-10)


def require_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities as float (n, k) and labels as int (n,).

    Raises
    ------
    MetricError
        If lengths differ, there is no item, a label is no position 0 … k − 1, or a row is no distribution.
    """
    probabilities, labels = _require_items(probabilities, labels, "probabilities")
    wrong = (probabilities < 0).any(axis=1) | (np.abs(probabilities.sum(axis=1) - 1) > 1e-3)  # half precision passes
    if wrong.any():
        raise MetricError(
            f"{wrong.sum()} of {len(wrong)} rows are negative or do not sum to 1; give probabilities, not logits"
        )
    return probabilities, labels


def _require_items(scores: np.ndarray, labels: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise MetricError(f"{what} of shape {scores.shape} and labels of shape {labels.shape}; give (n, k) and (n,)")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise MetricError(f"labels must be positions 0 to {scores.shape[1] - 1} of classes; see classification.codes")
    if not np.isfinite(scores).all():
        raise MetricError(f"{(~np.isfinite(scores)).any(axis=1).sum()} of {len(scores)} rows of {what} are not finite")
    return scores, labels


def _binned(probabilities: np.ndarray, labels: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bin, the confidence and the correctness of each item."""
    probabilities, labels = require_probabilities(probabilities, labels)
    confidence = probabilities.max(axis=1)
    return _place(confidence, bins), confidence, (probabilities.argmax(axis=1) == labels).astype(float)


def _binned_event(probabilities: np.ndarray, happened: np.ndarray, bins: int) -> tuple[np.ndarray, ...]:
    """Return the same of the probability of one event."""
    probabilities = np.asarray(probabilities, dtype=float)
    _, happened = require_probabilities(np.column_stack([1 - probabilities, probabilities]), happened)
    return _place(probabilities, bins), probabilities, happened.astype(float)


def _place(confidence: np.ndarray, bins: int) -> np.ndarray:
    if bins < 1:
        raise MetricError(f"at least one bin is needed, found {bins}")
    return np.clip(np.searchsorted(np.linspace(0, 1, bins + 1), confidence) - 1, 0, bins - 1)


def _gap_parts(place: np.ndarray, confidence: np.ndarray, correct: np.ndarray, bins: int) -> np.ndarray:
    """Return correct − confidence of each item in the column of its bin, and a last column of ones, (n, bins + 1)."""
    parts = np.zeros((len(place), bins + 1))
    parts[np.arange(len(place)), place] = correct - confidence
    parts[:, -1] = 1
    return parts


def _calibrated_gaps(place, confidence, number, bins: int, seed: int, draws: int) -> np.ndarray:
    """Return the errors of as many labels drawn with the stated probabilities, one random number a group, (draws,)."""
    rng, gaps = np.random.default_rng([seed, bins]), np.empty(draws)
    in_bin = np.eye(bins)[place]
    for draw in range(draws):
        happened = rng.random(number.max() + 1)[number] < confidence
        gaps[draw] = np.abs((happened - confidence) @ in_bin).sum() / len(place)
    return gaps


def _gap(sums: np.ndarray) -> np.ndarray:
    return np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]
