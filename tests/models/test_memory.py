import numpy as np

from wbc_utils.models import memory


def total(values, jobs=1):
    total.calls += 1
    return float(np.sum(values))


total.calls = 0


def test_equal_content_is_computed_once_whatever_the_number_of_jobs(tmp_path):
    total.calls = 0
    remembered = memory.memory(tmp_path).cache(total, ignore=["jobs"])
    assert remembered(np.arange(3), jobs=1) == remembered(np.arange(3), jobs=2) == 3.0
    assert total.calls == 1
    assert remembered(np.arange(4)) == 6.0
    assert total.calls == 2


def test_results_of_other_code_are_not_used(tmp_path, monkeypatch):
    total.calls = 0
    memory.memory(tmp_path).cache(total)(1)
    monkeypatch.setattr("wbc_utils.repro.code_digest", lambda *names: "another version")
    memory.memory(tmp_path).cache(total)(1)
    assert total.calls == 2
