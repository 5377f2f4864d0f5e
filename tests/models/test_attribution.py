"""What a result rests on, where that is known."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from wbc_utils.models import ModelError
from wbc_utils.models.attribution import ablation, held_out_importance, learning_curve
from wbc_utils.models.classical import pipeline

MEMBERS = {"SNE": 30, "LY": 30}  # apart across, not up
MODEL = pipeline(LogisticRegression(), "none", 0)
FAMILIES = {"position": ["across", "up"], "noise": ["noise 0", "noise 1"]}


def test_the_family_that_tells_classes_apart_is_missed_and_suffices_alone(make_table):
    frame = ablation(MODEL, make_table(MEMBERS), FAMILIES).frame(("SNE", "LY"), seed=0).set_index("way")
    score = frame["macro-F1"]
    assert frame.index.tolist() == ["all", "without position", "without noise", "only position", "only noise"]
    assert score["all"] > 0.95
    assert score["only position"] == score["without noise"] > 0.95
    assert score["only noise"] == score["without position"] < 0.7
    assert frame.loc["without position", "difference high"] < 0


def test_a_family_of_every_feature_or_of_an_unknown_one_is_refused(make_table):
    table = make_table(MEMBERS)
    with pytest.raises(ModelError, match="'everything' holds every feature"):
        ablation(MODEL, table, {"everything": table.names})
    with pytest.raises(ModelError, match=r"\['colour'\] are not in the table"):
        ablation(MODEL, table, {"colour": ["colour"]})


def test_only_the_informative_feature_is_important_on_held_out_folds(make_table):
    found = held_out_importance(MODEL, make_table({"SNE": 90, "LY": 90}), repeats=5, seed=0)
    frame = found.frame().set_index("feature")
    assert found.falls.shape == (3, 4)
    assert frame.index[0] == "across"
    assert frame.loc["across", "fall"] == pytest.approx(0.5, abs=0.1)
    assert (frame["fall"].drop("across").abs() < 0.05).all()
    assert (frame["lowest"] <= frame["fall"]).all()


def test_importance_is_repeatable(make_table):
    table = make_table(MEMBERS)
    one, other = (held_out_importance(MODEL, table, repeats=2, seed=1).falls for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_a_learning_curve_trains_on_growing_shares_and_ends_with_all(make_table):
    table = make_table({"SNE": 120, "LY": 120}, spread=4, noise=20)
    found = learning_curve(MODEL, table, (0.1, 0.5, 1.0), seed=0)
    frame = found.frame(("SNE", "LY"), seed=0)
    assert frame["way"].tolist() == ["10%", "50%", "100%"]
    assert frame["trained"].tolist() == [16, 80, 160]
    assert frame["macro-F1"].is_monotonic_increasing


def test_duplicates_enter_a_learning_curve_together(make_table):
    plain = make_table({"SNE": 60, "LY": 60})
    groups = np.arange(120) // 2
    table = type(plain)(plain.features, plain.y, groups, groups % 3, plain.names)
    seen = learning_curve(MODEL, table, (0.3,), seed=0).results["30%"]
    assert all(count % 2 == 0 for count in seen.trained)


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_shares_out_of_range_are_refused(make_table, share):
    with pytest.raises(ModelError, match="must be above 0 and at most 1"):
        learning_curve(MODEL, make_table(MEMBERS), (share,), seed=0)


def test_a_share_of_one_class_is_refused(make_table):
    with pytest.raises(ModelError, match="class\\(es\\), at least two classes are needed"):
        learning_curve(MODEL, make_table({"SNE": 60, "LY": 3}), (0.02,), seed=0)
