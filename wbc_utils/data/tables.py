"""What every reader returns: a tidy table, the images it speaks of, and an audit in which nothing is silent."""

from dataclasses import dataclass, field

import pandas as pd

BOX_COLUMNS = ("image", "class", "xmin", "ymin", "xmax", "ymax", "split", "source_row")
CELL_COLUMNS = ("path", "label", "fine_label", "group", "split")
PATIENT_COLUMNS = ("id", "label", "age", "sex", "lymphocyte_count", "split", "paths")
IMAGE_COLUMNS = ("image", "path", "split", "width", "height")
AUDIT_COLUMNS = ("dataset", "image", "row", "reason", "decision")


class DataError(ValueError):
    """Data that cannot be used; the message says what was found, what is allowed and what to do."""


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
        self.rows.append((self.dataset, image, row, reason, decision))

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
