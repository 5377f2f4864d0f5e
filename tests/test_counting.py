"""Images of any size and state become boxes, counts and pictures in one folder; inputs and earlier results are safe."""

import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from detector_models import Dark, save_detector, save_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from wbc_utils import counting, inquiry
from wbc_utils.counting import OUTPUTS, Request, count_cells, parse_thresholds
from wbc_utils.data.images import image_size, open_image
from wbc_utils.data.tables import DataError
from wbc_utils.inquiry import InquiryError
from wbc_utils.models import ModelError
from wbc_utils.models.detection import load

BOX = (10, 5, 30, 25)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_detector(tmp_path_factory.mktemp("weights") / "net.safetensors", nms_iou=0.45)


@pytest.fixture
def dark(monkeypatch):
    """Put the detector of dark rectangles into the place of the one that is loaded."""
    monkeypatch.setattr(counting, "load", lambda path, device: (Dark(), load(path)[1]))


@pytest.fixture
def ask(weights, dark, tmp_path):
    """Return a function that counts and returns the folder that was written."""

    def count(images, out="found", say=lambda line: None, **options):
        count_cells(Request(**{"model": weights, "images": images, "out": tmp_path / out, **options}), say)
        return tmp_path / out

    return count


def boxes_of(folder):
    return pd.read_csv(folder / "boxes.csv", keep_default_na=False)


def counts_of(folder):
    return pd.read_csv(folder / "counts.csv", keep_default_na=False).set_index("image")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- what is written


def test_boxes_counts_coco_and_pictures_say_the_same(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    save_field(tmp_path / "in" / "deep" / "b.jpg", (0, 0, 60, 40), quality=95)
    save_field(tmp_path / "in" / "empty.bmp", None)
    found = ask(tmp_path / "in", thresholds={"": 0.3})
    assert boxes_of(found).to_numpy().tolist() == [
        ["a.png", "WBC", 0.9, 10, 5, 30, 25], ["a.png", "RBC", 0.4, 10, 5, 30, 25],
        ["deep/b.jpg", "WBC", 0.9, 0, 0, 60, 40], ["deep/b.jpg", "RBC", 0.4, 0, 0, 60, 40],
    ]  # fmt: skip
    counts = counts_of(found)
    assert list(counts) == ["RBC", "WBC", "cells", "picture", "reason"]
    assert counts["cells"].tolist() == [2, 2, 0]
    coco = COCO(found / "boxes.json")
    assert [(one["file_name"], one["width"], one["height"]) for one in coco.loadImgs(coco.getImgIds())] == [
        ("a.png", 60, 40), ("deep/b.jpg", 60, 40), ("empty.bmp", 60, 40),
    ]  # fmt: skip
    assert len(coco.getAnnIds()) == 4
    assert set(contents(found)) == {*OUTPUTS[:3], *counts["picture"]}
    assert counts["picture"].tolist() == [
        "pictures/a.png.png", "pictures/deep/b.jpg.png", "pictures/empty.bmp.png",
    ]  # fmt: skip


def test_a_picture_is_the_image_at_its_size_with_the_box_drawn(ask, tmp_path):
    image = save_field(tmp_path / "in" / "a.png", BOX, size=(200, 150))
    picture = open_image(ask(tmp_path / "in") / "pictures" / "a.png.png")
    assert picture.shape == (150, 200, 3)
    assert (picture[5:25, [10, 29]] == (0, 114, 178)).all()  # WBC
    np.testing.assert_array_equal(picture[60:], open_image(image)[60:])


def test_pictures_can_be_left_out(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    found = ask(tmp_path / "in", pictures=False)
    assert set(contents(found)) == {*OUTPUTS[:3]}
    assert "picture" not in counts_of(found)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_answer_does_not_depend_on_the_batch_nor_on_the_other_images(weights, tmp_path, batch_size):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number, (width, height) in enumerate([(64, 64), (64, 64), (100, 70), (1, 1), (64, 64), (300, 20)]):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    thresholds = {"": 0.3}
    count_cells(Request(weights, tmp_path / "in", tmp_path / "all", thresholds, pictures=False, batch_size=batch_size))
    for number in (2, 4):
        (tmp_path / "list.csv").write_text(f"image\nin/{number}.png\n")
        count_cells(Request(weights, tmp_path / "list.csv", tmp_path / f"{number}", thresholds, pictures=False))
        alone, together = (boxes_of(tmp_path / name).set_index("image") for name in (f"{number}", "all"))
        assert len(alone)
        together = together.loc[[f"{number}.png"]]
        assert alone["class"].tolist() == together["class"].tolist()
        np.testing.assert_allclose(alone.iloc[:, 1:], together.iloc[:, 1:], atol=0.02)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", "RGB", {}), ("a.png", "L", {}), ("a.png", "RGBA", {}), ("a.png", "P", {}), ("a.png", "1", {}),
        ("a.tif", "CMYK", {}), ("a.bmp", "RGB", {}), ("a.png", "LA", {}),
    ],
)  # fmt: skip
def test_every_kind_of_pixel_is_seen_alike(ask, tmp_path, name, mode, options):
    save_field(tmp_path / "in" / name, BOX, mode=mode, **options)
    found = ask(tmp_path / "in")
    assert boxes_of(found).iloc[:, 1:].to_numpy().tolist() == [["WBC", 0.9, *BOX]]
    assert open_image(found / "pictures" / f"{name}.png").shape == (40, 60, 3)


