"""Batches are seen where they are, and folds that keep them whole show whether they flatter a score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbc_utils.models.acquisitions import alike, compare_folds, tint, two_modes
from wbc_utils.models.table import FeatureTable


@pytest.mark.parametrize("rare", [20, 500])
def test_two_separate_modes_are_told_apart(rare):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.23, 0.01, 1000), rng.normal(0, 0.01, rare)])
    assert two_modes(values).tolist() == [True] * 1000 + [False] * rare


@pytest.mark.parametrize("draw", ["normal", "uniform", "laplace", "exponential"])
def test_one_mode_is_not_parted(draw):
    assert two_modes(getattr(np.random.default_rng(0), draw)(size=2000)) is None


def test_a_few_outliers_are_no_mode():
    values = np.random.default_rng(0).normal(0, 1, 1000)
    assert two_modes(np.append(values, [60.0] * 5)) is None


def test_equal_values_are_one_mode():
    assert two_modes(np.ones(10)) is None


@given(st.integers(1, 255))
def test_grey_has_no_tint(level):
    grey = np.full((1, 3), level)
    assert tint(grey)[0] == pytest.approx(0)


def test_tint_is_the_logarithm_of_red_over_blue():
    slides = np.array([[200, 100, 50], [100, 100, 25]])
    assert tint(slides) == pytest.approx(np.log([4, 4]))


def test_like_surroundings_are_one_group_and_duplicates_follow_the_first():
    rng = np.random.default_rng(0)
    planted = np.repeat([0, 1, 2], 20)
    measures = np.column_stack([planted * 5.0, planted % 2 * 5.0]) + rng.normal(0, 0.1, (60, 2))
    found = alike(measures, 3, np.arange(60), seed=0)
    assert [len(set(found[planted == number])) for number in range(3)] == [1, 1, 1]
    assert len(set(found)) == 3
    duplicates = np.arange(60)
    duplicates[59] = 0
    assert alike(measures, 3, duplicates, seed=0)[59] == found[0]


def batches(leak, seed=0):
    """Return cells of eight batches; with a leak, what a class looks like is another in each batch."""
    rng = np.random.default_rng(seed)
    batch, y = np.repeat(np.arange(8), 40), np.tile(["LY", "MO"], 160)
    looks = rng.normal(0, 3, (8, 2, 5)) if leak else np.broadcast_to(rng.normal(0, 0.5, (2, 5)), (8, 2, 5))
    features = looks[batch, (y == "MO").astype(int)] + rng.normal(0, 1, (320, 5))
    measures = np.column_stack([np.cos(batch), np.sin(batch), batch]) * 5 + rng.normal(0, 0.1, (320, 3))
    table = FeatureTable(features, y, np.arange(320), np.arange(320) % 4, [str(k) for k in range(5)])
    return table, measures


def test_what_was_learnt_of_batches_is_lost_when_they_are_kept_whole():
    found = compare_folds(*batches(leak=True), numbers=[8], k=4, deals=1, seed=0).iloc[0]
    assert found["random folds"] > 0.9
    assert found["whole groups"] < found["random folds"] - 0.1
    assert found["high"] < 0
    assert found["difference"] == pytest.approx(found["whole groups"] - found["random folds"])
    assert found["spread of random folds"] == 0


def test_batches_that_tell_nothing_lose_nothing():
    found = compare_folds(*batches(leak=False), numbers=[8, 16], k=4, deals=2, seed=0)
    assert found["groups"].tolist() == [8, 16]
    assert (found["low"] <= 0).all()
    assert (found["high"] >= 0).all()
    assert (found["difference"].abs() < 0.06).all()
    assert (found["spread of random folds"] > 0).all()
