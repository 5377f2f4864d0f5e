"""The demo a second time from scratch, in another folder and another order of sets, against the first."""

import re

import pytest

from wbc_utils import params
from wbc_utils.manifest import read_manifests

CHEAP = ("01", "03")  # drawing, duplicates, splits; training
OF_THE_MACHINE = re.compile(r"(^|[/ ])(s|ms|min|minutes|MiB|GiB)($|[/ ,])")
"""Units of time and memory: the only numbers that may differ."""


def numbers(manifest):
    """Return what a run found, without what it says of the machine."""
    metrics = {name: metric for name, metric in manifest.metrics.items() if not OF_THE_MACHINE.search(metric.unit)}
    return {**metrics, "checks": manifest.checks, "data": manifest.data}


@pytest.mark.parametrize(
    "chosen",
    [pytest.param(CHEAP, id="cheap"), pytest.param(tuple(params.NOTEBOOKS), id="all", marks=pytest.mark.twice)],
)
def test_a_second_demo_from_scratch_gives_the_same_numbers(demo, tmp_path, chosen):
    second = type(demo)(tmp_path)
    result = second.make(*(f"runs/demo/{number}/done" for number in chosen), PYTHONHASHSEED="1")
    assert result.returncode == 0, result.stderr[-4000:]
    first, again = (read_manifests(made.reports / "manifests") for made in (demo, second))
    assert set(again) == set(chosen)
    for number in chosen:
        assert numbers(again[number]) == numbers(first[number])


@pytest.mark.parametrize(
    "unit", ["s", "ms/image", "images/s", "images/s on one core", "MiB", "s, median", "minutes for 5 epochs"]
)
def test_units_of_time_and_memory_are_those_of_the_machine(unit):
    assert OF_THE_MACHINE.search(unit)


@pytest.mark.parametrize("unit", ["", "pairs", "Spearman's ρ", "macro-F1, largest − smallest over seeds", "classes"])
def test_no_other_unit_is(unit):
    assert not OF_THE_MACHINE.search(unit)
