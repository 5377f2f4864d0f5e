"""Pipelines by fold: asked about their fold, joined, decided with settings from other folds, judged on typed cells."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from boxes import table
from two_stages import BLUE, RED, TYPES, Always, Finder, Namer, field, pipeline

from wbc_utils import decisions
from wbc_utils.manifest import Metric
from wbc_utils.metrics import MetricError, challenge
from wbc_utils.metrics.coco import ap_interval
from wbc_utils.metrics.detection import Detections
from wbc_utils.multilabel import BACKGROUND
from wbc_utils.sightings import Settings
from wbc_utils.stages import Study
from wbc_utils.two_stage import sightings

GRID = [Settings(0.5), Settings(0.95), Settings(0.5, 1.0)]
NAMES = [f"{number}" for number in range(6)]
TRUTH = table(*[(name, TYPES[number % 2], 10, 10, 30, 30) for number, name in enumerate(NAMES)], scored=False)


@pytest.fixture
def study(tmp_path):
    images = {name: field((10, 10, 20, (RED, BLUE)[number % 2])) for number, name in enumerate(NAMES)}
    plan = pd.DataFrame({"fold": [0, 0, 1, 1, 2, 2], "cluster": range(6), "stratum": ""}, index=NAMES)
    return Study(images, plan, 0, "cpu", tmp_path)


def fitted(make):
    return {fold: SimpleNamespace(model=make()) for fold in range(3)}


def test_each_pipeline_is_asked_about_its_fold_alone(study):
    finders = {fold: Finder(score=0.9 - 0.1 * fold) for fold in range(3)}
    seen = decisions.look(study, {fold: pipeline(detectors=[finder]) for fold, finder in finders.items()})
    assert seen.boxes["image"].tolist() == NAMES
    assert seen.boxes["score"].tolist() == pytest.approx([0.9, 0.9, 0.8, 0.8, 0.7, 0.7])


def test_networks_are_joined_by_fold_and_then_all_together(study):
    whole = fitted(lambda: Always((*TYPES, BACKGROUND), [0.0, 0.0, 0.0]))
    several = decisions.pipelines(fitted(Finder), fitted(Namer), whole, crop_px=16, whole_px=32, mirrored=True)
    joined = decisions.ensemble(several)
    assert [len(part) for part in (joined.detectors, joined.classifiers, joined.image_classifiers)] == [3, 3, 3]
    assert (joined.crop_px, joined.whole_px, joined.mirrored) == (16, 32, True)
    one, all_of_them = (sightings(each, study.images).boxes for each in (several[0], joined))
    assert all_of_them["score"].to_numpy() == pytest.approx(one["score"].to_numpy())


def test_settings_are_chosen_on_the_other_folds(study):
    both = pipeline(image_classifiers=[Always((*TYPES, BACKGROUND), [0.0, 5.0, 0.0])], whole_px=32)
    found = decisions.decide(sightings(both, study.images), GRID, TRUTH, study.plan["fold"], TYPES)
    assert found.by_fold == dict.fromkeys(range(3), GRID[0])
    assert found.overall == GRID[0]
    assert challenge.score(decisions.judge(found.detections, TRUTH, TYPES)) == pytest.approx(1)


def test_a_fold_cannot_choose_for_itself(study):
    """Where the crops of one fold alone lie, only that fold would choose whole images; the others decide against it."""
    truth = TRUTH.copy()
    truth.loc[:1, "class"] = "LY"
    both = pipeline(image_classifiers=[Always((*TYPES, BACKGROUND), [0.0, 5.0, 0.0])], whole_px=32)
    found = decisions.decide(sightings(both, study.images), [GRID[0], GRID[2]], truth, study.plan["fold"], TYPES)
    assert found.by_fold[0] == GRID[0]
    own = found.detections[found.detections["image"] == "0"]
    assert own["class"].tolist() == ["EO"]


def test_only_images_with_a_true_box_are_judged():
    found = table(("0", "EO", 0.9, 10, 10, 30, 30), ("elsewhere", "LY", 0.9, 0, 0, 5, 5))
    taken = decisions.judge(found, TRUTH.head(1), TYPES)
    assert taken.images == ("0",)
    assert taken.outcome.tolist() == ["right"]
    assert (taken.offered, taken.unused) == (1, 0)


def test_what_is_chosen_for_ensembles_has_the_lowest_least_score_and_the_best_share_with_it(study):
    """A stray box above 0.5 makes no cell alone, so that only a higher least score would ask the whole images."""
    sure = Always((*TYPES, BACKGROUND), [5.0, 0.0, 0.0])
    seen = sightings(pipeline(classifiers=[Namer(sure=-8.0)], image_classifiers=[sure], whole_px=32), study.images)
    truth = TRUTH.assign(**{"class": "EO"})
    grid = [Settings(0.5, 0.0), Settings(0.3, 0.0), Settings(0.3, 1.0), Settings(0.5, 1.0)]
    found = decisions.decide(seen, grid, truth, study.plan["fold"], TYPES)
    assert found.overall == Settings(0.3, 1.0)
    assert found.best == Settings(0.3, 1.0)
    stray = seen.boxes.assign(score=0.4, xmin=0, ymin=0, xmax=9, ymax=9)
    crowded = type(seen)(pd.concat([seen.boxes, stray], ignore_index=True), seen.whole, seen.classes)
    found = decisions.decide(crowded, grid, truth, study.plan["fold"], TYPES)
    assert found.best == Settings(0.5, 1.0)
    assert found.overall == Settings(0.3, 0.0)


def test_the_settings_are_listed_with_the_nested_score_and_the_one_that_chose_itself(study):
    """Each fold shows the types that the other settings get right, so that the others choose against it."""
    both = pipeline(image_classifiers=[Always((*TYPES, BACKGROUND), [0.0, 5.0, 0.0])], whole_px=32)
    truth = TRUTH.copy()
    truth.loc[:1, "class"] = "LY"
    found = decisions.decide(
        sightings(both, study.images), [Settings(0.5), Settings(0.5, 1.0)], truth, study.plan["fold"], TYPES
    )
    assert found.score == pytest.approx(challenge.score(decisions.judge(found.detections, truth, TYPES)))
    assert found.score <= found.best_score
    listed = decisions.choices({"one": found})
    assert listed["used for"].str.startswith("fold").sum() == 3
    assert listed["challenge score"].dropna().tolist() == [found.score, found.best_score]


def test_settings_without_folds_are_refused(study):
    with pytest.raises(MetricError, match="without a fold"):
        decisions.decide(sightings(pipeline(), study.images), GRID[:1], TRUTH, pd.Series({"0": 0}), TYPES)


def test_true_boxes_are_named_by_the_classifier_of_their_fold(study):
    contrary = Namer(sure=-8.0)
    classifiers = fitted(Namer) | {2: SimpleNamespace(model=contrary)}
    named = decisions.name_true_boxes(study, classifiers, TRUTH, 16)
    assert named["image"].tolist() == NAMES
    assert named["class"].tolist() == ["EO", "LY", "EO", "LY", "LY", "EO"]
    assert np.array_equal(named[["xmin", "ymax"]], TRUTH[["xmin", "ymax"]])


def test_the_mean_ap50_is_taken_from_a_table_and_has_no_interval_where_nothing_varies():
    certain = decisions.mean_ap50(ap_interval(Detections.of(TRUTH, TRUTH.assign(score=0.9), NAMES, TYPES), 0))
    assert (certain.value, certain.n) == (1, 6)
    assert decisions.known(certain.ci) is None
    half = decisions.mean_ap50(ap_interval(Detections.of(TRUTH, TRUTH.assign(score=0.9).head(4), NAMES, TYPES), 0))
    low, high = decisions.known(half.ci)
    assert low < half.value < high


def test_gains_are_put_into_words_by_the_side_of_their_interval():
    gains = {
        "a": Metric(value=0.2, ci=(0.1, 0.3), n=9), "b": Metric(value=-0.2, ci=(-0.3, -0.1), n=9),
        "c": Metric(value=0.1, ci=(-0.1, 0.3), n=9), "d": Metric(value=0.0, n=9),
    }  # fmt: skip
    assert (
        decisions.in_words(gains) == "these parts help: a; these harm: b; these are not told apart from no change: c, d"
    )
    assert decisions.in_words({}).count(": none") == 3


def test_a_score_without_an_interval_is_drawn_as_a_dot_alone():
    ladder = pd.DataFrame({"rung": ["a", "b"], "score": [0.5, 1.0], "low": [0.4, np.nan], "high": [0.6, np.nan]})
    dots = decisions.as_dots(ladder)
    assert dots[["low", "value", "high"]].to_numpy().tolist() == [[0.4, 0.5, 0.6], [1, 1, 1]]
    assert dots["name"].tolist() == ["a", "b"]


def test_every_box_is_said_nine_times_inside_its_image():
    found = table(("0", "EO", 0.9, 10, 10, 30, 30), ("0", "LY", 0.5, 70, 40, 80, 60))
    sizes = pd.DataFrame({"width": [80], "height": [60]}, index=["0"])
    many = decisions.scattered(found, sizes)
    assert len(many) == 18
    assert sorted(many.loc[many["class"] == "EO", "xmin"].unique()) == [8, 10, 12]
    assert many["xmax"].max() == 80
    assert challenge.score(decisions.judge(many, TRUTH.head(1), TYPES)) == 1
