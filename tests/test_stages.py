"""Networks of the two stages a fold each: blind to their fold, epochs chosen inside, paint goes with its field."""

import numpy as np
import pandas as pd
import pytest
import torch
from squares import squares
from two_stages import TYPES, field

from wbc_utils import stages
from wbc_utils.classification import CellRecipe
from wbc_utils.detection import DetectionRecipe
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build
from wbc_utils.multilabel import TypedImages
from wbc_utils.stages import PAINTED, Study

RECIPE = DetectionRecipe(
    architecture="yolox_test_resnet", image_px=(64, 64), epochs=1, batch_size=2, learning_rate=1e-3, alarm_epochs=None,
)  # fmt: skip
CELLS = CellRecipe(architecture="test_convnext", epochs=3, batch_size=2, learning_rate=1e-3)


@pytest.fixture
def drawn():
    return squares(12)


@pytest.fixture
def study(drawn, tmp_path):
    plan = pd.DataFrame({"fold": [0, 1, 2] * 4, "cluster": range(12), "stratum": "one"}, index=list(drawn.names))
    return Study(dict(zip(drawn.names, drawn.images, strict=True)), plan, 0, "cpu", tmp_path)


@pytest.fixture
def trained(monkeypatch):
    """Return the names of the images that each training was given, in the order of the trainings."""
    given = []

    def remember(name, images, validation, recipe, **settings):
        given.append((name, set(images.names), set(validation.names)))

    monkeypatch.setattr("wbc_utils.detection.train", remember)
    monkeypatch.setattr("wbc_utils.multilabel.train", remember)
    return given


def test_no_network_learns_from_or_chooses_by_its_fold(study, drawn, trained):
    stages.train_detectors(study, "one", drawn.truth, drawn.classes, RECIPE)
    for fold, (name, learned, chosen_by) in enumerate(trained):
        own = set(study.of_fold(fold))
        assert name == f"one-{fold}"
        assert not own & (learned | chosen_by)
        assert not learned & chosen_by
        assert own | learned | chosen_by == set(drawn.names)


def test_paint_is_learned_from_only_with_the_field_it_was_made_from(study, drawn, trained):
    painted = dict.fromkeys(drawn.names[:6], field(size=(64, 64)))
    stages.train_detectors(study, "one", drawn.truth, drawn.classes, RECIPE, painted=painted)
    for _, learned, chosen_by in trained:
        paint = {name.removeprefix(PAINTED) for name in learned if name.startswith(PAINTED)}
        assert paint == learned & set(painted)
        assert not any(name.startswith(PAINTED) for name in chosen_by)


def test_a_share_of_the_fields_is_painted_and_fields_without_slide_are_left_out(tmp_path):
    light = field((20, 20, 30, (60, 40, 90)), size=(96, 96))
    dark = np.full((24, 24, 3), 60, np.uint8)  # all of it is the cell
    images = {"a": light, "b": light, "c": dark, "d": light, "without a cell": light}
    study = Study(images, pd.DataFrame({"fold": 0}, index=list(images)), 0, "cpu", tmp_path)
    boxes = pd.DataFrame([(name, -20, -20, 116, 116) if name == "c" else (name, 20, 20, 50, 50) for name in "abcd"],
                         columns=["image", "xmin", "ymin", "xmax", "ymax"])  # fmt: skip
    painted = stages.paint(study, boxes, 1.0, np.random.default_rng(0))
    assert set(painted) == {"a", "b", "d"}
    assert painted["a"][21:49, 21:49].min() > 240
    assert painted["a"].min() > 200  # of the sharp corners a sixth shows through the seam: 255 - (255 - 40) / 6 = 219
    assert len(stages.paint(study, boxes.iloc[:2], 0.5, np.random.default_rng(0))) == 1


