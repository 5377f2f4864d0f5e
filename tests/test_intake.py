"""Files of patients become bags: nothing mixed up, unreadable images dropped and counted, embeddings made once."""

import numpy as np
import pytest

from wbc_utils import intake
from wbc_utils.data import registry, synthetic
from wbc_utils.data.patients import read_lymph
from wbc_utils.intake import Intake, embed
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return registry.locate("lymph", synthetic.ensure(tmp_path_factory.mktemp("data"), 0))


@pytest.fixture(scope="module")
def taken(folder, tmp_path_factory):
    table = read_lymph(folder).table.iloc[:3].reset_index(drop=True)
    return Intake.of(table, folder, 32, 100, tmp_path_factory.mktemp("work"))


def encoder():
    return build("test_resnet", ["a", "b"]).eval()


def test_every_image_is_decoded_and_measured_in_the_order_of_the_paths(taken):
    number = taken.table["paths"].map(len).sum()
    assert taken.pixels.images.shape == (number, 32, 32, 3)
    assert taken.handmade.shape == (number, 89)
    assert taken.unreadable == 0
    assert np.bincount(taken.owner).tolist() == taken.table["paths"].map(len).tolist()


def test_a_cohort_has_the_embeddings_of_its_own_cells(taken, tmp_path):
    model = encoder()
    cohort = taken.cohort(embed(model, taken.pixels, "cpu", tmp_path))
    alone = embed(
        model, intake.Pixels(taken.pixels.images[taken.owner == 1], taken.pixels.reasons, "x"), "cpu", tmp_path
    )
    assert cohort.images.split()[1].numpy() == pytest.approx(alone, abs=1e-5)


def test_doubtful_outlines_are_no_handmade_features(taken):
    ok = taken.features.files["ok"].to_numpy()
    assert np.isnan(taken.handmade[~ok]).all()
    assert np.isfinite(taken.handmade[ok]).all()


def test_an_image_that_can_no_longer_be_read_is_in_no_bag_and_counted(taken):
    reasons = taken.pixels.reasons.copy()
    reasons[0] = "cannot be decoded"
    spoiled = Intake(taken.table, intake.Pixels(taken.pixels.images, reasons, "x"), taken.features)
    cohort = spoiled.cohort(np.zeros((len(reasons), 2)))
    assert spoiled.unreadable == 1
    assert int(cohort.images.sizes[0]) == len(taken.table["paths"][0]) - 1
    assert np.isnan(spoiled.handmade[0]).all()


def test_embeddings_are_kept_for_the_same_network_and_images(taken, tmp_path, monkeypatch):
    model = encoder()
    first = embed(model, taken.pixels, "cpu", tmp_path)
    monkeypatch.setattr(intake.predict, "embeddings", lambda *rest, **more: pytest.fail("computed again"))
    assert np.array_equal(embed(model, taken.pixels, "cpu", tmp_path), first)
    monkeypatch.undo()
    embed(encoder(), taken.pixels, "cpu", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_damaged_weights_are_an_error(taken, tmp_path):
    model = encoder()
    next(model.backbone.parameters()).data.fill_(np.nan)
    with pytest.raises(ModelError, match="embeddings are not finite"):
        embed(model, taken.pixels, "cpu", tmp_path)


def test_patients_without_a_usable_cell_are_left_out_of_a_complete_intake(taken):
    assert taken.complete() is taken
    files = taken.features.files.copy()
    files.loc[taken.owner == 1, "ok"] = False
    spoiled = Intake(taken.table, taken.pixels, intake.FeatureFrame(taken.features.values, files))
    with pytest.raises(ModelError, match="1 of 3 patients have no cell that could be measured"):
        spoiled.cohort(np.zeros((len(files), 2)))
    whole = spoiled.complete()
    assert whole.table["id"].tolist() == taken.table["id"].iloc[[0, 2]].tolist()
    assert np.array_equal(whole.pixels.images, taken.pixels.images[taken.owner != 1])
    assert len(whole.cohort(np.zeros((len(whole.owner), 2)))) == 2
