"""Stages whose answers are known: a detector of dark places and classifiers of their colour."""

import numpy as np
import torch
from torch import nn

from wbc_utils.two_stage import TwoStage

BLUE, RED = (40, 40, 200), (200, 40, 40)
TYPES = ("EO", "LY")


def field(*cells, size=(60, 80)):
    """Return a white image with squares: x, y, side, colour."""
    image = np.full((*size, 3), 255, np.uint8)
    for x, y, side, colour in cells:
        image[y : y + side, x : x + side] = colour
    return image


class Finder(nn.Module):
    """Finds each dark place; the score falls by a tenth from one to the next, boxes are moved by ``shift``."""

    classes = ("WBC",)

    def __init__(self, score=0.9, shift=0.0):
        super().__init__()
        self.weight, self.score, self.shift = nn.Parameter(torch.ones(1)), score, shift
        self.asked = 0

    def detect(self, images, score, nms_iou, most):
        self.asked += len(images)
        return [self._see(image, score) for image in images]

    def _see(self, image, least):
        from scipy import ndimage

        parts, number = ndimage.label((image.min(dim=0).values < 0.5).cpu().numpy())
        boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(parts)]
        scores = torch.tensor([self.score - 0.1 * place for place in range(number)])
        boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) + self.shift
        kept = scores > least
        return {"boxes": boxes[kept], "labels": torch.ones(int(kept.sum()), dtype=torch.int64), "scores": scores[kept]}


class Namer(nn.Module):
    """Says EO the surer, the redder the middle of an image is, else LY."""

    def __init__(self, classes=TYPES, sure=8.0):
        super().__init__()
        self.weight, self.classes, self.sure = nn.Parameter(torch.ones(1)), tuple(classes), sure

    def forward(self, images):
        side = images.shape[-1]
        middle = images[..., side // 3 : 2 * side // 3 + 1, side // 3 : 2 * side // 3 + 1].mean(dim=(2, 3))
        logits = torch.zeros(len(images), len(self.classes), device=images.device)
        logits[:, 0] = self.sure * (middle[:, 0] - middle[:, 2])
        return logits


class Always(nn.Module):
    """Gives every image the same logits."""

    def __init__(self, classes, logits):
        super().__init__()
        self.weight, self.classes = nn.Parameter(torch.ones(1)), tuple(classes)
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, images):
        return self.logits.expand(len(images), -1)


def pipeline(**changes):
    """Return a pipeline of these."""
    options = {"detectors": [Finder()], "classifiers": [Namer()], "crop_px": 16, **changes}
    return TwoStage(options.pop("detectors"), options.pop("classifiers"), **options)
