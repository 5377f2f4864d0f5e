"""Markdown cells as HTML: unique anchors, scrolling tables, no picture from elsewhere."""

import re
from typing import NamedTuple

from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from wbc_utils.manifest import Manifest, fill_in

_LOADED = re.compile(r"""<\w[^>]*?\s(?:src|srcset|poster|data)\s*=\s*["']?(?!["']?data:)([^"'\s>]+)""", re.IGNORECASE)
_LABEL = re.compile(r"<p><strong>(Question|Answer)\.</strong>\s*")
_NOT_A_WORD = re.compile(r"\W+")
_HYPHEN = re.compile(r"(?<![\w.])-(?=\d)")
_NEGATIVE_ZERO = re.compile(r"(?<![\w.])[-−](?=0\.0+(?![\d.]))")


class PageError(ValueError):
    """A notebook that cannot become a self-contained page."""


def signed(text: str) -> str:
    """Write negative numbers with a minus sign where the text has a hyphen; a zero has no sign."""
    return _HYPHEN.sub("−", _NEGATIVE_ZERO.sub("", text))


class Heading(NamedTuple):
    """An entry of the table of contents."""

    level: int
    text: str
    anchor: str


class Prose:
    """The Markdown of one page; it remembers the headings it has seen."""

    def __init__(self, manifest: Manifest):
        self.manifest = manifest
        self.headings: list[Heading] = []
        self._used = {"main", "contents", "theme", "all-code"}

    def html(self, source: str, position: int, attachments: dict) -> Markup:
        """Render one Markdown cell; ``{{name}}`` is filled in last, so that no value is read as Markdown.

        Parameters
        ----------
        source
            The authors' Markdown, which may contain HTML.
        position
            Place of the cell in the notebook from 0; only the first one may hold the title of the page.
        attachments
            Pictures pasted into the cell.

        Raises
        ------
        PageError
            If the text loads something from outside the page.
        """
        renderer = _Renderer(self, first=position == 0, attachments=attachments)
        text = MarkdownWithMath(renderer=renderer).render(source)
        if found := _LOADED.search(text):
            raise PageError(
                f"cell {position + 1} loads {found[1]!r}, but a page makes no request. "
                "Paste the picture into the cell as an attachment, or draw it with show(…)."
            )
        if position == 0:
            text = _LABEL.sub(lambda match: f'<p class="{match[1].lower()}"><strong>{match[1]}</strong> ', text)
        return self._filled(text)

    def add_heading(self, level: int, text: Markup) -> str:
        """Enter a heading in the table of contents and return its anchor, unique in the page."""
        plain = text.striptags()
        stem = _NOT_A_WORD.sub("-", plain.lower()).strip("-") or "section"
        anchor, again = stem, 2
        while anchor in self._used:
            anchor, again = f"{stem}-{again}", again + 1
        self._used.add(anchor)
        self.headings.append(Heading(level, self._filled(escape(plain)), anchor))
        return anchor

    def _filled(self, html: str) -> Markup:
        metrics = {name: signed(str(metric)) for name, metric in self.manifest.metrics.items()}
        return Markup(fill_in(str(html), metrics, signed(self.manifest.answer)))  # noqa: S704


class _Renderer(IPythonRenderer):
    """nbconvert's renderer with our headings, and with boxes around whatever may be wide."""

    def __init__(self, prose: Prose, *, first: bool, attachments: dict):
        super().__init__(escape=False, attachments=attachments)
        self.prose, self.first = prose, first

    def heading(self, text: str, level: int, **attrs) -> str:
        level = level if self.first else max(level, 2)
        if level == 1:
            return f"<h1>{text}</h1>\n"
        label = Markup(text)  # noqa: S704
        anchor = self.prose.add_heading(level, label)
        link = f'<a class="anchor" href="#{anchor}" aria-label="Link to {escape(label.striptags())}">#</a>'
        return f'<h{level} id="{anchor}">{text} {link}</h{level}>\n'

    def table(self, text: str) -> str:
        return f'<div class="scroll" tabindex="0" role="group" aria-label="table"><table>{text}</table></div>\n'

    def block_code(self, code: str, info: str | None = None) -> str:
        shown = super().block_code(code, info)
        return f'<div class="source scroll" tabindex="0" role="group" aria-label="code">{shown}</div>\n'
