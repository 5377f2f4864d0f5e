from wbc_utils.claims import Claim, answer
from wbc_utils.figures import findings
from wbc_utils.manifest import Metric


def count(value):
    return Metric(value=value, n=10)


def test_a_count_of_zero_is_no_finding():
    found = findings.data_findings({"bcd.near_duplicates": count(0), "pbc.near_duplicates": count(2)})
    assert list(found["number"]) == ["2"]


def test_what_was_not_measured_is_not_said():
    assert findings.data_findings({}).empty
    assert findings.data_answer({}, []).startswith("no published count can be compared")


def test_boxes_without_area_are_the_difference_of_two_counts():
    metrics = {"cbc.train_rows": count(3951), "cbc.train_rows_raw": count(3952)}
    assert list(findings.data_findings(metrics)["number"]) == ["1"]


def test_the_answer_counts_only_claims_that_were_compared():
    claim = Claim(id="a", seed="002", what="rows", dataset="cbc", value=7, notebook="01", metric="cbc.rows")
    undecided = answer(claim, {}, [])
    assert "no published count" in findings.data_answer({}, [undecided])
