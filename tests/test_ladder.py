"""Scores of rungs with their intervals, the table of the ladder, and which rung is chosen by what."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from wbc_utils import ladder
from wbc_utils.classification import CellRecipe, Cells
from wbc_utils.fit import Fitted
from wbc_utils.ladder import Rung, Scored
from wbc_utils.metrics import MetricError, calibration
from wbc_utils.metrics.bootstrap import grouped_interval
from wbc_utils.metrics.classification import accuracy, macro_f1, recall

CLASSES = ("SNE", "LY", "EO")
LABELS = np.arange(60) % 3


def scored(wrong=0, sure=4.0, temperature=1.0):
    """Return answers of which the first ones are wrong: the next class is named instead of the true one."""
    named = LABELS.copy()
    named[:wrong] = (named[:wrong] + 1) % 3
    return Scored(sure * np.eye(3)[named][None], LABELS, np.arange(60) // 2, CLASSES, temperature)


def rung(validation, test, recipe=None, **fitted):
    known = {"history": pd.DataFrame({"seconds": [1.5, 2.0]}), "best_epoch": 2, "peak_memory": 3 * 2**30}
    model = nn.Linear(999, 1000)
    parts = {"validation": scored(validation), "test": scored(test)}
    return Rung(recipe or CellRecipe(), Fitted(model, **{**known, **fitted}), parts)


def test_answers_are_the_most_probable_classes_and_counted_in_rows_of_the_truth():
    found = scored(wrong=6)
    assert found.predicted[:7].tolist() == [1, 2, 0, 1, 2, 0, 0]
    assert found.confusion().tolist() == [[18, 2, 0], [0, 18, 2], [2, 0, 18]]


def test_probabilities_are_those_of_the_mean_logits_of_the_views():
    logits = np.log([[[0.9, 0.05, 0.05]], [[0.1, 0.8, 0.1]]])
    found = Scored(logits, np.array([0]), np.array([0]), CLASSES)
    roots = np.sqrt([0.09, 0.04, 0.005])
    assert found.probabilities == pytest.approx((roots / roots.sum())[None])


def test_a_subset_keeps_what_was_said_of_its_cells():
    found, chosen = scored(wrong=6), np.arange(60) < 6
    assert found.subset(chosen).confusion().trace() == 0
    assert found.subset(~chosen).groups.tolist() == found.groups[6:].tolist()


def test_a_temperature_fitted_to_the_mean_logits_is_the_best_for_the_probabilities():
    one = scored(6, sure=3.0)
    several = replace(one, logits=np.concatenate([one.logits, one.logits * 0.5]))
    fitted = calibration.fit_temperature(several.logits.mean(axis=0), several.labels)
    losses = [
        calibration.nll(several.tempered(factor * fitted).probabilities, several.labels) for factor in (0.9, 1, 1.1)
    ]
    assert losses[1] == min(losses)


def test_a_temperature_divides_the_logits_and_leaves_the_answers():
    found, cooler = scored(6, sure=2.0), scored(6, sure=2.0).tempered(0.5)
    assert cooler.probabilities == pytest.approx(scored(6, sure=4.0).probabilities)
    assert cooler.predicted.tolist() == found.predicted.tolist()
    assert found.temperature == 1.0
    assert found.tempered(1.0).probabilities == pytest.approx(found.probabilities)


def test_the_interval_resamples_groups_and_takes_any_score():
    found = scored(9)
    truth, named = LABELS, found.predicted
    score = found.interval(seed=5)
    assert score.value == pytest.approx(f1_score(truth, named, average="macro"))
    assert score == grouped_interval(truth, named, np.arange(60) // 2, macro_f1, range(3), 5)
    assert score.n == 30
    assert score.low < score.value < score.high
    assert found.interval(5, accuracy).value == pytest.approx(51 / 60)
    assert found.interval(5, recall).value == pytest.approx([17 / 20] * 3)


def test_the_gain_is_the_difference_of_the_scores_and_changes_sign_with_the_order():
    better, worse = scored(2), scored(20)
    gain, loss = better.gain_over(worse, 0), worse.gain_over(better, 0)
    assert gain.value == pytest.approx(better.interval(0).value - worse.interval(0).value)
    assert 0 < gain.low < gain.value < gain.high
    assert (loss.value, loss.low, loss.high) == pytest.approx((-gain.value, -gain.high, -gain.low), abs=0.01)
    nothing = better.gain_over(better, 0)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_a_gain_over_answers_to_other_cells_is_refused():
    other = Scored(np.zeros((1, 5, 3)), np.zeros(5, int), np.arange(5), CLASSES)
    with pytest.raises(MetricError):
        scored().gain_over(other, 0)
    with pytest.raises(MetricError, match="other cells"):
        scored().gain_over(replace(scored(), labels=np.roll(LABELS, 1)), 0)


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy():
    found = scored(wrong=12, sure=np.log(6.0))  # confidence 6 / 8, right in 48 of 60
    error = found.ece(0)
    assert error.value == pytest.approx(0.05)
    assert error.low <= error.value <= error.high
    assert found.tempered(np.log(6) / np.log(8)).ece(0).value == pytest.approx(0, abs=1e-9)  # confidence 8 / 10


def test_the_table_has_a_row_a_rung_with_scores_gains_and_costs():
    rungs = {"a": rung(10, 8), "b": rung(4, 6, CellRecipe(gamma=2.0, mix=("mixup", "cutmix"), balanced=True))}
    table = ladder.frame(rungs, {"b": "a"}, seed=0)
    assert list(table) == [
        "rung", "changes", "validation", "test", "low", "high", "epoch", "seconds", "GiB", "parameters, M",
        "gain", "gain low", "gain high",
    ]  # fmt: skip
    first, second = table.to_dict("records")
    assert [first["rung"], first["changes"]] == ["a", "the start"]
    assert second["changes"] == "a with gamma 2.0, mix mixup + cutmix, balanced on"
    assert first["validation"] == pytest.approx(f1_score(LABELS, scored(10).predicted, average="macro"))
    assert second["test"] == pytest.approx(f1_score(LABELS, scored(6).predicted, average="macro"))
    assert second["low"] < second["test"] < second["high"]
    assert second["gain"] == pytest.approx(second["test"] - first["test"])
    assert second["gain low"] < second["gain"] < second["gain high"]
    assert np.isnan(first["gain"])
    assert [first["epoch"], first["seconds"], first["GiB"], first["parameters, M"]] == [2, 3.5, 3.0, 1.0]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"mix": ("mixup",)}, {"mix": ()}, "mix none"),
        ({"balanced": True, "clip": 1.0}, {"balanced": False, "clip": None}, "clip none, balanced off"),
        ({"epochs": 9}, {"epochs": 4, "freeze_epochs": 4, "balanced": True}, "a new head only, epochs 4, balanced on"),
        ({}, {"epochs": 4, "freeze_epochs": 2}, "epochs 4, freeze_epochs 2"),
        ({}, {}, "nothing changed"),
    ],
)
def test_changes_are_said_in_words(before, after, words):
    rungs = {"a": rung(0, 0, CellRecipe(**before)), "b": rung(0, 0, CellRecipe(**after))}
    assert ladder.frame(rungs, {"b": "a"}, 0)["changes"].tolist() == ["the start", f"a with {words}"]


def test_the_best_rung_is_chosen_on_validation_whatever_the_test_says():
    assert ladder.best({"a": rung(9, 0), "b": rung(3, 30), "c": rung(6, 6)}) == "b"
    assert ladder.best({"a": rung(3, 30), "b": rung(3, 0)}) == "a"


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    """Return a rung, one with a new head on it, and the parts."""
    rng, codes = np.random.default_rng(0), [CLASSES[number] for number in LABELS]
    images = (rng.integers(0, 80, (60, 32, 32, 3)) + 60 * LABELS[:, None, None, None]).astype(np.uint8)
    everyone = Cells.of(images, codes, CLASSES)
    rows = {"train": slice(0, 36), "validation": slice(36, 48), "test": slice(48, 60)}
    parts = {part: everyone.subset(np.arange(60)[chosen]) for part, chosen in rows.items()}
    groups = {part: np.arange(60)[chosen] for part, chosen in rows.items()}
    recipe = CellRecipe(
        architecture="test_convnext", epochs=2, batch_size=12, augmentation="none", views=8, temperature=0.8
    )
    settings = {"seed": 0, "device": "cpu", "folder": tmp_path_factory.mktemp("checkpoints")}
    first = ladder.climb("a", recipe, parts, groups, **settings)
    head = replace(recipe, epochs=1, balanced=True, views=1)
    second = ladder.climb("head", head, parts, groups, start=first, **settings)
    return first, second, parts


def test_a_rung_is_scored_on_validation_and_test_as_its_recipe_says(climbed):
    first, second, parts = climbed
    assert set(first.scored) == {"validation", "test"}
    for part, found in first.scored.items():
        assert found.logits.shape == (8, 12, 3)
        assert found.labels.tolist() == parts[part].labels.tolist()
        assert found.temperature == 0.8
        assert found.classes == CLASSES
    assert first.scored["test"].groups.tolist() == list(range(48, 60))
    assert second.scored["test"].logits.shape == (1, 12, 3)


def test_a_rung_on_another_one_keeps_its_backbone_and_says_so(climbed):
    first, second, _ = climbed
    one, other = (found.fitted.model.backbone.state_dict() for found in (first, second))
    assert all(torch.equal(one[name], other[name]) for name in one)
    changes = ladder.frame({"a": first, "head": second}, {"head": "a"}, 0)["changes"].iloc[1]
    assert changes == "a with a new head only, epochs 1, balanced on, views 1"
