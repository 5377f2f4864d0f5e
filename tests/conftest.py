"""Fixtures: the project itself, a toy project with one notebook, a manifest, and what a notebook publishes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from hypothesis import settings

from wbc_utils.manifest import DataUse, Manifest

HEAD = "# 99 · A toy\n\n**Question.** Does it run?\n\n**Answer.** {{answer}}"
COST = {"hardware": "any", "minutes": 1, "memory_gib": 1, "expect": "a number", "command": "wbc run 99"}

settings.register_profile("the same examples each time", derandomize=True, deadline=None)
settings.load_profile("the same examples each time")


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep torch, where a test has loaded it, to one thread: tiny networks lose by more, and sums stay in order."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


class ToyProject:
    """A project folder whose notebook 99 consists of the given code cells."""

    def __init__(self, root):
        self.root = root
        self.run_folder = root / "runs" / "demo" / "99"
        self.manifest = root / "reports" / "demo" / "manifests" / "99.json"
        self.page = root / "reports" / "demo" / "99.html"
        (root / "notebooks").mkdir()
        (root / "params" / "demo").mkdir(parents=True)
        (root / "params" / "demo" / "99.yaml").write_text(yaml.safe_dump({"cost": COST, "parameters": {}}))
        (root / "params" / "claims.yaml").write_text("[]\n")

    def write(self, *cells):
        parameters = nbformat.v4.new_code_cell('profile: str = "demo"\nseed: int = 0')
        parameters.metadata["tags"] = ["parameters"]
        code = [nbformat.v4.new_code_cell(cell) for cell in cells]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(HEAD), parameters, *code])
        nbformat.write(notebook, self.root / "notebooks" / "99_toy.ipynb")
        return self

    def outputs(self):
        return {path: path.read_bytes() for path in (self.manifest, self.page, self.run_folder / "notebook.ipynb")}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.setenv("WBC_PROJECT", str(tmp_path))
    monkeypatch.setattr("wbc_utils.params.NOTEBOOKS", {"99": __import__("wbc_utils.params").params.Summary})
    return ToyProject(tmp_path)


@pytest.fixture
def project(monkeypatch):
    """Return the project's own folder, wherever the tests were started."""
    root = Path(__file__).resolve().parents[1]
    monkeypatch.setenv("WBC_PROJECT", str(root))
    return root


@pytest.fixture
def published(monkeypatch):
    """Return the list of MIME bundles that are displayed, as if inside a notebook."""
    bundles = []
    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr("IPython.display.publish_display_data", bundles.append)
    return bundles


@pytest.fixture(scope="session")
def make_use():
    """Return a function that makes the description of a data set, with changes."""

    def make(**changes):
        fields = {
            "name": "cbc", "title": "Complete Blood Count", "release": "complete", "note": "release 1", "files": 3,
            "digest": "0" * 64, "licence": "MIT", "citation": "Alam and Islam 2019",
        }  # fmt: skip
        return DataUse(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def make_manifest():
    """Return a function that makes a manifest of the toy notebook, with changes."""

    def make(**changes):
        fields = {
            "notebook": "99", "title": "A toy", "question": "Does it run?", "answer": "It runs.", "profile": "demo",
            "headline": None, "parameters": {"profile": "demo", "seed": 0}, "changed": {}, "metrics": {}, "checks": [],
            "data": [], "versions": {"python": "3.11.2"}, "hardware": {"cpu": "any", "cores": 2}, "seed": 0,
            "git_commit": "unknown", "source_digest": "0" * 64, "command": "wbc run 99 --profile demo",
            "started": "2026-01-02T03:04:05+00:00", "seconds": 1.5, "peak_memory_mib": 80.0,
        }  # fmt: skip
        return Manifest(**{**fields, **changes})

    return make


SOURCE = Path(__file__).parents[1]


class Demo:
    """A copy of the project's notebooks and parameters, and a way to make its report."""

    def __init__(self, root):
        self.root = root
        for name in ("notebooks", "params"):
            shutil.copytree(SOURCE / name, root / name)
        shutil.copy(SOURCE / "Snakefile", root)
        self.reports = root / "reports" / "demo"

    def make(self, *options, **more):
        return self._call("snakemake", "--cores", "2", "--nolock", "--rerun-incomplete", *options, **more)

    def run(self, number, data, **changes):
        """Execute one notebook on a folder of data, with changed parameters."""
        changed = [f"--set={name}={value}" for name, value in {"data_source": "real", **changes}.items()]
        result = self._call("wbc_utils", "run", number, *changed, WBC_DATA=str(data), OMP_NUM_THREADS="1")
        assert result.returncode == 0, result.stderr[-4000:]

    def _call(self, module, *words, **more):
        command = [sys.executable, "-m", module, *words]
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(self.root), **more}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=1800)

    def planned(self):
        """Return the notebooks that the next call would execute."""
        return set(re.findall(r"^(?:localrule|rule) notebook_(\d\d):", self.make("--dry-run").stdout, re.MULTILINE))

    def outputs(self):
        return {path: path.read_bytes() for path in self.reports.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    made = Demo(tmp_path_factory.mktemp("project"))
    result = made.make()
    assert result.returncode == 0, result.stderr[-4000:]
    return made
