"""Two stages as one: detectors find white cells, classifiers of crops name them, and whole images may be asked too.

The pair has the interface of a detector whose classes are the types, so that whatever asks, scores or draws detectors
does so with it (`wbc_utils.detection.predict_boxes`).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from wbc_utils.data.crops import cut
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import CellClassifier
from wbc_utils.models.boxed_images import require_images
from wbc_utils.models.detection import CellDetector
from wbc_utils.models.fusion import Found, fuse
from wbc_utils.models.postprocess import COORDINATES, DETECTIONS
from wbc_utils.multilabel import BACKGROUND, squared
from wbc_utils.sightings import DEFAULT, Settings, Sightings

SEEN = 0.05
"""Least score of a box that the second stage is asked about; what counts is decided afterwards."""

STAGES = ("boxes", "crops", "types", "whole image")
"""What the time is spent on, beside decoding."""


class TwoStage(nn.Module):
    """Detectors and classifiers, asked one after the other.

    Attributes
    ----------
    detectors
        Of one class. Several are fused.
    classifiers
        Of crops, all of the same types; their probabilities are averaged.
    image_classifiers
        Of whole images, of the same types and `wbc_utils.multilabel.BACKGROUND`; perhaps none.
    crop_px, whole_px
        Sides of the inputs of either.
    nms_iou
        Of suppression within each detector.
    mirrored
        Whether each network is also asked about the mirror image (test-time augmentation).
    settings
        See `wbc_utils.sightings.Settings`.
    spent
        Seconds by stage since `clear`, for the budget.

    Raises
    ------
    wbc_utils.models.ModelError
        If there is no detector or no classifier, a detector has several classes, or the types differ.
    """

    def __init__(
        self,
        detectors: Sequence[CellDetector],
        classifiers: Sequence[CellClassifier],
        image_classifiers: Sequence[CellClassifier] = (),
        *,
        crop_px: int,
        whole_px: int = 0,
        nms_iou: float = 0.5,
        mirrored: bool = False,
        settings: Settings = DEFAULT,
    ):
        super().__init__()
        _require_fitting(detectors, classifiers, image_classifiers)
        self.detectors, self.classifiers = nn.ModuleList(detectors), nn.ModuleList(classifiers)
        self.image_classifiers = nn.ModuleList(image_classifiers)
        self.crop_px, self.whole_px, self.nms_iou, self.mirrored = crop_px, whole_px, nms_iou, mirrored
        self.settings = settings
        self.spent = dict.fromkeys(STAGES, 0.0)

    @property
    def classes(self) -> tuple[str, ...]:
        """Codes of the types."""
        return self.classifiers[0].classes

    def clear(self) -> None:
        """Begin to count seconds anew."""
        self.spent = dict.fromkeys(STAGES, 0.0)

    def detect(
        self, images: list[Tensor], score: float = 0.0, nms_iou: float = 1.0, most: int = DETECTIONS
    ) -> list[dict[str, Tensor]]:
        """Return boxes, types (``labels``, from 1) and scores of each image, best first.

        Parameters
        ----------
        images
            Float (3, h, w) in [0, 1], all of one size.
        score, most
            Of what is returned, as `wbc_utils.models.detection.CellDetector.detect`.
        nms_iou
            Not used: boxes are suppressed before they have types, with the pipeline's own IoU.
        """
        found = self.look(images, range(len(images))).decided(self.settings)
        found = found[found["score"] > score].sort_values("score", ascending=False, kind="stable")
        label = pd.Index(self.classes).get_indexer(found["class"]) + 1
        said = []
        for number in range(len(images)):
            rows = np.flatnonzero(found["image"] == number)[:most]
            said.append(
                {
                    "boxes": torch.from_numpy(found[COORDINATES].to_numpy(np.float32)[rows]),
                    "labels": torch.from_numpy(label[rows]),
                    "scores": torch.from_numpy(found["score"].to_numpy(np.float32)[rows]),
                }
            )
        return said

    def look(self, images: list[Tensor], names: Sequence) -> Sightings:
        """Return what all networks say of images of one size."""
        pixels = torch.stack(images)
        with self._timed("boxes", pixels):
            found = self._boxes(pixels)
        corners = [torch.from_numpy(found.boxes[found.group == number]) for number in range(len(images))]
        with self._timed("crops", pixels):
            crops = torch.cat([cut(*one, self.crop_px) for one in zip(pixels, corners, strict=True)])
        with self._timed("types", pixels):
            types = self._asked(self.classifiers, crops, torch.softmax)
        whole = None
        with self._timed("whole image", pixels):
            if len(self.image_classifiers):
                asked = self._asked(self.image_classifiers, squared(pixels, self.whole_px), _each_alone)
                whole = pd.DataFrame(asked[:, : len(self.classes)], index=list(names), columns=list(self.classes))
        table = pd.DataFrame(found.boxes, columns=COORDINATES)
        table.insert(0, "image", pd.Series([names[number] for number in found.group], dtype=object))
        table.insert(1, "score", found.scores)
        table[list(self.classes)] = types
        return Sightings(table, whole, self.classes)

    def _boxes(self, pixels: Tensor) -> Found:
        """Return the boxes of a batch by all detectors and views; the group is the place in the batch."""
        several = []
        for detector in self.detectors:
            several.append(self._found(detector, pixels))
            if self.mirrored:
                group, boxes, scores = self._found(detector, pixels.flip(-1))
                boxes[:, [0, 2]] = pixels.shape[-1] - boxes[:, [2, 0]]
                several.append(Found(group, boxes, scores))
        return fuse(several) if len(several) > 1 else several[0]

    def _found(self, detector: CellDetector, pixels: Tensor) -> Found:
        said = detector.detect(list(pixels), SEEN, self.nms_iou, DETECTIONS)
        parts = [(np.full(len(one["scores"]), number), one["boxes"].double().cpu().numpy(), one["scores"])
                 for number, one in enumerate(said)]  # fmt: skip
        group, boxes, scores = zip(*parts, strict=True)
        found = Found(np.concatenate(group), np.concatenate(boxes), torch.cat(scores).double().cpu().numpy())
        area = (found.boxes[:, 2:] > found.boxes[:, :2]).all(axis=1)
        return Found(*(part[area] for part in found))

    def _asked(self, networks: nn.ModuleList, images: Tensor, to_probabilities) -> np.ndarray:
        """Return the mean probabilities over networks and views, (n, outputs)."""
        if not len(images):
            return np.empty((0, len(networks[0].classes)))
        images = images.contiguous(memory_format=torch.channels_last)
        views = [images, images.flip(-1)] if self.mirrored else [images]
        said = [to_probabilities(network(view).double(), 1) for network in networks for view in views]
        return torch.stack(said).mean(dim=0).cpu().numpy()

    @contextmanager
    def _timed(self, stage: str, pixels: Tensor) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if pixels.is_cuda:
            torch.cuda.synchronize()
        self.spent[stage] += time.perf_counter() - started


def sightings(pipeline: TwoStage, images: Mapping[str, np.ndarray], batch_size: int = 8) -> Sightings:
    """Return what a pipeline says of images of any sizes.

    Parameters
    ----------
    pipeline
        It is put into evaluation mode and stays so; its ``settings`` do not matter.
    images
        uint8 (h, w, 3) by name.
    batch_size
        Images a batch; only images of one size are in one.

    Raises
    ------
    wbc_utils.models.ModelError
        If there is no image or one is none.
    """
    require_images(images)
    pipeline.eval()
    device, found = next(pipeline.parameters()).device, []
    with torch.inference_mode():
        for names in batches(images, batch_size):
            pixels = [torch.from_numpy(np.array(images[name])).to(device) for name in names]
            found.append(pipeline.look([one.permute(2, 0, 1).float().div_(255) for one in pixels], names))
    return Sightings.join(found)


def batches(images: Mapping[str, np.ndarray], size: int) -> Iterator[list[str]]:
    """Yield names of images of one size, at most so many at a time, in their order within each size."""
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name, image in images.items():
        by_shape.setdefault(image.shape, []).append(name)
    for names in by_shape.values():
        yield from (names[start : start + size] for start in range(0, len(names), size))


def _each_alone(logits: Tensor, dim: int) -> Tensor:
    """Return the probability of each class by itself; the sum over classes has no meaning."""
    return logits.sigmoid()


def _require_fitting(detectors: Sequence, classifiers: Sequence, image_classifiers: Sequence) -> None:
    if not len(detectors) or not len(classifiers):
        raise ModelError(f"{len(detectors)} detectors and {len(classifiers)} classifiers; give at least one of each")
    if several := [one.classes for one in detectors if len(one.classes) > 1]:
        raise ModelError(f"a detector finds {', '.join(several[0])}; the first stage finds white cells, one class")
    types = classifiers[0].classes
    for one in (*classifiers, *image_classifiers):
        wanted = types if one in classifiers else (*types, BACKGROUND)
        if one.classes != wanted:
            raise ModelError(
                f"a classifier knows {', '.join(one.classes)}, where {', '.join(wanted)} is wanted: all networks must "
                "know the same types in the same order, and those of whole images the background last"
            )
