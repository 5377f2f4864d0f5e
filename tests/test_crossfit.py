from dataclasses import replace

import numpy as np
import pytest

from wbc_utils import crossfit
from wbc_utils.classification import CellRecipe, Cells
from wbc_utils.crossfit import out_of_fold
from wbc_utils.models import ModelError

CLASSES = ("SNE", "LY")
RECIPE = CellRecipe(
    architecture="test_convnext", epochs=4, batch_size=8, learning_rate=3e-3, warmup_epochs=0.5, augmentation="none"
)
FOLDS = np.tile([0, 1], 20)
GROUPS = np.arange(40)


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    images = np.where(labels == 0, 70, 190)[:, None, None, None] + rng.normal(0, 20, (40, 32, 32, 3))
    return Cells(images.clip(0, 255).astype(np.uint8), np.arange(40), labels, CLASSES)


def test_easy_cells_are_told_apart_by_networks_that_did_not_see_them(cells, tmp_path):
    found = out_of_fold(cells, GROUPS, FOLDS, RECIPE, seed=0, device="cpu", folder=tmp_path)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == cells.labels).mean() > 0.9


def test_no_network_sees_a_cell_of_its_fold_or_its_validation_cells_while_it_learns(cells, tmp_path, monkeypatch):
    seen = []
    real = crossfit.train

    def spy(name, learned, validation, *args, **kwargs):
        seen.append((set(learned.rows), set(validation.rows)))
        return real(name, learned, validation, *args, **kwargs)

    monkeypatch.setattr(crossfit, "train", spy)
    out_of_fold(cells, GROUPS, FOLDS, replace(RECIPE, epochs=1), seed=0, device="cpu", folder=tmp_path)
    for fold, (learned, validation) in enumerate(seen):
        assert learned | validation == set(np.flatnonzero(fold != FOLDS))
        assert not learned & validation


def test_a_class_that_is_in_one_fold_only_is_refused_by_name(cells, tmp_path):
    with pytest.raises(ModelError, match="no training cell of SNE"):
        out_of_fold(cells, GROUPS, cells.labels, RECIPE, seed=0, device="cpu", folder=tmp_path)