def test_what_is_transparent_is_slide_and_no_cell(ask, tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(tmp_path / "in" / "a.png")
    assert counts_of(ask(tmp_path / "in"))["cells"].tolist() == [0]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_boxes_and_pictures_are_of_the_stored_image_and_a_tag_to_turn_it_is_said(ask, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save_field(tmp_path / "in" / "a.jpg", BOX, exif=exif, quality=100, subsampling=0)
    said = []
    found = ask(tmp_path / "in", say=said.append)
    assert boxes_of(found).iloc[0, 3:].tolist() == list(BOX)
    assert json.loads((found / "boxes.json").read_text())["images"][0] | {"width": 60, "height": 40} == {
        "id": 1, "file_name": "a.jpg", "width": 60, "height": 40,
    }  # fmt: skip
    assert open_image(found / "pictures" / "a.jpg.png").shape == (40, 60, 3)
    assert ("viewers to turn" in said[-1]) == (orientation != 1)


def test_a_damaged_tag_is_no_tag(ask, tmp_path):
    damaged = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12"
    save_field(tmp_path / "in" / "a.png", BOX, exif=damaged)
    save_field(tmp_path / "in" / "b.png", BOX, exif=b"noise")
    said = []
    assert counts_of(ask(tmp_path / "in", say=said.append))["cells"].tolist() == [1, 1]
    assert "viewers" not in said[-1]


# ---- what cannot be read


@pytest.mark.parametrize("batch_size", [1, 4])
def test_unreadable_images_are_passed_over_with_a_reason(ask, tmp_path, batch_size):
    for number in range(5):
        save_field(tmp_path / "in" / f"{number}.png", BOX)
    (tmp_path / "in" / "0.png").write_bytes(b"")
    (tmp_path / "in" / "3.png").write_bytes((tmp_path / "in" / "3.png").read_bytes()[:60])
    said = []
    found = ask(tmp_path / "in", say=said.append, batch_size=batch_size)
    counts = counts_of(found)
    assert counts["cells"].tolist() == ["", "1", "1", "", "1"]
    assert counts["reason"].tolist()[::3] == ["the file has zero bytes", "the image data are truncated or damaged"]
    assert (counts["picture"] == "").tolist() == [True, False, False, True, False]
    assert [one["id"] for one in json.loads((found / "boxes.json").read_text())["images"]] == [2, 3, 5]
    assert said[-1].startswith("3 cells in 3 of 5 images (1 × the file has zero bytes, 1 × ")


def test_nothing_readable_is_an_error_and_leaves_earlier_results(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    before = contents(ask(tmp_path / "in"))
    (tmp_path / "in" / "a.png").write_bytes(b"")
    with pytest.raises(InquiryError, match="none of 1 images could be read: 1 × the file has zero bytes"):
        ask(tmp_path / "in")
    assert contents(tmp_path / "found") == before
    with pytest.raises(InquiryError, match="none of 1 images"):
        ask(tmp_path / "in", out="new")
    assert not (tmp_path / "new").exists()


def test_a_folder_without_images_is_named(ask, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        ask(tmp_path / "in")
    assert not (tmp_path / "found").exists()


def test_an_image_that_a_list_names_for_each_of_its_boxes_is_looked_at_once(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    (tmp_path / "in" / "list.csv").write_text("image,xmin\na.png,1\na.png,2\ngone.png,1\na.png,3\n")
    said = []
    counts = counts_of(ask(tmp_path / "in" / "list.csv", say=said.append))
    assert counts["cells"].tolist() == ["1", ""]
    assert counts["reason"].tolist() == ["", "there is no such file"]
    assert re.match(r"2 rows of .*list\.csv name an image again: it is looked at once\.", said[0])


def test_pictures_stay_in_their_folder_and_apart_whatever_the_list_calls_the_images(ask, tmp_path):
    names = ["../in/a.png", "a.png", "./a.png", str(tmp_path / "in" / "a.png")]
    save_field(tmp_path / "in" / "a.png", BOX)
    (tmp_path / "in" / "list.csv").write_text("\n".join(["path", *names]))
    found = ask(tmp_path / "in" / "list.csv")
    pictures = counts_of(found)["picture"].tolist()
    assert pictures[:3] == ["pictures/in/a.png.png", "pictures/a.png.png", "pictures/a.png-2.png"]
    assert len(set(pictures)) == 4
    assert {name for name in contents(found) if name.endswith(".png")} == set(pictures)


def test_a_file_name_that_is_no_text_comes_back_byte_for_byte(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    os.rename(os.fsencode(tmp_path / "in" / "a.png"), os.fsencode(tmp_path / "in") + b"/\xff,.png")
    found = ask(tmp_path / "in")
    assert (found / "boxes.csv").read_bytes().splitlines()[1].startswith(b'"\xff,.png",WBC,0.9,')
    assert os.listdir(os.fsencode(found / "pictures")) == [b"\xff,.png.png"]
    assert json.loads((found / "boxes.json").read_text())["images"][0]["file_name"] == "\udcff,.png"
    assert contents(ask(tmp_path / "in")) == contents(found)


# ---- what counts


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["WBC"]),
        ({"thresholds": {"RBC": 0.4}}, ["WBC", "RBC"]),
        ({"thresholds": {"": 0.4}}, ["WBC", "RBC"]),
        ({"thresholds": {"": 0.4, "WBC": 0.95}}, ["RBC"]),
        ({"thresholds": {"WBC": 0.91}}, []),
        ({"nms_iou": 0.99}, ["WBC", "WBC"]),
    ],
)
def test_the_card_decides_what_counts_unless_told_otherwise(ask, tmp_path, options, found):
    save_field(tmp_path / "in" / "a.png", BOX)
    assert boxes_of(ask(tmp_path / "in", **options))["class"].tolist() == found


def test_a_tuned_card_is_obeyed(ask, tmp_path):
    tuned = save_detector(tmp_path / "net.safetensors", thresholds={"WBC": 0.5, "RBC": 0.3}, nms_iou=0.99)
    save_field(tmp_path / "in" / "a.png", BOX)
    assert boxes_of(ask(tmp_path / "in", model=tuned))["class"].tolist() == ["WBC", "WBC", "RBC"]
    among = save_detector(tmp_path / "net.safetensors", thresholds={"WBC": 0.5, "RBC": 0.3}, nms_iou=0.9, agnostic=True)
    assert boxes_of(ask(tmp_path / "in", model=among))["class"].tolist() == ["WBC"]


def test_thresholds_are_parsed():
    assert parse_thresholds([]) == {}
    assert parse_thresholds(["0.4", "WBC=.7", "a=b=1"]) == {"": 0.4, "WBC": 0.7, "a=b": 1.0}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["WBC"], "--threshold 'WBC' is neither 0.5 nor like WBC=0.7"),
        (["WBC=high"], "--threshold 'WBC=high' is neither"),
        (["WBC=0.5", "WBC=0.6"], "--threshold is given twice for WBC"),
        (["0.5", "0.6"], "--threshold is given twice for all classes"),
    ],
)
def test_a_threshold_that_does_not_read_is_named(words, error):
    with pytest.raises(InquiryError, match=re.escape(error)):
        parse_thresholds(words)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"thresholds": {"WBC": 70.0}}, "--threshold WBC is 70.0; allowed is 0 to 1"),
        ({"thresholds": {"": float("nan")}}, "--threshold is nan; allowed is 0 to 1"),
        ({"nms_iou": -0.1}, "--nms-iou is -0.1; allowed is 0 to 1"),
        ({"batch_size": 0}, "--batch-size is 0; allowed is 1 or more"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused_before_anything_is_read(options, error):
    with pytest.raises(InquiryError, match=re.escape(error)):
        Request(Path("gone.safetensors"), Path("gone"), Path("found"), **options)


def test_a_threshold_of_an_unknown_class_names_those_there_are(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    with pytest.raises(InquiryError, match="--threshold Platelets=…: the detector finds WBC, RBC; name one of these"):
        ask(tmp_path / "in", thresholds={"Platelets": 0.5})
    assert not (tmp_path / "found").exists()


def test_an_unknown_device_and_damaged_weights_are_refused(tmp_path, weights):
    save_field(tmp_path / "in" / "a.png", BOX)
    with pytest.raises(ModelError, match="no device 'tpu'"):
        count_cells(Request(weights, tmp_path / "in", tmp_path / "found", device="tpu"))
    (tmp_path / "net.safetensors").write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"net\.safetensors is no detector's weights"):
        count_cells(Request(tmp_path / "net.safetensors", tmp_path / "in", tmp_path / "found"))


# ---- what must not be harmed


def test_earlier_results_are_replaced_and_pictures_of_images_that_are_gone_go(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    save_field(tmp_path / "in" / "b.png", BOX)
    ask(tmp_path / "in")
    (tmp_path / "in" / "b.png").unlink()
    found = ask(tmp_path / "in")
    assert set(contents(found)) == {*OUTPUTS[:3], "pictures/a.png.png"}


@pytest.mark.parametrize("name", ["notes.txt", "pictures/mine.png", ".hidden", "counts.csv", "boxes.csv"])
@pytest.mark.parametrize("earlier", [True, False])
def test_files_of_somebody_else_are_not_touched(ask, tmp_path, name, earlier):
    save_field(tmp_path / "in" / "a.png", BOX)
    if earlier and name not in OUTPUTS:
        ask(tmp_path / "in")
    (tmp_path / "found" / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "found" / name).write_text("image,number\na.png,3\n")
    before = contents(tmp_path / "found")
    with pytest.raises(InquiryError, match=f"holds a file that this command did not write, {re.escape(name)}; give"):
        ask(tmp_path / "in")
    assert contents(tmp_path / "found") == before


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ("in", "lies in the folder of the images"),
        ("in/found", "lies in the folder of the images"),
        (".", r"holds an input, .*net\.safetensors"),
        ("net.safetensors", "give the name of a folder"),
        ("found.csv", "give the name of a folder"),
        ("gone/found", "does not exist or cannot be written into"),
    ],
)
def test_a_folder_that_would_harm_an_input_or_has_no_place_is_refused(ask, weights, tmp_path, out, error):
    save_field(tmp_path / "in" / "a.png", BOX)
    (tmp_path / "net.safetensors").write_bytes(weights.read_bytes())
    before = contents(tmp_path)
    with pytest.raises(InquiryError, match=error):
        ask(tmp_path / "in", out=out, model=tmp_path / "net.safetensors")
    assert contents(tmp_path) == before


