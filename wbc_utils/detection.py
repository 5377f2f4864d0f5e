"""Training of detectors of cells: the recipe, the images with their boxes, the losses, and what a trained one sees."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from wbc_utils import repro
from wbc_utils.fit import DivergenceError, FitError, Fitted, Recipe, fit
from wbc_utils.images.augment import step_generator
from wbc_utils.images.mosaic import Field, mixup, mosaic
from wbc_utils.models import ModelError
from wbc_utils.models.boxed_images import BoxedImages, require_images
from wbc_utils.models.detection import RAW_SCORE, CellDetector, build_detector
from wbc_utils.models.device import out_of_memory
from wbc_utils.models.postprocess import COORDINATES, DETECTIONS, PREDICTION_COLUMNS

RAW_DETECTIONS = 1000
"""Most raw predictions of an image: without suppression the copies of the surest cells would fill a smaller number."""

VALIDATION_IOU = 0.5
"""IoU of suppression, within classes, before the validation images are scored after each epoch."""

_NOTHING = 0.001  # a score under it is none

Score = Callable[[pd.DataFrame, pd.DataFrame, Sequence[str], Sequence[str]], Mapping[str, float]]
"""From true boxes, predictions, images and classes to scores; the first is watched, higher is better."""


@dataclass(frozen=True)
class DetectionRecipe(Recipe):
    """How a detector is built and trained.

    Attributes
    ----------
    architecture, init, trainable, image_px, finest_stride, channels, anchor_px, proposals, rois, prior, head_norm
        See `wbc_utils.models.detection.build_detector`.
    flip
        Probability that an image is mirrored left-right, and independently up-down (report 003: 0.4).
    transpose
        Probability that rows and columns are exchanged; with both mirrors at ½ every orientation is equally likely.
    mosaic
        Probability that an image is laid together with three others; see `wbc_utils.images.mosaic`.
    mixup
        Probability that an image, or a mosaic, is mixed with another image.
    plain_epochs
        Epochs at the end without mosaic and mixup, which show cells as no microscope does (YOLOX: 15 of 300).
    alarm_epochs
        Epochs after which the training stops with an error if the watched score is still zero; None is never.

    Raises
    ------
    FitError
        If a number is out of range.
    """

    batch_size: int = 4
    learning_rate: float = 2e-4
    architecture: str = "faster_rcnn_mobilenet"
    init: str = "random"
    trainable: Literal["all", "last", "head"] = "all"
    image_px: tuple[int, int] | None = None
    finest_stride: int | None = None
    channels: int | None = None
    anchor_px: float | None = None
    proposals: int = 1000
    rois: int = 512
    prior: float | None = None
    head_norm: bool = True
    flip: float = 0.4
    transpose: float = 0.0
    mosaic: float = 0.0
    mixup: float = 0.0
    plain_epochs: int = 0
    alarm_epochs: int | None = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("flip", "transpose", "mosaic", "mixup"):
            if not 0 <= getattr(self, name) <= 1:
                raise FitError(f"{name} is {getattr(self, name)}; give a number from 0 to 1")
        if self.plain_epochs < 0:
            raise FitError(f"plain_epochs is {self.plain_epochs}; give a number from 0 on")
        for name in ("alarm_epochs", "proposals", "rois"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise FitError(f"{name} is {getattr(self, name)}; give a number from 1 on")


class DetectionTask:
    """Batches, losses and validation of a detector; implements `wbc_utils.fit.Task`.

    Parameters
    ----------
    validation
        None where nothing is left to be chosen: the last epoch counts as the best.
    score
        See `Score`; called after each epoch with the validation images.

    Raises
    ------
    wbc_utils.models.ModelError
        If a class has no training box, the validation images have no true box, or the batch is too large or too small.
    """

    def __init__(
        self,
        model: CellDetector,
        train: BoxedImages,
        validation: BoxedImages | None,
        recipe: DetectionRecipe,
        seed: int,
        device: str,
        score: Score,
    ) -> None:
        _require_trainable(model, train, validation, recipe.batch_size)
        self.model, self.train, self.validation, self.recipe = model, train, validation, recipe
        self.seed, self.device, self.score, self.epoch = seed, device, score, 0
        self.pixels = [torch.from_numpy(np.array(image)) for image in train.images]

    def steps(self) -> int:
        """Return the number of whole batches."""
        return len(self.train) // self.recipe.batch_size

    def batches(self, epoch: int) -> Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]:
        """Yield images, float (3, h, w) in [0, 1], and their targets, mirrored and joined at random."""
        self.epoch = epoch
        order = torch.randperm(len(self.train), generator=step_generator(self.seed, epoch, self.steps()))
        size = self.recipe.batch_size
        for step in range(self.steps()):
            chosen = order[step * size : (step + 1) * size]
            generator = step_generator(self.seed, epoch, step)
            fields = self._fields(chosen, generator)
            if epoch < self.recipe.epochs - self.recipe.plain_epochs:
                fields = [self._joined(field, generator) for field in fields]
            yield [image for image, _ in fields], [target for _, target in fields]

    def _fields(self, chosen: Tensor, generator: torch.Generator) -> list[Field]:
        """Return training images, by position, and their targets, mirrored at random."""
        draws = torch.rand(len(chosen), 3, generator=generator)
        views = draws < torch.tensor([self.recipe.flip, self.recipe.flip, self.recipe.transpose])
        return [
            _seen(_on_device(self.pixels[place], self.device), _target(self.train, place, self.device), *view)
            for place, view in zip(chosen.tolist(), views.tolist(), strict=True)
        ]

    def _joined(self, field: Field, generator: torch.Generator) -> Field:
        """Return a field as it is, in a mosaic, or mixed with another, each as often as the recipe says."""
        draws = torch.rand(2, generator=generator)
        laid, mixed = (draws < torch.tensor([self.recipe.mosaic, self.recipe.mixup])).tolist()
        if laid:
            others = torch.randint(len(self.train), (3,), generator=generator)
            field = mosaic([field, *self._fields(others, generator)], generator)
        if mixed:
            other = torch.randint(len(self.train), (1,), generator=generator)
            field = mixup(field, *self._fields(other, generator))
        return field

    def loss(self, model: CellDetector, batch: tuple[list[Tensor], list[dict[str, Tensor]]]) -> dict[str, Tensor]:
        """Return the losses of a batch by name."""
        return model.losses(*batch)

    def validate(self, model: CellDetector) -> dict[str, float]:
        """Return the scores and the loss of the validation images.

        Raises
        ------
        wbc_utils.fit.FitError
            If a weight is not finite (`DivergenceError`), or the watched score is zero after ``alarm_epochs``.
        """
        if not _is_finite(model):
            raise DivergenceError(f"a weight is not finite after epoch {self.epoch + 1}; use a lower learning_rate")
        if self.validation is None:
            return {"epochs_learned": self.epoch + 1.0}
        images = dict(zip(self.validation.names, self.validation.images, strict=True))
        size = self.recipe.batch_size
        found = predict_boxes(model, images, nms_iou=VALIDATION_IOU, most=DETECTIONS, batch_size=size)
        scores = dict(self.score(self.validation.truth, found, self.validation.names, self.validation.classes))
        name, watched = next(iter(scores.items()))
        alarm = self.recipe.alarm_epochs
        if alarm is not None and self.epoch + 1 >= alarm and watched < _NOTHING:
            raise FitError(
                f"{name} is {watched:.2g} after epoch {self.epoch + 1}: nothing is found. {self._advice(model)}"
            )
        return {**scores, "validation_loss": self._validation_loss(model)}

    def _validation_loss(self, model: CellDetector) -> float:
        """Return the mean loss of the validation images, always with the same draws of the samplers."""
        losses = []
        cuda = [torch.cuda.current_device()] if self.device == "cuda" else []
        with torch.random.fork_rng(devices=cuda), torch.no_grad():
            torch.default_generator.manual_seed(self.seed)
            if cuda:
                torch.cuda.manual_seed(self.seed)
            for place, image in enumerate(self.validation.images):
                pixels = _on_device(torch.from_numpy(np.array(image)), self.device)
                found = model.losses([pixels], [_target(self.validation, place, self.device)])
                losses.append(sum(found.values()))
        return float(torch.stack(losses).mean())

    def _advice(self, model: CellDetector) -> str:
        """Return what to look at where nothing is learned: the rate, and the anchors beside the cells."""
        design, sides = model.design, []
        for image, boxes in zip(self.train.images, self.train.boxes, strict=True):
            short, long = sorted(image.shape[:2])
            scale = min(design.image_px[0] / short, design.image_px[1] / long)
            sides += (np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)) * scale).tolist()
        low, high = np.percentile(sides, [5, 95])
        anchors = "" if design.anchor_px is None else f", anchors begin at {design.anchor_px:.0f} px"
        return (
            f"Try a lower learning_rate, a longer warm-up or a smaller clip, and look at the scale: 90 % of the cells "
            f"have sides of {low:.0f} to {high:.0f} px in the resized images{anchors}. alarm_epochs sets this alarm"
        )


def train(
    name: str,
    images: BoxedImages,
    validation: BoxedImages | None,
    recipe: DetectionRecipe,
    *,
    seed: int,
    device: str,
    folder: Path | None,
    score: Score,
) -> Fitted:
    """Train a detector, or take up a training where it was left.

    Parameters
    ----------
    name
        Of the checkpoint.
    images, validation
        To learn from, and to choose the epoch by; without the latter the last epoch is kept.
    recipe
        How.
    seed
        Of the initial weights and all draws.
    device
        ``cpu`` or ``cuda``.
    folder
        Of the checkpoints. A training with the same images, recipe, seed and code is not repeated. None keeps none.
    score
        See `Score`.

    Raises
    ------
    wbc_utils.models.ModelError
        As `DetectionTask` and `wbc_utils.models.detection.build_detector`.
    wbc_utils.fit.FitError
        If a loss is not finite, or nothing is found after ``alarm_epochs``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build_detector(
            recipe.architecture, images.classes, recipe.init, trainable=recipe.trainable, image_px=recipe.image_px,
            finest_stride=recipe.finest_stride, channels=recipe.channels, anchor_px=recipe.anchor_px,
            proposals=recipe.proposals, rois=recipe.rois, prior=recipe.prior, head_norm=recipe.head_norm,
        )  # fmt: skip
    task = DetectionTask(model, images, validation, recipe, seed, device, score)
    if folder is None:
        return fit(task, recipe, seed=seed, device=device)
    key = _key(images, validation, seed, device, model, score)
    short = repro.digest_bytes(key.encode(), repr(recipe).encode())[:12]
    return fit(task, recipe, seed=seed, device=device, checkpoint=folder / f"{name}-{short}.pt", key=key)


