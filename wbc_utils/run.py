"""Run one notebook: checked parameters, a kernel of its own, and outputs that appear whole or not at all."""

import builtins
import contextlib
import errno
import logging
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import nbformat
import papermill
from filelock import FileLock, Timeout
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from wbc_utils import kernel, params, paths, report, repro
from wbc_utils.manifest import Check, DataUse, Manifest, Metric, collect_records, read_manifest

TRACEBACK_LINES = 12
logging.getLogger("papermill").setLevel(logging.ERROR)  # it calls parameters annotated as `float | None` unknown
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class RunError(RuntimeError):
    """A notebook that did not complete; the message says where and why."""


def run_notebook(
    number: str,
    profile: str,
    overrides: dict[str, Any] | None = None,
    timeout: float | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Manifest:
    """Execute a notebook and write its executed copy, its tables, its page and its manifest.

    Parameters
    ----------
    number, profile
        Which notebook and which parameter file.
    overrides
        Parameters on top of the file.
    timeout
        Wall-clock limit of the whole notebook in seconds.
    say
        Called with one line at a time: heartbeats and the final result.

    Raises
    ------
    wbc_utils.params.ParameterError
        Before a kernel starts, if anything about the parameters is wrong.
    RunError
        If a cell fails, the kernel dies, the limit passes, an output cannot be written or the same notebook is
        already running. Previous outputs are then as they were, and ``failed.ipynb`` holds what was executed
        (``stopped.ipynb`` after Ctrl-C).
    """
    checked = params.resolve(number, profile, overrides or {})
    folder = paths.run_dir(profile, number)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            return _Run(checked, number, folder, overrides or {}).go(timeout, say)
    except Timeout:
        raise RunError(
            f"notebook {number} ({profile}) is already running: {folder / '.lock'} is held by another process. "
            "Wait for it to end."
        ) from None
    except OSError as error:
        raise RunError(f"notebook {number}: {_explain_os_error(error)}. The previous outputs are untouched.") from error


class _Run:
    """One execution, from the lock to the last replaced file."""

    def __init__(self, checked: params.Parameters, number: str, folder: Path, overrides: dict[str, Any]):
        self.checked, self.number, self.folder, self.overrides = checked, number, folder, overrides
        self.root = paths.project_root()
        self.source = params.notebook_path(number)
        self.title, self.question = report.title_and_question(nbformat.read(self.source, as_version=4))

    def go(self, timeout: float | None, say: Callable[[str], None]) -> Manifest:
        for stale in self.folder.glob(".partial-*"):
            shutil.rmtree(stale, ignore_errors=True)  # the kernel of a killed run may live for another second
        self._require_writable()
        if commands := self._commands_before():
            say(f"{self.number} · reads results that are missing; if it stops, first: {' && '.join(commands)}")
        for upstream in self._changed_before():
            say(f"{self.number} · reads results of a changed run: {upstream.command}")
        partial = Path(tempfile.mkdtemp(dir=self.folder, prefix=".partial-"))
        (partial / "tables").mkdir()
        watch = kernel.Watch(self.number, partial / "progress", timeout, say)
        started, clock = datetime.now(UTC), monotonic()
        try:
            with watch.interruptible():
                notebook = self._execute(partial, watch)
            manifest = self._manifest(notebook, started, monotonic() - clock, watch.peak_memory_mib)
            self._publish(notebook, manifest, partial / "tables")
        except BaseException as error:
            self._keep(partial, "stopped.ipynb" if isinstance(error, KeyboardInterrupt) else "failed.ipynb")
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        for name in ("failed.ipynb", "stopped.ipynb"):
            (self.folder / name).unlink(missing_ok=True)
        wanted, found = getattr(self.checked, "datasets", []), {use.name for use in manifest.data}
        if absent := [name for name in wanted if name not in found]:
            say(f"{self.number} · {len(absent)} of {len(wanted)} wanted data sets are absent: {', '.join(absent)}")
        say(f"{self.number} · done in {manifest.seconds:.0f} s · {paths.reports_dir(self.checked.profile)}")
        return manifest

    def _commands_before(self) -> list[str]:
        """Return the commands of the notebooks that this one reads tables of and that have not run; 99 needs none."""
        if not isinstance(self.checked, params.DataParameters):
            return []
        profile, wanted = self.checked.profile, list(self.checked.needs)
        for number in wanted:  # those that they read in turn come first, so that the commands run in this order
            wanted += [one for one in params.notebook_model(number).needs if one not in wanted]
        missing = [one for one in sorted(wanted) if not (paths.run_dir(profile, one) / "tables").is_dir()]
        return [f"wbc run {one} --profile {profile}" for one in missing]

    def _changed_before(self) -> list[Manifest]:
        """Return the manifests of the notebooks that this one reads tables of and that last ran with ``--set``."""
        profile, found = self.checked.profile, []
        for one in self.checked.needs:
            made, done = paths.manifest_path(profile, one), paths.run_dir(profile, one) / "done"
            if made.is_file() and not done.exists():
                found.append(read_manifest(made))
        return [manifest for manifest in found if "--set" in manifest.command]

    def _require_writable(self) -> None:
        """Refuse now, rather than after hours, what could not write its page or manifest."""
        for folder in (paths.reports_dir(self.checked.profile), paths.manifest_path(self.checked.profile, "").parent):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise RunError(
                    f"notebook {self.number}: {folder} is read-only, so nothing was run and the previous outputs are "
                    "untouched; make it writable and run again"
                )

    def _execute(self, partial: Path, watch: kernel.Watch) -> nbformat.NotebookNode:
        environment = {
            **os.environ,
            "WBC_PROJECT": str(self.root),
            "WBC_STAGE": str(partial / "tables"),
            "WBC_PROGRESS": str(watch.progress_file),
            "TQDM_DISABLE": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "PYTHONWARNINGS": ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), "ignore:IProgress not found"))),
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE"),  # notebooks side by side do not spin
            "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0"),
        }
        output = partial / "notebook.ipynb"
        try:
            papermill.execute_notebook(
                nbformat.read(self.source, as_version=4),
                output,
                parameters=params.changed_from_defaults(self.checked),
                engine_name=kernel.ENGINE,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                autosave_cell_every=5,
                start_timeout=120,
                cwd=self.root,
                watch=watch,
                env=environment,
            )
        except PapermillExecutionError as error:
            raise RunError(self._failed_cell(error)) from None
        except RuntimeError as error:
            if watch.interrupted:
                raise KeyboardInterrupt from None
            if isinstance(error, DeadKernelError) or watch.timed_out:
                raise RunError(f"notebook {self.number}: {watch.cause_of_death()}") from None
            if "Kernel died" in str(error) or "Kernel didn't respond" in str(error):
                raise RunError(f"notebook {self.number}: the kernel did not start ({error})") from None
            raise
        return nbformat.read(output, as_version=4)

    def _failed_cell(self, error: PapermillExecutionError) -> str:
        """Say where and why; an error of this package says all itself, any other needs the end of its traceback."""
        where = f"notebook {self.number} failed in cell {error.cell_index + 1}, In [{error.exec_count}]"
        trace = _ANSI.sub("", "\n".join(error.traceback)).splitlines()
        raised = [line for line in trace if line.lstrip().startswith("File ")][-1:]
        ours = any("wbc_utils" in line for line in raised) and not hasattr(builtins, error.ename)
        shown = [] if ours else [f"    {line}" for line in trace[-TRACEBACK_LINES:]]
        return "\n".join([f"{where}: {error.ename}: {error.evalue}", *shown])

    def _manifest(self, notebook, started: datetime, seconds: float, peak_memory_mib: float) -> Manifest:
        said = collect_records(notebook, "answer")
        words = ["wbc", "run", self.number, "--profile", self.checked.profile]
        for name, value in self.overrides.items():
            words += ["--set", f"{name}={value}"]
        return Manifest(
            notebook=self.number,
            title=self.title,
            question=self.question,
            answer=said[-1]["text"] if said else "",
            profile=self.checked.profile,
            headline=self.checked.headline,
            parameters=self.checked.model_dump(),
            changed=params.changed_from_defaults(self.checked),
            metrics=_metrics(notebook),
            checks=[Check(**_content(record)) for record in collect_records(notebook, "check")],
            data=[DataUse(**_content(record)) for record in collect_records(notebook, "data")],
            versions=repro.versions(),
            hardware=repro.hardware(),
            seed=self.checked.seed,
            git_commit=repro.git_commit(self.root),
            source_digest=repro.source_digest(self.source),
            command=shlex.join(words),
            started=started.isoformat(timespec="seconds"),
            seconds=round(seconds, 1),
            peak_memory_mib=round(peak_memory_mib, 1),
        )

    def _publish(self, notebook, manifest: Manifest, staged_tables: Path) -> None:
        profile = self.checked.profile
        pages = paths.reports_dir(profile)
        page = report.page(notebook, manifest)
        done = self.folder / "done"
        done.unlink(missing_ok=True)  # what a kill leaves half replaced is not done
        report.write_alone(
            {
                self.folder / "notebook.ipynb": nbformat.writes(notebook),
                pages / f"{self.number}.html": page,
                paths.manifest_path(profile, self.number): manifest.model_dump_json(indent=1) + "\n",
            }
        )
        tables, old = self.folder / "tables", self.folder / ".tables-old"
        shutil.rmtree(old, ignore_errors=True)
        if tables.exists():
            tables.rename(old)
        staged_tables.rename(tables)
        shutil.rmtree(old, ignore_errors=True)
        if not self.overrides:  # else `make report` makes the profile's own page again
            done.touch()

    def _keep(self, partial: Path, name: str) -> None:
        """Keep what was executed; the index marks a notebook that failed, not one that somebody stopped."""
        executed = partial / "notebook.ipynb"
        if executed.is_file():
            with contextlib.suppress(OSError):
                os.replace(executed, self.folder / name)


def _explain_os_error(error: OSError) -> str:
    where = error.filename or "an output"
    if error.errno == errno.ENOSPC:
        return f"the disk is full while writing {where}: free some space and run again"
    return f"{where} cannot be written or read ({error.strerror or error})"


def _content(record: dict) -> dict:
    return {name: value for name, value in record.items() if name != "kind"}


def _metrics(notebook) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for record in collect_records(notebook, "metric"):
        content = _content(record)
        name = content.pop("name")
        if name in metrics:
            raise RunError(f"the metric {name!r} is recorded twice in one notebook; names must be unique")
        metrics[name] = Metric(**content)
    return metrics
