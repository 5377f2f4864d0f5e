"""The networks of the two-stage pipeline, one of each kind a fold, each trained without its fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from wbc_utils import detection, multilabel, repro
from wbc_utils.classification import CellRecipe, Cells, CellTask
from wbc_utils.crossfit import INNER_FRACTIONS
from wbc_utils.data.splits import stratified_groups
from wbc_utils.detection import DetectionRecipe, predict_boxes
from wbc_utils.fit import Fitted
from wbc_utils.images.backgrounds import BackgroundError, without_cells
from wbc_utils.metrics.coco import ap_scores
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import CellClassifier, build
from wbc_utils.models.boxed_images import BoxedImages
from wbc_utils.models.postprocess import COORDINATES, DETECTIONS
from wbc_utils.trials import NMS_IOU
from wbc_utils.two_stage import SEEN

PAINTED = "painted: "
"""Before the name of a field, the name of the same without its white cells."""


@dataclass(frozen=True, eq=False)
class Study:
    """What all trainings share.

    Attributes
    ----------
    images
        uint8 (h, w, 3) by name: those in folds.
    plan
        By image: ``fold``, ``cluster`` of duplicates, and ``stratum``, what the part that chooses the epoch is
        stratified by.
    seed, device, folder
        See `wbc_utils.detection.train`.
    """

    images: Mapping[str, np.ndarray]
    plan: pd.DataFrame
    seed: int
    device: str
    folder: Path

    @property
    def folds(self) -> list:
        """Numbers of the folds."""
        return sorted(self.plan["fold"].unique())

    def of_fold(self, fold: int) -> dict[str, np.ndarray]:
        """Return the images of a fold."""
        return {name: self.images[name] for name in self.plan.index[self.plan["fold"] == fold]}

    def parts(self, fold: int) -> dict[str, list[str]]:
        """Return the images outside a fold: ``train`` to learn from, ``validation`` to choose the epoch by."""
        outside = self.plan[self.plan["fold"] != fold]
        part = stratified_groups(outside["stratum"], outside["cluster"], INNER_FRACTIONS, self.seed)
        return {name: list(outside.index[part == name]) for name in INNER_FRACTIONS}

    @property
    def settings(self) -> dict:
        """Seed, device and folder, as the trainings take them."""
        return {"seed": self.seed, "device": self.device, "folder": self.folder}


def paint(study: Study, boxes: pd.DataFrame, share: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Paint over the white cells of some fields; those that show too little slide, or no white cell, are left out.

    Parameters
    ----------
    boxes
        ``image`` and coordinates of all white cells.
    share
        Of the fields of the study with white cells that are tried, drawn at random.
    rng
        Draws the fields and the grain.

    Returns
    -------
    dict
        Painted fields by the name of the field.
    """
    rows, painted = boxes.groupby("image").indices, {}
    corners, shown = boxes[COORDINATES].to_numpy(float), [name for name in study.images if name in rows]
    for place in rng.permutation(len(shown))[: round(share * len(shown))]:
        name = shown[place]
        try:
            painted[name] = without_cells(study.images[name], corners[rows[name]], rng)
        except BackgroundError:
            continue
    return painted


class TypeTask(CellTask):
    """As its parent, but the epoch is chosen by likelihood: on a few dozen cells macro-F1 hardly moves."""

    def validate(self, model: CellClassifier) -> dict[str, float]:
        """Return minus the negative log-likelihood first, then what its parent returns."""
        scores = super().validate(model)
        return {"validation_minus_nll": -scores["validation_nll"], **scores}


def train_detectors(
    study: Study,
    name: str,
    boxes: pd.DataFrame,
    classes: Sequence[str],
    recipe: DetectionRecipe,
    *,
    painted: Mapping[str, np.ndarray] | None = None,
    folds: Sequence[int] | None = None,
) -> dict[int, Fitted]:
    """Train a detector a fold.

    Parameters
    ----------
    name
        Of the checkpoints.
    boxes
        ``image``, ``class`` and coordinates; boxes of images that are not in the study do not count.
    classes
        To find.
    recipe
        How.
    painted
        Fields without white cells, by the name of the field they were made from: each is learned from by the networks
        that learn from that field, too.
    folds
        Those wanted; all by default.

    Raises
    ------
    wbc_utils.models.ModelError
        As `wbc_utils.detection.train`.
    """
    fitted = {}
    for fold in study.folds if folds is None else folds:
        repro.progress(f"{name}, fold {fold}")
        parts = study.parts(fold)
        images = {one: study.images[one] for one in parts["train"]}
        images |= {PAINTED + one: painted[one] for one in parts["train"] if painted and one in painted}
        chosen_by = {one: study.images[one] for one in parts["validation"]}
        train, validation = (
            BoxedImages.of(some, boxes[boxes["image"].isin(list(some))], classes) for some in (images, chosen_by)
        )
        fitted[fold] = detection.train(f"{name}-{fold}", train, validation, recipe, **study.settings, score=ap_scores)
    return fitted


