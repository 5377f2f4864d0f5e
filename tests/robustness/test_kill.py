"""SIGKILL at random moments of ``make report``, and within the writing of results: the next one ends well."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random

from tiny_report import NUMBERS, is_whole_page

from wbc_utils import run

CHAINS, KILLS = 2, 5


def nothing_done(project):
    for mark in project.runs.glob("*/done"):
        mark.unlink()
    shutil.rmtree(project.runs / "01" / "checkpoints")


def kill_and_finish(project, moments, wanted):
    """Kill ``make report`` after each number of seconds; where it was faster, begin anew with nothing done."""
    nothing_done(project)
    names = project.published().keys()
    for moment in moments:
        while True:
            maker = project.start()
            try:
                assert maker.wait(moment) == 0, project.said()
            except subprocess.TimeoutExpired:
                break
            nothing_done(project)
        project.kill(maker)
        found = project.published()
        assert found.keys() == names
        assert {number: project.manifest(number).metrics for number in NUMBERS} == wanted
        assert all(is_whole_page(content) for name, content in found.items() if name.endswith(".html"))
    project.make()


def test_after_ten_kills_the_report_is_that_of_an_undisturbed_run(finished, tmp_path):
    rng, undisturbed = Random(0), finished.project
    wanted = {number: undisturbed.manifest(number).metrics for number in NUMBERS}
    projects = [undisturbed.copy(tmp_path / str(chain)) for chain in range(CHAINS)]
    moments = [[rng.uniform(0.02, 0.9) * finished.seconds for _ in range(KILLS)] for _ in projects]
    with ThreadPoolExecutor(CHAINS) as pool:
        list(pool.map(kill_and_finish, projects, moments, [wanted] * CHAINS))
    for project in projects:
        assert project.results() == undisturbed.results()
        assert project.files() == undisturbed.files()  # nothing is left of those that were killed


KILLED_AT = """
import os, signal
from wbc_utils import manifest, params, run
params.NOTEBOOKS = {"99": params.Summary}
replace, calls = os.replace, []
def last(source, target):
    calls.append(target)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
publish = run.report.write_alone
def from_here(contents):
    manifest.os.replace = last
    publish(contents)
run.report.write_alone = from_here
run.run_notebook("99", "demo", {"seed": 1})
"""


def test_a_run_killed_between_two_of_its_results_is_not_done_and_leaves_nothing_behind(toy):
    toy.write("from wbc_utils import paths, repro\nrepro.record('toy.seed', seed, n=1)\nrepro.answer('It runs.')")
    run.run_notebook("99", "demo")
    before = toy.outputs()
    killed = subprocess.run([sys.executable, "-c", KILLED_AT], cwd=toy.root)
    assert killed.returncode == -9
    assert sum(toy.outputs()[path] != content for path, content in before.items()) == 2
    assert not (toy.run_folder / "done").exists()
    assert list(toy.root.rglob(".99.*")) + list(toy.root.rglob(".notebook.*"))
    run.run_notebook("99", "demo")
    assert (toy.run_folder / "done").exists()
    left = {path.name for folder in (toy.run_folder, toy.page.parent, toy.manifest.parent) for path in folder.iterdir()}
    assert left == {".lock", "done", "notebook.ipynb", "tables", "99.html", "manifests", "99.json"}
