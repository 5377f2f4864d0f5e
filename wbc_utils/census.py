"""What a detector found in image files: a table of boxes, the same as COCO JSON, counts, one paragraph."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.models.detector_weights import DetectorCard
from wbc_utils.models.postprocess import COORDINATES, DETECTIONS, PREDICTION_COLUMNS
from wbc_utils.predictions import NO_DEVICE, abroad, count_reasons, quality

DECIMALS = {"score": 6} | dict.fromkeys(COORDINATES, 2)
"""Decimal places that are kept: of scores, and of coordinates in px."""


@dataclass(frozen=True)
class OperatingPoint:
    """What counts as a cell: least scores, suppression (`wbc_utils.models.postprocess.apply`), and where from.

    Attributes
    ----------
    thresholds, nms_iou, agnostic
        See `wbc_utils.models.postprocess.apply`.
    origins
        Of each threshold, in words.
    """

    thresholds: dict[str, float]
    nms_iou: float
    agnostic: bool
    origins: dict[str, str]

    @classmethod
    def of(cls, card: DetectorCard, thresholds: Mapping[str, float], nms_iou: float | None) -> "OperatingPoint":
        """Return the operating point of a card, but for what was asked for."""
        found = card.least_scores()
        origin = "the card's" if card.thresholds else "not tuned"
        origins = {code: "asked for" if code in thresholds else origin for code in found}
        return cls(found | thresholds, card.nms_iou if nms_iou is None else nms_iou, card.agnostic, origins)

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for code, value in self.thresholds.items():
            groups.setdefault(self.origins[code], []).append(f"{code} {value:.3g}")
        least = ", ".join(f"{', '.join(words)} ({origin})" for origin, words in groups.items())
        better = f"a better one of {'any' if self.agnostic else 'its'} class"
        return (
            f"a box counts from a score of {least} on, unless {better} overlaps it by an IoU above {self.nms_iou:.3g}"
        )


@dataclass(frozen=True, eq=False)
class Census:
    """What a detector found in n image files.

    Attributes
    ----------
    names
        Of the images, as they were asked for, each once.
    classes
        Codes in the order of their columns.
    sizes
        Width and height in px, int (n, 2); 0 where the image could not be read.
    reasons
        Why an image could not be read, empty where it could, (n,).
    boxes
        ``image``, ``class``, ``score``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px of the stored image from its upper
        left corner; in the order of the images, each image's by falling score.
    pictures
        Paths of the annotated images, POSIX form, empty where there is none, (n,); None where none were asked for.
    turned
        Whether an orientation tag asks viewers to turn the image, (n,) bool.
    """

    names: list[str]
    classes: list[str]
    sizes: np.ndarray
    reasons: list[str]
    boxes: pd.DataFrame
    pictures: list[str] | None
    turned: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Which images could be read, (n,) bool."""
        return np.array([not reason for reason in self.reasons])

    def counts(self) -> pd.DataFrame:
        """Return one row an image: ``image``, a number each class, ``cells``, ``picture`` (if any), ``reason``.

        Numbers are missing where the image could not be read.
        """
        numbers = pd.crosstab(self.boxes["image"], self.boxes["class"])
        numbers = numbers.reindex(index=self.names, columns=self.classes, fill_value=0).astype("Int64")
        numbers["cells"] = numbers.sum(axis=1)
        numbers[~self.readable] = pd.NA
        table = numbers.rename_axis(index="image", columns=None).reset_index()
        if self.pictures is not None:
            table["picture"] = self.pictures
        return table.assign(reason=self.reasons)

    def coco(self, description: str = "") -> dict:
        """Return the boxes in COCO's format: the images that could be read, the classes, and an annotation a box.

        Boxes are ``x, y, width, height``; ``score`` is kept, which COCO's own annotations do not have. Images and
        classes are numbered from 1 in their order here.

        References
        ----------
        T.-Y. Lin et al. (2014), *Microsoft COCO: Common Objects in Context*; https://cocodataset.org/#format-data.
        """
        image_id = {name: number for number, name in enumerate(self.names, start=1)}
        class_id = {code: number for number, code in enumerate(self.classes, start=1)}
        return {
            "info": {"description": description},
            "images": [
                {"id": image_id[name], "file_name": name, "width": int(width), "height": int(height)}
                for name, (width, height), seen in zip(self.names, self.sizes, self.readable, strict=True)
                if seen
            ],
            "categories": [{"id": class_id[code], "name": code, "supercategory": "cell"} for code in self.classes],
            "annotations": [
                _annotation(number, image_id[name], class_id[code], score, *corners)
                for number, (name, code, score, *corners) in enumerate(
                    self.boxes[list(PREDICTION_COLUMNS)].itertuples(index=False), start=1
                )
            ],
        }

    def summary(self, card: DetectorCard, point: OperatingPoint) -> str:
        """Return one paragraph: how many cells and images, what counts, and what the model is not."""
        counts = self.counts()
        read = int(self.readable.sum())
        others = f" ({count_reasons(self.reasons)})" if read < len(self.names) else ""
        numbers = ", ".join(f"{code} {counts[code].sum()}" for code in self.classes)
        sentences = [
            f"{counts['cells'].sum()} cells in {read} of {len(self.names)} images{others}: {numbers}.",
            f"Here {point}.",
        ]
        if full := int((counts["cells"] >= DETECTIONS).sum()):
            sentences.append(
                f"{full} images have {DETECTIONS} boxes, the most that are kept: they may hold more cells than that."
            )
        if turned := int(self.turned.sum()):
            sentences.append(
                f"{turned} images have a tag that asks viewers to turn them: boxes and pictures are of the image as it "
                "is stored, before it is turned."
            )
        sentences += [
            f"Model: {card.design.architecture}, init {card.init}, {quality(card.metrics)}. {abroad(card.metrics)}",
            NO_DEVICE,
        ]
        return " ".join(sentences)


def rounded(boxes: pd.DataFrame) -> pd.DataFrame:
    """Return boxes with the decimal places that are written, without those that have no area then."""
    boxes = boxes.round(DECIMALS)
    area = (boxes["xmax"] > boxes["xmin"]) & (boxes["ymax"] > boxes["ymin"])
    return boxes[area].reset_index(drop=True)


def _annotation(
    number: int, image: int, label: int, score: float, xmin: float, ymin: float, xmax: float, ymax: float
) -> dict:
    width, height = round(xmax - xmin, DECIMALS["xmax"]), round(ymax - ymin, DECIMALS["ymax"])
    return {
        "id": number, "image_id": image, "category_id": label, "bbox": [xmin, ymin, width, height],
        "area": round(width * height, 4), "iscrowd": 0, "score": score,
    }  # fmt: skip
