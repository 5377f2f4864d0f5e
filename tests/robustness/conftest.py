"""Fixture: folders with a few small images, to which the tests add tables and annotations."""

import pytest
from PIL import Image


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
