"""The licences of everything that the project builds on: pinned packages and data sets."""

import importlib.metadata
import re

from wbc_utils import paths
from wbc_utils.data import registry

NOT_STATED = "not stated"
_PIN = re.compile(r"^([\w.-]+)==", re.MULTILINE)
_LONGEST = 60


class LicenceError(FileNotFoundError):
    """There is no list of packages."""


def of_packages() -> list[tuple[str, str, str]]:
    """Return name, version and licence of every package of ``requirements.lock``.

    The licence is the SPDX expression of the installed package, else its classifiers, else its own words, else the
    name of the file that it ships. A package that this system does not need has no version.

    Raises
    ------
    LicenceError
        If the project's folder has no ``requirements.lock``.
    """
    lock = paths.project_root() / "requirements.lock"
    if not lock.is_file():
        raise LicenceError(f"{lock} is missing; it comes with the project and is made anew by: make lock")
    return [_described(name) for name in dict.fromkeys(_PIN.findall(lock.read_text(encoding="utf-8")))]


def of_data() -> list[tuple[str, str, str, str]]:
    """Return name, title, licence (SPDX) and conditions of passing on of every data set."""
    entries = registry.load_registry().values()
    return [(entry.name, entry.title, entry.licence, entry.redistribution) for entry in entries]


def _described(name: str) -> tuple[str, str, str]:
    try:
        found = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return name, "–", "not installed here"
    classifiers = [word for word in found.get_all("Classifier") or [] if word.startswith("License ::")]
    told = [word.split(" :: ")[-1] for word in classifiers if word != "License :: OSI Approved"]
    words = (found["License"] or "").strip().split("\n")[0][:_LONGEST]
    files = ", ".join(found.get_all("License-File") or [])
    stated = (
        found["License-Expression"],
        " / ".join(told),
        words if words != "UNKNOWN" else "",
        files and f"{NOT_STATED}; see {files}",
    )
    return name, found["Version"], next(filter(None, stated), NOT_STATED)
