"""Class frequencies of another data set, drawn from the rows at hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbc_utils.labels import WBCBENCH_CODES
from wbc_utils.models import ModelError
from wbc_utils.models.longtail import WBCBENCH_COUNTS, LongTail, longtail_counts, longtail_draw

REFERENCE = {"SNE": 1000, "LY": 500, "PLY": 2}


def test_reference_counts_cover_the_thirteen_classes():
    assert set(WBCBENCH_COUNTS) == set(WBCBENCH_CODES)
    assert max(WBCBENCH_COUNTS.values()) / min(WBCBENCH_COUNTS.values()) == pytest.approx(1157.5, abs=0.1)


def test_the_scarcest_class_sets_the_scale_and_others_follow_the_reference():
    assert longtail_counts({"SNE": 100, "LY": 100}, {}, 1, REFERENCE) == {"SNE": 100, "LY": 50}
    assert longtail_counts({"SNE": 100, "LY": 20}, {}, 1, REFERENCE) == {"SNE": 40, "LY": 20}


def test_a_class_that_the_reference_lacks_takes_the_frequency_of_its_stand_in():
    found = longtail_counts({"SNE": 1000, "ERB": 90}, {"ERB": "PLY"}, 1, REFERENCE)
    assert found == {"SNE": 1000, "ERB": 2}


def test_the_rarest_classes_are_raised_to_the_minimum_or_to_what_is_there():
    wanted = longtail_counts({"SNE": 500, "PLY": 90}, {}, 4, REFERENCE)
    assert wanted == {"SNE": 500, "PLY": 4}
    assert longtail_counts({"SNE": 500, "PLY": 3}, {}, 4, REFERENCE) == {"SNE": 500, "PLY": 3}


@given(
    available=st.dictionaries(st.sampled_from(WBCBENCH_CODES), st.integers(1, 2000), min_size=1),
    minimum=st.integers(1, 5),
)
def test_no_class_exceeds_what_is_there_and_none_vanishes(available, minimum):
    wanted = longtail_counts(available, {}, minimum)
    assert wanted.keys() == available.keys()
    assert all(min(minimum, available[label]) <= count <= available[label] for label, count in wanted.items())


@pytest.mark.parametrize(
    ("available", "stand_ins", "minimum", "message"),
    [
        ({"SNE": 9, "ERB": 9}, {}, 1, "no reference count for ERB; give each a stand-in from SNE, LY, PLY"),
        ({"SNE": 9, "ERB": 9}, {"ERB": "PC"}, 1, "no reference count for ERB"),
        ({"SNE": 9, "ERB": 9}, {"ERB": "SNE"}, 1, "two classes take the same frequency"),
        ({"SNE": 9}, {}, 0, "must be at least 1, found 0"),
    ],
)
def test_frequencies_that_nothing_defines_are_refused(available, stand_ins, minimum, message):
    with pytest.raises(ModelError, match=message):
        longtail_counts(available, stand_ins, minimum, REFERENCE)


def test_a_draw_has_the_wanted_counts_and_is_repeatable():
    y = np.repeat(["SNE", "LY", "PLY"], [50, 40, 10])
    wanted = {"SNE": 30, "LY": 9, "PLY": 1}
    drawn = longtail_draw(y, range(100), wanted, np.random.default_rng(0))
    assert Counter(y[drawn].tolist()) == wanted
    assert sorted(set(drawn)) == drawn.tolist()
    assert longtail_draw(y, range(100), wanted, np.random.default_rng(0)).tolist() == drawn.tolist()
    assert longtail_draw(y, range(100), wanted, np.random.default_rng(1)).tolist() != drawn.tolist()


def test_classes_that_are_not_wanted_are_not_drawn():
    y = np.array(["SNE", "IG", "SNE", "IG"])
    assert longtail_draw(y, range(4), {"SNE": 2}, np.random.default_rng(0)).tolist() == [0, 2]


@given(seed=st.integers(0, 2**32 - 1))
def test_duplicates_are_drawn_only_when_no_other_cell_is_left(seed):
    groups = [0, 0, 0, 0, 1, 2]
    drawn = longtail_draw(["LY"] * 6, groups, {"LY": 3}, np.random.default_rng(seed))
    assert {groups[row] for row in drawn} == {0, 1, 2}
    assert len(longtail_draw(["LY"] * 6, groups, {"LY": 5}, np.random.default_rng(seed))) == 5


def test_a_class_with_fewer_rows_than_wanted_is_refused():
    with pytest.raises(ModelError, match=r"fewer rows than wanted of {'LY': 3}"):
        longtail_draw(["LY", "LY"], [0, 1], {"LY": 3}, np.random.default_rng(0))
    with pytest.raises(ModelError, match=r"fewer rows than wanted of {'MO': 1}"):
        longtail_draw(["LY", "LY"], [0, 1], {"LY": 1, "MO": 1}, np.random.default_rng(0))


def test_each_fold_trains_on_a_long_tail_of_its_own_rows_and_tests_all_of_its_cells(make_table):
    table = make_table({"SNE": 300, "LY": 300, "EO": 300})
    choose = LongTail(table, {}, 1, seed=0)
    for fold, train, test in table.parts(choose):
        assert Counter(table.y[train].tolist()) == {"SNE": 200, "LY": 122, "EO": 13}
        assert len(test) == 300
        offered = np.flatnonzero(table.folds != fold)
        assert choose(offered, fold).tolist() == train.tolist()
        assert choose(offered, fold + 1).tolist() != train.tolist()
