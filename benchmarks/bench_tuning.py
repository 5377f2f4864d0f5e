"""Speed of tuning and scoring detections, against one evaluation a combination, pycocotools and faster-coco-eval.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_tuning.py

The exhaustive search tries 20 score thresholds for each of three classes and 10 IoUs of suppression on raw predictions
of 60 images, as many as the Testing images of `cbc`. Its peer filters and evaluates one combination after another; as
80 000 of them take hours, some are timed and the rest is reckoned from them. That both find the same optimum is checked
on a small grid. AP is scored on 5 000 images. All boxes are drawn; nothing is written.
"""

import contextlib
import io
import itertools
import time

import faster_coco_eval
import numpy as np
import pandas as pd
import pycocotools.coco
import pycocotools.cocoeval
from sheet import Sheet, take_turns

from wbc_utils.filtering import Filter, Raw
from wbc_utils.metrics.coco import MAX_DETECTIONS, coco_ap
from wbc_utils.metrics.detection import COORDINATES, Detections

CELLS = {"RBC": 13, "WBC": 1, "Platelets": 1}
"""Mean number in an image."""

TUNED_IMAGES, SCORED_IMAGES = 60, 5000
THRESHOLDS, IOUS = np.linspace(0, 0.95, 20), np.linspace(0.1, 1, 10)
FEW_THRESHOLDS, FEW_IOUS = [0.0, 0.4, 0.7], [0.3, 0.6, 1.0]
TIMED = 40  # combinations of the peer
REPEATS = 3


def draw(images: int, copies: int, strays: int) -> Raw:
    """Draw true boxes, each found about ``copies`` times, and ``strays`` boxes on nothing an image."""
    rng = np.random.default_rng(0)
    names = np.array([f"{number:05d}" for number in range(images)])
    numbers = rng.poisson(list(CELLS.values()), (images, len(CELLS)))
    image = np.repeat(np.arange(images), numbers.sum(axis=1))
    label = np.concatenate([np.repeat(np.arange(len(CELLS)), row) for row in numbers])

    def table(image: np.ndarray, label: np.ndarray, corners: np.ndarray) -> pd.DataFrame:
        columns = dict(zip(COORDINATES, corners.T, strict=True))
        return pd.DataFrame({"image": names[image], "class": np.array(list(CELLS))[label], **columns})

    def anywhere(number: int) -> np.ndarray:
        low = rng.uniform(0, 540, (number, 2))
        return np.hstack([low, low + rng.uniform(30, 100, (number, 2))])

    corners = anywhere(len(image))
    again = np.repeat(np.arange(len(image)), rng.poisson(copies, len(image)))
    stray = np.repeat(np.arange(images), rng.poisson(strays, images))
    found = table(
        np.concatenate([image[again], stray]),
        np.concatenate([label[again], rng.integers(0, len(CELLS), len(stray))]),
        np.vstack([corners[again] + rng.uniform(-10, 10, (len(again), 4)), anywhere(len(stray))]),
    ).assign(score=np.concatenate([rng.beta(3, 2, len(again)), rng.beta(1, 5, len(stray))]))
    return Raw(found, table(image, label, corners), names.tolist(), list(CELLS))


def value(raw: Raw, way: Filter) -> float:
    """Return the AP50 of one combination."""
    return float(coco_ap(raw.through(way))["AP50"].iloc[-1])


def grid(thresholds, ious) -> list[Filter]:
    """Return all combinations."""
    every = itertools.product(ious, *[thresholds] * len(CELLS))
    return [Filter(dict(zip(CELLS, least, strict=True)), iou) for iou, *least in every]


