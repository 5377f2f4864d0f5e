import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.lineage import MATURATION, PRECURSORS, blob, rank_correlation

LABELS = np.array(["PMY", "MY", "MMY", "SNE"] * 10)
GROUPS = np.arange(40)


def test_closed_blob_of_equal_types_has_all_neighbours_inside_and_of_the_same_type():
    found = blob(np.repeat(LABELS[:, None], 4, axis=1), LABELS, GROUPS, PRECURSORS, seed=0)
    assert found.inside.value == found.same.value == 1
    assert found.inside.n == 30
    assert found.inside.ci == found.same.ci == (pytest.approx(0.025 ** (1 / 30)), 1)


def test_neighbours_by_frequency_give_the_share_that_chance_gives():
    near = np.tile(["PMY", "MY", "MMY"], (40, 1))
    found = blob(near, LABELS, GROUPS, PRECURSORS, seed=0)
    assert found.same.value == pytest.approx(1 / 3)
    # of the 29 other cells of the group 9 are of a cell's own type
    assert found.chance == pytest.approx(9 / 29)
    assert found.over_chance.value == pytest.approx(1 / 3 - 9 / 29)


def test_neighbours_outside_lower_the_inside_share_and_not_the_same_share():
    near = np.column_stack([LABELS, np.full(40, "SNE")])
    found = blob(near, LABELS, GROUPS, PRECURSORS, seed=0)
    assert found.inside.value == 0.5
    assert found.same.value == 1


@given(st.integers(0, 2**32 - 1))
def test_shares_lie_inside_their_intervals_and_between_zero_and_one(seed):
    rng = np.random.default_rng(seed)
    found = blob(rng.choice(LABELS, (40, 5)), LABELS, GROUPS, PRECURSORS, seed=0)
    for share in (found.inside, found.same):
        assert 0 <= share.low <= share.value <= share.high <= 1
    assert found.over_chance.low <= found.over_chance.value <= found.over_chance.high


def test_no_item_of_the_types_and_no_neighbour_inside_are_refused():
    with pytest.raises(MetricError, match="no item is of the types BL"):
        blob(LABELS[:, None], LABELS, GROUPS, ["BL"], seed=0)
    with pytest.raises(MetricError, match="no neighbour of PMY"):
        blob(np.full((40, 2), "SNE"), LABELS, GROUPS, ["PMY"], seed=0)


def test_centroids_on_a_line_in_maturation_order_correlate_perfectly():
    places = np.arange(5.0)
    table = pd.DataFrame(np.abs(places[:, None] - places), index=MATURATION, columns=MATURATION)
    assert rank_correlation(table, MATURATION) == pytest.approx(1)
    assert rank_correlation(1 / (1 + table), MATURATION) == pytest.approx(-1)


def test_two_stages_or_an_unknown_one_are_refused():
    table = pd.DataFrame(np.zeros((5, 5)), index=MATURATION, columns=MATURATION)
    with pytest.raises(MetricError, match="at least three"):
        rank_correlation(table, ["PMY", "MY"])
    with pytest.raises(MetricError, match="EO"):
        rank_correlation(table, ["PMY", "MY", "EO"])
