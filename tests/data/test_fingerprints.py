"""Exact digests and perceptual hashes: equal to their definition, in every orientation, and safe on bad files."""

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from wbc_utils.data.fingerprints import (
    ORIENTATIONS,
    dihedral_hashes,
    fingerprint,
    orient,
    pixel_digest,
    thumbnail,
)


def random_image(seed, height=40, width=56):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def as_number(image):
    return int(str(imagehash.phash(Image.fromarray(np.ascontiguousarray(image)))), 16)


@settings(deadline=None)
@given(image=arrays(np.uint8, st.tuples(st.integers(1, 48), st.integers(1, 48), st.just(3))))
def test_upright_hash_is_bit_equal_to_imagehash_even_for_plain_images(image):
    assert dihedral_hashes(image)[0] == as_number(image)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_turned_hashes_equal_imagehash_of_the_turned_32_pixel_image(seed):
    small = random_image(seed, 32, 32)[..., 0]
    assert dihedral_hashes(small).tolist() == [as_number(orient(small, o)) for o in range(ORIENTATIONS)]


def test_orientations_are_the_eight_of_the_square():
    image = np.arange(9).reshape(3, 3)
    found = {orient(image, o).tobytes() for o in range(ORIENTATIONS)}
    turns = [np.rot90(image, quarter) for quarter in range(4)]
    assert found == {turned.tobytes() for turn in turns for turned in (turn, turn[:, ::-1])}


def test_orienting_keeps_colour_channels():
    assert orient(random_image(0, 4, 6), 4).shape == (6, 4, 3)


def test_digest_depends_on_pixels_and_shape_alone(tmp_path):
    image = random_image(1)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image).save(tmp_path / "b.bmp")
    Image.fromarray(random_image(2)).save(tmp_path / "c.png")
    a, b, c = fingerprint([tmp_path / name for name in ("a.png", "b.bmp", "c.png")]).digests
    assert a == b == pixel_digest(image)
    assert a != c
    assert pixel_digest(np.zeros((2, 3, 3), np.uint8)) != pixel_digest(np.zeros((3, 2, 3), np.uint8))


def test_digest_of_a_turned_view_is_that_of_its_copy():
    view = random_image(3)[:, ::-1]
    assert pixel_digest(view) == pixel_digest(view.copy())


def test_one_pass_gives_what_single_images_give(tmp_path):
    images = [random_image(seed, 20 + seed, 30) for seed in range(5)]
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    prints = fingerprint(paths)
    assert prints.digests == tuple(pixel_digest(image) for image in images)
    np.testing.assert_array_equal(prints.hashes, [dihedral_hashes(image) for image in images])
    np.testing.assert_array_equal(prints.thumbnails, [thumbnail(image) for image in images])


@pytest.mark.parametrize("threads", [1, 3])
def test_result_does_not_depend_on_threads_or_batches(tmp_path, monkeypatch, threads):
    paths = [tmp_path / f"{number}.png" for number in range(7)]
    for number, path in enumerate(paths):
        Image.fromarray(random_image(number)).save(path)
    whole = fingerprint(paths)
    monkeypatch.setattr("wbc_utils.data.fingerprints._BATCH", 3)
    parts = fingerprint(paths, threads=threads)
    assert parts.digests == whole.digests
    np.testing.assert_array_equal(parts.hashes, whole.hashes)


def test_bad_files_are_reported_in_place_and_stop_nothing(tmp_path):
    good, cut, empty, absent = (tmp_path / f"{name}.jpg" for name in ("good", "cut", "empty", "absent"))
    Image.fromarray(random_image(4)).save(good)
    cut.write_bytes(good.read_bytes()[:400])
    empty.touch()
    prints = fingerprint([cut, good, empty, absent])
    assert list(prints.errors) == [0, 2, 3]
    assert "zero bytes" in prints.errors[2]
    assert "does not exist" in prints.errors[3]
    assert prints.readable.tolist() == [False, True, False, False]
    assert prints.digests[0] is None
    assert not prints.hashes[[0, 2, 3]].any()
    assert prints.hashes[1, 0] == as_number(np.asarray(Image.open(good)))


def test_no_paths_give_no_fingerprints():
    prints = fingerprint([])
    assert len(prints) == 0
    assert prints.hashes.shape == (0, ORIENTATIONS)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), orientation=st.integers(0, 7))
def test_some_hash_of_a_turned_image_equals_the_upright_hash(seed, orientation):
    small = random_image(seed, 32, 32)[..., 0]
    assert dihedral_hashes(small)[0] in dihedral_hashes(np.ascontiguousarray(orient(small, orientation)))
