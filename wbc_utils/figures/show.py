"""Emit figures and tables as records, so that the page can number, caption and describe them."""

import base64
import html
import io
import re
from collections.abc import Iterable
from numbers import Integral, Real
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from wbc_utils.claims import Answer
from wbc_utils.manifest import Check, DataUse, format_number
from wbc_utils.repro import publish

STATUS_MARKS = {"pass": "✓\u00a0pass", "warn": "!\u00a0warn", "fail": "✗\u00a0fail"}
VERDICT_MARKS = {
    "confirmed": "✓\u00a0confirmed",
    "contradicted": "✗\u00a0contradicted",
    "not comparable": "≠\u00a0not comparable",
    "undecided": "?\u00a0undecided",
}

CLAIM_COLUMNS = ("claim", "verdict", "published", "ours, 95 % interval", "n", "what", "data", "report", "page")
"""Of the table of claims: what fits on a narrow screen first."""

_COUNT = re.compile(r"(?<=\bn = )\d{4,}\b|(?<![\w.,–-])\d{5,}(?![\w.])")
_IDENTIFIER = re.compile(r"[A-Za-z]\w*(?:[._]\w+)+")
_SMALL = 0.01  # below it prose shows two significant digits


def use_style() -> None:
    """Set the look of all figures: narrow enough to be read at 390 px, text large enough to be read in print."""
    mpl.rcParams.update(
        {
            "figure.figsize": (6.0, 3.6),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "legend.frameon": False,
            "svg.hashsalt": "wbc",
        }
    )


def show(fig: Figure, *, caption: str, alt: str) -> None:
    """Emit a figure: SVG for charts, JPEG where it holds photographs; the figure is closed.

    Parameters
    ----------
    caption
        What is to be seen, with n.
    alt
        What a reader who cannot see it should know.
    """
    buffer = io.BytesIO()
    caption = _grouped(caption)
    payload = {"caption": caption, "alt": alt, "width_px": round(fig.get_figwidth() * 96)}
    if any(axes.images for axes in fig.axes):
        fig.savefig(buffer, format="jpeg", dpi=130, pil_kwargs={"quality": 85})
        publish("figure", payload, text_plain=caption, image_jpeg=base64.b64encode(buffer.getvalue()).decode())
    else:
        fig.savefig(buffer, format="svg", dpi=130, metadata={"Date": None})
        publish("figure", payload, text_plain=caption, image_svg_xml=buffer.getvalue().decode())
    plt.close(fig)


class Link(NamedTuple):
    """A cell of a table that leads to another page."""

    text: str
    href: str


class Struck(NamedTuple):
    """A cell of a table that is shown crossed out: a number that must not be believed."""

    text: str


class Noted(NamedTuple):
    """A cell of a table with a smaller note under it."""

    text: str
    note: str


def table(frame: pd.DataFrame, *, caption: str, n: int | None = None, unit: str = "") -> None:
    """Emit a table without its index; numbers are formatted as in prose, everything is escaped.

    A number below 0.01 has the three decimals of the larger ones in its column, unless it is a short decimal, as a
    setting is.

    Parameters
    ----------
    n, unit
        Number of things that the table speaks of, and what they are; none is shown if left out.
    """
    caption = _grouped(caption)
    columns = (frame.iloc[:, place] for place in range(frame.shape[1]))
    fixed = [any(_is_fraction(value) and abs(value) >= _SMALL for value in column) for column in columns]
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in frame.columns)
    rows = [
        "".join(_html_cell(value, long) for value, long in zip(row, fixed, strict=True))
        for row in frame.itertuples(index=False, name=None)
    ]
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    publish(
        "table",
        {"caption": caption, "n": None if n is None else int(n)} | ({"unit": unit} if unit else {}),
        text_plain=f"{caption}\n{frame.map(_text).to_string(index=False)}",
        text_html=f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>",
    )


def show_checks(checks: Iterable[Check]) -> None:
    """Emit the method checks as records and as one table."""
    checks = list(checks)
    for check in checks:
        publish("check", check.model_dump(), text_plain=f"{check.code} {check.data}: {check.status}")
    rows = [(c.code, c.title, c.data, STATUS_MARKS[c.status], c.found, c.detail) for c in checks]
    columns = ["check", "what", "data", "status", "found", "detail"]
    table(pd.DataFrame(rows, columns=columns), caption="Method checks.")


def show_sources(sources: Iterable[DataUse]) -> None:
    """Emit the data sets in use as records and as one table."""
    sources = list(sources)
    for use in sources:
        publish("data", use.model_dump(), text_plain=f"{use.name}: {use.release}")
    rows = [(s.name, s.release, s.files, s.note, s.licence, s.title, s.digest[:12]) for s in sources]
    columns = ["data set", "release", "files", "note", "licence", "title", "digest"]
    table(pd.DataFrame(rows, columns=columns), caption="Data used, as found on disk.")


def show_claims(answers: Iterable[Answer]) -> None:
    """Emit published claims beside our numbers, each with the reason of its verdict and the page that measured it."""
    rows = []
    for answer in answers:
        row, page = answer.row(), f"{answer.claim.notebook}.html" if answer.ours else None
        row |= {
            "verdict": VERDICT_MARKS[answer.verdict],
            "what": Noted(row["what"], row["why"]),
            "page": page and Link(page, page),
        }
        rows.append({name: row[name] for name in CLAIM_COLUMNS})
    table(pd.DataFrame(rows, columns=list(CLAIM_COLUMNS)), caption="Published claims and what was measured here.")


def _grouped(caption: str) -> str:
    """Write the counts in a caption as a table does, with thin separators."""
    return _COUNT.sub(lambda match: format_number(int(match[0])), caption)


def _is_fraction(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral)


def _text(value: object, fixed: bool = False) -> str:
    """Return the text of a cell; ``fixed``: in a column of numbers with three decimals."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return "–"
    if isinstance(value, (Link, Struck)):
        return value.text
    if isinstance(value, Noted):
        return f"{value.text} ({value.note})"
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if not isinstance(value, Real):
        return str(value)
    if _is_fraction(value) and 0 < abs(value) < _SMALL:
        if round(value, 5) == value:
            return f"{value:.5f}".rstrip("0")
        if fixed:
            return f"{value:.3f}"
    return format_number(value)


def _html_cell(value: object, fixed: bool = False) -> str:
    text = _text(value, fixed)
    # a long name breaks at its joints
    text = re.sub(r"(?<=[._])", "<wbr>", text) if _IDENTIFIER.fullmatch(text) else html.escape(text)
    if isinstance(value, Link):
        text = f'<a href="{html.escape(value.href)}">{text}</a>'
    if isinstance(value, Struck):
        text = f"<s>{text}</s>"
    if isinstance(value, Noted):
        text = f"{html.escape(value.text)}<br><small>{html.escape(value.note)}</small>"
    return f"<td>{text}</td>"
