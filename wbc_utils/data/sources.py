"""Which images somebody wants looked at: all of a folder, or those that a CSV file lists."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wbc_utils.data.images import SUFFIXES, ImageError, find_images, open_image
from wbc_utils.data.reading import read_csv
from wbc_utils.data.tables import DataError

NAME_COLUMNS = ("image", "path", "ID")
"""Columns of a CSV file that may name the images; the first that is there counts."""

NOT_NAMED = "the row names no image"
NOT_FOUND = "there is no such file"
AMBIGUOUS = "several images have this name"


class Source(NamedTuple):
    """One image that is asked for.

    Attributes
    ----------
    name
        As it is written in the CSV file, or the path relative to the folder.
    path
        The file; None where there is none.
    reason
        Why there is no file, empty if there is one.
    """

    name: str
    path: Path | None
    reason: str = ""


def list_sources(place: Path) -> list[Source]:
    """Return the images under a folder at any depth, sorted, or those that a CSV file lists, in its order.

    A CSV file has a column ``image``, ``path`` or ``ID``. An entry is a path, absolute or relative to the file's
    folder; or the name, with or without its ending, of an image anywhere under that folder. An entry without a file
    keeps its place, with the reason.

    Raises
    ------
    DataError
        If there is no such folder or file, it has no images, or the file is no CSV file with one of these columns.
    """
    place = Path(place)
    if place.is_dir():
        sources = [Source(name, place / name) for name in find_images(place)]
        if not sources:
            raise DataError(
                f"the folder {place} holds no image at any depth. Looked for the endings "
                f"{', '.join(sorted(SUFFIXES))}, in upper or lower case; hidden files are left out."
            )
        return sources
    if not place.exists():
        raise DataError(f"{place} does not exist. Give a folder with images, or a CSV file that lists them.")
    if place.suffix.lower() in SUFFIXES:
        raise DataError(f"{place} is an image. Give the folder it lies in, or a CSV file that lists images.")
    return _listed(place)


def read_source(source: Source) -> np.ndarray | str:
    """Return the image, uint8 (h, w, 3), or why it cannot be read."""
    if source.path is None:
        return source.reason
    try:
        return open_image(source.path)
    except ImageError as error:
        return error.reason


def _listed(path: Path) -> list[Source]:
    names = _names(path)
    if not names:
        raise DataError(f"{path} lists no image: it has a header and no rows.")
    folder, below = path.parent, None
    sources = []
    for name in names:
        if not name:
            sources.append(Source("", None, NOT_NAMED))
        elif os.path.isfile(folder / name):
            sources.append(Source(name, folder / name))
        else:
            below = _by_name(folder) if below is None else below
            found = below.get(name, [])
            reason = {0: NOT_FOUND, 1: ""}.get(len(found), AMBIGUOUS)
            sources.append(Source(name, None if reason else folder / found[0], reason))
    return sources


def _names(path: Path) -> list[str]:
    """Return the entries of the first column that names images."""
    failures = []
    for column in NAME_COLUMNS:
        try:
            return read_csv(path, [column])[column].fillna("").tolist()
        except DataError as error:
            failures.append(error)
    wanted = f"a column {', '.join(NAME_COLUMNS[:-1])} or {NAME_COLUMNS[-1]}, separated by commas"
    raise DataError(f"{path} needs {wanted}: {failures[0]}")


def _by_name(folder: Path) -> dict[str, list[str]]:
    """Return the images under a folder by file name and by file name without its ending."""
    found: dict[str, list[str]] = {}
    for image in find_images(folder):
        for name in {Path(image).name, Path(image).stem}:
            found.setdefault(name, []).append(image)
    return found
