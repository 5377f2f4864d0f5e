"""Fixtures: figures drawn without a screen, in the style of the pages, and closed after each test."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from wbc_utils.figures import use_style


@pytest.fixture(autouse=True)
def _style():
    plt.switch_backend("Agg")
    with mpl.rc_context():
        use_style()
        yield
    plt.close("all")
