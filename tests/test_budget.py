"""What an image costs: stages add up to the whole, at any batch size, of any detector."""

import pytest
from PIL import Image
from two_stages import RED, Finder, field, pipeline

from wbc_utils import budget
from wbc_utils.models.postprocess import DETECTIONS
from wbc_utils.trials import NMS_IOU
from wbc_utils.two_stage import SEEN, STAGES


@pytest.fixture
def paths(tmp_path):
    for number in range(5):
        Image.fromarray(field((10, 20, 20, RED))).save(tmp_path / f"{number}.png")
    return sorted(tmp_path.glob("*.png"))


@pytest.mark.parametrize("size", [1, 2, 8])
def test_the_stages_add_up_to_the_whole(paths, size):
    found = budget.by_stage(pipeline(), paths, size)
    assert set(found) == {budget.DECODE, *STAGES, budget.REST, budget.TOTAL}
    assert sum(found.values()) == pytest.approx(2 * found[budget.TOTAL])
    assert all(value >= 0 for value in found.values())


def test_a_second_pass_counts_anew(paths):
    model = pipeline()
    budget.by_stage(model, paths * 10, 8)
    spent = sum(model.spent.values())
    budget.by_stage(model, paths[:1], 8)
    assert sum(model.spent.values()) < spent


def test_a_plain_detector_has_decoding_and_the_rest(paths):
    assert set(budget.by_stage(Finder(), paths, 2)) == {budget.DECODE, budget.REST, budget.TOTAL}


def test_the_sweep_has_a_row_a_batch_size_between_its_extremes(paths):
    table = budget.sweep(pipeline(), paths, [1, 4], repeats=3)
    assert table["batch size"].tolist() == [1, 4]
    assert table[budget.TOTAL].between(table["fastest"], table["slowest"]).all()


def test_a_plain_detector_is_asked_as_the_pipeline_asks_it(paths):
    asked = []

    class Listening(Finder):
        def detect(self, images, score, nms_iou, most):
            asked.append((score, nms_iou, most))
            return super().detect(images, score, nms_iou, most)

    budget.by_stage(Listening(), paths, 8)
    assert asked == [(SEEN, NMS_IOU, DETECTIONS)]