def test_whole_images_are_divided_as_the_fields_they_were_made_from(study, trained):
    images = study.images | {PAINTED + name: image for name, image in study.images.items()}
    types = {name: frozenset({"EO"} if name in study.images else ()) for name in images}
    stages.train_image_classifiers(study, "whole", TypedImages.of(images, types, TYPES, 32), CELLS)
    for fold, (_, learned, chosen_by) in enumerate(trained):
        assert {name.removeprefix(PAINTED) for name in learned} == set(study.parts(fold)["train"])
        assert {name.removeprefix(PAINTED) for name in chosen_by} == set(study.parts(fold)["validation"])


def test_only_the_wanted_folds_are_trained(study, drawn, trained):
    stages.train_detectors(study, "one", drawn.truth, drawn.classes, RECIPE, folds=[1])
    assert [name for name, *_ in trained] == ["one-1"]


def test_duplicates_do_not_divide_inside_the_folds_either(drawn, tmp_path):
    plan = pd.DataFrame({"fold": [0, 0, 1, 1] * 3, "cluster": np.repeat(range(6), 2), "stratum": "one"},
                        index=list(drawn.names))  # fmt: skip
    study = Study(dict(zip(drawn.names, drawn.images, strict=True)), plan, 0, "cpu", tmp_path)
    for part in study.parts(0).values():
        assert plan.loc[part, "cluster"].value_counts().isin([2]).all()


def test_detectors_and_classifiers_train_and_answer_for_their_fold(study, drawn):
    torch.set_num_threads(1)
    boxes = drawn.truth.assign(**{"class": "WBC"})
    fitted = stages.train_detectors(study, "one", boxes, ["WBC"], RECIPE)
    found = stages.detect(study, fitted, least=0.0)
    assert set(found["image"]) <= set(drawn.names)
    crops = np.random.default_rng(0).integers(0, 255, (24, 32, 32, 3), dtype=np.uint8)
    table = pd.DataFrame({"image": list(drawn.names) * 2, "class": ["EO"] * 12 + ["LY"] * 12})
    named = stages.train_classifiers(study, "types", crops, table, TYPES, CELLS)
    assert {fold: one.model.classes for fold, one in named.items()} == dict.fromkeys(range(3), TYPES)
    for one in named.values():
        assert one.best_epoch == one.history.loc[one.history["validation_nll"].idxmin(), "epoch"]


def test_held_blocks_do_not_learn_and_the_rest_does():
    model = build("vit_tiny_patch16_224", TYPES)
    model.init = "in-domain: some.safetensors"
    stages.hold_blocks(model, 10)
    learning = {name for name, weight in model.backbone.named_parameters() if weight.requires_grad}
    assert {".".join(name.split(".")[:2]) for name in learning} == {
        "blocks.10",
        "blocks.11",
        "norm.weight",
        "norm.bias",
    }
    assert model.head.weight.requires_grad


def test_holding_nothing_changes_nothing():
    model = build("test_convnext", TYPES)
    before = set(model.trainable)
    stages.hold_blocks(model, 0)
    assert model.trainable == before


@pytest.mark.parametrize(("architecture", "init", "blocks"), [
    ("test_convnext", "imagenet", 2), ("vit_tiny_patch16_224", "random", 2), ("vit_tiny_patch16_224", "imagenet", 13),
])  # fmt: skip
def test_blocks_that_cannot_be_held_are_refused(architecture, init, blocks):
    model = build(architecture, TYPES)
    model.init = init
    with pytest.raises(ModelError, match="cannot be held"):
        stages.hold_blocks(model, blocks)


def test_a_fold_that_leaves_a_class_unlearned_is_refused(study, drawn):
    crops = np.zeros((12, 32, 32, 3), np.uint8)
    table = pd.DataFrame({"image": list(drawn.names), "class": ["EO"] + ["LY"] * 11})
    with pytest.raises(ModelError, match="no training cell of EO"):
        stages.train_classifiers(study, "types", crops, table, TYPES, CELLS)
