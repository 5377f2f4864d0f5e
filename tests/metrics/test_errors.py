"""What goes with the errors of a detector: one picture for each circumstance, and their order."""

import numpy as np
import pandas as pd
import pytest
from box_tables import CLASSES, detections, drawn_tables, random_tables
from hypothesis import given, settings

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.detection import COORDINATES, Detections
from wbc_utils.metrics.errors import FALSE_NEGATIVES, FALSE_POSITIVES, circumstances, errors
from wbc_utils.metrics.matching import matched_tables

SIZES = {"a": (200, 200)}
CELL = ("a", "WBC", 50, 50, 90, 90)
FAR = ("a", "WBC", 120, 120, 160, 160)


def named(truth, predictions):
    """Return the circumstances of false positives and of false negatives, in the order of the rows."""
    found = errors(detections(truth, predictions, classes=("RBC", "WBC")), SIZES)
    return [found.loc[found["error"] == kind, "circumstance"].tolist() for kind in ("false positive", "false negative")]


def test_what_is_found_is_no_error():
    assert named([CELL], [(*CELL, 0.9)]) == [[], []]


def test_a_cell_called_another_class_is_one_error_of_either_kind():
    assert named([CELL], [("a", "RBC", 50, 50, 90, 90, 0.9)]) == [["other class"], ["other class"]]


def test_the_worse_of_two_boxes_on_a_cell_is_the_second():
    assert named([CELL], [(*CELL, 0.9), (*CELL, 0.8)]) == [["second box"], []]


def test_a_cell_split_in_two_is_missed_in_parts():
    halves = [("a", "WBC", 50, 50, 68, 90, 0.9), ("a", "WBC", 72, 50, 90, 90, 0.8)]
    assert named([CELL], halves) == [["part of a cell"] * 2, ["in parts"]]


def test_a_fragment_beside_the_box_of_a_cell_is_part_of_it():
    assert named([CELL], [(*CELL, 0.9), ("a", "WBC", 50, 50, 60, 60, 0.8)]) == [["part of a cell"], []]


def test_a_box_that_overlaps_too_little_is_shifted():
    assert named([CELL], [("a", "WBC", 75, 50, 115, 90, 0.9)]) == [["shifted"], ["shifted"]]


def test_a_box_that_overlaps_a_found_cell_lies_beside_it():
    assert named([CELL], [(*CELL, 0.9), ("a", "WBC", 75, 50, 115, 90, 0.8)]) == [["beside a found cell"], []]


def test_what_touches_the_border_is_at_it():
    edge = ("a", "WBC", 0, 20, 30, 50)
    assert named([CELL], [(*CELL, 0.9), (*edge, 0.8)]) == [["at the border"], []]
    assert named([CELL, edge], [(*CELL, 0.9)]) == [[], ["at the border"]]
    assert named([("a", "WBC", 198, 20, 200, 50)], []) == [[], ["at the border"]]


def test_a_box_on_no_label_is_sure_from_the_median_score_of_the_true_positives_of_its_class_on():
    truth, hits = [CELL, FAR], [(*CELL, 0.9), (*FAR, 0.7)]  # median 0.8
    stray = ("a", "WBC", 10, 150, 40, 180)
    assert named(truth, [*hits, (*stray, 0.8)]) == [["no label, sure"], []]
    assert named(truth, [*hits, (*stray, 0.79)]) == [["no label, unsure"], []]
    assert named([CELL], [("a", "RBC", 10, 150, 40, 180, 0.99)]) == [["no label, unsure"], ["alone"]]


def test_a_missed_cell_that_overlaps_another_is_not_alone():
    other = ("a", "RBC", 80, 50, 120, 90)
    assert named([CELL, other], [(*CELL, 0.9)]) == [[], ["overlapping"]]
    assert named([CELL, FAR], [(*CELL, 0.9)]) == [[], ["alone"]]


def test_every_circumstance_is_asked_in_the_order_in_which_it_is_explained():
    edge = ("a", "WBC", 0, 50, 40, 90)
    called = ("a", "RBC", 0, 50, 40, 90, 0.9)  # another class, and at the border
    assert named([edge], [called]) == [[next(iter(FALSE_POSITIVES))], [next(iter(FALSE_NEGATIVES))]]


@given(drawn_tables())
@settings(max_examples=40, deadline=None)
def test_every_false_positive_and_negative_stands_there_once_with_a_known_circumstance(tables):
    truth, predictions, images = tables
    found = Detections.of(truth, predictions, images, CLASSES)
    wrong = errors(found, dict.fromkeys(images, (8, 8)))
    matched, seen = matched_tables(found)
    known = {"false positive": FALSE_POSITIVES, "false negative": FALSE_NEGATIVES}
    for kind, left in (
        ("false positive", matched[matched["match"] != "true positive"]), ("false negative", seen[~seen["found"]]),
    ):  # fmt: skip
        own, columns = wrong[wrong["error"] == kind], ["image", "class", *COORDINATES]
        assert set(own["circumstance"]) <= set(known[kind])
        pd.testing.assert_frame_equal(
            own[columns].sort_values(columns, ignore_index=True),
            left[columns].sort_values(columns, ignore_index=True), check_dtype=False,
        )  # fmt: skip
        assert (own["score"].isna() == (kind == "false negative")).all()


def test_every_true_cell_is_somewhere_and_its_fate_is_that_of_the_matching():
    truth, predictions, images = random_tables(0)
    found = Detections.of(truth, predictions, images, CLASSES)
    where = circumstances(found, dict.fromkeys(images, (260, 260)))
    assert set(where["where"]) == {"at the border", "overlapping", "free"}
    assert where["found"].tolist() == matched_tables(found)[1]["found"].tolist()
    border = (truth[["xmin", "ymin"]] <= 2).any(axis=1) | (truth[["xmax", "ymax"]] >= 258).any(axis=1)
    assert ((where["where"] == "at the border") == border).all()


def test_cells_apart_are_free_and_cells_on_each_other_overlap():
    found = detections([CELL, ("a", "WBC", 60, 50, 100, 90), FAR], [(*FAR, 0.9)], classes=("WBC",))
    assert circumstances(found, SIZES)["where"].tolist() == ["overlapping", "overlapping", "free"]


def test_images_without_a_box_have_no_error():
    found = Detections.of(*(table[:0] for table in random_tables(0)[:2]), ["a"], CLASSES)
    assert errors(found, SIZES).empty
    assert circumstances(found, SIZES).empty


@pytest.mark.parametrize("ask", [errors, circumstances])
def test_an_image_without_a_size_is_refused(ask):
    with pytest.raises(MetricError, match="no size of a; give width and height"):
        ask(detections([CELL], [], classes=("WBC",)), {})


def test_rows_keep_their_numbers_whatever_the_index_of_the_tables_is():
    truth, predictions, images = random_tables(0)
    one = errors(Detections.of(truth, predictions, images, CLASSES), dict.fromkeys(images, (260, 260)))
    turned = (table.set_index(np.arange(len(table))[::-1] + 7) for table in (truth, predictions))
    other = errors(Detections.of(*turned, images, CLASSES), dict.fromkeys(images, (260, 260)))
    pd.testing.assert_frame_equal(one, other)
