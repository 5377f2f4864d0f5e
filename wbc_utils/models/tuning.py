"""Exhaustive choice of score thresholds by class and of the IoU of suppression, from stored raw predictions.

Every combination of a grid is evaluated, but none by itself. Suppression within a class makes classes independent, and
a threshold then only cuts the ranked list of survivors: one suppression and one matching serve all thresholds.
Suppression among classes ties the thresholds together; there all combinations go through suppression and matching side
by side, as columns of a boolean matrix.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from torchvision.ops import box_iou

from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import COORDINATES, keep, require_boxes, require_predictions, require_share

_CELLS = 8_000_000  # prediction × combination held in memory together


@dataclass(frozen=True)
class Tuning:
    """The best of all combinations.

    Attributes
    ----------
    objective, agnostic
        As asked for.
    value
        Of the objective, mean over the classes.
    thresholds, nms_iou
        For `wbc_utils.models.postprocess.apply`. Of equally good combinations the first of the grids: the first IoU,
        then the first thresholds in the order of the classes.
    combinations
        How many were compared.
    table
        The best for each IoU of suppression: ``nms_iou``, ``value``, and a column a class with its threshold.
    """

    objective: str
    agnostic: bool
    value: float
    thresholds: dict[str, float]
    nms_iou: float
    combinations: int
    table: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Predictions of one class, or of all, by falling score, and the true boxes that they overlap.

    ``pairs``: prediction, true box, IoU, the pairs of a prediction from best to worst; ``truth``: image and class of
    the true boxes; all as positions.
    """

    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    corners: np.ndarray
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
    truth: tuple[np.ndarray, np.ndarray]
    images: int

    def of_class(self, label: int) -> "_Ranked":
        own, true = self.label == label, self.truth[1] == label
        chosen = own[self.pairs[0]]
        row, box = np.cumsum(own) - 1, np.cumsum(true) - 1
        pairs = (row[self.pairs[0][chosen]], box[self.pairs[1][chosen]], self.pairs[2][chosen])
        parts = (self.image[own], self.label[own], self.score[own], self.corners[own])
        return _Ranked(*parts, pairs, (self.truth[0][true], self.truth[1][true]), self.images)


def tune(
    raw: pd.DataFrame,
    truth: pd.DataFrame,
    images: Sequence[str],
    *,
    thresholds: Mapping[str, Sequence[float]],
    nms_ious: Sequence[float],
    objective: str = "coco_ap50",
    agnostic: bool = False,
) -> Tuning:
    """Find the score thresholds and the IoU of suppression that serve an objective best, among all combinations.

    Choose them on images that nothing is reported on.

    Parameters
    ----------
    raw
        Raw predictions; those of classes without a grid are left out.
    truth
        True boxes: ``image``, ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax``.
    images
        All images that were looked at, also those without boxes.
    thresholds
        Least scores to try, for each class.
    nms_ious
        IoUs of suppression to try.
    objective
        A key of `OBJECTIVES`.
    agnostic
        Suppression among all classes; else within each.

    Raises
    ------
    ModelError
        If the objective is unknown, a grid is empty or leaves [0, 1], a class has no true box, a box is of an image
        that was not looked at, or a box or score is damaged.
    """
    if objective not in OBJECTIVES:
        raise ModelError(f"there is no objective {objective!r}; there are {', '.join(OBJECTIVES)}")
    goal = OBJECTIVES[objective]
    grids = {
        name: np.array([require_share(f"a threshold of {name}", x) for x in thresholds[name]]) for name in thresholds
    }
    if not grids or not len(nms_ious) or not all(map(len, grids.values())):
        raise ModelError("a grid is empty; give at least one threshold for each class and one IoU of suppression")
    ranked = _ranked(raw, truth, images, grids, min(goal.ious))
    search = _together if agnostic else _apart
    rows = []
    for nms_iou in nms_ious:
        require_share("an IoU of suppression", nms_iou)
        value, chosen = search(ranked, list(grids.values()), nms_iou, goal)
        rows.append({"nms_iou": nms_iou, "value": value, **dict(zip(grids, chosen, strict=True))})
    best = max(rows, key=lambda row: goal.sign * row["value"])
    combinations = len(rows) * int(np.prod([len(grid) for grid in grids.values()]))
    found = {name: float(best[name]) for name in grids}
    return Tuning(objective, agnostic, best["value"], found, float(best["nms_iou"]), combinations, pd.DataFrame(rows))


def _apart(ranked: _Ranked, grids: list[np.ndarray], nms_iou: float, goal: "Objective") -> tuple[float, list[float]]:
    """Return the best value and thresholds with suppression within classes: each class by itself."""
    values, chosen = [], []
    for label, grid in enumerate(grids):
        own = ranked.of_class(label)
        survivors = np.zeros((len(own.score), 1), dtype=bool)
        survivors[keep(own.corners, own.score, own.image, nms_iou)] = True
        kept = survivors & (own.score[:, None] >= grid)
        hits = [hit & kept for hit in _hits(own, survivors, goal)]  # a match depends on better predictions only
        value = goal.value(own, kept, hits)
        place = int((goal.sign * value).argmax())
        values.append(value[place])
        chosen.append(grid[place])
    return float(np.mean(values)), chosen


