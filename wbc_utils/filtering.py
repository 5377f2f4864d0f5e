"""Raw predictions of a detector beside their truth: filtered, scored and tuned without asking the network again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from wbc_utils.detection import RAW_DETECTIONS
from wbc_utils.metrics.coco import coco_ap
from wbc_utils.metrics.counts import image_counts
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.operating import operating_point
from wbc_utils.metrics.report_002 import report_002_ap
from wbc_utils.models import tuning
from wbc_utils.models.postprocess import apply

REPORT_002_GRID = {
    "RBC": (0.5, 0.55, 0.6, 0.65, 0.7),
    "WBC": (0.7, 0.75, 0.8),
    "Platelets": (0.4, 0.45, 0.5, 0.55, 0.6),
}
"""Report 002's ranges of score thresholds, in the steps of 0.05 that its choices suggest."""

REPORT_002_NMS = 0.45
"""Report 002's IoU of suppression."""


@dataclass(frozen=True)
class Filter:
    """A way from raw predictions to detections: least scores, suppression, and how many an image keeps.

    Attributes
    ----------
    thresholds, nms_iou, agnostic, most
        See `wbc_utils.models.postprocess.apply`.
    """

    thresholds: Mapping[str, float]
    nms_iou: float = 1.0
    agnostic: bool = False
    most: int = RAW_DETECTIONS

    @classmethod
    def none(cls, classes: Sequence[str]) -> "Filter":
        """Return the filter that keeps everything."""
        return cls(dict.fromkeys(classes, 0.0))

    @classmethod
    def default(cls, classes: Sequence[str]) -> "Filter":
        """Return what torchvision's detectors do unless told otherwise: report 002's unfiltered results."""
        return cls(dict.fromkeys(classes, 0.05), nms_iou=0.5, most=100)

    def __str__(self) -> str:
        least = ", ".join(f"{name} {value:.2f}" for name, value in self.thresholds.items())
        if self.nms_iou == 1:
            return f"{least}; no NMS"
        return f"{least}; NMS {self.nms_iou:.2f}{' among classes' if self.agnostic else ''}"


@dataclass(frozen=True, eq=False)
class Raw:
    """What a detector said about some images, before any filter, and the truth.

    Attributes
    ----------
    predictions
        See `wbc_utils.models.postprocess`.
    truth
        ``image``, ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax``.
    images
        All images that were looked at.
    classes
        In the order of every table.
    """

    predictions: pd.DataFrame
    truth: pd.DataFrame
    images: Sequence[str]
    classes: Sequence[str]

    def through(self, way: Filter) -> Detections:
        """Return the detections that a filter lets through, beside the truth.

        Raises
        ------
        wbc_utils.models.ModelError
            If the filter has no threshold for a class, or a number that is out of range.
        """
        kept = apply(self.predictions, way.thresholds, way.nms_iou, way.agnostic, way.most)
        return Detections.of(self.truth, kept, self.images, self.classes)

    def of(self, label: str) -> "Raw":
        """Return what concerns one class alone."""
        own = (table[table["class"] == label].reset_index(drop=True) for table in (self.predictions, self.truth))
        return Raw(*own, self.images, [label])

    def best(
        self,
        thresholds: Mapping[str, Sequence[float]],
        nms_ious: Sequence[float],
        objective: str,
        agnostic: bool = False,
    ) -> Filter:
        """Return the filter of a grid that serves an objective best here; see `wbc_utils.models.tuning.tune`.

        Raises
        ------
        wbc_utils.models.ModelError
            As `wbc_utils.models.tuning.tune`.
        """
        grids = {name: thresholds[name] for name in self.classes}
        found = tuning.tune(
            self.predictions, self.truth, self.images, thresholds=grids, nms_ious=nms_ious, objective=objective,
            agnostic=agnostic,
        )  # fmt: skip
        return Filter(found.thresholds, found.nms_iou, agnostic)


def summary(detections: Detections) -> dict[str, float]:
    """Return the scores of detections, each the mean over the classes.

    Returns
    -------
    dict
        ``AP``, ``AP50`` (COCO), ``F1`` at IoU 0.5, ``count MAE`` (cells an image), and report 002's own AP with the
        predictions ``by score`` and ``image by image``, with the ``precision × recall`` of its list. Predictions that
        are given all count.
    """
    ap = coco_ap(detections).iloc[-1]
    f1 = operating_point(detections, 0.0)["F1"].iloc[:-1]  # the last row pools the classes
    own = {name: report_002_ap(detections, ranked) for name, ranked in _READINGS.items()}
    last = own["image by image"]
    return {
        "AP": float(ap["AP"]),
        "AP50": float(ap["AP50"]),
        "F1": float(f1.mean()),
        "count MAE": float(image_counts(detections, 0.0)["error"].abs().mean()),
        **{name: float(one["report_002_AP"].iloc[-1]) for name, one in own.items()},
        "precision × recall": float((last["precision"].fillna(0) * last["recall"]).iloc[:-1].mean()),
    }


def compare(ways: Mapping[str, Filter], raw: Raw) -> pd.DataFrame:
    """Return one row a filter: its name, its numbers in words, and the `summary` of what it lets through."""
    rows = [{"filter": name, "numbers": str(way), **summary(raw.through(way))} for name, way in ways.items()]
    return pd.DataFrame(rows)


_READINGS = {"by score": True, "image by image": False}
