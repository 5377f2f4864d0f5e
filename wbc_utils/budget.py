"""What an image costs end to end: milliseconds from the file to named cells, by stage and batch size."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from joblib import cpu_count
from torch import nn

from wbc_utils.data.images import open_image
from wbc_utils.detection import predict_boxes
from wbc_utils.models.postprocess import DETECTIONS
from wbc_utils.trials import NMS_IOU
from wbc_utils.two_stage import SEEN

DECODE, REST, TOTAL = "decode", "rest", "total"
"""Stages beside those of the model: files to pixels; tables and decisions; all together."""


def by_stage(model: nn.Module, paths: Sequence[Path], batch_size: int) -> dict[str, float]:
    """Return milliseconds an image of one pass over image files, at least score, suppression and number of the study.

    Parameters
    ----------
    model
        A detector, or `wbc_utils.two_stage.TwoStage`, whose stages are told apart.
    paths
        Image files; several are decoded at once where there are several cores.
    batch_size
        Images that are decoded, and then asked about, together.
    """
    if hasattr(model, "clear"):
        model.clear()
    decoding, started = 0.0, time.perf_counter()
    with ThreadPoolExecutor(cpu_count()) as pool:
        for first in range(0, len(paths), batch_size):
            begun = time.perf_counter()
            some = paths[first : first + batch_size]
            images = dict(zip(map(str, some), pool.map(open_image, some), strict=True))
            decoding += time.perf_counter() - begun
            predict_boxes(model, images, score=SEEN, nms_iou=NMS_IOU, most=DETECTIONS, batch_size=batch_size)
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
    total = time.perf_counter() - started
    spent = {DECODE: decoding, **getattr(model, "spent", {})}
    found = {**spent, REST: total - sum(spent.values()), TOTAL: total}
    return {stage: 1000 * seconds / len(paths) for stage, seconds in found.items()}


def sweep(model: nn.Module, paths: Sequence[Path], batch_sizes: Sequence[int], repeats: int) -> pd.DataFrame:
    """Return milliseconds an image by batch size, medians over repeats, after one pass that does not count.

    Returns
    -------
    pandas.DataFrame
        ``batch size``, a column a stage, `REST`, `TOTAL`, and ``fastest``, ``slowest`` of the totals.
    """
    by_stage(model, paths, batch_sizes[0])
    rows = []
    for size in batch_sizes:
        passes = [by_stage(model, paths, size) for _ in range(repeats)]
        totals = [one[TOTAL] for one in passes]
        row = {"batch size": size} | {stage: median(one[stage] for one in passes) for stage in passes[0]}
        rows.append(row | {"fastest": min(totals), "slowest": max(totals)})
    return pd.DataFrame(rows)
