"""From the outputs of runs to the pages of a profile."""

import glob
import re
from collections.abc import Mapping
from pathlib import Path

import nbformat
from filelock import FileLock

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
    """Render one executed notebook, with links to its neighbours and, once there is a summary, to its glossary."""
    numbers = list(params.NOTEBOOKS)
    here = numbers.index(manifest.notebook)
    before = _link(numbers[here - 1]) if here else None
    after = _link(numbers[here + 1]) if here + 1 < len(numbers) else None
    summary = paths.reports_dir(manifest.profile) / "99.html"
    glossary = "99.html#glossary" if summary.is_file() or manifest.notebook == "99" else ""
    return render.page(notebook, manifest, previous=before, following=after, glossary=glossary)


def write_alone(contents: Mapping[Path, str]) -> None:
    """As `wbc_utils.manifest.write_together`, for one who keeps all other writers of these files out by a lock.

    What a killed writer left beside the files is removed before.

    Raises
    ------
    OSError
        If the disk is full or a folder cannot be written.
    """
    for path in contents:
        for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
            left.unlink(missing_ok=True)
    write_together(dict(contents))


def write_page(number: str, profile: str) -> Path:
    """Render a page anew from the executed notebook and the manifest of its last run.

    Raises
    ------
    ReportError
        If the notebook has not run, with the command that runs it, or the page cannot be written.
    """
    executed = paths.run_dir(profile, number) / "notebook.ipynb"
    manifest = paths.manifest_path(profile, number)
    for needed in (executed, manifest):
        if not needed.is_file():
            raise ReportError(f"{needed} is missing; run the notebook first: wbc run {number} --profile {profile}")
    target = paths.reports_dir(profile) / f"{number}.html"
    content = page(nbformat.read(executed, as_version=4), read_manifest(manifest))
    try:
        write_together({target: content})
    except OSError as error:
        raise _not_written(target, error) from error
    return target


def write_index(profile: str) -> Path:
    """Render the index of a profile from its manifests, one process at a time.

    Raises
    ------
    wbc_utils.params.ParameterError
        If there is no such profile.
    ReportError
        If the index cannot be written; the previous one is then as it was.
    """
    params.check_profile(profile)
    target = paths.reports_dir(profile) / "index.html"
    runs = paths.run_dir(profile, "")
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with FileLock(runs / ".index.lock"):  # of two, the later one shows the manifests of both
            write_alone({target: _index(profile)})
    except OSError as error:
        raise _not_written(target, error) from error
    return target


def _index(profile: str) -> str:
    entries = []
    for number in params.NOTEBOOKS:
        title, question = title_and_question(nbformat.read(params.notebook_path(number), as_version=4))
        found = paths.manifest_path(profile, number)
        manifest = read_manifest(found) if found.is_file() else None
        failed = (paths.run_dir(profile, number) / "failed.ipynb").is_file()
        status = "failed" if failed else "done" if manifest else "not run"
        entries.append(render.Entry(number, title, question, manifest, status, f"{number}.html"))
    has_benchmarks = (paths.reports_dir(profile) / "benchmarks.html").is_file()
    return render.index(profile, entries, benchmarks=has_benchmarks)


def _not_written(target: Path, error: OSError) -> ReportError:
    return ReportError(f"{target} cannot be written ({error}) and is as it was; mend that, then: wbc render")


def _link(number: str) -> render.Link:
    title, _ = title_and_question(nbformat.read(params.notebook_path(number), as_version=4))
    return render.Link(number, title, f"{number}.html")
