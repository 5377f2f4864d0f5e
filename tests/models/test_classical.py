"""Pipelines of classical classifiers: what each step gets to see."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GridSearchCV

from wbc_utils.models import ModelError
from wbc_utils.models.classical import BalancedWeights, SoftmaxSVC, classifier_grid, classifiers, pipeline

NAMES = tuple(classifiers(0))
METHODS = ("none", "weights", "smote")


class Scale(ClassifierMixin, BaseEstimator):
    """A classifier that remembers the weights of its rows and how they are scaled."""

    def fit(self, X, y, sample_weight=None):  # noqa: N803
        self.classes_, self.weights_ = np.unique(y), sample_weight
        self.mean_, self.deviation_ = X.mean(axis=0), X.std(axis=0)
        return self

    def predict(self, X):  # noqa: N803
        return np.repeat(self.classes_[:1], len(X))


@pytest.fixture(scope="module")
def light():
    """Return the classifiers with few trees, to be fast, and a soft margin."""
    found = classifiers(0)
    found["gradient boosting"].set_params(n_estimators=10)
    found["histogram gradient boosting"].set_params(max_iter=10)
    found["random forest"].set_params(n_estimators=20)
    found["RBF-SVM"].set_params(C=1)
    found["soft vote"].set_params(**{"histogram gradient boosting__max_iter": 10})
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_every_classifier_learns_separate_clouds_under_every_imbalance_method(light, clouds, name, method):
    features, y = clouds({"SNE": 60, "LY": 30, "MO": 12})
    unseen, truth = clouds({"SNE": 20, "LY": 20, "MO": 20}, seed=1)
    model = pipeline(light[name], method, 0).fit(features, y)
    assert f1_score(truth, model.predict(unseen), average="macro") > 0.9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_a_class_of_one_row_breaks_no_classifier(light, clouds, name, method):
    features, y = clouds({"SNE": 40, "LY": 20, "EO": 1})
    predicted = pipeline(light[name], method, 0).fit(features, y).predict(features)
    assert set(predicted) <= {"SNE", "LY", "EO"}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_predictions(light, clouds, name):
    features, y = clouds({"SNE": 40, "LY": 20, "MO": 10}, spread=4)
    model = pipeline(light[name], "smote", 3)
    assert model.fit(features, y).predict(features).tolist() == clone(model).fit(features, y).predict(features).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_weights_raise_the_recall_of_a_rare_class(light, clouds, name):
    members = {"SNE": 400, "LY": 20}
    features, y = clouds(members, spread=3)
    unseen, truth = clouds({"SNE": 300, "LY": 300}, spread=3, seed=1)
    found = {
        method: recall_score(truth, pipeline(light[name], method, 0).fit(features, y).predict(unseen), pos_label="LY")
        for method in ("none", "weights")
    }
    if name == "random forest":  # grown to pure leaves, which weights cannot change
        assert found["weights"] == pytest.approx(found["none"], abs=0.1)
    else:
        assert found["weights"] > found["none"] + 0.1


def test_weights_give_every_class_the_same_total_and_rows_of_a_class_the_same_weight(clouds):
    features, y = clouds({"SNE": 30, "LY": 10, "EO": 1})
    weights = BalancedWeights(Scale()).fit(features, y).estimator_.weights_
    assert [weights[y == label].sum() for label in ("SNE", "LY", "EO")] == pytest.approx([41 / 3] * 3)
    assert weights[y == "LY"] == pytest.approx([41 / 30] * 10)


def test_weights_are_those_of_the_rows_a_search_trains_on(clouds):
    """Inner folds of other class frequencies get other weights, through the pipeline and the search."""
    features, y = clouds({"SNE": 30, "LY": 10})
    few = np.concatenate([np.arange(30), [30, 31]])
    seen = []

    def note(fitted, features, truth):
        seen.append(fitted["classifier"].estimator_.weights_)
        return 0.0

    search = GridSearchCV(
        pipeline(Scale(), "weights", 0), {"scaler": ["passthrough"]}, cv=[(few, np.arange(40))], scoring=note,
        refit=False, error_score="raise",
    )  # fmt: skip
    search.fit(features, y)
    assert seen[0].tolist() == pytest.approx([32 / 60] * 30 + [32 / 4] * 2)


def test_gradient_boosting_with_weights_equals_boosting_given_those_weights(light, clouds):
    features, y = clouds({"SNE": 40, "LY": 10}, spread=4)
    weights = np.where(y == "SNE", 50 / 80, 50 / 20)
    plain = clone(light["gradient boosting"])
    ours = BalancedWeights(plain).fit(features, y)
    assert ours.predict(features).tolist() == clone(plain).fit(features, y, weights).predict(features).tolist()
    assert ours.predict(features).tolist() != clone(plain).fit(features, y).predict(features).tolist()


def test_the_classifier_sees_scaled_rows(clouds):
    features, y = clouds({"SNE": 30, "LY": 10})
    seen = pipeline(Scale(), "none", 0).fit(1000 + 50 * features, y)["classifier"]
    assert seen.mean_ == pytest.approx(np.zeros(4), abs=1e-9)
    assert seen.deviation_ == pytest.approx(np.ones(4))


def test_the_scaler_learns_from_the_rows_before_oversampling(clouds):
    features, y = clouds({"SNE": 30, "LY": 10})
    model = pipeline(Scale(), "smote", 0).fit(features, y)
    assert model["scaler"].mean_ == pytest.approx(features.mean(axis=0))


@pytest.mark.parametrize("labels", [("SNE", "LY"), ("SNE", "LY", "MO")])
def test_shares_of_the_svm_sum_to_one_and_agree_with_its_prediction(clouds, labels):
    features, y = clouds(dict.fromkeys(labels, 15), spread=3)
    svm = SoftmaxSVC().fit(features, y)
    shares = svm.predict_proba(features)
    assert shares.sum(axis=1) == pytest.approx(np.ones(len(y)))
    assert svm.classes_[shares.argmax(axis=1)].tolist() == svm.predict(features).tolist()


def test_a_grid_reaches_the_classifier_behind_the_weights(clouds):
    for method in METHODS:
        model = pipeline(LogisticRegression(), method, 0)
        names = classifier_grid(model, {"C": [0.1, 1]})
        model.set_params(**{name: values[0] for name, values in names.items()})
        inner = model["classifier"].estimator if method == "weights" else model["classifier"]
        assert inner.C == 0.1


def test_an_unknown_imbalance_method_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match="no imbalance method 'adasyn'; there are none, weights, smote"):
        pipeline(LogisticRegression(), "adasyn", 0)
