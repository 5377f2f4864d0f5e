"""Images decoded once; changed, unreadable and interrupted ones are told apart."""

import os

import numpy as np
import pytest
from PIL import Image
from smears import smear

from wbc_utils.data import pixels
from wbc_utils.data.pixels import load_pixels
from wbc_utils.data.tables import DataError


def save_images(folder, count, side=20, suffix=".png"):
    """Save squares of noise and return their paths and pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    files = [folder / f"cell {number} µ{suffix}" for number in range(count)]
    for file, image in zip(files, drawn, strict=True):
        Image.fromarray(image).save(file)
    return files, drawn


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "decoded cells"


@pytest.fixture
def count_opened(monkeypatch):
    """Return the list of the files that are decoded."""
    opened, true_open = [], pixels.open_image

    def counted(path):
        opened.append(path)
        return true_open(path)

    monkeypatch.setattr(pixels, "open_image", counted)
    return opened


def test_a_field_as_large_as_the_image_is_the_image_itself(tmp_path, folder):
    files, drawn = save_images(tmp_path / "some images", 5)
    found = load_pixels(files, 20, 20, folder)
    assert np.array_equal(found.images, drawn)
    assert found.images.dtype == np.uint8
    assert found.readable.tolist() == [True] * 5


def test_the_field_is_cut_out_of_the_middle_and_brought_to_size(tmp_path, folder):
    files, drawn = save_images(tmp_path, 2)
    assert np.array_equal(load_pixels(files, 10, 10, folder).images, drawn[:, 5:15, 5:15])
    halved = drawn.reshape(2, 10, 2, 10, 2, 3).mean(axis=(2, 4))
    assert load_pixels(files, 10, 20, folder).images == pytest.approx(halved, abs=0.51)


def test_images_of_different_sizes_become_squares_of_one(tmp_path, folder):
    files = save_images(tmp_path / "a", 2, side=20)[0] + save_images(tmp_path / "b", 1, side=33)[0]
    assert load_pixels(map(str, files), 16, 24.5, folder).images.shape == (3, 16, 16, 3)


def test_the_second_call_decodes_nothing_and_gives_the_same(tmp_path, folder, count_opened):
    files, _ = save_images(tmp_path, 4)
    files.append(tmp_path / "absent.png")
    first = load_pixels(files, 16, 18, folder)
    assert sorted(count_opened) == sorted(files)
    again = load_pixels(files, 16, 18, folder)
    assert len(count_opened) == 5
    assert np.array_equal(again.images, first.images)
    assert again.reasons.tolist() == first.reasons.tolist()
    assert again.digest == first.digest


def test_images_on_disk_survive_changes_in_memory(tmp_path, folder):
    files, drawn = save_images(tmp_path, 2)
    load_pixels(files, 20, 20, folder).images[:] = 0
    assert np.array_equal(load_pixels(files, 20, 20, folder).images, drawn)


@pytest.mark.parametrize(("side", "field_px"), [(17, 18), (16, 18.5)])
def test_another_side_or_field_is_another_array(tmp_path, folder, side, field_px):
    files, _ = save_images(tmp_path, 2)
    first = load_pixels(files, 16, 18, folder)
    other = load_pixels(files, side, field_px, folder)
    assert other.digest != first.digest
    assert other.images.shape == (2, side, side, 3)
    assert len(list(folder.glob("*.npy"))) == 2


def test_a_changed_file_is_decoded_anew_even_if_size_and_time_are_the_same(tmp_path, folder):
    files, drawn = save_images(tmp_path, 3, suffix=".bmp")
    first = load_pixels(files, 20, 20, folder)
    status = files[1].stat()
    Image.fromarray(255 - drawn[1]).save(files[1])
    os.utime(files[1], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert files[1].stat().st_size == status.st_size
    found = load_pixels(files, 20, 20, folder)
    assert np.array_equal(found.images[1], 255 - drawn[1])
    assert np.array_equal(first.images[1], drawn[1])
    assert found.digest != first.digest


def test_files_in_another_order_or_place(tmp_path, folder):
    files, drawn = save_images(tmp_path / "here", 3)
    first = load_pixels(files, 20, 20, folder)
    assert np.array_equal(load_pixels(files[::-1], 20, 20, folder).images, drawn[::-1])
    moved, _ = save_images(tmp_path / "there", 3)
    assert load_pixels(moved, 20, 20, folder).digest == first.digest


def test_an_unreadable_file_is_black_and_has_its_reason(tmp_path, folder):
    files, drawn = save_images(tmp_path, 5)
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(files[3].read_bytes()[:600])
    files[3] = tmp_path
    found = load_pixels(files, 20, 20, folder)
    assert found.reasons.tolist() == [
        "the file does not exist", "the file has zero bytes", "the image data are truncated or damaged",
        "it is a folder or a pipe", "",
    ]  # fmt: skip
    assert found.readable.tolist() == [False, False, False, False, True]
    assert not found.images[:4].any()
    assert np.array_equal(found.images[4], drawn[4])


def test_a_file_that_comes_back_is_read(tmp_path, folder):
    files, drawn = save_images(tmp_path, 2)
    content = files[0].read_bytes()
    for broken in (b"", content[:600]):
        files[0].write_bytes(broken)
        assert not load_pixels(files, 20, 20, folder).readable[0]
    files[0].unlink()
    assert load_pixels(files, 20, 20, folder).reasons[0] == "the file does not exist"
    files[0].write_bytes(content)
    assert np.array_equal(load_pixels(files, 20, 20, folder).images, drawn)


@pytest.mark.parametrize("place", ["images", "reasons", "rename"])
def test_an_interrupted_decoding_leaves_no_array_and_is_made_good(tmp_path, folder, monkeypatch, place):
    files, drawn = save_images(tmp_path, 6)
    true_open = pixels.open_image

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    def stop_at_fourth(path):
        return true_open(path) if path != files[3] else interrupt()

    with monkeypatch.context() as patched:
        if place == "images":
            patched.setattr(pixels, "open_image", stop_at_fourth)
        else:
            patched.setattr(f"pathlib.Path.{'write_text' if place == 'reasons' else 'replace'}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_pixels(files, 20, 20, folder)
    assert not list(folder.glob("*.npy"))
    assert np.array_equal(load_pixels(files, 20, 20, folder).images, drawn)
    assert not list(folder.glob("*.partial"))


def test_a_removed_array_or_note_is_made_again(tmp_path, folder, count_opened):
    files, drawn = save_images(tmp_path, 2)
    for number, kind in enumerate(["*.npy", "*.json"], start=1):
        load_pixels(files, 20, 20, folder)
        assert len(count_opened) == 2 * number
        next(folder.glob(kind)).unlink()
    assert np.array_equal(load_pixels(files, 20, 20, folder).images, drawn)


def test_images_of_more_than_one_batch_stay_in_order(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(pixels, "_BATCH", 3)
    monkeypatch.setenv("WBC_PROGRESS", str(tmp_path / "progress"))
    files, drawn = save_images(tmp_path, 8)
    assert np.array_equal(load_pixels(files, 20, 20, folder).images, drawn)
    assert (tmp_path / "progress").read_text() == "8 of 8 images decoded"


def test_no_files_are_no_images(folder):
    found = load_pixels([], 20, 20, folder)
    assert found.images.shape == (0, 20, 20, 3)
    assert found.readable.shape == (0,)
    assert found.readable.dtype == bool


def test_a_field_without_size_is_refused(tmp_path, folder):
    files, _ = save_images(tmp_path, 1)
    with pytest.raises(DataError, match="field of 0 pixels"):
        load_pixels(files, 20, 0, folder)


def test_isolated_cells_are_decoded_apart_from_pictures_as_they_are(tmp_path, folder):
    file = tmp_path / "cell.png"
    Image.fromarray(smear()).save(file)
    plain, alone = (load_pixels([file], 64, 160, folder, isolated=isolated) for isolated in (False, True))
    assert plain.digest != alone.digest
    assert alone.images[0, 0, 0].tolist() == [255, 255, 255] != plain.images[0, 0, 0].tolist()
