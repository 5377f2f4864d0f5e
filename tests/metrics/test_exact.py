"""Limits of shares of 0 and 1, by hand and against the joint region that they come from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.bootstrap import Interval, grouped_interval
from wbc_utils.metrics.classification import balanced_accuracy
from wbc_utils.metrics.exact import class_shares, units_of_mean_recall, where_certain
from wbc_utils.metrics.groups import class_means


def test_sixty_one_of_sixty_one_is_at_least_0941():
    found = where_certain(Interval(1.0, 1.0, 1.0, 61))
    assert (found.value, found.n, found.high) == (1.0, 61, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 61))
    assert round(found.low, 3) == 0.941


def test_none_of_ten_is_the_mirror_of_all_of_ten():
    none, all_ = (where_certain(Interval(share, share, share, 10)) for share in (0.0, 1.0))
    assert none.ci == pytest.approx((1 - all_.high, 1 - all_.low))


def test_other_intervals_of_an_array_stay_and_each_replaced_one_has_its_own_units():
    found = Interval(np.array([1.0, 0.5, 0.0, np.nan]), np.array([1.0, 0.4, 0.0, np.nan]),
                     np.array([1.0, 0.6, 0.1, np.nan]), 9)  # fmt: skip
    low, high = where_certain(found, [3, 9, 9, 0]).ci
    np.testing.assert_allclose(low, [0.025 ** (1 / 3), 0.4, 0.0, np.nan])
    np.testing.assert_allclose(high, [1.0, 0.6, 1 - 0.025 ** (1 / 9), np.nan])


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(MetricError, match="between 0 and 1"):
        where_certain(Interval(value, value, value, 5))


def test_a_certain_share_of_nothing_is_refused():
    with pytest.raises(MetricError, match="at least one independent unit"):
        where_certain(Interval(1.0, 1.0, 1.0, 5), 0)


def test_the_units_of_a_mean_recall_are_counted_in_groups_of_the_rarest_class():
    assert units_of_mean_recall(["a", "a", "a", "b", "b"], [1, 2, 3, 4, 4]) == 2
    with pytest.raises(MetricError, match="2 true labels and 1 groups"):
        units_of_mean_recall(["a", "b"], [1])


@settings(max_examples=50, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=5), data=st.data())
def test_no_recalls_that_leave_an_errorless_sample_possible_have_a_lower_mean(counts, data):
    recalls = [data.draw(st.floats(0.01, 1)) for _ in counts]
    labels = np.repeat(np.arange(len(counts)), counts)
    units = units_of_mean_recall(labels, range(len(labels)))
    limit = where_certain(Interval(1.0, 1.0, 1.0, len(labels)), units).low
    possible = np.prod(np.power(recalls, counts)) >= 0.025
    assert not possible or np.mean(recalls) >= limit - 1e-12


def test_an_errorless_mean_recall_gets_a_lower_limit_below_one():
    labels = ["a"] * 20 + ["b"] * 5
    found = grouped_interval(labels, labels, range(25), balanced_accuracy, ["a", "b"], seed=0)
    assert found.low < found.high == 1
    assert where_certain(found, units_of_mean_recall(labels, range(25))).low == pytest.approx(0.025 ** (1 / 10))


def test_shares_of_classes_are_their_means_with_exact_limits_over_groups_where_they_are_certain():
    values = [1, 1, 1, 1, 0, 1, 0.5]
    labels, groups = list("aaabbbb"), [0, 0, 1, 2, 3, 4, 5]
    plain, found = (one(values, labels, groups, ["a", "b", "c"], seed=0) for one in (class_means, class_shares))
    assert found.loc[1:].equals(plain.loc[1:])
    assert found.loc[0, ["n", "value", "high"]].tolist() == [2, 1, 1]
    assert found.loc[0, "low"] == pytest.approx(0.025 ** (1 / 2))
