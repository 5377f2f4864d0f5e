"""A pipeline that was saved says the same when it is loaded; folders that hold none are refused."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from detector_models import ABOUT, tiny
from two_stages import BLUE, RED, TYPES, field

from wbc_utils import pipeline_files
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build
from wbc_utils.multilabel import BACKGROUND
from wbc_utils.sightings import Settings
from wbc_utils.two_stage import TwoStage, sightings

IMAGES = {"a": field((10, 20, 20, RED)), "b": field((30, 30, 20, BLUE))}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with a pipeline of two folds, and the pipeline."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifiers = [build("test_convnext", TYPES) for _ in range(2)]
        whole = [build("test_convnext", (*TYPES, BACKGROUND))]
    pipeline = TwoStage(
        [tiny(("WBC",)), tiny(("WBC",))], classifiers, whole, crop_px=32, whole_px=64, nms_iou=0.4, mirrored=True,
        settings=Settings(0.2, 0.6),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs") / "pipeline"
    pipeline_files.save(folder, pipeline, ABOUT, crop_cells=1.2, whole_cells=3.0)
    return folder, pipeline


def test_a_loaded_pipeline_says_the_same(saved):
    folder, pipeline = saved
    loaded, cards = pipeline_files.load(folder)
    assert not loaded.training
    assert (loaded.settings, loaded.nms_iou, loaded.mirrored) == (Settings(0.2, 0.6), 0.4, True)
    first, second = (sightings(one, IMAGES) for one in (pipeline, loaded))
    pd.testing.assert_frame_equal(first.boxes, second.boxes)
    pd.testing.assert_frame_equal(first.whole, second.whole)
    assert len(cards) == 5


def test_every_network_has_a_card_of_its_own(saved):
    folder, _ = saved
    _, cards = pipeline_files.load(folder)
    assert {path.stem for path in folder.glob("*.md")} == {name.removesuffix(".safetensors") for name in cards}
    assert cards["detector-0.safetensors"].thresholds == {"WBC": 0.2}
    assert cards["classifier-1.safetensors"].image_px == 32
    assert cards["image-classifier-0.safetensors"].classes[-1] == BACKGROUND
    assert np.isclose(cards["classifier-0.safetensors"].cell_px, 32 / 1.2)


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no pipeline in"):
        pipeline_files.load(tmp_path)


@pytest.mark.parametrize("content", ["{}", "no json", '{"detectors": []}'])
def test_a_card_that_does_not_read_is_refused(tmp_path, content):
    (tmp_path / pipeline_files.NAME).write_text(content)
    with pytest.raises(ModelError, match=r"pipeline\.json does not read"):
        pipeline_files.load(tmp_path)


def changed(saved, tmp_path, **fields):
    """Return a folder with the same networks and another card."""
    folder, _ = saved
    for path in folder.glob("*.safetensors"):
        (tmp_path / path.name).hardlink_to(path)
    card = json.loads((folder / pipeline_files.NAME).read_text())
    (tmp_path / pipeline_files.NAME).write_text(json.dumps(card | fields))
    return tmp_path


def test_a_missing_network_is_named(saved, tmp_path):
    folder = changed(saved, tmp_path, classifiers=["other.safetensors"])
    with pytest.raises(ModelError, match=r"no weights at .*other\.safetensors"):
        pipeline_files.load(folder)


def test_weights_of_another_number_of_classes_are_refused(saved, tmp_path):
    folder = changed(saved, tmp_path, classifiers=["classifier-0.safetensors", "image-classifier-0.safetensors"])
    with pytest.raises(ModelError, match="all networks must know the same types"):
        pipeline_files.load(folder)
