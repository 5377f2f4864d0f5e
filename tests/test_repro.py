import hashlib
import json
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wbc_utils
from wbc_utils import repro
from wbc_utils.manifest import RECORD_MIME, Metric


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def _nothing_recorded(monkeypatch):
    monkeypatch.setattr(repro, "RECORDED", {})


def test_a_recorded_number_is_kept_and_published_with_all_that_judges_it(published):
    interval = np.array([0.4, 0.6])
    repro.record("cbc.ap", np.float64(0.5), n=np.int64(60), ci=interval, split="test", unit="AP", init="random")
    expected = Metric(value=0.5, ci=(0.4, 0.6), n=60, split="test", unit="AP", init="random")
    assert repro.RECORDED == {"cbc.ap": expected}
    [bundle] = published
    assert bundle["text/plain"] == "cbc.ap = 0.500 (95 % interval 0.400–0.600) AP  [n = 60, test]"
    assert json.loads(json.dumps(bundle[RECORD_MIME])) == {
        "kind": "metric", "name": "cbc.ap", "value": 0.5, "ci": [0.4, 0.6], "n": 60, "split": "test", "unit": "AP",
        "init": "random",
    }  # fmt: skip


@pytest.mark.parametrize("value", [np.int64(12), np.int32(12), 12])
def test_a_recorded_count_stays_an_integer(published, value):
    repro.record("cbc.pairs", value, n=420)
    assert type(repro.RECORDED["cbc.pairs"].value) is int


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (float("nan"), float("nan"))])
def test_bounds_without_a_width_are_no_interval(published, bounds):
    repro.record("bcd.ap", 0.0, n=16, ci=bounds)
    assert repro.RECORDED["bcd.ap"].ci is None


def test_a_number_that_is_not_finite_is_neither_recorded_nor_published(published):
    with pytest.raises(ValueError, match="must be a finite number"):
        repro.record("cbc.ap", float("nan"), n=60)
    assert (repro.RECORDED, published) == ({}, [])


def test_an_answer_is_published_as_plain_text(published):
    repro.answer("Yes & no.")
    assert published == [{"text/plain": "Yes & no.", RECORD_MIME: {"kind": "answer", "text": "Yes & no."}}]


def test_every_representation_is_published_under_its_mime_type(published):
    repro.publish("figure", {}, text_plain="t", text_html="h", image_jpeg="p", image_svg_xml="s")
    assert list(published[0]) == ["text/plain", "text/html", "image/jpeg", "image/svg+xml", RECORD_MIME]


def test_outside_a_notebook_nothing_is_published(published, monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    repro.record("cbc.ap", 0.5, n=60)
    assert published == []


def test_the_same_seed_gives_the_same_draws_in_every_generator():
    def draws():
        return random.random(), np.random.rand()  # noqa: NPY002

    repro.seed_everything(7)
    first = draws()
    assert draws() != first
    repro.seed_everything(7)
    assert draws() == first


@given(parts=st.lists(st.binary(max_size=4), max_size=4), others=st.lists(st.binary(max_size=4), max_size=4))
def test_bytes_have_equal_digests_only_if_every_part_is_equal(parts, others):
    assert (repro.digest_bytes(*parts) == repro.digest_bytes(*others)) == (parts == others)


@pytest.fixture
def tree(tmp_path):
    for name, content in {"b.txt": b"two", "a/c.txt": b"one", "B.txt": b"", "é.txt": b"\x00"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def paths_in(tree):
    return [path for path in tree.rglob("*") if path.is_file()]


def test_the_digest_of_a_tree_is_that_of_its_sorted_sha256sum_lines(tree):
    sorted_by_bytes = [("B.txt", b""), ("a/c.txt", b"one"), ("b.txt", b"two"), ("é.txt", b"\x00")]
    expected = sha256("".join(f"{sha256(content)}  {name}\n" for name, content in sorted_by_bytes).encode())
    assert repro.digest_tree(tree, paths_in(tree)) == expected
    assert repro.digest_tree(tree, reversed(paths_in(tree))) == expected


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_digest_of_a_tree_can_be_had_with_common_commands(tree):
    names = [path.relative_to(tree).as_posix() for path in paths_in(tree)]
    pipe = 'sha256sum -- "$@" | LC_ALL=C sort -k2 | sha256sum'
    reply = subprocess.run(["sh", "-c", pipe, "sh", *names], cwd=tree, capture_output=True, text=True, check=True)
    assert reply.stdout.split()[0] == repro.digest_tree(tree, paths_in(tree))


def test_no_file_has_the_digest_of_nothing(tmp_path):
    assert repro.digest_tree(tmp_path, []) == sha256(b"")


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: (tree / "b.txt").write_bytes(b"twO"),
        lambda tree: (tree / "b.txt").rename(tree / "c.txt"),
        lambda tree: (tree / "b.txt").rename(tree / "a" / "b.txt"),
        lambda tree: (tree / "b.txt").unlink(),
        lambda tree: (tree / "new.txt").touch(),
        lambda tree: ((tree / "b.txt").write_bytes(b"one"), (tree / "a" / "c.txt").write_bytes(b"two")),
        lambda tree: ((tree / "b.txt").write_bytes(b"tw"), (tree / "B.txt").write_bytes(b"o")),
    ],
    ids=["content", "name", "folder", "file removed", "empty file added", "contents swapped", "byte moved over"],
)
def test_the_digest_of_a_tree_changes_with(tree, change):
    before = repro.digest_tree(tree, paths_in(tree))
    change(tree)
    assert repro.digest_tree(tree, paths_in(tree)) != before


