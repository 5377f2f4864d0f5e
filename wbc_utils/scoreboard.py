"""Tables of validated diagnoses: scores with intervals, and gains paired on the same patients and repeats."""

from collections.abc import Mapping

import pandas as pd

from wbc_utils.metrics import diagnosis
from wbc_utils.metrics.bootstrap import Interval
from wbc_utils.metrics.diagnosis import Statistic
from wbc_utils.nested import Nested

SPECIFICITY = 0.9
"""At which the sensitivity is read off the ROC curve."""

SCORES: dict[str, Statistic] = {
    "balanced accuracy": diagnosis.balanced_accuracy,
    "AUROC": diagnosis.auroc,
    f"sensitivity at {SPECIFICITY:.0%} specificity": diagnosis.sensitivity_at(SPECIFICITY),
}


def standings(results: Mapping[str, Nested], seed: int) -> pd.DataFrame:
    """Return one row a model: each of `SCORES` with its interval, the spread of balanced accuracy, calibration error.

    Columns ``name``, and of each score its name, ``low`` and ``high`` with a prefix; ``repeats``, ``± over repeats``
    (missing for one repeat), ``calibration error``.
    """
    rows = []
    for name, result in results.items():
        verdicts, repeats = result.verdicts, len(result.thresholds)
        row: dict[str, object] = {"name": name}
        for score, statistic in SCORES.items():
            found = verdicts.interval(statistic, seed)
            row |= {score: found.value, f"{score}, low": found.low, f"{score}, high": found.high}
        spread = verdicts.spread(diagnosis.balanced_accuracy) if repeats > 1 else None
        rows.append(row | {"± over repeats": spread, "repeats": repeats, "calibration error": verdicts.ece(seed).value})
    return pd.DataFrame(rows)


def gain(result: Nested, reference: Nested, statistic: Statistic, seed: int) -> Interval:
    """Return by how much a score exceeds that of a reference on the repeats that both have, with its interval."""
    repeats = min(len(result.thresholds), len(reference.thresholds))
    return result.first(repeats).verdicts.gain_over(reference.first(repeats).verdicts, statistic, seed)


def gains(results: Mapping[str, Nested], references: Mapping[str, Nested], seed: int) -> pd.DataFrame:
    """Return one row a model and reference: gains of balanced accuracy and area under the ROC curve, paired.

    Parameters
    ----------
    results
        By the name of the change.
    references
        What each is compared with, by the same names.
    """
    rows = []
    for name, result in results.items():
        row: dict[str, object] = {
            "name": name,
            "repeats": min(len(result.thresholds), len(references[name].thresholds)),
        }
        for score in ("balanced accuracy", "AUROC"):
            found = gain(result, references[name], SCORES[score], seed)
            row |= {f"{score}, gain": found.value, f"{score}, low": found.low, f"{score}, high": found.high}
        rows.append(row)
    return pd.DataFrame(rows)


def worded(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a table for a page: each score (or gain) with its interval as one text, ``0.850 (0.790–0.905)``.

    Columns ``X, low`` and ``X, high`` are joined into the column ``X`` or ``X, gain``.
    """
    columns = {}
    for name in scores:
        score = name.removesuffix(", gain")
        sign, to = ("+", " to ") if name.endswith(", gain") else ("", "–")
        if f"{score}, low" in scores:
            bounds = scores[[name, f"{score}, low", f"{score}, high"]].itertuples(index=False)
            columns[name] = [f"{value:{sign}.3f} ({low:{sign}.3f}{to}{high:{sign}.3f})" for value, low, high in bounds]
        elif not name.endswith((", low", ", high")):
            columns[name] = scores[name]
    return pd.DataFrame(columns)
