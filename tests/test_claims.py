import re

import pytest
import yaml

from wbc_utils import claims
from wbc_utils.claims import Claim
from wbc_utils.data.registry import load_registry
from wbc_utils.manifest import Metric
from wbc_utils.params import NOTEBOOKS


@pytest.fixture
def write(toy):
    """Return a function that writes the claims of the toy project."""

    def writer(*entries):
        (toy.root / "params" / "claims.yaml").write_text(yaml.safe_dump(list(entries)))

    return writer


def entry(**changes):
    fields = {"id": "c", "seed": "002", "what": "a number", "dataset": "cbc", "value": 100, "notebook": "99"}
    return {**fields, "metric": "cbc.number", **changes}


def claim(**changes):
    return Claim.model_validate(entry(**changes))


def numbers(**values):
    return {f"cbc.{name}": Metric(value=value, n=7) for name, value in values.items()}


def named(metric):
    """Return the metric names in a claim, whatever its shape."""
    if metric is None:
        return []
    return [metric] if isinstance(metric, str) else list(metric.values() if isinstance(metric, dict) else metric)


def verdict(claim, metrics, data):
    found = claims.answer(claim, metrics, data)
    return found.verdict, found.reason


def test_all_published_claims_load_with_unique_names(project):
    loaded = claims.load_claims()
    assert len(loaded) == 39
    assert len({claim.id for claim in loaded}) == 39
    assert {claim.seed for claim in loaded} == {"000", "001", "002", "003", "004"}


def test_a_claim_that_names_a_metric_names_the_notebook_and_data_set_it_is_from(project):
    for claim in claims.load_claims():
        assert claim.dataset in load_registry()
        assert (claim.metric is None) == (claim.notebook is None)
        assert claim.notebook is None or claim.notebook in NOTEBOOKS
        for name in named(claim.metric) if not claim.incomparable else ():
            assert re.fullmatch(rf"{claim.dataset}\.\w+", name)


@pytest.mark.parametrize(
    ("value", "metric"),
    [(1, ["a"]), (1, {"x": "a"}), ([1, 2], ["a"]), ([1, 2], "a"), ({"x": 1}, {"y": "a"}), ({"x": 1}, ["a"])],
)
def test_a_metric_of_another_shape_than_the_value_is_refused(value, metric):
    with pytest.raises(ValueError, match=r"claim c: metric .* does not have the shape of value"):
        claim(value=value, metric=metric)


def test_an_unknown_field_of_a_claim_is_refused():
    with pytest.raises(ValueError, match="verdict"):
        claim(verdict="confirmed")


def test_a_claim_that_no_notebook_measures_is_undecided(make_use):
    unmeasured = claim(metric=None)
    assert verdict(unmeasured, numbers(number=100), [make_use()]) == ("undecided", "the data set is not at hand")
    chosen = claim(metric=None, choice=True)
    assert verdict(chosen, {}, []) == ("undecided", "a choice of the report, which cannot be measured")
    assert verdict(claim(metric=None, reason="needs a GPU"), {}, []) == ("undecided", "needs a GPU")


def test_a_metric_that_this_profile_lacks_leaves_the_claim_undecided(make_use):
    expected = ("undecided", "not measured in this profile (notebook 99, data set cbc)")
    assert verdict(claim(), {}, []) == expected
    assert verdict(claim(), numbers(other=100), [make_use()]) == expected


def test_a_pair_of_which_one_is_missing_is_undecided_but_shows_the_other(make_use):
    found = claims.answer(claim(value=[13, 6], metric=["cbc.two", "cbc.none"]), numbers(two=13), [make_use()])
    assert found.verdict == "undecided"
    assert {key: metric.value for key, metric in found.ours.items()} == {"0": 13}


def test_a_number_about_another_question_is_not_compared_and_says_why(make_use):
    other = claim(incomparable="another split")
    assert verdict(other, numbers(number=100), [make_use()]) == ("not comparable", "another split")


