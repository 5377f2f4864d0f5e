"""Find and count the cells of whole images with a saved detector: list, detect, draw, write one folder."""

import json
import os
import struct
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from joblib import cpu_count
from PIL import ExifTags, Image

from wbc_utils.census import Census, OperatingPoint, rounded
from wbc_utils.data.sources import Source, list_sources, read_source
from wbc_utils.detection import predict_boxes
from wbc_utils.images.annotation import annotate
from wbc_utils.labels import in_lineage_order
from wbc_utils.manifest import write_together
from wbc_utils.models.detection import CellDetector, load
from wbc_utils.models.device import choose_device
from wbc_utils.models.postprocess import apply
from wbc_utils.predictions import count_reasons
from wbc_utils.staging import foreign, staged

BOXES, COCO, COUNTS, PICTURES = OUTPUTS = ("boxes.csv", "boxes.json", "counts.csv", "pictures")
"""What is written into the folder."""

_SILENCE = 10.0  # seconds between two lines of progress

Say = Callable[[str], None]


class CountingError(RuntimeError):
    """Cells that cannot be counted as it was asked for."""


@dataclass(frozen=True)
class Request:
    """Where to count, with which detector, how, and where to write the result.

    Attributes
    ----------
    model
        Weights with their card, from `wbc_utils.models.detector_weights.save`.
    images
        A folder or a CSV file, see `wbc_utils.data.sources.list_sources`.
    out
        Folder to write ``OUTPUTS`` into, made if missing; earlier ones are replaced only when all is done.
    thresholds
        Least score by class, ``""`` for all that are not named; those of the card where there is none.
    nms_iou
        See `wbc_utils.models.postprocess.suppress`; that of the card where None.
    pictures
        Whether annotated images are written.
    device
        ``cpu`` or ``cuda``; the GPU, if there is one, where None.
    batch_size
        Images a batch.

    Raises
    ------
    CountingError
        If a value is not allowed.
    """

    model: Path
    images: Path
    out: Path
    thresholds: Mapping[str, float] = field(default_factory=dict)
    nms_iou: float | None = None
    pictures: bool = True
    device: str | None = None
    batch_size: int = 4

    def __post_init__(self):
        shares = {f"--threshold {name}".strip(): value for name, value in self.thresholds.items()}
        for option, value in (shares | {"--nms-iou": self.nms_iou}).items():
            if value is not None and not 0 <= value <= 1:
                raise CountingError(f"{option} is {value}; allowed is 0 to 1")
        if self.batch_size < 1:
            raise CountingError(f"--batch-size is {self.batch_size}; allowed is 1 or more")


def parse_thresholds(words: Sequence[str]) -> dict[str, float]:
    """Return thresholds by class from words such as ``WBC=0.7``, or ``0.5`` for all classes that are not named.

    Raises
    ------
    CountingError
        If one is no number, or a class is named twice.
    """
    thresholds: dict[str, float] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        if name in thresholds:
            raise CountingError(f"--threshold is given twice for {name or 'all classes'}; give it once")
        try:
            thresholds[name] = float(value)
        except ValueError:
            raise CountingError(f"--threshold {word!r} is neither 0.5 nor like WBC=0.7; give one of the two") from None
    return thresholds


def count_cells(request: Request, say: Say = lambda line: None) -> Census:
    """Find the cells of images and write the folder that was asked for.

    Parameters
    ----------
    request
        What and how.
    say
        Called with one line at a time: repeated names, progress, and at the end the summary.

    Raises
    ------
    CountingError
        If none of the images can be read, a threshold is for an unknown class, or the result cannot be written where
        it was asked for.
    wbc_utils.data.tables.DataError
        If there are no images.
    wbc_utils.models.ModelError
        If the weights cannot be used, or the device not.
    """
    device = choose_device(request.device)
    listed = list_sources(request.images)
    sources = list({source.name: source for source in listed}.values())
    _require_harmless(request, sources)
    model, card = load(request.model, device)
    point = OperatingPoint.of(card, _by_class(request.thresholds, model.classes), request.nms_iou)
    if len(sources) < len(listed):
        say(f"{len(listed) - len(sources)} rows of {request.images} name an image again: it is looked at once.")
    try:
        with staged(request.out, OUTPUTS) as stage:
            found = find_cells(model, sources, point, request, stage, say)
            coco = found.coco(f"Found by {request.model.name}: {point}. Boxes refer to the pixels as they are stored.")
            contents = {BOXES: _csv(found.boxes), COCO: json.dumps(coco, indent=1), COUNTS: _csv(found.counts())}
            write_together({stage / name: content for name, content in contents.items()})
    except OSError as error:
        raise CountingError(
            f"{request.out} cannot be written ({error.strerror or error}); earlier results are as they were"
        ) from error
    say(found.summary(card, point))
    return found


