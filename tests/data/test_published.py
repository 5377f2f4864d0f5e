"""The readers on the published data sets; skipped where WBC_DATA does not lead to them."""

import numpy as np
import pytest

from wbc_utils.data import boxes
from wbc_utils.data.registry import available, inspect, locate, read


@pytest.fixture
def published():
    def folder(name):
        if name not in available() or inspect(name).release != "complete":
            pytest.skip(f"WBC_DATA does not lead to a registered release of {name}")
        return locate(name)

    return folder


def test_cbc_has_the_row_counts_of_report_002_once_boxes_without_area_are_dropped(published):
    published("cbc")
    raw = read("cbc")
    assert raw.table["split"].value_counts().to_dict() == {"train": 3952, "test": 908, "validation": 812}
    cleaned = boxes.clean(raw)
    assert cleaned.table["split"].value_counts().to_dict() == {"train": 3951, "test": 907, "validation": 812}
    assert cleaned.audit["reason"].value_counts().to_dict() == {"box without area": 2}


def test_bcd_settles_the_four_double_annotations_as_report_003_does(published):
    published("bcd")
    audit = boxes.clean(read("bcd")).audit
    kept = {row.image: row.decision.split()[1] for row in audit.itertuples()}
    # image-1 has two classes in the release in pixels only; the later one has it corrected
    assert kept.pop("images/image-1.png", "WBC") == "WBC"
    assert kept == {f"images/image-{number}.png": "RBC" for number in (100, 104, 114)}


def test_bcd_in_pixels_and_as_ratios_are_the_same_clean_boxes(published, tmp_path):
    folder = published("bcd")
    if not (folder / "annotations_ratio.csv").is_file():
        pytest.skip(f"{folder} holds only one of the two annotation files")
    (tmp_path / "images").symlink_to(folder / "images")
    (tmp_path / "annotations_ratio.csv").symlink_to(folder / "annotations_ratio.csv")
    pixels, ratios = (boxes.to_numbered(boxes.clean(boxes.read_bcd(place))) for place in (folder, tmp_path))
    assert pixels[["image", "label"]].equals(ratios[["image", "label"]])
    np.testing.assert_allclose(pixels[boxes.COORDINATES], ratios[boxes.COORDINATES], atol=1e-6)


def test_segwbc_has_a_mask_for_each_of_300_cells(published):
    published("segwbc")
    found = read("segwbc")
    assert len(found.table) == 300
    assert found.table["mask"].notna().all()
    assert found.audit.empty
