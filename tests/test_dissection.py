"""Factors exchanged one at a time: which recipes are tried, what is paired with what, which factors decide."""

from dataclasses import asdict

import pandas as pd
import pytest
from squares import squares

from wbc_utils import dissection
from wbc_utils.detection import DetectionRecipe
from wbc_utils.dissection import REPAIRED, REPORTED, decisive, dissect, exchange, gap, in_words
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
    assert gap(table) == 1
    assert decisive(table) == ({"learning rate": 1}, {"learning rate": 1})
    rows = table.set_index(["start", "factor"])
    assert rows.loc[(REPAIRED, ""), "AP"] == 1
    assert rows.loc[(REPORTED, ""), ["AP", "change", "change low", "change high"]].tolist() == [0, -1, -1, -1]
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
    assert decisive(table) == ({}, {"learning rate": 1, "warm-up": 1})


@pytest.mark.parametrize("finds", [lambda recipe: False, lambda recipe: True])
def test_where_the_two_ends_do_not_differ_no_factor_decides(take_apart, finds):
    table = take_apart(finds)
    assert decisive(table) == ({}, {})
    assert (
        in_words(table, "SSD") == "the budget does not suffice to tell the reported recipe of SSD from the repaired one"
    )


def told(*rows):
    """Return a table of the ends, 0.6 and 0.1, and of rows of start, factor, change and its bounds."""
    columns = ["start", "factor", "AP", "change", "change low", "change high"]
    ends = [(REPAIRED, "", 0.6, None, None, None), (REPORTED, "", 0.1, -0.5, -0.6, -0.4)]
    return pd.DataFrame(ends + [(start, factor, 0.0, *change) for start, factor, *change in rows], columns=columns)


def test_a_factor_decides_with_half_of_the_gap_and_an_interval_without_zero_and_the_strongest_comes_first():
    table = told(
        (REPAIRED, "a", -0.3, -0.4, -0.2), (REPAIRED, "b", -0.5, -0.6, -0.4), (REPAIRED, "c", -0.2, -0.3, -0.1),
        (REPAIRED, "d", -0.4, -0.9, 0.1), (REPORTED, "a", 0.4, 0.2, 0.5), (REPORTED, "b", 0.1, 0.05, 0.2),
        (REPORTED, "c", 0.3, -0.1, 0.5),
    )  # fmt: skip
    taken, given = decisive(table)
    assert list(taken.items()) == [("b", 0.5), ("a", 0.3)]
    assert given == {"a": 0.4}
    assert in_words(table, "RetinaNet") == (
        "of the 0.500 AP between the repaired and the reported recipe of RetinaNet, b alone (0.500), or a alone "
        "(0.300) takes away at least half; repaired, a alone (0.400) gives back at least half"
    )


def test_a_gap_whose_interval_holds_zero_is_none():
    table = told((REPAIRED, "a", -0.5, -0.6, -0.4))
    table.loc[table["start"] == REPORTED, "change high"] = 0.05
    assert decisive(table) == ({}, {})
    assert "does not suffice" in in_words(table, "SSD")


def test_where_no_single_factor_decides_that_is_said():
    table = told((REPAIRED, "a", -0.1, -0.2, -0.05), (REPORTED, "a", 0.1, 0.05, 0.3))
    assert in_words(table, "SSD") == (
        "of the 0.500 AP between the repaired and the reported recipe of SSD, no single setting takes away at least "
        "half; repaired, no single setting gives back at least half"
    )
