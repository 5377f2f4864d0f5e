"""Find and count the cells of whole images with a saved detector: list, detect, draw, write one folder."""

import json
import struct
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from joblib import cpu_count
from PIL import ExifTags, Image

from wbc_utils.census import Census, OperatingPoint, rounded
from wbc_utils.data.sources import Source
from wbc_utils.detection import predict_boxes
from wbc_utils.images.annotation import annotate
from wbc_utils.inquiry import COUNTS, Inquiry, InquiryError, Say, as_csv, each_once, look, require_folder, writing
from wbc_utils.labels import in_lineage_order
from wbc_utils.manifest import write_together
from wbc_utils.models.detection import CellDetector, load
from wbc_utils.models.device import choose_device
from wbc_utils.models.postprocess import apply
from wbc_utils.staging import staged

BOXES, COCO, PICTURES = "boxes.csv", "boxes.json", "pictures"
OUTPUTS = (BOXES, COCO, COUNTS, PICTURES)
"""What is written into the folder."""


@dataclass(frozen=True)
class Request(Inquiry):
    """Where to count, with which detector, how, and where to write the result.

    Attributes
    ----------
    model
        Weights with their card, from `wbc_utils.models.detector_weights.save`.
    out
        Folder to write ``OUTPUTS`` into, made if missing; earlier ones are replaced only when all is done.
    thresholds
        Least score by class, ``""`` for all that are not named; those of the card where there is none.
    nms_iou
        See `wbc_utils.models.postprocess.suppress`; that of the card where None.
    pictures
        Whether annotated images are written.
    images, device, batch_size
        See `wbc_utils.inquiry.Inquiry`.

    Raises
    ------
    InquiryError
        If a value is not allowed.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    nms_iou: float | None = None
    pictures: bool = True
    batch_size: int = field(default=4, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        shares = {f"--threshold {name}".strip(): value for name, value in self.thresholds.items()}
        for option, value in (shares | {"--nms-iou": self.nms_iou}).items():
            if value is not None and not 0 <= value <= 1:
                raise InquiryError(f"{option} is {value}; allowed is 0 to 1")


def parse_thresholds(words: Sequence[str]) -> dict[str, float]:
    """Return thresholds by class from words such as ``WBC=0.7``, or ``0.5`` for all classes that are not named.

    Raises
    ------
    InquiryError
        If one is no number, or a class is named twice.
    """
    thresholds: dict[str, float] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        if name in thresholds:
            raise InquiryError(f"--threshold is given twice for {name or 'all classes'}; give it once")
        try:
            thresholds[name] = float(value)
        except ValueError:
            raise InquiryError(f"--threshold {word!r} is neither 0.5 nor like WBC=0.7; give one of the two") from None
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
    InquiryError
        If none of the images can be read, a threshold is for an unknown class, or the result cannot be written where
        it was asked for.
    wbc_utils.data.tables.DataError
        If there are no images.
    wbc_utils.models.ModelError
        If the weights cannot be used, or the device not.
    """
    device = choose_device(request.device)
    sources = each_once(request.images, say)
    require_folder(request, sources, OUTPUTS)
    model, card = load(request.model, device)
    point = OperatingPoint.of(card, _by_class(request.thresholds, model.classes), request.nms_iou)
    with writing(request.out), staged(request.out, OUTPUTS) as stage:
        found = find_cells(model, sources, point, request.batch_size, stage if request.pictures else None, say)
        coco = found.coco(f"Found by {request.model.name}: {point}. Boxes refer to the pixels as they are stored.")
        contents = {BOXES: as_csv(found.boxes), COCO: json.dumps(coco, indent=1), COUNTS: as_csv(found.counts())}
        write_together({stage / name: content for name, content in contents.items()})
    say(found.summary(card, point))
    return found


def find_cells(
    model: CellDetector, sources: list[Source], point: OperatingPoint, batch_size: int, folder: Path | None, say: Say
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
    batch_size
        Images a batch.
    folder
        Where annotated images are written; nowhere if None.
    say
        Called with a line of progress now and then.

    Raises
    ------
    InquiryError
        If none of the images can be read.
    OSError
        If a picture cannot be written.
    wbc_utils.models.ModelError
        See `wbc_utils.detection.predict_boxes`.
    """
    names = [source.name for source in sources]
    pictures, sizes = _picture_names(names), np.zeros((len(sources), 2), int)
    reasons, tables = [], []
    with ThreadPoolExecutor(cpu_count()) as pool:
        for seen, why in look(sources, batch_size, say):
            reasons += why
            if not seen:
                continue
            raw = predict_boxes(model, {names[row]: image for row, image in seen.items()}, batch_size=len(seen))
            boxes = rounded(apply(raw, point.thresholds, point.nms_iou, point.agnostic))
            tables.append(boxes)
            sizes[list(seen)] = [image.shape[1::-1] for image in seen.values()]
            if folder:
                own = [boxes[boxes["image"] == names[row]] for row in seen]
                list(pool.map(_draw, seen.values(), own, [folder / pictures[row] for row in seen]))
    drawn = ["" if reason else picture for picture, reason in zip(pictures, reasons, strict=True)]
    turned = [not reason and _turned(source.path) for source, reason in zip(sources, reasons, strict=True)]
    return Census(
        names=names, classes=in_lineage_order(model.classes), sizes=sizes, reasons=reasons,
        boxes=pd.concat(tables, ignore_index=True), pictures=drawn if folder else None,
        turned=np.array(turned),
    )  # fmt: skip


def _by_class(thresholds: Mapping[str, float], classes: Sequence[str]) -> dict[str, float]:
    """Return the thresholds of named classes, and of all others if there is one for all."""
    unknown = sorted(set(thresholds) - {"", *classes})
    if unknown:
        raise InquiryError(f"--threshold {unknown[0]}=…: the detector finds {', '.join(classes)}; name one of these")
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
