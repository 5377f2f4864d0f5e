"""One executed notebook as one self-contained page."""

import re
import subprocess
import sys

import pytest
from bs4 import BeautifulSoup
from examples import HOSTILE, METRICS, code, figure_output, markdown, metric_output, output, stream, table_output
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_notebook, new_output
from pandas import DataFrame

from wbc_utils import render
from wbc_utils.manifest import Metric

TITLE = markdown("# 01 · T\n\n**Question.** Q?\n\n**Answer.** {{answer}}")


@pytest.fixture(scope="session")
def soup(page):
    return BeautifulSoup(page, "html.parser")


@pytest.fixture
def shown(manifest, links):
    """Return a function that renders cells after the title cell and parses the page."""

    def render_cells(*cells, **changes):
        changed = manifest.model_copy(update=changes)
        return BeautifulSoup(render.page(new_notebook(cells=[TITLE, *cells]), changed, **links), "html.parser")

    return render_cells


def test_question_and_answer_are_the_first_lines_after_the_title(soup):
    lines = [tag.get_text() for tag in soup.select_one("main .lead").find_all(recursive=False)]
    assert lines == [
        "01 · What is in the data, and what is in it twice",
        "Question How many images stand on both sides of the published splits?",
        "Answer Twelve of 60 test images of cbc are also training images; published test scores are too high.",
    ]


def test_page_has_one_h1_and_every_landmark(soup):
    assert len(soup.find_all("h1")) == 1
    assert all(len(soup.find_all(tag)) == 1 for tag in ("header", "main", "footer"))
    assert soup.select_one("a.skip")["href"] == "#main"
    assert soup.html["lang"] == "en"


def test_later_h1_becomes_h2(shown):
    assert [tag.name for tag in shown(markdown("# Again")).select("h1, main h2")] == ["h1", "h2"]


def test_contents_list_the_headings_in_order_and_lead_to_them(soup):
    links = soup.select(".contents a")
    names = ["Parameters", "Data", "Counts by class", "Method", "Result", "Reading", "Provenance"]
    assert [link.get_text() for link in links] == names
    assert all(soup.find(id=link["href"][1:]).get_text().startswith(link.get_text()) for link in links)


