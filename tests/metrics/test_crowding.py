"""How much of a box lies in that of its nearest neighbour."""

import numpy as np
import pytest
from box_tables import drawn_tables, truth_table
from hypothesis import given

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.crowding import nearest_iou, thirds
from wbc_utils.metrics.detection import COORDINATES
from wbc_utils.metrics.overlap import paired_iou


def test_the_nearest_neighbour_is_in_the_same_image_and_of_any_class():
    boxes = truth_table(
        ("a", "RBC", 0, 0, 10, 10), ("b", "RBC", 0, 0, 10, 10), ("a", "WBC", 5, 0, 15, 10), ("a", "RBC", 14, 0, 24, 10)
    )
    assert nearest_iou(boxes) == pytest.approx([50 / 150, 0, 50 / 150, 10 / 190])


@given(drawn_tables())
def test_it_is_the_largest_overlap_with_another_box_whatever_the_order_of_the_rows(drawn):
    boxes = drawn[0].sample(frac=1, random_state=0)
    corners, image = boxes[COORDINATES].to_numpy(float), boxes["image"].to_numpy()
    expected = [
        max([float(paired_iou(corners[i], corners[j])) for j in range(len(boxes)) if j != i and image[i] == image[j]],
            default=0)
        for i in range(len(boxes))
    ]  # fmt: skip
    assert nearest_iou(boxes) == pytest.approx(expected)


def test_no_boxes_have_no_neighbours_and_a_box_without_area_is_refused():
    assert nearest_iou(truth_table()).shape == (0,)
    with pytest.raises(MetricError, match="no area"):
        nearest_iou(truth_table(("a", "RBC", 3, 3, 3, 9)))
    assert np.isfinite(nearest_iou(truth_table(("a", "RBC", 3, 3, 4, 9)))).all()


def test_thirds_hold_equally_many_whatever_the_ties_and_say_their_range():
    found = thirds([5, 0, 0, 0, 0, 7])
    assert list(found.categories) == ["lowest, 0.00–0.00", "middle, 0.00–0.00", "highest, 5.00–7.00"]
    assert list(found.codes) == [2, 0, 0, 1, 1, 2]
    assert list(thirds([30, 10, 20], digits=0)) == ["highest, 30–30", "lowest, 10–10", "middle, 20–20"]


@pytest.mark.parametrize("values", [[1, 2], [1, 2, np.nan]])
def test_thirds_of_too_few_numbers_are_refused(values):
    with pytest.raises(MetricError, match="at least three finite values, found 2"):
        thirds(values)
