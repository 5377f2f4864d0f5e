"""Results change all at once or not at all."""

from pathlib import Path

import pytest

from wbc_utils.staging import foreign, staged

NAMES = ("a.csv", "pictures")


def write(folder, text, pictures=("1.png",)):
    (folder / "a.csv").write_text(text)
    (folder / "pictures").mkdir()
    for name in pictures:
        (folder / "pictures" / name).write_text(text)


def renew(folder, error=None):
    with staged(folder, NAMES) as stage:
        write(stage, "new")
        if error:
            raise error


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_new_results_take_the_place_of_earlier_ones_and_of_nothing_else(tmp_path):
    write(tmp_path, "old", ["1.png", "2.png"])
    (tmp_path / "notes.txt").write_text("mine")
    with staged(tmp_path, NAMES) as stage:
        write(stage, "new")
        assert contents(tmp_path)["a.csv"] == "old"
    assert contents(tmp_path) == {"a.csv": "new", "pictures/1.png": "new", "notes.txt": "mine"}
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "pictures", "notes.txt"}


def test_what_is_not_made_anew_is_gone(tmp_path):
    write(tmp_path, "old")
    with staged(tmp_path, NAMES) as stage:
        (stage / "a.csv").write_text("new")
    assert contents(tmp_path) == {"a.csv": "new"}


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_results_is_filled(tmp_path, there):
    folder = tmp_path / "results"
    if there:
        folder.mkdir()
    with staged(folder, NAMES) as stage:
        write(stage, "new")
    assert contents(folder) == {"a.csv": "new", "pictures/1.png": "new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_all_is_as_it_was(tmp_path, error):
    write(tmp_path, "old")
    before = contents(tmp_path)
    with pytest.raises(error):
        renew(tmp_path, error)
    assert contents(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


@pytest.mark.parametrize("there", [True, False])
def test_an_error_leaves_no_folder_that_was_not_there(tmp_path, there):
    folder = tmp_path / "results"
    if there:
        folder.mkdir()
    with pytest.raises(ValueError, match="no"), staged(folder, NAMES):
        raise ValueError("no")
    assert folder.exists() == there


@pytest.mark.parametrize("failing", range(4))
def test_a_move_that_fails_undoes_those_before_it(tmp_path, monkeypatch, failing):
    write(tmp_path, "old")
    before, honest, moves = contents(tmp_path), Path.rename, []

    def rename(self, target):
        moves.append(self)
        if len(moves) == failing + 1:
            raise OSError(5, "Input/output error")
        return honest(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        renew(tmp_path)
    assert contents(tmp_path) == before


def test_a_foreign_file_is_named_at_any_depth(tmp_path):
    write(tmp_path, "ours", ["1.png", "2.png"])
    assert foreign(tmp_path, {"a.csv", "pictures/1.png", "pictures/2.png"}) is None
    assert foreign(tmp_path, {"a.csv", "pictures/1.png"}) == "pictures/2.png"
    assert foreign(tmp_path / "gone", set()) is None


def test_a_link_is_foreign_and_what_a_killed_run_left_is_not(tmp_path):
    (tmp_path / ".wbc-x1").mkdir()
    (tmp_path / ".wbc-x1" / "a.csv").touch()
    assert foreign(tmp_path, set()) is None
    (tmp_path / "link").symlink_to(tmp_path.parent, target_is_directory=True)
    assert foreign(tmp_path, set()) == "link"
