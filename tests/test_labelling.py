"""Images of any size and state become rows of one table; inputs and earlier results are never harmed."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from cell_models import save_certain, save_images
from examples_of_cells import NUCLEATED, drawn_cell
from PIL import Image
from torch import nn

from wbc_utils import inquiry, labelling
from wbc_utils.data.framing import MIN_TRUSTED
from wbc_utils.data.sources import Source
from wbc_utils.data.tables import DataError
from wbc_utils.inquiry import InquiryError
from wbc_utils.labelling import Request, label_images, predict_files
from wbc_utils.models import ModelError
from wbc_utils.models.weights import load

SHARES = {"ERB": 0.3, "SNE": 0.5, "BNE": 0.2}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_certain(tmp_path_factory.mktemp("weights") / "certain.safetensors", SHARES)


@pytest.fixture
def ask(weights, tmp_path):
    """Return a function that labels images and returns the table that was written."""

    def label(images, **options):
        out = tmp_path / "out.csv"
        label_images(Request(**{"model": weights, "images": images, "out": out, "cell_px": 20, **options}))
        return pd.read_csv(out, keep_default_na=False)

    return label


def test_every_image_gets_the_probabilities_of_the_model_in_lineage_order(ask, tmp_path):
    table = ask(save_images(tmp_path / "cells", "b.png", "a/c.bmp"))
    assert list(table) == ["image", "label", "confidence", "BNE", "SNE", "ERB", "reason"]
    assert table["image"].tolist() == ["a/c.bmp", "b.png"]
    assert table["label"].tolist() == ["SNE", "SNE"]
    assert table[["BNE", "SNE", "ERB"]].to_numpy().tolist() == [[0.2, 0.5, 0.3]] * 2
    assert table["reason"].tolist() == ["", ""]


@pytest.mark.parametrize("batch_size", [1, 64])
def test_unreadable_images_keep_their_place_with_a_reason(ask, tmp_path, batch_size):
    folder = save_images(tmp_path / "cells", *(f"{number}.png" for number in range(9)))
    (folder / "0.png").write_bytes(b"")
    (folder / "6.png").write_bytes((folder / "6.png").read_bytes()[:100])
    (folder / "8.jpg").write_text("no image")
    table = ask(folder, batch_size=batch_size).set_index("image")
    assert table["reason"].loc[["0.png", "6.png", "8.jpg"]].tolist() == [
        "the file has zero bytes",
        "the image data are truncated or damaged",
        "the file is not an image",
    ]
    assert (table.loc[["0.png", "6.png", "8.jpg"], ["label", "confidence", "BNE", "ERB"]] == "").all(axis=None)
    assert table["label"].drop(["0.png", "6.png", "8.jpg"]).eq("SNE").all()


@pytest.mark.parametrize("cell_px", [20, None])
def test_nothing_readable_is_an_error_with_the_reasons_and_leaves_an_earlier_result(ask, tmp_path, cell_px):
    (tmp_path / "cells").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "cells" / name).touch()
    (tmp_path / "out.csv").write_text("earlier")
    with pytest.raises(InquiryError, match=r"none of 2 images .*could be read: 2 × the file has zero bytes"):
        ask(tmp_path / "cells", cell_px=cell_px)
    assert (tmp_path / "out.csv").read_text() == "earlier"


def test_rows_of_a_listing_without_a_file_are_kept(ask, tmp_path):
    save_images(tmp_path / "cells", "x/1.png")
    (tmp_path / "cells" / "list.csv").write_text("ID\ngone\n1\n")
    table = ask(tmp_path / "cells" / "list.csv")
    assert table[["image", "label", "reason"]].to_numpy().tolist() == [
        ["gone", "", "there is no such file"],
        ["1", "SNE", ""],
    ]


def test_the_card_decides_on_temperature_and_views_unless_told_otherwise(ask, tmp_path, monkeypatch):
    asked = []
    honest = labelling.predict.logits
    monkeypatch.setattr(labelling.predict, "logits", lambda *words: asked.append(words[2]) or honest(*words))
    cold = save_certain(tmp_path / "cold.safetensors", {"BNE": 0.2, "SNE": 0.8}, temperature=0.5, views=8)
    folder = save_images(tmp_path / "cells", "a.png")
    assert ask(folder, model=cold)["confidence"].tolist() == pytest.approx([16 / 17], abs=1e-6)
    assert ask(folder, model=cold, temperature=2, views=1)["confidence"].tolist() == pytest.approx([2 / 3], abs=1e-6)
    assert asked == [8, 1]


def test_a_threshold_adds_a_column_that_says_where_the_model_abstains(ask, tmp_path):
    folder = save_images(tmp_path / "cells", "a.png")
    assert ask(folder, min_confidence=0.4)["abstain"].tolist() == ["no"]
    assert ask(folder, min_confidence=0.6)["abstain"].tolist() == ["yes"]


class Brightness(nn.Module):
    """Says the mean grey of what it sees, and of the middle half of it."""

    classes = ("BNE", "SNE")

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return self.scale * torch.stack([images.mean(dim=(1, 2, 3)), images[..., 8:24, 8:24].mean(dim=(1, 2, 3))], 1)


@pytest.mark.parametrize(("side", "cell"), [(100, 20), (300, 60)])
def test_the_field_follows_the_size_of_the_cells_whatever_the_size_of_the_image(
    weights, tmp_path, monkeypatch, side, cell
):
    image = np.full((side, side, 3), 255, np.uint8)
    inner = slice(side // 2 - cell // 2, side // 2 + cell // 2)
    image[inner, inner] = 0
    (tmp_path / "cells").mkdir()
    Image.fromarray(image).save(tmp_path / "cells" / "a.png")
    card = load(weights)[1]  # 32 pixels are two cells
    monkeypatch.setattr(labelling, "load", lambda path, device: (Brightness(), card))
    found = label_images(Request(weights, tmp_path / "cells", tmp_path / "out.csv", cell_px=cell))
    odds = np.log(found.probabilities[0, 1] / found.probabilities[0, 0])
    assert odds == pytest.approx(0 - 3 / 4, abs=1e-5)  # the middle is the cell, a quarter of the field
    assert not found.padded.any()


def test_an_image_smaller_than_the_field_is_padded_and_counted(weights, tmp_path):
    save_images(tmp_path, "a.png", side=39)
    save_images(tmp_path, "b.png", side=40)
    model, card = load(weights)
    sources = [Source(name, tmp_path / name) for name in ("a.png", "b.png")]
    found = predict_files(model, card, sources, Request(weights, tmp_path, tmp_path / "o.csv"), 40, print)
    assert found.padded.tolist() == [True, False]


@pytest.fixture
def cells(tmp_path):
    folder = tmp_path / "drawn"
    folder.mkdir()
    pairs = [drawn_cell(code, seed) for seed, code in enumerate(NUCLEATED[:12])]
    for number, (image, _) in enumerate(pairs):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder, [2 * np.sqrt(truth.cell.sum() / np.pi) for _, truth in pairs]


def test_the_size_of_the_cells_is_measured_and_said_with_how_to_override_it(weights, cells, tmp_path):
    folder, diameters = cells
    said = []
    label_images(Request(weights, folder, tmp_path / "out.csv"), said.append)
    measured = re.match(
        r"Cells measure ([\d.]+) px .* (\d+) trusted outlines in 12 images looked at\. --cell-px", said[0]
    )
    assert float(measured[1]) == pytest.approx(np.median(diameters), rel=0.05)
    assert int(measured[2]) >= MIN_TRUSTED
    assert len(said) == 2
    assert said[-1].startswith("12 of 12 images labelled: SNE 12.")


def test_images_that_mostly_show_no_single_cell_are_called_in_question(weights, cells, tmp_path):
    folder, _ = cells
    for number in range(13):
        Image.new("RGB", (40, 40), "white").save(folder / f"blank{number}.png")
    said = []
    label_images(Request(weights, folder, tmp_path / "out.csv"), said.append)
    assert "in 25 images looked at" in said[0]
    assert said[1].startswith("Fewer than half could be outlined")


def test_too_few_cells_to_measure_ask_for_their_size(ask, tmp_path):
    with pytest.raises(DataError, match=r"0 of 2 images .*--cell-px"):
        ask(save_images(tmp_path / "cells", "a.png", "b.png"), cell_px=None)


def test_a_submission_has_one_of_the_classes_of_wbcbench_for_every_image(ask, tmp_path, weights):
    said = []
    folder = save_images(tmp_path / "cells", "x/00000001.jpg", "x/00000002.jpg")
    erb = save_certain(tmp_path / "erb.safetensors", {"ERB": 0.6, "SNE": 0.1, "BNE": 0.3})
    out = tmp_path / "submission.csv"
    label_images(Request(erb, folder, out, cell_px=20, submission="wbcbench"), said.append)
    assert out.read_text() == "ID,labels\n00000001.jpg,BNE\n00000002.jpg,BNE\n"
    assert "ERB are not among them: 2 images" in said[-1]


def test_a_submission_by_a_model_without_any_of_its_classes_is_refused(ask, tmp_path):
    other = save_certain(tmp_path / "other.safetensors", {"ERB": 0.6, "PLATELET": 0.4})
    with pytest.raises(InquiryError, match="classes ERB, PLATELET are none of WBCBench's BL, PMY"):
        ask(save_images(tmp_path / "cells", "a.png"), model=other, submission="wbcbench")


def test_a_submission_with_two_images_of_one_name_is_refused(ask, tmp_path):
    with pytest.raises(InquiryError, match=r"2 images have the name '1\.png'"):
        ask(save_images(tmp_path / "cells", "x/1.png", "y/1.png"), submission="wbcbench")


def test_a_file_name_that_is_no_text_comes_back_byte_for_byte(weights, tmp_path):
    save_images(tmp_path / "cells", "a.png")
    os.rename(os.fsencode(tmp_path / "cells" / "a.png"), os.fsencode(tmp_path / "cells") + b"/\xff,.png")
    label_images(Request(weights, tmp_path / "cells", tmp_path / "out.csv", cell_px=20))
    assert (tmp_path / "out.csv").read_bytes().splitlines()[1].startswith(b'"\xff,.png",SNE,')


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"views": 4}, "--views is 4; allowed is 1 or 8"),
        ({"temperature": 0}, "--temperature is 0; allowed is a positive number"),
        ({"cell_px": -5}, "--cell-px is -5; allowed is a positive number of pixels"),
        ({"cell_px": float("nan")}, "--cell-px is nan"),
        ({"min_confidence": 70}, "--min-confidence is 70; allowed is 0 to 1"),
        ({"submission": "kaggle"}, "--submission is kaggle; allowed is wbcbench"),
        ({"batch_size": 0}, "--batch-size is 0; allowed is 1 or more"),
        ({"submission": "wbcbench", "min_confidence": 0.5}, "leave out --min-confidence"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused_before_anything_is_read(options, error):
    with pytest.raises(InquiryError, match=error):
        Request(Path("gone.safetensors"), Path("gone"), Path("out.csv"), **options)


def test_an_unknown_device_is_refused_before_anything_is_read():
    with pytest.raises(ModelError, match="no device 'tpu'"):
        label_images(Request(Path("gone.safetensors"), Path("gone"), Path("out.csv"), device="tpu"))


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ("cells/a.png", "is an image or another input"),
        ("cells/new.TIF", "is an image or another input"),
        ("cells/list.csv", "is an image or another input"),
        ("cells/../cells/list.csv", "is an image or another input"),
        ("model.safetensors", "is an image or another input"),
        ("model.md", "is an image or another input"),
        ("cells/odd.dat", "is an image or another input"),
        ("link.csv", "is an image or another input"),
        ("cells", "is a folder"),
        ("gone/out.csv", "does not exist or cannot be written into"),
    ],
)
def test_inputs_are_never_overwritten(weights, tmp_path, out, error):
    folder = save_images(tmp_path / "cells", "a.png")
    (folder / "odd.dat").write_bytes((folder / "a.png").read_bytes())
    (folder / "list.csv").write_text("image\na.png\nodd.dat\n")
    (tmp_path / "link.csv").symlink_to(folder / "a.png")
    for suffix in (".safetensors", ".md"):
        (tmp_path / "model").with_suffix(suffix).write_bytes(weights.with_suffix(suffix).read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InquiryError, match=error):
        label_images(Request(tmp_path / "model.safetensors", folder / "list.csv", tmp_path / out, cell_px=20))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_full_disk_leaves_an_earlier_result(ask, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    (tmp_path / "out.csv").write_text("earlier")
    with pytest.raises(InquiryError, match=r"out\.csv cannot be written \(No space left on device\)"):
        ask(save_images(tmp_path / "cells", "a.png"))
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert not list(tmp_path.glob(".out*"))


def test_progress_is_said_now_and_then(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(inquiry, "SILENCE", -1)
    said = []
    folder = save_images(tmp_path / "cells", *(f"{number}.png" for number in range(5)))
    label_images(Request(weights, folder, tmp_path / "out.csv", cell_px=20, batch_size=1), said.append)
    assert said[:2] == ["4 of 5 images", "5 of 5 images"]
