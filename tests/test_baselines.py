"""Logistic regression on what it is given, and on nothing else."""

import numpy as np
import pytest
from cohorts import draw_cohort
from sklearn.linear_model import LogisticRegression

from wbc_utils.baselines import INPUTS, LinearLearner
from wbc_utils.models import ModelError


def asked(inputs, cohort, **options):
    return LinearLearner(inputs, **options).learn(cohort, cohort, 0)(cohort)["malignant"]


def test_age_and_count_are_the_logistic_regression_of_scikit_learn():
    cohort = draw_cohort()
    scalars = (cohort.scalars - cohort.scalars.mean(0)) / cohort.scalars.std(0)
    model = LogisticRegression(class_weight="balanced").fit(scalars, cohort.malignant)
    assert asked(("age", "count"), cohort) == pytest.approx(model.predict_proba(scalars)[:, 1], abs=1e-4)


@pytest.mark.parametrize("name", INPUTS)
def test_other_inputs_change_nothing(name):
    cohort, other = draw_cohort(), draw_cohort(seed=1)
    parts = {"age": {"age": cohort.age}, "count": {"count": cohort.count},
             "handmade": {"handmade": cohort.handmade}, "images": {"images": cohort.images}}  # fmt: skip
    mixed = type(cohort)(**{**vars(other), "labels": cohort.labels, **parts[name]})
    assert asked((name,), mixed) == pytest.approx(asked((name,), cohort), abs=1e-6)


def test_the_kinds_of_features_have_the_weight_asked_for_however_many_they_are():
    cohort = draw_cohort()
    nothing, much = (np.ptp(asked(("handmade",), cohort, weight=weight)) for weight in (0.01, 3.0))
    assert nothing < 0.1 < 0.5 < much


@pytest.mark.parametrize("inputs", [(), ("sex",)])
def test_unknown_inputs_are_refused(inputs):
    with pytest.raises(ModelError, match="give some of age, count, handmade, images"):
        LinearLearner(inputs)
