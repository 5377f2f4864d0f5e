"""From raw predictions to detections: score thresholds, non-maximum suppression, suppression by distance.

Raw predictions are a table with ``image``, ``class``, ``score`` (0 to 1), ``xmin``, ``ymin``, ``xmax``, ``ymax`` (px):
what `wbc_utils.detection.predict_boxes` returns. All functions return rows of it, in its order, with a fresh index, so
that a network is asked once and everything after is chosen from its answer.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torchvision.ops import batched_nms

from wbc_utils.models import ModelError

COORDINATES = ["xmin", "ymin", "xmax", "ymax"]
PREDICTION_COLUMNS = ("image", "class", "score", *COORDINATES)
DETECTIONS = 300
"""Most detections of an image; torchvision's 100 are too few for a crowded smear."""


def apply(
    raw: pd.DataFrame,
    thresholds: Mapping[str, float],
    nms_iou: float,
    agnostic: bool = False,
    most: int = DETECTIONS,
) -> pd.DataFrame:
    """Return the detections: predictions that reach the threshold of their class and survive suppression.

    Parameters
    ----------
    raw
        Predictions, see the module.
    thresholds
        Least score of each class.
    nms_iou, agnostic
        See `suppress`. Between classes a threshold decides also what a box may suppress: what does not reach its
        own threshold suppresses nothing.
    most
        Detections of an image that are kept, the best.

    Raises
    ------
    ModelError
        If a class has no threshold, a threshold or the IoU is not in [0, 1], or a prediction is damaged.
    """
    require_predictions(raw)
    least = np.array([require_share(f"the threshold of {name}", value) for name, value in thresholds.items()])
    place = pd.Index(list(thresholds)).get_indexer(raw["class"])
    if (place < 0).any():
        name = raw["class"].iloc[int((place < 0).argmax())]
        raise ModelError(f"class {name!r} has no threshold, only {', '.join(map(str, thresholds))} have; give it one")
    chosen = raw[raw["score"].to_numpy() >= least[place]] if len(raw) else raw
    kept = suppress(chosen, nms_iou, agnostic)
    rank = kept.groupby("image")["score"].rank(method="first", ascending=False)
    return kept[(rank <= most).to_numpy()].reset_index(drop=True)


def suppress(predictions: pd.DataFrame, nms_iou: float, agnostic: bool = False) -> pd.DataFrame:
    """Return what is left after greedy non-maximum suppression in each image.

    From the best prediction down, each one drops those below it that overlap it by more than an IoU. Of equal scores
    the earlier row is the better.

    Parameters
    ----------
    predictions
        See the module.
    nms_iou
        Intersection over union above which the worse of two boxes goes; 1 suppresses nothing.
    agnostic
        Among all classes; else within each class.

    Raises
    ------
    ModelError
        If the IoU is not in [0, 1] or a prediction is damaged.
    """
    require_predictions(predictions)
    require_share("the IoU of suppression", nms_iou)
    groups = ["image"] if agnostic else ["image", "class"]
    group = predictions.groupby(groups, sort=False).ngroup().to_numpy()
    boxes, scores = predictions[COORDINATES].to_numpy(float), predictions["score"].to_numpy(float)
    kept = np.sort(keep(boxes, scores, group, nms_iou))
    return predictions.iloc[kept].reset_index(drop=True)


def suppress_near(predictions: pd.DataFrame, radius_px: float) -> pd.DataFrame:
    """Return, of predictions of one class whose centres lie within a radius, the best.

    Greedy as `suppress`, but by distance: report 002 wishes for a rule by nearest neighbours for platelets, whose boxes
    are so small that two of one platelet may hardly overlap.

    Parameters
    ----------
    predictions
        See the module; those of other classes than the one in question are better left out.
    radius_px
        Largest distance of two centres that are taken for one cell, px.

    Raises
    ------
    ModelError
        If the radius is negative or not finite, or a prediction is damaged.
    """
    require_predictions(predictions)
    if not 0 <= radius_px < np.inf:
        raise ModelError(f"a radius of {radius_px} px; give a number from 0 on")
    corners = predictions[COORDINATES].to_numpy(float)
    centres, scores = (corners[:, :2] + corners[:, 2:]) / 2, predictions["score"].to_numpy(float)
    alive = np.ones(len(predictions), dtype=bool)
    for members in predictions.groupby(["image", "class"], sort=False).indices.values():
        ranked = members[np.argsort(-scores[members], kind="stable")]
        for place, row in enumerate(ranked):
            if alive[row]:
                after = ranked[place + 1 :]
                alive[after] &= np.hypot(*(centres[after] - centres[row]).T) > radius_px
    return predictions[alive].reset_index(drop=True)


def keep(boxes: np.ndarray, scores: np.ndarray, group: np.ndarray, nms_iou: float) -> np.ndarray:
    """Return the rows that survive suppression within their group, by falling score, (m,) int.

    Parameters
    ----------
    boxes, scores, group
        (n, 4) px, (n,), (n,) int.
    nms_iou
        See `suppress`.
    """
    if not len(boxes):
        return np.empty(0, dtype=int)
    tensors = (torch.from_numpy(np.array(part)) for part in (boxes, scores, group))
    return batched_nms(*tensors, nms_iou).numpy()


def require_share(what: str, value: float) -> float:
    """Return a number from 0 to 1, or refuse it."""
    if not 0 <= value <= 1:
        raise ModelError(f"{what} is {value}; give a number from 0 to 1")
    return value


def require_predictions(predictions: pd.DataFrame) -> None:
    """Refuse predictions without a column, with boxes that are none, or with scores that are no probabilities."""
    missing = [name for name in PREDICTION_COLUMNS if name not in predictions]
    if missing:
        raise ModelError(f"the predictions have no column {', '.join(missing)}, only {', '.join(predictions)}")
    require_boxes("predictions", predictions)
    scores = predictions["score"].to_numpy(float)
    if (wrong := ~((scores >= 0) & (scores <= 1))).any():
        raise ModelError(f"{wrong.sum()} scores are not in [0, 1], the first is {scores[wrong][0]}; give probabilities")


def require_boxes(what: str, table: pd.DataFrame) -> None:
    """Refuse boxes with a coordinate that is not finite or without area."""
    corners = table[COORDINATES].to_numpy(float)
    for fault, wrong in {
        "a coordinate that is not a finite number": ~np.isfinite(corners).all(axis=1),
        "no area": ~(corners[:, 2:] > corners[:, :2]).all(axis=1),
    }.items():
        if wrong.any():
            first = f"{corners[wrong][0].tolist()} in {table['image'][wrong].iloc[0]}"
            raise ModelError(f"{wrong.sum()} of {len(corners)} {what} have {fault}, the first is {first}; drop them")
