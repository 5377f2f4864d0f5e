"""Association of a feature with what a human saw, against scipy, scikit-learn and known coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.association import association

SIZES = ("small", "medium", "big")
YES_NO = ("no", "yes")


def cells(n, seed=0):
    """Return sizes that a human gave, and an area with many ties that follows them."""
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 3, n)
    return np.round(size + rng.normal(0, 1.5, n)), np.array(SIZES)[size]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=6, max_size=40))
def test_estimates_are_those_of_scipy_and_scikit_learn(rows):
    area, size = map(np.array, zip(*rows, strict=True))
    if len(set(area)) > 1 and set(size) == {0, 1, 2}:
        found = association(area, size, (0, 1, 2), range(len(area)), seed=0, draws=20)
        assert (found.measure, found.n) == ("Spearman's ρ", len(area))
        assert found.value == pytest.approx(stats.spearmanr(area, size).statistic)
    binary = size < 2
    if len(set(area[binary])) > 1 and set(size[binary]) == {0, 1} and binary.sum() > 1:
        found = association(area, size, (0, 1), range(len(area)), seed=0, draws=20)
        assert (found.measure, found.n) == ("AUC", binary.sum())
        assert found.value == pytest.approx(roc_auc_score(size[binary], area[binary]))


def test_the_interval_of_a_rank_correlation_is_that_of_scipy():
    area, size = cells(200)
    level = np.array([SIZES.index(name) for name in size])
    oracle = stats.bootstrap(
        (area, level), lambda a, b: stats.spearmanr(a, b).statistic, paired=True, vectorized=False, n_resamples=2000,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    found = association(area, size, SIZES, range(200), seed=0, draws=5000)
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.01)


def test_the_interval_of_an_auc_over_groups_is_that_of_repeated_groups():
    rng = np.random.default_rng(0)
    groups = np.arange(120) // 3
    granular = np.repeat(rng.integers(0, 2, 40), 3)
    texture = granular + np.repeat(rng.normal(0, 1, 40), 3) + rng.normal(0, 0.5, 120)
    drawn = []
    for _ in range(2000):
        rows = np.concatenate([3 * group + np.arange(3) for group in rng.integers(0, 40, 40)])
        drawn.append(roc_auc_score(granular[rows], texture[rows]))
    found = association(texture, np.array(YES_NO)[granular], YES_NO, groups, seed=0, draws=5000)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)


def test_a_feature_that_separates_two_values_has_auc_one_and_reversed_zero():
    attribute = ["no"] * 5 + ["yes"] * 5
    assert association(np.arange(10), attribute, YES_NO, range(10), seed=0).value == 1
    assert association(-np.arange(10), attribute, YES_NO, range(10), seed=0).value == 0


def test_95_of_100_intervals_of_an_unrelated_feature_hold_zero():
    rng = np.random.default_rng(0)
    holding = []
    for seed in range(300):
        found = association(rng.random(80), rng.choice(SIZES, 80), SIZES, range(80), seed, draws=400)
        holding.append(found.low <= 0 <= found.high)
    assert np.mean(holding) == pytest.approx(0.95, abs=0.03)


def test_grouped_copies_change_neither_estimate_nor_interval():
    area, size = cells(60)
    once = association(area, size, SIZES, range(60), seed=0)
    twice = association(np.tile(area, 2), np.tile(size, 2), SIZES, np.tile(range(60), 2), seed=0)
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))
    assert twice.n == 120


def test_the_same_seed_repeats_the_interval():
    area, size = cells(60)
    assert association(area, size, SIZES, range(60), seed=3) == association(area, size, SIZES, range(60), seed=3)


def test_cells_with_another_or_no_value_are_left_out_of_n():
    attribute = ["no", "yes", "no", "yes", "maybe", None, np.nan]
    assert association([1, 2, 3, 4, np.nan, 5, 6], attribute, YES_NO, range(7), seed=0).n == 4


@pytest.mark.parametrize(
    ("feature", "attribute", "order", "groups", "message"),
    [
        ([1, 2], ["no", "yes"], ["yes"], [0, 1], "needs at least two values"),
        ([1, np.nan], ["no", "yes"], YES_NO, [0, 1], "1 of 2 feature values are not finite"),
        ([1, 2], ["no", "no"], YES_NO, [0, 1], "no item has the attribute value yes"),
        ([], [], YES_NO, [], "no item has the attribute value no, yes"),
        ([1, 1], ["no", "yes"], YES_NO, [0, 1], "feature is constant"),
        ([1, 2], ["no", "yes"], YES_NO, [0, 0], "at least two independent groups, found 1"),
        ([1, 2], ["no"], YES_NO, [0, 1], "2 feature values, 1 attributes and 2 groups"),
        ([1, 2], ["no", "yes"], YES_NO, [0, None], "1 of 2 groups are missing"),
    ],
)
def test_what_cannot_be_associated_is_refused(feature, attribute, order, groups, message):
    with pytest.raises(MetricError, match=message):
        association(feature, attribute, order, groups, seed=0)
