"""Images on disk: find them, read their size, decode them to RGB; refuse what is no image."""

import os
import re
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH

from wbc_utils.data.tables import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
"""File-name endings, lower case, of what is taken for an image."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Contents that are decoded, whatever the file is called; of Pillow's other formats some start programs."""

MAX_PIXELS = 64_000_000
"""Largest image that is decoded; a header that claims more is taken for a decompression bomb."""

_READERS = r"PIL\.\w+ImagePlugin"
_BAND = 2**20  # pixels that are converted at a time: what is copied on the way stays small


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
    tag is ignored, readable or not, as box coordinates refer to the stored pixels; only that of a TIFF file is
    followed, by Pillow itself. Other metadata that is damaged is passed over without a warning.

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
        except MemoryError as error:
            raise ImageError(path, "decoding it takes more memory than there is") from error
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
    if not os.path.isfile(path):
        raise ImageError(path, "it is a folder or a pipe" if os.path.exists(path) else "the file does not exist")
    _pass_over_metadata()
    try:
        image = Image.open(path, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(path, f"it claims more than {MAX_PIXELS} pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        empty = path.stat().st_size == 0
        raise ImageError(path, "the file has zero bytes" if empty else "the file is not an image") from error
    if max(image.width * image.height, _tile_pixels(image)) > MAX_PIXELS:
        image.close()
        raise ImageError(path, f"it claims more than {MAX_PIXELS} pixels")
    return image


def _pass_over_metadata() -> None:
    """Ignore what Pillow's readers warn of; for good, since threads share the filters."""
    if ("ignore", None, UserWarning, re.compile(_READERS), 0) not in warnings.filters:
        warnings.filterwarnings("ignore", category=UserWarning, module=_READERS)


def _tile_pixels(image: Image.Image) -> int:
    """Return the pixels of a tile of a TIFF file, which are decoded whole however small the image; 0 without tiles."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(TILEWIDTH), tags.get(TILELENGTH)
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode == "RGB":
        return np.array(image)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgb[top : top + rows] = _band_to_rgb(band, path)
    return rgb


def _band_to_rgb(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode in {"I", "I;16", "I;16L", "I;16B"}:
        values = np.array(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ImageError(path, "its grey values exceed 16 bits")
        return ((values + 128) // 257).astype(np.uint8)[..., None]
    if image.mode in {"RGBA", "LA", "PA"} or (image.mode in {"P", "L", "1"} and "transparency" in image.info):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(white, layer).convert("RGB"))
    if image.mode in {"L", "1", "P", "CMYK", "YCbCr"}:
        return np.array(image.convert("RGB"))
    raise ImageError(path, f"its pixel format {image.mode} is not supported")
