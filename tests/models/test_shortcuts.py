"""A probe finds a planted shortcut, and none where there is none."""

import numpy as np
import pandas as pd
import pytest
from smears import CREAM, GREY, smear, write

from wbc_utils.images.surroundings import SURROUNDINGS, measure_surroundings
from wbc_utils.models import ModelError
from wbc_utils.models.shortcuts import Question, balanced_accuracy, counterfactual, probe, transfer
from wbc_utils.models.table import FeatureTable

BOTH = {"MY": "MY", "SNE": "SNE"}


@pytest.fixture(scope="module")
def labels():
    return np.array(["MY", "SNE"] * 30)


def probed(folder, labels, slides):
    """Photograph a cell of each label on its slide, in noise, and ask for the label."""
    rng = np.random.default_rng(0)
    files = []
    for number, (label, slide) in enumerate(zip(labels, slides, strict=True)):
        cell = {"radius": 40 if label == "MY" else 30, "noise": 2.0, "seed": number}
        painted = smear(np.array(slide) - rng.integers(0, 6, 3), **cell)
        files.append(write(folder / f"{number}.png", painted))
    measures = measure_surroundings(files, workers=1)
    assert (measures["reason"] == "").all()
    question = Question.of("which", labels, BOTH)
    number = np.arange(len(labels))
    return probe(measures, SURROUNDINGS, [question], number, number // 2 % 5, seed=0).set_index("measures")


def test_a_planted_slide_colour_is_found(tmp_path, labels):
    found = probed(tmp_path, labels, [GREY if label == "MY" else CREAM for label in labels])
    planted = found.loc["colour of the slide"]
    assert planted["balanced accuracy"] == 1
    assert (planted["n"], planted["chance"]) == (60, 0.5)


def test_without_a_planted_colour_nothing_is_found_though_the_cells_differ(tmp_path, labels):
    slides = np.array([GREY, CREAM])[np.random.default_rng(1).permutation(np.repeat([0, 1], 30))]
    found = probed(tmp_path, labels, slides)
    assert (found["low"] <= 0.5).all()
    assert (found["balanced accuracy"] < 0.75).all()


def test_cells_that_are_not_asked_about_take_no_part(clouds):
    features, y = clouds({"SNE": 20, "LY": 20, "MO": 15})
    measures = pd.DataFrame(features, columns=["across", "up", "noise", "more"])
    question = Question.of("SNE or LY", y, {"SNE": "granular", "LY": "not"})
    number = np.arange(len(y))
    kinds = {"across": ["across"], "noise": ["noise"]}
    found = probe(measures, kinds, [question], number, number % 4, seed=0).set_index("measures")
    assert found["n"].tolist() == [40, 40]
    assert found.loc["across", "low"] > 0.9
    assert found.loc["noise", "low"] < 0.5


def test_rare_answers_count_as_much_as_common_ones(clouds):
    """Who always gives the common answer has a balanced accuracy of one half."""
    assert balanced_accuracy(np.array([[90, 0], [10, 0]])) == 0.5
    assert balanced_accuracy(np.array([[8, 2, 0], [0, 0, 0], [5, 0, 5]])) == pytest.approx(0.65)
    assert balanced_accuracy(np.stack([np.eye(2), 1 - np.eye(2)])).tolist() == [1, 0]


def test_a_question_with_one_answer_is_refused(labels):
    with pytest.raises(ModelError, match=r"'which' has 1 answer\(s\).*allowed labels are MY, LY"):
        Question.of("which", labels, {"MY": "MY", "LY": "LY"})


@pytest.fixture(scope="module")
def lit():
    """Return cells whose class shows weakly in the shape and entirely in the light."""
    rng = np.random.default_rng(0)
    y = np.repeat(["IG", "MY", "LY"], 40)
    shape = np.array([{"IG": 0, "MY": 0, "LY": 6}[label] for label in y]) + rng.normal(0, 1, len(y))
    light = np.where(y == "IG", 5, 0) + rng.normal(0, 0.2, len(y))
    return FeatureTable(
        np.column_stack([shape, light]), y, np.arange(len(y)), np.arange(len(y)) % 4, ["shape", "light"]
    )


def test_cells_that_were_known_by_their_light_are_siblings_under_another(lit):
    rows = np.flatnonzero(lit.y == "IG")
    found = counterfactual(lit, rows, lit.features[rows] - [0, 5], seed=0)
    assert found["true"].unique().tolist() == ["IG"]
    assert (found["as it is"] == "IG").mean() > 0.9
    assert (found["changed"] == "MY").mean() > 0.9


def test_changed_cells_are_never_learnt_from(lit):
    """Changed cells that teach would make the light useless for all."""
    rows = np.flatnonzero(lit.y == "LY")
    found = counterfactual(lit, rows, np.tile([0.0, 5.0], (40, 1)), seed=0)
    assert (found["as it is"] == "LY").all()
    assert (found["changed"] == "IG").all()


def test_a_classifier_that_relies_on_the_light_fails_elsewhere(lit):
    cells = lit.features, lit.y, lit.groups
    dark = lit.features - [0, 5], lit.y, lit.groups
    found = transfer(lit, {"same light": cells, "no light": dark}, seed=0).set_index(["place", "class"])
    assert found.loc[("home", "mean"), "recall"] > 0.9
    assert found.loc[("same light", "IG"), "recall"] > 0.9
    assert found.loc[("no light", "IG"), "high"] < 0.2
    assert found.loc[("no light", "mean"), "n"] == 120


def test_the_mean_is_over_classes_that_occur_everywhere(lit):
    some = lit.y != "IG"
    found = transfer(lit, {"there": (lit.features[some], lit.y[some], lit.groups[some])}, seed=0)
    table = found.set_index(["place", "class"])["recall"]
    for place in ("home", "there"):
        assert table[place]["mean"] == pytest.approx((table[place]["LY"] + table[place]["MY"]) / 2)
    assert "IG" not in table["there"]
    assert "IG" in table["home"]


def test_a_class_that_home_lacks_is_refused(lit):
    with pytest.raises(ModelError, match=r"\['MO'\] occur elsewhere"):
        transfer(lit, {"there": (lit.features[:2], ["IG", "MO"], [0, 1])}, seed=0)


def test_recall_at_home_is_out_of_fold():
    """Labels without meaning are learnt by heart and not recalled."""
    rng = np.random.default_rng(0)
    y = np.repeat(["LY", "MO"], 40)
    table = FeatureTable(rng.normal(size=(80, 30)), y, np.arange(80), np.arange(80) % 4, [str(k) for k in range(30)])
    found = transfer(table, {"by heart": (table.features, y, table.groups)}, seed=0).set_index(["place", "class"])
    assert found.loc[("home", "mean"), "recall"] < 0.75
    assert found.loc[("by heart", "mean"), "recall"] > 0.95