def test_equal_headings_get_different_anchors(shown):
    page = shown(markdown("## Data"), markdown("## Data\n\n## Main"))
    ids = [tag["id"] for tag in page.find_all(id=True)]
    assert {"data", "data-2", "main", "main-2"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_nothing_on_the_page_is_loaded_from_elsewhere(page, soup):
    assert soup.find(["link", "iframe", "object", "embed", "base"]) is None
    assert all(tag["src"].startswith("data:") for tag in soup.find_all(src=True))
    assert all(tag.name == "a" for tag in soup.find_all(href=True))
    assert "@import" not in page
    assert "url(" not in page


@pytest.mark.parametrize(
    "source",
    [
        "![x](https://example.org/x.png)",
        "![x](x.png)",
        "<img alt='' src=//example.org/x.png>",
        "<video\nposter='a.jpg'>",
    ],
)
def test_prose_that_loads_a_picture_from_elsewhere_is_refused_by_cell(manifest, links, source):
    with pytest.raises(render.PageError, match=r"cell 2 loads .* but a page makes no request"):
        render.page(new_notebook(cells=[TITLE, markdown(source)]), manifest, **links)


def test_prose_may_speak_of_sources_in_code(shown):
    assert '<img src="x.png">' in shown(markdown('`<img src="x.png">`\n\n```html\n<img src="x.png">\n```')).get_text()


def test_picture_attached_to_a_cell_is_embedded(shown):
    cell = markdown("![a red dot](attachment:dot.png)")
    cell.attachments = {"dot.png": {"image/png": "AAAA"}}
    assert shown(cell).select_one("main img")["src"] == "data:image/png;base64,AAAA"


def test_same_input_gives_the_same_bytes(notebook, manifest, links, page):
    assert render.page(notebook, manifest, **links) == page


def test_rendering_leaves_the_notebook_as_it_was(notebook, manifest, links):
    before = str(notebook)
    render.page(notebook, manifest, **links)
    assert str(notebook) == before


def test_figures_and_tables_are_numbered_apart_in_order(shown):
    frame = DataFrame({"a": [1]})
    page = shown(
        code("1", table_output(frame, "first table", 1), figure_output("first figure", "x")),
        code("2", figure_output("second figure", "y"), table_output(frame, "second table", 2)),
    )
    assert [tag.get_text() for tag in page.select("figcaption")] == [
        "Table 1. first table n = 1",
        "Figure 1. first figure",
        "Figure 2. second figure",
        "Table 2. second table n = 2",
    ]
    assert [tag["id"] for tag in page.find_all("figure")] == ["table-1", "fig-1", "fig-2", "table-2"]


def test_an_n_has_the_unit_that_it_was_given_and_a_table_may_have_none(shown):
    frame = DataFrame({"a": [1]})
    counted = {"kind": "table", "caption": "cells", "n": 10133, "unit": "cells"}
    html = "<table><tbody><tr><td>1</td></tr></tbody></table>"
    page = shown(code("1", output(counted, html=html, plain=""), table_output(frame, "no units", None)))
    assert [tag.get_text() for tag in page.select("figcaption")] == [
        "Table 1. cells n = 10\u202f133 cells", "Table 2. no units",
    ]  # fmt: skip


def test_the_glossary_is_linked_where_there_is_one(notebook, manifest):
    pages = [
        render.page(notebook, manifest, previous=None, following=None, glossary=place)
        for place in ("", "99.html#glossary")
    ]
    assert ["Glossary" in page for page in pages] == [False, True]
    assert 'href="99.html#glossary"' in pages[1]


def test_figure_has_its_alternative_text_and_width(soup):
    image = soup.select_one("#fig-1 img")
    assert image["alt"] == "Left: three random walks. Right: bars, RBC 4153, WBC 372, platelets 361."
    assert image["style"] == "--width: 800px"


def test_vector_figure_is_an_image_so_that_script_inside_cannot_run(shown):
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    page = shown(code("1", output({"kind": "figure", "caption": "c", "alt": "a"}, svg=svg, plain="c")))
    assert page.select_one("figure img")["src"].startswith("data:image/svg+xml;base64,")
    assert page.find("svg") is None


def test_picture_without_a_record_is_shown_with_its_text_as_alternative(shown):
    page = shown(code("1", output(None, png="AA\nAA", plain="<Figure with 1 Axes>")))
    assert page.select_one("#fig-1 img")["src"] == "data:image/png;base64,AAAA"
    assert page.select_one("#fig-1 img")["alt"] == "<Figure with 1 Axes>"


def test_table_columns_look_like_their_content(shown):
    frame = DataFrame(
        {"name": ["a", "b"], "n": ["1\u202f024", "–"], "why": ["short", "a sentence of more than thirty letters"]}
    )
    table = shown(code("1", table_output(frame, "c", 2))).select_one("#table-1 table")
    classes = [cell.get("class") for row in table.find_all("tr") for cell in row.find_all(["th", "td"])]
    assert classes == [None, ["number"], ["long"]] * 3
    assert table.find(style=True) is None
    assert table.find(border=True) is None


def test_table_with_merged_cells_keeps_its_text(shown):
    frame = DataFrame({("a", "x"): [1], ("a", "y"): [2]})
    assert "12" in shown(code("1", table_output(frame, "c", 1))).select_one("#table-1 tbody").get_text("").replace(
        "\n", ""
    )


def test_foreign_html_is_shown_as_its_text(shown):
    page = shown(code("1", output(None, html="<b id='foreign'>x</b>", plain="plain x")))
    assert page.find(id="foreign") is None
    assert page.select_one("pre.text").get_text() == "plain x"


def test_metrics_are_folded_with_the_code_and_all_listed_in_the_provenance(soup):
    assert len(soup.select("details.code .recorded")) == len(METRICS)
    assert "cbc.macro_f1 = " not in "".join(tag.get_text() for tag in soup.select("pre.text"))
    rows = [
        [cell.get_text() for cell in row.find_all(["th", "td"])] for row in soup.select("#recorded-numbers + div tr")
    ]
    assert rows[1] == ["cbc.exact_duplicates_across_splits headline", "12", "–none", "420", "all", "pairs", ""]
    assert rows[2] == ["cbc.macro_f1", "0.812", "0.791–0.834", "17\u202f092", "test", "", "imagenet"]


@pytest.mark.parametrize("kind", ["answer", "check", "data", "metric"])
def test_bare_records_are_not_shown(shown, kind):
    page = shown(code("1", output({"kind": kind, "name": "m"}, plain="bare words")))
    assert page.select(".cell > :not(details)") == []


def test_placeholders_become_recorded_values(soup):
    text = soup.main.get_text()
    assert "we found 12 pairs, and macro F1 is 0.812 (95 % interval 0.791–0.834)." in text
    assert "the number of test images is not measured in this profile." in text
    assert "{{" not in text


def test_filled_in_values_are_not_read_as_markdown(shown):
    page = shown(answer="*x* [y](javascript:z) `c` <b>")
    assert page.select_one(".answer").get_text() == "Answer *x* [y](javascript:z) `c` <b>"


def test_negative_numbers_have_a_minus_sign_and_names_keep_their_hyphen(shown):
    gain = Metric(value=-0.04, ci=(-0.05, 0.1), n=7)
    frame = DataFrame({"image": ["image-1"], "gain": ["-0.040 (-0.050 to 0.100)"], "low": ["-0.000"]})
    page = shown(
        markdown("It changes by {{x}}; run `--set seed=-1`."), code("1", table_output(frame, "from -1 to 1", 1)),
        metrics={"x": gain}, answer="A loss of -0.04.",
    )  # fmt: skip
    assert page.select_one(".answer").get_text() == "Answer A loss of −0.04."
    text = page.main.get_text()
    assert "It changes by −0.040 (95 % interval −0.050 to 0.100); run --set seed=-1." in text
    assert [cell.get_text() for cell in page.select("#table-1 td")] == ["image-1", "−0.040 (−0.050 to 0.100)", "0.000"]
    assert page.select_one("#table-1 figcaption").get_text().startswith("Table 1. from −1 to 1")
    [_, row] = page.select("#recorded-numbers + div tr")
    assert [cell.get_text() for cell in row.select(".number")] == ["−0.040", "−0.050 to 0.100", "7"]


def test_placeholder_in_a_heading_is_filled_in_the_contents_too(shown):
    page = shown(markdown("## Found {{x}}"), metrics={"x": Metric(value=3, n=3)})
    assert page.select_one(".contents a").get_text() == "Found 3"


def test_parameters_cell_becomes_a_table_that_marks_what_differs(soup):
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in soup.select(".parameters tbody tr")]
    assert rows == [
        ["profile", "'demo'", "'demo'", "profile whose upstream results are read"],
        ["folds", "3 changed", "5", "cross-validation folds, count"],
        ["marker", "'#1'", "'#1'", "a value with a hash"],
        ["threshold", "0.25", "0.25", "greatest distance of near duplicates, share of bits"],
    ]
    assert [row.code.get_text() for row in soup.select(".parameters .changed")] == ["folds"]


