"""Time of weighted box fusion of many images in one call, against the library's own call, an image at a time.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_fusion.py

Boxes are drawn: of each true cell, what each of four networks saw of it, if it did. Both sides fuse the same boxes with
``ensemble-boxes``: ours groups them by image, checks them and scales them once; the peer brings each image's boxes to
[0, 1] and calls the library for it. A second peer is the library's one call for all images, with the images' numbers
for labels and boxes that are scaled already: what our checks, scaling and order cost beyond it. That all sides agree
is checked first. Nothing is written.
"""

import time

import numpy as np
from ensemble_boxes import weighted_boxes_fusion
from sheet import Sheet, take_turns

from wbc_utils.models.fusion import FUSED_IOU, Found, fuse

BOXES, NETWORKS, SEEN = 140_000, 4, 0.9
WIDTH, HEIGHT = 640, 480
REPEATS = 3


def draw(cells: int) -> list[Found]:
    """Draw what the networks found in as many images as make the number of boxes, so many cells in each."""
    rng = np.random.default_rng(0)
    images = round(BOXES / (NETWORKS * SEEN * cells))
    low = rng.uniform(0, (WIDTH - 120, HEIGHT - 120), (images, cells, 2))
    true = np.concatenate([low, low + rng.uniform(40, 100, (images, cells, 2))], axis=2)
    several = []
    for _ in range(NETWORKS):
        seen = rng.random((images, cells)) < SEEN
        boxes = (true + rng.normal(0, 3, true.shape))[seen].clip(0, (WIDTH, HEIGHT) * 2)
        several.append(Found(np.nonzero(seen)[0], boxes, rng.uniform(0.2, 1, len(boxes))))
    return several


def plain(several: list[Found]) -> Found:
    """Fuse with a call of the library an image, as its manual does."""
    size = np.array((WIDTH, HEIGHT) * 2)
    images = np.unique(np.concatenate([found.group for found in several]))
    starts = [np.searchsorted(found.group, [images, images + 1]).T for found in several]
    parts = []
    for place, image in enumerate(images):
        own = [slice(*start[place]) for start in starts]
        boxes, scores, _ = weighted_boxes_fusion(
            [found.boxes[rows] / size for found, rows in zip(several, own, strict=True)],
            [found.scores[rows] for found, rows in zip(several, own, strict=True)],
            [np.zeros(rows.stop - rows.start) for rows in own],
            iou_thr=FUSED_IOU,
        )
        parts.append((np.full(len(scores), image), boxes * size, scores))
    return Found(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def one_call(several: list[Found], scaled: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fuse all images by the library's one call."""
    scores, groups = [found.scores for found in several], [found.group for found in several]
    return weighted_boxes_fusion(scaled, scores, groups, iou_thr=FUSED_IOU)


def compare(sheet: Sheet, cells: int) -> None:
    """Check that the sides agree, then time them in turns."""
    several = draw(cells)
    scaled = [found.boxes / ((WIDTH, HEIGHT) * 2) for found in several]
    number = sum(len(found.scores) for found in several)
    sheet.section(f"{number} boxes of {several[0].group.max() + 1} images, {cells} cells each")
    ours, theirs = fuse(several), plain(several)
    order = np.lexsort((-ours.scores, ours.group)), np.lexsort((-theirs.scores, theirs.group))
    apart = np.abs(ours.boxes[order[0]] - theirs.boxes[order[1]]).max()
    sheet.note(f"{len(ours.scores)} fused boxes on either side, no coordinate more than {apart:.1e} px apart")
    times = take_turns(
        lambda: fuse(several), lambda: plain(several), lambda: one_call(several, scaled),
        repeats=REPEATS, clock=time.process_time,
    )  # fmt: skip
    sheet.ratio("weighted box fusion", *times[:2], peer="one call of ensemble-boxes an image", asked="≥ 1")
    sheet.ratio("weighted box fusion", times[0], times[2], peer="one call of ensemble-boxes, no check or scaling")
    sheet.line("weighted box fusion", times[0], "s")


def main() -> None:
    """Run the benchmark."""
    with Sheet("fusion", "weighted fusion of the boxes of four networks", ("numpy", "ensemble-boxes")) as sheet:
        sheet.note(f"drawn boxes; {REPEATS} repeats of each side in turns; processor times")
        for cells in (1, 15):
            compare(sheet, cells)


if __name__ == "__main__":
    main()
