"""The sheets of the benchmarks and the page that is made of them."""

import ast
import itertools
import json
from pathlib import Path

import collect
import pytest
from browser import CHROMIUM, MISSING, check_page
from bs4 import BeautifulSoup
from examples import HOSTILE
from sheet import Sheet, reached, take_turns

from wbc_utils import render

FOLDER = Path(collect.__file__).parent


@pytest.fixture
def make_sheet(tmp_path, monkeypatch):
    """Return a function that fills a sheet and reads what it wrote."""

    def make(name="counting", what="counting to ten", peer="abacus"):
        target = tmp_path / f"{name}.json"
        monkeypatch.setenv("WBC_SHEET", str(target))
        with Sheet(name, what, packages=("numpy",)) as sheet:
            sheet.note("ten fingers")
            sheet.ratio("to ten", [2.0, 1.0, 1.0], [6.0, 4.0, 5.0], peer=peer, asked="≥ 4")
            sheet.section("in the dark")
            sheet.line("to ten", [2.0], "s", asked="≤ 1")
            sheet.line("fingers", [9, 10], "fingers")
        return json.loads(target.read_text(encoding="utf-8"))

    return make


def test_sides_take_turns_and_the_first_run_of_each_is_not_counted():
    ticks, calls = itertools.count(), []
    times = take_turns(lambda: calls.append("a"), lambda: calls.append("b"), repeats=2, clock=lambda: next(ticks))
    assert calls == ["a", "b"] * 3
    assert times == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ("value", "asked", "expected"), [(4, "≥ 4", True), (3.9, "≥ 4", False), (10, "≤ 10", True), (10.1, "≤ 10", False)]
)
def test_a_goal_is_reached_at_its_bound(value, asked, expected):
    assert reached(value, asked) is expected


def test_a_goal_of_another_form_is_refused():
    with pytest.raises(ValueError, match="write it as '≥ 4' or '≤ 10'"):
        reached(1, "about 4")


def test_a_ratio_is_the_costs_of_the_peer_over_ours_run_by_run(make_sheet):
    ratio, line, _ = make_sheet()["rows"]
    assert ratio == {
        "section": "", "name": "to ten", "peer": "abacus", "unit": "×", "median": 4.0, "range": [3.0, 5.0],
        "asked": "≥ 4", "reached": True, "values": [3.0, 4.0, 5.0],
    }  # fmt: skip
    assert (line["section"], line["peer"], line["reached"]) == ("in the dark", None, False)


def test_runs_without_a_partner_are_refused(make_sheet):
    with pytest.raises(ValueError, match="shorter"):
        Sheet("a", "b").ratio("c", [1.0, 2.0], [1.0], peer="d")


def test_a_benchmark_that_fails_leaves_no_sheet(tmp_path, monkeypatch):
    monkeypatch.setenv("WBC_SHEET", str(tmp_path / "sheet.json"))
    with pytest.raises(SystemExit), Sheet("a", "b"):
        raise SystemExit("the two sides differ")
    assert not list(tmp_path.iterdir())


def test_the_page_says_what_was_measured_against_whom_where_and_whether_it_is_as_asked(make_sheet):
    soup = BeautifulSoup(render.benchmarks("cpu", [make_sheet()]), "html.parser")
    (ratio,) = soup.select("#ratios + .scroll tbody tr")
    assert ratio.get_text(" ", strip=True) == "to ten abacus 4.00 × 3.00–5.00 3 ≥ 4 ✓ reached"
    rows = [row.get_text(" ", strip=True) for row in soup.select("#counting ~ .scroll tbody tr")]
    assert rows[1] == "to ten in the dark 2.00 s 2.00–2.00 1 ≤ 1 ✗ missed"
    assert "Counting to ten" in soup.get_text()
    assert "Ten fingers." in soup.get_text()
    for word in ("python benchmarks/bench_counting.py", "numpy", "cores", "before"):
        assert word in soup.select_one(".plain").get_text()


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_the_page_is_quiet_offline_accessible_and_fits_every_width(browser, tmp_path, make_sheet):
    path = tmp_path / "benchmarks.html"
    path.write_text(render.benchmarks("cpu", [make_sheet(), make_sheet("second")]), encoding="utf-8")
    check_page(browser, path)


def test_nothing_from_a_sheet_is_taken_as_html(make_sheet):
    soup = BeautifulSoup(render.benchmarks("cpu", [make_sheet(what=HOSTILE, peer=HOSTILE)]), "html.parser")
    assert len(soup.find_all("script")) == 1
    assert soup.find("img") is None


def test_a_new_sheet_takes_the_place_of_the_old_one_and_the_index_leads_to_the_page(toy, make_sheet):
    toy.write("1 + 1")
    collect.publish("demo", [make_sheet("first"), make_sheet("second", what="before")])
    sheets = collect.publish("demo", [make_sheet("second", what="after")])
    folder = toy.root / "reports" / "demo"
    assert json.loads((folder / "benchmarks.json").read_text(encoding="utf-8")) == sheets
    assert [(sheet["name"], sheet["what"]) for sheet in sheets] == [("first", "counting to ten"), ("second", "after")]
    assert 'href="benchmarks.html"' in (folder / "index.html").read_text(encoding="utf-8")
    assert "After" in (folder / "benchmarks.html").read_text(encoding="utf-8")


def test_an_index_without_benchmarks_leads_to_none(index):
    assert "benchmarks.html" not in index


def test_the_printed_table_names_benchmark_ratio_range_goal_and_peer(make_sheet):
    assert " ".join(collect.table([make_sheet()]).split()) == (
        "4.00 × (3.00–5.00) asked ≥ 4 counting: to ten, against abacus"
    )


@pytest.mark.parametrize(
    ("code", "measured"),
    [
        ("from sheet import Sheet\nwith Sheet('own', 'w') as sheet:\n    sheet.line('a', [1.0], 's')", ["a"]),
        ("1 / 0", None),
    ],
)
def test_a_benchmark_runs_in_a_process_of_its_own(tmp_path, monkeypatch, code, measured):
    (tmp_path / "bench_own.py").write_text(code)
    monkeypatch.setattr(collect, "FOLDER", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(FOLDER))
    sheet = collect.measure("own")
    assert (sheet and [row["name"] for row in sheet["rows"]]) == measured


@pytest.mark.parametrize("name", collect.NAMES)
def test_every_benchmark_fills_the_sheet_of_its_name(name):
    tree = ast.parse((FOLDER / f"bench_{name}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert [ast.literal_eval(call.args[0]) for call in calls if call.func.id == "Sheet"] == [name]
