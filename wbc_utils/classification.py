"""Training of cell classifiers: the recipe, the batches, the loss, and what a trained one says of cells."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from wbc_utils import predict, repro
from wbc_utils.fit import FitError, Fitted, Recipe, fit
from wbc_utils.images.augment import MIXING, PRESETS, augment, mix, step_generator
from wbc_utils.metrics import calibration
from wbc_utils.metrics import classification as scores
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import CellClassifier, build
from wbc_utils.models.losses import class_weights, focal_loss


@dataclass(frozen=True)
class CellRecipe(Recipe):
    """How a cell classifier is built, trained and asked.

    Attributes
    ----------
    architecture, init, stem_stride, drop_path
        See `wbc_utils.models.backbones.build`.
    gamma
        Of the focal loss; 0 is cross entropy.
    class_weights
        See `wbc_utils.models.losses.class_weights`.
    augmentation
        A key of `wbc_utils.images.augment.PRESETS`.
    mix
        ``mixup``, ``cutmix``, both (one of them at random for each batch) or none.
    mix_alpha
        Of the Beta distribution that the share of the partner is drawn from.
    balanced
        Draw every class equally often (with replacement) instead of every cell once.
    views
        1, or 8 for the mean over the dihedral views of a cell (test-time augmentation).
    temperature
        The logits are divided by it.
    """

    architecture: str = "convnext_atto"
    init: str = "random"
    stem_stride: int | None = None
    drop_path: float = 0.0
    gamma: float = 0.0
    class_weights: Literal["none", "log", "inverse_sqrt", "effective_number"] = "none"
    augmentation: str = "standard"
    mix: tuple[str, ...] = ()
    mix_alpha: float = 0.4
    balanced: bool = False
    views: Literal[1, 8] = 1
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma < 0 or not self.temperature > 0:
            raise FitError(f"gamma is {self.gamma}, at least 0; temperature is {self.temperature}, above 0")
        if unknown := set(self.mix) - set(MIXING):
            raise FitError(f"mix names {', '.join(sorted(unknown))}; allowed are {', '.join(MIXING)}")
        if self.augmentation not in PRESETS:
            raise FitError(f"there is no augmentation {self.augmentation!r}; there are {', '.join(PRESETS)}")

    def changes(self, other: "CellRecipe") -> dict[str, object]:
        """Return the settings that are different in another recipe, with the other's values."""
        names = [field.name for field in fields(self)]
        return {name: getattr(other, name) for name in names if getattr(other, name) != getattr(self, name)}

    def of_head(self) -> "CellRecipe":
        """Return the same with the backbone frozen from the first epoch to the last."""
        return replace(self, freeze_epochs=self.epochs)


@dataclass(frozen=True, eq=False)
class Cells:
    """Labelled cells: rows of an array of images.

    Attributes
    ----------
    images
        uint8 (m, side, side, 3), shared by all subsets.
    rows
        Positions in ``images``, (n,) int.
    labels
        Position of each cell's class in ``classes``, (n,) int.
    classes
        Codes in the order of the network's outputs.
    """

    images: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, images: np.ndarray, codes: Sequence[str], classes: Sequence[str]) -> "Cells":
        """Return all images with their codes.

        Raises
        ------
        wbc_utils.models.ModelError
            If there is not one code an image.
        wbc_utils.metrics.MetricError
            If a code is not among the classes.
        """
        if len(images) != len(codes):
            raise ModelError(f"{len(images)} images and {len(codes)} codes; give one code an image")
        return cls(images, np.arange(len(images)), scores.codes(list(codes), list(classes)), tuple(classes))

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, chosen: np.ndarray) -> "Cells":
        """Return chosen cells: a boolean mask, or positions."""
        return replace(self, rows=self.rows[chosen], labels=self.labels[chosen])

    @property
    def pixels(self) -> np.ndarray:
        """The images, uint8 (n, side, side, 3)."""
        return self.images[self.rows]

    @property
    def counts(self) -> np.ndarray:
        """Cells of each class, (k,)."""
        return np.bincount(self.labels, minlength=len(self.classes))


