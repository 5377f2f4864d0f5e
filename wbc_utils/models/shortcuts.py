"""Can the answer be had without looking at the cell? Probes on what should not know it.

A probe is a weighted logistic regression on a few measures of the surroundings. A high score is a shortcut that a
network may take too; a score at chance says only that this probe found none.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.metrics.bootstrap import grouped_interval
from wbc_utils.metrics.classification import recall
from wbc_utils.models import ModelError
from wbc_utils.models.classical import classifiers, pipeline
from wbc_utils.models.table import FeatureTable
from wbc_utils.models.validation import grouped_cv_predict


@dataclass(frozen=True, eq=False)
class Question:
    """Which of two or more answers is right for a cell.

    Attributes
    ----------
    name
        As it stands in tables.
    answers
        Right answer for each cell, (n,) object; None for a cell that is not asked about.
    """

    name: str
    answers: np.ndarray

    @classmethod
    def of(cls, name: str, labels: Sequence[str], answers: Mapping[str, str]) -> "Question":
        """Ask about the cells of some labels; ``answers`` gives the right answer of each such label.

        Raises
        ------
        ModelError
            If fewer than two answers occur.
        """
        asked = np.array([answers.get(label) for label in labels], dtype=object)
        found = {answer for answer in asked if answer is not None}
        if len(found) < 2:
            raise ModelError(
                f"the question {name!r} has {len(found)} answer(s) among these cells; it needs labels with different "
                f"answers, allowed labels are {', '.join(answers)}"
            )
        return cls(name, asked)


def balanced_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes that have true items, (…); a guess gives 1 / classes."""
    return np.nanmean(recall(confusion), axis=-1)


def probe(
    measures: pd.DataFrame,
    kinds: Mapping[str, Sequence[str]],
    questions: Sequence[Question],
    groups: Sequence[Hashable],
    folds: Sequence[int],
    seed: int,
    jobs: int = 1,
) -> pd.DataFrame:
    """Answer each question from each kind of measure, out of fold.

    Parameters
    ----------
    measures
        One row a cell; all finite.
    kinds
        Columns of each kind.
    questions
        What is asked.
    groups, folds
        Duplicate cluster and fold of each cell, (n,).
    seed
        Of the bootstrap.
    jobs
        Folds fitted side by side.

    Returns
    -------
    pandas.DataFrame
        One row a question and kind: ``question``, ``measures``, ``n``, ``balanced accuracy`` with ``low`` and ``high``
        (95 %, over groups), ``chance`` (1 / answers).

    Raises
    ------
    ModelError
        As `wbc_utils.models.table.FeatureTable`.
    """
    model = pipeline(classifiers(seed)["logistic regression"], "weights", seed)
    rows = []
    for question in questions:
        asked = np.array([answer is not None for answer in question.answers])
        y, own = question.answers[asked], np.asarray(groups)[asked]
        order = sorted(set(y))
        for kind, columns in kinds.items():
            values = measures.loc[asked, list(columns)].to_numpy()
            table = FeatureTable(values, y, own, np.asarray(folds)[asked], tuple(columns))
            score = grouped_cv_predict(model, table, jobs=jobs).interval(order, seed, balanced_accuracy)
            rows.append((question.name, kind, len(y), score.value, score.low, score.high, 1 / len(order)))
    columns = ["question", "measures", "n", "balanced accuracy", "low", "high", "chance"]
    return pd.DataFrame(rows, columns=columns)


def counterfactual(
    table: FeatureTable, rows: Sequence[int], changed: np.ndarray, seed: int, jobs: int = 1
) -> pd.DataFrame:
    """Name cells as they are and with one thing changed; the classifier learnt from neither.

    Parameters
    ----------
    table
        All cells as they are.
    rows
        Positions of the cells that were changed, (m,).
    changed
        Features of these cells after the change, (m, features).
    seed
        Of the classifier.
    jobs
        Folds fitted side by side.

    Returns
    -------
    pandas.DataFrame
        One row a changed cell: ``true``, ``as it is``, ``changed``.

    Raises
    ------
    ModelError
        As `wbc_utils.models.table.FeatureTable`.
    """
    rows, n = np.asarray(rows), len(table.y)
    both = np.concatenate([np.arange(n), rows])
    doubled = FeatureTable(
        np.vstack([table.features, changed]), table.y[both], table.groups[both], table.folds[both], table.names
    )
    model = pipeline(classifiers(seed)["RBF-SVM"], "weights", seed)
    named = grouped_cv_predict(model, doubled, lambda train, fold: train[train < n], jobs).y_pred
    return pd.DataFrame({"true": table.y[rows], "as it is": named[rows], "changed": named[n:]})


def transfer(
    home: FeatureTable,
    elsewhere: Mapping[str, tuple[np.ndarray, Sequence[str], Sequence[Hashable]]],
    seed: int,
    jobs: int = 1,
) -> pd.DataFrame:
    """Learn from cells of one acquisition and name cells of others.

    Parameters
    ----------
    home
        Cells to learn from. They are named out of fold themselves; all of them name the others.
    elsewhere
        Features (m, features), classes (m,) and duplicate clusters (m,) of other cells, by a name of the place.
    seed
        Of the classifier and the bootstrap.
    jobs
        Folds fitted side by side.

    Returns
    -------
    pandas.DataFrame
        ``place`` (``home`` first), ``class``, ``n``, ``recall``, ``low``, ``high``; the class ``mean`` is the mean
        over the classes that occur in every place.

    Raises
    ------
    ModelError
        If a place has a class that home lacks, or no class occurs everywhere.
    """
    order = np.unique(home.y).tolist()
    everywhere = [label for label in order if all(label in set(labels) for _, labels, _ in elsewhere.values())]
    foreign = sorted({str(label) for _, labels, _ in elsewhere.values() for label in labels} - set(order))
    if foreign or not everywhere:
        raise ModelError(f"home has the classes {order}; {foreign or 'none of them'} occur elsewhere, drop or map them")
    model = pipeline(classifiers(seed)["RBF-SVM"], "weights", seed)
    named = {"home": (home.y, grouped_cv_predict(model, home, jobs=jobs).y_pred, home.groups)}
    model.fit(home.features, home.y)
    for place, (features, labels, groups) in elsewhere.items():
        named[place] = (np.asarray(labels), model.predict(features), groups)
    common = [order.index(label) for label in everywhere]
    rows = []
    for place, (y_true, y_pred, groups) in named.items():
        by_class = grouped_interval(y_true, y_pred, groups, recall, order, seed)
        mean = grouped_interval(
            y_true, y_pred, groups, lambda matrix: recall(matrix)[..., common].mean(axis=-1), order, seed
        )
        rows.append((place, "mean", int(np.isin(y_true, everywhere).sum()), mean.value, mean.low, mean.high))
        for number, label in enumerate(order):
            if count := int((y_true == label).sum()):
                rows.append((place, label, count, by_class.value[number], by_class.low[number], by_class.high[number]))
    return pd.DataFrame(rows, columns=["place", "class", "n", "recall", "low", "high"])
