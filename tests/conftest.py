"""Fixtures: a toy project with one notebook, run by the real runner."""

import nbformat
import pytest
import yaml

HEAD = "# 99 · A toy\n\n**Question.** Does it run?\n\n**Answer.** {{answer}}"
COST = {"hardware": "any", "minutes": 1, "memory_gib": 1, "expect": "a number", "command": "wbc run 99"}


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
