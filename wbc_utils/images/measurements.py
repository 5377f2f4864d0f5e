"""What was measured on images, kept by content: one file that holds the features of every image seen so far."""

import io
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wbc_utils.manifest import write_together


class Measurement(NamedTuple):
    """The features of one image.

    Attributes
    ----------
    values
        float64, (features,); NaN where the image cannot be measured.
    ok
        Whether image and segmentation are good.
    reason
        Why not, empty if they are.
    """

    values: np.ndarray
    ok: bool
    reason: str


def read_measurements(path: Path, key: str, features: int) -> dict[str, Measurement]:
    """Read a cache; empty if there is none yet, or if it was made by other code.

    A file that is damaged or something else is reported by a warning and treated as empty; the next write replaces it.

    Parameters
    ----------
    path
        Of the ``.npz`` file.
    key
        Identifies the code that measured; entries of another key are not used.
    features
        Number of features an image.

    Returns
    -------
    dict
        Measurements by digest of the image file.
    """
    if not path.exists():
        return {}
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no npz archive")
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return {}
            digests, values, ok, reasons = (stored[name] for name in ("digests", "values", "ok", "reasons"))
        if values.shape != (len(digests), features) or not len(digests) == len(ok) == len(reasons):
            raise ValueError(f"its arrays do not fit together: {len(digests)} digests, values {values.shape}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        message = (
            f"{path} is not a readable cache of features ({error}); it is not used and all images are measured anew"
        )
        warnings.warn(message, stacklevel=3)
        return {}
    rows = zip(values, ok.tolist(), reasons.tolist(), strict=True)
    return {digest: Measurement(*row) for digest, row in zip(digests.tolist(), rows, strict=True)}


def write_measurements(path: Path, key: str, measurements: dict[str, Measurement]) -> None:
    """Write a cache so that a reader sees the old file or the new one.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; the old file is then intact.
    """
    values, ok, reasons = zip(*measurements.values(), strict=True)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        key=np.array(key),
        digests=np.array(list(measurements)),
        values=np.stack(values),
        ok=np.array(ok),
        reasons=np.array(reasons),
    )
    write_together({path: content.getvalue()})
