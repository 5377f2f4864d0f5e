"""Fixtures: the miniature data sets, drawn once a session."""

import pytest

from wbc_utils.data import synthetic


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory):
    return synthetic.ensure(tmp_path_factory.mktemp("synthetic") / "tree")
