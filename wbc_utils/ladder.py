"""A ladder of classifiers: each rung changes what its recipe says, all are scored on the same cells."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from wbc_utils import predict
from wbc_utils.classification import CellRecipe, Cells, train
from wbc_utils.fit import Fitted
from wbc_utils.metrics import MetricError, calibration
from wbc_utils.metrics.bootstrap import Interval, Statistic, grouped_interval, paired_difference
from wbc_utils.metrics.classification import confusion, macro_f1
from wbc_utils.models.backbones import CellClassifier, parameters_in_millions


@dataclass(frozen=True, eq=False)
class Scored:
    """What a classifier says of cells whose class is known.

    Attributes
    ----------
    logits
        (views, n, k).
    labels
        Positions of the true classes, (n,).
    groups
        Of duplicates; intervals resample them, (n,).
    classes
        Codes, (k,).
    temperature
        The logits are divided by it.
    """

    logits: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    temperature: float = 1.0

    @classmethod
    def of(cls, model: CellClassifier, cells: Cells, groups: np.ndarray, recipe: CellRecipe, device: str) -> "Scored":
        """Ask a classifier about cells in the way its recipe says."""
        logits = predict.logits(model, cells.pixels, views=recipe.views, device=device)
        return cls(logits, cells.labels, np.asarray(groups), cells.classes, recipe.temperature)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Probabilities of the mean logits over the views, (n, k); the most probable class is the same at any T."""
        return predict.combine(self.logits, self.temperature, average="logits")

    @property
    def predicted(self) -> np.ndarray:
        """Position of the most probable class, (n,)."""
        return self.probabilities.argmax(axis=1)

    @property
    def order(self) -> range:
        """Positions of the classes."""
        return range(len(self.classes))

    def subset(self, chosen: np.ndarray) -> "Scored":
        """Return what was said of chosen cells: a boolean mask, or positions."""
        return replace(self, logits=self.logits[:, chosen], labels=self.labels[chosen], groups=self.groups[chosen])

    def tempered(self, temperature: float) -> "Scored":
        """Return the same with another temperature."""
        return replace(self, temperature=temperature)

    def confusion(self) -> np.ndarray:
        """Return the confusion matrix, rows true and columns predicted, (k, k)."""
        return confusion(self.labels, self.predicted, self.order)

    def interval(self, seed: int, statistic: Statistic = macro_f1) -> Interval:
        """Return a score with its interval over groups."""
        return grouped_interval(self.labels, self.predicted, self.groups, statistic, self.order, seed)

    def gain_over(self, other: "Scored", seed: int, statistic: Statistic = macro_f1) -> Interval:
        """Return by how much a score exceeds that of another classifier on the same cells, with its interval.

        Raises
        ------
        wbc_utils.metrics.MetricError
            If the other classifier was asked about other cells.
        """
        if not np.array_equal(self.labels, other.labels):
            raise MetricError("the two classifiers were asked about other cells; a paired gain needs the same ones")
        return paired_difference(self.labels, other.predicted, self.predicted, self.groups, statistic, self.order, seed)

    def ece(self, seed: int) -> Interval:
        """Return the expected calibration error with its interval over groups."""
        return calibration.ece_interval(self.probabilities, self.labels, self.groups, seed)


@dataclass(frozen=True, eq=False)
class Rung:
    """One classifier of the ladder.

    Attributes
    ----------
    recipe
        What it was trained by; where the backbone was kept, ``freeze_epochs`` is all epochs.
    fitted
        Model, history, seconds, memory.
    scored
        By the name of a part: ``validation``, ``test``.
    """

    recipe: CellRecipe
    fitted: Fitted
    scored: Mapping[str, Scored]


def climb(
    name: str,
    recipe: CellRecipe,
    parts: Mapping[str, Cells],
    groups: Mapping[str, np.ndarray],
    *,
    seed: int,
    device: str,
    folder: Path,
    start: Rung | None = None,
) -> Rung:
    """Train one rung on ``parts["train"]`` and score it on the other parts.

    Parameters
    ----------
    name, recipe, seed, device, folder
        See `wbc_utils.classification.train`.
    parts, groups
        Cells and duplicate groups of ``train``, ``validation`` and ``test``.
    start
        A rung whose backbone is kept while a new head learns.
    """
    begun = start.fitted.model if start else None
    fitted = train(
        name, parts["train"], parts["validation"], recipe, seed=seed, device=device, folder=folder, start=begun
    )
    scored = {
        part: Scored.of(fitted.model, parts[part], groups[part], recipe, device) for part in ("validation", "test")
    }
    return Rung(recipe.of_head() if start else recipe, fitted, scored)


def frame(rungs: Mapping[str, Rung], references: Mapping[str, str], seed: int) -> pd.DataFrame:
    """Return one row a rung.

    Parameters
    ----------
    rungs
        By name.
    references
        For each rung but the first, the name of the one that it changes.
    seed
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        ``rung``; ``changes`` against its reference; ``validation`` and ``test`` macro-F1, the test's with ``low`` and
        ``high``; ``gain`` over the reference on the test with ``gain low`` and ``gain high``; ``seconds``, ``GiB``,
        ``epoch`` kept, parameters in millions.
    """
    rows = []
    for name, rung in rungs.items():
        score = rung.scored["test"].interval(seed)
        row = {"rung": name, "changes": _changes(rungs, references, name)}
        row["validation"] = float(macro_f1(rung.scored["validation"].confusion()))
        row |= {"test": score.value, "low": score.low, "high": score.high}
        if name in references:
            gain = rung.scored["test"].gain_over(rungs[references[name]].scored["test"], seed)
            row |= {"gain": gain.value, "gain low": gain.low, "gain high": gain.high}
        row |= {"epoch": rung.fitted.best_epoch, "seconds": rung.fitted.seconds}
        row |= {"GiB": rung.fitted.peak_memory / 2**30, "parameters, M": parameters_in_millions(rung.fitted.model)}
        rows.append(row)
    return pd.DataFrame(rows)


def best(rungs: Mapping[str, Rung]) -> str:
    """Return the name of the rung with the highest macro-F1 on validation; the test decides nothing."""
    return max(rungs, key=lambda name: float(macro_f1(rungs[name].scored["validation"].confusion())))


def _changes(rungs: Mapping[str, Rung], references: Mapping[str, str], name: str) -> str:
    if name not in references:
        return "the start"
    recipe = rungs[name].recipe
    changed = rungs[references[name]].recipe.changes(recipe)
    words = []
    if changed.get("freeze_epochs") == recipe.epochs:
        words, changed = ["a new head only"], {key: changed[key] for key in changed if key != "freeze_epochs"}
    words += [f"{key} {_word(value)}" for key, value in changed.items()]
    return f"{references[name]} with {', '.join(words) or 'nothing changed'}"


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return " + ".join(value) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)
