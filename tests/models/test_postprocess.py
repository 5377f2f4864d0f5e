"""Thresholds and suppression against rules written out, and damaged predictions."""

import numpy as np
import pandas as pd
import pytest
from boxes import COORDINATES, draw, table
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import apply, suppress, suppress_near

THRESHOLDS = {"RBC": 0.5, "WBC": 0.4, "Platelets": 0.3}
PAIR = table(  # two boxes of IoU 1/3 and one apart
    ("a", "RBC", 0.6, 0, 0, 10, 10), ("a", "RBC", 0.9, 5, 0, 15, 10), ("a", "RBC", 0.2, 50, 50, 60, 60)
)  # fmt: skip


def iou(one, other):
    shared = [max(0, min(one[side + 2], other[side + 2]) - max(one[side], other[side])) for side in (0, 1)]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared[0] * shared[1] / (sum(areas) - shared[0] * shared[1])


def plainly_suppressed(predictions, least, agnostic):
    """Return the rows that stay, by loops."""
    kept = []
    for row in predictions.sort_values("score", ascending=False, kind="stable").itertuples():
        rivals = [
            other
            for other in kept
            if other.image == row.image and (agnostic or other[2] == row[2]) and iou(row[4:], other[4:]) > least
        ]
        kept += [row] if not rivals else []
    return sorted(row.Index for row in kept)


@pytest.mark.parametrize(("least", "scores"), [(0.3, [0.9, 0.2]), (1 / 3, [0.6, 0.9, 0.2]), (0.4, [0.6, 0.9, 0.2])])
def test_the_worse_of_two_boxes_goes_if_they_overlap_by_more_than_the_iou(least, scores):
    assert suppress(PAIR, least)["score"].tolist() == scores


def test_classes_suppress_each_other_only_if_asked_to_and_images_never():
    mixed = PAIR.assign(**{"class": ["RBC", "WBC", "RBC"]})
    assert len(suppress(mixed, 0.3)) == 3
    assert suppress(mixed, 0.3, agnostic=True)["class"].tolist() == ["WBC", "RBC"]
    apart = PAIR.assign(image=["a", "b", "a"])
    assert len(suppress(apart, 0.3, agnostic=True)) == 3


@given(st.integers(0, 10**6), st.floats(0, 1), st.booleans())
@settings(max_examples=30, deadline=None)
def test_suppression_is_that_of_a_plain_loop(seed, least, agnostic):
    raw, _, _ = draw(images=2, seed=seed)
    expected = raw.loc[plainly_suppressed(raw, least, agnostic)].reset_index(drop=True)
    pd.testing.assert_frame_equal(suppress(raw, least, agnostic), expected)


@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
@settings(max_examples=30, deadline=None)
def test_within_classes_it_does_not_matter_whether_the_threshold_comes_first(seed, least):
    raw, _, _ = draw(images=2, seed=seed)
    after = suppress(raw, least)
    after = after[after["score"] >= after["class"].map(THRESHOLDS)].reset_index(drop=True)
    pd.testing.assert_frame_equal(apply(raw, THRESHOLDS, least), after)


def test_among_classes_what_does_not_reach_its_threshold_suppresses_nothing():
    mixed = PAIR.assign(**{"class": ["RBC", "WBC", "RBC"]})
    strict = apply(mixed, {"RBC": 0.5, "WBC": 0.95}, 0.3, agnostic=True)
    assert strict["score"].tolist() == [0.6]
    loose = apply(mixed, {"RBC": 0.5, "WBC": 0.5}, 0.3, agnostic=True)
    assert loose["score"].tolist() == [0.9]


def test_a_score_equal_to_the_threshold_reaches_it():
    assert apply(PAIR, {"RBC": 0.6}, 1.0)["score"].tolist() == [0.6, 0.9]


