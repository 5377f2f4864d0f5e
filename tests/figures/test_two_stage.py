"""Figures of the two stages: every count is written, every bar as long as its milliseconds."""

import numpy as np
import pandas as pd
import pytest

from wbc_utils.figures import two_stage


def written(fig):
    return {text.get_text() for text in fig.axes[0].texts}


def test_every_count_is_written_and_missed_cells_have_a_column():
    fig = two_stage.outcomes(np.array([[5, 1], [0, 7]]), np.array([2, 0]), ["EO", "LY"], "all")
    assert written(fig) == {"5", "1", "7", "2"}
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == ["EO", "LY", "missed"]


def test_a_type_without_cells_is_an_empty_row():
    fig = two_stage.outcomes(np.zeros((2, 2), int), np.zeros(2, int), ["EO", "LY"], "none")
    assert written(fig) == set()


@pytest.fixture
def table():
    return pd.DataFrame({"name": ["a", "b"], "decode": [1.0, 2], "boxes": [20.0, np.nan], "total": [21.0, 2]})


def test_the_bars_are_stacked_in_milliseconds(table):
    axes = two_stage.budget(table, ["decode", "boxes"]).axes[0]
    assert sorted(bar.get_width() for bar in axes.patches) == [0, 1, 2, 20]
    assert written(axes.figure) == {"21", "2.0"}


@pytest.mark.parametrize(("limit", "lines"), [(30, 1), (500, 0), (None, 0)])
def test_the_limit_is_drawn_where_it_is_near(table, limit, lines):
    assert len(two_stage.budget(table, ["decode", "boxes"], limit).axes[0].lines) == lines
