from wbc_utils.claims import Claim, answer
from wbc_utils.figures import Link, findings
from wbc_utils.manifest import Metric


def count(value):
    return Metric(value=value, n=10)


def test_a_count_of_zero_is_no_finding():
    found = findings.data_findings({"bcd.near_duplicates": count(0), "pbc.near_duplicates": count(2)})
    assert list(found["number"]) == ["2"]


def test_what_was_not_measured_is_not_said():
    assert findings.data_findings({}).empty
    assert findings.data_answer({}, []).startswith("no published count can be compared")


def test_the_suite_tells_the_findings_of_all_pages_with_their_links(make_manifest):
    manifests = {
        "01": make_manifest(metrics={"pbc.near_duplicates": count(2)}),
        "05": make_manifest(metrics={"cbc.optimism_report": Metric(value=-0.01, ci=(-0.02, 0.01), n=60)}),
    }
    told = findings.untold(manifests)
    assert list(told["page"]) == [Link("01.html", "01.html"), Link("05.html", "05.html")]
    assert list(told["number"]) == ["2", str(manifests["05"].metrics["cbc.optimism_report"])]
    assert findings.untold({}).empty


def test_the_answer_counts_only_claims_that_were_compared():
    claim = Claim(id="a", seed="002", what="rows", dataset="cbc", value=7, notebook="01", metric="cbc.rows")
    undecided = answer(claim, {}, [])
    assert "no published count" in findings.data_answer({}, [undecided])
