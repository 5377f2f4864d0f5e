import json

import nbformat
import pytest

from wbc_utils import params, report
from wbc_utils.manifest import ManifestError, Metric


def notebook(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(source) for source in sources])


@pytest.fixture
def ran(toy, make_manifest):
    """Return the toy project as if its notebook had run."""
    toy.write("1 + 1")
    toy.run_folder.mkdir(parents=True)
    source = toy.root / "notebooks" / "99_toy.ipynb"
    (toy.run_folder / "notebook.ipynb").write_bytes(source.read_bytes())
    toy.manifest.parent.mkdir(parents=True)
    toy.manifest.write_text(make_manifest().model_dump_json())
    return toy


@pytest.fixture
def three(toy, monkeypatch):
    """Return the toy project with three notebooks, 01, 05 and 99."""
    monkeypatch.setattr(params, "NOTEBOOKS", dict.fromkeys(("01", "05", "99"), params.Summary))
    for number in params.NOTEBOOKS:
        head = f"# {number} · Title {number}\n\n**Question.** Why {number}?\n\n**Answer.** {{{{answer}}}}"
        nbformat.write(notebook(head), toy.root / "notebooks" / f"{number}_n.ipynb")
    return toy


def test_title_and_question_stand_in_the_first_cell():
    found = report.title_and_question(
        notebook("# 03 · From A to B \n\n**Question.** Which  helps?\n\nMore.", "# 04 · C")
    )
    assert found == ("From A to B", "Which  helps?")


@pytest.mark.parametrize(
    "cells", [(), ("",), ("# T\n\n**Question.** Q?",), ("# 03 · T",), ("prose", "# 03 · T\n\n**Question.** Q?")]
)
def test_a_notebook_that_does_not_begin_with_title_and_question_is_refused(cells):
    with pytest.raises(
        report.ReportError, match=r"first cell .* heading '# NN · Title' and a line '\*\*Question\.\*\* …'"
    ):
        report.title_and_question(notebook(*cells))


def test_a_page_is_made_anew_from_the_last_run(ran):
    assert report.write_page("99", "demo") == ran.page
    text = ran.page.read_text(encoding="utf-8")
    assert "A toy" in text
    assert "It runs." in text


def test_a_page_of_a_notebook_that_has_not_run_names_the_command(toy):
    toy.write("1 + 1")
    with pytest.raises(report.ReportError, match=r"notebook\.ipynb is missing; .*: wbc run 99 --profile demo$"):
        report.write_page("99", "demo")
    assert not toy.page.exists()


def test_a_page_whose_manifest_is_missing_names_the_command(ran):
    ran.manifest.unlink()
    with pytest.raises(report.ReportError, match=r"99\.json is missing; .*: wbc run 99 --profile demo$"):
        report.write_page("99", "demo")


@pytest.mark.parametrize(
    ("number", "links"),
    [("01", ["05.html"]), ("05", ["01.html", "99.html"]), ("99", ["05.html"])],
)
def test_a_page_leads_to_the_notebooks_before_and_after_it(three, make_manifest, number, links):
    source = nbformat.read(three.root / "notebooks" / f"{number}_n.ipynb", as_version=4)
    text = report.page(source, make_manifest(notebook=number))
    assert [other for other in ("01.html", "05.html", "99.html") if f'href="{other}"' in text] == links


def test_the_index_lists_every_notebook_even_before_any_has_run(three):
    path = report.write_index("demo")
    assert path == three.root / "reports" / "demo" / "index.html"
    text = path.read_text(encoding="utf-8")
    positions = [text.index(f"Why {number}?") for number in params.NOTEBOOKS]
    assert positions == sorted(positions)
    assert "wbc run 05 --profile demo" in text
    assert 'href="05.html"' not in text


def test_the_index_quotes_answer_and_headline_of_a_run(ran, make_manifest):
    headline = {"headline": "toy.number", "metrics": {"toy.number": Metric(value=0.5, ci=(0.4, 0.6), n=7)}}
    ran.manifest.write_text(make_manifest(**headline).model_dump_json())
    text = report.write_index("demo").read_text(encoding="utf-8")
    assert "It runs." in text
    assert "0.500" in text
    assert "0.400–0.600" in text
    assert 'href="99.html"' in text


def test_a_failed_run_is_marked_and_its_last_results_stay(ran):
    (ran.run_folder / "failed.ipynb").touch()
    text = report.write_index("demo").read_text(encoding="utf-8")
    assert '<span class="state failed">' in text
    assert "It runs." in text


def test_the_index_is_refused_if_a_manifest_cannot_be_read_and_the_old_one_stays(ran):
    before = report.write_index("demo").read_bytes()
    ran.manifest.write_text(json.dumps({"schema_version": 2}))
    with pytest.raises(ManifestError, match="Make it anew: wbc run 99 --profile demo"):
        report.write_index("demo")
    assert (ran.root / "reports" / "demo" / "index.html").read_bytes() == before


def test_the_index_of_a_profile_that_does_not_exist_is_refused(toy):
    toy.write("1 + 1")
    with pytest.raises(params.ParameterError, match="there is no profile 'laptop'; there are demo, cpu, gpu"):
        report.write_index("laptop")
    assert not (toy.root / "reports" / "laptop").exists()
