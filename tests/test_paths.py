from pathlib import Path

import pooch
import pytest

from wbc_utils import paths


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a project folder in which nothing is named by the environment."""
    for name in ("WBC_PROJECT", "WBC_DATA", "WBC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("params", "notebooks/deep/deeper"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_project_is_the_nearest_parent_with_notebooks_and_params(folder, monkeypatch):
    assert paths.project_root() == folder
    monkeypatch.chdir(folder / "notebooks" / "deep" / "deeper")
    assert paths.project_root() == folder


def test_a_named_project_outranks_the_folder_one_is_in(folder, monkeypatch):
    other = folder / "notebooks" / "other"
    for name in ("notebooks", "params"):
        (other / name).mkdir(parents=True)
    monkeypatch.setenv("WBC_PROJECT", str(other))
    assert paths.project_root() == other


def test_a_folder_without_a_project_says_where_it_looked_and_what_to_do(folder):
    (folder / "params").rmdir()
    with pytest.raises(paths.ProjectNotFoundError) as caught:
        paths.project_root()
    assert str(caught.value) == (
        f"{folder} and its parents hold no notebooks/ and params/. "
        "Change into the project's folder, set WBC_PROJECT to it, or begin one in this folder: wbc init"
    )


def test_a_wrong_name_is_not_replaced_by_a_parent_that_would_do(folder, monkeypatch):
    monkeypatch.setenv("WBC_PROJECT", str(folder / "notebooks"))
    with pytest.raises(paths.ProjectNotFoundError, match=r"notebooks \(from WBC_PROJECT\) hold no"):
        paths.project_root()


def test_data_are_where_the_environment_says_else_in_the_cache_of_the_user(folder, monkeypatch):
    assert paths.data_root() == Path(pooch.os_cache("wbc"))
    monkeypatch.setenv("WBC_DATA", "relative/../data")
    assert paths.data_root() == folder / "data"
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("WBC_DATA", "~/blood")
    assert paths.data_root() == folder / "blood"


def test_every_profile_and_notebook_has_a_place_of_its_own(folder):
    assert paths.run_dir("cpu", "03") == folder / "runs" / "cpu" / "03"
    assert paths.reports_dir("cpu") == folder / "reports" / "cpu"
    assert paths.manifest_path("cpu", "03") == folder / "reports" / "cpu" / "manifests" / "03.json"


def test_tables_go_into_the_staging_folder_of_a_run_else_into_the_final_one(folder, monkeypatch):
    assert paths.output_dir("demo", "01") == folder / "runs" / "demo" / "01" / "tables"
    monkeypatch.setenv("WBC_STAGE", str(folder / "stage" / "tables"))
    assert paths.output_dir("demo", "01") == folder / "stage" / "tables"
    assert paths.output_dir("demo", "01").is_dir()


def test_a_table_of_another_notebook_is_read_from_its_last_good_run(folder, monkeypatch):
    table = paths.output_dir("demo", "01") / "clean_anno.csv"
    table.touch()
    monkeypatch.setenv("WBC_STAGE", str(folder / "stage"))
    assert paths.upstream_table("demo", "01", "clean_anno.csv") == table


def test_a_table_that_is_missing_names_the_command_that_writes_it(folder):
    table = folder / "runs" / "cpu" / "01" / "tables" / "clean_anno.csv"
    with pytest.raises(FileNotFoundError) as caught:
        paths.upstream_table("cpu", "01", "clean_anno.csv")
    assert str(caught.value) == (f"{table} is missing: notebook 01 writes it. Run it first: wbc run 01 --profile cpu")
