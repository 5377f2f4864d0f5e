import tomllib
from pathlib import Path

import pytest

from wbc_utils import params, paths, workspace
from wbc_utils.workspace import SHIPPED, WorkspaceError, create

ROOT = Path(__file__).resolve().parents[1]


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_new_project_has_every_notebook_with_its_parameters_in_every_profile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WBC_PROJECT", raising=False)
    assert create(Path("blood")) == [Path("blood") / name for name in SHIPPED]
    monkeypatch.chdir(tmp_path / "blood")
    assert paths.project_root() == tmp_path / "blood"
    for number in params.NOTEBOOKS:
        assert params.notebook_path(number).read_bytes() == next((ROOT / "notebooks").glob(f"{number}_*")).read_bytes()
        for profile in params.PROFILES:
            assert params.resolve(number, profile, {}).profile == profile


def test_nothing_hidden_is_copied(tmp_path):
    create(tmp_path)
    assert not [name for name in files(tmp_path) if "/." in f"/{name}"]


def test_a_folder_that_holds_any_of_it_is_left_as_it_is(tmp_path):
    (tmp_path / "params").mkdir()
    (tmp_path / "Snakefile").write_text("mine")
    with pytest.raises(
        WorkspaceError, match=r"already holds params, Snakefile; nothing was copied\. .*: wbc init FOLDER"
    ):
        create(tmp_path)
    assert files(tmp_path) == {"Snakefile"}


def test_the_installed_package_brings_its_own_copies(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "wbc_utils"
    create(package / "project")
    (package / "project" / "Snakefile").write_text("of the wheel")
    monkeypatch.setattr(workspace, "__file__", str(package / "workspace.py"))
    create(tmp_path / "new")
    assert (tmp_path / "new" / "Snakefile").read_text() == "of the wheel"
    assert files(tmp_path / "new") == files(package / "project")


def test_the_wheel_holds_what_a_project_needs():
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = content["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["wbc_utils"]
    assert wheel["force-include"] == {name: f"wbc_utils/project/{name}" for name in SHIPPED}
    assert all((ROOT / name).exists() for name in SHIPPED)


def test_nothing_of_the_package_is_hidden_from_the_wheel_by_gitignore():
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    kept = {part for name in files(ROOT / "wbc_utils") if "__pycache__" not in name for part in Path(name).parts}
    assert not kept & set(ignored)
