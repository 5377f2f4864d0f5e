"""What all readers share: CSV files with needed columns, the table of images, no empty split, findings on rows."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from wbc_utils.data.images import ImageError, image_sizes
from wbc_utils.data.tables import IMAGE_COLUMNS, Audit, DataError, listed

MAX_COLUMNS = 1000
"""Widest CSV file that is read; a row takes memory for every column, however short it is."""

_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # how Python spells such bytes of a file name


def read_csv(path: Path, needed: Sequence[str], advice: str = "") -> pd.DataFrame:
    """Read a CSV file as text: an empty field is missing, nothing else is; rows may end in surplus commas.

    Parameters
    ----------
    advice
        What to do where the file is absent.

    Raises
    ------
    DataError
        If the file is absent or not readable as CSV, lacks a needed column or has it twice, or has more than
        ``MAX_COLUMNS``.
    """
    wanted = ", ".join(needed)
    if not os.path.isfile(path):
        found = "is a folder or a pipe, not a file" if os.path.exists(path) else "is missing"
        raise DataError(f"{path} {found}. It must have the columns {wanted}. {advice}".strip())
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable CSV file ({error}). It must have the columns {wanted}.") from error
    header = [name.strip() for name in rows[0]] if rows else []
    if wrong := [column for column in needed if header.count(column) != 1]:
        raise DataError(
            f"{path} must have each of the columns {wanted} once. Found: {listed(header) or 'nothing'}. "
            f"To be put right: {', '.join(wrong)}."
        )
    width = 1 + max(position for position, name in enumerate(header) if name)
    if width > MAX_COLUMNS:
        raise DataError(f"{path} has {width} columns, at most {MAX_COLUMNS} are read. Leave out what is not needed.")
    filled = [[field.strip() or None for field in row[:width]] + [None] * (width - len(row)) for row in rows[1:]]
    table = pd.DataFrame(filled, columns=header[:width], dtype=object)
    return table.loc[:, [bool(name) for name in table.columns]]


def read_image_table(folder: Path, splits: Mapping[str, str], audit: Audit) -> pd.DataFrame:
    """Read the header of each image.

    Parameters
    ----------
    folder
        The data set's folder.
    splits
        Split of each image, by its path relative to the folder.
    audit
        Receives a row for each image that cannot be read or written down; it is left out of the result.

    Returns
    -------
    pandas.DataFrame
        ``IMAGE_COLUMNS``, one row an image.
    """
    rows = []
    for image, size in zip(splits, image_sizes([folder / image for image in splits]), strict=True):
        if isinstance(size, ImageError):
            audit.add(image, None, f"image cannot be read: {size.reason}", "dropped")
        elif _NOT_UTF8.search(image):
            audit.add(image, None, "image with a name that is not UTF-8", "dropped: rename it")
        else:
            rows.append((image, str(folder / image), splits[image], *size))
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS)).astype({"width": "int64", "height": "int64"})


def require_splits(name: str, folder: Path, found: Iterable[str], expected: Iterable[str], audit: Audit) -> None:
    """Raise DataError, with the findings counted, if one of the expected splits has nothing in it."""
    empty = sorted(set(expected) - set(found))
    if empty:
        counted = Counter(reason for _, _, _, reason, _ in audit.rows).most_common()
        reasons = listed([f"{count} × {reason}" for reason, count in counted]) or "no image was found"
        raise DataError(
            f"{name}: the split(s) {listed(empty)} of {folder} have no usable image ({reasons}). Look at the folder, "
            f"or fetch the data set again into another root: wbc data fetch {name}"
        )


def audit_rows(audit: Audit, rows: pd.DataFrame, reason: str, decision: str) -> None:
    """Add the same finding for each row of a table with ``image`` and ``source_row``."""
    for image, row in zip(rows["image"], rows["source_row"], strict=True):
        audit.add(str(image), int(row), reason, decision)
