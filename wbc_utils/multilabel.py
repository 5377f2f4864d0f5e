"""Which types of white cells a whole image shows: a network that needs no boxes, with a class of its own for none.

Report 000 blends it with the classifier of crops where an image has a single box: it looks at other pixels, and its
errors are others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from wbc_utils import predict, repro
from wbc_utils.classification import CellRecipe
from wbc_utils.fit import Fitted, Task, fit
from wbc_utils.images.augment import PRESETS, augment, step_generator
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import CellClassifier, build

BACKGROUND = "no white cell"
"""The extra class, the last."""


@dataclass(frozen=True, eq=False)
class TypedImages:
    """Images with the set of types that each shows; make it with `of`.

    Attributes
    ----------
    names
        Of the n images.
    pixels
        uint8 (n, side, side, 3).
    labels
        Whether an image shows a class, float32 (n, k + 1), the last column `BACKGROUND`.
    classes
        The k types and `BACKGROUND`.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls, images: Mapping[str, np.ndarray], types: Mapping[str, frozenset[str]], classes: Sequence[str], side: int
    ) -> "TypedImages":
        """Put types to images, and scale the images to squares.

        Parameters
        ----------
        images
            uint8 (h, w, 3) by name, of any sizes.
        types
            Image → its types; an empty set is background. Images without an entry are left out.
        classes
            The k types.
        side
            Of the squares, px; the aspect is not kept.

        Raises
        ------
        wbc_utils.models.ModelError
            If a type is not among the classes, or no image has its types told.
        """
        chosen = tuple(name for name in images if name in types)
        if unknown := {one for name in chosen for one in types[name]} - set(classes):
            raise ModelError(f"images show {', '.join(sorted(unknown))}, which is none of {', '.join(classes)}")
        if not chosen:
            raise ModelError(f"none of {len(images)} images has its types told; there is nothing to learn")
        pixels = np.stack([_square(images[name], side) for name in chosen])
        rows = [[*(one in types[name] for one in classes), not types[name]] for name in chosen]
        return cls(chosen, pixels, np.array(rows, dtype=np.float32), (*classes, BACKGROUND))

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, chosen: np.ndarray) -> "TypedImages":
        """Return chosen images: a boolean mask, or positions."""
        names = tuple(np.array(self.names, dtype=object)[chosen])
        return TypedImages(names, self.pixels[chosen], self.labels[chosen], self.classes)


def squared(images: Tensor, side: int) -> Tensor:
    """Return images (…, h, w) scaled to squares, each pixel the mean of those it covers."""
    return functional.adaptive_avg_pool2d(images, side)


class MultilabelTask:
    """Batches, loss and validation; implements `wbc_utils.fit.Task`.

    The loss is the focal loss of each class by itself (Lin et al. 2017, equation 4; without their α), summed over
    classes. The score is minus the loss of the validation images: with a handful of images of a class, scores that
    count decisions hardly move.

    Raises
    ------
    wbc_utils.models.ModelError
        If there are fewer training images than a batch has, or no validation image.
    """

    def __init__(
        self,
        model: CellClassifier,
        train: TypedImages,
        validation: TypedImages,
        recipe: CellRecipe,
        seed: int,
        device: str,
    ) -> None:
        if len(train) < recipe.batch_size or not len(validation):
            raise ModelError(
                f"{len(train)} training images for batches of {recipe.batch_size}, and {len(validation)} validation "
                "images; set batch_size to fewer than the former and give at least one of the latter"
            )
        self.model = model.to(memory_format=torch.channels_last)
        self.train, self.validation, self.recipe, self.seed, self.device = train, validation, recipe, seed, device
        self.augmentation = PRESETS[recipe.augmentation]

    def steps(self) -> int:
        """Return the number of whole batches."""
        return len(self.train) // self.recipe.batch_size

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented images (b, 3, h, w) in [0, 1] and whether they show each class, (b, k + 1)."""
        size = self.recipe.batch_size
        order = torch.randperm(len(self.train), generator=step_generator(self.seed, epoch, self.steps())).numpy()
        for step in range(self.steps()):
            chosen = order[step * size : (step + 1) * size]
            pixels = torch.from_numpy(self.train.pixels[chosen]).to(self.device).permute(0, 3, 1, 2).float() / 255
            images = augment(pixels, self.augmentation, step_generator(self.seed, epoch, step, self.device))
            labels = torch.from_numpy(self.train.labels[chosen]).to(self.device)
            yield images.contiguous(memory_format=torch.channels_last), labels

    def loss(self, model: CellClassifier, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the focal loss of a batch."""
        images, labels = batch
        return _focal(model(images).float(), labels, self.recipe.gamma)

    def validate(self, model: CellClassifier) -> dict[str, float]:
        """Return minus the loss, and the share of classes that are decided rightly at one half."""
        logits = predict.logits(model, self.validation.pixels, device=self.device)[0]
        labels = self.validation.labels
        loss = _focal(torch.from_numpy(logits), torch.from_numpy(labels), self.recipe.gamma)
        right = float(((logits > 0) == (labels > 0.5)).mean())
        return {"validation_minus_loss": -float(loss), "validation_accuracy": right}


