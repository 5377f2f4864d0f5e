"""Outer folds judge what inner folds chose, patients and groups never straddle, permuted labels teach nothing."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from cohorts import draw_cohort

from wbc_utils import nested
from wbc_utils.baselines import LinearLearner
from wbc_utils.metrics import diagnosis
from wbc_utils.models import ModelError
from wbc_utils.nested import Plan, ensemble, select, validate


@dataclass(frozen=True)
class Recall:
    """Remembers whom it learned from, by age, and says so."""

    asked: tuple = ()

    def learn(self, learn, choose, seed):
        known = set(learn.age) | set(choose.age)

        def says(cohort):
            seen = np.array([age in known for age in cohort.age], float)
            return {
                "malignant": 0.25 + 0.5 * (cohort.labels == 1),
                "seen": seen,
                "learned": np.full(len(cohort), len(learn)),
            }

        return says


def plan(cohort, repeats=2, folds=3, inner=2, groups=None):
    return Plan.of(cohort, np.arange(len(cohort)) if groups is None else groups, repeats, folds, inner, seed=0)


def test_every_patient_is_judged_once_a_repeat_by_models_that_did_not_see_it():
    cohort = draw_cohort(30)
    found = validate(Recall(), cohort, plan(cohort))
    assert found.said["malignant"].shape == (2, 30)
    assert (found.said["seen"] == 0).all()
    assert set(found.said["learned"].ravel()) == {10.0}


def test_folds_keep_the_classes_balanced_and_groups_whole_and_differ_between_repeats():
    cohort, groups = draw_cohort(30), np.arange(30) // 2
    drawn = plan(cohort, groups=groups)
    for folds in drawn.folds:
        assert all(len(set(folds[groups == group])) == 1 for group in groups)
        shares = [cohort.malignant[folds == fold].mean() for fold in range(3)]
        assert max(shares) - min(shares) < 0.35
    assert not np.array_equal(*drawn.folds)


def test_the_threshold_follows_from_the_inner_folds():
    cohort = draw_cohort(30)
    found = validate(Recall(), cohort, plan(cohort))
    assert found.thresholds == pytest.approx(np.full((2, 30), 0.5))
    assert (found.inner == 1).all()
    assert diagnosis.balanced_accuracy(found.verdicts, np.ones((1, 30)))[0] == 1


def test_a_learner_of_noise_scores_a_half_and_one_of_signal_more():
    cohort = draw_cohort(60, seed=3)
    learner = LinearLearner(("age", "count", "handmade", "images"), components=3)
    found = validate(learner, cohort, plan(cohort, 1)).verdicts.interval(diagnosis.auroc, 0)
    assert found.low > 0.8
    scores = []
    for seed in range(6):
        permuted = cohort.with_labels(np.random.default_rng(seed).permutation(cohort.labels))
        scores.append(validate(learner, permuted, plan(permuted, 1)).verdicts.interval(diagnosis.auroc, 0).value)
    assert np.mean(scores) == pytest.approx(0.5, abs=0.1)


def test_the_result_does_not_depend_on_the_number_of_processes():
    cohort, learner = draw_cohort(30), LinearLearner(("age", "handmade"))
    one, two = (validate(learner, cohort, plan(cohort), jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(one.said["malignant"], two.said["malignant"])


def test_a_result_is_kept_and_used_only_for_the_same_learner_and_patients(tmp_path, monkeypatch):
    cohort, learner = draw_cohort(30), LinearLearner(("age", "handmade"))
    first = validate(learner, cohort, plan(cohort), folder=tmp_path)
    monkeypatch.setattr(nested, "_judge", lambda *rest: pytest.fail("computed again"))
    again = validate(learner, cohort, plan(cohort), folder=tmp_path)
    assert np.array_equal(again.said["malignant"], first.said["malignant"])
    assert np.array_equal(again.thresholds, first.thresholds)
    monkeypatch.undo()
    others = [
        validate(replace(learner, weight=9.0), cohort, plan(cohort), folder=tmp_path),
        validate(learner, cohort.with_labels(np.roll(cohort.labels, 1)), plan(cohort), folder=tmp_path),
    ]
    assert len(list(tmp_path.iterdir())) == 3
    assert not any(np.array_equal(other.said["malignant"], first.said["malignant"]) for other in others)


def test_the_candidate_that_the_inner_folds_prefer_is_taken_fold_by_fold():
    cohort = draw_cohort(30)
    drawn = plan(cohort)
    one, other = (validate(Recall(), cohort, drawn) for _ in range(2))
    better = drawn.folds == 1
    one = replace(one, inner=np.where(better, 0.9, 0.5), said={"malignant": np.full((2, 30), 0.1), "own": one.inner})
    other = replace(other, inner=np.full((2, 30), 0.7), said={"malignant": np.full((2, 30), 0.2)})
    found, names = select({"one": one, "other": other})
    assert np.array_equal(names == "one", better)
    assert np.array_equal(found.said["malignant"], np.where(better, 0.1, 0.2))
    assert set(found.said) == {"malignant"}


def test_fewer_members_than_inner_folds_choose_on_the_patients_that_they_hold_out():
    cohort = draw_cohort(30)
    models, threshold, inner = ensemble(Recall(), cohort, np.arange(30), 3, 0, members=1)
    assert len(models) == 1
    assert threshold == pytest.approx(0.5)
    assert inner == 1


def test_a_class_too_small_for_the_folds_is_refused():
    cohort = draw_cohort(12)
    with pytest.raises(ModelError, match="4 independent reactive patients for 5 outer and 2 inner folds"):
        plan(cohort, folds=5)
    with pytest.raises(ModelError, match="4 independent reactive patients for 2 outer and 3 inner folds"):
        plan(cohort, folds=2, inner=3)