def predict_boxes(
    model: CellDetector,
    images: Mapping[str, np.ndarray],
    *,
    score: float = RAW_SCORE,
    nms_iou: float = 1.0,
    most: int = RAW_DETECTIONS,
    batch_size: int = 4,
    device: str | None = None,
) -> pd.DataFrame:
    """Return what a detector sees in images; by default raw, for `wbc_utils.models.postprocess`.

    Parameters
    ----------
    model
        It is put into evaluation mode and stays so.
    images
        uint8 (h, w, 3) by name, of any sizes.
    score, nms_iou, most
        See `wbc_utils.models.detection.CellDetector.detect`.
    batch_size
        Images a batch. Images of different sizes are never in one, since a border of padding would change what is seen.
    device
        Where the model is moved to and computed; where it is by default.

    Returns
    -------
    pandas.DataFrame
        ``image``, ``class``, ``score``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px of the images as they were given;
        in their order, each image's by falling score. Boxes without area are left out.

    Raises
    ------
    wbc_utils.models.ModelError
        If there is no image or one is none, a weight is not finite, or the GPU's memory does not suffice.
    """
    require_images(images)
    if batch_size < 1:
        raise ModelError(f"found a batch size of {batch_size}; it must be at least 1")
    if device is not None:
        model.to(device)
    if not _is_finite(model):
        raise ModelError("a weight is not finite: they are damaged, or the training diverged; use others")
    model.eval()
    where, tables = next(model.parameters()).device, []
    with torch.inference_mode(), out_of_memory(batch_size):
        for names in _batches(images, batch_size):
            pixels = [_on_device(torch.from_numpy(np.array(images[name])), where) for name in names]
            found = model.detect(pixels, score, nms_iou, most)
            tables += [_table(name, said, model.classes) for name, said in zip(names, found, strict=True)]
    table = pd.concat(tables, ignore_index=True)
    area = (table["xmax"] > table["xmin"]) & (table["ymax"] > table["ymin"])
    return table[area].reset_index(drop=True)


