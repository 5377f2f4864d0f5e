"""Scores from confusion matrices, against scikit-learn and by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from wbc_utils.metrics import MetricError
from wbc_utils.metrics import classification as scores

ORDER = ["MY", "MMY", "BNE", "SNE"]
BY_HAND = np.array([[8, 2, 0], [1, 4, 0], [0, 0, 0]])

matrices = hnp.arrays(int, (4, 4), elements=st.integers(0, 20)).filter(lambda counts: counts.sum() > 0)


def items(counts):
    """Return the labels and predictions that a confusion matrix counts."""
    true, predicted = np.nonzero(counts)
    numbers = counts[true, predicted]
    return np.repeat(true, numbers), np.repeat(predicted, numbers)


def test_confusion_counts_true_rows_and_predicted_columns():
    found = scores.confusion(["MY", "MY", "SNE"], ["MY", "SNE", "SNE"], ["SNE", "MY"])
    assert found.tolist() == [[1, 0], [1, 1]]


def test_labels_may_be_a_series_with_any_index():
    labels = pd.Series(["MY", "SNE"], index=[7, 3])
    assert scores.confusion(labels, labels[::-1], ["MY", "SNE"]).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "order", "message"),
    [
        (["MY"], ["PC"], ORDER, r"\['PC'\] are not in the order"),
        (["MY"], ["MY", "MY"], ORDER, "1 true and 2 predicted labels"),
        ([], [], ORDER, "0 true and 0 predicted labels"),
        (["MY"], ["MY"], ["MY", "MY"], "names a class twice"),
    ],
)
def test_labels_that_cannot_be_counted_are_refused(y_true, y_pred, order, message):
    with pytest.raises(MetricError, match=message):
        scores.confusion(y_true, y_pred, order)


def test_scores_of_each_class_follow_their_definition():
    assert scores.precision(BY_HAND) == pytest.approx([8 / 9, 4 / 6, np.nan], nan_ok=True)
    assert scores.recall(BY_HAND) == pytest.approx([8 / 10, 4 / 5, np.nan], nan_ok=True)
    assert scores.f1(BY_HAND) == pytest.approx([16 / 19, 8 / 11, np.nan], nan_ok=True)
    assert scores.macro_f1(BY_HAND) == pytest.approx((16 / 19 + 8 / 11) / 2)
    assert scores.accuracy(BY_HAND) == pytest.approx(12 / 15)


def test_class_scores_are_a_table_in_the_given_order():
    table = scores.class_scores(BY_HAND, ["MY", "MMY", "BNE"])
    assert table["class"].tolist() == ["MY", "MMY", "BNE"]
    assert table["n"].tolist() == [10, 5, 0]
    assert table["F1"].tolist() == pytest.approx([16 / 19, 8 / 11, np.nan], nan_ok=True)


@given(counts=matrices)
def test_scores_equal_those_of_scikit_learn(counts):
    y_true, y_pred = items(counts)
    assert scores.confusion(y_true, y_pred, range(4)).tolist() == counts.tolist()
    assert scores.macro_f1(counts) == pytest.approx(sk.f1_score(y_true, y_pred, average="macro"))
    assert scores.accuracy(counts) == pytest.approx(sk.accuracy_score(y_true, y_pred))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(y_true, y_pred, labels=range(4), zero_division=np.nan)
    assert scores.precision(counts) == pytest.approx(precision, nan_ok=True)
    assert scores.recall(counts) == pytest.approx(recall, nan_ok=True)
    defined = ~np.isnan(scores.f1(counts))
    assert scores.f1(counts)[defined] == pytest.approx(f1[defined])


@given(stack=hnp.arrays(int, (3, 4, 4), elements=st.integers(0, 20)))
def test_a_stack_of_matrices_gives_the_score_of_each(stack):
    for score in (scores.precision, scores.recall, scores.f1, scores.macro_f1, scores.accuracy):
        np.testing.assert_array_equal(score(stack), [score(counts) for counts in stack])


@given(labels=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_balanced_accuracy_is_scikit_learns(labels):
    true, said = zip(*labels, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes that are predicted and never true
        wanted = sk.balanced_accuracy_score(true, said)
    assert scores.balanced_accuracy(scores.confusion(list(true), list(said), list("abc"))) == pytest.approx(wanted)


def test_macro_f1_of_no_items_is_undefined():
    assert np.isnan(scores.macro_f1(np.zeros((3, 3))))


def test_share_of_errors_counts_a_pair_both_ways_and_ignores_absent_classes():
    counts = np.array([[9, 3, 0, 0], [1, 9, 0, 2], [0, 0, 9, 2], [0, 0, 2, 9]])
    pairs = [("MMY", "MY"), ("SNE", "BNE"), ("PLY", "LY")]
    assert scores.share_of_errors_within(counts, pairs, ORDER) == pytest.approx(8 / 10)


def test_errors_without_similarity_fall_on_classes_by_their_frequency():
    counts = np.array([[8, 1, 1], [0, 20, 0], [5, 5, 20]])
    # two errors of MY among 20 MMY and 30 BNE; MMY has none
    assert scores.share_expected_by_chance(counts, [("MMY", "MY")], ["MY", "MMY", "BNE"]) == pytest.approx(
        2 * 20 / 50 / 12
    )


@given(counts=matrices)
def test_all_pairs_together_hold_all_errors(counts):
    every = [(one, other) for place, one in enumerate(ORDER) for other in ORDER[place + 1 :]]
    found = scores.share_of_errors_within(counts, every, ORDER)
    expected = scores.share_expected_by_chance(counts, every, ORDER)
    errors = counts.sum() > np.trace(counts)
    several = (counts.sum(axis=1) > 0).sum() > 1
    assert found == 1 if errors else np.isnan(found)
    assert expected == pytest.approx(1) if errors and several else np.isnan(expected)
