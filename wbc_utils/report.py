"""From the outputs of runs to the pages of a profile."""

import re
from pathlib import Path

import nbformat

from wbc_utils import params, paths, render
from wbc_utils.manifest import Manifest, read_manifest, write_together

_TITLE = re.compile(r"^# (\d\d) · (.+)$", re.MULTILINE)
_QUESTION = re.compile(r"^\*\*Question\.\*\* (.+)$", re.MULTILINE)


class ReportError(RuntimeError):
    """A page that cannot be made from what is there."""


def title_and_question(notebook: nbformat.NotebookNode) -> tuple[str, str]:
    """Return the title and the question that the first cell of a notebook states.

    Raises
    ------
    ReportError
        If it does not state both.
    """
    first = notebook.cells[0].source if notebook.cells else ""
    title, question = _TITLE.search(first), _QUESTION.search(first)
    if not (title and question):
        raise ReportError(
            f"the first cell of a notebook needs a heading '# NN · Title' and a line '**Question.** …', found {first!r}"
        )
    return title[2].strip(), question[1].strip()


def page(notebook: nbformat.NotebookNode, manifest: Manifest) -> str:
    """Render one executed notebook, with links to its neighbours."""
    numbers = list(params.NOTEBOOKS)
    here = numbers.index(manifest.notebook)
    before = _link(numbers[here - 1]) if here else None
    after = _link(numbers[here + 1]) if here + 1 < len(numbers) else None
    return render.page(notebook, manifest, previous=before, following=after)


def write_page(number: str, profile: str) -> Path:
    """Render a page anew from the executed notebook and the manifest of its last run.

    Raises
    ------
    ReportError
        If the notebook has not run; the message is the command that runs it.
    """
    executed = paths.run_dir(profile, number) / "notebook.ipynb"
    manifest = paths.manifest_path(profile, number)
    for needed in (executed, manifest):
        if not needed.is_file():
            raise ReportError(f"{needed} is missing; run the notebook first: wbc run {number} --profile {profile}")
    target = paths.reports_dir(profile) / f"{number}.html"
    write_together({target: page(nbformat.read(executed, as_version=4), read_manifest(manifest))})
    return target


def write_index(profile: str) -> Path:
    """Render the index of a profile from its manifests.

    Raises
    ------
    wbc_utils.params.ParameterError
        If there is no such profile.
    """
    params.check_profile(profile)
    entries = []
    for number in params.NOTEBOOKS:
        title, question = title_and_question(nbformat.read(params.notebook_path(number), as_version=4))
        found = paths.manifest_path(profile, number)
        manifest = read_manifest(found) if found.is_file() else None
        failed = (paths.run_dir(profile, number) / "failed.ipynb").is_file()
        status = "failed" if failed else "done" if manifest else "not run"
        entries.append(render.Entry(number, title, question, manifest, status, f"{number}.html"))
    folder = paths.reports_dir(profile)
    target = folder / "index.html"
    has_benchmarks = (folder / "benchmarks.html").is_file()
    write_together({target: render.index(profile, entries, benchmarks=has_benchmarks)})
    return target


def _link(number: str) -> render.Link:
    title, _ = title_and_question(nbformat.read(params.notebook_path(number), as_version=4))
    return render.Link(number, title, f"{number}.html")
