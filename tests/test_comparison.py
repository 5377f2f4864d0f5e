import json
import re

import pytest

from wbc_utils import comparison
from wbc_utils.comparison import ComparisonError, compare, find_runs, intervals
from wbc_utils.manifest import ManifestError, Metric


def put(path, manifest):
    """Write a manifest and return the words that name it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(manifest.model_dump_json())
    return str(path)


def rows(text, title):
    """Return the cells of the rows under a title, by their first cell."""
    lines = text.splitlines()
    start = next(position for position, line in enumerate(lines) if line.startswith(f"  {title}"))
    found = {}
    for line in lines[start + 1 :]:
        if not line.startswith("    "):
            break
        name, *cells = re.split(r" {2,}", line.strip())
        found[name] = cells
    return found


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.1, 0.3), (0.2, 0.4), "overlap"),
        ((0.1, 0.2), (0.2, 0.4), "overlap"),
        ((0.1, 0.4), (0.2, 0.3), "overlap"),
        ((0.1, 0.2), (0.21, 0.4), "apart"),
        ((0.1, 0.2), None, "none"),
        (None, None, "none"),
    ],
)
def test_intervals_overlap_if_they_share_a_point(one, other, expected):
    metrics = [Metric(value=0.2, ci=ci, n=5) for ci in (one, other)]
    assert intervals(*metrics) == intervals(*reversed(metrics)) == expected


def test_a_name_may_be_a_manifest_a_folder_a_report_or_a_profile_with_a_notebook(toy, make_manifest):
    manifest = make_manifest()
    kept = put(toy.root / "before.json", manifest)
    put(toy.manifest, manifest)
    folder = toy.manifest.parent
    for name in (kept, str(folder), str(folder.parent), "demo/99"):
        assert find_runs(name) == {"99": manifest}


@pytest.mark.parametrize("name", ["gone.json", "demo/98", "laptop/99", "demo", ".", ""])
def test_a_name_that_leads_nowhere_says_what_may_be_named(toy, monkeypatch, name):
    monkeypatch.chdir(toy.root)
    with pytest.raises(ComparisonError, match=r"leads to no run\. Name a manifest .*\(cpu/03\)"):
        find_runs(name)


def test_a_notebook_that_has_not_run_names_the_command(toy):
    with pytest.raises(
        ComparisonError, match=r"demo/99 has not run: .*99\.json is missing\. .*: wbc run 99 --profile demo"
    ):
        find_runs("demo/99")


def test_a_file_that_is_no_manifest_is_refused_by_its_name(tmp_path):
    (tmp_path / "table.json").write_text("[]")
    with pytest.raises(ManifestError, match=r"table\.json is not a readable manifest"):
        compare(str(tmp_path / "table.json"), str(tmp_path / "table.json"))


def test_runs_without_a_common_notebook_are_refused(tmp_path, make_manifest):
    one, other = (put(tmp_path / f"{number}.json", make_manifest(notebook=number)) for number in ("03", "04"))
    with pytest.raises(ComparisonError, match=r"no notebook in common: .*03\.json holds 03; .*04\.json holds 04"):
        compare(one, other)


def test_a_run_compared_with_itself_differs_in_nothing(tmp_path, make_manifest, make_use):
    manifest = make_manifest(metrics={"f1": Metric(value=0.5, ci=(0.4, 0.6), n=7)}, data=[make_use()])
    text = compare(*2 * [put(tmp_path / "99.json", manifest)])
    for title in ("parameters", "made by", "data"):
        assert f"  {title}: the same\n" in text + "\n"
    assert rows(text, "metrics") == {
        "f1": ["0.500 [0.400, 0.600], n 7", "0.500 [0.400, 0.600], n 7", "0", "overlap", "–"]
    }
    assert rows(text, "run")["seconds"] == ["1.50", "1.50", "1.00"]


def test_what_differs_stands_side_by_side(tmp_path, make_manifest, make_use):
    before = make_manifest(
        parameters={"profile": "demo", "seed": 0, "epochs": 4},
        metrics={"f1": Metric(value=0.5, ci=(0.4, 0.6), n=7, init="random"), "old": Metric(value=1, n=3, unit="pairs")},
        data=[make_use()],
    )
    after = make_manifest(
        parameters={"profile": "demo", "seed": 0, "epochs": 8},
        metrics={"f1": Metric(value=0.75, ci=(0.7, 0.8), n=9, init="imagenet"), "new": Metric(value=2, n=3)},
        data=[make_use(digest="1" * 64)],
        versions={"python": "3.12.1"},
        seconds=3.0,
        peak_memory_mib=40.0,
    )
    text = compare(put(tmp_path / "a.json", before), put(tmp_path / "b.json", after))
    assert rows(text, "parameters") == {"epochs": ["4", "8"]}
    assert rows(text, "metrics") == {
        "f1": [
            "0.500 [0.400, 0.600], n 7", "0.750 [0.700, 0.800], n 9", "+0.250", "apart", "init random → init imagenet"
        ],
        "old": ["1, n 3", "–", "–", "–", "pairs"],
        "new": ["–", "2, n 3", "–", "–", "–"],
    }  # fmt: skip
    assert rows(text, "run") == {"seconds": ["1.50", "3.00", "2.00"], "peak memory, MiB": ["80.0", "40.0", "0.50"]}
    assert rows(text, "made by") == {"python": ["3.11.2", "3.12.1"]}
    assert rows(text, "data")["cbc"][1].endswith("digest 111111111111")


def test_whole_reports_are_compared_notebook_by_notebook(tmp_path, make_manifest):
    for number in ("01", "03"):
        put(tmp_path / "a" / "manifests" / f"{number}.json", make_manifest(notebook=number, title=f"Title {number}"))
    for number in ("03", "04"):
        put(tmp_path / "b" / f"{number}.json", make_manifest(notebook=number, title=f"Title {number}"))
    text = compare(str(tmp_path / "a"), str(tmp_path / "b"))
    assert "only in A: notebook 01\nonly in B: notebook 04\n\n03 · Title 03\n" in text
    assert "Title 01" not in text


def test_the_columns_stand_under_their_heads(tmp_path, make_manifest):
    names = [put(tmp_path / f"{n}.json", make_manifest(metrics={"f1": Metric(value=n, n=3)})) for n in (1, 2)]
    lines = compare(*names).splitlines()
    at = next(position for position, line in enumerate(lines) if line.startswith("  metrics"))
    assert lines[at].index("B − A") == lines[at + 1].index("+1")


def test_numbers_of_the_committed_reports_can_be_compared(project):
    report = str(project / "reports" / "cpu")
    text = compare(report, report)
    assert {f"{number} · " for number in comparison.find_runs(report)} <= {line[:5] for line in text.splitlines()}


def test_a_manifest_of_another_schema_names_the_command_that_makes_it_anew(tmp_path):
    path = tmp_path / "demo" / "manifests" / "99.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema_version": 2}))
    with pytest.raises(ManifestError, match="Make it anew: wbc run 99 --profile demo"):
        find_runs(str(tmp_path / "demo"))


def test_a_file_that_is_no_manifest_is_said_to_be_none(tmp_path):
    (tmp_path / "README.md").write_text("# Words")
    with pytest.raises(ComparisonError, match=r"README\.md is no manifest; name one, such as reports/cpu/manifests"):
        compare(str(tmp_path / "README.md"), str(tmp_path / "README.md"))
