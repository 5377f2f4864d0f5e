"""Cross-validation: nothing of a fold reaches the model that predicts it."""

from functools import partial

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from wbc_utils import checks
from wbc_utils.data.splits import group_folds
from wbc_utils.metrics.classification import accuracy, macro_f1
from wbc_utils.models import ModelError
from wbc_utils.models.classical import pipeline
from wbc_utils.models.resampling import source_rows
from wbc_utils.models.table import FeatureTable
from wbc_utils.models.validation import Comparison, grouped_cv_predict, nested_search

MEMBERS = {"SNE": 30, "LY": 21, "MO": 9}
ORDER = ("SNE", "LY", "MO")
NEAREST = pipeline(KNeighborsClassifier(1), "none", 0)


@pytest.fixture
def random_pairs():
    """Return features without meaning in which every cell has a twin under the same random label."""
    rng = np.random.default_rng(0)
    features, y = np.repeat(rng.normal(size=(60, 5)), 2, axis=0), np.repeat(rng.permutation(["SNE", "LY"] * 30), 2)
    return features, y, np.repeat(np.arange(60), 2)


def test_separate_clouds_are_predicted_out_of_fold(make_table):
    found = grouped_cv_predict(pipeline(LogisticRegression(), "none", 0), make_table(MEMBERS))
    assert macro_f1(found.confusion(ORDER)) > 0.95
    assert found.trained == (40, 40, 40)
    assert found.frame().columns.tolist() == ["true", "predicted", "fold", "group"]
    assert len(found.frame()) == 60


def test_twins_in_one_fold_help_nobody_and_twins_apart_are_not_accepted(random_pairs):
    features, y, twins = random_pairs
    names = [str(column) for column in range(5)]
    honest = FeatureTable(features, y, twins, group_folds(y, twins, 3, 0), names)
    leaky = FeatureTable(features, y, range(120), np.arange(120) % 2, names)
    order = ("SNE", "LY")
    assert accuracy(grouped_cv_predict(NEAREST, leaky).confusion(order)) == 1
    assert accuracy(grouped_cv_predict(NEAREST, honest).confusion(order)) == pytest.approx(0.5, abs=0.2)
    with pytest.raises(ModelError, match="60 of 60 groups lie in several folds"):
        FeatureTable(features, y, twins, np.arange(120) % 2, names)


def test_everything_is_refitted_in_each_fold(make_table):
    """A prediction equals that of a model fitted by hand to the other folds, resampling included."""
    table = make_table(MEMBERS, spread=4)
    model = pipeline(LogisticRegression(), "smote", 0)
    found = grouped_cv_predict(model, table)
    for fold in range(3):
        test = table.folds == fold
        alone = pipeline(LogisticRegression(), "smote", 0).fit(table.features[~test], table.y[~test])
        assert found.y_pred[test].tolist() == alone.predict(table.features[test]).tolist()
    assert not hasattr(model["classifier"], "coef_")


def test_rows_that_a_pipeline_resamples_come_from_its_training_rows(make_table):
    table = make_table(MEMBERS)
    for _, train, test in table.parts():
        model = pipeline(LogisticRegression(), "smote", 0).fit(table.features[train], table.y[train])
        scaled = model["scaler"].transform(table.features[train])
        rows, labels = model["resampler"].fit_resample(scaled, table.y[train])
        sources = train[source_rows(scaled, table.y[train], rows, labels, 3)]
        assert checks.resampling_before_split(sources, test, "clouds").status == "pass"


def test_a_class_of_one_cell_counts_as_an_error_in_its_fold(make_table):
    found = grouped_cv_predict(NEAREST, make_table({"SNE": 30, "LY": 20, "MO": 1}))
    assert found.confusion(ORDER)[2, 2] == 0
    assert found.confusion(ORDER)[2].sum() == 1


def test_classes_too_small_for_smote_are_listed_by_fold(make_table):
    table = make_table({"SNE": 30, "LY": 20, "MO": 5})
    found = grouped_cv_predict(pipeline(LogisticRegression(), "smote", 0), table)
    assert found.fallbacks.to_dict("records") == [
        {"fold": 0, "class": "MO", "members": 3},
        {"fold": 1, "class": "MO", "members": 3},
    ]
    assert grouped_cv_predict(pipeline(LogisticRegression(), "none", 0), table).fallbacks.empty


