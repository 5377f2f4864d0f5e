"""Find and name the white cells of image files with a saved two-stage pipeline; write one folder."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wbc_utils import counting
from wbc_utils.census import Census, OperatingPoint
from wbc_utils.counting import COUNTS, PICTURES, Say
from wbc_utils.data.sources import Source, list_sources
from wbc_utils.labels import in_lineage_order
from wbc_utils.manifest import write_together
from wbc_utils.models.device import choose_device
from wbc_utils.pipeline_files import load
from wbc_utils.predictions import NO_DEVICE, count_reasons, file_name
from wbc_utils.staging import foreign, staged

SUBMISSION, BOXES = "submission.csv", "boxes.json"
OUTPUTS = (SUBMISSION, BOXES, COUNTS, PICTURES)
"""What is written: boxes in the challenge's format and in COCO's, numbers by image, annotated images."""


class NamingError(RuntimeError):
    """Cells that cannot be named as it was asked for."""


@dataclass(frozen=True)
class Request:
    """Which images, by which pipeline, how, and where to write the result.

    Attributes
    ----------
    model
        Folder that `wbc_utils.pipeline_files.save` wrote.
    images
        A folder or a CSV file, see `wbc_utils.data.sources.list_sources`.
    out
        Folder to write `OUTPUTS` into, made if missing; earlier ones are replaced only when all is done.
    pictures
        Whether annotated images are written.
    device
        ``cpu`` or ``cuda``; the GPU, if there is one, where None.
    batch_size
        Images a batch.

    Raises
    ------
    NamingError
        If the batch size is not positive.
    """

    model: Path
    images: Path
    out: Path
    pictures: bool = True
    device: str | None = None
    batch_size: int = 8

    def __post_init__(self):
        if self.batch_size < 1:
            raise NamingError(f"--batch-size is {self.batch_size}; allowed is 1 or more")


def name_cells(request: Request, say: Say = lambda line: None) -> Census:
    """Find and name the white cells of images and write the folder that was asked for.

    Parameters
    ----------
    request
        What and how.
    say
        Called with one line at a time: progress, and at the end the summary.

    Raises
    ------
    NamingError
        If the result cannot be written where it was asked for.
    wbc_utils.counting.CountingError
        If none of the images can be read.
    wbc_utils.data.tables.DataError
        If there are no images.
    wbc_utils.models.ModelError
        If the pipeline or the device cannot be used.
    """
    device = choose_device(request.device)
    sources = list({source.name: source for source in list_sources(request.images)}.values())
    _require_place(request)
    pipeline, _ = load(request.model, device)
    everything = OperatingPoint(dict.fromkeys(pipeline.classes, 0.0), 1.0, False, {})  # the pipeline decides itself
    asked = counting.Request(**vars(request))
    try:
        with staged(request.out, OUTPUTS) as stage:
            found = counting.find_cells(pipeline, sources, everything, asked, stage, say)
            contents = {
                SUBMISSION: _csv(submission(found.boxes)),
                BOXES: json.dumps(found.coco(f"Found by the pipeline {request.model.name}."), indent=1),
                COUNTS: _csv(found.counts()),
            }
            write_together({stage / name: content for name, content in contents.items()})
    except OSError as error:
        raise NamingError(
            f"{request.out} cannot be written ({error.strerror}); earlier results are as they were"
        ) from error
    say(summary(found, sources))
    return found


def submission(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return boxes in the format of the CytologIA challenge: ``NAME``, ``x1``, ``y1``, ``x2``, ``y2``, ``class``.

    Parameters
    ----------
    boxes
        ``image``, ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px; the name is the last part of the image's.
    """
    corners = dict(zip(("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), strict=True))
    named = {"NAME": [file_name(name) for name in boxes["image"]]}
    named |= {column: boxes[side].round().astype(int) for column, side in corners.items()}
    return pd.DataFrame({**named, "class": boxes["class"]})


def summary(found: Census, sources: Sequence[Source]) -> str:
    """Return how many cells of which types were found in how many images, and what the pipeline is not."""
    counts, read = found.counts(), int(found.readable.sum())
    others = f" ({count_reasons(found.reasons)})" if read < len(sources) else ""
    numbers = ", ".join(f"{code} {counts[code].sum()}" for code in in_lineage_order(found.classes))
    none = int((counts["cells"] == 0).sum())
    return (
        f"{counts['cells'].sum()} white cells in {read} of {len(sources)} images{others}: {numbers}. No white cell in "
        f"{none} of them. {NO_DEVICE}"
    )


def _csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV; file names need not be Unicode."""
    return table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")


def _require_place(request: Request) -> None:
    """Raise NamingError if the result would replace anything but an earlier one, or has no place."""
    out, images = request.out.resolve(), request.images.resolve()
    if out.exists() and not out.is_dir():
        raise NamingError(f"--out {request.out} is a file; give the name of a folder")
    if (images.is_dir() and out.is_relative_to(images)) or images.is_relative_to(out):
        raise NamingError(f"--out {request.out} and --images {request.images} lie in one another; give a folder beside")
    if other := foreign(out, _ours(out)):
        raise NamingError(
            f"--out {request.out} holds a file that this command did not write, {other}; give a new or an empty folder"
        )
    place = out if out.is_dir() else out.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise NamingError(f"the folder {place} does not exist or cannot be written into; choose another --out")


def _ours(out: Path) -> set[str]:
    """Return the files of earlier results, none where there is no submission."""
    if not (out / SUBMISSION).is_file():
        return set()
    try:
        counts = pd.read_csv(out / COUNTS, encoding_errors="surrogateescape", keep_default_na=False)
    except (OSError, ValueError):
        return set()
    return {*OUTPUTS, *counts.get("picture", [])}
