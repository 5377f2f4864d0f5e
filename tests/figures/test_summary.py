from wbc_utils.claims import Answer, Claim
from wbc_utils.figures import Link, summary
from wbc_utils.manifest import Metric


def one(seed, verdict):
    claim = Claim(id=f"{seed}-{verdict}", seed=seed, what="x", dataset="cbc", value=1)
    return Answer(claim=claim, ours={}, verdict=verdict, reason="")


def test_verdicts_are_counted_by_report_with_every_column_present():
    table = summary.verdict_counts([one("001", "confirmed"), one("001", "undecided"), one("002", "confirmed")])
    assert list(table.columns) == ["report", "confirmed", "contradicted", "not comparable", "undecided", "claims"]
    assert table.set_index("report").loc["001"].tolist() == [1, 0, 0, 1, 2]


def test_the_metric_table_has_interval_and_page(make_manifest):
    metric = Metric(value=0.5, ci=(0.4, 0.6), n=7, split="test", init="random")
    [row] = summary.metric_table({"03": make_manifest(metrics={"pbc.f1": metric})}).to_dict("records")
    assert (row["value"], row["95 % interval"], row["n"], row["init"]) == ("0.500", "0.400–0.600", 7, "random")
    assert row["page"] == Link("03.html", "03.html")


def test_the_answer_counts_every_verdict():
    text = summary.answer([one("001", "confirmed"), one("002", "undecided")])
    assert text.startswith("Of 2 published claims 1 are confirmed, 0 contradicted")
