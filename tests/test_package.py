import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import wbc_utils

PACKAGE = Path(wbc_utils.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGE_SOURCES = sorted(path for path in (PACKAGE / "templates").rglob("*") if path.is_file())


def loaded_by(*names, folder=None):
    """Return the names of the modules that imports load in a new process; a warning is an error."""
    code = f"import json, sys, {', '.join(names)}\nprint(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", code]
    reply = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return set(json.loads(reply.stdout))


def test_importing_the_package_loads_neither_torch_nor_pandas():
    assert not loaded_by("wbc_utils") & {"torch", "pandas", "numpy"}


def test_the_command_starts_without_loading_what_only_a_run_needs():
    loaded = loaded_by("wbc_utils.cli")
    assert not loaded & {"torch", "pandas", "numpy", "matplotlib", "papermill", "nbconvert", "pydantic"}


def test_running_and_rendering_load_no_torch_and_leave_nothing_behind(tmp_path):
    names = [f"wbc_utils.{name}" for name in ("cli", "params", "manifest", "render", "run", "report", "figures")]
    loaded = loaded_by(*names, folder=tmp_path)
    assert not loaded & {"torch", "torchvision", "timm"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [[sys.executable, "-m", "wbc_utils"], [Path(sys.executable).with_name("wbc")]])
def test_the_command_can_be_called_by_name_and_as_a_module(command):
    reply = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for word in ("run", "render", "params", "data", "wbc run 01"):
        assert word in reply.stdout


def test_the_installed_version_is_that_of_the_package_and_of_pyproject():
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert importlib.metadata.version("wbc-utils") == wbc_utils.__version__ == content["project"]["version"]


def public_definitions(node, prefix):
    """Yield the name and node of everything public that is defined in a module or a class of it."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and not inner.name.startswith("_"):
            yield f"{prefix}.{inner.name}", inner
            if isinstance(inner, ast.ClassDef):
                yield from public_definitions(inner, f"{prefix}.{inner.name}")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_everything_public_has_a_docstring_that_begins_with_a_sentence(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    for name, node in [(path.stem, module), *public_definitions(module, path.stem)]:
        first = (ast.get_docstring(node) or "").partition("\n\n")[0]
        assert first.endswith((".", ":")), f"{name}: {first!r}"


@pytest.mark.parametrize("path", PAGE_SOURCES, ids=lambda path: path.name)
def test_nothing_that_a_page_is_made_of_is_fetched(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href|action|data)\s*=\s*["']?\s*(https?:)?//""", text)
    assert not re.search(r"""@import|url\(\s*["']?\s*(https?:)?//|fetch\(|XMLHttpRequest|sendBeacon""", text)
