"""Oversampling of classes of every size, and the audit of its sources."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import Pipeline
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

from wbc_utils.models import ModelError
from wbc_utils.models.resampling import SafeSMOTE, source_rows

LONG_TAIL = {"SNE": 30, "LY": 10, "MO": 4, "EO": 3}


class Listener(ClassifierMixin, BaseEstimator):
    """A classifier that remembers what it was fitted to and predicts the first class."""

    def fit(self, X, y):  # noqa: N803
        self.classes_, self.seen_ = np.unique(y), Counter(y.tolist())
        return self

    def predict(self, X):  # noqa: N803
        return np.repeat(self.classes_[:1], len(X))


def test_every_class_grows_to_the_largest_behind_the_untouched_original_rows(clouds):
    features, y = clouds(LONG_TAIL)
    rows, labels = SafeSMOTE().fit_resample(features, y)
    assert Counter(labels.tolist()) == dict.fromkeys(LONG_TAIL, 30)
    np.testing.assert_array_equal(rows[: len(y)], features)
    assert labels[: len(y)].tolist() == y.tolist()


def test_a_class_of_at_most_three_is_copied_and_named_and_one_of_four_is_not(clouds):
    features, y = clouds(LONG_TAIL)
    sampler = SafeSMOTE(k_neighbors=3)
    rows, labels = sampler.fit_resample(features, y)
    distinct = {label: len(np.unique(rows[labels == label], axis=0)) for label in LONG_TAIL}
    assert sampler.fallback_ == {"EO": 3}
    assert distinct == {"SNE": 30, "LY": 30, "MO": 30, "EO": 3}


def test_a_class_of_one_is_copied(clouds):
    features, y = clouds({"SNE": 6, "EO": 1})
    rows, labels = SafeSMOTE().fit_resample(features, y)
    np.testing.assert_array_equal(rows[labels == "EO"], np.repeat(features[6:], 6, axis=0))


def test_without_a_small_class_it_is_smote(clouds):
    features, y = clouds({"SNE": 30, "LY": 10, "MO": 4})
    ours = SafeSMOTE(random_state=5).fit_resample(features, y)
    theirs = SMOTE(k_neighbors=3, random_state=5).fit_resample(features, y)
    np.testing.assert_array_equal(ours[0], theirs[0])
    assert ours[1].tolist() == theirs[1].tolist()


def test_small_classes_alone_are_copied_without_smote(clouds):
    features, y = clouds({"SNE": 3, "EO": 2})
    sampler = SafeSMOTE()
    assert len(sampler.fit_resample(features, y)[1]) == 6
    assert sampler.fallback_ == {"SNE": 3, "EO": 2}


def test_a_clone_with_the_same_seed_makes_the_same_rows_and_another_seed_others(clouds):
    features, y = clouds(LONG_TAIL)
    sampler = SafeSMOTE(random_state=1)
    rows = sampler.fit_resample(features, y)[0]
    np.testing.assert_array_equal(clone(sampler).fit_resample(features, y)[0], rows)
    assert (SafeSMOTE(random_state=2).fit_resample(features, y)[0] != rows).any()


def test_a_pipeline_resamples_what_it_is_fitted_to_and_not_what_it_predicts(clouds):
    features, y = clouds(LONG_TAIL)
    model = Pipeline([("resampler", SafeSMOTE()), ("classifier", Listener())]).fit(features, y)
    assert model["classifier"].seen_ == dict.fromkeys(LONG_TAIL, 30)
    assert model["resampler"].fallback_ == {"EO": 3}
    assert len(model.predict(features)) == len(y)


def test_a_grid_search_can_tune_it(clouds):
    features, y = clouds(LONG_TAIL)
    model = Pipeline([("resampler", SafeSMOTE()), ("classifier", KNeighborsClassifier(1))])
    search = GridSearchCV(model, {"resampler__k_neighbors": [1, 3]}, cv=2, error_score="raise").fit(features, y)
    assert search.best_score_ > 0.9


@settings(max_examples=25, deadline=None)
@given(
    members=st.fixed_dictionaries({"SNE": st.integers(5, 20), "LY": st.integers(1, 8), "EO": st.integers(1, 8)}),
    k=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_sources_are_found_for_every_row_and_lie_around_it(clouds, members, k, seed):
    features, y = clouds(members, seed=seed)
    rows, labels = SafeSMOTE(k_neighbors=k, random_state=seed).fit_resample(features, y)
    sources = source_rows(features, y, rows, labels, k)
    np.testing.assert_array_equal(sources[: len(y)], np.arange(len(y))[:, None] * [1, 1])
    assert (y[sources] == labels[:, None]).all()
    start, end = features[sources[:, 0]], features[sources[:, 1]]
    detour = np.linalg.norm(rows - start, axis=1) + np.linalg.norm(rows - end, axis=1)
    np.testing.assert_allclose(detour, np.linalg.norm(start - end, axis=1), atol=1e-6)


def test_the_source_of_a_copy_is_the_copied_row_twice():
    features = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    found = source_rows(features, np.array(["LY"] * 3), features[[1, 1]], np.array(["LY"] * 2), 1)
    assert found.tolist() == [[1, 1], [1, 1]]


def test_a_row_between_two_rows_has_both_as_its_sources():
    features = np.array([[0.0, 0.0], [2.0, 2.0], [9.0, 0.0]])
    found = source_rows(features, np.array(["LY"] * 3), np.array([[0.5, 0.5]]), np.array(["LY"]), 1)
    assert sorted(found[0]) == [0, 1]


def test_rows_that_were_made_from_nothing_are_refused():
    features = np.array([[0.0, 0.0], [2.0, 2.0]])
    with pytest.raises(ModelError, match="1 rows of class LY lie between no two neighbours"):
        source_rows(features, np.array(["LY", "LY"]), np.array([[0.0, 2.0]]), np.array(["LY"]), 1)
