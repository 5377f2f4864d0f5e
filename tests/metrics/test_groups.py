"""Averages over whole groups, against scipy's bootstrap and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import mean_interval
from wbc_utils.metrics.groups import class_means, group_mean_interval, group_sums, resampled_sums


def test_rows_of_a_group_are_added_up_in_the_order_of_first_appearance():
    assert group_sums([[1, 2], [10, 20], [3, 4]], ["b", "a", "b"]).tolist() == [[4, 6], [10, 20]]


def test_a_resample_has_as_many_groups_as_there_are_and_their_expected_sums():
    sums = np.array([[1.0, 5.0], [1.0, 0.0], [1.0, 1.0]])
    drawn = resampled_sums(sums, seed=0, draws=20_050)
    assert drawn.shape == (20_050, 2)
    assert (drawn[:, 0] == 3).all()
    assert drawn[:, 1].mean() == pytest.approx(6, abs=0.1)
    assert drawn[:, 1].var() == pytest.approx(3 * np.var([5, 0, 1]), rel=0.05)


def test_the_interval_of_a_grouped_mean_is_that_of_scipy_over_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    values = rng.normal(0, 1, 40)[groups] + rng.normal(0, 0.3, len(groups))

    def of_groups(chosen):
        return np.concatenate([values[groups == group] for group in chosen.astype(int)]).mean()

    oracle = stats.bootstrap(
        (np.arange(40),), of_groups, vectorized=False, n_resamples=2000, method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    found = group_mean_interval(values, groups, seed=0, draws=20_000)
    assert (found.value, found.n) == (pytest.approx(values.mean()), 40)
    assert found.ci == pytest.approx(tuple(oracle), abs=0.02)


def test_the_mean_of_groups_of_one_is_the_plain_mean():
    values = np.random.default_rng(0).random(50)
    plain, grouped = mean_interval(values, seed=0, draws=20_000), group_mean_interval(values, range(50), 0, 20_000)
    assert grouped.value == pytest.approx(plain.value)
    assert grouped.ci == pytest.approx(plain.ci, abs=0.003)


@settings(max_examples=30, deadline=None)
@given(
    items=st.lists(st.tuples(st.floats(-9, 9), st.integers(0, 4)), min_size=5, max_size=30).filter(
        lambda items: len({group for _, group in items}) > 1
    )
)
def test_bounds_of_a_mean_lie_among_the_means_of_groups(items):
    values, groups = map(np.array, zip(*items, strict=True))
    found = group_mean_interval(values, groups, seed=0, draws=100)
    means = [values[groups == group].mean() for group in set(groups)]
    assert min(means) - 1e-9 <= found.low <= found.high <= max(means) + 1e-9
    assert found.value == pytest.approx(values.mean())


def test_means_of_classes_are_those_of_their_own_items_in_the_given_order():
    values, labels, groups = [1, 2, 3, 4, 9], ["MY", "MY", "SNE", "SNE", "EO"], [0, 1, 2, 2, 3]
    table = class_means(values, labels, groups, ["SNE", "MY", "EO", "BA"], seed=0)
    assert table["name"].tolist() == ["SNE", "MY", "EO", "BA"]
    assert table["n"].tolist() == [1, 2, 1, 0]
    assert table["value"].tolist() == pytest.approx([3.5, 1.5, 9, np.nan], nan_ok=True)
    assert table[["low", "high"]].iloc[1].tolist() == [1, 2]
    assert table[["low", "high"]].iloc[[0, 2, 3]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [
        ([1, 2], [0], "2 values and 1 groups"),
        ([1, np.inf], [0, 1], "1 of 2 items have a value that is not finite"),
        ([1, 2], [0, None], "1 of 2 groups are missing"),
        ([1, 2], [0, 0], "at least two independent groups, found 1"),
        ([], [], "at least two independent groups, found 0"),
    ],
)
def test_values_that_have_no_interval_are_refused(values, groups, message):
    with pytest.raises(MetricError, match=message):
        group_mean_interval(values, groups, seed=0)


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [(["MY", "PC"], [0, 1], r"\['PC'\] are not in the order"), (["MY"], [0, 1], "2 values, 1 labels and 2 groups")],
)
def test_classes_that_cannot_be_averaged_are_refused(labels, groups, message):
    with pytest.raises(MetricError, match=message):
        class_means([1, 2], labels, groups, ["MY", "SNE"], seed=0)
