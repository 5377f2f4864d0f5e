"""Images are decoded to RGB whatever their format, and what is no image is refused by name and reason."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image

from wbc_utils.data.images import MAX_PIXELS, ImageError, find_images, image_size, image_sizes, open_image


def save(folder, name, pixels, mode=None, **options):
    path = folder / name
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.fixture
def colors():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.fixture
def jpeg(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    return save(tmp_path, "cell.jpg", pixels)


def test_rgb_pixels_come_back_unchanged(tmp_path, colors):
    assert np.array_equal(open_image(save(tmp_path, "a.png", colors)), colors)


@settings(deadline=None)
@given(arrays(np.uint8, (3, 4)))
def test_greyscale_is_repeated_in_the_three_channels(tmp_path_factory, grey):
    found = open_image(save(tmp_path_factory.mktemp("grey"), "a.png", grey))
    assert found.shape == (3, 4, 3)
    assert (found == grey[..., None]).all()


def test_sixteen_bit_greyscale_is_scaled_from_its_full_range(tmp_path):
    grey = np.array([[0, 257, 65535, 32896]], dtype=np.uint16)
    assert open_image(save(tmp_path, "a.png", grey))[0, :, 0].tolist() == [0, 1, 255, 128]


def test_opaque_alpha_changes_nothing_and_transparent_pixels_become_white(tmp_path, colors):
    alpha = np.full((5, 7, 1), 255, dtype=np.uint8)
    alpha[0, 0] = 0
    found = open_image(save(tmp_path, "a.png", np.concatenate([colors, alpha], axis=2)))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found.reshape(-1, 3)[1:], colors.reshape(-1, 3)[1:])


def test_a_palette_is_resolved_to_its_colours(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_floating_point_pixels_are_refused_with_the_format(tmp_path):
    with pytest.raises(ImageError, match="pixel format F is not supported"):
        open_image(save(tmp_path, "a.tif", np.ones((2, 2), dtype=np.float32)))


def test_a_truncated_jpeg_has_a_size_but_cannot_be_opened(jpeg):
    content = jpeg.read_bytes()
    jpeg.write_bytes(content[: len(content) // 2])
    assert image_size(jpeg) == (48, 64)
    with pytest.raises(ImageError, match=r"cell\.jpg .* truncated"):
        open_image(jpeg)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "zero bytes"), (b"no image at all", "not an image"), (None, "does not exist")]
)
def test_what_is_no_image_is_refused_with_path_and_reason(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    for function in (open_image, image_size):
        with pytest.raises(ImageError, match=reason) as caught:
            function(path)
        assert caught.value.path == path
        assert reason in caught.value.reason


@pytest.mark.parametrize("side", [8001, 12000, 60000])
def test_a_header_that_claims_too_many_pixels_is_refused_before_decoding(tmp_path, side):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    with pytest.raises(ImageError, match=f"more than {MAX_PIXELS} pixels"):
        open_image(path)


def test_sizes_come_in_order_with_errors_in_their_place(tmp_path, jpeg, colors):
    (tmp_path / "empty.png").touch()
    first, second, third = image_sizes([jpeg, tmp_path / "empty.png", save(tmp_path, "a.png", colors)])
    assert (first, third) == ((48, 64), (7, 5))
    assert isinstance(second, ImageError)


def test_images_are_found_at_any_depth_in_order_with_their_names_verbatim(tmp_path):
    for name in ("b/<script>.png", "a.JPG", "b/notes.txt", ".hidden.png", ".git/c.png", "b/ü 1.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == ["a.JPG", "b/<script>.png", "b/ü 1.bmp"]
    assert find_images(tmp_path / "absent") == []
