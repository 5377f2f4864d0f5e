import numpy as np
import pandas as pd
import pytest
import torch

from wbc_utils import robustness
from wbc_utils.classification import CellRecipe, Cells
from wbc_utils.fit import Fitted
from wbc_utils.images.corruptions import KINDS, SEVERITIES
from wbc_utils.ladder import Rung
from wbc_utils.metrics import MetricError
from wbc_utils.metrics import classification as scores
from wbc_utils.models.backbones import build

CLASSES = ("BNE", "SNE", "LY")


def rung(shares):
    """Return a classifier that gives every cell the same probabilities."""
    model = build("test_convnext", CLASSES)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor(shares).log())
    return Rung(CellRecipe(architecture="test_convnext"), Fitted(model, pd.DataFrame(), 1, 0), {})


GROUPS = np.arange(6)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def test_every_kind_starts_clean_and_has_every_severity():
    cells = Cells.of(IMAGES, ["BNE", "SNE", "LY"] * 2, CLASSES)
    found = robustness.by_severity({"one": rung([0.2, 0.2, 0.6])}, cells, np.arange(6), 0, "cpu")
    assert [tuple(row) for row in found[["kind", "severity"]].to_numpy()[: len(KINDS)]] == [(kind, 0) for kind in KINDS]
    assert found.groupby("kind")["severity"].agg(set).tolist() == [{0, *SEVERITIES}] * len(KINDS)


def test_a_classifier_that_never_looks_scores_the_same_at_every_severity():
    cells = Cells.of(IMAGES, ["BNE", "SNE", "LY"] * 2, CLASSES)
    found = robustness.by_severity({"blind": rung([0.2, 0.2, 0.6])}, cells, np.arange(6), 0, "cpu")
    # all cells called LY: F1 of LY is 2·2/(2·2 + 4) = ½, of the others 0
    np.testing.assert_allclose(found["value"], 0.5 / 3)


def test_probabilities_of_merged_classes_are_added_before_the_largest_is_taken():
    merged = {"BNE": "NEUTROPHIL", "SNE": "NEUTROPHIL"}
    codes = ["NEUTROPHIL"] * 4 + ["LY"] * 2
    found = robustness.elsewhere(rung([0.3, 0.3, 0.4]), IMAGES, codes, GROUPS, merged, 1.0, "cpu")
    assert found.classes == ("NEUTROPHIL", "LY")
    np.testing.assert_allclose(found.probabilities, [[0.6, 0.4]] * 6, rtol=1e-5)
    assert scores.accuracy(found.confusion()) == pytest.approx(4 / 6)


def test_an_answer_that_the_other_laboratory_does_not_use_counts_as_wrong():
    found = robustness.elsewhere(rung([0.6, 0.2, 0.2]), IMAGES, ["LY"] * 6, GROUPS, {}, 1.0, "cpu")
    assert scores.accuracy(found.confusion()) == 0
    assert found.classes == CLASSES


def test_a_foreign_label_that_can_never_be_given_is_refused_by_name():
    with pytest.raises(MetricError, match="labels EO are none of BNE, SNE, LY"):
        robustness.elsewhere(rung([0.3, 0.3, 0.4]), IMAGES, ["EO"] * 6, GROUPS, {}, 1.0, "cpu")
