"""Fixtures: clouds of points for cells."""

import numpy as np
import pytest

from wbc_utils.models.table import FeatureTable

CENTRES = {"SNE": (0, 0), "LY": (6, 0), "MO": (0, 6), "EO": (6, 6)}


@pytest.fixture(scope="session")
def clouds():
    """Return a function that draws points of each class around its centre, and noise columns: features, classes."""

    def draw(members, noise=2, spread=1.0, seed=0):
        rng = np.random.default_rng(seed)
        y = np.repeat(list(members), list(members.values()))
        signal = np.array([CENTRES[label] for label in y]) + rng.normal(0, spread, (len(y), 2))
        return np.hstack([signal, rng.normal(0, 1, (len(y), noise))]), y

    return draw


@pytest.fixture(scope="session")
def make_table(clouds):
    """Return a function that makes a table of such points in folds dealt out class by class."""

    def make(members, folds=3, **options):
        features, y = clouds(members, **options)
        number = np.concatenate([np.arange(count) % folds for count in members.values()])
        names = ["across", "up", *(f"noise {column}" for column in range(features.shape[1] - 2))]
        return FeatureTable(features, y, np.arange(len(y)), number, names)

    return make
