"""Executed cells as what a page shows of them: numbered figures and tables, text, parameters, folded code."""

import ast
import base64
import io
import re
import tokenize
from collections import Counter
from typing import Any, NamedTuple

from bs4 import BeautifulSoup
from markupsafe import Markup
from nbformat import NotebookNode

from wbc_utils.manifest import RECORD_MIME, Manifest
from wbc_utils.render.prose import signed

_NUMBER = re.compile(r"[-+−±]?\d(?:[\d\s.,:%()\[\]–+±−e/-]| to )*")
_ABSENT = {"", "–", "—", "nan", "NaN", "<NA>", "None"}
_SENTENCE = 32
_PACKAGES = re.compile(r"(?:/[\w.+@-]+)+/(?:site|dist)-packages/")
_FOLDERS = re.compile(r"(\x1b\[[\d;]*m|[^\w./]|^)(?:/[\w.+@-]+)+/(?=[\w.+@-])", re.MULTILINE)
_IMAGES = ("image/svg+xml", "image/png", "image/jpeg")


class Parameter(NamedTuple):
    """A row of the parameters table."""

    name: str
    value: str
    default: str
    meaning: str
    changed: bool


class Outputs:
    """The outputs of one page; figures and tables are counted as they come."""

    def __init__(self):
        self._count = Counter()

    def shown(self, outputs: list[NotebookNode]) -> list[dict[str, Any]]:
        """Return what a reader sees of a cell's outputs, each with its ``kind``: figure, table, stream, error, text."""
        views = (self._view(output) for output in outputs)
        return [view for view in views if view is not None]

    def _view(self, output: NotebookNode) -> dict[str, Any] | None:
        if output.output_type == "stream":
            return {"kind": "stream", "name": output.name, "text": without_folders(output.text)}
        if output.output_type == "error":
            return {"kind": "error", "text": without_folders("\n".join(output.traceback))}
        data = output.data
        record = data.get(RECORD_MIME, {})
        kind = record.get("kind")
        if kind == "figure" or (kind is None and any(mime in data for mime in _IMAGES)):
            return self._figure(data, record)
        if kind == "table":
            number = self._next("table")
            return {"kind": "table", "number": number, **_caption(record), "html": _tidy_table(data["text/html"])}
        if kind is not None or "text/plain" not in data:
            return None
        return {"kind": "text", "text": without_folders(data["text/plain"])}

    def _figure(self, data: NotebookNode, record: dict) -> dict[str, Any]:
        mime = next(mime for mime in _IMAGES if mime in data)
        content = base64.b64encode(data[mime].encode()).decode() if mime == _IMAGES[0] else "".join(data[mime].split())
        return {
            "kind": "figure",
            "number": self._next("figure"),
            **_caption(record),
            "alt": record.get("alt") or data.get("text/plain", ""),
            "width": record.get("width_px"),
            "src": f"data:{mime};base64,{content}",
        }

    def _next(self, kind: str) -> int:
        self._count[kind] += 1
        return self._count[kind]


def without_folders(text: str) -> str:
    """Return a text without the folders of the machine that printed it: modules by package, other files by name."""
    return _FOLDERS.sub(r"\1…/", _PACKAGES.sub("", text))


def recorded(outputs: list[NotebookNode]) -> list[str]:
    """Return one line a metric that the outputs of a cell recorded."""
    found = (output.data for output in outputs if output.get("data", {}).get(RECORD_MIME, {}).get("kind") == "metric")
    return [data.get("text/plain", data[RECORD_MIME]["name"]) for data in found]


def parameter_rows(source: str, manifest: Manifest) -> list[Parameter]:
    """Return the parameters of a run beside the defaults and comments of the cell tagged ``parameters``.

    Parameters
    ----------
    source
        Lines ``name: type = default  # meaning, unit``.
    manifest
        Says which values the run had and which of them differ from the defaults.
    """
    lines = io.StringIO(source).readline
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(lines)
        if token.type == tokenize.COMMENT
    }
    declared = {
        node.target.id: (ast.unparse(node.value), comments.get(node.end_lineno, ""))
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
    return [
        Parameter(name, repr(value), *declared.get(name, ("", "")), name in manifest.changed)
        for name, value in manifest.parameters.items()
    ]


def _caption(record: dict) -> dict[str, Any]:
    return {"caption": signed(record.get("caption", "")), "n": record.get("n"), "unit": record.get("unit", "")}


def _tidy_table(html: str) -> Markup:
    """Drop pandas' own look, give each column that of its content, and write negative numbers with a minus sign."""
    soup = BeautifulSoup(html, "html.parser")
    for text in soup.find_all(string=True):
        text.replace_with(signed(text))
    for tag in soup.find_all(("table", "tr")):
        tag.attrs.pop("border", None)
        tag.attrs.pop("style", None)
    body = [row.find_all(("th", "td")) for row in soup.select("tbody tr")]
    if len({len(row) for row in body}) == 1:
        headers = [row.find_all("th") for row in soup.select("thead tr")]
        columns = zip(*body, *(row for row in headers if len(row) == len(body[0])), strict=True)
        for column in columns:
            look = _look([cell.get_text().strip() for cell in column[: len(body)]])
            for cell in column if look else ():
                cell["class"] = look
    return Markup(str(soup))  # noqa: S704


def _look(texts: list[str]) -> str | None:
    """Return the class of a column: numbers are set flush right, sentences are kept from narrowing to a word."""
    present = [text for text in texts if text not in _ABSENT]
    if present and all(_NUMBER.fullmatch(text) for text in present):
        return "number"
    return "long" if any(len(text) > _SENTENCE for text in present) else None
