"""A panel says the same after it was kept; the challenge's file has one line a patient without a label."""

import numpy as np
import pandas as pd
import pytest
import torch

from wbc_utils import panel
from wbc_utils.data import registry, synthetic
from wbc_utils.data.patients import read_lymph
from wbc_utils.data.tables import DataError
from wbc_utils.intake import Intake, embed
from wbc_utils.lymphocytosis import MixtureLearner, MixtureRecipe
from wbc_utils.manifest import Metric
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build
from wbc_utils.nested import ensemble
from wbc_utils.panel import Panel

RECIPE = MixtureRecipe(epochs=2, stages=1, hidden=4, components=3, pooling="attention")
CARD = {
    "threshold": 0.5, "image_px": 32, "field_px": 100.0, "data": [], "licence": "MIT", "seed": 0, "commit": "unknown",
    "metrics": {"lymph.balanced_accuracy": Metric(value=0.8, ci=(0.7, 0.9), n=24, split="out-of-fold")},
    "versions": {}, "intended_use": "Trying.", "limits": "Many.",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return registry.locate("lymph", synthetic.ensure(tmp_path_factory.mktemp("data"), 0))


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    torch.manual_seed(0)
    encoder = build("test_resnet", ["a", "b"]).eval()
    table = read_lymph(folder).table
    table = table[table["split"] == "train"].reset_index(drop=True)
    taken = Intake.of(table, folder, 32, 100, work).complete()
    cohort = taken.cohort(embed(encoder, taken.pixels, "cpu", work))
    members, *_ = ensemble(MixtureLearner(RECIPE), cohort, np.arange(len(cohort)), 2, 0)
    return Panel(members, encoder), cohort


@pytest.fixture(scope="module")
def kept(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "panel.safetensors"
    panel.save(path, trained[0], RECIPE, **CARD)
    return path


def test_a_panel_that_was_kept_says_the_same_to_the_bit(trained, kept):
    found, card = panel.load(kept)
    assert np.array_equal(found.malignant(trained[1]), trained[0].malignant(trained[1]))
    assert (card.members, card.threshold, len(card.features)) == (2, 0.5, 89)
    assert '"threshold": 0.5' in kept.with_suffix(".json").read_text()


def test_a_panel_is_the_mean_of_its_members(trained):
    made, cohort = trained
    expected = np.mean([member(cohort)["malignant"] for member in made.members], axis=0)
    assert made.malignant(cohort) == pytest.approx(expected)


def test_the_file_of_the_challenge_has_every_patient_without_a_label_and_no_other(kept, folder, tmp_path):
    said = []
    panel.diagnose(kept, folder, tmp_path / "out.csv", "cpu", say=said.append)
    found = pd.read_csv(tmp_path / "out.csv")
    table = read_lymph(folder).table
    assert list(found) == ["ID", "LABEL"]
    assert found["ID"].tolist() == table.loc[table["label"].isna(), "id"].tolist()
    assert set(found["LABEL"]) <= {0, 1}
    assert "6 patients" in said[0]
    assert "0.800" in said[-1]


def test_a_folder_without_patients_to_judge_is_refused(kept, folder, tmp_path):
    rows = (folder / "clinical_annotation.csv").read_text().splitlines()
    labelled = [row for row in rows if ",-1," not in row]
    (tmp_path / "clinical_annotation.csv").write_text("\n".join(labelled))
    (tmp_path / "trainset").symlink_to(folder / "trainset")
    with pytest.raises(DataError, match=r"split\(s\) test"):
        panel.diagnose(kept, tmp_path, tmp_path / "out.csv", "cpu", say=str)
    assert not (tmp_path / "out.csv").exists()


def test_a_test_folder_alone_is_enough(kept, folder, tmp_path):
    rows = (folder / "clinical_annotation.csv").read_text().splitlines()
    (tmp_path / "clinical_annotation.csv").write_text("\n".join([rows[0], *(row for row in rows if ",-1," in row)]))
    (tmp_path / "testset").symlink_to(folder / "testset")
    assert len(panel.diagnose(kept, tmp_path, tmp_path / "out.csv", "cpu", say=str)) == 6


def test_only_a_file_with_a_panel_is_one(kept, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"nothing")
    assert panel.is_panel(kept)
    assert not panel.is_panel(other)
    assert not panel.is_panel(tmp_path / "missing.safetensors")
    with pytest.raises(ModelError, match="holds no panel of mixtures"):
        panel.load(other)


def test_a_panel_is_kept_as_safetensors_and_with_one_frozen_encoder_only(trained, tmp_path):
    with pytest.raises(ModelError, match=r"does not end in \.safetensors"):
        panel.save(tmp_path / "panel.pt", trained[0], RECIPE, **CARD)
    with pytest.raises(ModelError, match="one frozen encoder"):
        panel.save(tmp_path / "a.safetensors", trained[0], MixtureRecipe(architecture="test_resnet"), **CARD)


def test_features_of_another_version_are_refused(kept, monkeypatch):
    monkeypatch.setattr(panel, "FEATURES", panel.FEATURES[1:])
    with pytest.raises(ModelError, match="other handmade features"):
        panel.load(kept)
