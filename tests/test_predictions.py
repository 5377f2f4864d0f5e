"""What a model said becomes a table, a submission and a paragraph; nothing is said of images that nobody could read."""

import numpy as np
import pandas as pd
import pytest
from cell_models import METRIC

from wbc_utils.labels import WBCBENCH_CODES
from wbc_utils.manifest import Metric
from wbc_utils.models.card import ModelCard
from wbc_utils.predictions import ABROAD, FilePredictions, count_reasons, file_name

CLASSES = ["BNE", "SNE", "ERB"]


@pytest.fixture
def found():
    return FilePredictions(
        names=["a/1.png", "a/2.png", "3.png", "4.png"],
        classes=CLASSES,
        probabilities=np.array([[0.7, 0.2, 0.1], [0.15, 0.4, 0.45], [np.nan] * 3, [0.1, 0.9, 0.0]]),
        reasons=["", "", "the file has zero bytes", ""],
        padded=np.array([True, False, False, True]),
    )


@pytest.fixture
def card():
    return ModelCard(
        architecture="convnext_atto", classes=tuple(CLASSES), stem_stride=None, image_px=32, field_cells=2.0,
        cell_px=16.0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), init="random", temperature=1.0, views=1, data=(),
        metrics={"pbc.macro_f1": METRIC}, licence="MIT", seed=0, commit="unknown", versions={},
        intended_use="Tests.", limits="Everything else.",
    )  # fmt: skip


def test_the_table_has_a_row_an_image_and_a_probability_each_class(found):
    table = found.table()
    assert list(table) == ["image", "label", "confidence", *CLASSES, "reason"]
    assert table["image"].tolist() == found.names
    assert table["label"].tolist() == ["BNE", "ERB", "", "SNE"]
    assert table["confidence"].tolist()[:2] == [0.7, 0.45]
    np.testing.assert_array_equal(table[CLASSES].to_numpy(), found.probabilities)


def test_an_unreadable_image_has_a_reason_and_nothing_else(found):
    row = found.table(min_confidence=0.5).iloc[2]
    assert row["reason"] == "the file has zero bytes"
    assert (row["label"], row["abstain"]) == ("", "")
    assert pd.isna(row[["confidence", *CLASSES]]).all()


def test_the_model_abstains_below_the_threshold_and_not_at_it(found):
    assert found.table(min_confidence=0.7)["abstain"].tolist() == ["no", "yes", "", "no"]
    assert "abstain" not in found.table()


def test_a_submission_has_the_best_class_of_wbcbench_and_file_names(found):
    submission = found.wbcbench()
    assert list(submission) == ["ID", "labels"]
    assert submission.to_numpy().tolist() == [["1.png", "BNE"], ["2.png", "SNE"], ["3.png", ""], ["4.png", "SNE"]]


def test_a_submission_says_what_it_cannot_say(found):
    text = found.about_wbcbench()
    assert "classes ERB are not among them: 1 images" in text
    assert f"does not know {', '.join(code for code in WBCBENCH_CODES if code not in CLASSES)} and" in text
    assert "1 images could not be read and have no label" in text


def test_a_submission_of_a_model_of_exactly_these_classes_needs_no_more_words():
    shares = np.full((1, 13), 1 / 13)
    whole = FilePredictions(["a"], list(WBCBENCH_CODES), shares, [""], np.array([False]))
    assert whole.about_wbcbench() == "Submission: one of the 13 classes of WBCBench for every image."


def test_the_summary_counts_images_classes_and_doubts_and_names_the_model(found, card):
    text = found.summary(card, min_confidence=0.8)
    for part in (
        "3 of 4 images labelled (1 × the file has zero bytes): BNE 1, SNE 1, ERB 1.",
        "Confidence is below 0.5 for 33.3% of them.",
        "abstains from 66.7% (confidence below 0.8).",
        "2 images are smaller than the field",
        "convnext_atto, init random, pbc.macro_f1 0.910 (95 % interval 0.900–0.920) (test, n = 800).",
        "Not a medical device",
    ):
        assert part in text


def test_the_summary_says_nothing_of_what_did_not_happen(found, card):
    first = FilePredictions(["a"], CLASSES, found.probabilities[:1], [""], np.array([False]))
    text = first.summary(card.model_copy(update={"metrics": {}}))
    assert text.startswith("1 of 1 images labelled: BNE 1. Confidence is below 0.5 for 0.0% of them. Model: ")
    assert "init random, without a metric in its card." in text


def test_the_summary_says_how_well_the_model_did_on_images_of_another_laboratory(found, card):
    assert "it may be right less often than its confidence says" in found.summary(card)
    metrics = {**card.metrics, "segwbc.accuracy_e": Metric(value=0.05, ci=(0.03, 0.08), n=296, split=ABROAD)}
    text = found.summary(card.model_copy(update={"metrics": metrics}))
    assert "On images of another laboratory it had segwbc.accuracy_e 0.050 (95 % interval 0.030–0.080)" in text
    assert "it may be right" not in text


def test_reasons_are_counted_the_most_frequent_first():
    assert count_reasons(["b", "", "a", "b"]) == "2 × b, 1 × a"


@pytest.mark.parametrize("name", ["x/y/1.png", "x\\y\\1.png", "1.png"])
def test_a_file_name_is_the_last_part_of_a_path(name):
    assert file_name(name) == "1.png"
