import numpy as np
import pytest

from wbc_utils.models import ModelError
from wbc_utils.models.projection import add, tsne

RNG = np.random.default_rng(0)
CENTRES = np.repeat(np.eye(3) * 20, 30, axis=0)
ITEMS = np.hstack([CENTRES + RNG.normal(size=(90, 3)), np.zeros((90, 2))])
CLASS = np.repeat(np.arange(3), 30)


@pytest.fixture(scope="module")
def drawn():
    return tsne(ITEMS, perplexity=10, seed=0)


def test_map_is_the_same_with_another_number_of_threads(drawn):
    np.testing.assert_array_equal(np.asarray(tsne(ITEMS, perplexity=10, seed=0, jobs=2)), np.asarray(drawn))


def test_separate_clusters_stay_separate(drawn):
    places = np.asarray(drawn)
    middles = np.array([places[CLASS == one].mean(axis=0) for one in range(3)])
    nearest = np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, CLASS)


def test_new_items_fall_into_their_cluster_and_the_map_does_not_move(drawn):
    before = np.asarray(drawn).copy()
    placed = add(drawn, ITEMS[::10] + 0.1)
    near = np.linalg.norm(placed[:, None] - before, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(CLASS[near], CLASS[::10])
    np.testing.assert_array_equal(np.asarray(drawn), before)


def test_too_few_items_for_the_perplexity_are_refused():
    with pytest.raises(ModelError, match="a perplexity of 30 for 90 items"):
        tsne(ITEMS, perplexity=30, seed=0)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ModelError, match="1 of 90 rows"):
        tsne(np.vstack([ITEMS[:-1], np.full((1, 5), np.nan)]), perplexity=10, seed=0)


def test_new_items_of_another_width_are_refused(drawn):
    with pytest.raises(ModelError, match="5 numbers each"):
        add(drawn, ITEMS[:, :4])
