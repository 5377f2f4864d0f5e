"""The fuzzers themselves: enough inputs, and limits that bite."""

import ast
from pathlib import Path
from time import sleep

import fuzzing
import pytest
from fuzzing import MEMORY, TooSlowError, limits, outcome

from wbc_utils.data.tables import DataError


def test_together_the_fuzzers_draw_more_than_two_thousand_inputs():
    calls = [
        call
        for path in Path(__file__).parent.glob("test_*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "fuzz"
    ]
    assert sum(ast.literal_eval(call.args[2]) for call in calls) >= 2000


def test_the_limits_are_five_seconds_and_one_gibibyte():
    assert (fuzzing.CPU_SECONDS, MEMORY) == (5, 2**30)


def spin():
    while True:
        pass


@pytest.mark.parametrize(
    ("limit", "hang"), [("CPU_SECONDS", spin), ("WALL_SECONDS", lambda: sleep(30))], ids=["works", "waits"]
)
def test_a_reader_that_hangs_is_stopped(monkeypatch, limit, hang):
    monkeypatch.setattr(fuzzing, limit, 0.2)
    with pytest.raises(TooSlowError, match=r"more than .* s of work"):
        outcome(hang)


def test_a_reader_that_hides_its_being_slow_is_found(monkeypatch):
    monkeypatch.setattr(fuzzing, "CPU_SECONDS", 0.2)

    def slow():
        try:
            spin()
        except TooSlowError:
            raise DataError("no") from None

    with pytest.raises(TooSlowError):
        outcome(slow)


TOO_MUCH = MEMORY + MEMORY // 4  # some of a gibibyte may lie free in what the process has


def test_a_reader_that_asks_for_more_than_a_gibibyte_gets_none():
    with pytest.raises(MemoryError):
        outcome(lambda: bytearray(TOO_MUCH))
    assert outcome(lambda: bytearray(MEMORY // 2)) == "parsed"


def test_after_the_limits_all_is_as_before():
    with pytest.raises(MemoryError), limits():
        bytearray(TOO_MUCH)
    assert len(bytearray(TOO_MUCH)) == TOO_MUCH
