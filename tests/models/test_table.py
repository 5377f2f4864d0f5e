"""A table is checked when it is made: what it refuses, and how it is parted."""

import numpy as np
import pandas as pd
import pytest

from wbc_utils.models import ModelError
from wbc_utils.models.table import FeatureTable

GOOD = {
    "features": np.arange(12.0).reshape(6, 2),
    "y": ["SNE", "LY", "SNE", "LY", "SNE", "LY"],
    "groups": ["a", "a", "b", "c", "d", "e"],
    "folds": [0, 0, 1, 1, 2, 2],
    "names": ["area", "solidity"],
}


def changed(**changes):
    return FeatureTable(**{**GOOD, **changes})


def test_columns_of_any_kind_become_plain_arrays():
    table = changed(
        y=pd.Series(GOOD["y"], dtype="string", index=range(5, 11)),
        folds=pd.array(GOOD["folds"], dtype="Int64"),
        features=pd.DataFrame(GOOD["features"]),
    )
    assert table.y.tolist() == GOOD["y"]
    assert table.folds.tolist() == GOOD["folds"]
    assert table.groups.tolist() == [0, 0, 1, 2, 3, 4]
    assert table.features.shape == (6, 2)


def test_nan_and_infinite_features_are_refused_by_name_and_row():
    features = GOOD["features"].copy()
    features[4, 1], features[2, 1] = np.nan, np.inf
    with pytest.raises(ModelError, match="2 feature values are not finite: solidity in rows 2, 4; leave out these 2"):
        changed(features=features)


def test_many_broken_values_are_counted_and_only_some_named():
    with pytest.raises(
        ModelError, match="12 feature values are not finite: area, solidity in rows 0, 1, 2, 3, 4 and 1"
    ):
        changed(features=np.full((6, 2), np.nan))


@pytest.mark.parametrize("column", ["y", "groups", "folds"])
def test_missing_classes_groups_and_folds_are_refused(column):
    with pytest.raises(ModelError, match=r"1 of 6 .* are missing; drop these cells"):
        changed(**{column: [*GOOD[column][:-1], None]})


@pytest.mark.parametrize(
    "changes", [{"names": ["area"]}, {"y": ["SNE"] * 5}, {"groups": range(7)}, {"features": np.zeros(6)}]
)
def test_lengths_that_do_not_fit_are_refused(changes):
    with pytest.raises(ModelError, match=r"do not fit .* give one row per cell"):
        changed(**changes)


def test_groups_that_straddle_folds_are_refused():
    with pytest.raises(ModelError, match=r"2 of 4 groups lie in several folds.*group_folds"):
        changed(groups=["a", "b", "b", "c", "c", "d"])


def test_a_fold_without_a_second_class_to_train_on_is_refused():
    with pytest.raises(ModelError, match=r"fold 0 trains on 3 rows of 1 class"):
        changed(y=["SNE", "SNE", "LY", "LY", "LY", "LY"], folds=[0, 0, 0, 1, 1, 1], groups=range(6))


def test_a_single_fold_is_refused():
    with pytest.raises(ModelError, match="fold 0 trains on 0 rows"):
        changed(folds=[0] * 6)


def test_each_row_is_tested_once_and_trained_on_in_the_other_folds():
    parts = changed().parts()
    assert [fold for fold, _, _ in parts] == [0, 1, 2]
    assert np.concatenate([test for _, _, test in parts]).tolist() == list(range(6))
    for _, train, test in parts:
        assert sorted([*train, *test]) == list(range(6))


def test_a_choice_narrows_the_training_rows_alone():
    parts = changed().parts(lambda train, fold: train[fold : fold + 2])
    assert [train.tolist() for _, train, _ in parts] == [[2, 3], [1, 4], [2, 3]]
    assert [len(test) for _, _, test in parts] == [2, 2, 2]


def test_a_choice_may_not_reach_into_the_test_rows():
    with pytest.raises(ModelError, match="fold 0 was given rows to train on that it tests"):
        changed().parts(lambda train, fold: np.arange(6))


def test_columns_are_taken_by_name_in_the_wanted_order():
    part = changed().columns(["solidity"])
    assert part.names == ("solidity",)
    assert part.features[:, 0].tolist() == [1, 3, 5, 7, 9, 11]
    assert changed().columns(["solidity", "area"]).features[0].tolist() == [1, 0]


@pytest.mark.parametrize(("wanted", "named"), [(["colour"], r"\['colour'\]"), ([], r"\[\]")])
def test_unknown_or_no_columns_are_refused(wanted, named):
    with pytest.raises(ModelError, match=f"{named} are not in the table; choose from area, solidity"):
        changed().columns(wanted)
