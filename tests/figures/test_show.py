import base64
import io
import xml.etree.ElementTree as ET

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from wbc_utils.claims import Claim, answer
from wbc_utils.figures import Link, show, show_checks, show_claims, show_sources, table
from wbc_utils.manifest import RECORD_MIME, Check, Metric


def chart():
    fig, axes = plt.subplots()
    axes.plot([1, 2], [3, 4], label="loss")
    return fig


def photograph():
    fig, axes = plt.subplots()
    axes.imshow(np.zeros((4, 4, 3), dtype=np.uint8))
    return fig


def records(bundles, kind):
    found = [bundle[RECORD_MIME] for bundle in bundles]
    return [
        {name: value for name, value in record.items() if name != "kind"} for record in found if record["kind"] == kind
    ]


def cells(bundle):
    """Return the header and the rows of a published table as text."""
    rows = BeautifulSoup(bundle["text/html"], "html.parser").find_all("tr")
    return [[cell.get_text().replace("\u00a0", " ") for cell in row.find_all(["th", "td"])] for row in rows]


def column(bundle, name):
    """Return one column of a published table as text."""
    header, *rows = cells(bundle)
    return [row[header.index(name)] for row in rows]


def test_a_chart_is_published_as_svg_with_caption_alternative_text_and_width(published):
    show(chart(), caption="Loss by epoch (n = 2).", alt="It rises from 3 to 4.")
    [bundle] = published
    assert bundle[RECORD_MIME] == {
        "kind": "figure", "caption": "Loss by epoch (n = 2).", "alt": "It rises from 3 to 4.", "width_px": 576,
    }  # fmt: skip
    assert bundle["text/plain"] == "Loss by epoch (n = 2)."
    assert ET.fromstring(bundle["image/svg+xml"]).tag.endswith("svg")


def test_a_photograph_is_published_as_pixels_wide_enough_for_its_place(published):
    show(photograph(), caption="A field.", alt="Black.")
    [bundle] = published
    assert "image/svg+xml" not in bundle
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/jpeg"])))
    assert picture.width > bundle[RECORD_MIME]["width_px"]


@pytest.mark.parametrize("draw", [chart, photograph])
def test_a_figure_is_closed_once_it_is_shown(published, draw):
    show(draw(), caption="", alt="")
    assert plt.get_fignums() == []


def test_the_same_figure_gives_the_same_bytes(published):
    show(chart(), caption="", alt="")
    show(chart(), caption="", alt="")
    assert published[0] == published[1]


def test_a_table_is_published_without_its_index_with_caption_and_no_n_of_its_own(published):
    table(pd.DataFrame({"class": ["RBC", "WBC"], "boxes": [4153, 372]}, index=[7, 9]), caption="Boxes.")
    [bundle] = published
    assert bundle[RECORD_MIME] == {"kind": "table", "caption": "Boxes.", "n": None}
    assert cells(bundle) == [["class", "boxes"], ["RBC", "4\u202f153"], ["WBC", "372"]]
    assert bundle["text/plain"].splitlines()[0] == "Boxes."
    assert bundle["text/plain"].splitlines()[2].split(maxsplit=1) == ["RBC", "4\u202f153"]


def test_the_n_of_a_table_is_the_number_of_units_it_speaks_of(published):
    table(pd.DataFrame({"mean": [0.5]}), caption="Mean of all.", n=np.int64(17092), unit="cells")
    assert records(published, "table") == [{"caption": "Mean of all.", "n": 17092, "unit": "cells"}]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1234, 5], ["1\u202f234", "5"]),
        (pd.array([1234, None], dtype="Int64"), ["1\u202f234", "–"]),
        (np.array([0.5, np.nan]), ["0.500", "–"]),
        (np.array([0.5, np.nan], dtype="float32"), ["0.500", "–"]),
        ([True, np.False_], ["yes", "no"]),
        (["a", None], ["a", "–"]),
        ([(1, 2), "007"], ["(1, 2)", "007"]),
    ],
)
def test_cells_are_formatted_as_in_prose_and_what_is_missing_is_a_dash(published, values, shown):
    table(pd.DataFrame({"value": values}), caption="")
    assert [row for [row] in cells(published[0])[1:]] == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.5, -5.3e-05, 0.00291234], ["0.500", "-0.000", "0.003"]),
        ([0.00291234, 5.3123e-05], ["0.0029", "5.3e-05"]),
        ([0.05, 0.0005, 1e-05], ["0.050", "0.0005", "0.00001"]),
    ],
)
def test_small_numbers_have_the_decimals_of_larger_ones_unless_they_are_settings(published, values, shown):
    table(pd.DataFrame({"value": values}), caption="")
    assert column(published[0], "value") == shown


