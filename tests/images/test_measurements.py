"""The cache of measurements: what was written is read, what is damaged or of other code is not."""

import numpy as np
import pytest

from wbc_utils.images.measurements import Measurement, read_measurements, write_measurements

ROWS = {"a" * 64: Measurement(np.array([1.5, -2.0, 1e-300]), True, ""),
        "b" * 64: Measurement(np.full(3, np.nan), False, "the file has zero bytes")}  # fmt: skip


def assert_same(found, expected):
    assert list(found) == list(expected)
    for digest, row in expected.items():
        np.testing.assert_array_equal(found[digest].values, row.values)
        assert found[digest][1:] == row[1:]


@pytest.fixture
def path(tmp_path):
    write_measurements(tmp_path / "cache.npz", "key", ROWS)
    return tmp_path / "cache.npz"


def test_what_was_written_is_read_bit_for_bit(path):
    assert_same(read_measurements(path, "key", 3), ROWS)


def test_no_file_and_other_code_have_no_measurements(path, tmp_path):
    assert read_measurements(tmp_path / "absent.npz", "key", 3) == {}
    assert read_measurements(path, "other key", 3) == {}


def test_the_folder_is_made_and_holds_nothing_but_the_file(tmp_path):
    write_measurements(tmp_path / "new" / "cache.npz", "key", ROWS)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["cache.npz"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"not an archive",
        lambda content: content[: len(content) // 2],
        lambda content: content[:300] + bytes(byte ^ 255 for byte in content[300:340]) + content[340:],
    ],
)
def test_a_damaged_file_is_reported_and_not_used(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match="not a readable cache of features.*measured anew"):
        assert read_measurements(path, "key", 3) == {}


def test_an_archive_of_something_else_is_reported_and_not_used(path):
    np.savez(path, something=np.zeros(3))
    with pytest.warns(UserWarning, match="not a readable cache"):
        assert read_measurements(path, "key", 3) == {}


def test_measurements_with_another_number_of_features_are_reported_and_not_used(path):
    with pytest.warns(UserWarning, match=r"do not fit together: 2 digests, values \(2, 3\)"):
        assert read_measurements(path, "key", 4) == {}


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wbc_utils.manifest.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_measurements(path, "key", {"c" * 64: ROWS["a" * 64]})
    monkeypatch.undo()
    assert_same(read_measurements(path, "key", 3), ROWS)
    assert [file.name for file in path.parent.iterdir()] == ["cache.npz"]
