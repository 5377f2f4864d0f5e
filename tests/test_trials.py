"""Trials: what one training leaves, and what cross-validation chooses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from squares import squares

from wbc_utils import trials
from wbc_utils.detection import DetectionRecipe
from wbc_utils.fit import FitError
from wbc_utils.models.postprocess import PREDICTION_COLUMNS
from wbc_utils.trials import AP, FIRST_LOOK, FOLDS, Trial, attempt, sweep

RECIPE = DetectionRecipe(
    architecture="retinanet_test_resnet", image_px=(32, 32), anchor_px=6, epochs=2, batch_size=2, learning_rate=1e-3,
    warmup_epochs=0.5, schedule="constant",
)  # fmt: skip
HOW = {"seed": 0, "device": "cpu"}


@pytest.fixture(autouse=True)
def _thin_pyramids(monkeypatch):
    monkeypatch.setattr("wbc_utils.models.detector_init._CHANNELS", 64)


def told(ap):
    """Return what stands in for a training: AP by rate, epoch and first image left out; it remembers its calls."""
    calls = []

    def run(images, left_out, recipe, seed, device):
        calls.append((recipe.learning_rate, recipe.epochs, left_out.names))
        epochs = range(1, recipe.epochs + 1)
        rows = {"epoch": epochs, "loss": 1.0, AP: [ap(recipe.learning_rate, e, left_out.names[0]) for e in epochs]}
        found = pd.DataFrame([(left_out.names[0], "RBC", recipe.learning_rate, 0.0, 0.0, 9.0, 9.0)])
        return Trial(pd.DataFrame(rows), found.set_axis(list(PREDICTION_COLUMNS), axis=1))

    run.calls = calls
    return run


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """Return a function that sweeps three folds of six images with told results."""

    def run(ap, recipe=RECIPE, rates=(0.1, 0.01), **options):
        stand_in = told(ap)
        monkeypatch.setattr(trials, "_attempt", stand_in)
        asked = {"rotations": 3, "scout_epochs": 1, "finalists": len(rates), "folder": tmp_path, **HOW, **options}
        return sweep(squares(6), np.array([0, 1, 2, 0, 1, 2]), recipe, rates, **asked), stand_in.calls

    return run


def test_an_attempt_is_judged_on_the_images_left_out_and_read_again(tmp_path, monkeypatch):
    first = attempt(squares(4), squares(2, seed=1), RECIPE, folder=tmp_path, **HOW)
    assert list(first.history["epoch"]) == [1, 2]
    assert not first.diverged
    assert set(first.predictions["image"]) <= {"1-0.png", "1-1.png"}
    monkeypatch.setattr(trials, "train", None)
    again = attempt(squares(4), squares(2, seed=1), RECIPE, folder=tmp_path, **HOW)
    pd.testing.assert_frame_equal(again.history, first.history)
    pd.testing.assert_frame_equal(again.predictions, first.predictions)
    assert not list(tmp_path.glob("*.pt"))


@pytest.mark.parametrize("change", ["images", "left_out", "recipe", "seed"])
def test_another_attempt_is_not_taken_for_the_same(change, tmp_path, monkeypatch):
    stand_in = told(lambda rate, epoch, name: 0.5)
    monkeypatch.setattr(trials, "_attempt", stand_in)
    asked = {"images": squares(4), "left_out": squares(2, seed=1), "recipe": RECIPE, "seed": 0}
    other = {"images": squares(5), "left_out": squares(3, seed=1), "recipe": replace(RECIPE, clip=2.0), "seed": 1}
    for some in (asked, asked | {change: other[change]}, asked):
        attempt(**some, device="cpu", folder=tmp_path)
    assert len(stand_in.calls) == 2


def test_a_training_that_diverges_is_a_result_with_an_ap_of_zero(tmp_path):
    wild = replace(RECIPE, optimizer="sgd", learning_rate=1e12, clip=None)
    found = attempt(squares(4), squares(2, seed=1), wild, folder=tmp_path, **HOW)
    assert found.diverged
    assert list(found.history[AP]) == [0, 0]
    assert found.predictions.empty
    assert list(found.predictions) == list(PREDICTION_COLUMNS)


def test_the_rate_and_epoch_of_the_highest_mean_over_the_folds_are_chosen(choose):
    fold_of = {"0-0.png": 0, "0-1.png": 1, "0-2.png": 2}
    ap = {0.1: [[0.9, 0.0, 0.0], [0.2, 0.2, 0.2]], 0.01: [[0.3, 0.4, 0.5], [0.1, 0.0, 0.2]]}
    found, calls = choose(lambda rate, epoch, name: ap[rate][epoch - 1][fold_of[name]])
    assert (found.recipe.learning_rate, found.recipe.epochs) == (0.01, 1)
    curves = found.curves().set_index(["rate", "epoch"])
    assert curves.loc[(0.01, 1), "mean"] == pytest.approx(0.4)
    assert curves.loc[(0.01, 1), "sd"] == pytest.approx(0.1)
    assert set(curves["folds"]) == {3}
    assert len(calls) == 6
    assert set(found.scores["stage"]) == {FOLDS}
    assert set(found.predictions["score"]) == {0.01}
    assert set(found.predictions["image"]) == set(fold_of)


def test_each_image_is_left_out_of_the_training_that_judges_it(choose):
    _, calls = choose(lambda rate, epoch, name: 0.5, rates=(0.1,))
    assert [names for _, _, names in calls] == [("0-0.png", "0-3.png"), ("0-1.png", "0-4.png"), ("0-2.png", "0-5.png")]


def test_a_first_look_on_one_fold_chooses_the_finalists(choose):
    best = {0.1: 0.1, 0.05: 0.5, 0.01: 0.4}
    found, calls = choose(lambda rate, epoch, name: best[rate], rates=tuple(best), finalists=2, rotations=2)
    assert [(rate, epochs) for rate, epochs, _ in calls[:3]] == [(0.1, 1), (0.05, 1), (0.01, 1)]
    assert {names for _, _, names in calls[:3]} == {("0-0.png", "0-3.png")}
    assert [rate for rate, _, _ in calls[3:]] == [0.05, 0.05, 0.01, 0.01]
    assert found.recipe.learning_rate == 0.05
    frame = found.frame().set_index(["stage", "learning rate"])
    assert list(frame.index) == [(FIRST_LOOK, "0.1"), (FIRST_LOOK, "0.05"), (FIRST_LOOK, "0.01"),
                                 (FOLDS, "0.05"), (FOLDS, "0.01")]  # fmt: skip
    assert frame.loc[(FOLDS, "0.05"), "folds"] == 2
    drawn = found.curves().groupby("rate")[["epoch", "folds"]].max()
    assert drawn.loc[0.1].tolist() == [1, 1]
    assert drawn.loc[0.05].tolist() == [2, 2]


def test_of_equal_rates_the_first_is_chosen(choose):
    assert choose(lambda rate, epoch, name: 0.0)[0].recipe.learning_rate == 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": replace(RECIPE, schedule="cosine")}, "schedule cosine ends with the last epoch"),
        ({"rotations": 4}, "rotations is 4; give a number from 1 to 3"),
        ({"finalists": 0}, "finalists is 0; give a number from 1 to 2"),
    ],
)
def test_what_cannot_be_swept_is_named(choose, options, message):
    with pytest.raises(FitError, match=message):
        choose(lambda rate, epoch, name: 0.5, **options)
