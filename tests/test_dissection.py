"""Factors exchanged one at a time: which recipes are tried, what is paired with what, which factors decide."""

from dataclasses import asdict

import pandas as pd
import pytest
from squares import squares

from wbc_utils import dissection
from wbc_utils.detection import DetectionRecipe
from wbc_utils.dissection import REPAIRED, REPORTED, decisive, dissect, exchange, in_words
from wbc_utils.models.postprocess import PREDICTION_COLUMNS
from wbc_utils.trials import AP, Trial

GOOD = DetectionRecipe(learning_rate=0.01, warmup_epochs=1.0, anchor_px=12)
BAD = {"learning rate": {"optimizer": "sgd", "learning_rate": 0.5}, "warm-up": {"warmup_epochs": 0.0}}


@pytest.fixture
def images():
    return squares(4), squares(6, seed=1)


@pytest.fixture
def take_apart(images, monkeypatch, tmp_path):
    """Return a function that dissects with told results: from a recipe, whether everything is found or nothing."""

    def run(finds):
        def told(images, left_out, recipe, **how):
            empty = pd.DataFrame(columns=list(PREDICTION_COLUMNS))
            found = left_out.truth.assign(score=0.9) if finds(recipe) else empty
            history = pd.DataFrame({"epoch": [1], AP: [1.0]})
            return Trial(history.assign(loss=1.0) if finds(recipe) else history, found)

        monkeypatch.setattr(dissection, "attempt", told)
        return dissect(*images, GOOD, BAD, seed=0, device="cpu", folder=tmp_path)

    return run


def changed(one, other):
    return {name: value for name, value in asdict(other).items() if value != getattr(one, name)}


def test_each_recipe_differs_from_its_start_in_one_factor():
    recipes = {(start, factor): recipe for start, factor, recipe in exchange(GOOD, BAD)}
    assert list(recipes) == [(start, factor) for start in (REPAIRED, REPORTED) for factor in ("", *BAD)]
    assert recipes[REPAIRED, ""] == GOOD
    assert changed(GOOD, recipes[REPORTED, ""]) == BAD["learning rate"] | BAD["warm-up"]
    for factor, fields in BAD.items():
        assert changed(GOOD, recipes[REPAIRED, factor]) == fields
        back = {name: getattr(GOOD, name) for name in fields}
        assert changed(recipes[REPORTED, ""], recipes[REPORTED, factor]) == back


def test_a_factor_that_alone_breaks_and_alone_repairs_decides(take_apart):
    table = take_apart(lambda recipe: recipe.learning_rate < 0.1)
    assert decisive(table) == (["learning rate"], ["learning rate"])
    rows = table.set_index(["start", "factor"])
    assert rows.loc[(REPAIRED, ""), "AP"] == 1
    assert rows.loc[(REPORTED, ""), "AP"] == 0
    assert rows.loc[(REPAIRED, "learning rate"), ["change", "change low", "change high"]].tolist() == [-1, -1, -1]
    assert rows.loc[(REPORTED, "learning rate"), ["change", "change low", "change high"]].tolist() == [1, 1, 1]
    assert rows.loc[(REPAIRED, "warm-up"), "change"] == 0
    assert rows.loc[(REPAIRED, "learning rate"), "diverged"]
    assert not rows.loc[(REPAIRED, "warm-up"), "diverged"]
    assert rows.loc[(REPAIRED, "warm-up"), "recipe"] == "repaired, but warm-up as reported"
    assert rows.loc[(REPORTED, "warm-up"), "recipe"] == "as reported, but warm-up repaired"
    assert rows.loc[(REPAIRED, "warm-up"), "set to"] == "warmup_epochs 0.0"
    assert rows.loc[(REPORTED, "learning rate"), "set to"] == "optimizer adamw, learning_rate 0.01"


def test_factors_that_break_only_together_break_nothing_alone_but_each_repairs(take_apart):
    table = take_apart(lambda recipe: recipe.learning_rate < 0.1 or recipe.warmup_epochs > 0)
    assert decisive(table) == ([], list(BAD))


def test_where_nothing_is_found_at_all_no_factor_decides(take_apart):
    assert decisive(take_apart(lambda recipe: False)) == ([], [])


COLUMNS = ["start", "factor", "change", "change low", "change high"]


def test_the_strongest_factor_comes_first_and_is_named_with_its_change():
    rows = [(REPAIRED, "a", -0.1, -0.2, -0.05), (REPAIRED, "b", -0.5, -0.6, -0.4), (REPAIRED, "c", -0.3, -0.7, 0.1)]
    rows += [(REPORTED, "a", 0.2, 0.1, 0.3), (REPORTED, "b", 0.1, 0.05, 0.2), (REPORTED, "c", 0.3, -0.1, 0.5)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    assert decisive(table) == (["b", "a"], ["a", "b"])
    assert in_words(table, "RetinaNet") == (
        "put alone into the repaired recipe of RetinaNet, the report's b and a each lower AP (b by 0.500); "
        "repaired alone in the reported recipe, a and b each raise it (a by 0.200)"
    )
    assert in_words(table[table["factor"] == "a"], "SSD") == (
        "put alone into the repaired recipe of SSD, the report's a lowers AP (a by 0.100); "
        "repaired alone in the reported recipe, a raises it (a by 0.200)"
    )


def test_what_cannot_be_told_is_said():
    rows = [(REPAIRED, "a", -0.1, -0.2, 0.05), (REPORTED, "a", 0.2, -0.1, 0.3)]
    assert in_words(pd.DataFrame(rows, columns=COLUMNS), "SSD") == (
        "none of the report's settings, put alone into the repaired recipe of SSD, lowers AP measurably; none of them, "
        "repaired alone in the reported recipe, raises it measurably"
    )