def tuning(sheet: Sheet) -> None:
    """Compare the optimum on a small grid, then time the search of the large one."""
    raw = draw(TUNED_IMAGES, copies=12, strays=100)
    sheet.section(f"{len(raw.predictions)} raw predictions of {TUNED_IMAGES} images")
    few = dict.fromkeys(CELLS, FEW_THRESHOLDS)
    best = raw.best(few, FEW_IOUS, "coco_ap50")
    every = [value(raw, way) for way in grid(FEW_THRESHOLDS, FEW_IOUS)]
    sheet.note(f"best AP50 of {len(every)} combinations: {value(raw, best):.12f}, one by one {max(every):.12f}")
    some, combinations = grid(THRESHOLDS, IOUS), len(IOUS) * len(THRESHOLDS) ** len(CELLS)
    some = [some[place] for place in np.random.default_rng(0).permutation(len(some))[:TIMED]]
    wide = dict.fromkeys(CELLS, THRESHOLDS)
    ours, theirs = take_turns(
        lambda: raw.best(wide, IOUS, "coco_ap50"), lambda: [value(raw, way) for way in some],
        repeats=REPEATS, clock=time.process_time,
    )  # fmt: skip
    name = f"AP50 of {combinations} combinations, one core"
    sheet.line(name, ours, "s", asked="≤ 30")
    reckoned = [seconds * combinations / TIMED for seconds in theirs]
    sheet.ratio(name, ours, reckoned, peer=f"one evaluation each (reckoned from {TIMED})", asked="≥ 100")
    start = time.process_time()
    raw.best(wide, IOUS, "coco_ap50", agnostic=True)
    sheet.line(f"{name}, suppression among classes", [time.process_time() - start], "s")


def as_coco(detections: Detections, make):
    """Return truth and predictions in COCO's form, filled into what ``make`` returns."""
    both = []
    for boxes in (detections.truth, detections.predictions):
        sides = np.concatenate([boxes.corners[:, :2], boxes.corners[:, 2:] - boxes.corners[:, :2]], axis=1)
        columns = (boxes.image + 1, boxes.label + 1, sides, sides[:, 2:].prod(axis=1), boxes.score)
        one = make()
        one.dataset = {
            "images": [{"id": number + 1} for number in range(len(detections.images))],
            "categories": [{"id": number + 1} for number in range(len(detections.classes))],
            "annotations": [
                {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "score": score,
                 "iscrowd": 0}
                for number, (image, label, box, area, score) in enumerate(
                    zip(*(column.tolist() for column in columns), strict=True), start=1
                )
            ],
        }  # fmt: skip
        one.createIndex()
        both.append(one)
    return both


def peer_ap(detections: Detections, make, evaluator) -> float:
    """Return the mean AP of an evaluator with COCO's interface."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = evaluator(*as_coco(detections, make), "bbox")
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, 0]
    return float(precision.mean())


def scoring(sheet: Sheet) -> None:
    """Compare the AP, then time it."""
    drawn = draw(SCORED_IMAGES, copies=2, strays=5)
    found = Detections.of(drawn.truth, drawn.predictions, drawn.images, drawn.classes)
    sheet.section(f"{len(found.truth)} true boxes and {len(found.predictions)} predictions of {SCORED_IMAGES} images")
    peers = {
        "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval, "≥ 3"),
        "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster, ""),
    }
    ours, *theirs = take_turns(
        lambda: coco_ap(found), *[lambda one=one: peer_ap(found, *one[:2]) for one in peers.values()],
        repeats=REPEATS, clock=time.process_time,
    )  # fmt: skip
    sheet.line("AP, AP50 and AP75, one core", ours, "s")
    value = float(coco_ap(found)["AP"].iloc[-1])
    for (name, (make, evaluator, asked)), times in zip(peers.items(), theirs, strict=True):
        sheet.note(f"AP {value:.12f}; {name} differs by {abs(value - peer_ap(found, make, evaluator)):.0e}")
        sheet.ratio("AP, AP50 and AP75, one core", ours, times, peer=name, asked=asked)


def main() -> None:
    """Run the benchmark."""
    packages = ("numpy", "pandas", "torch", "torchvision", "pycocotools", "faster-coco-eval")
    with Sheet("tuning", "thresholds of detections, and their average precision", packages) as sheet:
        sheet.note(f"drawn boxes; {REPEATS} repeats; processor times")
        tuning(sheet)
        scoring(sheet)


if __name__ == "__main__":
    main()
