"""Nested cross-validation of diagnoses: outer folds judge, inner folds choose the epoch, the threshold and the model.

In each outer fold a learner is trained once for every inner fold: on the others it learns, by this one it chooses its
epoch. The mean over these models is what judges the patients of the outer fold; the threshold is the best one for what
each inner model says of the patients it did not learn from. Patients that share a picture are in one fold.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from joblib import Parallel, delayed, parallel_config

from wbc_utils import repro
from wbc_utils.data.splits import group_folds
from wbc_utils.metrics import diagnosis
from wbc_utils.metrics.diagnosis import Verdicts, balanced_threshold
from wbc_utils.models import ModelError
from wbc_utils.models.cohort import Cohort

Says = Callable[[Cohort], Mapping[str, np.ndarray]]
"""From patients to numbers by name, one a patient each; ``malignant`` is the probability."""


class Learner(Protocol):
    """What is validated; its ``repr`` says all that decides what it learns."""

    def learn(self, learn: Cohort, choose: Cohort, seed: int) -> Says:
        """Learn from some patients, choose by others, and return what speaks of any."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Who is judged when.

    Attributes
    ----------
    groups
        Patients that share a picture have one group, (n,).
    folds
        Outer fold of each patient in each repeat, (r, n).
    inner
        Inner folds.
    seed
        Of the inner folds and of the learners.
    members
        Models of each outer fold, one for each of the first inner folds; None for all.
    """

    groups: np.ndarray
    folds: np.ndarray
    inner: int
    seed: int
    members: int | None = None

    def first(self, repeats: int, members: int | None = None) -> "Plan":
        """Return the plan of the first repeats, with fewer models a fold if asked for."""
        return replace(self, folds=self.folds[:repeats], members=members)

    @classmethod
    def of(cls, cohort: Cohort, groups: Sequence[Hashable], repeats: int, folds: int, inner: int, seed: int) -> "Plan":
        """Draw stratified folds.

        Raises
        ------
        ModelError
            If a class has fewer groups than outer folds, or what the largest outer fold leaves of it has fewer than
            inner folds.
        wbc_utils.data.splits.SplitError
            If there are fewer groups than folds.
        """
        groups = np.asarray(groups)
        for name, there in {"malignant": cohort.malignant, "reactive": ~cohort.malignant}.items():
            found = len(np.unique(groups[there]))
            if found < folds or found - math.ceil(found / folds) < inner:
                raise ModelError(
                    f"{found} independent {name} patients for {folds} outer and {inner} inner folds: a fold would lack "
                    "them; use fewer folds"
                )
        drawn = [group_folds(cohort.labels, groups, folds, seed + repeat) for repeat in range(repeats)]
        return cls(groups, np.stack(drawn), inner, seed)


@dataclass(frozen=True, eq=False)
class Nested:
    """What a nested cross-validation found.

    Attributes
    ----------
    said
        Numbers by name of each patient in each repeat, by models that did not see the patient, (r, n) each.
    thresholds, inner
        Of each patient's fold: threshold, and area under the ROC curve on the inner folds, (r, n).
    malignant
        Truth, (n,) bool.
    """

    said: Mapping[str, np.ndarray]
    thresholds: np.ndarray
    inner: np.ndarray
    malignant: np.ndarray

    def first(self, repeats: int) -> "Nested":
        """Return what the first repeats found."""
        said = {key: values[:repeats] for key, values in self.said.items()}
        return Nested(said, self.thresholds[:repeats], self.inner[:repeats], self.malignant)

    @property
    def verdicts(self) -> Verdicts:
        """The probabilities and the calls at the inner thresholds."""
        scores = np.clip(self.said["malignant"], 0, 1)
        return Verdicts(self.malignant, scores, scores >= self.thresholds)


def validate(
    learner: Learner, cohort: Cohort, plan: Plan, *, jobs: int = 1, folder: Path | None = None, name: str = ""
) -> Nested:
    """Validate one learner on a cohort.

    Parameters
    ----------
    jobs
        Processes, each with one thread; the result does not depend on them.
    folder
        Where results are kept by the content of cohort, learner, plan and code; None keeps nothing.
    name
        For the line of progress.

    Raises
    ------
    ModelError
        As the learner.
    """
    kept = folder / f"{_key(learner, cohort, plan)[:16]}.npz" if folder else None
    if kept and kept.is_file():
        with np.load(kept) as file:
            return _nested(cohort, {key: file[key] for key in file.files})
    tasks = [(repeat, fold) for repeat in range(len(plan.folds)) for fold in np.unique(plan.folds[repeat])]
    found: dict[str, np.ndarray] = {}
    with parallel_config("loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator")
        judged = pool(delayed(_judge)(learner, cohort, plan, repeat, fold) for repeat, fold in tasks)
        for done, ((repeat, fold), said) in enumerate(zip(tasks, judged, strict=True), 1):
            repro.progress(f"{name or 'nested cross-validation'}: {done} of {len(tasks)} folds")
            for key, values in said.items():
                found.setdefault(key, np.zeros(plan.folds.shape))[repeat, plan.folds[repeat] == fold] = values
    if kept:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **found)
    return _nested(cohort, found)


def select(candidates: Mapping[str, Nested]) -> tuple[Nested, np.ndarray]:
    """Take in each fold of each repeat the candidate that its inner folds prefer.

    Returns
    -------
    Nested
        Of the candidates chosen; numbers that all of them name.
    numpy.ndarray
        Name of the candidate of each patient in each repeat, (r, n).
    """
    names, results = list(candidates), list(candidates.values())
    best = np.argmax([one.inner for one in results], axis=0)[None]

    def chosen(parts: list[np.ndarray]) -> np.ndarray:
        return np.take_along_axis(np.stack(parts), best, axis=0)[0]

    shared = set.intersection(*(set(one.said) for one in results))
    said = {key: chosen([one.said[key] for one in results]) for key in sorted(shared)}
    thresholds, inner = (chosen([getattr(one, key) for one in results]) for key in ("thresholds", "inner"))
    return Nested(said, thresholds, inner, results[0].malignant), np.array(names)[best[0]]


def ensemble(
    learner: Learner, cohort: Cohort, groups: np.ndarray, inner: int, seed: int, members: int | None = None
) -> tuple[list[Says], float, float]:
    """Train a learner once for every inner fold of a cohort.

    Parameters
    ----------
    members
        Train for that many of the inner folds only, for learners that take long; the threshold is then chosen on the
        patients of these folds.

    Returns
    -------
    list of Says
        The models, whose mean is to be taken.
    float
        The threshold, chosen on what each model says of the patients that it did not learn from.
    float
        Area under the ROC curve of the same; the epoch was chosen on these patients, so it is a little too good.
    """
    folds = group_folds(cohort.labels, groups, inner, seed)
    models, own = [], np.full(len(cohort), np.nan)
    for fold in np.unique(folds)[:members]:
        learn, choose = cohort.take(np.flatnonzero(folds != fold)), cohort.take(np.flatnonzero(folds == fold))
        models.append(learner.learn(learn, choose, 1000 * seed + int(fold)))
        own[folds == fold] = models[-1](choose)["malignant"]
    asked = ~np.isnan(own)
    scores, malignant = own[asked].clip(0, 1), cohort.malignant[asked]
    verdicts = Verdicts(malignant, scores[None], scores[None] > 0)
    area = diagnosis.auroc(verdicts, np.ones((1, len(scores))))
    return models, balanced_threshold(scores, malignant), float(area[0])


def mean_said(models: Sequence[Says], cohort: Cohort) -> dict[str, np.ndarray]:
    """Return the mean over models of what they say of patients."""
    answers = [model(cohort) for model in models]
    return {key: np.mean([answer[key] for answer in answers], axis=0) for key in answers[0]}


def _judge(learner: Learner, cohort: Cohort, plan: Plan, repeat: int, fold: int) -> dict[str, np.ndarray]:
    """Return what is said of the patients of one outer fold, with its threshold and inner score for each."""
    outside, left_out = (np.flatnonzero(chosen) for chosen in (plan.folds[repeat] != fold, plan.folds[repeat] == fold))
    models, threshold, inner = ensemble(
        learner,
        cohort.take(outside),
        plan.groups[outside],
        plan.inner,
        plan.seed + 10 * repeat + int(fold),
        plan.members,
    )
    said = mean_said(models, cohort.take(left_out))
    return {**said, _THRESHOLD: np.full(len(left_out), threshold), _INNER: np.full(len(left_out), inner)}


_THRESHOLD, _INNER = "threshold of the fold", "inner score of the fold"


def _nested(cohort: Cohort, found: dict[str, np.ndarray]) -> Nested:
    thresholds, inner = found.pop(_THRESHOLD), found.pop(_INNER)
    return Nested(found, thresholds, inner, cohort.malignant)


def _key(learner: Learner, cohort: Cohort, plan: Plan) -> str:
    """Return what identifies a result: data, learner, folds, code, libraries."""
    versions = repro.versions()
    libraries = [versions.get(name, "") for name in ("python", "numpy", "scikit-learn", "torch", "timm")]
    code = repro.code_digest(__name__, type(learner).__module__)
    arrays = [cohort.labels, cohort.age, cohort.count, plan.groups.astype(str), plan.folds]
    arrays += [part.numpy() for bags in (cohort.images, cohort.handmade) for part in (bags.instances, bags.sizes)]
    head = f"{learner!r} {plan.inner} {plan.seed} {plan.members} {code} {libraries}"
    return repro.digest_bytes(head.encode(), *(np.ascontiguousarray(array).tobytes() for array in arrays))
