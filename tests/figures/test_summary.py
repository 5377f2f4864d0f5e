from wbc_utils.claims import Answer, Claim
from wbc_utils.figures import Link, summary
from wbc_utils.manifest import Metric


def one(seed, verdict, ours=None, **changes):
    claim = Claim(id=f"{seed}-{verdict}", seed=seed, what="x", dataset="cbc", value=1, **changes)
    return Answer(claim=claim, ours={"": ours} if ours else {}, verdict=verdict, reason="")


def test_verdicts_are_counted_by_report_with_every_column_present():
    table = summary.verdict_counts([one("001", "confirmed"), one("001", "undecided"), one("002", "confirmed")])
    assert list(table.columns) == ["report", "confirmed", "contradicted", "not comparable", "undecided", "claims"]
    assert table.set_index("report").loc["001"].tolist() == [1, 0, 0, 1, 2]


def test_the_metric_table_has_interval_and_page(make_manifest):
    metric = Metric(value=0.5, ci=(0.4, 0.6), n=7, split="test", init="random")
    [row] = summary.metric_table({"03": make_manifest(metrics={"pbc.f1": metric})}).to_dict("records")
    assert (row["value"], row["95 % interval"], row["n"], row["init"]) == ("0.500", "0.400–0.600", 7, "random")
    assert row["page"] == Link("03.html", "03.html")


def test_an_interval_that_starts_below_zero_is_written_with_to(make_manifest):
    metric = Metric(value=-0.04, ci=(-0.05, 0.1), n=7)
    [row] = summary.metric_table({"03": make_manifest(metrics={"pbc.gain": metric})}).to_dict("records")
    assert row["95 % interval"] == "-0.050 to 0.100"


def test_the_answer_counts_every_verdict_and_tells_counts_from_scores():
    count, score = Metric(value=1, n=7), Metric(value=0.9, ci=(0.8, 1.0), n=7)
    text = summary.answer([one("001", "confirmed", count), one("001", "confirmed", score), one("002", "undecided")])
    kinds = "(1 count of files, images, boxes or patients, 1 score)"
    assert text.startswith(f"Of 3 published claims 2 are confirmed {kinds}, 0 contradicted,")


def test_the_answer_says_why_claims_are_undecided():
    open_ones = [one("000", "undecided"), one("000", "undecided", choice=True)]
    text = summary.answer([*open_ones, one("001", "undecided", metric="cbc.number", notebook="05")])
    assert "3 undecided (choices or rules, which cannot be measured: 1; without their data set: 1; left open by" in text
