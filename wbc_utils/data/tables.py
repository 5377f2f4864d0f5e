"""What every reader returns: a tidy table, the images it speaks of, and an audit in which nothing is silent.

Paths are relative to the data set's folder, in POSIX form: ``path`` of a cell and each of a patient's ``paths`` equal
``image`` in the table of images, the key of everything that follows.

split
    One of ``SPLITS``; ``all``, where none is published, for the whole data set alone.
class, xmin, ymin, xmax, ymax, source_row
    Of a box: its class, its borders in pixels from the upper left corner, ``xmax`` and ``ymax`` exclusive, and its row
    in the file it comes from.
fine_label, label
    Of a cell: the class that is counted, split and learned, a code of `wbc_utils.labels`, and the coarser class that
    the data set gives, the same where there is none. Of a patient ``label`` is 0 or 1, missing in the test split.
group
    Of a cell: its patient, ``""`` where unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

BOX_COLUMNS = ("image", "class", "xmin", "ymin", "xmax", "ymax", "split", "source_row")
CELL_COLUMNS = ("path", "label", "fine_label", "group", "split")
PATIENT_COLUMNS = ("id", "label", "age", "sex", "lymphocyte_count", "split", "paths")
IMAGE_COLUMNS = ("image", "path", "split", "width", "height")
SPLITS = ("all", "train", "validation", "test")
AUDIT_COLUMNS = ("dataset", "image", "row", "reason", "decision")


class DataError(ValueError):
    """Data that cannot be used; the message says what was found, what is allowed and what to do."""


def listed(words: Sequence[str]) -> str:
    """Join words for a message: the first twelve, each cut to sixty characters."""
    shown = [word if len(word) <= 60 else f"{word[:59]}…" for word in words[:12]]
    return ", ".join([*shown, "…"] if len(words) > len(shown) else shown)


def _writable(text: str) -> str:
    """Return a text with the bytes of a file name that are no UTF-8 spelled out, as a file of text can hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


@dataclass
class Audit:
    """A growing list of findings; one row an object that was repaired, dropped or kept in spite of a doubt."""

    dataset: str
    rows: list[tuple] = field(default_factory=list)

    def add(self, image: str, row: int | None, reason: str, decision: str) -> None:
        """Add one finding.

        Parameters
        ----------
        image
            Path of the image relative to the data set's folder, or the patient.
        row
            Row of the source table (0-based), None where the finding concerns the whole image.
        reason, decision
            Short sentences; equal findings use equal words so that they can be counted.
        """
        self.rows.append((self.dataset, _writable(image), row, _writable(reason), decision))

    def frame(self) -> pd.DataFrame:
        """Return the findings as a table with ``AUDIT_COLUMNS``."""
        return pd.DataFrame(self.rows, columns=list(AUDIT_COLUMNS)).astype({"row": "Int64"})


@dataclass(frozen=True)
class Dataset:
    """A data set read into memory; images stay on disk until someone opens them.

    Attributes
    ----------
    name
        Key in the registry.
    table
        ``boxes``, ``cells`` or ``patients`` with the columns named in this module.
    images
        One row an image: ``image`` (relative path, the key), ``path`` (absolute), ``split``, ``width``, ``height``
        in pixels.
    audit
        Findings with ``AUDIT_COLUMNS``.
    """

    name: str
    table: pd.DataFrame
    images: pd.DataFrame
    audit: pd.DataFrame
