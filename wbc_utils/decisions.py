"""Pipelines of the networks of each fold: what they say, what is decided from it, and how that is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils import predict
from wbc_utils.data.crops import crops_of
from wbc_utils.fit import Fitted
from wbc_utils.manifest import Metric
from wbc_utils.metrics import challenge
from wbc_utils.metrics.bootstrap import Interval
from wbc_utils.metrics.coco import MEAN
from wbc_utils.metrics.detection import Detections
from wbc_utils.sightings import Settings, Sightings
from wbc_utils.stages import Study
from wbc_utils.trials import NMS_IOU
from wbc_utils.two_stage import TwoStage, sightings


def pipelines(
    detectors: Mapping[int, Fitted],
    classifiers: Mapping[int, Fitted],
    image_classifiers: Mapping[int, Fitted] | None = None,
    **options,
) -> dict[int, TwoStage]:
    """Join the networks of each fold to a pipeline; ``options`` are those of `wbc_utils.two_stage.TwoStage`."""
    return {
        fold: TwoStage(
            [one.model],
            [classifiers[fold].model],
            [image_classifiers[fold].model] if image_classifiers else [],
            nms_iou=NMS_IOU,
            **options,
        )
        for fold, one in detectors.items()
    }


def ensemble(several: Mapping[int, TwoStage]) -> TwoStage:
    """Join the pipelines of all folds to one, for images that none of them has seen."""
    first = next(iter(several.values()))
    names = ("detectors", "classifiers", "image_classifiers")
    networks = ([network for one in several.values() for network in getattr(one, name)] for name in names)
    same = ("crop_px", "whole_px", "nms_iou", "mirrored", "settings")
    return TwoStage(*networks, **{name: getattr(first, name) for name in same})


def look(study: Study, several: Mapping[int, TwoStage]) -> Sightings:
    """Return what the pipeline of each fold says of the images of its fold."""
    return Sightings.join(
        [sightings(pipeline.to(study.device), study.of_fold(fold)) for fold, pipeline in several.items()]
    )


def judge(found: pd.DataFrame, truth: pd.DataFrame, classes: Sequence[str]) -> challenge.Taken:
    """Give each true box its prediction, in the images that have a true box.

    Parameters
    ----------
    found
        Detections with ``image``, ``class``, ``score`` and coordinates, perhaps also of other images.
    truth
        Typed cells of images all of whose cells are typed.
    classes
        The types.
    """
    images = list(dict.fromkeys(truth["image"]))
    return challenge.take(Detections.of(truth, found[found["image"].isin(images)], images, classes))


@dataclass(frozen=True, eq=False)
class Decision:
    """What networks said, decided with settings that were chosen by the challenge's score.

    Attributes
    ----------
    detections, score
        Of each fold with the settings that are best on the other folds, and their score on all folds.
    by_fold
        Those settings.
    best, best_score
        The settings that are best on all folds, and their score there: of those who chose themselves, hence too good.
    overall
        For images in no fold, of which ensembles may be asked: the lowest least score of all, since a fused score falls
        with the share of networks that saw the box and the challenge charges nothing for surplus boxes; and the share
        that is best with it on all folds.
    """

    detections: pd.DataFrame
    score: float
    by_fold: dict[int, Settings]
    best: Settings
    best_score: float
    overall: Settings


def decide(
    seen: Sightings, grid: Sequence[Settings], truth: pd.DataFrame, folds: pd.Series, classes: Sequence[str]
) -> Decision:
    """Choose settings on all folds but one and decide that one with them, in turn.

    Parameters
    ----------
    seen
        Of the images in folds.
    grid
        Settings to choose from; of equally good ones the first.
    truth, classes
        See `judge`.
    folds
        By image.

    Raises
    ------
    wbc_utils.metrics.MetricError
        As `wbc_utils.metrics.challenge.choose_outside`.
    """
    tables = [seen.decided(settings) for settings in grid]
    judged = [judge(table, truth, classes) for table in tables]
    chosen = challenge.choose_outside(judged, folds.to_dict())
    parts = [tables[place][tables[place]["image"].map(folds) == fold] for fold, place in chosen.items()]
    detections = pd.concat(parts, ignore_index=True)
    scores = np.array([challenge.score(one) for one in judged])
    lowest = np.array([settings.least_score for settings in grid]) == min(settings.least_score for settings in grid)
    return Decision(
        detections,
        challenge.score(judge(detections, truth, classes)),
        {fold: grid[place] for fold, place in chosen.items()},
        grid[int(scores.argmax())],
        float(scores.max()),
        grid[int(np.where(lowest, scores, -np.inf).argmax())],
    )


def choices(decided: Mapping[str, Decision]) -> pd.DataFrame:
    """Return what was chosen for what, and the score on all folds if each fold is, or is not, blind to its choice.

    Returns
    -------
    pandas.DataFrame
        ``rung``, ``used for``, ``least score``, ``share of the whole image``, ``challenge score``.
    """
    rows = []
    for rung, one in decided.items():
        rows += [
            (rung, f"fold {fold}, chosen on the others", *settings, None) for fold, settings in one.by_fold.items()
        ]
        rows += [
            (rung, "all folds, each with its own of these", None, None, one.score),
            (rung, "all folds, by which it was chosen", *one.best, one.best_score),
            (rung, "locked images", *one.overall, None),
        ]
    columns = ["rung", "used for", "least score", "share of the whole image", "challenge score"]
    return pd.DataFrame(rows, columns=columns)


def name_true_boxes(study: Study, classifiers: Mapping[int, Fitted], truth: pd.DataFrame, side: int) -> pd.DataFrame:
    """Return the true boxes with the types that the classifier of each fold gives them, score 1."""
    tables = []
    for fold, fitted in classifiers.items():
        images = study.of_fold(fold)
        own = truth[truth["image"].isin(list(images))]
        logits = predict.logits(fitted.model, crops_of(images, own, side), device=study.device)[0]
        said = np.array(fitted.model.classes, dtype=object)[logits.argmax(axis=1)]
        tables.append(own.assign(**{"class": said, "score": 1.0}))
    return pd.concat(tables, ignore_index=True)


def scattered(found: pd.DataFrame, sizes: pd.DataFrame, step: float = 0.1) -> pd.DataFrame:
    """Return each box nine times: as it is, and shifted by a share of its sides in eight directions.

    No better detector does that; it shows what a score makes of it.

    Parameters
    ----------
    found
        Detections.
    sizes
        ``width`` and ``height`` by image, px; boxes end at the border.
    step
        Share of the sides.
    """
    several = []
    width, height = (found["image"].map(sizes[side]).to_numpy(float) for side in ("width", "height"))
    across, down = (step * (found[f"{axis}max"] - found[f"{axis}min"]) for axis in "xy")
    for right in (0, -1, 1):
        for below in (0, -1, 1):
            moved = {f"x{end}": (found[f"x{end}"] + right * across).clip(0, width) for end in ("min", "max")}
            moved |= {f"y{end}": (found[f"y{end}"] + below * down).clip(0, height) for end in ("min", "max")}
            several.append(found.assign(**moved))
    both = pd.concat(several, ignore_index=True)
    area = (both["xmax"] > both["xmin"]) & (both["ymax"] > both["ymin"])
    return both[area].reset_index(drop=True)


def mean_ap50(intervals: pd.DataFrame) -> Interval:
    """Return the row of AP50, mean over classes, of what `wbc_utils.metrics.coco.ap_interval` or its like returns.

    Bounds are NaN where they coincide, as in `wbc_utils.metrics.challenge.intervals`.
    """
    row = intervals[(intervals["class"] == MEAN) & (intervals["metric"] == "AP50")].iloc[0]
    low, high = (float(row[part]) for part in ("low", "high"))
    bounds = (low, high) if low < high else (np.nan, np.nan)
    return Interval(float(row["value"]), *bounds, int(row["n"]))


def known(bounds: tuple[float, float]) -> tuple[float, float] | None:
    """Return the bounds of an interval, None where they are NaN: then a number is given without."""
    return None if np.isnan(bounds).any() else bounds


def in_words(gains: Mapping[str, Metric]) -> str:
    """Say which parts gain with their whole interval above zero, which below, and which leave it open."""
    helps, harms, leaves = "these parts help", "these harm", "these are not told apart from no change"
    sides = {helps: [], harms: [], leaves: []}
    for name, gain in gains.items():
        low, high = gain.ci or (0, 0)
        sides[helps if low > 0 else harms if high < 0 else leaves].append(name)
    return "; ".join(f"{side}: {', '.join(names) or 'none'}" for side, names in sides.items())


def as_dots(ladder: pd.DataFrame) -> pd.DataFrame:
    """Return a ladder as `wbc_utils.figures.classification.scores` draws it; without an interval a dot stands alone."""
    dots = ladder.rename(columns={"rung": "name", "score": "value"})
    return dots.assign(**{bound: dots[bound].fillna(dots["value"]) for bound in ("low", "high")})
