"""Images on disk: find them, read their size, decode them to RGB; refuse what is no image."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from wbc_utils.data.tables import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
"""File-name endings, lower case, of what is taken for an image."""

MAX_PIXELS = 64_000_000
"""Largest image that is decoded; a header that claims more is taken for a decompression bomb."""


class ImageError(DataError):
    """An image that cannot be used.

    Attributes
    ----------
    path
        The file.
    reason
        Why, in words that are equal for equal causes.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used as an image: {reason}. Replace the file or remove it.")
        self.path = path
        self.reason = reason


def open_image(path: Path) -> np.ndarray:
    """Decode an image.

    Greyscale is repeated in the three channels; 16-bit greyscale is scaled from its full range 0–65535; colour tables
    are resolved; transparent pixels are laid over white, the background of a bright-field image. The orientation
    tag is ignored, as box coordinates refer to the stored pixels.

    Returns
    -------
    numpy.ndarray
        ``uint8``, height × width × 3, RGB.

    Raises
    ------
    ImageError
        If the file is empty, no image, cut off, of an unknown pixel format, or claims more than ``MAX_PIXELS``.
    """
    path = Path(path)
    with _header(path) as image:
        try:
            image.load()
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise ImageError(path, "the image data are truncated or damaged") from error
        return _to_rgb(image, path)


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height in pixels; only the header is read.

    Raises
    ------
    ImageError
        If the file is empty, no image, or claims more than ``MAX_PIXELS``.
    """
    with _header(Path(path)) as image:
        return image.size


def image_sizes(paths: Iterable[Path]) -> list[tuple[int, int] | ImageError]:
    """Return the size of each image in order, or the error in its place; headers are read in threads."""

    def size_or_error(path: Path) -> tuple[int, int] | ImageError:
        try:
            return image_size(path)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(max_workers=4) as pool:
        return list(pool.map(size_or_error, paths, chunksize=64))


def find_images(folder: Path) -> list[str]:
    """Return the images under a folder at any depth: paths relative to it, POSIX form, sorted; hidden files left out.

    An absent folder has none.
    """
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:
                found.append(os.path.relpath(os.path.join(parent, name), folder))
    return sorted(Path(name).as_posix() for name in found)


def _header(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
    except FileNotFoundError as error:
        raise ImageError(path, "the file does not exist") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(path, f"it claims more than {MAX_PIXELS} pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        empty = path.is_file() and path.stat().st_size == 0
        raise ImageError(path, "the file has zero bytes" if empty else "the file is not an image") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise ImageError(path, f"it claims more than {MAX_PIXELS} pixels")
    return image


def _to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode == "RGB":
        return np.array(image)
    if image.mode in {"I", "I;16", "I;16L", "I;16B"}:
        values = np.array(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(path, "its grey values exceed 16 bits")
        grey = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in {"RGBA", "LA", "PA"} or (image.mode in {"P", "L", "1"} and "transparency" in image.info):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(white, layer).convert("RGB"))
    if image.mode in {"L", "1", "P", "CMYK", "YCbCr"}:
        return np.array(image.convert("RGB"))
    raise ImageError(path, f"its pixel format {image.mode} is not supported")
