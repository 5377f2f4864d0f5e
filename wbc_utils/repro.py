"""What makes a run repeatable and accountable: seeds, versions, digests, and the records a notebook leaves."""

import hashlib
import importlib.metadata
import math
import os
import platform
import random
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wbc_utils.manifest import RECORD_MIME, Metric

REPORTED_PACKAGES = (
    "wbc-utils", "numpy", "pandas", "scipy", "scikit-learn", "scikit-image", "imbalanced-learn", "matplotlib",
    "pillow", "papermill", "nbclient", "torch", "torchvision", "timm",
)  # fmt: skip

RECORDED: dict[str, Metric] = {}
"""Metrics recorded so far in this process."""


def publish(kind: str, payload: dict[str, Any], **mimes: str) -> None:
    """Emit a display output that carries a record beside what a reader sees; silent outside a notebook.

    Parameters
    ----------
    kind
        ``metric``, ``answer``, ``check``, ``data``, ``figure`` or ``table``.
    payload
        JSON-able content of the record.
    mimes
        Other representations, MIME type with ``/`` and ``+`` written as ``_``: ``text_plain``, ``text_html``,
        ``image_jpeg``, ``image_svg_xml``.
    """
    if "IPython" not in sys.modules or sys.modules["IPython"].get_ipython() is None:
        return
    from IPython.display import publish_display_data

    names = {"text_plain": "text/plain", "text_html": "text/html", "image_jpeg": "image/jpeg",
             "image_svg_xml": "image/svg+xml"}  # fmt: skip
    data = {names[name]: content for name, content in mimes.items()}
    publish_display_data({**data, RECORD_MIME: {"kind": kind, **payload}})


def record(
    name: str,
    value: float,
    *,
    n: int,
    ci: tuple[float, float] | None = None,
    split: str = "all",
    unit: str = "",
    init: str | None = None,
) -> None:
    """Record a headline number: it enters the manifest, and prose may quote it as ``{{name}}``.

    Parameters
    ----------
    name
        ``dataset.quantity``, as listed in the design.
    value, n, ci, split, unit, init
        See `wbc_utils.manifest.Metric`. Bounds that coincide, because no resample differed, or that are NaN are no
        interval; the number is recorded without.

    Raises
    ------
    pydantic.ValidationError
        If the value is not finite or the interval is not ordered.
    """
    plain = value.item() if hasattr(value, "item") else value
    interval = tuple(float(bound) for bound in ci) if ci is not None else None
    if interval and (interval[0] == interval[1] or any(map(math.isnan, interval))):
        interval = None
    metric = Metric(value=plain, ci=interval, n=int(n), split=split, unit=unit, init=init)
    RECORDED[name] = metric
    publish("metric", {"name": name, **metric.model_dump()}, text_plain=f"{name} = {metric}  [n = {n}, {split}]")


def answer(text: str) -> None:
    """Record the one-sentence answer of the notebook; it is plain text and stands under the title of the page."""
    publish("answer", {"text": text}, text_plain=text)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy's legacy generator and, where torch is already loaded, torch."""
    random.seed(seed)
    import numpy as np

    np.random.seed(seed)  # noqa: NPY002 (libraries that use the global generator)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def digest_bytes(*parts: bytes) -> str:
    """Return the SHA-256 of parts, each preceded by its length so that boundaries count."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()


def digest_tree(root: Path, files: Iterable[Path]) -> str:
    """Return one digest of many files: SHA-256 of the sorted ``sha256sum`` lines with paths relative to root.

    ``cd root && sha256sum FILE… | LC_ALL=C sort -k2 | sha256sum`` gives the same value.
    """
    lines = []
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append((path.relative_to(root).as_posix(), content))
    text = "".join(f"{content}  {name}\n" for name, content in sorted(lines, key=lambda line: line[0].encode()))
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in REPORTED_PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Return processor, cores usable by this process, memory and, where torch sees one, the GPU."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": cores,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": None,
    }
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        reply = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
        found["gpu"] = reply.stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        pass
    return found


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def git_commit(root: Path) -> str:
    """Return the commit of a checkout, with ``+changes`` if tracked files differ, or ``unknown`` outside one."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ":!reports")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()  # noqa: S603


def source_digest(notebook: Path) -> str:
    """Return one digest of a notebook's source and of all package modules that it imports, however deep."""
    import nbformat

    source = "\n".join(cell.source for cell in nbformat.read(notebook, as_version=4).cells)
    wanted = []
    for name in sorted(_import_graph().modules):
        parent, _, leaf = name.rpartition(".")
        listed = rf"\bfrom {re.escape(parent)} import (?:\([^)]*|[^\n]*)\b{leaf}\b"
        if re.search(rf"\b{re.escape(name)}\b|{listed}", source):
            wanted.append(name)
    return digest_bytes(source.encode(), code_digest(*wanted).encode())


def code_digest(*modules: str) -> str:
    """Return one digest of modules of the package and of all its modules that they import, however deep.

    The import graph is read from the source (`grimp`), nothing is imported. Registries and other YAML files beside
    an imported module count as part of it.
    """
    graph = _import_graph()
    wanted = set(modules).union(*(graph.find_upstream_modules(name) for name in modules))
    package = Path(__file__).parent
    files: set[Path] = set()
    for name in wanted:
        module = package.joinpath(*name.split(".")[1:])
        file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        files |= {file, *file.parent.glob("*.yaml")}
    return digest_tree(package, sorted(files))


def _import_graph():
    import grimp

    return grimp.build_graph("wbc_utils", cache_dir=None)


def package_digest(*names: str) -> str:
    """Return one digest of files of the package, and of all files in its folders, by name.

    Raises
    ------
    FileNotFoundError
        If the package has no such file or folder.
    """
    package, files = Path(__file__).parent, []
    for name in names:
        found = [path for path in (package / name, *(package / name).rglob("*")) if path.is_file()]
        if not found:
            raise FileNotFoundError(f"the package has no {name}, looked for {package / name}")
        files += [path for path in found if "__pycache__" not in path.parts]
    return digest_tree(package, files)


def progress(text: str) -> None:
    """Leave a line (an epoch, a count) for the heartbeat of ``wbc run``; nothing is printed into the notebook."""
    if target := os.environ.get("WBC_PROGRESS"):
        Path(target).write_text(text, encoding="utf-8")
