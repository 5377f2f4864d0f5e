"""Image files of every format and kind of pixel, damaged or with hostile headers."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from functools import cache

import numpy as np
import pytest
from fuzzing import damage, fuzz, limits
from PIL import Image, PngImagePlugin

from wbc_utils.data.images import MAX_PIXELS, ImageError, find_images, image_size, open_image


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def pictures():
    """Return a small picture in every format, kind of pixel and extra that files of images come with."""
    colors = np.random.default_rng(0).integers(0, 256, (18, 24, 3), dtype=np.uint8)
    rgb = Image.fromarray(colors)
    deep, few = Image.fromarray(colors[..., 0].astype(np.uint16) * 257), rgb.quantize(16)
    exif, words = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x0112], exif[0x010E] = 6, "turned"
    words.add_text("a", "b" * 200, zip=True)
    modes = {mode: rgb.convert(mode) for mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "F", "LAB")}
    modes |= {"I;16": deep, "P": few}
    found = {f"PNG {mode}": encoded(modes[mode], "PNG") for mode in ("1", "L", "LA", "RGB", "RGBA", "I;16", "P")}
    found |= {f"BMP {mode}": encoded(modes[mode], "BMP") for mode in ("1", "RGB", "RGBA", "P")}
    found |= {f"TIFF {mode}": encoded(image, "TIFF") for mode, image in modes.items()}
    found |= {f"JPEG {mode}": encoded(modes[mode], "JPEG") for mode in ("L", "RGB", "CMYK")}
    found |= {f"TIFF {name}": encoded(rgb, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "jpeg")}
    return found | {
        "PNG transparent index": encoded(few, "PNG", transparency=3),
        "PNG with metadata": encoded(rgb, "PNG", exif=exif, pnginfo=words),
        "PNG animated": encoded(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]),
        "JPEG progressive": encoded(rgb, "JPEG", progressive=True, exif=exif),
        "JPEG several": encoded(rgb, "MPO", save_all=True, append_images=[rgb.rotate(90)]),
        "TIFF several": encoded(rgb, "TIFF", save_all=True, append_images=[rgb.rotate(90)]),
        "TIFF fax": encoded(modes["1"], "TIFF", compression="group4"),
        "GIF": encoded(few, "GIF"),
        "WEBP": encoded(rgb, "WEBP"),
    }


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def mended(content):
    """Return a PNG file whose checksums are right again, so that decoders look further; other files as they are."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    mended, position = content[:8], 8
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        body = content[position + 8 : position + 8 + length]
        mended += content[position : position + 4] + chunk(content[position + 4 : position + 8], body)[4:]
        position += 12 + length
    return mended


def broken(rng):
    content = damage(rng.choice(list(pictures().values())), rng)
    return mended(content) if rng.random() < 0.5 else content


def test_damaged_images_are_decoded_to_rgb_of_their_declared_size_or_refused(tmp_path):
    path = tmp_path / "a.png"

    def look(content):
        path.write_bytes(content)
        pixels = open_image(path)
        width, height = image_size(path)
        assert (pixels.shape, pixels.dtype) == ((height, width, 3), np.uint8)

    counts = fuzz(broken, look, 1200)
    assert min(counts["parsed"], counts["refused"]) > 200


@pytest.mark.parametrize("kind", pictures())
def test_every_kind_of_picture_is_decoded_or_refused_for_its_pixels(tmp_path, kind):
    (tmp_path / "a.tif").write_bytes(pictures()[kind])
    if kind in {"TIFF F", "TIFF LAB"}:
        with pytest.raises(ImageError, match="pixel format"):
            open_image(tmp_path / "a.tif")
    else:
        assert open_image(tmp_path / "a.tif").shape == (18, 24, 3)


