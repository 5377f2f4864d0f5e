import numpy as np
import pandas as pd

from wbc_utils.figures import classification


def test_a_confusion_matrix_shows_every_count_and_outlines_the_named_pairs_both_ways():
    confusion = np.array([[5, 2, 0], [1, 7, 0], [0, 0, 9]])
    [axes] = classification.confusion_matrix(confusion, ["BNE", "SNE", "EO"], "test").axes
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "5", "7", "9"]
    outlined = {(patch.get_y(), patch.get_x()) for patch in axes.patches}
    assert outlined == {(0, 1), (1, 0)}
    assert axes.yaxis_inverted()


def test_scores_stand_in_the_order_of_the_table_with_their_intervals():
    table = pd.DataFrame({"name": ["first", "second"], "value": [0.5, 0.7], "low": [0.4, 0.6], "high": [0.6, 0.8]})
    [axes] = classification.scores(table, "test", "macro-F1").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["second", "first"]
    spans = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert spans == [(0.6, 0.8), (0.4, 0.6)]


def test_a_learning_curve_has_a_point_for_every_size():
    table = pd.DataFrame({"cells": [10, 20], "value": [0.5, 0.7], "low": [0.4, 0.6], "high": [0.6, 0.8]})
    [axes] = classification.learning_curve(table, "test").axes
    assert axes.lines[0].get_xydata().tolist() == [[10, 0.5], [20, 0.7]]
