import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from wbc_utils import kernel, params, run
from wbc_utils.manifest import read_manifest

RECORD = """\
from wbc_utils import repro
repro.record('toy.number', 0.5, n=7, ci=(0.4, 0.6), split='test')
repro.answer('It runs.')"""


def test_a_run_writes_notebook_page_and_manifest_with_the_recorded_number(toy):
    toy.write(RECORD)
    run.run_notebook("99", "demo", {"seed": 3})
    manifest = read_manifest(toy.manifest)
    assert manifest.metrics["toy.number"].model_dump() == {
        "value": 0.5, "ci": (0.4, 0.6), "n": 7, "split": "test", "unit": "", "init": None,
    }  # fmt: skip
    assert (manifest.answer, manifest.question, manifest.title) == ("It runs.", "Does it run?", "A toy")
    assert manifest.changed == {"seed": 3}
    assert manifest.command == "wbc run 99 --profile demo --set seed=3"
    assert manifest.peak_memory_mib > 10
    assert "It runs." in toy.page.read_text()
    assert (toy.run_folder / "notebook.ipynb").is_file()


def test_an_unknown_parameter_is_refused_before_a_kernel_starts(toy, monkeypatch):
    toy.write(RECORD)
    monkeypatch.setattr(kernel, "_WatchedClient", None)
    with pytest.raises(params.ParameterError, match="unknown parameter 'sead'; did you mean 'seed'"):
        run.run_notebook("99", "demo", {"sead": 3})


def test_a_failing_cell_is_named_with_its_traceback_and_leaves_the_previous_outputs(toy):
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    before = toy.outputs()
    toy.write("x = 1", "print('half way')", "1 / 0")
    named = r"failed in cell 5, In \[4\]: ZeroDivisionError: division by zero(.|\n)*1 / 0"
    with pytest.raises(run.RunError, match=named):
        run.run_notebook("99", "demo")
    assert toy.outputs() == before
    assert "half way" in (toy.run_folder / "failed.ipynb").read_text()


def test_a_success_after_a_failure_removes_failed_ipynb(toy):
    toy.write("1 / 0")
    with pytest.raises(run.RunError):
        run.run_notebook("99", "demo")
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    assert not (toy.run_folder / "failed.ipynb").exists()


