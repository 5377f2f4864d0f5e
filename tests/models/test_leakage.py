"""Oversampling before the split: the score rises and the check sees why."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from wbc_utils import checks
from wbc_utils.metrics.classification import macro_f1, recall
from wbc_utils.models.classical import pipeline
from wbc_utils.models.leakage import leaky_smote_cv
from wbc_utils.models.validation import grouped_cv_predict

ORDER = ("SNE", "LY")
NEAREST = KNeighborsClassifier(1)


@pytest.fixture(scope="module")
def leaky(noise):
    return leaky_smote_cv(NEAREST, noise.features, noise.y, k=3, seed=0)


@pytest.fixture(scope="module")
def noise(make_table):
    """Return cells of two classes that nothing tells apart."""
    return make_table({"SNE": 90, "LY": 15}, spread=50)


def test_a_score_of_pure_noise_is_inflated(noise, leaky):
    honest = grouped_cv_predict(pipeline(NEAREST, "smote", 0), noise)
    assert macro_f1(honest.confusion(ORDER)) == pytest.approx(0.5, abs=0.1)
    assert macro_f1(leaky.confusion(ORDER)) > 0.8


def test_original_rows_alone_are_scored_too_high_as_well(noise, leaky):
    honest = grouped_cv_predict(pipeline(NEAREST, "smote", 0), noise)
    counts = leaky.confusion_of_originals(ORDER)
    assert counts.sum(axis=1).tolist() == [90, 15]
    assert recall(counts)[1] > recall(honest.confusion(ORDER))[1] + 0.3


def test_resampled_rows_are_all_tested_once_in_balanced_folds(leaky):
    assert leaky.confusion(ORDER).sum(axis=1).tolist() == [90, 90]
    assert np.bincount(leaky.folds).tolist() == [60, 60, 60]
    assert leaky.n_original == 105


def test_the_check_finds_the_leak_in_every_fold(leaky):
    for fold in range(3):
        found = checks.resampling_before_split(*leaky.provenance(fold), "noise")
        assert found.status == "fail"
        assert found.found > 0


def test_provenance_names_the_tested_originals_and_the_sources_of_the_rest(leaky):
    sources, tested = leaky.provenance(0)
    assert tested.tolist() == np.flatnonzero(leaky.folds[:105] == 0).tolist()
    assert sources.shape == (120, 2)
    assert sources.max() < 105


def test_the_same_seed_repeats_the_lesson(noise, leaky):
    again = leaky_smote_cv(NEAREST, noise.features, noise.y, k=3, seed=0)
    assert again.y_pred.tolist() == leaky.y_pred.tolist()
    assert again.sources.tolist() == leaky.sources.tolist()
