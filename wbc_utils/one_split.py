"""Report 004's procedure: one split for stopping, decay, selection and report, and what it promises beyond the truth.

Each draw divides the patients into three: to learn from, to stop by and report on, and others that stand for the public
test set. Every recipe is trained once; the one with the best score on the second part is reported with that score.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config

from wbc_utils import repro
from wbc_utils.data.splits import stratified_groups
from wbc_utils.metrics.diagnosis import Verdicts, balanced_accuracy
from wbc_utils.models.cohort import Cohort
from wbc_utils.nested import Learner

FRACTIONS = {"learn": 0.5, "report": 0.25, "test": 0.25}
"""Shares of the patients: 42 of 205 were the public test set."""

CUT = 0.5
"""Threshold of the report; the loss weighs the classes alike."""


def draw_splits(
    learners: Mapping[str, Learner],
    cohort: Cohort,
    groups: Sequence[Hashable],
    draws: int,
    seed: int,
    jobs: int = 1,
) -> pd.DataFrame:
    """Follow the procedure on several draws of the split.

    Returns
    -------
    pandas.DataFrame
        One row a draw and recipe: ``draw``, ``recipe``, ``reported`` and ``test``, balanced accuracy at ½ on the part
        that stopped the training and on the part that decided nothing; ``chosen`` where the report would have chosen.

    Raises
    ------
    wbc_utils.metrics.MetricError
        If a part lacks a class.
    """
    tasks = [(draw, name) for draw in range(draws) for name in learners]
    with parallel_config("loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator")
        rows = []
        for row in pool(delayed(_follow)(learners[name], cohort, groups, draw, seed) for draw, name in tasks):
            rows.append(row)
            repro.progress(f"one split: {len(rows)} of {len(tasks)} trainings")
    table = pd.DataFrame(rows, columns=["reported", "test"])
    table.insert(0, "draw", [draw for draw, _ in tasks])
    table.insert(1, "recipe", [name for _, name in tasks])
    best = table.groupby("draw")["reported"].idxmax()
    return table.assign(chosen=table.index.isin(best))


def _follow(learner: Learner, cohort: Cohort, groups: Sequence[Hashable], draw: int, seed: int) -> tuple[float, float]:
    part = stratified_groups(cohort.labels, groups, FRACTIONS, seed + draw)
    parts = {name: cohort.take(np.flatnonzero(part == name)) for name in FRACTIONS}
    says = learner.learn(parts["learn"], parts["report"], seed + draw)
    return tuple(_score(parts[name], says(parts[name])["malignant"]) for name in ("report", "test"))


def _score(cohort: Cohort, scores: np.ndarray) -> float:
    scores = np.clip(scores, 0, 1)[None]
    verdicts = Verdicts(cohort.malignant, scores, scores >= CUT)
    return float(balanced_accuracy(verdicts, np.ones((1, len(cohort))))[0])