def test_narrowed_training_rows_leave_the_tested_cells_as_they_are(make_table):
    table = make_table(MEMBERS)
    found = grouped_cv_predict(NEAREST, table, choose=lambda train, fold: train[:: fold + 1])
    assert found.trained == (40, 20, 14)
    assert found.confusion(ORDER).sum(axis=1).tolist() == [30, 21, 9]


def test_two_jobs_predict_what_one_does(make_table):
    table = make_table(MEMBERS, spread=4)
    model = pipeline(LogisticRegression(), "smote", 0)
    alone = grouped_cv_predict(model, table)
    with parallel_config(backend="threading"):
        assert grouped_cv_predict(model, table, jobs=2).y_pred.tolist() == alone.y_pred.tolist()


def test_a_score_has_an_interval_over_groups(make_table):
    found = grouped_cv_predict(NEAREST, make_table(MEMBERS, spread=4))
    interval = found.interval(ORDER, seed=0)
    assert interval.value == macro_f1(found.confusion(ORDER))
    assert interval.low < interval.value < interval.high
    assert interval.n == 60


def test_a_comparison_sets_the_others_beside_the_first(make_table):
    table = make_table(MEMBERS)
    ways = {"guess": pipeline(DummyClassifier(), "none", 0), "nearest": NEAREST}
    results = {name: grouped_cv_predict(model, table) for name, model in ways.items()}
    frame = Comparison(results).frame(ORDER, seed=0).set_index("way")
    assert np.isnan(frame.loc["guess", "difference"])
    gain = frame.loc["nearest", "macro-F1"] - frame.loc["guess", "macro-F1"]
    assert frame.loc["nearest", "difference"] == pytest.approx(gain)
    assert 0 < frame.loc["nearest", "difference low"] < gain
    assert frame["trained"].tolist() == [40, 40]


def test_a_search_finds_the_better_setting_in_every_outer_fold(make_table):
    table = make_table(MEMBERS)
    model = pipeline(KNeighborsClassifier(), "none", 0)
    found = nested_search(model, table, {"n_neighbors": [1, 25]}, partial(group_folds, k=3, seed=0))
    chosen = found.frame()[found.frame()["chosen"]]
    assert chosen["fold"].tolist() == [0, 1, 2]
    assert chosen["n_neighbors"].tolist() == [1, 1, 1]
    assert found.frame().columns.tolist() == ["fold", "n_neighbors", "macro-F1", "deviation", "seconds", "chosen"]
    assert macro_f1(found.predictions.confusion(ORDER)) > 0.95


def test_a_search_reaches_through_the_weights_and_reports_small_classes(make_table):
    table = make_table({"SNE": 30, "LY": 20, "MO": 5})
    folder = partial(group_folds, k=2, seed=0)
    weighted = nested_search(pipeline(LogisticRegression(), "weights", 0), table, {"C": [0.01, 1.0]}, folder)
    assert set(weighted.frame()["C"]) == {0.01, 1.0}
    oversampled = nested_search(pipeline(LogisticRegression(), "smote", 0), table, {"C": [1.0]}, folder)
    assert oversampled.predictions.fallbacks["class"].tolist() == ["MO", "MO"]


def test_inner_folds_are_of_training_rows_and_keep_groups_whole(make_table):
    plain = make_table(MEMBERS)
    table = FeatureTable(plain.features, plain.y, np.arange(60) // 2, np.arange(60) // 2 % 3, plain.names)
    seen = []

    def folder(y, groups):
        number = group_folds(y, groups, k=2, seed=0)
        seen.append((set(groups), checks.group_across_splits(groups, number, "inner", patients=True).status))
        return number

    nested_search(NEAREST, table, {"n_neighbors": [1]}, folder)
    assert [status for _, status in seen] == ["pass"] * 3
    for fold, (groups, _) in enumerate(seen):
        assert groups == set(table.groups[table.folds != fold])


def test_a_parameter_that_does_not_exist_is_refused(make_table):
    with pytest.raises(ValueError, match="Invalid parameter 'trees'"):
        nested_search(NEAREST, make_table(MEMBERS), {"trees": [1]}, partial(group_folds, k=2, seed=0))