@pytest.mark.parametrize("value", [100, 99])
def test_synthetic_data_neither_confirm_nor_contradict(make_use, value):
    data = [make_use(release="synthetic")]
    assert verdict(claim(), numbers(number=value), data) == ("not comparable", "measured on synthetic data")


@pytest.mark.parametrize("value", [100, 99])
def test_another_release_of_the_data_neither_confirms_nor_contradicts(make_use, value):
    data = [make_use(release="differs", note="two files more")]
    expected = ("not comparable", "another copy of the data: two files more")
    assert verdict(claim(), numbers(number=value), data) == expected


@pytest.mark.parametrize("others", [[], ["bcd"]])
def test_a_number_whose_data_set_is_not_recorded_is_not_compared(make_use, others):
    data = [make_use(name=name) for name in others]
    expected = ("not comparable", "the run does not record which copy of cbc it read")
    assert verdict(claim(), numbers(number=100), data) == expected


def test_equal_counts_confirm_and_unequal_counts_contradict(make_use):
    data = [make_use(name="bcd", release="synthetic"), make_use()]
    assert verdict(claim(), numbers(number=100), data) == ("confirmed", "published and measured agree")
    assert verdict(claim(), numbers(number=101), data) == ("contradicted", "published and measured differ")


def test_data_without_a_registered_release_can_confirm_but_not_contradict(make_use):
    data = [make_use(release="unregistered")]
    assert verdict(claim(), numbers(number=100), data)[0] == "confirmed"
    found, reason = verdict(claim(), numbers(number=101), data)
    assert found == "not comparable"
    assert reason.endswith("no digest of the published one is registered")


def test_the_reason_written_with_a_claim_stands_beside_either_verdict(make_use):
    explained = claim(reason="zero-area boxes are removed")
    assert verdict(explained, numbers(number=100), [make_use()]) == ("confirmed", "zero-area boxes are removed")
    assert verdict(explained, numbers(number=99), [make_use()]) == ("contradicted", "zero-area boxes are removed")


@pytest.mark.parametrize(("value", "expected"), [(95, "confirmed"), (105, "confirmed"), (94, "contradicted")])
def test_a_tolerance_is_relative_to_the_published_value(make_use, value, expected):
    assert verdict(claim(tolerance=0.05), numbers(number=value), [make_use()])[0] == expected


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.7, 0.8), "confirmed"),
        ((0.747, 0.8), "confirmed"),
        ((0.7, 0.747), "confirmed"),
        ((0.75, 0.8), "undecided"),
    ],
)
def test_an_interval_confirms_what_lies_inside_or_on_its_border_and_leaves_the_rest_open(make_use, interval, expected):
    metrics = {"cbc.number": Metric(value=0.76, ci=interval, n=60)}
    assert verdict(claim(value=0.747), metrics, [make_use()])[0] == expected


def test_a_score_that_is_confirmed_says_how_wide_its_interval_is(make_use):
    metrics = {"cbc.number": Metric(value=0.76, ci=(0.7, 0.8), n=60)}
    inside = "the published value lies in our interval, 0.100 wide: not excluded, no more than that"
    assert verdict(claim(value=0.747), metrics, [make_use()]) == ("confirmed", inside)
    explained = claim(value=0.747, reason="on validation")
    assert verdict(explained, metrics, [make_use()]) == ("confirmed", f"{inside}; on validation")


def test_an_interval_outranks_the_tolerance(make_use):
    metrics = {"cbc.number": Metric(value=100, ci=(101, 102), n=60)}
    found, reason = verdict(claim(tolerance=0.5), metrics, [make_use()])
    assert found == "undecided"
    assert reason.startswith("the published value lies outside our interval, but has an error of its own")


def test_among_several_values_a_count_that_differs_outweighs_a_score_outside_its_interval(make_use):
    several = claim(value=[0.5, 7], metric=["cbc.score", "cbc.rows"])
    score = {"cbc.score": Metric(value=0.8, ci=(0.7, 0.9), n=60)}
    found, reason = verdict(several, {**score, **numbers(rows=7)}, [make_use()])
    assert (found, "outside our interval in number 1," in reason) == ("undecided", True)
    expected = ("contradicted", "published and measured differ in number 2")
    assert verdict(several, {**score, **numbers(rows=8)}, [make_use()]) == expected


