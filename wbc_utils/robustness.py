"""Trained classifiers on cells that are not like those they learned from: degraded, or of another laboratory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from wbc_utils import predict
from wbc_utils.classification import Cells
from wbc_utils.images.corruptions import KINDS, SEVERITIES, corrupt
from wbc_utils.ladder import Rung, Scored
from wbc_utils.metrics import MetricError


def by_severity(rungs: Mapping[str, Rung], cells: Cells, groups: np.ndarray, seed: int, device: str) -> pd.DataFrame:
    """Score classifiers on degraded copies of the same cells, in one view.

    Parameters
    ----------
    rungs
        By name.
    cells, groups
        Clean cells and their duplicate groups.
    seed
        Of the degradation and of the intervals.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``kind``, ``severity`` (0 is the clean image), macro-F1 as ``value`` with ``low`` and ``high``.
    """
    rows = []

    def score(name: str, pixels: np.ndarray) -> tuple[float, float, float]:
        recipe = replace(rungs[name].recipe, views=1)
        plain = Cells(pixels, np.arange(len(pixels)), cells.labels, cells.classes)
        found = Scored.of(rungs[name].fitted.model, plain, groups, recipe, device).interval(seed)
        return found.value, found.low, found.high

    clean = cells.pixels
    for name in rungs:
        at_zero = score(name, clean)
        rows += [(name, kind, 0, *at_zero) for kind in KINDS]
    for kind in KINDS:
        for severity in SEVERITIES:
            spoiled = corrupt(clean, kind, severity, seed)
            rows += [(name, kind, severity, *score(name, spoiled)) for name in rungs]
    return pd.DataFrame(rows, columns=["model", "kind", "severity", "value", "low", "high"])


def elsewhere(
    rung: Rung,
    images: np.ndarray,
    codes: Sequence[str],
    groups: np.ndarray,
    merged: Mapping[str, str],
    temperature: float,
    device: str,
) -> Scored:
    """Ask a classifier about cells of another laboratory, whose labels may be coarser.

    Answers that the other laboratory has no name for stay possible, and are wrong.

    Parameters
    ----------
    rung
        The classifier.
    images
        At the scale that it was trained at, uint8 (n, side, side, 3).
    codes, groups
        The other laboratory's label and the duplicate group of each cell, (n,).
    merged
        For a class of the classifier, the coarser label that it counts as; their probabilities are added.
    temperature
        The logits are divided by it; not to be chosen on these cells.
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    wbc_utils.metrics.MetricError
        If a label is none that the classifier can give.
    """
    classes = rung.fitted.model.classes
    names = list(dict.fromkeys([merged.get(code, code) for code in classes]))
    if unknown := sorted(set(codes) - set(names)):
        raise MetricError(f"labels {', '.join(unknown)} are none of {', '.join(names)}; merge them or leave them out")
    logits = predict.logits(rung.fitted.model, images, views=rung.recipe.views, device=device)
    fine = predict.combine(logits, temperature, average="logits")
    coarse = np.zeros((len(fine), len(names)))
    for column, code in enumerate(classes):
        coarse[:, names.index(merged.get(code, code))] += fine[:, column]
    labels = np.array([names.index(code) for code in codes])
    return Scored(np.log(np.maximum(coarse, 1e-12))[None], labels, np.asarray(groups), tuple(names))
