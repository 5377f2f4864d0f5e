"""What all questions to saved models share: whom to ask about which images, reading with progress, a place to write.

A question is refused before anything is read if its answer would harm an input or has no place.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
from joblib import cpu_count

from wbc_utils.data.images import SUFFIXES
from wbc_utils.data.sources import Source, list_sources, read_source
from wbc_utils.predictions import count_reasons
from wbc_utils.staging import foreign

COUNTS = "counts.csv"
"""What every folder of answers has: the table that names the images and, perhaps, their pictures."""

SILENCE = 10.0  # seconds between two lines of progress

Say = Callable[[str], None]
Seen = TypeVar("Seen")


class InquiryError(RuntimeError):
    """Images that cannot be asked about, or an answer that cannot be written, as it was wanted."""


@dataclass(frozen=True)
class Inquiry:
    """Which model is asked about which images, and where the answer goes.

    Attributes
    ----------
    model
        Weights with their card.
    images
        A folder or a CSV file, see `wbc_utils.data.sources.list_sources`.
    out
        What to write; an earlier answer is replaced only when all is done.
    device
        ``cpu`` or ``cuda``; the GPU, if there is one, where None.
    batch_size
        Images a batch.

    Raises
    ------
    InquiryError
        If a value is not allowed.
    """

    model: Path
    images: Path
    out: Path
    _: KW_ONLY
    device: str | None = None
    batch_size: int = 1

    def __post_init__(self):
        if self.batch_size < 1:
            raise InquiryError(f"--batch-size is {self.batch_size}; allowed is 1 or more")


def each_once(images: Path, say: Say) -> list[Source]:
    """Return the images of `wbc_utils.data.sources.list_sources`, each name once, and say where rows repeat one."""
    listed = list_sources(images)
    sources = list({source.name: source for source in listed}.values())
    if len(sources) < len(listed):
        say(f"{len(listed) - len(sources)} rows of {images} name an image again: it is looked at once.")
    return sources


def look(
    sources: Sequence[Source], size: int, say: Say, see: Callable[[Source], Seen | str] = read_source
) -> Iterator[tuple[dict[int, Seen], list[str]]]:
    """Read images, at least one, and say now and then how many.

    Parameters
    ----------
    size
        Images at a time.
    see
        Returns what is seen of an image, or why it cannot be read.

    Yields
    ------
    tuple
        For some images: what is seen by row, of those that can be read; a reason each, empty for these.

    Raises
    ------
    InquiryError
        After the last images, if none can be read.
    """
    reasons: list[str] = []
    said = time.monotonic()
    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in range(0, len(sources), size):
            looks = list(pool.map(see, sources[start : start + size]))
            why = [one if isinstance(one, str) else "" for one in looks]
            yield {row: one for row, one in enumerate(looks, start) if not isinstance(one, str)}, why
            reasons += why
            if time.monotonic() - said > SILENCE:
                said = time.monotonic()
                say(f"{len(reasons)} of {len(sources)} images")
    if all(reasons):
        raise InquiryError(f"none of {len(sources)} images could be read: {count_reasons(reasons)}")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Raise InquiryError in place of an OSError: the answer cannot be written."""
    try:
        yield
    except OSError as error:
        raise InquiryError(
            f"{out} cannot be written ({error.strerror or error}); earlier results are as they were"
        ) from error


def as_csv(table: pd.DataFrame, **options: object) -> bytes:
    """Return a table as CSV; file names need not be Unicode."""
    return table.to_csv(index=False, lineterminator="\n", **options).encode("utf-8", "surrogateescape")


def require_file(out: Path, inputs: Iterable[Path]) -> None:
    """Raise InquiryError if an answer in one file would replace an input, or has no place."""
    place = out.resolve()
    if place.suffix.lower() in SUFFIXES or place in {path.resolve() for path in inputs}:
        raise InquiryError(f"--out {out} is an image or another input; give a new name that ends in .csv")
    if place.is_dir():
        raise InquiryError(f"--out {out} is a folder; give the name of a CSV file in it")
    _require_writable(place.parent)


def require_folder(inquiry: Inquiry, sources: Sequence[Source], names: Collection[str]) -> None:
    """Raise InquiryError if an answer in a folder, ``COUNTS`` in it, would replace anything but an earlier one."""
    out, images = inquiry.out.resolve(), inquiry.images.resolve()
    if not out.is_dir() and (out.exists() or out.suffix.lower() == ".csv"):
        raise InquiryError(f"--out {inquiry.out}: several files are written; give the name of a folder for them")
    if images.is_dir() and out.is_relative_to(images):
        raise InquiryError(
            f"--out {inquiry.out} lies in the folder of the images, where its pictures would be taken for images the "
            "next time; give a folder beside it"
        )
    inputs = [inquiry.model, inquiry.images, *(source.path for source in sources if source.path)]
    if inside := next((path for path in inputs if path.resolve().is_relative_to(out)), None):
        raise InquiryError(f"--out {inquiry.out} holds an input, {inside}; give another folder")
    if other := foreign(out, _ours(out, names)):
        raise InquiryError(
            f"--out {inquiry.out} holds a file that this command did not write, {other}; give a new or an empty "
            "folder, or one of earlier results as they were written"
        )
    _require_writable(out if out.is_dir() else out.parent)


def _ours(out: Path, names: Collection[str]) -> set[str]:
    """Return the files of an earlier answer, none where the table of counts is not one of ours."""
    try:
        counts = pd.read_csv(out / COUNTS, encoding_errors="surrogateescape", keep_default_na=False)
    except (OSError, ValueError):
        return set()
    return {*names, *counts.get("picture", [])} if {"image", "cells", "reason"} <= set(counts) else set()


def _require_writable(folder: Path) -> None:
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InquiryError(f"the folder {folder} does not exist or cannot be written into; choose another --out")
