"""Trials of detectors: one training judged on images left out, and learning rates chosen by cross-validation."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from wbc_utils import repro
from wbc_utils.detection import DetectionRecipe, predict_boxes, train
from wbc_utils.fit import DivergenceError
from wbc_utils.manifest import write_together
from wbc_utils.metrics.coco import ap_scores
from wbc_utils.models.boxed_images import BoxedImages
from wbc_utils.models.postprocess import DETECTIONS, PREDICTION_COLUMNS
from wbc_utils.recipe import FitError

AP = "validation_ap"
"""Column of a history that rates, epochs and factors are judged by."""

NMS_IOU = 0.5
"""IoU of suppression, within classes, of every detector."""

FIRST_LOOK, FOLDS = "first look", "folds"
"""Stages of a sweep."""


@dataclass(frozen=True, eq=False)
class Trial:
    """What a training left, judged on images that it did not learn from.

    Attributes
    ----------
    history
        One row an epoch, see `wbc_utils.fit.Fitted`. Of a training that diverged every epoch has an AP of 0.
    predictions
        On the images left out, with the weights of its best epoch, suppressed at `NMS_IOU`.
    """

    history: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def diverged(self) -> bool:
        """Whether loss or weights ceased to be numbers."""
        return "loss" not in self.history


@dataclass(frozen=True, eq=False)
class Sweep:
    """What cross-validation says of the learning rates of one detector.

    Attributes
    ----------
    recipe
        With the rate and the number of epochs whose mean AP over the folds is highest.
    scores
        A row a ``stage`` (`FIRST_LOOK`, `FOLDS`), ``rate``, ``fold`` and ``epoch``: ``AP``, ``diverged``.
    predictions
        On the images of the folds, each by a network that did not learn from it, with the chosen rate.
    """

    recipe: DetectionRecipe
    scores: pd.DataFrame
    predictions: pd.DataFrame

    def curves(self) -> pd.DataFrame:
        """Return AP over the folds by ``rate`` and ``epoch``: ``mean``, ``sd`` (n − 1), ``folds``.

        A rate that did not pass the first look has the epochs of that one, on one fold.
        """
        first, all_folds = (_curves(self.scores, stage) for stage in (FIRST_LOOK, FOLDS))
        return pd.concat([all_folds, first[~first["rate"].isin(all_folds["rate"])]], ignore_index=True)

    def frame(self) -> pd.DataFrame:
        """Return one row a stage and rate: its folds, its best epoch with AP and deviation, how often it diverged."""
        rows = []
        for (stage, rate), own in self.scores.groupby(["stage", "rate"], sort=False):
            means = own.groupby("epoch")["AP"].agg(["mean", "std"])
            best = means["mean"].idxmax()
            rows.append(
                {"stage": stage, "learning rate": f"{rate:g}", "folds": own["fold"].nunique(), "best epoch": best,
                 "AP": means["mean"][best], "deviation": means["std"][best],
                 "diverged": own[own["diverged"]]["fold"].nunique()}
            )  # fmt: skip
        return pd.DataFrame(rows)


def attempt(
    images: BoxedImages, left_out: BoxedImages, recipe: DetectionRecipe, *, seed: int, device: str, folder: Path
) -> Trial:
    """Train a detector and judge it on images that were left out; what was done before is read again.

    Only history and predictions are kept: the weights of tens of trainings would fill a disk.

    Parameters
    ----------
    images, left_out
        To learn from, and to be judged on after each epoch.
    recipe
        How; its alarm is off, since to find nothing is a result here.
    seed, device
        See `wbc_utils.detection.train`.
    folder
        Of what is kept.

    Raises
    ------
    wbc_utils.models.ModelError
        As `wbc_utils.detection.train`.
    """
    recipe = replace(recipe, alarm_epochs=None)
    path = folder / f"{_key(images, left_out, recipe, seed, device)}.json"
    if not path.is_file():
        trial = _attempt(images, left_out, recipe, seed, device)
        parts = {"history": trial.history.to_dict("list"), "predictions": trial.predictions.to_dict("list")}
        write_together({path: json.dumps(parts)})
    return Trial(**{part: pd.DataFrame(table) for part, table in json.loads(path.read_text()).items()})


def sweep(
    images: BoxedImages,
    folds: np.ndarray,
    recipe: DetectionRecipe,
    rates: Sequence[float],
    *,
    rotations: int,
    scout_epochs: int,
    finalists: int,
    seed: int,
    device: str,
    folder: Path,
) -> Sweep:
    """Choose learning rate and number of epochs of a detector by cross-validation.

    Where not all rates are finalists, a first look of a few epochs on the first fold chooses those that are (one step
    of successive halving, Jamieson & Talwalkar 2016). A curve may be read at any epoch only if the schedule does not
    know where it ends: ``constant`` or ``step``.

    Parameters
    ----------
    images, folds
        Of the training part, and the fold of each, (n,).
    recipe
        With the largest number of epochs.
    rates
        Learning rates, in the order of preference among equals.
    rotations
        Folds that are left out in turn: the first so many.
    scout_epochs, finalists
        Of the first look, and how many rates it lets through.
    seed, device, folder
        See `attempt`.

    Raises
    ------
    FitError
        If the schedule ends with the last epoch, or a number is out of range.
    """
    numbers = np.unique(folds)
    if recipe.schedule not in ("constant", "step"):
        raise FitError(f"the schedule {recipe.schedule} ends with the last epoch; choose constant or step")
    for name, found, most in (("rotations", rotations, len(numbers)), ("finalists", finalists, len(rates))):
        if not 1 <= found <= most:
            raise FitError(f"{name} is {found}; give a number from 1 to {most}")
    trials: dict[tuple[str, float, int], Trial] = {}

    def run(stage: str, rate: float, fold: int, epochs: int) -> None:
        repro.progress(f"{recipe.architecture}, {stage}: rate {rate:g}, fold {fold}")
        inside, left_out = (images.subset(np.flatnonzero(chosen)) for chosen in (folds != fold, folds == fold))
        tried = replace(recipe, learning_rate=rate, epochs=epochs)
        trials[stage, rate, fold] = attempt(inside, left_out, tried, seed=seed, device=device, folder=folder)

    kept = list(rates)
    if finalists < len(rates):
        for rate in rates:
            run(FIRST_LOOK, rate, numbers[0], scout_epochs)
        seen = {rate: trials[FIRST_LOOK, rate, numbers[0]].history[AP].max() for rate in rates}
        kept = sorted(rates, key=lambda rate: -seen[rate])[:finalists]
    for rate in kept:
        for fold in numbers[:rotations]:
            run(FOLDS, rate, fold, recipe.epochs)
    scores = pd.concat([_scores(*place, trial) for place, trial in trials.items()], ignore_index=True)
    curves = _curves(scores, FOLDS)
    best = curves.loc[curves["mean"].idxmax()]
    chosen = replace(recipe, learning_rate=float(best["rate"]), epochs=int(best["epoch"]))
    found = [trials[FOLDS, chosen.learning_rate, fold].predictions for fold in numbers[:rotations]]
    return Sweep(chosen, scores, pd.concat(found, ignore_index=True))


def _attempt(images: BoxedImages, left_out: BoxedImages, recipe: DetectionRecipe, seed: int, device: str) -> Trial:
    try:
        fitted = train("trial", images, left_out, recipe, seed=seed, device=device, folder=None, score=_score)
    except DivergenceError:
        history = pd.DataFrame({"epoch": range(1, recipe.epochs + 1), AP: 0.0})
        return Trial(history, pd.DataFrame(columns=list(PREDICTION_COLUMNS)))
    shown = dict(zip(left_out.names, left_out.images, strict=True))
    found = predict_boxes(fitted.model, shown, nms_iou=NMS_IOU, most=DETECTIONS, batch_size=recipe.batch_size)
    return Trial(fitted.history, found)


def _score(*tables: object) -> dict[str, float]:
    """Return `wbc_utils.metrics.coco.ap_scores` with AP first, which is what is watched."""
    found = ap_scores(*tables)
    return {AP: found[AP], **found}


def _key(images: BoxedImages, left_out: BoxedImages, recipe: DetectionRecipe, seed: int, device: str) -> str:
    """Return what identifies an attempt: data, recipe, first weights, seed, code, libraries."""
    parts = [
        repr(array.shape).encode() + array.tobytes()
        for some in (images, left_out)
        for arrays in (some.images, some.boxes, some.labels)
        for array in arrays
    ]
    first = Path(recipe.init)
    parts += [first.read_bytes()] if first.is_file() else []
    versions = [repro.versions()[name] for name in ("torch", "timm", "torchvision")]
    head = f"{images.classes} {images.names} {left_out.names} {recipe} {seed} {device} {_code()} {versions}"
    return f"{recipe.architecture}-{repro.digest_bytes(head.encode(), *parts)[:16]}"


@cache
def _code() -> str:
    return repro.code_digest("wbc_utils.detection", "wbc_utils.metrics.coco")


def _scores(stage: str, rate: float, fold: int, trial: Trial) -> pd.DataFrame:
    columns = {"stage": stage, "rate": rate, "fold": fold, "epoch": trial.history["epoch"], "AP": trial.history[AP]}
    return pd.DataFrame({**columns, "diverged": trial.diverged})


def _curves(scores: pd.DataFrame, stage: str) -> pd.DataFrame:
    by_epoch = scores[scores["stage"] == stage].groupby(["rate", "epoch"], sort=False)["AP"]
    return by_epoch.agg(mean="mean", sd="std", folds="size").reset_index()
