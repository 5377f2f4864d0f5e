"""Extraction from files: order, bad files, the cache, and independence of the number of processes."""

import numpy as np
import pytest
from examples_of_cells import drawn_cell
from PIL import Image

from wbc_utils.data.images import open_image
from wbc_utils.images import extraction
from wbc_utils.images.cytoplasm import TAVAKOLI_FEATURES, extract_tavakoli
from wbc_utils.images.extraction import extract_files
from wbc_utils.images.features import FEATURES, extract
from wbc_utils.images.segment import segment

CODES = ("SNE", "LY", "MO", "EO", "BNE")


@pytest.fixture
def paths(tmp_path):
    found = []
    for number, code in enumerate(CODES):
        found.append(tmp_path / f"{code}.png")
        Image.fromarray(drawn_cell(code, number)[0]).save(found[-1])
    return found


@pytest.fixture
def counted(monkeypatch):
    """Return the list of files that are measured in this process."""
    measured = []
    measure = extraction._measure

    def counting(path, feature_set):
        measured.append(path)
        return measure(path, feature_set)

    monkeypatch.setattr(extraction, "_measure", counting)
    return measured


def assert_same(found, expected):
    assert found.values.equals(expected.values)
    assert found.files.equals(expected.files)


def test_rows_are_the_features_of_the_files_in_order(paths):
    found = extract_files(paths, workers=1)
    assert list(found.values.columns) == [feature.name for feature in FEATURES]
    assert list(found.files["path"]) == [str(path) for path in paths]
    assert found.files["ok"].all()
    assert found.measured.all()
    for row, path in enumerate(paths):
        image = open_image(path)
        np.testing.assert_array_equal(found.values.to_numpy()[row], extract(image, segment(image)))


def test_the_set_of_report_004_can_be_asked_for(paths, tmp_path):
    found = extract_files(paths[:2], tmp_path / "cache.npz", workers=1, feature_set="tavakoli")
    image = open_image(paths[1])
    assert list(found.values.columns) == [feature.name for feature in TAVAKOLI_FEATURES]
    np.testing.assert_array_equal(found.values.to_numpy()[1], extract_tavakoli(image, segment(image)))


def test_an_unknown_set_is_refused_by_name(paths):
    with pytest.raises(ValueError, match="'hu'; allowed are handcrafted, tavakoli"):
        extract_files(paths, feature_set="hu")


def test_no_files_give_an_empty_frame(tmp_path):
    found = extract_files([], tmp_path / "cache.npz")
    assert found.values.shape == (0, 89)
    assert list(found.files.columns) == ["path", "ok", "reason"]
    assert list(tmp_path.iterdir()) == []


def test_bad_files_in_the_middle_become_rows_with_their_reason(paths, tmp_path):
    bad = {
        "truncated.png": paths[0].read_bytes()[:3000],
        "empty.png": b"",
        "text.png": b"not an image",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    Image.new("RGB", (160, 160), "white").save(tmp_path / "blank.png")
    Image.new("RGB", (3, 3), "purple").save(tmp_path / "tiny.png")
    names = [*bad, "absent.png", "blank.png", "tiny.png"]
    files = [paths[0], *(tmp_path / name for name in names), paths[1]]
    found = extract_files(files, tmp_path / "cache.npz", workers=1)
    assert found.files["ok"].tolist() == [True, *[False] * 6, True]
    assert found.measured.tolist() == [True, *[False] * 6, True]
    assert found.values.iloc[1:7].isna().all(axis=None)
    assert found.files["reason"].tolist() == [
        "", "the image data are truncated or damaged", "the file has zero bytes", "the file is not an image",
        "the file does not exist", "the image is blank", "the image is smaller than 32 pixels", "",
    ]  # fmt: skip
    assert_same(extract_files(files, tmp_path / "cache.npz", workers=1), found)


def test_a_doubtful_segmentation_is_measured_and_marked(tmp_path):
    image, _ = drawn_cell("LY", 0, 9.0)
    Image.fromarray(image[60:]).save(tmp_path / "cut.png")
    found = extract_files([tmp_path / "cut.png"], workers=1)
    assert found.files.loc[0, "reason"] != ""
    assert not found.files.loc[0, "ok"]
    assert found.measured[0]


def test_a_second_call_measures_nothing_and_returns_the_same(paths, tmp_path, counted):
    cache = tmp_path / "cache.npz"
    fresh = extract_files(paths, cache, workers=1)
    assert counted == paths
    assert_same(extract_files(paths, cache, workers=1), fresh)
    assert_same(extract_files(paths, workers=1), fresh)
    assert counted == paths * 2


def test_the_same_content_is_measured_once_under_any_name(paths, tmp_path, counted):
    copy = tmp_path / "copy.png"
    copy.write_bytes(paths[0].read_bytes())
    found = extract_files([paths[0], copy, paths[0]], workers=1)
    assert len(counted) == 1
    assert (found.values == found.values.iloc[0]).all(axis=None)


def test_changed_content_is_measured_anew_and_the_rest_is_kept(paths, tmp_path, counted):
    cache = tmp_path / "cache.npz"
    before = extract_files(paths, cache, workers=1)
    paths[2].write_bytes(paths[3].read_bytes() + b"\0")
    after = extract_files(paths, cache, workers=1)
    assert counted == [*paths, paths[2]]
    assert after.values.iloc[2].equals(before.values.iloc[3].rename(2))
    assert after.values.drop(2).equals(before.values.drop(2))


def test_changed_code_makes_the_cache_void(paths, tmp_path, counted, monkeypatch):
    cache = tmp_path / "cache.npz"
    extract_files(paths[:1], cache, workers=1)
    monkeypatch.setattr(extraction.repro, "code_digest", lambda *_: "other")
    extract_files(paths[:1], cache, workers=1)
    monkeypatch.setattr(extraction, "FEATURES_VERSION", -1)
    extract_files(paths[:1], cache, workers=1)
    assert counted == paths[:1] * 3


def test_a_corrupt_cache_is_reported_and_rebuilt(paths, tmp_path):
    cache = tmp_path / "cache.npz"
    fresh = extract_files(paths, cache, workers=1)
    cache.write_bytes(cache.read_bytes()[:500])
    with pytest.warns(UserWarning, match="not a readable cache"):
        assert_same(extract_files(paths, cache, workers=1), fresh)
    assert_same(extract_files(paths, cache, workers=1), fresh)


def test_an_interrupted_run_keeps_what_it_measured(paths, tmp_path, monkeypatch, counted):
    monkeypatch.setattr(extraction, "_BATCH", 2)
    measure = extraction._measure_batch

    def interrupted(files, feature_set):
        if paths[-1] in files:
            raise KeyboardInterrupt
        return measure(files, feature_set)

    monkeypatch.setattr(extraction, "_measure_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_files(paths, tmp_path / "cache.npz", workers=1)
    monkeypatch.setattr(extraction, "_measure_batch", measure)
    extract_files(paths, tmp_path / "cache.npz", workers=1)
    assert counted == paths


def test_the_number_of_processes_has_no_influence(paths, monkeypatch):
    monkeypatch.setattr(extraction, "_BATCH", 2)
    assert_same(extract_files(paths, workers=2), extract_files(paths, workers=1))


def test_progress_is_left_for_the_heartbeat(paths, tmp_path, monkeypatch):
    monkeypatch.setenv("WBC_PROGRESS", str(tmp_path / "progress"))
    extract_files(paths, workers=1)
    assert (tmp_path / "progress").read_text() == "handcrafted features: 5 of 5 images"
