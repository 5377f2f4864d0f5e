"""Intervals, against scipy's bootstrap, exact distributions and known coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import (
    grouped_interval,
    loosened,
    multinomial_interval,
    paired_difference,
    percentile_bounds,
)
from wbc_utils.metrics.classification import accuracy, balanced_accuracy, confusion, f1, macro_f1, recall

ORDER = range(3)


@pytest.fixture
def noisy():
    """Return labels, predictions that are right in three of four cases, and better ones."""
    rng = np.random.default_rng(0)
    true = rng.choice(3, 300, p=[0.6, 0.3, 0.1])
    first = np.where(rng.random(300) < 0.75, true, rng.integers(0, 3, 300))
    second = np.where(rng.random(300) < 0.5, true, first)
    return true, first, second


def scipy_bounds(statistic, *samples):
    found = stats.bootstrap(
        samples, statistic, paired=True, vectorized=False, n_resamples=2000, method="percentile",
        rng=np.random.default_rng(1),
    )  # fmt: skip
    return tuple(found.confidence_interval)


def test_the_interval_of_macro_f1_is_that_of_scipy(noisy):
    true, first, _ = noisy
    found = multinomial_interval(confusion(true, first, ORDER), macro_f1, seed=0, draws=20_000)
    oracle = scipy_bounds(lambda y, p: macro_f1(confusion(y, p, ORDER)), true, first)
    assert found.value == macro_f1(confusion(true, first, ORDER))
    assert found.ci == pytest.approx(oracle, abs=0.008)
    assert found.n == 300


def test_the_interval_over_groups_is_that_of_scipy_over_groups(noisy):
    true, first, _ = noisy
    groups = np.arange(300) // 6

    def of_groups(chosen):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in chosen.astype(int)])
        return macro_f1(confusion(true[rows], first[rows], ORDER))

    found = grouped_interval(true, first, groups, macro_f1, ORDER, seed=0, draws=20_000)
    assert found.ci == pytest.approx(scipy_bounds(of_groups, np.arange(50)), abs=0.008)
    assert found.n == 50


def test_the_interval_of_a_difference_is_that_of_scipy(noisy):
    true, first, second = noisy

    def gain(y, one, other):
        return macro_f1(confusion(y, other, ORDER)) - macro_f1(confusion(y, one, ORDER))

    found = paired_difference(true, first, second, np.arange(300), macro_f1, ORDER, seed=0, draws=20_000)
    assert found.value == pytest.approx(gain(true, first, second))
    assert found.ci == pytest.approx(scipy_bounds(gain, true, first, second), abs=0.008)


def test_items_that_are_their_own_groups_are_a_multinomial_draw(noisy):
    true, first, _ = noisy
    grouped = grouped_interval(true, first, np.arange(300), macro_f1, ORDER, seed=0, draws=50_000)
    free = multinomial_interval(confusion(true, first, ORDER), macro_f1, seed=1, draws=50_000)
    assert grouped.ci == pytest.approx(free.ci, abs=0.002)


def test_the_bounds_of_a_share_are_binomial_quantiles():
    found = multinomial_interval(np.array([[70, 30], [0, 0]]), accuracy, seed=0, draws=200_000)
    assert found.ci == pytest.approx(stats.binom(100, 0.7).ppf([0.025, 0.975]) / 100, abs=1e-9)


def test_95_of_100_intervals_hold_the_true_share():
    rng = np.random.default_rng(0)
    right = rng.binomial(400, 0.8, size=400)
    intervals = [
        multinomial_interval(np.array([[hits, 400 - hits], [0, 0]]), accuracy, seed=seed, draws=1000)
        for seed, hits in enumerate(right)
    ]
    holding = np.mean([found.low <= 0.8 <= found.high for found in intervals])
    assert holding == pytest.approx(0.95, abs=0.025)  # 2.3 standard deviations of 400 trials


def test_copies_of_every_item_do_not_narrow_the_interval_if_they_are_grouped(noisy):
    true, first, _ = noisy
    once = grouped_interval(true, first, np.arange(300), accuracy, ORDER, seed=0)
    twice = grouped_interval(np.tile(true, 2), np.tile(first, 2), np.tile(np.arange(300), 2), accuracy, ORDER, seed=0)
    assert (twice.value, twice.n) == (once.value, 300)
    assert twice.ci == pytest.approx(once.ci)


def test_equal_models_differ_by_nothing(noisy):
    true, first, _ = noisy
    found = paired_difference(true, first, first, np.arange(300), macro_f1, ORDER, seed=0)
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_pairing_narrows_the_interval_of_a_difference(noisy):
    true, first, second = noisy
    groups = np.arange(300)
    gain = paired_difference(true, first, second, groups, accuracy, ORDER, seed=0)
    apart = [grouped_interval(true, predicted, groups, accuracy, ORDER, seed=0) for predicted in (first, second)]
    unpaired = np.hypot(*(one.high - one.low for one in apart))
    assert gain.high - gain.low < unpaired


def test_a_score_per_class_has_an_interval_per_class(noisy):
    true, first, _ = noisy
    found = grouped_interval(true, first, np.arange(300), f1, ORDER, seed=0)
    assert found.value == pytest.approx(f1(confusion(true, first, ORDER)))
    assert (found.low < found.value).all()
    assert (found.value < found.high).all()


def test_a_class_that_never_occurs_has_neither_score_nor_interval():
    found = multinomial_interval(np.diag([5, 5, 0]), f1, seed=0)
    assert np.isnan([found.value[2], found.low[2], found.high[2]]).all()
    assert found.high[:2].tolist() == [1, 1]


def test_the_recall_of_a_class_that_was_always_right_has_the_limits_of_jeffreys():
    found = multinomial_interval(np.array([[12, 0], [3, 5]]), recall, seed=0, draws=20000)
    assert (found.value[0], found.high[0]) == (1, 1)
    assert found.low[0] == pytest.approx(stats.beta(12.5, 0.5).ppf(0.025), abs=0.01)


def test_the_interval_of_a_mean_recall_holds_the_truth_where_classes_are_all_right_or_all_wrong():
    numbers, recalls, held = [81, 12, 24, 31], np.array([0.03, 0.03, 0.03, 0.97]), []
    true = np.repeat(range(4), numbers)
    for draw in range(200):
        rng = np.random.default_rng(draw)
        right = rng.random(len(true)) < recalls[true]
        found = grouped_interval(
            true, np.where(right, true, (true + 1) % 4), range(len(true)), balanced_accuracy, range(4), draw, draws=400
        )
        held.append(found.low <= recalls.mean() <= found.high)
    assert np.mean(held) >= 0.93


def test_a_matrix_is_loosened_only_where_a_class_is_certain_and_keeps_its_sums():
    whole = np.array([[4, 0, 0, 0], [1, 0, 2, 0], [1, 0, 3, 0]])
    drawn = np.stack([whole, 2 * whole]).astype(float)
    loose = loosened(drawn, whole, np.array([4, 3, 4]), seed=0)
    assert loose.sum(axis=2) == pytest.approx(drawn.sum(axis=2))
    assert (loose[:, 2] == drawn[:, 2]).all()
    assert (loose[:, [0, 1], [0, 1]] > 0).all()
    assert (loose[:, 0, 0] < drawn[:, 0, 0]).all()
    assert loose[:, 1, 0] * 2 == pytest.approx(loose[:, 1, 2])


@settings(max_examples=50, deadline=None)
@given(
    counts=hnp.arrays(int, (3, 3), elements=st.integers(0, 9)).filter(lambda counts: counts.sum() > 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_intervals_are_ordered_within_zero_and_one_and_repeatable(counts, seed):
    found = multinomial_interval(counts, macro_f1, seed, draws=200)
    assert 0 <= found.low <= found.high <= 1
    assert multinomial_interval(counts, macro_f1, seed, draws=200) == found


@settings(max_examples=50, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 5)), min_size=8, max_size=40).filter(
        lambda items: len({group for *_, group in items}) > 1
    ),
    shuffle=st.randoms(use_true_random=False),
)
def test_neither_the_order_of_items_nor_the_names_of_groups_matter(items, shuffle):
    names = [f"P{number}" for number in shuffle.sample(range(6), 6)]
    mixed = [(true, predicted, names[group]) for true, predicted, group in shuffle.sample(items, len(items))]
    one, other = (
        grouped_interval(*zip(*rows, strict=True), macro_f1, ORDER, seed=0, draws=100) for rows in (items, mixed)
    )
    assert one == other


def test_another_seed_gives_other_bounds(noisy):
    true, first, _ = noisy
    counts = confusion(true, first, ORDER)
    assert multinomial_interval(counts, macro_f1, seed=0).ci != multinomial_interval(counts, macro_f1, seed=1).ci


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 0, 0], "at least two independent groups, found 1"),
        ([0, 1], "3 true labels, 3 predictions and 2 groups"),
        ([0, None, 1], "1 of 3 groups are missing"),
    ],
)
def test_groups_that_allow_no_interval_are_refused(groups, message):
    with pytest.raises(MetricError, match=message):
        grouped_interval([0, 1, 2], [0, 1, 1], groups, macro_f1, ORDER, seed=0)
    with pytest.raises(MetricError, match=message):
        paired_difference([0, 1, 2], [0, 1, 1], [0, 1, 2], groups, macro_f1, ORDER, seed=0)


@pytest.mark.parametrize("counts", [np.zeros((2, 2)), np.diag([1, 0])])
def test_fewer_than_two_items_allow_no_interval(counts):
    with pytest.raises(MetricError, match="at least two independent groups"):
        multinomial_interval(counts, accuracy, seed=0)


def test_bounds_leave_out_undefined_draws():
    drawn = np.array([[np.nan, np.nan], [1, np.nan], [2, np.nan], [3, np.nan]])
    low, high = percentile_bounds(drawn)
    assert low == pytest.approx([1.05, np.nan], nan_ok=True)
    assert high == pytest.approx([2.95, np.nan], nan_ok=True)