def _batches(images: Mapping[str, np.ndarray], size: int) -> Iterator[list[str]]:
    for _, group in groupby(images, key=lambda name: images[name].shape):
        names = list(group)
        yield from (names[start : start + size] for start in range(0, len(names), size))


def _table(name: str, said: dict[str, Tensor], classes: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(said["boxes"].double().cpu().numpy(), columns=COORDINATES)
    table["image"], table["score"] = name, said["scores"].double().cpu().numpy()
    table["class"] = np.array(classes, dtype=object)[said["labels"].cpu().numpy() - 1]
    return table[list(PREDICTION_COLUMNS)]


def _on_device(pixels: Tensor, device: str | torch.device) -> Tensor:
    """Return an image (h, w, 3) of bytes as float (3, h, w) in [0, 1]."""
    return pixels.to(device, non_blocking=True).permute(2, 0, 1).float().div_(255)


def _target(images: BoxedImages, place: int, device: str) -> dict[str, Tensor]:
    boxes, labels = torch.from_numpy(images.boxes[place]), torch.from_numpy(images.labels[place]) + 1
    return {"boxes": boxes.to(device), "labels": labels.to(device)}


def _seen(
    image: Tensor, target: dict[str, Tensor], left_right: bool, up_down: bool, transposed: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return an image and its boxes mirrored, then transposed."""
    boxes = target["boxes"]
    for on, axis in ((left_right, 2), (up_down, 1)):
        if on:
            image = image.flip(axis)
            low, high = 2 - axis, 4 - axis
            boxes = boxes.clone()
            boxes[:, [low, high]] = image.shape[axis] - boxes[:, [high, low]]
    if transposed:
        image, boxes = image.mT, boxes[:, [1, 0, 3, 2]]
    return image.contiguous(), {**target, "boxes": boxes}


def _is_finite(model: CellDetector) -> bool:
    """Look at the sum of each weight, which is not finite if a part of it is not: ten times faster than every part."""
    sums = [weight.detach().sum(dtype=torch.float32) for weight in model.parameters()]
    return bool(torch.stack(sums).isfinite().all())


def _require_trainable(model: CellDetector, train: BoxedImages, validation: BoxedImages | None, size: int) -> None:
    absent = [code for code, count in zip(train.classes, train.counts, strict=True) if not count]
    if absent:
        raise ModelError(
            f"no training box of {', '.join(absent)}: a class that is never seen is never found; leave it out of the "
            "classes, or split so that every class is in the training part"
        )
    if len(train) < size:
        raise ModelError(
            f"{len(train)} training images do not fill a batch of {size}; set batch_size to at most {len(train)}"
        )
    if size < 2 and model.design.family == "ssdlite":
        raise ModelError(
            f"{model.design.architecture} normalises maps of one pixel: a batch of 1 has no statistics; set batch_size "
            "to at least 2"
        )
    if validation is not None and not validation.counts.sum():
        raise ModelError(f"no true box in {len(validation)} validation images; no epoch can be chosen by them")


def _key(
    images: BoxedImages, validation: BoxedImages | None, seed: int, device: str, model: CellDetector, score: Score
) -> str:
    """Return what identifies a training beside its recipe: data, seed, first weights, code, libraries."""
    parts = [images] if validation is None else [images, validation]
    arrays = [array for some in parts for part in (some.images, some.boxes, some.labels) for array in part]
    arrays += [value.detach().cpu().numpy() for value in model.state_dict().values()]
    scoring = score.__module__
    code = repro.code_digest(__name__, *([scoring] if scoring.startswith("wbc_utils.") else []))
    versions = repro.versions()
    head = f"{images.classes} {[some.names for some in parts]} {seed} {device} {code} {scoring}.{score.__qualname__}"
    head += f" {versions['torch']} {versions['timm']} {versions['torchvision']}"
    return repro.digest_bytes(head.encode(), *(repr(array.shape).encode() + array.tobytes() for array in arrays))
