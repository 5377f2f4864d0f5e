"""The front page of a profile."""

import pytest
from bs4 import BeautifulSoup
from examples import HOSTILE

from wbc_utils import render


@pytest.fixture(scope="session")
def soup(index):
    return BeautifulSoup(index, "html.parser")


@pytest.fixture(scope="session")
def rows(soup):
    return soup.select(".entry")


def words(tag):
    return " ".join(tag.get_text(" ").split())


def test_every_notebook_has_a_row_in_order(rows):
    assert [row.select_one(".position").get_text() for row in rows] == ["01", "03", "99"]


def test_row_says_title_question_answer_number_interval_n_time_and_checks(rows):
    text = words(rows[1])
    for expected in (
        "From EfficientNet to ConvNeXt", "Which single change buys the most?", "gains three points", "0.812",
        "95 % interval 0.791–0.834", "n = 17 092, test", "1 h 30 min", "own method: ✓ all 1 pass",
    ):  # fmt: skip
        assert expected in text


def test_number_without_an_interval_says_why(rows):
    assert "12 pairs no interval: a census n = 420, all" in words(rows[0])


def test_failed_and_warned_checks_are_counted(rows):
    assert "checks: own method: ✗ 1 failed , ! 1 warned of 3" in words(rows[0])


def test_faults_of_reports_and_planted_ones_are_not_counted_as_our_own(entries, manifest):
    failed, warned, passed = manifest.checks
    checks = [
        failed.model_copy(update={"data": "cbc, as published"}),
        failed.model_copy(update={"data": "cbc, as tuned in report 002"}),
        warned.model_copy(update={"data": "pbc, before the split (the lesson)"}),
        passed.model_copy(update={"data": "lymph, as published"}),
        passed,
    ]
    entry = entries[0]._replace(manifest=manifest.model_copy(update={"checks": checks}))
    status = BeautifulSoup(render.index("demo", [entry]), "html.parser").select_one(".status")
    expected = "own method: ✓ all 1 pass ; found in reports or data: 2; made on purpose as a lesson: 1"
    assert words(status).endswith(expected)
    assert status.select(".failed, .warned") == []


def test_status_is_a_word_beside_its_mark(rows):
    assert [words(row.select_one(".status .state")) for row in rows] == ["✓ done", "✗ failed", "○ not run"]


def test_failed_notebook_with_earlier_results_says_which_are_shown(rows):
    assert "the last run that succeeded" in words(rows[1])


def test_notebook_that_has_not_run_gives_its_command_and_no_link(rows):
    assert rows[2].find("a") is None
    assert "wbc run 99 --profile demo" in words(rows[2])


def test_data_sets_are_listed_once_with_the_notebooks_that_read_them(soup):
    found = [[words(cell) for cell in row.find_all(["th", "td"])] for row in soup.select("#data + div tbody tr")]
    assert found == [
        ["Complete Blood Count cbc", "synthetic", "420", "MIT", "01, 03"],
        ["Barcelona peripheral blood cells pbc", "synthetic", "17 092", "CC-BY-4.0", "01, 03"],
    ]


def test_same_data_set_in_two_releases_is_listed_twice(entries, manifest):
    other = manifest.model_copy(update={"data": [manifest.data[0].model_copy(update={"digest": "00"})]})
    changed = [entries[0], entries[1]._replace(manifest=other)]
    soup = BeautifulSoup(render.index("cpu", changed), "html.parser")
    assert len(soup.select("#data + div tbody tr")) == 3


def test_provenance_adds_up_the_times_and_names_commit_and_hardware_once(soup, manifest):
    text = words(soup.select_one("#provenance + dl"))
    assert "1 h 31 min for 2 of 3 notebooks" in text
    assert text.count(manifest.git_commit) == 1
    assert text.count("AMD EPYC 7B13") == 1
    assert "make report PROFILE=demo" in text


def test_banner_stands_where_any_notebook_read_synthetic_data(soup, entries):
    assert len(soup.select(".banner")) == 1
    assert BeautifulSoup(render.index("cpu", entries[2:]), "html.parser").select(".banner") == []


def test_index_of_a_profile_that_never_ran_is_still_a_page(entries):
    soup = BeautifulSoup(render.index("gpu", entries[2:]), "html.parser")
    assert len(soup.find_all("h1")) == 1
    assert soup.find(id="data") is None


def test_notebook_without_a_headline_number_has_none(entries, manifest):
    plain = entries[0]._replace(manifest=manifest.model_copy(update={"headline": None}))
    assert BeautifulSoup(render.index("demo", [plain]), "html.parser").select(".headline") == []


def test_everything_from_data_is_escaped(entries, manifest):
    use = manifest.data[0].model_copy(update=dict.fromkeys(("name", "title", "licence"), HOSTILE))
    hostile = manifest.model_copy(
        update={"answer": HOSTILE, "git_commit": HOSTILE, "data": [use], "hardware": {"cpu": HOSTILE},
                "headline": HOSTILE,
                "metrics": {HOSTILE: manifest.metrics["cbc.macro_f1"].model_copy(update={"unit": HOSTILE})}}
    )  # fmt: skip
    html = render.index("demo", [render.Entry("01", HOSTILE, HOSTILE, hostile, "done", "01.html")])
    soup = BeautifulSoup(html, "html.parser")
    assert len(soup.find_all("script")) == 1
    assert soup.find("img") is None


def test_same_input_gives_the_same_bytes(index, entries):
    assert render.index("demo", entries) == index