@pytest.mark.parametrize("cut", [16, 24, 30, 40])
def test_an_orientation_that_cannot_be_read_is_passed_over_without_a_warning(tmp_path, cut):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    image = Image.open(io.BytesIO(pictures()["PNG RGB"]))
    (tmp_path / "a.jpg").write_bytes(encoded(image, "JPEG", exif=exif.tobytes()[:cut]))
    with pytest.warns(UserWarning, match="Corrupt EXIF|Truncated"):
        Image.open(tmp_path / "a.jpg").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(tmp_path / "a.jpg").shape == (18, 24, 3)


@pytest.mark.parametrize(("kind", "shape"), [("JPEG", (18, 24, 3)), ("PNG", (18, 24, 3)), ("TIFF", (24, 18, 3))])
def test_the_orientation_tag_is_followed_in_tiff_files_only(tmp_path, kind, shape):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(pictures()["PNG RGB"]))
    (tmp_path / "a.tif").write_bytes(encoded(image, kind, exif=exif))
    assert open_image(tmp_path / "a.tif").shape == shape
    assert image_size(tmp_path / "a.tif") == shape[1::-1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkdir, "it is a folder or a pipe"),
        (os.mkfifo, "it is a folder or a pipe"),
        (lambda path: os.symlink("a.png", path), "the file does not exist"),
        (lambda path: os.symlink("/dev/zero", path), "it is a folder or a pipe"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, make, reason):
    make(tmp_path / "a.png")
    with pytest.raises(ImageError, match=reason):
        open_image(tmp_path / "a.png")
    assert set(find_images(tmp_path)) <= {"a.png"}


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\x00.png", "x/" * 3000 + ".png"])
def test_a_name_that_no_file_can_have_does_not_exist(tmp_path, name):
    with pytest.raises(ImageError, match="the file does not exist"):
        open_image(tmp_path / name)


def test_a_program_for_a_printer_is_no_image_and_is_not_started(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n%%EOF\n")
    with pytest.raises(ImageError, match="the file is not an image"):
        open_image(tmp_path / "a.png")


def test_a_tile_larger_than_its_image_is_refused_before_it_is_decoded(tmp_path):
    side, longs = 9600, {256: 24, 257: 18, 322: 9600, 323: 9600, 324: 200, 325: 100}
    shorts = {258: 8, 259: 8, 262: 1, 277: 1}
    entries = [(tag, 4, struct.pack("<I", value)) for tag, value in longs.items()]
    entries += [(tag, 3, struct.pack("<HH", value, 0)) for tag, value in shorts.items()]
    fields = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in sorted(entries))
    content = b"II*\x00" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4)
    (tmp_path / "a.tif").write_bytes(content.ljust(200, b"\x00") + zlib.compress(bytes(side)))
    with pytest.raises(ImageError, match=f"more than {MAX_PIXELS} pixels"):
        open_image(tmp_path / "a.tif")


def test_a_chunk_that_claims_gigabytes_is_refused_where_memory_is_short(tmp_path):
    before, data = pictures()["PNG P"].split(b"IDAT")
    (tmp_path / "a.png").write_bytes(before[:-4] + struct.pack(">I", 2**31 - 1) + b"IDAT" + data)
    with limits(), pytest.raises(ImageError, match="decoding it takes more memory than there is"):
        open_image(tmp_path / "a.png")


PEAK = """
import sys
from wbc_utils.data.images import open_image
assert open_image(sys.argv[1]).shape == (8000, 8000, 3)
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""
"""Peak memory in MiB; ``ru_maxrss`` would be that of the process that started this one, if it was larger."""


@pytest.mark.parametrize(("bits", "color"), [(8, 2), (8, 6), (16, 0)], ids=["RGB", "RGBA", "16 bits"])
def test_the_largest_image_that_is_decoded_takes_less_than_a_gibibyte(tmp_path, bits, color):
    rows = bytes(1 + 8000 * bits // 8 * {2: 3, 6: 4, 0: 1}[color])
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(rows * 500) for _ in range(16)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, bits, color, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    reply = subprocess.run([sys.executable, "-c", PEAK, tmp_path / "a.png"], capture_output=True, text=True, check=True)
    assert int(reply.stdout) < 1024
