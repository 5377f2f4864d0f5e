"""Likely label errors, by hand and where they were planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.metrics import MetricError
from wbc_utils.metrics.calibration import softmax
from wbc_utils.metrics.confident import confident_joint, label_issues, margin

# thresholds are the mean self-confidence: 0.6 of class 0 (0.9, 0.8, 0.1), 0.8 of class 1
FIRST = np.array([0.9, 0.8, 0.1, 0.2, 0.2, 0.2])
BY_HAND = np.column_stack([FIRST, 1 - FIRST])
GIVEN = np.array([0, 0, 0, 1, 1, 1])


def planted(n, share, seed=0):
    """Return probabilities of a good model, labels of which a share is wrong, and which are."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, n)
    wrong = rng.random(n) < share
    given_ = np.where(wrong, (true + 1) % 4, true)
    logits = rng.normal(0, 1, (n, 4))
    logits[np.arange(n), true] += 5
    return softmax(logits), given_, wrong


def test_the_margin_is_the_probability_of_the_label_less_the_largest_other():
    found = margin([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], [0, 2])
    assert found == pytest.approx([0.2, -0.3])


def test_the_confident_joint_by_hand():
    assert confident_joint(BY_HAND, GIVEN).tolist() == [[2, 1], [0, 3]]


def test_an_item_below_every_threshold_is_not_counted_and_its_row_is_scaled():
    probabilities = np.vstack([BY_HAND, [[0.55, 0.45]] * 2])
    # class 0 now has mean self-confidence (0.9 + 0.8 + 0.1 + 1.1) / 5 = 0.58, above 0.55
    found = confident_joint(probabilities, np.append(GIVEN, [0, 0]))
    assert found == pytest.approx(np.array([[2, 1], [0, 3]]) * [[5 / 3], [1]])


def test_the_suspected_item_by_hand():
    assert label_issues(BY_HAND, GIVEN).tolist() == [False, False, True, False, False, False]


def test_planted_errors_are_found():
    probabilities, labels, wrong = planted(2000, 0.05)
    suspected = label_issues(probabilities, labels)
    assert suspected[wrong].mean() > 0.9
    assert wrong[suspected].mean() > 0.9
    assert wrong[np.argsort(margin(probabilities, labels))[:50]].all()


def test_the_joint_estimates_how_many_labels_are_wrong():
    probabilities, labels, wrong = planted(2000, 0.2)
    joint = confident_joint(probabilities, labels)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(labels))
    assert joint.sum() - np.trace(joint) == pytest.approx(wrong.sum(), rel=0.1)


def test_a_class_without_labels_is_nobodys_true_class():
    probabilities = np.array([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
    assert confident_joint(probabilities, np.array([0, 1]))[:, 2].tolist() == [0, 0, 0]
    assert not label_issues(probabilities, np.array([0, 1])).any()


def test_a_model_that_always_agrees_suspects_nobody():
    labels = np.array([0, 1, 2, 2])
    assert not label_issues(np.eye(3)[labels], labels).any()


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.tuples(*[st.floats(-5, 5)] * 3)), min_size=1, max_size=25),
    order=st.permutations(range(3)),
)
def test_only_labels_that_are_not_the_most_probable_class_are_suspected_whatever_the_classes_are_called(rows, order):
    labels = np.array([label for label, _ in rows])
    probabilities = softmax([logits for _, logits in rows])
    suspected = label_issues(probabilities, labels)
    assert (probabilities.argmax(axis=1)[suspected] != labels[suspected]).all()
    assert (margin(probabilities, labels)[suspected] < 0).all()
    joint = confident_joint(probabilities, labels)
    assert joint.sum(axis=1) == pytest.approx(np.bincount(labels, minlength=3))
    renamed = confident_joint(probabilities[:, order], np.argsort(order)[labels])
    if len(np.unique(probabilities)) == probabilities.size:  # ties go to the first class
        assert renamed == pytest.approx(joint[np.ix_(order, order)])


def test_labels_that_are_no_positions_are_refused():
    with pytest.raises(MetricError, match="positions 0 to 1"):
        label_issues(BY_HAND, GIVEN + 1)
