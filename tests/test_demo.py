"""The whole demo, through Snakemake and the real runner, in a project folder of its own."""

import json
import re
from urllib.parse import unquote

import nbformat
import pytest

from wbc_utils import claims, params
from wbc_utils.data import synthetic
from wbc_utils.figures import findings
from wbc_utils.manifest import placeholders, read_manifests


@pytest.fixture(scope="module")
def manifests(demo):
    return read_manifests(demo.reports / "manifests")


@pytest.fixture(scope="module")
def planted(demo):
    return synthetic.planted(demo.root / "runs" / "synthetic" / "seed-0")


def test_every_notebook_leaves_page_manifest_and_executed_copy(demo, manifests):
    assert list(manifests) == list(params.NOTEBOOKS)
    for number in params.NOTEBOOKS:
        assert (demo.reports / f"{number}.html").is_file()
        assert (demo.root / "runs" / "demo" / number / "notebook.ipynb").is_file()
    assert (demo.reports / "index.html").is_file()


def test_every_page_says_that_its_data_is_synthetic_and_has_an_answer(demo, manifests):
    for number, manifest in manifests.items():
        assert manifest.synthetic
        assert manifest.answer
        assert "Synthetic data" in (demo.reports / f"{number}.html").read_text()


def test_every_link_of_every_page_leads_to_a_page_and_a_place_on_it(demo):
    pages = {path.name: path.read_text() for path in demo.reports.glob("*.html")}
    places = {name: set(re.findall(r'\bid="([^"]+)"', page)) for name, page in pages.items()}
    links = [(name, link) for name, page in pages.items() for link in re.findall(r'\bhref="([^"]+)"', page)]
    own = [(name, link.partition("#")) for name, link in links if "://" not in link]
    assert len({target or name for name, (target, _, _) in own}) == len(pages)
    lost = [
        (name, target, place)
        for name, (target, _, place) in own
        if (target or name) not in pages or (place and unquote(place) not in places[target or name])
    ]
    assert lost == []


def test_every_headline_and_every_number_quoted_in_prose_is_recorded(manifests):
    for number, manifest in manifests.items():
        cells = nbformat.read(params.notebook_path(number), as_version=4).cells
        quoted = placeholders("\n".join(cell.source for cell in cells if cell.cell_type == "markdown"))
        assert quoted - {"answer"} <= manifest.metrics.keys()
        assert manifest.headline is None or manifest.headline in manifest.metrics


def test_every_planted_duplicate_of_cbc_is_found_and_no_other(manifests, planted):
    found = manifests["01"].metrics
    assert found["cbc.exact_duplicates_across_splits"].value == len(planted["cbc"]["validation_copies"])
    assert found["cbc.near_duplicates_across_splits"].value == len(planted["cbc"]["near_duplicates"])


def test_every_planted_duplicate_of_pbc_is_found_and_no_other(manifests, planted):
    found, wanted = manifests["01"].metrics, planted["pbc"]
    equal = len(wanted["exact_duplicates"]) + len(wanted["conflicting_duplicates"])
    assert found["pbc.exact_duplicate_groups"].value == equal
    assert found["pbc.conflicting_duplicate_groups"].value == len(wanted["conflicting_duplicates"])
    assert found["pbc.near_duplicates"].value == len(wanted["near_duplicates"])


def test_the_planted_wrong_annotations_are_found(manifests, planted):
    found = manifests["01"].metrics
    assert found["bcd.duplicate_annotations"].value == len(planted["bcd"]["annotated_twice"])
    without_area = [box for box in planted["cbc"]["degenerate_boxes"] if box["image"].startswith("Training")]
    assert found["cbc.train_rows_raw"].value - found["cbc.train_rows"].value == len(without_area)


def test_no_check_of_our_own_splits_fails(manifests):
    ours = [check for check in manifests["01"].checks if check.data.endswith("as split here")]
    assert ours
    assert "fail" not in {check.status for check in ours}


def test_every_claim_stands_in_the_summary_with_a_verdict(demo, manifests):
    metrics = manifests["99"].metrics
    assert sum(metric.value for name, metric in metrics.items() if name.startswith("claims.")) == 39
    page = (demo.reports / "99.html").read_text()
    assert all(claim.id in page for claim in claims.load_claims())


def test_every_finding_that_no_report_told_names_a_number_that_some_notebook_records(demo, manifests):
    recorded = {name for manifest in manifests.values() for name in manifest.metrics}
    sources = "".join(path.read_text() for path in (demo.root / "notebooks").glob("*.ipynb"))
    others = {one.metric for one in findings.IN_METHODS} - recorded  # some need two lamps, which the miniatures lack
    assert [name for name in others if f'\\"{name}\\"' not in sources] == []


def test_the_tables_that_later_notebooks_read_are_there(demo):
    tables = demo.root / "runs" / "demo" / "01" / "tables"
    names = {path.name for path in tables.iterdir()}
    assert {f"splits_{name}.csv" for name in ("cbc", "bcd", "pbc", "segwbc", "lymph", "wbcbench", "cytologia")} <= names
    assert (tables / "clean_anno.csv").read_text().splitlines()[0] == "image,xmin,ymin,xmax,ymax,label"


def test_an_unchanged_rerun_does_nothing(demo):
    before = demo.outputs()
    result = demo.make()
    assert "Nothing to be done" in result.stderr + result.stdout
    assert demo.outputs() == before


def test_a_changed_parameter_or_notebook_reruns_just_what_depends_on_it(demo):
    path = demo.root / "params" / "demo" / "99.yaml"
    original = path.read_text()
    path.write_text(original.replace("parameters: {}", "parameters:\n  seed: 1"))
    assert demo.planned() == {"99"}
    path.write_text(original)
    path = demo.root / "params" / "demo" / "01.yaml"
    original = path.read_text()
    path.write_text(original.replace("parameters: {}", "parameters:\n  folds: 4"))
    assert demo.planned() >= {"01", "99"}
    path.write_text(original)
    assert demo.planned() == set()


def test_a_notebook_gets_the_cores_of_its_cost_card(demo):
    plan = demo.make("--dry-run", "--config", "profile=cpu").stdout
    said = re.findall(r"^rule notebook_(\d\d):$(?:\n .*)*?\n    threads: (\d+)$", plan, re.MULTILINE)
    asked = {number: params.read_parameter_file(number, "cpu").cost.cores for number in params.NOTEBOOKS}
    assert {number: int(cores) for number, cores in said} == {key: cores for key, cores in asked.items() if cores > 1}


def test_a_failing_notebook_fails_the_report_and_keeps_every_previous_output(demo):
    (path,) = (demo.root / "notebooks").glob("99_*.ipynb")
    original, before = path.read_text(), demo.outputs()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("raise ValueError('on purpose')"))
    nbformat.write(notebook, path)
    result = demo.make()
    assert result.returncode != 0
    assert "on purpose" in result.stderr + result.stdout
    after = demo.outputs()
    assert {name: content for name, content in after.items() if name.name != "index.html"} == {
        name: content for name, content in before.items() if name.name != "index.html"
    }
    assert "failed" in (demo.reports / "index.html").read_text()
    path.write_text(original)
    assert demo.make().returncode == 0
    assert json.loads((demo.reports / "manifests" / "99.json").read_text())["metrics"]
