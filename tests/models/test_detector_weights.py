"""The card of a detector: what counts as a cell is said for every class, or for none."""

import pytest
from cell_models import save_certain
from detector_models import ABOUT, save_detector, tiny
from pydantic import ValidationError

from wbc_utils.models import ModelError
from wbc_utils.models.detector_weights import UNTUNED, DetectorCard, is_detector, read


@pytest.fixture(scope="module")
def design():
    return tiny().design


def card(design, **fields):
    return DetectorCard(design=design, init="random", **(ABOUT | fields))


def test_a_card_without_an_operating_point_says_that_it_was_not_tuned(design):
    plain = card(design)
    assert plain.least_scores() == {"WBC": UNTUNED, "RBC": UNTUNED}
    assert (plain.thresholds, plain.nms_iou, plain.agnostic) == ({}, 0.5, False)
    assert "- least scores: WBC 0.5, RBC 0.5 (not tuned)\n" in plain.markdown()


def test_a_tuned_card_says_its_operating_point(design):
    tuned = card(design, thresholds={"WBC": 0.7, "RBC": 0.4}, nms_iou=0.3, agnostic=True)
    assert tuned.least_scores() == {"WBC": 0.7, "RBC": 0.4}
    assert "- least scores: WBC 0.7, RBC 0.4\n- suppression: IoU 0.3, among all classes\n" in tuned.markdown()


@pytest.mark.parametrize(
    "fields", [{"thresholds": {"WBC": 1.1}}, {"thresholds": {"WBC": float("nan")}}, {"nms_iou": -0.1}]
)
def test_what_is_no_share_is_no_operating_point(design, fields):
    with pytest.raises(ValidationError, match=r"should be (less|greater) than or equal to"):
        card(design, **fields)


@pytest.mark.parametrize("thresholds", [{"WBC": 0.5}, {"WBC": 0.5, "RBC": 0.5, "Platelets": 0.5}])
def test_thresholds_of_other_classes_are_not_saved(tmp_path, thresholds):
    with pytest.raises(ModelError, match=r"thresholds for WBC.*, the detector finds WBC, RBC; give one for each"):
        save_detector(tmp_path / "net.safetensors", thresholds=thresholds)
    assert not list(tmp_path.iterdir())


def test_a_saved_card_comes_back(tmp_path):
    path = save_detector(tmp_path / "net.safetensors", thresholds={"WBC": 0.7, "RBC": 0.4}, agnostic=True)
    found = read(path)[1]
    assert (found.thresholds, found.nms_iou, found.agnostic) == ({"WBC": 0.7, "RBC": 0.4}, 0.5, True)


def test_only_a_file_with_a_card_of_a_detector_is_a_detector(tmp_path):
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    save_certain(tmp_path / "cells.safetensors", {"SNE": 0.5, "BNE": 0.5})
    save_detector(tmp_path / "net.safetensors")
    names = ["net.safetensors", "cells.safetensors", "noise.safetensors", "gone.safetensors", "."]
    assert [is_detector(tmp_path / name) for name in names] == [True, False, False, False, False]
