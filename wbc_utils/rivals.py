"""Rival detectors side by side: scores and paired differences on the same images, anchors, time."""

import time
from collections.abc import Mapping
from itertools import combinations
from statistics import median

import numpy as np
import pandas as pd

from wbc_utils.detection import predict_boxes
from wbc_utils.metrics.coco import MEAN, ap_difference, ap_interval
from wbc_utils.metrics.detection import Detections
from wbc_utils.metrics.overlap import iou
from wbc_utils.models.boxed_images import BoxedImages
from wbc_utils.models.detection import CellDetector
from wbc_utils.models.postprocess import DETECTIONS
from wbc_utils.trials import NMS_IOU


def standings(rivals: Mapping[str, Detections], seed: int) -> pd.DataFrame:
    """Return AP, AP50 and AP75 of each rival with intervals over images, means over the classes.

    Returns
    -------
    pandas.DataFrame
        ``detector``, ``metric``, ``value``, ``low``, ``high``, ``n`` (images).
    """
    tables = [ap_interval(found, seed).assign(detector=name) for name, found in rivals.items()]
    table = pd.concat(tables, ignore_index=True).query("`class` == @MEAN")
    return table[["detector", "metric", "value", "low", "high", "n"]].reset_index(drop=True)


def differences(rivals: Mapping[str, Detections], seed: int) -> pd.DataFrame:
    """Return AP of the first − AP of the second for each pair of rivals, paired by image, with its interval."""
    rows = [
        {"first": one, "second": other} | mean_ap(ap_difference(rivals[other], rivals[one], seed), "AP", "low", "high")
        for one, other in combinations(rivals, 2)
    ]
    return pd.DataFrame(rows)


def mean_ap(intervals: pd.DataFrame, *names: str) -> dict[str, float]:
    """Return value and bounds of the mean AP over the classes, under other names."""
    row = intervals[(intervals["class"] == MEAN) & (intervals["metric"] == "AP")].iloc[0]
    return dict(zip(names, (float(row[part]) for part in ("value", "low", "high")), strict=True))


def anchor_overlap(model: CellDetector, images: BoxedImages) -> np.ndarray:
    """Return the IoU of each true box with the anchor that fits it best, (boxes,), in the order of ``images.truth``.

    Parameters
    ----------
    model
        With anchors: Faster R-CNN, RetinaNet or SSD.
    images
        Anchors are asked for once for each size of image.
    """
    known: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
    best = []
    for image, boxes in zip(images.images, images.boxes, strict=True):
        if image.shape not in known:
            known[image.shape] = _anchors(model, image)
        anchors, scale = known[image.shape]
        best.append(iou(boxes * scale, anchors).max(axis=1))
    return np.concatenate(best)


def _anchors(model: CellDetector, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the anchors of an image, (m, 4) px of the resized image, and the scale of its x, y, x, y."""
    seen = []
    generator = getattr(model.network, "rpn", model.network).anchor_generator
    handle = generator.register_forward_hook(lambda _, inputs, found: seen.append((inputs[0].image_sizes[0], found[0])))
    try:
        predict_boxes(model, {"": image}, most=1)
    finally:
        handle.remove()
    ((height, width), anchors), *_ = seen
    across, down = width / image.shape[1], height / image.shape[0]
    return anchors.double().cpu().numpy(), np.array([across, down, across, down])


def milliseconds(model: CellDetector, images: Mapping[str, np.ndarray]) -> float:
    """Return the median time of one image alone, suppression and table included, after one that does not count."""
    times = []
    for name in [next(iter(images)), *images]:
        started = time.perf_counter()
        predict_boxes(model, {name: images[name]}, nms_iou=NMS_IOU, most=DETECTIONS)
        times.append(1000 * (time.perf_counter() - started))
    return median(times[1:])
