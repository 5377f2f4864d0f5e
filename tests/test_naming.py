"""Images of any size and state become a submission, COCO boxes, counts and pictures; inputs are safe."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from two_stages import BLUE, RED, field, pipeline

from wbc_utils import naming
from wbc_utils.data.images import open_image
from wbc_utils.data.tables import DataError
from wbc_utils.inquiry import InquiryError
from wbc_utils.manifest import Metric
from wbc_utils.models import ModelError
from wbc_utils.naming import Request, name_cells

COLUMNS = ["NAME", "x1", "y1", "x2", "y2", "class"]


@pytest.fixture
def images(tmp_path):
    """Return a folder with images of two sizes, one with alpha, one without cells, one that is none."""
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(field((5, 5, 16, RED), (50, 30, 20, BLUE))).save(folder / "two.png")
    Image.fromarray(field((20, 20, 30, BLUE), size=(90, 120))).save(folder / "deep" / "large.jpg", quality=95)
    Image.fromarray(field()).save(folder / "none.png")
    layered = np.dstack([field((60, 40, 20, RED)), np.full((60, 80), 255, np.uint8)])
    Image.fromarray(layered).save(folder / "alpha.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Return a function that names cells and returns the folder that was written, and what was said."""
    card = SimpleNamespace(metrics={"score": Metric(value=0.7, n=60, split="locked")})
    monkeypatch.setattr(naming, "load", lambda folder, device: (pipeline(), {"detector-0.safetensors": card}))
    lines = []

    def name(images, out="named", **options):
        name_cells(Request(tmp_path / "pipeline", images, tmp_path / out, **options), lines.append)
        return tmp_path / out, lines

    return name


def test_the_submission_has_the_format_of_the_challenge(ask, images):
    folder, _ = ask(images)
    table = pd.read_csv(folder / naming.SUBMISSION)
    assert list(table.columns) == COLUMNS
    assert table.sort_values(["NAME", "x1"]).to_numpy().tolist() == [
        ["alpha.png", 60, 40, 80, 60, "EO"],
        ["large.jpg", 20, 20, 50, 50, "LY"],
        ["two.png", 5, 5, 21, 21, "EO"],
        ["two.png", 50, 30, 70, 50, "LY"],
    ]  # fmt: skip


def test_counts_name_every_image_and_why_one_could_not_be_read(ask, images):
    folder, lines = ask(images)
    counts = pd.read_csv(folder / naming.COUNTS, keep_default_na=False).set_index("image")
    assert counts.loc["two.png", ["EO", "LY", "cells"]].tolist() == ["1", "1", "2"]
    assert counts.loc["none.png", "cells"] == "0"
    assert counts.loc["broken.png", ["cells", "reason"]].tolist() == ["", "the file is not an image"]
    assert lines[-1].startswith("4 white cells in 4 of 5 images (1 × the file is not an image): EO 2, LY 2.")
    assert "No white cell in 1 of them. Pipeline: score 0.700 (locked, n = 60). " in lines[-1]


def test_boxes_are_there_in_cocos_format_too(ask, images):
    folder, _ = ask(images)
    coco = json.loads((folder / naming.BOXES).read_text())
    assert [one["name"] for one in coco["categories"]] == ["EO", "LY"]
    assert len(coco["annotations"]) == 4
    assert all(0 < one["score"] <= 1 for one in coco["annotations"])


def test_every_readable_image_has_a_picture_with_its_boxes(ask, images):
    folder, _ = ask(images)
    pictures = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("pictures/**/*.png"))
    assert pictures == [f"pictures/{name}.png" for name in ("alpha.png", "deep/large.jpg", "none.png", "two.png")]
    assert (open_image(folder / "pictures" / "two.png.png") != open_image(images / "two.png")).any()
    assert (open_image(folder / "pictures" / "none.png.png") == open_image(images / "none.png")).all()


def test_pictures_can_be_left_out_and_a_second_run_replaces_the_first(ask, images):
    folder, _ = ask(images)
    again, _ = ask(images, pictures=False)
    assert again == folder
    assert {path.name for path in folder.iterdir()} == {naming.SUBMISSION, naming.BOXES, naming.COUNTS}


def test_images_without_any_cell_give_an_empty_submission(ask, tmp_path):
    (tmp_path / "blank").mkdir()
    Image.fromarray(field()).save(tmp_path / "blank" / "a.png")
    folder, _ = ask(tmp_path / "blank")
    assert pd.read_csv(folder / naming.SUBMISSION).empty
    assert (folder / naming.SUBMISSION).read_text().strip() == ",".join(COLUMNS)


def test_nothing_that_others_wrote_is_replaced(ask, images, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InquiryError, match=r"did not write, notes\.txt"):
        ask(images, out="mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(InquiryError, match="give the name of a folder"):
        ask(images, out="file")
    with pytest.raises(InquiryError, match="lies in the folder of the images"):
        ask(images, out="images/deep")
    with pytest.raises(InquiryError, match="does not exist or cannot be written"):
        ask(images, out="absent/deeper")


def test_bad_requests_are_refused(ask, images, tmp_path):
    with pytest.raises(InquiryError, match="--batch-size is 0"):
        Request(tmp_path, images, tmp_path / "out", batch_size=0)
    with pytest.raises(DataError, match="does not exist"):
        ask(tmp_path / "absent")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"")
    with pytest.raises(InquiryError, match="none of 1 images could be read"):
        ask(tmp_path / "broken")


def test_a_folder_without_pipeline_is_refused(images, tmp_path):
    with pytest.raises(ModelError, match="there is no pipeline"):
        name_cells(Request(tmp_path, images, tmp_path / "out"))
