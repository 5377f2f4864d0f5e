"""Method checks: each passes on sound data, and finds and counts its mistake."""

import numpy as np
import pandas as pd
import pytest

from wbc_utils.checks import (
    CHECKS,
    broken_images,
    class_too_small,
    conflicting_labels,
    duplicate_across_splits,
    group_across_splits,
    resampling_before_split,
    threshold_tuned_on_test,
    whose,
)


def pairs(*splits):
    return pd.DataFrame(splits, columns=["split_a", "split_b"], dtype=object)


PASSING = {
    "WBC001": duplicate_across_splits(pairs(("train", "train"), ("test", "test")), "cbc"),
    "WBC002": group_across_splits(["P1", "P1", "P2"], ["train", "train", "test"], "lymph", patients=True),
    "WBC003": class_too_small(["LY", "LY", "MO", "MO"], [0, 1, 2, 3], 2, "pbc"),
    "WBC004": threshold_tuned_on_test(["validation"], ["test"], "cbc"),
    "WBC005": resampling_before_split(np.array([[0, 1], [1, 2]]), np.array([3, 4]), "pbc"),
    "WBC006": broken_images([], 10, "pbc"),
    "WBC007": conflicting_labels([("a", 1), ("a", 1), ("b", 1)], ["RBC", "RBC", "WBC"], "bcd"),
}

FAILING = {
    "WBC001": (duplicate_across_splits(pairs(("train", "test"), ("test", "train"), ("test", "test")), "cbc"), 2),
    "WBC002": (group_across_splits(["P1", "P1", "P2"], ["train", "test", "test"], "lymph"), 1),
    "WBC003": (class_too_small(["LY", "LY", "LY", "BL", "BL"], [0, 1, 2, 3, 3], 3, "pbc"), 1),
    "WBC004": (threshold_tuned_on_test(["validation", "test"], ["test"], "cbc"), 1),
    "WBC005": (resampling_before_split(np.array([[0, 1], [1, 3]]), np.array([3, 4]), "pbc"), 1),
    "WBC006": (broken_images(["a.jpg", "b.jpg"], 2, "pbc"), 2),
    "WBC007": (conflicting_labels([("a", 1), ("a", 1), ("b", 1)], ["RBC", "WBC", "WBC"], "bcd"), 1),
}


@pytest.mark.parametrize("code", CHECKS)
def test_sound_data_pass(code):
    check = PASSING[code]
    assert (check.code, check.title, check.status, check.found) == (code, CHECKS[code], "pass", 0)


@pytest.mark.parametrize("code", CHECKS)
def test_the_mistake_is_found_and_counted(code):
    check, count = FAILING[code]
    assert (check.code, check.title, check.status, check.found) == (code, CHECKS[code], "fail", count)


@pytest.mark.parametrize("code", CHECKS)
def test_a_detail_is_one_sentence(code):
    for detail in (PASSING[code].detail, FAILING[code][0].detail):
        assert detail.endswith(".")
        assert ". " not in detail


def test_duplicates_are_counted_for_each_pair_of_splits_in_either_order():
    check = FAILING["WBC001"][0]
    assert "2 of 3 duplicate pairs" in check.detail
    assert "(2 between test and train)" in check.detail


def test_duplicates_without_a_split_do_not_count():
    check = duplicate_across_splits(pairs((None, "train"), ("train", np.nan)), "cbc")
    assert (check.status, check.detail) == ("pass", "None of 0 duplicate pairs has its images in two splits.")


def test_identifiers_of_patients_stay_out_of_the_detail():
    check = FAILING["WBC002"][0]
    assert "1 of 2 groups" in check.detail
    assert "P1" not in check.detail


def test_groups_that_are_no_patients_can_only_warn():
    check = group_across_splits([0, 0, 1], ["train", "train", "test"], "pbc")
    assert (check.status, check.found) == ("warn", 0)
    assert check.detail.startswith("Each of 2 clusters of duplicates lies in one split; the data set names no patients")
    assert group_across_splits([0, 0, 1], ["train", "test", "test"], "pbc").status == "fail"


@pytest.mark.parametrize(
    ("data", "owner"),
    [
        ("pbc", "ours"),
        ("cbc, as split here", "ours"),
        ("cbc, as tuned here", "ours"),
        ("cbc, as published", "published"),
        ("cbc, as tuned in report 002", "published"),
        ("lymph, one split for everything (the lesson)", "lesson"),
    ],
)
def test_the_words_behind_the_data_set_say_whose_doing_is_judged(data, owner):
    assert whose(broken_images([], 10, data)) == owner


def test_items_without_a_group_or_split_do_not_count():
    assert group_across_splits(["P1", "P1", None, None], ["train", None, "train", "test"], "lymph").found == 0


def test_a_class_with_some_groups_warns_and_one_with_a_single_group_fails():
    labels, groups = ["LY"] * 5 + ["BL"] * 2, range(7)
    warned = class_too_small(labels, groups, 5, "pbc")
    assert (warned.status, warned.found) == ("warn", 1)
    assert "(BL: 2)" in warned.detail
    assert class_too_small(labels[:-1], groups[:-1], 5, "pbc").status == "fail"


def test_items_of_one_group_do_not_make_a_class_large_enough():
    assert class_too_small(["BL"] * 9, [0] * 9, 5, "pbc").status == "fail"


def test_thresholds_fixed_beforehand_pass():
    check = threshold_tuned_on_test([], ["test"], "cbc")
    assert (check.status, check.detail) == ("pass", "Thresholds were fixed beforehand and evaluated on test.")


def test_rows_drawn_again_from_a_test_row_count_once():
    check = resampling_before_split(np.array([3, 3, 3, 0]), np.array([3, 4]), "pbc")
    assert (check.status, check.found) == ("fail", 1)
    assert "1 of 2 test rows" in check.detail


def test_some_broken_images_warn_and_the_first_are_named():
    check = broken_images([f"{number}.jpg" for number in range(5)], 10, "pbc")
    assert (check.status, check.found) == ("warn", 5)
    assert "(0.jpg, 1.jpg, 2.jpg and 2 more)" in check.detail


def test_a_table_without_images_fails():
    check = broken_images([], 0, "pbc")
    assert (check.status, check.found) == ("fail", 0)


def test_conflicts_are_counted_by_labels_and_missing_objects_are_left_out():
    check = conflicting_labels(["d1", "d1", None, None, "d2", "d2"], ["EO", "BNE", "LY", "MO", "LY", "LY"], "pbc")
    assert (check.status, check.found) == ("fail", 1)
    assert "1 of 2 objects" in check.detail
    assert "(BNE/EO: 1)" in check.detail
