"""What a classical model is fitted to and validated on, checked once so that nothing later needs to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.models import ModelError

Choose = Callable[[np.ndarray, int], np.ndarray]
"""From the rows that a fold may train on, and its number, to the rows that it trains on."""

_SHOWN = 5  # rows named in an error


@dataclass(frozen=True)
class FeatureTable:
    """Features, classes, duplicate clusters and folds of the same cells.

    Attributes
    ----------
    features
        Of each cell, (n, features) float.
    y
        Class of each cell, (n,) str.
    groups
        Duplicate cluster of each cell, (n,).
    folds
        Fold in which the cell is tested, (n,) int.
    names
        Name of each feature.

    Raises
    ------
    ModelError
        If lengths differ, a feature is not finite, a label, group or fold is missing, a group lies in several folds,
        or a fold leaves fewer than two classes to train on.
    """

    features: np.ndarray
    y: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self):
        features = np.asarray(self.features, dtype=float)
        columns = {"classes": self.y, "groups": self.groups, "folds": self.folds}
        if (
            features.ndim != 2
            or features.shape[1] != len(self.names)
            or any(len(values) != len(features) for values in columns.values())
        ):
            found = ", ".join(f"{len(values)} {name}" for name, values in columns.items())
            raise ModelError(
                f"features of shape {features.shape} do not fit {len(self.names)} names, {found}; give one row per cell"
            )
        for name, values in columns.items():
            missing = int(pd.isna(pd.Series(list(values))).sum())
            if missing:
                raise ModelError(
                    f"{missing} of {len(features)} {name} are missing; drop these cells before the table is made"
                )
        _require_finite(features, self.names)
        plain = {
            "features": features,
            "y": np.array([str(label) for label in self.y]),
            "groups": pd.factorize(pd.Series(list(self.groups)), sort=False)[0],
            "folds": np.asarray(self.folds, dtype=int),
            "names": tuple(self.names),
        }
        for name, values in plain.items():
            object.__setattr__(self, name, values)
        _require_folds(self)

    def columns(self, wanted: Sequence[str]) -> "FeatureTable":
        """Return the table with some of its features.

        Raises
        ------
        ModelError
            If none is wanted or one is not in the table.
        """
        unknown = [name for name in wanted if name not in self.names]
        if unknown or not len(wanted):
            raise ModelError(f"the features {unknown} are not in the table; choose from {', '.join(self.names)}")
        keep = [self.names.index(name) for name in wanted]
        return FeatureTable(self.features[:, keep], self.y, self.groups, self.folds, tuple(wanted))

    def parts(self, choose: Choose | None = None) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Return the number, training rows and test rows of each fold.

        Parameters
        ----------
        choose
            Narrows the training rows; the test rows stay as they are.

        Raises
        ------
        ModelError
            If ``choose`` returns a row of the test part, or rows of fewer than two classes.
        """
        found = []
        for fold in np.unique(self.folds):
            train, test = np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)
            chosen = train if choose is None else np.asarray(choose(train, int(fold)))
            if len(np.setdiff1d(chosen, train)):
                raise ModelError(f"fold {fold} was given rows to train on that it tests; choose among the rows offered")
            classes = np.unique(self.y[chosen])
            if len(classes) < 2:
                raise ModelError(
                    f"fold {fold} trains on {len(chosen)} rows of {len(classes)} class(es), at least two classes are "
                    "needed; use other folds or choose more rows"
                )
            found.append((int(fold), chosen, test))
        return found


def _require_finite(features: np.ndarray, names: Sequence[str]) -> None:
    bad = ~np.isfinite(features)
    columns = np.flatnonzero(bad.any(axis=0))
    if not len(columns):
        return
    rows = np.flatnonzero(bad.any(axis=1))
    raise ModelError(
        f"{int(bad.sum())} feature values are not finite: {_some([names[column] for column in columns])} in rows "
        f"{_some(rows)}; leave out these {len(rows)} cells and say so, or define the feature where it fails"
    )


def _require_folds(table: FeatureTable) -> None:
    spread = pd.Series(table.folds).groupby(table.groups).nunique()
    straddling = int((spread > 1).sum())
    if straddling:
        raise ModelError(
            f"{straddling} of {len(spread)} groups lie in several folds, so duplicates would be tested on what was "
            "trained on; make the folds with wbc_utils.data.splits.group_folds"
        )
    table.parts()


def _some(names: Sequence) -> str:
    shown = ", ".join(str(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
