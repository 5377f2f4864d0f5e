"""Classical classifiers on features, with what is done about class imbalance as a step of their pipeline.

Every pipeline is scaler → imbalance → classifier and is refitted as a whole inside each fold. None asks for several
processes: folds run side by side instead (`wbc_utils.models.validation`).
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from imblearn.pipeline import Pipeline
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from wbc_utils.models import ModelError
from wbc_utils.models.resampling import SafeSMOTE

Imbalance = Literal["none", "weights", "smote"]

_SHARPNESS = 2  # of the softmax over decision values; 1 to 3 vote equally well


class BalancedWeights(ClassifierMixin, BaseEstimator):
    """Fit a classifier with each row weighted by n / (classes · members of its class), of the rows it is given.

    Inside a pipeline that is the training part of the fold, so that the weights never know the test part. It works
    for every classifier that takes ``sample_weight``; gradient boosting has no ``class_weight`` of its own.

    Parameters
    ----------
    estimator
        The classifier.
    """

    def __init__(self, estimator: Any):
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: np.ndarray) -> "BalancedWeights":  # noqa: N803 (scikit-learn's name)
        """Fit the classifier with balanced weights."""
        self.estimator_ = clone(self.estimator).fit(X, y, sample_weight=compute_sample_weight("balanced", y))
        self.classes_ = self.estimator_.classes_
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Return the class of each row, (n,)."""
        return self.estimator_.predict(X)


class SoftmaxSVC(SVC):
    """SVM whose one-versus-rest decision values a softmax turns into shares, for a vote.

    The shares rank classes; they are no calibrated probabilities.
    """

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Return the share of each class, (n, classes)."""
        values = self.decision_function(X)
        if values.ndim == 1:
            values = np.column_stack([-values, values])
        return softmax(_SHARPNESS * values, axis=1)


def classifiers(seed: int) -> dict[str, Any]:
    """Return the classifiers by name, each with settings that suit some 90 features and 10 000 cells.

    Boosting on very small leaves is unstable where classes are rare, hence ``min_samples_leaf``; histogram boosting
    must not hold out rows for early stopping, since a class may have one row only. The soft vote averages the shares
    of three of them that err differently.
    """
    single = {
        "gradient boosting": GradientBoostingClassifier(
            n_estimators=100, max_depth=3, subsample=0.5, max_features="sqrt", min_samples_leaf=5, random_state=seed
        ),
        "histogram gradient boosting": HistGradientBoostingClassifier(
            max_leaf_nodes=15, early_stopping=False, random_state=seed
        ),
        "random forest": RandomForestClassifier(n_estimators=300, random_state=seed),
        "RBF-SVM": SoftmaxSVC(C=30, gamma="scale"),
        "logistic regression": LogisticRegression(C=1, max_iter=2000),
    }
    voters = [(name, single[name]) for name in ("RBF-SVM", "histogram gradient boosting", "logistic regression")]
    return {**single, "soft vote": VotingClassifier(voters, voting="soft")}


def pipeline(classifier: Any, imbalance: Imbalance, seed: int) -> Pipeline:
    """Return the pipeline of a classifier and an imbalance method.

    Parameters
    ----------
    classifier
        One of `classifiers`, or any other that takes ``sample_weight``.
    imbalance
        ``none``; ``weights``: rows weighted inversely to the frequency of their class; ``smote``: `SafeSMOTE`.
    seed
        Of the resampling.

    Raises
    ------
    ModelError
        If the imbalance method is none of these.
    """
    if imbalance not in get_args(Imbalance):
        raise ModelError(f"there is no imbalance method {imbalance!r}; there are {', '.join(get_args(Imbalance))}")
    steps: list[tuple[str, Any]] = [("scaler", StandardScaler())]
    if imbalance == "smote":
        steps.append(("resampler", SafeSMOTE(random_state=seed)))
    steps.append(("classifier", BalancedWeights(classifier) if imbalance == "weights" else classifier))
    return Pipeline(steps)


def classifier_grid(model: Pipeline, grid: Mapping[str, list]) -> dict[str, list]:
    """Return a grid of the classifier's own parameters under the names they have in its pipeline."""
    weighted = isinstance(model.named_steps["classifier"], BalancedWeights)
    prefix = "classifier__estimator__" if weighted else "classifier__"
    return {prefix + name: values for name, values in grid.items()}