def detect(study: Study, detectors: Mapping[int, Fitted], least: float = SEEN) -> pd.DataFrame:
    """Return what the detector of each fold finds in the images of its fold, suppressed within classes."""
    options = {"score": least, "nms_iou": NMS_IOU, "most": DETECTIONS, "device": study.device}
    tables = [predict_boxes(one.model, study.of_fold(fold), **options) for fold, one in detectors.items()]
    return pd.concat(tables, ignore_index=True)


def train_classifiers(
    study: Study, name: str, crops: np.ndarray, table: pd.DataFrame, classes: Sequence[str], recipe: CellRecipe,
    held_blocks: int = 0,
) -> dict[int, Fitted]:  # fmt: skip
    """Train a classifier of crops a fold.

    Parameters
    ----------
    name
        Of the checkpoints.
    crops, table
        uint8 (n, side, side, 3), and the ``image`` and ``class`` of each.
    classes
        The types.
    recipe
        How.
    held_blocks
        First blocks of a vision transformer that do not learn, see `hold_blocks`.

    Raises
    ------
    wbc_utils.models.ModelError
        As `wbc_utils.classification.CellTask` and `hold_blocks`.
    """
    cells, fitted = Cells.of(crops, list(table["class"]), classes), {}
    for fold in study.folds:
        repro.progress(f"{name}, fold {fold}")
        train, validation = (cells.subset(table["image"].isin(part).to_numpy()) for part in study.parts(fold).values())
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(study.seed)
            model = build(
                recipe.architecture, tuple(classes), recipe.init, stem_stride=recipe.stem_stride,
                drop_path=recipe.drop_path,
            )  # fmt: skip
        hold_blocks(model, held_blocks)
        task = TypeTask(model, train, validation, recipe, study.seed, study.device)
        arrays = [part for some in (train, validation) for part in (some.pixels, some.labels)]
        fitted[fold] = multilabel.keyed_fit(f"{name}-{fold}", task, recipe, __name__, arrays, **study.settings)
    return fitted


def train_image_classifiers(
    study: Study, name: str, images: multilabel.TypedImages, recipe: CellRecipe
) -> dict[int, Fitted]:
    """Train a classifier of whole images a fold.

    Parameters
    ----------
    name
        Of the checkpoints.
    images
        Named as those of the study, or `PAINTED` and such a name.
    recipe
        How.

    Raises
    ------
    wbc_utils.models.ModelError
        As `wbc_utils.multilabel.train`.
    """
    origin, fitted = pd.Series(images.names).str.removeprefix(PAINTED), {}
    for fold in study.folds:
        repro.progress(f"{name}, fold {fold}")
        train, validation = (images.subset(origin.isin(part).to_numpy()) for part in study.parts(fold).values())
        fitted[fold] = multilabel.train(f"{name}-{fold}", train, validation, recipe, **study.settings)
    return fitted


def hold_blocks(model: CellClassifier, blocks: int) -> None:
    """Hold the embedding of patches and the first blocks of a vision transformer fixed; done in place.

    Raises
    ------
    wbc_utils.models.ModelError
        If the network has no blocks, fewer, or random weights, which would be held fixed.
    """
    if not blocks:
        return
    found = len(getattr(model.backbone, "blocks", ()))
    if not 0 < blocks <= found or model.init == "random":
        raise ModelError(
            f"{blocks} blocks of {model.architecture} ({model.init}) cannot be held: it has {found}, and random "
            "weights must learn; give 0, or a vision transformer with weights"
        )
    first = {f"blocks.{number}" for number in range(blocks)}
    model.trainable = {
        weight for weight in model.trainable
        if weight.startswith(("blocks.", "norm.", "fc_norm.")) and ".".join(weight.split(".")[:2]) not in first
    }  # fmt: skip
    model.freeze_backbone(model.frozen)
