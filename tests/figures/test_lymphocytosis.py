import numpy as np
import pandas as pd
import pytest

from wbc_utils.figures import lymphocytosis, show
from wbc_utils.metrics.diagnosis import Verdicts

MALIGNANT = np.array([True, False, True, True, False, True])


def verdicts(repeats=2):
    scores = np.tile([0.9, 0.1, 0.8, 0.4, 0.5, 0.7], (repeats, 1))
    return Verdicts(MALIGNANT, scores, scores >= 0.5)


def draws():
    return pd.DataFrame({"draw": [0, 0, 1, 1], "recipe": list("abab"), "reported": [1, 0.9, 0.8, 0.7],
                         "test": [0.8, 0.9, 0.7, 0.7], "chosen": [True, False, True, False]})  # fmt: skip


def test_the_roc_curve_passes_through_its_points_and_starts_at_nothing():
    axes = lymphocytosis.roc({"one": verdicts()}, 0.9).axes[0]
    curve = axes.lines[-1].get_xydata()
    assert curve[0].tolist() == [0, 0]
    assert np.interp(0.0, curve[1:, 0], curve[1:, 1]) == pytest.approx(0.75)
    assert curve[-1].tolist() == [1, 1]


def test_reliability_has_groups_of_equal_size_at_their_mean_probability():
    axes = lymphocytosis.reliability(verdicts(), bins=3).axes[0]
    points = [line.get_xydata()[0].tolist() for line in axes.lines[1:]]
    assert points == [pytest.approx([0.25, 0.5]), pytest.approx([0.6, 0.5]), pytest.approx([0.85, 1.0])]
    assert [text.get_text() for text in axes.texts] == ["2", "2", "2"]


def test_trust_draws_each_diagnosis_with_its_own_mark_and_leaves_out_unknown_ages():
    age = np.array([50, 60, np.nan, 70, 40, 30])
    axes = lymphocytosis.trust(age, np.full(6, 10.0), np.linspace(0.2, 0.8, 6), MALIGNANT).axes[0]
    reactive, malignant = axes.collections[:2]
    assert reactive.get_offsets()[:, 0].tolist() == [60, 40]
    assert malignant.get_offsets()[:, 0].tolist() == [50, 70, 30]
    assert malignant.get_array().tolist() == pytest.approx([0.2, 0.56, 0.8])


def test_one_split_marks_what_the_report_would_have_chosen():
    axes = lymphocytosis.one_split(draws()).axes[0]
    other, chosen = axes.lines[1:]
    assert chosen.get_xydata().tolist() == [[1, 0.8], [0.8, 0.7]]
    assert other.get_xydata().tolist() == [[0.9, 0.9], [0.7, 0.7]]


def test_numbers_by_diagnosis_have_their_median_as_a_bar():
    values = pd.DataFrame({"a": np.arange(6.0), "b": np.arange(6.0), "c": np.zeros(6)})
    fig = lymphocytosis.by_diagnosis(values, MALIGNANT, ["A", "B", "C"])
    assert [axes.get_title() or axes.get_title(loc="left") for axes in fig.axes[:3]] == ["A", "B", "C"]
    bars = [line.get_ydata() for line in fig.axes[0].lines[1::2]]
    assert [bar[0] for bar in bars] == [2.5, 2.5]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: lymphocytosis.roc({str(number): verdicts() for number in range(7)}, 0.9),
        lambda: lymphocytosis.reliability(verdicts()),
        lambda: lymphocytosis.one_split(draws()),
        lambda: lymphocytosis.by_diagnosis(pd.DataFrame(np.zeros((6, 6))), MALIGNANT, list("abcdef")),
    ],
)
def test_every_figure_can_be_shown(published, draw):
    show(draw(), caption="What.", alt="Instead.")
    assert "image/svg+xml" in published[0]
