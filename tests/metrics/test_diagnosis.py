"""Scores of diagnoses against scikit-learn and by hand; intervals hold the truth, pairs cancel what they share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from wbc_utils.metrics import MetricError, diagnosis
from wbc_utils.metrics.diagnosis import Verdicts, balanced_threshold

seeds = st.integers(0, 999)


def draw(seed=0, n=30, repeats=3, signal=1.0):
    rng = np.random.default_rng(seed)
    malignant = np.arange(n) % 3 > 0
    scores = 1 / (1 + np.exp(-(signal * (malignant - 0.5) + rng.normal(size=(repeats, n))).round(1)))
    return Verdicts(malignant, scores, scores >= 0.5)


def once(verdicts):
    return np.ones((1, len(verdicts.malignant)))


@settings(deadline=None)
@given(seeds)
def test_scores_are_the_mean_over_repeats_of_those_of_scikit_learn(seed):
    one = draw(seed)
    expected = np.mean([balanced_accuracy_score(one.malignant, called) for called in one.called])
    assert diagnosis.balanced_accuracy(one, once(one))[0] == pytest.approx(expected)
    expected = np.mean([roc_auc_score(one.malignant, scores) for scores in one.scores])
    assert diagnosis.auroc(one, once(one))[0] == pytest.approx(expected)
    assert (diagnosis.sensitivity(one, once(one)) + diagnosis.specificity(one, once(one)))[0] / 2 == pytest.approx(
        diagnosis.balanced_accuracy(one, once(one))[0]
    )


@settings(deadline=None)
@given(seeds)
def test_a_patient_drawn_twice_counts_twice(seed):
    one = draw(seed)
    weights = np.random.default_rng(seed).integers(1, 4, (1, 30))
    rows = np.repeat(np.arange(30), weights[0])
    written_out = Verdicts(one.malignant[rows], one.scores[:, rows], one.called[:, rows])
    for statistic in (diagnosis.balanced_accuracy, diagnosis.auroc, diagnosis.sensitivity_at(0.8)):
        assert statistic(one, weights)[0] == pytest.approx(statistic(written_out, once(written_out))[0])


@settings(deadline=None)
@given(seeds, st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_sensitivity_at_a_specificity_is_the_highest_point_of_the_roc_curve_there(seed, specificity):
    one = draw(seed, repeats=1)
    alarms, hits, _ = roc_curve(one.malignant, one.scores[0], drop_intermediate=False)
    expected = hits[alarms <= 1 - specificity + 1e-9].max()
    assert diagnosis.sensitivity_at(specificity)(one, once(one))[0] == pytest.approx(expected)


def test_a_perfect_diagnosis_scores_one_and_a_constant_one_a_half():
    malignant = np.array([True, True, False])
    perfect = Verdicts(malignant, malignant[None].astype(float), malignant[None])
    constant = Verdicts(malignant, np.full((1, 3), 0.5), np.ones((1, 3), bool))
    for statistic in (diagnosis.balanced_accuracy, diagnosis.auroc):
        assert statistic(perfect, once(perfect))[0] == 1
        assert statistic(constant, once(constant))[0] == 0.5
    assert diagnosis.sensitivity_at(0.9)(constant, once(constant))[0] == 0


def test_the_interval_holds_the_score_and_shrinks_with_more_patients():
    few, many = (draw(n=n).interval(diagnosis.auroc, 0) for n in (30, 300))
    assert few.low < few.value < few.high
    assert (few.n, many.n) == (30, 300)
    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_the_interval_is_about_that_of_the_binomial_for_one_class_of_each_size():
    malignant = np.arange(400) % 2 == 0
    called = malignant ^ (np.arange(400) % 10 < 2)
    found = Verdicts(malignant, called[None].astype(float), called[None]).interval(diagnosis.balanced_accuracy, 0)
    assert found.value == pytest.approx(0.8)
    assert found.high - found.low == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 400) ** 0.5, rel=0.1)


def test_the_gain_over_itself_is_nothing_and_over_another_is_paired():
    one, other = draw(), draw(1)
    nothing = one.gain_over(one, diagnosis.auroc, 0)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    gain = one.gain_over(other, diagnosis.auroc, 0)
    assert gain.value == pytest.approx(
        one.interval(diagnosis.auroc, 0).value - other.interval(diagnosis.auroc, 0).value
    )
    nearly = Verdicts(one.malignant, np.clip(one.scores + 1e-9, 0, 1), one.called)
    assert nearly.gain_over(one, diagnosis.auroc, 0).high < 0.05


def test_the_spread_is_the_deviation_over_the_repeats():
    one = draw(repeats=4)
    each = [roc_auc_score(one.malignant, scores) for scores in one.scores]
    assert one.spread(diagnosis.auroc) == pytest.approx(np.std(each, ddof=1))
    with pytest.raises(MetricError, match="needs at least two"):
        draw(repeats=1).spread(diagnosis.auroc)


def test_the_calibration_error_of_probabilities_that_are_kept_is_small_and_of_sure_ones_large():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=(1, 4000))
    malignant = rng.uniform(size=4000) < scores[0]
    kept = Verdicts(malignant, scores, scores > 0.5)
    sure = Verdicts(malignant, np.round(scores), scores > 0.5)
    assert kept.ece(0).value < 0.04
    assert sure.ece(0).value == pytest.approx(0.25, abs=0.02)
    assert kept.ece(0).n == 4000


def test_errors_of_both_diagnoses_do_not_make_up_for_each_other_in_the_calibration_error():
    malignant = np.repeat([True, True, False, False], [60, 10, 20, 10])
    scores = np.repeat([0.8, 0.2, 0.8, 0.2], [60, 10, 20, 10])[None]  # 0.75 and 0.5 are right
    assert Verdicts(malignant, scores, scores > 0.5).ece(0).value == pytest.approx(0.8 * 0.05 + 0.2 * 0.3)


def test_probabilities_of_a_balanced_population_are_moved_to_the_share_of_another():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, size=(1, 20000))
    share = 0.7
    true = share * scores[0] / (share * scores[0] + (1 - share) * (1 - scores[0]))
    one = Verdicts(rng.uniform(size=20000) < true, scores, scores > 0.5)
    assert one.at_prior(share).scores[0] == pytest.approx(true)
    assert one.at_prior(share).ece(0).value < 0.02 < one.ece(0).value
    assert one.at_prior(0.5).scores == pytest.approx(scores)
    with pytest.raises(MetricError, match="found a share of 1; it must be above 0 and below 1"):
        one.at_prior(1)


def test_the_range_of_a_small_test_set_is_wide_and_centred():
    one = draw(n=300, repeats=1)
    small, large = (diagnosis.expected_range(one, reactive, 2 * reactive, seed=0) for reactive in (14, 140))
    middle = one.interval(diagnosis.balanced_accuracy, 0).value
    for found in (small, large):
        assert found.low < middle < found.high
    assert (small.n, large.n) == (42, 420)
    assert (small.high - small.low) == pytest.approx(10**0.5 * (large.high - large.low), rel=0.15)


@settings(deadline=None)
@given(seeds)
def test_no_threshold_is_better_than_the_one_found(seed):
    one = draw(seed, n=15, repeats=1)
    scores = one.scores[0]
    found = balanced_threshold(scores, one.malignant)
    best = max(balanced_accuracy_score(one.malignant, scores >= cut) for cut in [*scores, 2])
    assert balanced_accuracy_score(one.malignant, scores >= found) == pytest.approx(best)


def test_the_threshold_lies_in_the_middle_of_the_widest_gap():
    assert balanced_threshold([0.1, 0.2, 0.8, 0.9], [False, False, True, True]) == pytest.approx(0.5)
    assert balanced_threshold([0.1, 0.2], [True, False]) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Verdicts(np.ones(3, bool), np.zeros((1, 3)), np.zeros((1, 3), bool)), "all 3 patients have the same"),
        (lambda: Verdicts(np.array([True, False]), np.zeros((1, 3)), np.zeros((1, 3), bool)), "for 2 patients"),
        (lambda: Verdicts(np.array([True, False]), np.full((1, 2), 2.0), np.ones((1, 2), bool)), "between 0 and 1"),
        (lambda: Verdicts(np.array([True, False]), np.full((1, 2), np.nan), np.ones((1, 2), bool)), "none missing"),
        (lambda: draw().gain_over(draw(n=33), diagnosis.auroc, 0), "other patients"),
        (lambda: diagnosis.sensitivity_at(0), "found a specificity of 0"),
        (lambda: balanced_threshold([0.1, 0.2], [True, True]), "a threshold needs both"),
    ],
)
def test_what_cannot_be_scored_is_refused(make, words):
    with pytest.raises(MetricError, match=words):
        make()