def test_an_answer_tells_counts_from_scores(make_use):
    score = {"cbc.number": Metric(value=100.0, ci=(90, 110), n=60)}
    assert claims.answer(claim(), numbers(number=100), [make_use()]).counted
    assert not claims.answer(claim(), score, [make_use()]).counted


def test_a_reason_can_name_a_number_of_the_run(make_use):
    explained = claim(reason="the file has {{cbc.raw}}")
    measured = {**numbers(number=100), "cbc.raw": Metric(value=3952, n=300, unit="boxes")}
    assert verdict(explained, measured, [make_use()])[1] == "the file has 3\u202f952 boxes"


@pytest.mark.parametrize(
    ("value", "metric"),
    [([13, 6], ["cbc.two", "cbc.none"]), ({"two": 13, "none": 6}, {"two": "cbc.two", "none": "cbc.none"})],
)
def test_a_claim_of_several_numbers_holds_if_each_holds_and_names_those_that_do_not(make_use, value, metric):
    several = claim(value=value, metric=metric)
    assert verdict(several, numbers(two=13, none=6), [make_use()])[0] == "confirmed"
    where = "none" if isinstance(value, dict) else "number 2"
    expected = ("contradicted", f"published and measured differ in {where}")
    assert verdict(several, numbers(two=13, none=5), [make_use()]) == expected


def test_a_row_shows_the_number_as_published_and_ours_with_its_interval(make_use):
    several = claim(value={"RBC": 0.5, "WBC": 0.35}, metric={"RBC": "cbc.a", "WBC": "cbc.b"}, about=True)
    metrics = {"cbc.a": Metric(value=0.5, ci=(0.4, 0.6), n=60), "cbc.b": Metric(value=0.2, n=60)}
    assert claims.answer(several, metrics, [make_use()]).row() == {
        "claim": "c", "report": "002", "what": "a number", "data": "cbc", "published": "about RBC 0.5 / WBC 0.35",
        "ours, 95 % interval": "RBC 0.500 (0.400–0.600) / WBC 0.200", "n": "RBC 60 / WBC 60", "verdict": "contradicted",
        "why": "published and measured differ in WBC",
    }  # fmt: skip


def test_a_row_without_numbers_of_ours_has_dashes():
    row = claims.answer(claim(metric=None), {}, []).row()
    assert (row["published"], row["ours, 95 % interval"], row["n"]) == ("100", "–", "–")


def test_every_published_claim_can_be_shown_as_a_row(project):
    assert all(found.row()["published"] for found in claims.all_answers({}))


def test_the_answers_of_a_notebook_are_those_of_its_own_claims(write, make_use):
    write(entry(id="a"), entry(id="b", notebook="01"), entry(id="c", notebook=None, metric=None))
    found = claims.answers(numbers(number=100), [make_use()], "99")
    assert [(one.claim.id, one.verdict) for one in found] == [("a", "confirmed")]


def test_every_claim_is_answered_from_the_manifest_of_its_notebook(write, make_use, make_manifest):
    write(entry(id="a"), entry(id="b", notebook="01"), entry(id="c", notebook=None, metric=None))
    manifests = {"99": make_manifest(metrics=numbers(number=100), data=[make_use()])}
    found = [(one.claim.id, one.verdict) for one in claims.all_answers(manifests)]
    assert found == [("a", "confirmed"), ("b", "undecided"), ("c", "undecided")]


def test_the_digest_of_a_notebook_follows_its_own_claims_and_that_of_the_summary_all(write):
    own, other = entry(id="a", notebook="01"), entry(id="b", notebook="02")
    write(own, other)
    before = claims.digest("01"), claims.digest("99")
    write(own, {**other, "value": 101})
    assert claims.digest("01") == before[0]
    assert claims.digest("99") != before[1]
    write({**own, "value": 101}, other)
    assert claims.digest("01") != before[0]