def test_the_best_so_many_of_each_image_are_kept():
    raw, _, _ = draw(images=3, copies=4)
    few = apply(raw, dict.fromkeys(THRESHOLDS, 0.0), 1.0, most=5)
    for name, rows in few.groupby("image"):
        best = raw.loc[raw["image"] == name, "score"].nlargest(5)
        assert sorted(rows["score"]) == sorted(best)


def test_rows_keep_their_order_and_other_columns():
    kept = suppress(PAIR.assign(source=[7, 8, 9]), 0.3)
    assert kept["source"].tolist() == [8, 9]
    assert kept.index.tolist() == [0, 1]


@pytest.mark.parametrize(("radius", "scores"), [(4.9, [0.6, 0.9, 0.2]), (5, [0.9, 0.2]), (100, [0.9])])
def test_of_centres_within_a_radius_the_best_stays(radius, scores):
    assert suppress_near(PAIR, radius)["score"].tolist() == scores


def test_a_cell_that_was_dropped_drops_no_other():
    row = [("a", "Platelets", score, x, 0, x + 4, 4) for score, x in [(0.9, 0), (0.8, 6), (0.7, 12)]]
    assert suppress_near(table(*row), 7)["score"].tolist() == [0.9, 0.7]


def test_nearness_counts_within_an_image_and_class_only():
    apart = PAIR.assign(image=["a", "b", "a"])
    mixed = PAIR.assign(**{"class": ["RBC", "WBC", "RBC"]})
    assert len(suppress_near(apart, 6)) == len(suppress_near(mixed, 6)) == 3


def test_no_predictions_stay_no_predictions():
    nothing = PAIR.iloc[:0]
    for found in (apply(nothing, {"RBC": 0.5}, 0.5), suppress(nothing, 0.5, agnostic=True), suppress_near(nothing, 3)):
        assert len(found) == 0
        assert list(found) == list(PAIR)


def test_thousands_of_boxes_in_one_image_are_no_problem():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 1500, (5000, 2))
    crowd = pd.DataFrame(np.hstack([low, low + 20]), columns=COORDINATES)
    crowd = crowd.assign(image="a", **{"class": "RBC"}, score=rng.uniform(0, 1, 5000))
    kept = apply(crowd, {"RBC": 0.0}, 0.3, most=10**6)
    assert 300 < len(kept) < 5000
    assert len(apply(crowd, {"RBC": 0.0}, 0.3)) == 300
    near = suppress_near(crowd, 20)
    centres = near[["xmin", "ymin"]].to_numpy()
    gaps = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    assert gaps[~np.eye(len(near), dtype=bool)].min() > 20


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"score": [0.6, 1.2, 0.2]}, r"1 scores are not in \[0, 1\], the first is 1.2"),
        ({"score": [0.6, np.nan, 0.2]}, "scores are not in"),
        ({"xmin": [0, np.nan, 50]}, "1 of 3 predictions have a coordinate that is not a finite number"),
        ({"xmax": [10, 5, 60]}, r"1 of 3 predictions have no area, the first is \[5.0, .* in a; drop"),
        ({"class": ["RBC", "WBC", "RBC"]}, "class 'WBC' has no threshold, only RBC have; give it one"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_damaged_predictions_are_named(damage, message):
    with pytest.raises(ModelError, match=message):
        apply(PAIR.assign(**damage), {"RBC": 0.5}, 0.5)


def test_numbers_out_of_range_and_missing_columns_are_named():
    with pytest.raises(ModelError, match=r"the threshold of RBC is 1\.5; give a number from 0 to 1"):
        apply(PAIR, {"RBC": 1.5}, 0.5)
    with pytest.raises(ModelError, match=r"the IoU of suppression is -0\.1; give"):
        suppress(PAIR, -0.1)
    with pytest.raises(ModelError, match="a radius of -1 px"):
        suppress_near(PAIR, -1)
    with pytest.raises(ModelError, match="no column score, only image, class"):
        suppress(PAIR.drop(columns="score"), 0.5)
