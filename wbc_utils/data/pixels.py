"""Cell images decoded once: a uint8 array on disk that training maps into memory, instead of JPEG files every epoch."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wbc_utils import repro
from wbc_utils.data.framing import frame
from wbc_utils.data.images import ImageError, open_image
from wbc_utils.images.isolate import isolate

_BATCH = 512  # images decoded between two lines of progress


@dataclass(frozen=True, eq=False)
class Pixels:
    """Square images in memory or mapped from disk.

    Attributes
    ----------
    images
        uint8 (n, side, side, 3) RGB; black where an image could not be read.
    reasons
        Why an image could not be read, empty where it could, (n,).
    digest
        Of the files' contents, the framing and the libraries: equal digests, equal pixels.
    """

    images: np.ndarray
    reasons: np.ndarray
    digest: str

    @property
    def readable(self) -> np.ndarray:
        """Which images could be read, (n,) bool."""
        return self.reasons == ""


def load_pixels(
    files: Iterable[Path | str], side: int, field_px: float, folder: Path, isolated: bool = False
) -> Pixels:
    """Decode image files to squares of one size, or map those decoded before.

    All files are read each time, which tells whether one changed, but decoded only once. An unreadable file is a black
    image with its reason: it is found here, before any training starts.

    Parameters
    ----------
    files
        Image files, each with one cell in the middle.
    side
        Side of the squares in pixels.
    field_px
        Side of the field that is shown, in pixels of the files; see `wbc_utils.data.framing.frame`.
    folder
        Where the arrays are kept, one file for each combination of contents, side, field and code. May be deleted.
    isolated
        Show the cell alone, see `wbc_utils.images.isolate.isolate`.

    Raises
    ------
    wbc_utils.data.tables.DataError
        If the field is not a positive number.
    """
    files = [Path(path) for path in files]
    digest = _digest(files, side, field_px, isolated)
    array, note = folder / f"{digest[:16]}.npy", folder / f"{digest[:16]}.json"
    if not (array.is_file() and note.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        _decode(files, side, field_px, isolated, array, note)
    images = np.load(array, mmap_mode="c")
    return Pixels(images, np.array(json.loads(note.read_text(encoding="utf-8")), dtype=object), digest)


def _digest(files: list[Path], side: int, field_px: float, isolated: bool) -> str:
    versions = repro.versions()
    code = repro.code_digest(__name__)
    head = f"{side} {field_px} {isolated} {code} {versions['pillow']} {versions['numpy']}".encode()
    return repro.digest_bytes(head, *map(_file_digest, files))


def _file_digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:  # absent, a folder, not allowed: each has its reason
        return type(error).__name__.encode()


def _decode(files: list[Path], side: int, field_px: float, isolated: bool, target: Path, note: Path) -> None:
    """Write the reasons, and the array under its name only when all is whole."""
    partial = target.with_suffix(".partial")
    reasons: list[str] = []

    def square(path: Path) -> np.ndarray | str:
        try:
            image = open_image(path)
            return frame(isolate(image) if isolated else image, side, field_px)
        except ImageError as error:
            return error.reason

    header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), side, side, 3)}
    unreadable = bytes(side * side * 3)
    with partial.open("wb") as file, ThreadPoolExecutor(max_workers=4) as pool:
        np.lib.format.write_array_header_1_0(file, header)  # written, not mapped: a full disk is an error, not a SIGBUS
        for start in range(0, len(files), _BATCH):
            for found in pool.map(square, files[start : start + _BATCH]):
                readable = isinstance(found, np.ndarray)
                file.write(found.tobytes() if readable else unreadable)
                reasons.append("" if readable else found)
            repro.progress(f"{len(reasons)} of {len(files)} images decoded")
    note.write_text(json.dumps(reasons), encoding="utf-8")
    partial.replace(target)