def test_a_killed_kernel_is_named_with_its_signal_and_its_partial_output_is_kept(toy):
    toy.write("print('before the end')", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(run.RunError, match=r"killed in cell 4 of 4 by SIGKILL, which is also how .* memory runs out"):
        run.run_notebook("99", "demo")
    assert "before the end" in (toy.run_folder / "failed.ipynb").read_text()


def test_a_kernel_that_exits_by_itself_is_reported_with_its_exit_code(toy):
    toy.write("import os\nos._exit(7)")
    with pytest.raises(run.RunError, match="exit code 7"):
        run.run_notebook("99", "demo")


def test_the_wall_clock_limit_ends_even_a_cell_that_ignores_interrupts(toy):
    toy.write("import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)")
    began = time.monotonic()
    with pytest.raises(run.RunError, match=r"stopped in cell 3 of 3 after the limit of 6 s"):
        run.run_notebook("99", "demo", timeout=6)
    assert time.monotonic() - began < 30


def test_heartbeats_tell_cell_time_and_the_progress_the_notebook_left(toy, monkeypatch):
    monkeypatch.setattr(kernel, "HEARTBEAT_SECONDS", 0.5)
    toy.write("from wbc_utils import repro\nimport time\nrepro.progress('epoch 2/3')\ntime.sleep(3)")
    lines = []
    run.run_notebook("99", "demo", say=lines.append)
    assert any(line.startswith("99 · cell 3/3 · 0:0") and line.endswith("epoch 2/3") for line in lines)


def test_a_large_output_does_not_time_out(toy):
    toy.write("print('x' * 20_000_000)")
    run.run_notebook("99", "demo")
    assert (toy.run_folder / "notebook.ipynb").stat().st_size > 20_000_000


def test_a_full_disk_while_publishing_leaves_the_previous_outputs(toy, monkeypatch):
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    before = toy.outputs()
    real_fsync, calls = os.fsync, []

    def full_on_the_third(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_fsync(descriptor)

    monkeypatch.setattr("wbc_utils.manifest.os.fsync", full_on_the_third)
    with pytest.raises(run.RunError, match=r"the disk is full .* The previous outputs are untouched"):
        run.run_notebook("99", "demo", {"seed": 1})
    assert toy.outputs() == before
    assert [path.name for path in toy.manifest.parent.iterdir()] == ["99.json"]


def test_tables_replace_the_previous_ones_only_on_success(toy):
    write = "from wbc_utils import paths\n(paths.output_dir('demo', '99') / 'a.csv').write_text('{}')"
    toy.write(write.format("first"))
    run.run_notebook("99", "demo")
    toy.write(write.format("second"), "1 / 0")
    with pytest.raises(run.RunError):
        run.run_notebook("99", "demo")
    assert (toy.run_folder / "tables" / "a.csv").read_text() == "first"


def test_only_the_parameters_of_the_profile_mark_a_notebook_as_done(toy):
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    assert (toy.run_folder / "done").is_file()
    run.run_notebook("99", "demo", {"seed": 3})
    assert not (toy.run_folder / "done").exists()


def test_wanted_data_sets_that_were_not_there_are_named_at_the_end(toy, monkeypatch, make_use):
    monkeypatch.setattr(params, "NOTEBOOKS", {"99": params.EdaAndDuplicates})
    toy.write(f"from wbc_utils import repro\nrepro.publish('data', {make_use().model_dump()!r})")
    lines = []
    run.run_notebook("99", "demo", {"datasets": ["cbc", "bcd", "pbc"]}, say=lines.append)
    assert lines[0] == "99 · 2 of 3 wanted data sets are absent: bcd, pbc"
    assert lines[1].startswith("99 · done in")


def test_all_notebooks_that_have_not_run_before_are_named_at_the_start_in_their_order(toy, monkeypatch):
    models = {"01": params.EdaAndDuplicates, "03": params.EfficientNetToConvNeXt, "99": params.TsneDiagnostics}
    monkeypatch.setattr(params, "NOTEBOOKS", models)
    toy.write("1 + 1")
    for number in ("01", "03"):
        shutil.copy(toy.root / "notebooks" / "99_toy.ipynb", toy.root / "notebooks" / f"{number}_toy.ipynb")
    commands = [f"wbc run {number} --profile demo" for number in ("01", "03")]
    for missing in (commands, commands[1:], []):
        lines = []
        run.run_notebook("99", "demo", say=lines.append)
        told = [line.partition("first: ")[2] for line in lines if "first: " in line]
        assert told == ([" && ".join(missing)] if missing else [])
        done = "01" if missing == commands else "03"
        (toy.root / "runs" / "demo" / done / "tables").mkdir(parents=True, exist_ok=True)


def test_results_of_a_changed_run_are_named_by_what_reads_them(toy, monkeypatch, make_manifest):
    models = {"01": params.EdaAndDuplicates, "99": params.TsneDiagnostics}
    monkeypatch.setattr(params, "NOTEBOOKS", models)
    monkeypatch.setattr(params.TsneDiagnostics, "needs", ("01",))
    toy.write("1 + 1")
    shutil.copy(toy.root / "notebooks" / "99_toy.ipynb", toy.root / "notebooks" / "01_toy.ipynb")
    upstream = toy.root / "runs" / "demo" / "01"
    (upstream / "tables").mkdir(parents=True)
    toy.manifest.parent.mkdir(parents=True)
    for command, told in (("wbc run 01 --profile demo --set folds=8", True), ("wbc run 01 --profile demo", False)):
        toy.manifest.with_name("01.json").write_text(make_manifest(notebook="01", command=command).model_dump_json())
        lines = []
        run.run_notebook("99", "demo", say=lines.append)
        assert (f"99 · reads results of a changed run: {command}" in lines) == told


def test_an_error_of_ours_says_all_itself_and_shows_no_traceback(toy):
    toy.write("from wbc_utils.data import registry\nregistry.get_entry('cbx')")
    with pytest.raises(run.RunError) as caught:
        run.run_notebook("99", "demo")
    assert len(str(caught.value).splitlines()) == 1
    assert "DataError" in str(caught.value)


def test_two_metrics_of_one_name_are_refused(toy):
    toy.write(RECORD, RECORD)
    with pytest.raises(run.RunError, match=r"'toy.number' is recorded twice"):
        run.run_notebook("99", "demo")


def _wbc_run(toy):
    only_the_toy = "from wbc_utils import cli, params; params.NOTEBOOKS = {'99': params.Summary}; cli.main()"
    command = [sys.executable, "-c", only_the_toy, "run", "99"]
    return subprocess.Popen(command, cwd=toy.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("waited 30 s in vain")


def _marker_cell(toy):
    return f"import os, time\nopen({str(toy.root / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_the_kernel_keeps_the_previous_outputs_and_exits_130(toy, signum):
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    before = toy.outputs()
    toy.write("print('so far')", _marker_cell(toy))
    process = _wbc_run(toy)
    _wait_for((toy.root / "pid").is_file)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "stopped; the previous outputs are untouched\n")
    assert toy.outputs() == before
    assert "so far" in (toy.run_folder / "stopped.ipynb").read_text()
    assert not (toy.run_folder / "failed.ipynb").exists()
    kernel_pid = int((toy.root / "pid").read_text())
    _wait_for(lambda: not os.path.exists(f"/proc/{kernel_pid}"))


def test_a_second_run_of_the_same_notebook_is_refused_while_the_first_goes_on(toy):
    toy.write(_marker_cell(toy))
    first = _wbc_run(toy)
    _wait_for((toy.root / "pid").is_file)
    second = _wbc_run(toy)
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 1
    assert "already running" in errors
    assert "Traceback" not in errors
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)


def test_a_run_killed_outright_leaves_nothing_that_stops_the_next_one(toy):
    toy.write(_marker_cell(toy))
    process = _wbc_run(toy)
    _wait_for((toy.root / "pid").is_file)
    process.kill()
    process.communicate()
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    assert json.loads(toy.manifest.read_text())["metrics"]["toy.number"]["value"] == 0.5
    assert not list(toy.run_folder.glob(".partial-*"))