def test_earlier_pictures_are_no_images_for_their_own_folder(ask, tmp_path):
    save_field(tmp_path / "in" / "a.png", BOX)
    found = ask(tmp_path / "in")
    with pytest.raises(InquiryError, match="holds an input"):
        ask(found / "pictures")


def test_a_full_disk_leaves_earlier_results(ask, tmp_path, monkeypatch):
    save_field(tmp_path / "in" / "a.png", BOX)
    before = contents(ask(tmp_path / "in"))

    def full(*_):
        raise OSError(28, "No space left on device")

    for place in ("os.fsync", "PIL.Image.Image.save"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(InquiryError, match=r"found cannot be written \(No space left on device\)"):
                ask(tmp_path / "in", thresholds={"": 0.95})
        assert contents(tmp_path / "found") == before


def test_progress_is_said_now_and_then(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(inquiry, "SILENCE", -1)
    for number in range(3):
        save_field(tmp_path / "in" / f"{number}.png", BOX)
    said = []
    ask(tmp_path / "in", say=said.append, batch_size=2)
    assert said[:2] == ["2 of 3 images", "3 of 3 images"]


# ---- whatever the images


KINDS = {
    "a.png": {}, "b.jpg": {"quality": 95}, "c.bmp": {}, "deep/d.png": {"mode": "L"}, "deep/e.tif": {"mode": "RGBA"},
    "f.png": {"mode": "P"},
}  # fmt: skip


@st.composite
def folders(draw):
    """Draw what a folder holds: kinds of images of any size, with a dark cell, with none, or damaged."""
    found = {}
    for name in draw(st.sets(st.sampled_from(list(KINDS)), min_size=1)):
        width, height = draw(st.integers(1, 90)), draw(st.integers(1, 90))
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        box = (left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))
        found[name] = (width, height), draw(st.sampled_from([box, None, "damaged"]))
    return found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=folders(), batch_size=st.integers(1, 4), least=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_the_four_results_agree_with_each_other_and_with_the_images(dark, weights, images, batch_size, least):
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place) / "in", Path(place) / "found"
        for name, (size, box) in images.items():
            path = save_field(folder / name, None if box == "damaged" else box, size, **KINDS[name])
            if box == "damaged":
                path.write_bytes(b"no image")
        request = Request(weights, folder, out, {"": least}, batch_size=batch_size)
        if all(box == "damaged" for _, box in images.values()):
            with pytest.raises(InquiryError, match="could be read"):
                count_cells(request)
            assert not out.exists()
            return
        count_cells(request)
        boxes, counts = boxes_of(out), counts_of(out)
        coco = json.loads((out / "boxes.json").read_text())
        assert counts.index.tolist() == sorted(images)
        assert len(boxes) == len(coco["annotations"]) == pd.to_numeric(counts["cells"]).sum()
        assert (boxes["score"] >= least).all()
        sizes = {one["file_name"]: (one["width"], one["height"]) for one in coco["images"]}
        assert sizes == {name: size for name, (size, box) in images.items() if box != "damaged"}
        for name, (size, box) in images.items():
            assert (counts.loc[name, "reason"] != "") == (box == "damaged")
            if box == "damaged":
                continue
            assert image_size(out / counts.loc[name, "picture"]) == size
            found = boxes[boxes["image"] == name]
            assert (len(found) > 0) == (box is not None and least <= 0.9)
            if len(found) and name != "b.jpg":  # whose borders are smeared
                assert found.iloc[0, 3:].tolist() == list(box)