def test_the_digest_of_a_tree_does_not_depend_on_where_it_is(tree, tmp_path_factory):
    copy = shutil.copytree(tree, tmp_path_factory.mktemp("elsewhere") / "tree")
    assert repro.digest_tree(copy, paths_in(copy)) == repro.digest_tree(tree, paths_in(tree))


def test_versions_name_python_and_installed_packages_only(monkeypatch):
    monkeypatch.setattr(repro, "REPORTED_PACKAGES", ("numpy", "no-such-package"))
    assert repro.versions() == {"python": platform.python_version(), "numpy": np.__version__}


def test_every_reported_package_of_this_environment_has_a_version():
    assert set(repro.REPORTED_PACKAGES) <= set(repro.versions())


def test_hardware_is_described_without_a_gpu_tool(monkeypatch):
    monkeypatch.setenv("PATH", "")
    found = repro.hardware()
    assert found["gpu"] is None
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert found["cpu"]


def test_the_gpu_is_named_as_its_tool_names_it(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'A GPU, 24 GiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert repro.hardware()["gpu"] == "A GPU, 24 GiB"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name, value in {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A Student")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "student@example.org")
    (tmp_path / "reports").mkdir()
    for name in ("tracked", "reports/page"):
        (tmp_path / name).write_text("first")
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_checkout_has_its_commit(checkout):
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    (checkout / "untracked").touch()
    assert repro.git_commit(checkout) == head.stdout.strip()


def test_a_changed_source_marks_the_commit_and_a_changed_report_does_not(checkout):
    commit = repro.git_commit(checkout)
    (checkout / "reports" / "page").write_text("second")
    assert repro.git_commit(checkout) == commit
    (checkout / "tracked").write_text("second")
    assert repro.git_commit(checkout) == commit + "+changes"


def test_outside_a_checkout_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert repro.git_commit(tmp_path) == "unknown"


def test_without_git_the_commit_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert repro.git_commit(checkout) == "unknown"


SOURCES = {
    "from wbc_utils import paths, labels  # both": (
        ["labels.py", "paths.py", "__init__.py"],
        ["claims.py", "repro.py"],
    ),
    "from wbc_utils import (\n    labels,\n    paths,\n)": (["labels.py", "paths.py"], ["claims.py", "repro.py"]),
    "import wbc_utils.claims": (["claims.py", "paths.py", "manifest.py"], ["labels.py", "cli.py"]),
    "from wbc_utils.figures import show": (["figures/show.py", "claims.py", "repro.py"], ["kernel.py", "cli.py"]),
    "from wbc_utils.data.registry import read": (
        ["data/registry.py", "data/datasets.yaml", "data/boxes.py", "paths.py"],
        ["claims.py", "data/duplicates.py"],
    ),
}
"""Import statement: files of the package that it depends on, and some that it does not."""

CHANGE_EACH = """
import json, pathlib, sys
from wbc_utils.repro import source_digest

def changes_digest(notebook, file):
    before, old = source_digest(notebook), file.read_bytes()
    file.write_bytes(old + b"\\n")
    after = source_digest(notebook)
    file.write_bytes(old)
    return before != after

followed = {}
for name, files in json.load(sys.stdin).items():
    followed[name] = [file for file in files if changes_digest(pathlib.Path(name), pathlib.Path("wbc_utils", file))]
print(json.dumps(followed))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a copy of the package, so that its files can be changed."""
    target = tmp_path_factory.mktemp("copy") / "wbc_utils"
    return shutil.copytree(Path(wbc_utils.__file__).parent, target, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="module")
def followed(package):
    """Return for each source the files whose change changes the digest of a notebook with that source."""
    questions = {}
    for number, (source, (depends, others)) in enumerate(SOURCES.items()):
        cells = [nbformat.v4.new_code_cell(source)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), package.parent / f"{number}.ipynb")
        questions[f"{number}.ipynb"] = depends + others
    command = [sys.executable, "-c", CHANGE_EACH]
    asked = json.dumps(questions)
    reply = subprocess.run(command, cwd=package.parent, input=asked, capture_output=True, text=True, check=True)
    return dict(zip(SOURCES, json.loads(reply.stdout).values(), strict=True))


