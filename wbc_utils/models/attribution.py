"""What a result rests on: families of features, single features, and the number of cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from imblearn.pipeline import Pipeline
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.inspection import permutation_importance

from wbc_utils.models import ModelError
from wbc_utils.models.table import FeatureTable
from wbc_utils.models.validation import Comparison, grouped_cv_predict


@dataclass(frozen=True)
class Importance:
    """Fall of the macro-F1 of held-out folds when the values of one feature are shuffled.

    Attributes
    ----------
    names
        Features.
    falls
        Mean over the shuffles of each fold, (folds, features).
    """

    names: tuple[str, ...]
    falls: np.ndarray

    def frame(self) -> pd.DataFrame:
        """Return one row a feature, largest fall first: ``feature``, ``fall``, ``lowest``, ``highest`` over folds."""
        return pd.DataFrame(
            {
                "feature": self.names,
                "fall": self.falls.mean(axis=0),
                "lowest": self.falls.min(axis=0),
                "highest": self.falls.max(axis=0),
            }
        ).sort_values("fall", ascending=False, kind="stable", ignore_index=True)


def ablation(model: Pipeline, table: FeatureTable, families: Mapping[str, Sequence[str]], jobs: int = 1) -> Comparison:
    """Cross-validate with all features, without each family, and with each family alone.

    Parameters
    ----------
    model, table, jobs
        As `wbc_utils.models.validation.grouped_cv_predict`.
    families
        Features of each family; families may overlap.

    Raises
    ------
    ModelError
        If a family holds no feature, all features, or one that the table lacks.
    """
    results = {"all": grouped_cv_predict(model, table, jobs=jobs)}
    for kind in ("without", "only"):
        for family, own in families.items():
            others = [name for name in table.names if name not in set(own)]
            if not others:
                raise ModelError(f"the family {family!r} holds every feature, nothing is left without it")
            part = table.columns(others if kind == "without" else list(own))
            results[f"{kind} {family}"] = grouped_cv_predict(model, part, jobs=jobs)
    return Comparison(results)


def held_out_importance(model: Pipeline, table: FeatureTable, repeats: int, seed: int, jobs: int = 1) -> Importance:
    """Measure the permutation importance of each feature on the fold that the model did not see.

    Features that say the same share their importance: shuffling one of them changes little.

    Parameters
    ----------
    model, table, jobs
        As `wbc_utils.models.validation.grouped_cv_predict`.
    repeats
        Shuffles of each feature in each fold.
    seed
        Of the shuffles; each fold is shuffled in its own way.

    References
    ----------
    L. Breiman (2001), *Random forests*, section 10.
    """
    falls = Parallel(n_jobs=jobs)(
        delayed(_falls)(clone(model), table, train, test, repeats, seed + fold) for fold, train, test in table.parts()
    )
    return Importance(table.names, np.array(falls))


def learning_curve(
    model: Pipeline, table: FeatureTable, shares: Sequence[float], seed: int, jobs: int = 1
) -> Comparison:
    """Cross-validate with a share of the groups that each fold may train on; smaller shares are parts of larger ones.

    Parameters
    ----------
    model, table, jobs
        As `wbc_utils.models.validation.grouped_cv_predict`.
    shares
        Above 0, at most 1.
    seed
        Orders the groups.

    Raises
    ------
    ModelError
        If a share is out of range, or so small that a fold trains on one class.
    """
    if not all(0 < share <= 1 for share in shares):
        raise ModelError(f"the shares {list(shares)} must be above 0 and at most 1")
    place = np.random.default_rng(seed).permutation(table.groups.max() + 1)[table.groups]
    results = {}
    for share in shares:

        def first(train: np.ndarray, fold: int, share: float = share) -> np.ndarray:
            return train[place[train] <= np.quantile(place[train], share)]

        results[f"{share:.0%}"] = grouped_cv_predict(model, table, choose=first, jobs=jobs)
    return Comparison(results)


def _falls(
    model: Pipeline, table: FeatureTable, train: np.ndarray, test: np.ndarray, repeats: int, seed: int
) -> np.ndarray:
    model.fit(table.features[train], table.y[train])
    shuffled = permutation_importance(
        model, table.features[test], table.y[test], scoring="f1_macro", n_repeats=repeats, random_state=seed
    )
    return shuffled.importances_mean
