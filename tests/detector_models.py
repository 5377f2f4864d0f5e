"""Detectors whose answer is known, saved random ones, and images of dark cells to ask them about."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from wbc_utils.models.detection import build_detector
from wbc_utils.models.detector_weights import DetectorCard, save

CLASSES = ("WBC", "RBC")
ABOUT = {
    "data": (), "metrics": {}, "licence": "MIT", "seed": 0, "commit": "unknown", "versions": {},
    "intended_use": "Tests.", "limits": "Everything else.",
}  # fmt: skip


def tiny(classes=CLASSES):
    """Return a small random detector, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_detector("faster_rcnn_test_resnet", classes, image_px=(64, 96), proposals=20, rois=16).eval()


def save_detector(path, classes=CLASSES, **fields):
    """Save a small random detector with fields of its card and return the path."""
    model = tiny(classes)
    save(path, model, DetectorCard(design=model.design, init=model.init, **(ABOUT | fields)))
    return path


class Dark(nn.Module):
    """Sees a WBC (0.9) where an image is dark, a second one a pixel beside it (0.6), and a RBC (0.4) there too."""

    classes = CLASSES

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def detect(self, images, score, nms_iou, most):
        return [self._see(image) for image in images]

    def _see(self, image):
        rows, columns = torch.nonzero(image.mean(dim=0) < 0.5, as_tuple=True)
        if not len(rows):
            return {"boxes": torch.empty(0, 4), "labels": torch.empty(0, dtype=torch.int64), "scores": torch.empty(0)}
        box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        boxes = torch.stack([box, box + torch.tensor([1.0, 0, 0, 0]), box])
        return {"boxes": boxes, "labels": torch.tensor([1, 1, 2]), "scores": torch.tensor([0.9, 0.6, 0.4])}


def save_field(path, box=(10, 5, 30, 25), size=(60, 40), mode="RGB", **options):
    """Save a white image with one dark rectangle, or with none."""
    image = np.full((size[1], size[0], 3), 255, np.uint8)
    if box:
        image[box[1] : box[3], box[0] : box[2]] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).convert(mode).save(path, **options)
    return path
