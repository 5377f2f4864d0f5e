import pytest

from wbc_utils.claims import Claim, answer
from wbc_utils.figures import Link, findings
from wbc_utils.manifest import Metric

CONFLICTING = {"pbc.conflicting_duplicate_groups": Metric(value=0, n=10)}


def count(value):
    return Metric(value=value, n=10)


def test_a_count_of_zero_is_no_finding():
    found = findings.data_findings({"bcd.near_duplicates": count(0), "pbc.near_duplicates": count(2)})
    assert list(found["number"]) == ["2"]


def test_duplicates_are_told_of_any_data_set_that_was_searched():
    found = {f"mine.{what}": count(2) for what in ("exact_duplicate_groups", "near_duplicates")}
    told = findings.data_findings({**found, "cbc.near_duplicates": count(1)})
    assert list(told["finding"]) == [
        "Nearly equal pictures within cbc", "Groups of equal pictures in mine", "Nearly equal pictures in mine",
    ]  # fmt: skip


def test_what_was_not_measured_is_not_said():
    assert findings.data_findings({}).empty
    assert findings.data_answer({}, []).startswith("No published count can be compared")


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
    assert "No published count" in findings.data_answer({}, [undecided])


def test_a_single_thing_is_in_the_singular():
    one = {"pbc.near_duplicates": Metric(value=1, n=10, unit="pairs")}
    assert list(findings.data_findings(one)["number"]) == ["1 pair"]
    assert list(findings.data_findings({"pbc.near_duplicates": Metric(value=2, n=10, unit="pairs")})["number"]) == [
        "2 pairs"
    ]


@pytest.mark.parametrize(("copies", "said"), [(10, "All 10 published"), (7, "7 of 10 published")])
def test_the_answer_says_how_many_validation_images_are_copies(copies, said):
    numbers = {"validation_copies_of_train": copies, "validation_copies_of_test": 2, "train_copies_of_test": 3}
    measured = {f"cbc.{name}": count(value) for name, value in numbers.items()}
    measured["cbc.near_duplicates_across_splits"] = Metric(value=4, n=10, unit="pairs")
    text = findings.data_answer(measured, [])
    assert text.startswith(
        f"{said} validation images of cbc are copies of a training image, 2 of a test image; 3 of 10 published "
        "training images are copies of a test image, and 4 pairs across splits nearly so; "
    )


def test_the_answer_speaks_of_patients_only_where_they_were_read():
    assert "lymph" not in findings.data_answer({"pbc.exact_duplicate_groups": count(1), **CONFLICTING}, [])
    assert findings.data_answer({"lymph.test_patients": count(1)}, []).endswith("that names them, lymph.")
