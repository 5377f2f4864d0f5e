"""Splits and folds: whole groups, every item once, repeatable, and shares close to the wanted ones."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.data.splits import SplitError, group_folds, multilabel_folds, stratified_groups

FRACTIONS = {"train": 0.7, "validation": 0.15, "test": 0.15}


@st.composite
def grouped_items(draw):
    n = draw(st.integers(12, 60))
    labels = draw(st.lists(st.sampled_from(["LY", "MO", "EO"]), min_size=n, max_size=n))
    groups = draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    return labels, groups


def straddling(parts, groups):
    return [group for group in set(groups) if len({p for p, g in zip(parts, groups, strict=True) if g == group}) > 1]


@settings(deadline=None)
@given(items=grouped_items(), seed=st.integers(0, 2**32 - 1))
def test_named_splits_keep_groups_whole_and_are_repeatable(items, seed):
    labels, groups = items
    split = stratified_groups(labels, groups, FRACTIONS, seed)
    assert len(split) == len(labels)
    assert set(split) <= set(FRACTIONS)
    assert straddling(split, groups) == []
    assert stratified_groups(labels, groups, FRACTIONS, seed).tolist() == split.tolist()


@settings(deadline=None)
@given(labels=st.lists(st.sampled_from(["LY", "MO", "EO"]), min_size=1, max_size=200), seed=st.integers(0, 2**32 - 1))
def test_independent_items_are_split_to_within_one_item_of_each_class(labels, seed):
    split = stratified_groups(labels, range(len(labels)), FRACTIONS, seed)
    for label in set(labels):
        mine = split[np.array(labels) == label]
        for name, share in FRACTIONS.items():
            most = 1 if len(labels) >= 10 else 2  # a small division gives an item to a split that would be empty
            assert abs((mine == name).sum() - share * len(mine)) <= most


@settings(deadline=None)
@given(labels=st.lists(st.sampled_from("ABCDEFGHIJ"), min_size=3, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_no_split_stays_empty_and_none_loses_a_class_for_it_that_it_could_keep(labels, seed):
    split = stratified_groups(labels, range(len(labels)), FRACTIONS, seed)
    assert set(split) == set(FRACTIONS)
    if len(set(labels)) <= len(labels) - 2:
        assert set(np.array(labels)[split == "train"]) == set(labels)


def test_two_items_leave_the_third_split_empty():
    assert set(stratified_groups(["LY", "MO"], [0, 1], FRACTIONS, 0)) == {"train"}


def test_shares_stay_close_when_clusters_and_patients_group_the_items():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 400, 3000)
    labels = np.where(groups % 10 == 0, "MO", np.where(groups % 3 == 0, "LY", "SNE"))
    split = stratified_groups(labels, groups, FRACTIONS, 0)
    for label in ("MO", "LY", "SNE"):
        for name, share in FRACTIONS.items():
            assert (split[labels == label] == name).mean() == pytest.approx(share, abs=0.01)


def test_a_class_of_one_group_goes_to_the_largest_split():
    labels = ["BL"] + ["LY"] * 100
    assert all(stratified_groups(labels, range(101), FRACTIONS, seed)[0] == "train" for seed in range(10))


def test_another_seed_gives_another_split():
    labels = ["LY"] * 40
    assert stratified_groups(labels, range(40), FRACTIONS, 0).tolist() != (
        stratified_groups(labels, range(40), FRACTIONS, 1).tolist()
    )


@pytest.mark.parametrize("fractions", [{}, {"train": 0.8}, {"train": 1.2, "test": -0.2}, {"train": 1.0, "test": 0.0}])
def test_fractions_must_be_positive_and_sum_to_one(fractions):
    with pytest.raises(SplitError, match="must be positive and sum to 1"):
        stratified_groups(["LY"], [0], fractions, 0)


@settings(deadline=None, max_examples=50)
@given(items=grouped_items(), k=st.integers(2, 4), seed=st.integers(0, 2**32 - 1))
def test_folds_keep_groups_whole_and_are_repeatable(items, k, seed):
    labels, groups = items
    if len(set(groups)) < k:
        return
    folds = group_folds(labels, groups, k, seed)
    assert set(folds) <= set(range(k))
    assert straddling(folds, groups) == []
    assert group_folds(labels, groups, k, seed).tolist() == folds.tolist()


def test_folds_of_independent_items_hold_equal_shares_of_each_class():
    labels = np.repeat(["SNE", "LY", "MO"], [200, 100, 40])
    folds = group_folds(labels, range(340), 4, 0)
    for label, count in (("SNE", 50), ("LY", 25), ("MO", 10)):
        assert np.bincount(folds[labels == label]).tolist() == pytest.approx([count] * 4, abs=1)


def test_a_class_with_fewer_groups_than_folds_is_left_out_of_some_without_a_warning():
    labels = np.array(["BL"] * 2 + ["LY"] * 30)
    folds = group_folds(labels, range(32), 5, 0)
    assert len(set(folds[:2])) == 2
    assert set(folds) == set(range(5))


@pytest.mark.parametrize(("groups", "k"), [([0, 0, 1, 1], 3), ([0, 1, 2, 3], 1)])
def test_impossible_numbers_of_folds_are_refused_with_the_possible_ones(groups, k):
    with pytest.raises(SplitError, match=f"use 2 to {len(set(groups))} folds"):
        group_folds(["LY"] * 4, groups, k, 0)
    with pytest.raises(SplitError, match=f"use 2 to {len(set(groups))} folds"):
        multilabel_folds([["LY"]] * 4, [0] * 4, [0] * 4, groups, k, 0)


def test_classes_that_are_all_too_small_for_the_folds_are_refused():
    with pytest.raises(SplitError, match="every class has fewer than 3 items; use at most 2 folds"):
        group_folds(["LY", "LY", "MO", "MO"], range(4), 3, 0)


@pytest.mark.parametrize("value", [None, np.nan])
def test_missing_labels_and_groups_are_refused(value):
    with pytest.raises(SplitError, match="1 of 4 groups are missing"):
        group_folds(["LY"] * 4, [0, 1, 2, value], 2, 0)
    with pytest.raises(SplitError, match="1 of 2 labels are missing"):
        stratified_groups(["LY", value], [0, 1], FRACTIONS, 0)


def test_unequal_lengths_and_empty_tables_are_refused():
    with pytest.raises(SplitError, match="2 labels, 3 groups"):
        stratified_groups(["LY", "MO"], [0, 1, 2], FRACTIONS, 0)
    with pytest.raises(SplitError, match="2 label sets for 3 groups"):
        multilabel_folds([["LY"], ["MO"]], [0] * 3, [0] * 3, [0, 1, 2], 2, 0)
    with pytest.raises(SplitError, match="no items were given"):
        stratified_groups([], [], FRACTIONS, 0)


@settings(deadline=None, max_examples=50)
@given(
    images=st.lists(
        st.tuples(st.frozensets(st.sampled_from("ABC")), st.integers(0, 2), st.integers(0, 1), st.integers(0, 30)),
        min_size=8,
        max_size=50,
    ),
    k=st.integers(2, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_multilabel_folds_keep_groups_whole_and_are_repeatable(images, k, seed):
    label_sets, sizes, brightness, groups = zip(*images, strict=True)
    if len(set(groups)) < k:
        return
    folds = multilabel_folds(label_sets, sizes, brightness, groups, k, seed)
    assert set(folds) <= set(range(k))
    assert straddling(folds, groups) == []
    assert multilabel_folds(label_sets, sizes, brightness, groups, k, seed).tolist() == folds.tolist()


def salted(salt):
    """Return a kind of word whose order in a set goes by the salt, as that of words does by the process."""

    class Word(str):
        __slots__ = ()
        __eq__ = str.__eq__

        def __hash__(self):
            return zlib.crc32(f"{salt}{self}".encode())

    return Word


def test_multilabel_folds_do_not_depend_on_the_order_that_sets_happen_to_have():
    once = np.random.default_rng(0).random(60) < 0.2
    shown = np.column_stack([np.roll(once, 7 * place) for place in range(6)])  # as many of each: which comes first?
    told = set()
    for salt in range(20):
        word = salted(salt)
        labels = [{word(name) for name, there in zip("ABCDEF", row, strict=True) if there} for row in shown]
        told.add(tuple(multilabel_folds(labels, [0] * 60, [0] * 60, range(60), 4, 0)))
    assert len(told) == 1


def test_multilabel_folds_balance_labels_sizes_and_brightness():
    rng = np.random.default_rng(0)
    n, k = 2000, 4
    label_sets = [
        set(rng.choice(["SNE", "LY", "MO", "EO"], rng.integers(1, 3), p=[0.5, 0.3, 0.15, 0.05])) for _ in range(n)
    ]
    sizes, brightness = rng.integers(0, 5, n), rng.integers(0, 3, n)
    folds = multilabel_folds(label_sets, sizes, brightness, range(n), k, 0)
    members = [np.array([label in labels for labels in label_sets]) for label in ("SNE", "LY", "MO", "EO")]
    members += [sizes == size for size in range(5)] + [brightness == level for level in range(3)]
    for member in members:
        assert np.bincount(folds[member], minlength=k) / member.sum() == pytest.approx([1 / k] * k, abs=0.03)


def test_images_without_any_label_are_divided_too():
    folds = multilabel_folds([[]] * 12, [0] * 12, [0] * 12, range(12), 3, 0)
    assert np.bincount(folds).tolist() == [4, 4, 4]