class CellTask:
    """Batches, loss and validation of a cell classifier; implements `wbc_utils.fit.Task`.

    Raises
    ------
    wbc_utils.models.ModelError
        If a class has no training cell, or there are fewer training cells than a batch has.
    """

    def __init__(
        self, model: CellClassifier, train: Cells, validation: Cells, recipe: CellRecipe, seed: int, device: str
    ) -> None:
        _require_trainable(train, recipe)
        self.model = model.to(memory_format=torch.channels_last)
        self.validation, self.recipe, self.seed, self.device = validation, recipe, seed, device
        self.images, self.rows = _resident(train, device)
        self.labels = torch.from_numpy(train.labels).long().to(device)
        self.counts = train.counts
        self.augmentation = PRESETS[recipe.augmentation]
        weights = class_weights(self.counts, recipe.class_weights)
        self.weights = torch.as_tensor(weights, dtype=torch.float32, device=device)

    def steps(self) -> int:
        """Return the number of whole batches."""
        return len(self.rows) // self.recipe.batch_size

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented images (b, 3, h, w) in [0, 1] and targets: (b,) classes, or (b, k) shares where mixed."""
        order = self._order(epoch)
        size = self.recipe.batch_size
        for step in range(self.steps()):
            chosen = order[step * size : (step + 1) * size]
            generator = step_generator(self.seed, epoch, step, self.device)
            pixels = self.images[self.rows[chosen]].to(self.device, non_blocking=True)
            images = augment(pixels.permute(0, 3, 1, 2).float() / 255, self.augmentation, generator)
            targets = self.labels[chosen.to(self.device)]
            if self.recipe.mix:
                k = len(self.counts)
                images, targets = mix(images, targets, k, self.recipe.mix, self.recipe.mix_alpha, generator)
            yield images.contiguous(memory_format=torch.channels_last), targets

    def loss(self, model: CellClassifier, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the (focal) loss of a batch."""
        images, targets = batch
        return focal_loss(model(images).float(), targets, self.recipe.gamma, self.weights)

    def validate(self, model: CellClassifier) -> dict[str, float]:
        """Return macro-F1 and negative log-likelihood of one view of each validation cell."""
        logits = predict.logits(model, self.validation.pixels, device=self.device)[0]
        found = scores.confusion(self.validation.labels, logits.argmax(axis=1), range(len(self.counts)))
        nll = calibration.nll(calibration.softmax(logits), self.validation.labels)
        return {"validation_macro_f1": float(scores.macro_f1(found)), "validation_nll": float(nll)}

    def _order(self, epoch: int) -> Tensor:
        generator = step_generator(self.seed, epoch, self.steps())  # the draws of the step after the last
        if self.recipe.balanced:
            share = 1.0 / torch.from_numpy(self.counts)[self.labels.cpu()].double()
            return torch.multinomial(share, len(self.rows), replacement=True, generator=generator)
        return torch.randperm(len(self.rows), generator=generator)


def train(
    name: str,
    cells: Cells,
    validation: Cells,
    recipe: CellRecipe,
    *,
    seed: int,
    device: str,
    folder: Path,
    start: CellClassifier | None = None,
) -> Fitted:
    """Train a classifier, or take up a training where it was left.

    Parameters
    ----------
    name
        Of the checkpoint.
    cells, validation
        To learn from, and to choose the epoch by.
    recipe
        How.
    seed
        Of the initial weights and all draws.
    device
        ``cpu`` or ``cuda``.
    folder
        Of the checkpoints. A training with the same cells, recipe, seed and code is not repeated.
    start
        A trained classifier whose backbone is kept as it is while a new head learns (Kang et al. 2020, classifier
        re-training); the recipe's epochs are of the head alone, its ``init`` and ``stem_stride`` do not matter.

    Raises
    ------
    wbc_utils.models.ModelError
        As `CellTask` and `wbc_utils.models.backbones.build`; if ``start`` is of another architecture.
    wbc_utils.fit.FitError
        If a loss is not finite.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = _with_new_head(start, recipe, cells.classes) if start else _untrained(recipe, cells.classes)
    if start:
        recipe = recipe.of_head()
    task = CellTask(model, cells, validation, recipe, seed, device)
    key = _key(cells, validation, seed, device, model)
    return fit(task, recipe, seed=seed, device=device, checkpoint=folder / f"{name}-{_short(key, recipe)}.pt", key=key)


def _untrained(recipe: CellRecipe, classes: tuple[str, ...]) -> CellClassifier:
    return build(recipe.architecture, classes, recipe.init, stem_stride=recipe.stem_stride, drop_path=recipe.drop_path)


def _with_new_head(start: CellClassifier, recipe: CellRecipe, classes: tuple[str, ...]) -> CellClassifier:
    if start.architecture != recipe.architecture:
        raise ModelError(
            f"the classifier to start from is {start.architecture}, the recipe's is {recipe.architecture}; set the "
            "recipe's architecture to that of the start"
        )
    model = copy.deepcopy(start)
    model.classes, model.head = classes, nn.Linear(start.head.in_features, len(classes))
    return model


def _key(cells: Cells, validation: Cells, seed: int, device: str, model: CellClassifier) -> str:
    """Return what identifies a training beside its recipe: data, seed, first weights, code, libraries."""
    arrays = [part for some in (cells, validation) for part in (some.pixels, some.labels)]
    arrays += [value.detach().cpu().numpy() for value in model.state_dict().values()]
    code = repro.code_digest(__name__)
    versions = repro.versions()
    head = f"{cells.classes} {seed} {device} {code} {versions['torch']} {versions['timm']} {versions['torchvision']}"
    return repro.digest_bytes(head.encode(), *(memoryview(np.ascontiguousarray(part)).cast("B") for part in arrays))


def _short(key: str, recipe: CellRecipe) -> str:
    return repro.digest_bytes(key.encode(), repr(recipe).encode())[:12]


def _require_trainable(train: Cells, recipe: CellRecipe) -> None:
    absent = [code for code, count in zip(train.classes, train.counts, strict=True) if not count]
    if absent:
        raise ModelError(
            f"no training cell of {', '.join(absent)}: a class that is never seen is never predicted; leave it out of "
            "the classes, or split so that every class is in the training part"
        )
    if len(train) < recipe.batch_size:
        raise ModelError(
            f"{len(train)} training cells do not fill a batch of {recipe.batch_size}; set batch_size to at most "
            f"{len(train)}"
        )


def _resident(cells: Cells, device: str) -> tuple[Tensor, Tensor]:
    """Return images (m, h, w, 3) uint8 and the rows to draw from; on the GPU where they take under half its memory."""
    images, rows = torch.from_numpy(cells.images), torch.from_numpy(cells.rows)
    if device == "cuda" and len(rows) * images[0].numel() < torch.cuda.mem_get_info()[0] / 2:
        return images[rows].to(device), torch.arange(len(rows), device=device)
    return images, rows