@pytest.mark.parametrize("source", SOURCES)
def test_the_digest_of_a_notebook_follows_what_it_imports_and_nothing_else(followed, source):
    assert followed[source] == SOURCES[source][0]


def test_the_digest_of_a_notebook_follows_its_source_but_not_its_outputs(tmp_path):
    path = tmp_path / "notebook.ipynb"

    def digest(source, outputs=()):
        cells = [nbformat.v4.new_code_cell(source, id="a", outputs=list(outputs))]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        return repro.source_digest(path)

    assert digest("x = 1", [nbformat.v4.new_output("stream", text="x")]) == digest("x = 1")
    assert digest("x = 2") != digest("x = 1")


def test_the_digest_of_code_follows_all_that_it_imports():
    alone = repro.code_digest("wbc_utils.labels")
    assert repro.code_digest("wbc_utils.labels") == alone
    assert repro.code_digest("wbc_utils.labels", "wbc_utils.paths") != alone
    # features import stain, so that adding it changes nothing
    both = ("wbc_utils.images.features", "wbc_utils.images.stain")
    assert repro.code_digest("wbc_utils.images.extraction", *both) == repro.code_digest("wbc_utils.images.extraction")


def test_the_digest_of_package_files_follows_files_and_folders(package, monkeypatch):
    monkeypatch.setattr(repro, "__file__", str(package / "repro.py"))
    compiled = package / "render" / "__pycache__" / "prose.pyc"
    compiled.parent.mkdir()
    compiled.touch()
    before = repro.package_digest("render", "report.py")
    for name, counts in {"render/prose.py": True, "report.py": True, "labels.py": False}.items():
        assert changes(package / name, lambda: repro.package_digest("render", "report.py") != before) == counts
    assert not changes(compiled, lambda: repro.package_digest("render", "report.py") != before)


def changes(path, differs):
    """Return what ``differs`` says while a file has one byte more."""
    old = path.read_bytes()
    path.write_bytes(old + b"\n")
    try:
        return differs()
    finally:
        path.write_bytes(old)


def test_a_package_file_that_does_not_exist_has_no_digest():
    with pytest.raises(FileNotFoundError, match=r"no_such\.py"):
        repro.package_digest("labels.py", "no_such.py")


def test_progress_is_left_for_the_heartbeat_and_dropped_without_one(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("WBC_PROGRESS", raising=False)
    repro.progress("epoch 1/3")
    monkeypatch.setenv("WBC_PROGRESS", str(tmp_path / "progress"))
    repro.progress("epoch 2/3")
    repro.progress("epoch 3/3")
    assert (tmp_path / "progress").read_text() == "epoch 3/3"
    assert capsys.readouterr().out == ""
