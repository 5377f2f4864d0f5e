import numpy as np
import pandas as pd
import pytest

from wbc_utils.figures import rivals, show


def curve(rates, folds=2):
    rows = [(rate, epoch, epoch * rate, 0.1 if folds > 1 else np.nan, folds) for rate in rates for epoch in (1, 2, 3)]
    return pd.DataFrame(rows, columns=["rate", "epoch", "mean", "sd", "folds"])


def recalls():
    rows = [
        (what, detector, name, 12, value, value - 0.1, value + 0.1)
        for what, names in (("size", ("small", "large")), ("crowding", ("alone", "touching", "buried")))
        for detector, value in (("first", 0.8), ("second", 0.5))
        for name in names
    ]
    return pd.DataFrame(rows, columns=["property", "detector", "name", "cells", "value", "low", "high"])


def test_each_detector_has_a_panel_each_rate_a_line_of_one_look_and_the_choice_a_mark():
    fig = rivals.rate_curves({"B": curve((0.01,), folds=1), "A": curve((0.1, 0.01))}, {"A": (0.1, 3), "B": (0.01, 2)})
    titles = [axes.get_title(loc="left") for axes in fig.axes]
    assert titles == ["B: 0.01, 2 epochs, AP 0.020", "A: 0.1, 3 epochs, AP 0.300"]
    looks = [{line.get_label(): (line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines[:-1]}
             for axes in fig.axes]  # fmt: skip
    assert list(looks[1]) == ["rate 0.1", "rate 0.01"]
    assert looks[0]["rate 0.01"] == looks[1]["rate 0.01"]
    assert all(a != b for a, b in zip(*looks[1].values(), strict=True))
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["rate 0.1", "rate 0.01"]
    mark = fig.axes[1].lines[-1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (3, pytest.approx(0.3))


def test_all_panels_of_rates_hold_their_curves_on_one_axis_from_zero():
    fig = rivals.rate_curves({"low": curve((0.01,)), "high": curve((0.1,))}, {"low": (0.01, 2), "high": (0.1, 3)})
    limits = {axes.get_ylim() for axes in fig.axes}
    assert len(limits) == 1
    assert limits.pop() == (0, pytest.approx(0.4, abs=0.05))


def test_every_cell_is_in_the_histogram_of_overlaps():
    nearest = pd.DataFrame({"class": ["RBC"] * 5 + ["WBC"] * 2, "iou": [0, 0, 0.1, 0.2, 0.9, 0.3, 0.5]})
    axes = rivals.nearest_overlaps(nearest, 0.5).axes[0]
    heights = {bars.get_label(): sum(bar.get_height() for bar in bars) for bars in axes.containers}
    assert heights == {"RBC": 5, "WBC": 2}
    assert axes.lines[0].get_xdata()[0] == 0.5
    assert rivals.nearest_overlaps(nearest[:5], 0.5).axes[0].containers[0].get_label() == "RBC"


def test_recall_has_a_panel_a_property_and_an_interval_a_detector_and_bin(published):
    fig = rivals.recall_by(recalls(), {"size": "side, px", "crowding": "overlap"})
    for axes, bins in zip(fig.axes, (2, 3), strict=True):
        assert [len(line.get_ydata()) for line in axes.lines] == [bins, bins]
        assert sum(len(lines.get_segments()) for lines in axes.collections) == 2 * bins
        assert [line.get_label() for line in axes.lines] == ["first", "second"]
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == ["small\n12 cells", "large\n12 cells"]
    show(fig, caption="Recall.", alt="Recall.")
    assert len(published) == 1