def find_cells(
    model: CellDetector, sources: Sequence[Source], point: OperatingPoint, request: Request, folder: Path, say: Say
) -> Census:
    """Ask a detector about image files; one that cannot be read is passed over with its reason.

    Parameters
    ----------
    model
        From `wbc_utils.models.detection.load`.
    sources
        At least one image, each name once.
    point
        What counts.
    request
        How to ask.
    folder
        Where the pictures are drawn, if they are asked for.
    say
        Called with a line of progress now and then.

    Raises
    ------
    CountingError
        If none of the images can be read.
    OSError
        If a picture cannot be written.
    wbc_utils.models.ModelError
        See `wbc_utils.detection.predict_boxes`.
    """
    names = [source.name for source in sources]
    pictures, sizes = _picture_names(names), np.zeros((len(sources), 2), int)
    reasons: list[str] = []
    tables, said = [], time.monotonic()
    with ThreadPoolExecutor(cpu_count()) as pool:
        for start in range(0, len(sources), request.batch_size):
            looks = list(pool.map(read_source, sources[start : start + request.batch_size]))
            reasons += [look if isinstance(look, str) else "" for look in looks]
            seen = {row: look for row, look in enumerate(looks, start) if not isinstance(look, str)}
            if seen:
                raw = predict_boxes(model, {names[row]: look for row, look in seen.items()}, batch_size=len(seen))
                boxes = rounded(apply(raw, point.thresholds, point.nms_iou, point.agnostic))
                tables.append(boxes)
                sizes[list(seen)] = [look.shape[1::-1] for look in seen.values()]
                if request.pictures:
                    own = [boxes[boxes["image"] == names[row]] for row in seen]
                    list(pool.map(_draw, seen.values(), own, [folder / pictures[row] for row in seen]))
            if time.monotonic() - said > _SILENCE:
                said = time.monotonic()
                say(f"{len(reasons)} of {len(sources)} images")
    if not tables:
        raise CountingError(f"none of {len(sources)} images could be read: {count_reasons(reasons)}")
    drawn = ["" if reason else picture for picture, reason in zip(pictures, reasons, strict=True)]
    turned = [not reason and _turned(source.path) for source, reason in zip(sources, reasons, strict=True)]
    return Census(
        names=names, classes=in_lineage_order(model.classes), sizes=sizes, reasons=reasons,
        boxes=pd.concat(tables, ignore_index=True), pictures=drawn if request.pictures else None,
        turned=np.array(turned),
    )  # fmt: skip


def _by_class(thresholds: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """Return the thresholds of named classes, and of all others if there is one for all."""
    unknown = sorted(set(thresholds) - {"", *classes})
    if unknown:
        raise CountingError(f"--threshold {unknown[0]}=…: the detector finds {', '.join(classes)}; name one of these")
    every = dict.fromkeys(classes, thresholds[""]) if "" in thresholds else {}
    return every | {name: value for name, value in thresholds.items() if name}


def _picture_names(names: Sequence[str]) -> list[str]:
    """Return where the annotated images go: as the images under ``pictures``, with ``.png`` added, each another one."""
    taken: dict[str, None] = {}
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        stem = PurePosixPath(PICTURES, *(part.replace(":", "") for part in parts if part.strip("/.")))
        number, picture = 1, f"{stem}.png"
        while picture in taken:
            number += 1
            picture = f"{stem}-{number}.png"
        taken[picture] = None
    return list(taken)


def _draw(image: np.ndarray, boxes: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    annotate(image, boxes).save(path)


def _turned(path: Path) -> bool:
    """Return whether an orientation tag asks viewers to turn an image that is decoded as it is stored."""
    with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
        try:  # TIFF files are turned where they are decoded
            return image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        except (SyntaxError, ValueError, OSError, struct.error):  # a damaged tag asks for nothing
            return False


def _csv(table: pd.DataFrame) -> bytes:
    """Return a table as CSV; file names need not be Unicode."""
    return table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")


def _require_harmless(request: Request, sources: Sequence[Source]) -> None:
    """Raise CountingError if the result would replace anything but an earlier one, or has no place."""
    out, images = request.out.resolve(), request.images.resolve()
    if not out.is_dir() and (out.exists() or out.suffix.lower() == ".csv"):
        raise CountingError(f"--out {request.out}: a detector writes several files; give the name of a folder for them")
    if images.is_dir() and out.is_relative_to(images):
        raise CountingError(
            f"--out {request.out} lies in the folder of the images, where its pictures would be taken for images the "
            "next time; give a folder beside it"
        )
    inputs = [request.model, request.images, *(source.path for source in sources if source.path)]
    if inside := next((path for path in inputs if path.resolve().is_relative_to(out)), None):
        raise CountingError(f"--out {request.out} holds an input, {inside}; give another folder")
    if other := foreign(out, _ours(out)):
        raise CountingError(
            f"--out {request.out} holds a file that this command did not write, {other}; give a new or an empty "
            "folder, or one of earlier results as they were written"
        )
    place = out if out.is_dir() else out.parent
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise CountingError(f"the folder {place} does not exist or cannot be written into; choose another --out")


def _ours(out: Path) -> set[str]:
    """Return the files of earlier results, none where the table of counts is not one of ours."""
    try:
        counts = pd.read_csv(out / COUNTS, encoding_errors="surrogateescape", keep_default_na=False)
    except (OSError, ValueError):
        return set()
    return {*OUTPUTS, *counts.get("picture", [])} if {"image", "cells", "reason"} <= set(counts) else set()
