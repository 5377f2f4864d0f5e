"""Print environment.yml: the direct dependencies for conda users, at the versions of requirements.lock.

``python tests/environment.py > environment.yml`` (part of ``make lock``).
"""

import re
import tomllib
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHON = "3.12"
HEAD = f"""\
# Made by `make lock` from pyproject.toml and requirements.lock.
#   conda env create --file environment.yml && conda activate wbc
name: wbc
channels:
  - conda-forge
dependencies:
  - python={PYTHON}
  - pip
  - pip:
"""


def direct_dependencies() -> dict[str, Requirement]:
    """Return what pyproject.toml asks for: the package's own dependencies and those of the dev group."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    words = content["project"]["dependencies"] + content["dependency-groups"]["dev"]
    return {canonicalize_name(wanted.name): wanted for wanted in map(Requirement, words)}


def locked() -> list[tuple[Requirement, list[str]]]:
    """Return every entry of requirements.lock with its hashes."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lines = [
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    return [(Requirement(line.partition("--hash=")[0]), re.findall(r"--hash=(\S+)", line)) for line in lines]


def selected(python: str) -> dict[str, list[str]]:
    """Return the versions of each name that a Python version selects on 64-bit Linux; one of each, if all is well."""
    system = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
    marked = {**default_environment(), **system, "python_version": python, "python_full_version": f"{python}.9"}
    versions: dict[str, list[str]] = {}
    for entry, _ in locked():
        if entry.marker is None or entry.marker.evaluate(marked):
            [pin] = entry.specifier
            versions.setdefault(canonicalize_name(entry.name), []).append(pin.version)
    return versions


def environment() -> str:
    """Return the text of environment.yml."""
    versions = selected(PYTHON)
    pins = [f"{name}=={version}" for name in sorted(direct_dependencies()) for version in versions[name]]
    return HEAD + "".join(f"      - {line}\n" for line in (*pins, "-e ."))


if __name__ == "__main__":
    print(environment(), end="")  # noqa: T201
