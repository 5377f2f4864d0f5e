"""A full disk and a read-only reports folder: our own words, and what was there stays there."""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from PIL import Image
from toy_task import RECIPE, ToyTask

from wbc_utils import cli, kernel, report, run
from wbc_utils.data.pixels import load_pixels
from wbc_utils.fit import FitError, fit

KIB = 1024
RECORD = """\
from wbc_utils import paths, repro
(paths.output_dir('demo', '99') / 'a.csv').write_text(f'{seed}' * 60_000)
repro.record('toy.seed', seed, n=1)
repro.answer('It runs.')"""


def _mount(*words):
    try:
        subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can be mounted by root only")


@pytest.fixture
def disk(tmp_path):
    """Return the test's folder, a file system of 4 MiB now."""
    _mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def on_disk(disk, toy):
    """Return the toy project on the small disk, with the results of a run."""
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    return toy


@contextmanager
def filled(disk, free):
    """Fill a disk until so many bytes are left."""
    status = os.statvfs(disk)
    filler = disk / "filler"
    try:
        filler.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - free)))
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(folder):
    """Make a folder and all in it read-only; permission bits do not stop root, a mount does."""
    if os.geteuid():
        os.chmod(folder, 0o555)
    else:
        _mount("--bind", folder, folder)
        _mount("-o", "remount,bind,ro", folder)
    try:
        yield
    finally:
        if os.geteuid():
            os.chmod(folder, 0o755)
        else:
            subprocess.run(["umount", folder], check=True)


def everything(toy):
    folders = (toy.run_folder / "tables", toy.page.parent)
    tables_and_pages = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in [*tables_and_pages, toy.run_folder / "notebook.ipynb"]}


def wbc(*words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["wbc", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code, capsys.readouterr().err


def test_on_a_full_disk_runs_fail_with_the_results_untouched_until_there_is_room(on_disk, disk):
    before, refusals = everything(on_disk), []
    for free in (0, 4, 16, 48, 80, 128, 256, 2048):
        try:
            with filled(disk, free * KIB):
                run.run_notebook("99", "demo", {"seed": 1})
            break
        except run.RunError as error:
            refusals.append(str(error))
        assert everything(on_disk) == before
        assert not list(disk.rglob(".partial-*"))
    assert len(refusals) > 3
    assert all("the disk is full" in text or "No space left on device" in text for text in refusals)
    assert (on_disk.run_folder / "tables" / "a.csv").read_text() == "1" * 60_000
    assert not (on_disk.run_folder / "done").exists()  # with a seed that is not the profile's


def test_on_a_full_disk_the_command_says_so_and_the_index_stays(on_disk, disk, monkeypatch, capsys):
    report.write_index("demo")
    before = everything(on_disk)
    with filled(disk, 0):
        code, words = wbc("run", "99", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 1
    assert "the disk is full" in words
    assert "index.html cannot be written" in words
    assert everything(on_disk) == before


def test_on_a_full_disk_make_report_fails_and_with_room_it_goes_on(finished, disk):
    project = finished.project.copy(disk / "project").with_seed(1)
    before = project.published()
    with filled(disk, 64 * KIB):
        assert project.start().wait(timeout=1200) != 0
    assert "disk is full" in project.said() or "No space left" in project.said()
    found = project.published()
    assert found.pop("index.html")
    assert found == {name: content for name, content in before.items() if name != "index.html"}
    project.make()
    assert {number: project.manifest(number).seed for number in ("01", "02")} == {"01": 1, "02": 1}


def test_a_training_that_cannot_write_its_checkpoint_says_so_and_goes_on_later(disk):
    checkpoint, epochs = disk / "a.pt", []
    with ExitStack() as full:

        def fill(epoch, step):
            if (epoch, step) == (2, 0):
                full.enter_context(filled(disk, 4 * KIB))

        with pytest.raises(FitError, match=r"a\.pt cannot be written \(.*No space left on device"):
            fit(ToyTask(dropout=0.5, before=fill), RECIPE, seed=3, checkpoint=checkpoint)
        assert {path.name for path in disk.iterdir()} == {"a.pt", "filler"}
    resumed = fit(
        ToyTask(dropout=0.5, before=lambda epoch, step: epochs.append(epoch)), RECIPE, seed=3, checkpoint=checkpoint
    )
    assert min(epochs) == 2
    undisturbed = fit(ToyTask(dropout=0.5), RECIPE, seed=3)
    assert resumed.history.drop(columns="seconds").equals(undisturbed.history.drop(columns="seconds"))


def test_images_decoded_onto_a_full_disk_are_an_error_and_decoded_later(disk, tmp_path_factory):
    image = tmp_path_factory.mktemp("images") / "a.png"
    Image.effect_noise((64, 64), 40).convert("RGB").save(image)
    with filled(disk, 64 * KIB), pytest.raises(OSError, match="No space left on device"):
        load_pixels([image] * 40, 64, 64, disk / "decoded")
    assert np.array_equal(load_pixels([image] * 40, 64, 64, disk / "decoded").images[39], np.asarray(Image.open(image)))


def test_with_a_read_only_reports_folder_nothing_is_run_and_nothing_lost(toy, monkeypatch, capsys):
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    report.write_index("demo")
    before = everything(toy)
    with monkeypatch.context() as patch, read_only(toy.page.parent):
        patch.setattr(kernel, "_WatchedClient", None)
        code, words = wbc("run", "99", monkeypatch=patch, capsys=capsys)
    assert code == 1
    assert "reports/demo is read-only, so nothing was run and the previous outputs are untouched" in words
    assert "index.html cannot be written" in words
    assert everything(toy) == before
    run.run_notebook("99", "demo", {"seed": 1})
    assert (toy.run_folder / "tables" / "a.csv").read_text() == "1" * 60_000


def test_a_reports_folder_that_becomes_read_only_costs_no_computed_result(toy, monkeypatch):
    toy.write(RECORD)
    run.run_notebook("99", "demo")
    before = everything(toy)
    page = report.page
    with ExitStack() as mounts:

        def and_now_read_only(notebook, manifest):
            mounts.enter_context(read_only(toy.page.parent))
            return page(notebook, manifest)

        monkeypatch.setattr(report, "page", and_now_read_only)
        with pytest.raises(run.RunError, match=r"cannot be written .*\. The previous outputs are untouched"):
            run.run_notebook("99", "demo", {"seed": 1})
    assert everything(toy) == before
    assert "toy.seed = 1" in (toy.run_folder / "failed.ipynb").read_text()
