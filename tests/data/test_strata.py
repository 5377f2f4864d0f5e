"""Folds of fields: balanced in types, numbers, sizes and colours; duplicates together; every class learnable."""

import numpy as np
import pandas as pd
import pytest

from wbc_utils.data.splits import SplitError
from wbc_utils.data.strata import LOCKED, colours, field_folds, plan, require_every_class
from wbc_utils.data.white_cells import TYPED, WhiteCells


def cells(images, types, sides=None):
    rows = [
        (image, "WBC", 0, 0, side, side, kind)
        for image, kind, side in zip(images, types, sides or [10] * len(types), strict=True)
    ]
    boxes = pd.DataFrame(rows, columns=["image", "class", "xmin", "ymin", "xmax", "ymax", "type"])
    shown = {image: frozenset(own) for image, own in boxes.groupby("image")["type"]}
    return WhiteCells(boxes, shown, pd.Series(TYPED, index=sorted(shown)))


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    names = [f"{number:03d}" for number in range(120)]
    types = rng.choice(["SNE", "EO", "BA"], len(names), p=[0.7, 0.2, 0.1]).tolist()
    looks = pd.DataFrame(rng.normal(size=(len(names), 6)), index=names, columns=colours({}).columns)
    return cells(names, types, rng.integers(10, 90, len(names)).tolist()), looks, types


def test_colours_are_mean_and_spread_of_each_channel():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4, 0], image[..., 2] = 100, 7
    found = colours({"a": image}).loc["a"]
    assert found.tolist() == [50, 0, 7, 50, 0, 0]


def test_every_fold_has_about_its_share_of_each_type_size_and_colour(many):
    found, looks, types = many
    folds = field_folds(found, looks, range(len(looks)), 4, seed=0)
    assert (
        pd.crosstab(folds, pd.Series(types, index=looks.index))
        .max()
        .sub(pd.crosstab(folds, pd.Series(types, index=looks.index)).min())
        .max()
        <= 2
    )
    bright = looks["mean red"] > looks["mean red"].median()
    assert pd.crosstab(folds, bright)[True].between(11, 19).all()
    assert folds.value_counts().between(27, 33).all()


def test_duplicates_lie_in_one_fold(many):
    found, looks, _ = many
    clusters = np.arange(len(looks)) // 2
    folds = field_folds(found, looks, clusters, 4, seed=0)
    assert (folds.groupby(clusters).nunique() == 1).all()


def test_the_seed_decides(many):
    found, looks, _ = many
    first, again, other = (field_folds(found, looks, range(len(looks)), 4, seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_images_without_a_cell_have_a_fold_too(many):
    found, looks, _ = many
    fewer = WhiteCells(found.boxes[found.boxes["image"] > "010"], found.types, found.states)
    assert field_folds(fewer, looks, range(len(looks)), 4, seed=0).notna().all()


def test_published_test_images_are_locked_and_in_no_fold(many):
    found, looks, _ = many
    splits = pd.DataFrame({"split": ["test"] * 20 + ["train"] * 100, "cluster": range(120)}, index=looks.index)
    made = plan(found, looks, splits, 4, seed=0)
    assert set(made.index[made["fold"] == LOCKED]) == set(looks.index[:20])
    assert sorted(made["fold"].unique()) == [LOCKED, 0, 1, 2, 3]
    assert set(made["stratum"]) == {"SNE", "EO", "BA"}


def test_without_published_test_boxes_one_more_fold_is_locked(many):
    found, looks, _ = many
    splits = pd.DataFrame({"split": "train", "cluster": np.arange(120) // 2}, index=looks.index)
    splits.iloc[:4, 0] = "test"  # a listing without boxes
    boxless = WhiteCells(found.boxes[~found.boxes["image"].isin(looks.index[:4])], found.types, found.states)
    made = plan(boxless, looks, splits, 4, seed=0)
    assert made["fold"].value_counts()[LOCKED] == pytest.approx(116 / 5, abs=4)
    assert not set(made.index) & set(looks.index[:4])
    assert (made.groupby("cluster")["fold"].nunique() == 1).all()


def test_a_class_in_one_fold_alone_cannot_be_learned():
    typed = cells(["a", "b", "c"], ["SNE", "SNE", "BA"]).typed
    require_every_class(typed, pd.Series({"a": 0, "b": 1, "c": 0}), ["SNE"])
    with pytest.raises(SplitError, match="all cells of BA lie in fold 0"):
        require_every_class(typed, pd.Series({"a": 0, "b": 1, "c": 0}), ["SNE", "BA"])


def test_more_folds_than_images_are_refused(many):
    found, looks, _ = many
    with pytest.raises(SplitError, match="folds of 3 groups are impossible"):
        field_folds(found, looks.head(3), range(3), 4, seed=0)
