"""Boxes are clipped, dropped and decided about, and the audit has a row for each."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from wbc_utils.data.cleaning import COORDINATES, clean, to_numbered
from wbc_utils.data.tables import BOX_COLUMNS, IMAGE_COLUMNS, Audit, DataError, Dataset

SIDE = 100


def dataset(boxes, path="nowhere.png"):
    rows = [("images/a.png", name, *corners, "all", row) for row, (name, *corners) in enumerate(boxes)]
    table = pd.DataFrame(rows, columns=list(BOX_COLUMNS)).astype(dict.fromkeys(COORDINATES, float))
    images = pd.DataFrame([("images/a.png", str(path), "all", SIDE, SIDE)], columns=list(IMAGE_COLUMNS))
    return Dataset("bcd", table, images, Audit("bcd").frame())


def findings(cleaned):
    return list(cleaned.audit[["row", "reason", "decision"]].itertuples(index=False, name=None))


@pytest.fixture
def smear(tmp_path):
    """Return a picture with six pink and six purple squares, and the box and class of each."""
    image, boxes = Image.new("RGB", (SIDE, SIDE), (235, 230, 235)), []
    draw = ImageDraw.Draw(image)
    for i in range(6):
        for top, name, color in ((0, "RBC", (205 + i, 140, 150)), (50, "WBC", (90 + i, 60, 160))):
            corners = (16 * i, top, 16 * i + 12, top + 12)
            draw.rectangle([*corners[:2], corners[2] - 1, corners[3] - 1], fill=color)
            boxes.append((name, *corners))
    image.save(tmp_path / "a.png")
    return tmp_path / "a.png", boxes


def test_a_box_past_the_border_is_clipped():
    cleaned = clean(dataset([("RBC", -5, 10, 20, 130)]))
    assert cleaned.table[COORDINATES].to_numpy().tolist() == [[0, 10, 20, 100]]
    assert findings(cleaned) == [(0, "box past the border", "clipped")]


def test_a_box_up_to_the_border_is_left_alone():
    cleaned = clean(dataset([("RBC", 0, 0, SIDE, SIDE)]))
    assert len(cleaned.table) == 1
    assert findings(cleaned) == []


def test_boxes_without_area_or_outside_the_image_are_dropped():
    cleaned = clean(dataset([("RBC", 5, 5, 5, 9), ("RBC", 120, 0, 130, 9), ("RBC", 1, 1, 2, 2)]))
    assert cleaned.table["source_row"].tolist() == [2]
    assert findings(cleaned) == [(0, "box without area", "dropped"), (1, "box outside the image", "dropped")]


def test_a_box_annotated_twice_with_one_class_is_kept_once():
    cleaned = clean(dataset([("RBC", 1, 1, 9, 9), ("RBC", 1, 1, 9, 9)]))
    assert cleaned.table["source_row"].tolist() == [0]
    assert findings(cleaned) == [(1, "same box annotated twice with one class", "dropped, first kept")]


@pytest.mark.parametrize(("kept", "lost"), [("RBC", "WBC"), ("WBC", "RBC")])
def test_of_two_classes_the_one_that_the_box_looks_like_is_kept_whatever_the_order(smear, kept, lost):
    path, boxes = smear
    corners = next(box[1:] for box in boxes if box[0] == kept)
    first = clean(dataset([(lost, *corners), *boxes], path))
    last = clean(dataset([*boxes, (lost, *corners)], path))
    for cleaned, row in ((first, 0), (last, len(boxes))):
        assert sorted(cleaned.table["class"]) == sorted(name for name, *_ in boxes)
        [(found, reason, decision)] = findings(cleaned)
        assert (found, reason) == (row, "same box annotated with different classes")
        assert decision.startswith(f"dropped, {kept} kept (standardised distances: {kept} ")


def test_two_classes_that_cannot_be_measured_are_both_dropped(smear):
    path, boxes = smear
    reds = [box for box in boxes if box[0] == "RBC"]
    cleaned = clean(dataset([*reds, ("WBC", *reds[0][1:])], path))
    assert len(cleaned.table) == len(reds) - 1
    assert [decision for *_, decision in findings(cleaned)] == ["dropped: too few other boxes to compare with"] * 2


def test_earlier_findings_stay_in_the_audit():
    raw = dataset([("RBC", 1, 1, 9, 130)])
    audit = Audit("bcd")
    audit.add("images/b.png", None, "image without annotation", "dropped")
    cleaned = clean(Dataset(raw.name, raw.table, raw.images, audit.frame()))
    assert cleaned.audit["reason"].tolist() == ["image without annotation", "box past the border"]


corner = st.integers(-30, 130)


@settings(deadline=None)
@given(st.lists(st.tuples(st.just("RBC"), corner, corner, corner, corner), max_size=12))
def test_clean_boxes_have_area_lie_inside_and_stay_as_they_are(boxes):
    cleaned = clean(dataset(boxes))
    corners = cleaned.table[COORDINATES]
    assert ((corners >= 0) & (corners <= SIDE)).all(axis=None)
    assert (corners["xmax"] > corners["xmin"]).all()
    assert (corners["ymax"] > corners["ymin"]).all()
    dropped = cleaned.audit["decision"].str.startswith("dropped").sum()
    assert len(cleaned.table) + dropped == len(boxes)
    again = clean(cleaned)
    assert again.table.equals(cleaned.table)
    assert again.audit.equals(cleaned.audit)


def test_the_numbered_table_has_file_names_and_class_numbers():
    numbered = to_numbered(dataset([("RBC", 1, 2, 3, 4), ("WBC", 5, 6, 7, 8)]))
    assert list(numbered) == ["image", "xmin", "ymin", "xmax", "ymax", "label"]
    assert numbered.to_numpy().tolist() == [["a.png", 1, 2, 3, 4, 1], ["a.png", 5, 6, 7, 8, 2]]


def test_a_class_without_a_number_is_refused():
    with pytest.raises(DataError, match="Platelets"):
        to_numbered(dataset([("Platelets", 1, 2, 3, 4)]))
