"""A blood count from detections: how far predicted numbers of cells are from the true ones, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import DRAWS, LEVEL, Interval
from wbc_utils.metrics.detection import Detections, Thresholds, interval_table
from wbc_utils.metrics.groups import resampled_sums


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two measurements of the same n subjects; differences are second − first.

    Attributes
    ----------
    bias
        Mean difference with its interval.
    lower, upper
        Limits of agreement, bias ∓ 1.96 sd, with their intervals.
    sd
        Standard deviation of the differences (n − 1).
    bias_error, limit_error
        Standard errors of the bias and of either limit.
    """

    bias: Interval
    lower: Interval
    upper: Interval
    sd: float
    bias_error: float
    limit_error: float


def image_counts(detections: Detections, thresholds: Thresholds) -> pd.DataFrame:
    """Return the cells of each image and class: ``image``, ``class``, ``truth``, ``predicted``, ``error``.

    Every image has a row for every class. ``error`` is predicted − truth.

    Parameters
    ----------
    thresholds
        Lowest score of a prediction that counts, for all classes or for each.

    Raises
    ------
    MetricError
        If a threshold is not in [0, 1] or a class has none.
    """
    truth = detections.count(detections.truth)
    predicted = detections.count(detections.predictions, detections.detected(thresholds))
    return pd.DataFrame(
        {
            "image": np.repeat(np.array(detections.images, dtype=object), len(detections.classes)),
            "class": np.tile(np.array(detections.classes, dtype=object), len(detections.images)),
            "truth": truth.ravel(),
            "predicted": predicted.ravel(),
            "error": (predicted - truth).ravel(),
        }
    )


def count_error(detections: Detections, thresholds: Thresholds, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """Return the error of the count in cells an image, with percentile intervals if images are independent.

    Parameters
    ----------
    thresholds
        As `image_counts`.
    seed, draws
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``class``, ``metric`` ("MAE", mean absolute error; "bias", mean of predicted − truth), ``value``, ``low``,
        ``high``, ``n`` (images).

    Raises
    ------
    MetricError
        If there are fewer than two images; as `image_counts`.
    """
    n, k = len(detections.images), len(detections.classes)
    error = image_counts(detections, thresholds)["error"].to_numpy(dtype=float).reshape(n, k)
    both = np.hstack([np.abs(error), error])
    drawn, value = resampled_sums(both, seed, draws) / n, both.mean(axis=0)
    parts = {"MAE": slice(None, k), "bias": slice(k, None)}
    values = {name: value[part] for name, part in parts.items()}
    return interval_table(detections.classes, values, {name: drawn[:, part] for name, part in parts.items()}, n)


def bland_altman(first: Sequence[float], second: Sequence[float]) -> BlandAltman:
    """Return bias and limits of agreement of two measurements, such as true and predicted counts of one class.

    The standard errors are sd / √n of the bias and sd √(1/n + 1.96² / (2 (n − 1))) of a limit (Bland & Altman 1999;
    in 1986 about √(3 sd² / n)); the intervals use Student's t with n − 1 degrees of freedom. They take the differences
    for normal; those of rare cells are not, and `count_error` then says more.

    Parameters
    ----------
    first, second
        The two measurements of each subject, (n,).

    Raises
    ------
    MetricError
        If lengths differ, there are fewer than two subjects, or a value is not finite.

    References
    ----------
    J. M. Bland, D. G. Altman (1986), *Statistical methods for assessing agreement between two methods of clinical
    measurement*; (1999), *Measuring agreement in method comparison studies*.
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise MetricError(
            f"measurements of shapes {first.shape} and {second.shape}; give both of at least two subjects"
        )
    difference = second - first
    if not np.isfinite(difference).all():
        found = f"{(~np.isfinite(difference)).sum()} of {len(difference)} subjects"
        raise MetricError(f"{found} have a measurement that is not finite; leave them out and say so")
    n, bias, sd = len(difference), float(difference.mean()), float(difference.std(ddof=1))
    z, t = stats.norm.ppf((1 + LEVEL) / 2), stats.t.ppf((1 + LEVEL) / 2, n - 1)
    bias_error = sd / np.sqrt(n)
    limit_error = sd * np.sqrt(1 / n + z**2 / (2 * (n - 1)))

    def interval(value: float, error: float) -> Interval:
        return Interval(float(value), float(value - t * error), float(value + t * error), n)

    return BlandAltman(
        bias=interval(bias, bias_error),
        lower=interval(bias - z * sd, limit_error),
        upper=interval(bias + z * sd, limit_error),
        sd=sd,
        bias_error=float(bias_error),
        limit_error=float(limit_error),
    )