def _together(ranked: _Ranked, grids: list[np.ndarray], nms_iou: float, goal: "Objective") -> tuple[float, list[float]]:
    """Return the best value and thresholds with suppression among classes: all combinations side by side."""
    rivals = _rivals(ranked, nms_iou)
    combinations = np.array(list(product(*grids)))
    classes = [(ranked.label == label, ranked.of_class(label)) for label in range(len(grids))]
    best = -np.inf, combinations[0]
    width = max(1, _CELLS // max(1, len(ranked.score)))
    for start in range(0, len(combinations), width):
        block = combinations[start : start + width]
        kept = ranked.score[:, None] >= block.T[ranked.label]
        for row, above in rivals:
            kept[row] &= ~kept[above].any(axis=0)
        values = [goal.value(own, kept[rows], _hits(own, kept[rows], goal)) for rows, own in classes]
        total = goal.sign * np.mean(values, axis=0)
        if total.max() > best[0]:
            best = total.max(), block[int(total.argmax())]
    return float(goal.sign * best[0]), list(best[1])


def _rivals(ranked: _Ranked, nms_iou: float) -> list[tuple[int, np.ndarray]]:
    """Return, for each prediction that may be suppressed, the better ones of its image that overlap it too much."""
    rivals = []
    for number in range(ranked.images):
        members = np.flatnonzero(ranked.image == number)
        overlap = _iou(ranked.corners[members], ranked.corners[members])
        for place in range(1, len(members)):
            above = members[:place][overlap[place, :place] > nms_iou]
            if len(above):
                rivals.append((int(members[place]), above))
    return rivals


def _hits(ranked: _Ranked, kept: np.ndarray, goal: "Objective") -> list[np.ndarray]:
    """Return which of the kept predictions, (n, c) bool, are true positives at each IoU of the objective."""
    prediction, truth, iou = ranked.pairs
    hits = []
    for least in goal.ious:
        hit = np.zeros_like(kept)
        if goal.one_to_one:
            free = np.ones((len(ranked.truth[0]), kept.shape[1]), dtype=bool)
            close = iou >= least
            for row, box in zip(prediction[close].tolist(), truth[close].tolist(), strict=True):
                taken = kept[row] & free[box] & ~hit[row]
                hit[row] |= taken
                free[box] &= ~taken
        else:
            close = prediction[iou > least]
            hit[close] = kept[close]
        hits.append(hit)
    return hits


def _ranked(
    raw: pd.DataFrame, truth: pd.DataFrame, images: Sequence[str], grids: Mapping[str, np.ndarray], least_iou: float
) -> _Ranked:
    """Return the predictions that reach the lowest threshold of their class; ties are settled by the coordinates."""
    require_predictions(raw)
    require_boxes("true boxes", truth)
    names, classes = pd.Index(sorted(images)), pd.Index(list(grids))
    tables = {"predictions": raw, "true boxes": truth}
    tables = {what: table[table["class"].isin(classes)] for what, table in tables.items()}
    placed = {what: names.get_indexer(table["image"]) for what, table in tables.items()}
    for what, table in tables.items():
        if (unknown := placed[what] < 0).any():
            name = table["image"][unknown].iloc[0]
            raise ModelError(f"{unknown.sum()} {what} are of images that were not looked at, the first is {name}")
    raw, truth = tables.values()
    absent = [str(name) for name in classes if name not in set(truth["class"])]
    if absent:
        raise ModelError(f"no true box of {', '.join(absent)}: no threshold can be chosen; leave it out of the grids")
    label, score = classes.get_indexer(raw["class"]), raw["score"].to_numpy(float)
    image, corners = placed["predictions"], raw[COORDINATES].to_numpy(float)
    alive = score >= np.array([grid.min() for grid in grids.values()])[label]
    order = np.lexsort((*corners.T[::-1], label, image, -score))
    order = order[alive[order]]
    true = placed["true boxes"], classes.get_indexer(truth["class"])
    parts = (image[order], label[order], score[order], corners[order])
    pairs = _pairs(parts, true, truth[COORDINATES].to_numpy(float), len(grids), least_iou)
    return _Ranked(*parts, pairs, true, len(names))


def _pairs(parts: tuple, truth: tuple, boxes: np.ndarray, classes: int, least_iou: float) -> tuple:
    """Return the pairs of prediction and true box of one image and class with at least an IoU."""
    image, label, _, corners = parts
    group, true_group = image * classes + label, truth[0] * classes + truth[1]
    found = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    for number in np.intersect1d(group, true_group):
        rows, columns = np.flatnonzero(group == number), np.flatnonzero(true_group == number)
        overlap = _iou(corners[rows], boxes[columns])
        first, second = np.nonzero(overlap >= least_iou)
        found.append((rows[first], columns[second], overlap[first, second]))
    prediction, true, iou = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((-true, -iou, prediction))  # of equal IoUs the last, as COCO does
    return prediction[order], true[order], iou[order]


def _iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()


# ---- objectives: value(ranked, kept, hits) of one class, (n, c) and one (n, c) an IoU, to (c,)


@dataclass(frozen=True)
class Objective:
    """What thresholds are chosen for.

    Attributes
    ----------
    value
        From the predictions of a class, which of them are kept, (n, c) bool, and which of those are true positives at
        each IoU, to the value of each of the c combinations.
    ious
        Least IoUs of a true positive.
    one_to_one
        A true box is found once, by the best prediction (COCO); else as often as predictions lie on it, and these must
        overlap by more than the IoU (report 002).
    sign
        1 where more is better, −1 where less is.
    """

    value: Callable[[_Ranked, np.ndarray, list[np.ndarray]], np.ndarray]
    ious: tuple[float, ...] = (0.5,)
    one_to_one: bool = True
    sign: int = 1


def _average_precision(ranked: _Ranked, kept: np.ndarray, hits: list[np.ndarray]) -> np.ndarray:
    """Return COCO's area, the mean over 101 recalls of the highest precision at that recall or a higher one."""
    n, seen = len(ranked.truth[0]), np.cumsum(kept, axis=0, dtype=np.int32)
    reached = np.searchsorted(np.arange(1, n + 1) / n, np.linspace(0, 1, 101))
    weights = np.bincount(reached, minlength=n) / 101
    areas = np.zeros((len(hits), kept.shape[1]))
    for area, hit in zip(areas, hits, strict=True):
        row, column = np.nonzero(hit)
        place = np.cumsum(hit, axis=0, dtype=np.int32)[row, column]
        precision = np.zeros((n, kept.shape[1]))
        precision[place - 1, column] = place / seen[row, column]
        area[:] = weights @ np.maximum.accumulate(precision[::-1])[::-1]
    return areas.mean(axis=0)


def _f1(ranked: _Ranked, kept: np.ndarray, hits: list[np.ndarray]) -> np.ndarray:
    return 2 * hits[0].sum(axis=0) / (kept.sum(axis=0) + len(ranked.truth[0]))


def _count_error(ranked: _Ranked, kept: np.ndarray, hits: list[np.ndarray]) -> np.ndarray:
    """Return the mean absolute difference of predicted and true number of an image."""
    true = np.bincount(ranked.truth[0], minlength=ranked.images)
    member = (np.arange(ranked.images)[:, None] == ranked.image).astype(np.float32)
    return np.abs(member @ kept - true[:, None]).mean(axis=0)


def _trapezoids(ranked: _Ranked, kept: np.ndarray, hits: list[np.ndarray]) -> np.ndarray:
    """Return the area under precision over recall by the trapezoid rule, from recall 0 and the first precision on.

    Recall moves at true positives only: the h-th, at place s of those kept, adds a step of 1/n between the precisions
    (h − 1) / (s − 1) and h / s.
    """
    row, column = np.nonzero(hits[0])
    place = np.cumsum(hits[0], axis=0, dtype=np.int32)[row, column]
    seen = np.cumsum(kept, axis=0, dtype=np.int32)[row, column]
    before = np.where(seen > 1, (place - 1) / np.maximum(seen - 1, 1), 1.0)
    steps = (place / seen + before) / 2 / len(ranked.truth[0])
    return np.bincount(column, weights=steps, minlength=kept.shape[1])


def _trapezoids_by_image(ranked: _Ranked, kept: np.ndarray, hits: list[np.ndarray]) -> np.ndarray:
    """Return the same area with the predictions taken image after image, by falling score within each."""
    order = np.argsort(ranked.image, kind="stable")
    return _trapezoids(ranked, kept[order], [hits[0][order]])


OBJECTIVES = {
    "coco_ap": Objective(_average_precision, tuple(np.linspace(0.5, 0.95, 10))),
    "coco_ap50": Objective(_average_precision),
    "coco_ap75": Objective(_average_precision, (0.75,)),
    "f1": Objective(_f1),
    "count_mae": Objective(_count_error, sign=-1),
    "report_002_ap": Objective(_trapezoids, one_to_one=False),
    "report_002_ap_by_image": Objective(_trapezoids_by_image, one_to_one=False),
}
"""COCO's AP, AP50 and AP75; F1 at IoU 0.5; the mean absolute error of the number of cells in an image (less is better);
report 002's own AP, its predictions ranked by score or image after image. Each is the mean over the classes."""
