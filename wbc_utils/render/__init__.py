"""From an executed notebook and its manifest to one self-contained HTML page, and from manifests to the index.

Nothing on a page is fetched: styles, script and pictures are inside, and a content security policy forbids the
rest. Whatever comes from data is escaped by the templates; only Markdown and our own tables are taken as HTML.
"""

import base64
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment
from markupsafe import Markup
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbformat import NotebookNode

from wbc_utils.checks import whose
from wbc_utils.manifest import DataUse, Manifest, format_number
from wbc_utils.render.cells import Outputs, parameter_rows, recorded
from wbc_utils.render.prose import PageError, Prose, signed

__all__ = ["Entry", "Link", "PageError", "benchmarks", "index", "page"]

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"

PROFILES = {
    "demo": "synthetic miniatures of every data set, drawn on the spot",
    "cpu": "the public data sets, with models sized for a laptop",
    "gpu": "the public data sets at the scale of the original reports, on one GPU",
}
"""What a profile means, in the words of the index."""


class Link(NamedTuple):
    """A neighbouring notebook."""

    number: str
    title: str
    href: str


class Entry(NamedTuple):
    """A notebook as the index lists it; ``status`` is ``done``, ``failed`` or ``not run``."""

    number: str
    title: str
    question: str
    manifest: Manifest | None
    status: str
    href: str


class UsedData(NamedTuple):
    """A data set and the notebooks that read it."""

    use: DataUse
    notebooks: list[str]


def page(
    notebook: NotebookNode, manifest: Manifest, *, previous: Link | None, following: Link | None, glossary: str = ""
) -> str:
    """Render an executed notebook as one self-contained HTML page.

    Parameters
    ----------
    notebook
        Executed; its first cell is the title with question and answer. It is not changed.
    manifest
        Of the same run.
    previous, following
        Neighbours in reading order.
    glossary
        Where the glossary is, if there is one.

    Raises
    ------
    PageError
        If the prose loads a picture from outside the page.
    """
    prose, outputs, views = Prose(manifest), Outputs(), []
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            view = {"html": prose.html(cell.source, position, cell.get("attachments", {}))}
        else:
            is_parameters = "parameters" in cell.metadata.get("tags", [])
            view = {
                "outputs": outputs.shown(cell.get("outputs", [])),
                "recorded": recorded(cell.get("outputs", [])),
                "parameters": parameter_rows(cell.source, manifest) if is_parameters else [],
            }
        views.append(view)
    context = {
        "manifest": manifest,
        "views": views,
        "headings": [heading for heading in prose.headings if heading.level <= 3],
        "previous": previous,
        "following": following,
        "glossary": glossary,
    }
    return _Exporter().from_notebook_node(notebook, resources={"wbc": context})[0]


def index(profile: str, entries: list[Entry], *, benchmarks: bool = False) -> str:
    """Render the front page of a profile from the manifests of its notebooks.

    Parameters
    ----------
    benchmarks
        Whether there is a page ``benchmarks.html`` beside it.
    """
    manifests = [entry.manifest for entry in entries if entry.manifest is not None]
    used: dict[tuple[str, str], UsedData] = {}
    for manifest in manifests:
        for use in manifest.data:
            used.setdefault((use.name, use.digest), UsedData(use, [])).notebooks.append(manifest.notebook)
    template = _Exporter().environment.get_template("index.html.j2")
    return template.render(
        profile=profile,
        meaning=PROFILES.get(profile),
        entries=entries,
        manifests=manifests,
        data=[used[key] for key in sorted(used)],
        benchmarks=benchmarks,
    )


def benchmarks(profile: str, sheets: list[dict]) -> str:
    """Render what the benchmarks measured, all ratios first.

    Parameters
    ----------
    sheets
        As ``benchmarks/sheet.py`` writes them.
    """
    return _Exporter().environment.get_template("benchmarks.html.j2").render(profile=profile, sheets=sheets)


class _Exporter(TemplateExporter):
    """nbconvert with our template, in which everything is escaped unless marked as HTML."""

    output_mimetype = "text/html"

    def __init__(self):
        super().__init__(
            file_extension=".html",
            template_name="wbc",
            template_file="page.html.j2",
            extra_template_basedirs=[str(TEMPLATES)],
        )

    def _create_environment(self) -> Environment:
        environment = super()._create_environment()
        environment.autoescape = True
        environment.filters |= {
            "breakable": _breakable,
            "capitalised": lambda text: text[:1].upper() + text[1:],
            "duration": _duration,
            "hardware": _hardware,
            "highlight": Highlight2HTML(parent=self),
            "number": lambda value: signed(format_number(value)),
            "signed": signed,
            "whose": whose,
        }
        script = (TEMPLATES / "wbc" / "script.js").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        environment.globals |= {"script": Markup(script), "script_digest": digest}  # noqa: S704
        return environment


def _breakable(name: str) -> Markup:
    """Let a dotted or underscored name break at its joints."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", name))


def _duration(seconds: float) -> str:
    """Format seconds as a reader says them: 8.4 s, 42 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def _hardware(found: dict) -> str:
    """Format the hardware of a manifest as one line."""
    gpu = found.get("gpu") or "no GPU"
    return f"{found.get('cpu', 'unknown processor')}, {found.get('cores')} cores, {found.get('memory_gib')} GiB, {gpu}"
