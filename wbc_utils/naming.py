"""Find and name the white cells of image files with a saved two-stage pipeline; write one folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from wbc_utils.census import Census, OperatingPoint
from wbc_utils.counting import PICTURES, find_cells
from wbc_utils.inquiry import COUNTS, Inquiry, Say, as_csv, each_once, require_folder, writing
from wbc_utils.labels import in_lineage_order
from wbc_utils.manifest import Metric, write_together
from wbc_utils.models.device import choose_device
from wbc_utils.pipeline_files import load
from wbc_utils.predictions import NO_DEVICE, abroad, count_reasons, file_name, quality
from wbc_utils.staging import staged

SUBMISSION, BOXES = "submission.csv", "boxes.json"
OUTPUTS = (SUBMISSION, BOXES, COUNTS, PICTURES)
"""What is written: boxes in the challenge's format and in COCO's, numbers by image, annotated images."""


@dataclass(frozen=True)
class Request(Inquiry):
    """Which images, by which pipeline, how, and where to write the result.

    Attributes
    ----------
    model
        Folder that `wbc_utils.pipeline_files.save` wrote.
    out
        Folder to write `OUTPUTS` into, made if missing; earlier ones are replaced only when all is done.
    pictures
        Whether annotated images are written.
    images, device, batch_size
        See `wbc_utils.inquiry.Inquiry`.
    """

    pictures: bool = True
    batch_size: int = field(default=8, kw_only=True)


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
    wbc_utils.inquiry.InquiryError
        If none of the images can be read, or the result cannot be written where it was asked for.
    wbc_utils.data.tables.DataError
        If there are no images.
    wbc_utils.models.ModelError
        If the pipeline or the device cannot be used.
    """
    device = choose_device(request.device)
    sources = each_once(request.images, say)
    require_folder(request, sources, OUTPUTS)
    pipeline, cards = load(request.model, device)
    everything = OperatingPoint(dict.fromkeys(pipeline.classes, 0.0), 1.0, False, {})  # the pipeline decides itself
    with writing(request.out), staged(request.out, OUTPUTS) as stage:
        found = find_cells(pipeline, sources, everything, request.batch_size, stage if request.pictures else None, say)
        contents = {
            SUBMISSION: as_csv(submission(found.boxes)),
            BOXES: json.dumps(found.coco(f"Found by the pipeline {request.model.name}."), indent=1),
            COUNTS: as_csv(found.counts()),
        }
        write_together({stage / name: content for name, content in contents.items()})
    say(summary(found, next(iter(cards.values())).metrics))  # the pipeline's, on the card of each network
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


def summary(found: Census, metrics: Mapping[str, Metric]) -> str:
    """Return how many cells of which types were found in how many images, how good the pipeline is, and what not."""
    counts, read = found.counts(), int(found.readable.sum())
    others = f" ({count_reasons(found.reasons)})" if read < len(found.names) else ""
    numbers = ", ".join(f"{code} {counts[code].sum()}" for code in in_lineage_order(found.classes))
    none = int((counts["cells"] == 0).sum())
    return (
        f"{counts['cells'].sum()} white cells in {read} of {len(found.names)} images{others}: {numbers}. "
        f"No white cell in {none} of them. Pipeline: {quality(metrics)}. {abroad(metrics)} {NO_DEVICE}"
    )