def test_parameter_that_the_cell_does_not_declare_is_listed_without_a_default(shown):
    page = shown(code("seed: int = 0", tags=("parameters",)), parameters={"extra": [1]}, changed={})
    cells = [cell.get_text() for cell in page.select(".parameters tbody tr > *")]
    assert cells == ["extra", "[1]", "", ""]


def test_code_is_folded_by_default_and_empty_cells_leave_nothing(shown):
    page = shown(code("print(1)"), code("  \n"))
    assert len(page.select("details.code")) == 1
    assert not page.select_one("details.code").has_attr("open")


def test_terminal_colours_are_converted_and_errors_shown(shown):
    error = new_output("error", ename="E", evalue="v", traceback=["\x1b[31mTrace <b>\x1b[0m", "E: v"])
    page = shown(code("1", stream("\x1b[32mok\x1b[0m <i>"), stream("careful", "stderr"), error))
    assert page.select_one("pre.text .ansi-green-fg").get_text() == "ok"
    assert page.select_one(".stderr p").get_text() == "Messages (stderr)"
    assert page.select_one(".stderr.error pre").get_text() == "Trace <b>\nE: v"
    assert "\x1b" not in str(page)


@pytest.mark.parametrize(
    ("printed", "shown_as"),
    [
        ("/opt/v/lib/python3.11/site-packages/joblib/pool.py:7: UserWarning: w", "joblib/pool.py:7: UserWarning: w"),
        ("File /home/me/wbc/wbc_utils/fit.py:3", "File …/fit.py:3"),
        ("/tmp/ipykernel_1/2.py:5: W\n/a/b.csv", "…/2.py:5: W\n…/b.csv"),
        ("\x1b[32m/home/me/x.py\x1b[39m", "\x1b[32m…/x.py\x1b[39m"),
        ("cells/s, https://doi.org/10.1/x, reports/cpu/01.html, 1 / 2", None),
    ],
)
def test_messages_name_no_folder_of_the_machine(shown, printed, shown_as):
    assert render.cells.without_folders(printed) == (shown_as or printed)
    error = new_output("error", ename="E", evalue="v", traceback=[printed])
    page = shown(code("1", stream(printed), stream(printed, "stderr"), error, output(None, plain=printed)))
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown_as or printed)
    assert [pre.get_text() for pre in page.select("pre.text, .stderr pre")] == [plain] * 4


