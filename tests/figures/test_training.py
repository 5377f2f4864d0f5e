import numpy as np
import pandas as pd
import pytest

from wbc_utils.figures import show, training
from wbc_utils.manifest import RECORD_MIME
from wbc_utils.metrics import calibration

RUNGS = [f"rung {number}" for number in range(9)]


def history(best, epochs=4):
    score = np.linspace(0.1, 0.2, epochs)
    score[1] = best
    return pd.DataFrame({"epoch": range(epochs), "loss": np.linspace(2, 1, epochs), "validation_macro_f1": score})


def bins(n=(0, 3, 1)):
    return pd.DataFrame({"low": [0, 1 / 3, 2 / 3], "high": [1 / 3, 2 / 3, 1], "n": n,
                         "confidence": [np.nan, 0.5, 0.9], "accuracy": [np.nan, 0.7, 1.0]})  # fmt: skip


def corrupted():
    rows = [
        (model, kind, severity, 0.9 - 0.1 * severity - drop, 0.8 - 0.1 * severity - drop, 1 - 0.1 * severity - drop)
        for model, drop in (("first", 0), ("second", 0.001))
        for kind in ("noise", "blur")
        for severity in (2, 0, 1)
    ]
    return pd.DataFrame(rows, columns=["model", "kind", "severity", "value", "low", "high"])


def kept():
    return calibration.risk_coverage(np.linspace(1, 0, 100), np.arange(100) != 50)


def titles(fig):
    return [axes.get_title(loc="left") for axes in fig.axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_every_network_has_a_panel_for_its_loss_and_one_for_its_score_with_the_best_epoch():
    fig = training.curves({"a": history(0.5), "b": history(0.7)})
    assert titles(fig) == [
        "a: loss", "macro-F1, one view: 0.500 (epoch 1)", "b: loss", "macro-F1, one view: 0.700 (epoch 1)",
    ]  # fmt: skip
    loss, score, *_ = fig.axes
    assert loss.lines[0].get_ydata().tolist() == history(0.5)["loss"].tolist()
    own, best = score.lines[-2:]
    assert own.get_ydata().tolist() == history(0.5)["validation_macro_f1"].tolist()
    assert best.get_xydata().tolist() == [[1, 0.5]]


def test_scores_share_one_axis_and_losses_do_not():
    _, first, loss, second = training.curves({"a": history(0.5), "b": history(0.9).assign(loss=9)}).axes
    assert first.get_ylim() == second.get_ylim()
    assert loss.get_ylim()[1] > 9


def test_an_epoch_without_a_score_is_never_the_best():
    one = history(0.5)
    one.loc[2, "validation_macro_f1"] = np.nan
    assert titles(training.curves({"a": one}))[1] == "macro-F1, one view: 0.500 (epoch 1)"


def test_bins_with_items_are_drawn_by_number_before_and_after():
    fig = training.reliability(bins(), bins((0, 2, 2)), "test")
    before, after = fig.axes
    assert before.collections[0].get_offsets().tolist() == [[0.5, 0.7], [0.9, 1]]
    large, small = before.collections[0].get_sizes()
    assert large - 6 == pytest.approx(3 * (small - 6))
    assert after.collections[0].get_sizes()[0] - 6 == pytest.approx(2 * (small - 6))
    assert texts(before) == ["largest mark: 3 of 4\ndashed: as sure as right"]
    assert fig.get_suptitle() == "test"


def test_the_title_has_the_calibration_error_of_the_drawn_bins():
    rng = np.random.default_rng(0)
    probabilities, labels = calibration.softmax(rng.normal(size=(60, 3))), rng.integers(0, 3, 60)
    table = calibration.reliability(probabilities, labels)
    shown = titles(training.reliability(table, table, ""))[0]
    assert shown == f"before: calibration error {calibration.ece(probabilities, labels):.3f}"


def test_severity_has_a_panel_for_each_kind_and_a_named_line_for_each_network_from_clean_to_worst():
    fig = training.severity(corrupted())
    assert titles(fig) == ["noise", "blur"]
    for axes in fig.axes:
        assert [line.get_ydata().tolist() for line in axes.lines] == [
            pytest.approx([0.9, 0.8, 0.7]), pytest.approx([0.899, 0.799, 0.699]),
        ]  # fmt: skip
        assert [line.get_xdata().tolist() for line in axes.lines] == [
            pytest.approx([-0.03, 0.97, 1.97]), pytest.approx([0.03, 1.03, 2.03]),
        ]  # fmt: skip
        assert texts(axes) == ["first", "second"]


def test_intervals_of_severity_reach_from_low_to_high():
    axes = training.severity(corrupted()).axes[0]
    spans = [segment[:, 1].tolist() for segment in axes.collections[0].get_segments()]
    assert spans == [pytest.approx([0.8, 1.0]), pytest.approx([0.7, 0.9]), pytest.approx([0.6, 0.8])]


def test_networks_differ_by_colour_marker_and_line_and_close_names_stand_apart():
    axes = training.severity(corrupted()).axes[0]
    one, other = axes.lines
    assert one.get_color() != other.get_color()
    assert one.get_marker() != other.get_marker()
    assert one.get_linestyle() != other.get_linestyle()
    first, second = (text.get_position()[1] for text in axes.texts)
    assert first - second > 0.09  # a line of text of 9 points in 1.6 inches


def test_coverage_ends_at_the_accuracy_of_all_and_leaves_out_the_first_few():
    axes = training.coverage({"best": kept()}).axes[0]
    drawn = axes.lines[0].get_xydata()
    assert drawn[0] == pytest.approx([0.05, 1])
    assert drawn[-1] == pytest.approx([1, 0.99])
    assert texts(axes) == ["best 0.990"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: training.curves({name: history(0.5) for name in RUNGS}),
        lambda: training.reliability(bins(), bins(), ""),
        lambda: training.severity(corrupted()),
        lambda: training.coverage({name: kept() for name in RUNGS}),
    ],
)
def test_every_figure_can_be_shown_and_fits_a_page(published, draw):
    show(draw(), caption="What.", alt="Instead.")
    assert "image/svg+xml" in published[0]
    assert published[0][RECORD_MIME]["width_px"] <= 640
