"""Fixtures: folders with a few small images, to which the tests add tables and annotations, and a tiny report."""

from dataclasses import dataclass
from time import monotonic

import pytest
from PIL import Image
from tiny_report import TinyReport


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a function that makes a folder with images of 40 × 20 px, by their relative paths."""

    def make(*names):
        root = tmp_path_factory.mktemp("data")
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 20), (200, 150, 170)).save(root / name)
        return root

    return make


@dataclass
class Finished:
    """A project whose report was made, and the seconds that took."""

    project: TinyReport
    seconds: float


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    project = TinyReport.create(tmp_path_factory.mktemp("finished") / "project")
    began = monotonic()
    project.make()
    return Finished(project, monotonic() - began)