def train(
    name: str,
    images: TypedImages,
    validation: TypedImages,
    recipe: CellRecipe,
    *,
    seed: int,
    device: str,
    folder: Path,
) -> Fitted:
    """Train a network on whole images, or take up a training where it was left.

    Parameters
    ----------
    name
        Of the checkpoint.
    images, validation
        To learn from, and to choose the epoch by.
    recipe
        How; its ``gamma`` is that of the focal loss, class weights, mixing, views and temperature do not matter.
    seed, device, folder
        See `wbc_utils.classification.train`.

    Raises
    ------
    wbc_utils.models.ModelError
        As `MultilabelTask` and `wbc_utils.models.backbones.build`.
    wbc_utils.fit.FitError
        If a loss is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = build(recipe.architecture, images.classes, recipe.init, stem_stride=recipe.stem_stride)
    task = MultilabelTask(model, images, validation, recipe, seed, device)
    arrays = [part for some in (images, validation) for part in (some.pixels, some.labels)]
    return keyed_fit(name, task, recipe, __name__, arrays, seed=seed, device=device, folder=folder)


def keyed_fit(
    name: str,
    task: Task,
    recipe: CellRecipe,
    module: str,
    arrays: Sequence[np.ndarray],
    *,
    seed: int,
    device: str,
    folder: Path,
) -> Fitted:
    """Train by `wbc_utils.fit.fit` with a checkpoint that follows data, first weights, recipe, seed and code.

    Parameters
    ----------
    module
        Whose code, and all that it imports, counts.
    arrays
        The data.
    """
    versions, model = repro.versions(), task.model
    words = [*model.classes, sorted(model.trainable), seed, device, repro.code_digest(module), versions["torch"]]
    arrays = [*arrays, *(value.detach().cpu().numpy() for value in model.state_dict().values())]
    key = repro.digest_bytes(repr([*words, versions["timm"]]).encode(), *map(_bytes, arrays))
    short = repro.digest_bytes(key.encode(), repr(recipe).encode())[:12]
    return fit(task, recipe, seed=seed, device=device, checkpoint=folder / f"{name}-{short}.pt", key=key)


def _bytes(array: np.ndarray) -> memoryview:
    return memoryview(np.ascontiguousarray(array).reshape(-1)).cast("B")


def _square(image: np.ndarray, side: int) -> np.ndarray:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    return squared(pixels, side).round().permute(1, 2, 0).to(torch.uint8).numpy()


def _focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """Return the focal loss summed over classes, mean over images."""
    return sigmoid_focal_loss(logits, labels, alpha=-1, gamma=gamma, reduction="none").sum(dim=1).mean()