def test_names_break_at_their_joints_and_sentences_do_not(published):
    table(pd.DataFrame({"name": ["cbc.ap50_gain", "e.g. a_b", "<b>_x"]}), caption="")
    html = published[0]["text/html"]
    assert "<td>cbc.<wbr>ap50_<wbr>gain</td>" in html
    assert "<td>e.g. a_b</td>" in html
    assert "<td>&lt;b&gt;_x</td>" in html


def test_counts_in_captions_have_the_separators_of_tables(published):
    show(chart(), caption="Pairs (n = 20398 pairs), 1017 of n = 1017, 0.12345, WBCBench 2026.", alt="")
    table(pd.DataFrame({"a": [1]}), caption="Of 10133 cells.")
    assert published[0][RECORD_MIME]["caption"] == (
        "Pairs (n = 20\u202f398 pairs), 1017 of n = 1\u202f017, 0.12345, WBCBench 2026."
    )
    assert published[1][RECORD_MIME]["caption"] == "Of 10\u202f133 cells."


def test_nothing_in_a_table_can_run_in_a_page(published):
    evil = "<script>alert(1)</script>"
    table(pd.DataFrame({evil: [evil, Link(evil, '" onclick="alert(1)')]}), caption=evil)
    html = BeautifulSoup(published[0]["text/html"], "html.parser")
    assert html.find("script") is None
    assert [cell.get_text() for cell in html.find_all(["th", "td"])] == [evil, evil, evil]
    assert html.a.attrs == {"href": '" onclick="alert(1)'}


def test_a_link_in_a_table_leads_to_its_page(published):
    table(pd.DataFrame({"page": [Link("notebook 01", "01.html")]}), caption="")
    assert BeautifulSoup(published[0]["text/html"], "html.parser").a["href"] == "01.html"
    assert "notebook 01" in published[0]["text/plain"]


def test_an_empty_table_keeps_its_header(published):
    table(pd.DataFrame(columns=["a", "b"]), caption="")
    assert cells(published[0]) == [["a", "b"]]


def test_checks_are_published_each_and_as_one_table_with_words_for_their_status(published):
    checks = [
        Check(code=f"WBC00{row}", title="duplicate", data="cbc", status=status, found=row, detail="pairs")
        for row, status in enumerate(["pass", "warn", "fail"])
    ]
    show_checks(iter(checks))
    assert records(published, "check") == [check.model_dump() for check in checks]
    assert column(published[-1], "status") == ["✓ pass", "! warn", "✗ fail"]


def test_sources_are_published_each_with_the_whole_digest_and_as_one_table(published, make_use):
    uses = [make_use(), make_use(name="bcd", release="differs", files=1234, digest="ab" * 32)]
    show_sources(iter(uses))
    assert records(published, "data") == [use.model_dump() for use in uses]
    assert column(published[-1], "files") == ["3", "1\u202f234"]
    assert column(published[-1], "release") == ["complete", "differs"]
    assert column(published[-1], "digest") == ["0" * 12, "ab" * 6]


def test_claims_are_shown_with_verdict_and_the_page_that_measured_them(published, make_use):
    def claim(name, **changes):
        return Claim(id=name, seed="002", what="rows", dataset="cbc", value=3951, **changes)

    measured = {"cbc.rows": Metric(value=3951, n=300)}
    yes = answer(claim("a", notebook="01", metric="cbc.rows"), measured, [make_use()])
    open_one = answer(claim("b"), {}, [])
    show_claims([yes, open_one])
    assert column(published[0], "claim") == ["a", "b"]
    assert column(published[0], "published") == ["3\u202f951", "3\u202f951"]
    assert column(published[0], "ours, 95 % interval") == ["3\u202f951", "–"]
    assert column(published[0], "what") == ["rowspublished and measured agree", "rowsthe data set is not at hand"]
    assert column(published[0], "verdict") == ["✓ confirmed", "? undecided"]
    assert column(published[0], "page") == ["01.html", "–"]


@pytest.mark.parametrize("emit", [show_checks, show_sources, show_claims])
def test_nothing_to_show_is_an_empty_table(published, emit):
    emit([])
    assert len(cells(published[0])) == 1