def test_no_committed_page_names_a_folder_of_the_machine_that_made_it(project):
    for path in (project / "reports").glob("[cg]pu/*.html"):
        messages = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").select("pre.text, .stderr pre")
        for text in (message.get_text() for message in messages):
            assert render.cells.without_folders(text) == text, path.name


def test_provenance_gives_command_commit_hardware_cost_and_digests(soup, manifest):
    text = soup.select_one(".provenance").get_text(" ")
    for expected in (
        manifest.command, manifest.git_commit, "AMD EPYC 7B13, 2 cores, 15.6 GiB, no GPU", "1 min 23 s",
        "0.79 GiB", manifest.data[0].digest, manifest.data[1].digest, "numpy 2.3.0",
    ):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(("release", "banners"), [("synthetic", 1), ("complete", 0)])
def test_banner_stands_on_synthetic_pages_only(shown, manifest, release, banners):
    page = shown(data=[manifest.data[0].model_copy(update={"release": release})])
    assert len(page.select("main .banner")) == banners


def test_neighbours_are_linked_where_they_exist(soup):
    assert soup.select_one("a.following")["href"] == "99.html"
    assert soup.select_one("a.previous") is None
    assert soup.select_one("a.up")["href"] == "index.html"


def test_everything_from_data_is_escaped(manifest, notebook, links):
    name = HOSTILE
    parts = {
        "title": name, "question": name, "answer": name, "headline": name, "command": name, "git_commit": name,
        "parameters": {name: name}, "changed": {name: name}, "versions": {name: name},
        "hardware": {"system": name, "cpu": name, "cores": name, "memory_gib": name, "gpu": name},
        "metrics": {name: Metric(value=1, n=1, split=name, unit=name, init=name)},
        "data": [manifest.data[0].model_copy(update=dict.fromkeys(("name", "title", "note", "licence"), name))],
    }  # fmt: skip
    cells = [
        *notebook.cells[:1],
        code("x: int = 1", tags=("parameters",)),
        code(
            name,
            stream(name), stream(name, "stderr"), output(None, plain=name),
            figure_output(name, name), output({"kind": "figure", "caption": name, "alt": name}, svg=name, plain=name),
            table_output(DataFrame({name: [name]}), name, 1),
            metric_output(name, Metric(value=1, n=1)),
        ),
    ]  # fmt: skip
    page = render.page(
        new_notebook(cells=cells),
        manifest.model_copy(update=parts),
        previous=render.Link(name, name, name),
        following=None,
    )
    soup = BeautifulSoup(page, "html.parser")
    assert len(soup.find_all("script")) == 1
    assert len(soup.find_all("img")) == 2
    assert soup.find(onerror=True) is None
    assert [image["alt"] for image in soup.find_all("img")] == [name, name]
    assert page.count("<script>alert") == 0


@settings(max_examples=20, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_caption_reads_on_the_page_as_it_was_written(manifest, links, text):
    record = {"kind": "figure", "caption": text, "alt": text}
    cells = [TITLE, code("1", output(record, png="AAAA"))]
    soup = BeautifulSoup(render.page(new_notebook(cells=cells), manifest, **links), "html.parser")
    assert soup.figcaption.get_text() == f"Figure 1. {text}"
    assert soup.figure.img["alt"] == (text or "")


def test_policy_allows_the_one_script_by_its_digest_only(soup):
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", policy)


def test_page_without_figures_is_small(shown):
    assert len(str(shown())) < 60_000


def test_importing_the_renderer_loads_no_torch():
    program = "import sys, wbc_utils.render; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
