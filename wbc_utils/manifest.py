"""The manifest: the contract between a notebook that computes and the pages that read.

One JSON file a notebook and profile. Pages, index, README and the summary notebook read manifests only.
"""

import html
import json
import math
import os
import re
import tempfile
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

SCHEMA_VERSION = 1
RECORD_MIME = "application/vnd.wbc.record+json"

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.\-]+)\s*\}\}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


SINGULAR = {
    "groups": "group", "pairs": "pair", "images": "image", "boxes": "box", "cells": "cell", "patients": "patient",
}  # fmt: skip
"""Units as a single thing has them."""


class Metric(_Part):
    """A measured number with what is needed to judge it.

    Attributes
    ----------
    value
        Finite number.
    ci
        95 % interval, or None where the number is a census of the data and nothing was sampled.
    n
        Number of independent units (images, cells, patients) behind the value.
    split
        Which part of the data: ``train``, ``validation``, ``test``, ``all`` …
    init
        Initialisation of the network behind the number, None where there is none.
    """

    value: int | float
    ci: tuple[float, float] | None = None
    n: int
    split: str = "all"
    unit: str = ""
    init: str | None = None

    @field_validator("value")
    @classmethod
    def _finite(cls, value):
        if not math.isfinite(value):
            raise ValueError(f"a metric must be a finite number, found {value}; leave out what was not measured")
        return value

    @model_validator(mode="after")
    def _ordered(self):
        if self.ci is not None and not -math.inf < self.ci[0] <= self.ci[1] < math.inf:
            raise ValueError(f"the interval {self.ci} is not ordered [low, high], both finite")
        return self

    def __str__(self) -> str:
        return self._said("95 % interval ")

    def brief(self) -> str:
        """Return value, interval and unit for a table whose head says that intervals are of 95 %."""
        return self._said("")

    def _said(self, kind: str) -> str:
        text = format_number(self.value)
        if self.ci is not None:
            low, high = map(format_number, self.ci)
            text += f" ({kind}{low}{' to ' if self.ci[0] < 0 else '–'}{high})"
        unit = SINGULAR.get(self.unit, self.unit) if self.value == 1 else self.unit
        return f"{text} {unit}".strip()


class Check(_Part):
    """The outcome of one method check (``WBC001`` …)."""

    code: str
    title: str
    data: str
    status: Literal["pass", "warn", "fail"]
    found: int
    detail: str


class DataUse(_Part):
    """A data set as it was found: which release, how much of it, its digest and licence."""

    name: str
    title: str
    release: Literal["complete", "differs", "synthetic", "unregistered"]
    note: str
    files: int
    digest: str
    licence: str
    citation: str


class Manifest(_Part):
    """Everything that one successful run of one notebook leaves for its readers."""

    schema_version: int = SCHEMA_VERSION
    notebook: str
    title: str
    question: str
    answer: str
    profile: str
    headline: str | None
    parameters: dict[str, Any]
    changed: dict[str, Any]
    metrics: dict[str, Metric]
    checks: list[Check]
    data: list[DataUse]
    versions: dict[str, str]
    hardware: dict[str, Any]
    seed: int
    git_commit: str
    source_digest: str
    command: str
    started: str
    seconds: float
    peak_memory_mib: float

    @property
    def synthetic(self) -> bool:
        """Whether any of the data was drawn by the project itself."""
        return any(use.release == "synthetic" for use in self.data)


class ManifestError(ValueError):
    """A manifest that cannot be read."""


def format_number(value: float) -> str:
    """Format a number for prose: counts with thin separators, fractions with about three significant digits."""
    if isinstance(value, Integral):
        return f"{int(value):,}".replace(",", "\u202f")
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", "\u202f")
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) > 1:
        return f"{value:.2f}"
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def write_together(contents: dict[Path, str | bytes]) -> None:
    """Write files so that a reader sees the old content or the new one, never a part.

    Every byte is on the disk before the first file is replaced: a full disk leaves all old files as they were.

    Raises
    ------
    OSError
        If the disk is full or a folder cannot be written.
    """
    staged: dict[str, Path] = {}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            staged[name] = path
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
        for name, path in staged.items():
            os.replace(name, path)
    finally:
        for name in staged:
            Path(name).unlink(missing_ok=True)


def read_manifest(path: Path) -> Manifest:
    """Read one manifest.

    Raises
    ------
    ManifestError
        If the file is no manifest of this schema version; the message names the command that makes a new one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.get("schema_version") if isinstance(content, dict) else None
        if found != SCHEMA_VERSION:
            raise ManifestError(f"schema version {found}, this version reads {SCHEMA_VERSION}")
        return Manifest.model_validate(content)
    except (ValueError, UnicodeDecodeError) as error:
        again = f"wbc run {path.stem} --profile {path.parent.parent.name}"
        raise ManifestError(f"{path} is not a readable manifest ({error}). Make it anew: {again}") from error


def read_manifests(folder: Path) -> dict[str, Manifest]:
    """Read all manifests of a folder, by notebook number in order; an absent folder has none."""
    return {path.stem: read_manifest(path) for path in sorted(folder.glob("[0-9][0-9].json"))}


def collect_records(notebook: dict, kind: str) -> list[dict]:
    """Return the payloads of one kind that the cells of an executed notebook published, in order."""
    return [
        payload
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if (payload := output.get("data", {}).get(RECORD_MIME)) and payload["kind"] == kind
    ]


def fill_in(text: str, metrics: dict[str, Metric], answer: str) -> str:
    """Replace ``{{name}}`` in Markdown by the recorded metric and ``{{answer}}`` by the recorded sentence.

    A metric that this profile did not measure reads "not measured in this profile". Values are HTML-escaped.
    """

    def value_of(match: re.Match) -> str:
        name = match[1]
        if name == "answer":
            return html.escape(answer, quote=False)
        return html.escape(str(metrics[name]), quote=False) if name in metrics else "not measured in this profile"

    return _PLACEHOLDER.sub(value_of, text)


def placeholders(text: str) -> set[str]:
    """Return the names that ``fill_in`` would replace."""
    return set(_PLACEHOLDER.findall(text))
