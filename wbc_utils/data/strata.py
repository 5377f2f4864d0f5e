"""Folds of fields of white cells in the manner of report 000.

Images are stratified by the set of types they show, the number of cells, the size of the largest, and the mean and
spread of each colour; duplicates stay together.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from wbc_utils.data.splits import SplitError, multilabel_folds
from wbc_utils.data.white_cells import WhiteCells

SIZE_BINS = 4
"""Quantile bins of the largest cell of an image."""

MOST_COUNTED = 3
"""Images with so many cells or more are one stratum."""

LOCKED = -1
"""Number of the part that is in no fold and decides nothing."""

_STEP = 4  # px between the pixels whose colour is looked at


def colours(images: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return mean and standard deviation of each colour of images, by name.

    Parameters
    ----------
    images
        uint8 (h, w, 3) by name.
    """
    rows = {}
    for name, image in images.items():
        seen = image[::_STEP, ::_STEP].reshape(-1, 3).astype(float)
        rows[name] = [*seen.mean(axis=0), *seen.std(axis=0)]
    names = [f"{what} {colour}" for what in ("mean", "spread") for colour in ("red", "green", "blue")]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def field_folds(cells: WhiteCells, looks: pd.DataFrame, clusters: Sequence, k: int, seed: int) -> pd.Series:
    """Return the fold of each image.

    Parameters
    ----------
    cells
        The white cells, perhaps also of other images.
    looks
        Of the images to divide, from `colours`; each is cut at its median.
    clusters
        Of duplicates, in the order of ``looks``; each lies in one fold.
    k, seed
        See `wbc_utils.data.splits.multilabel_folds`.

    Returns
    -------
    pandas.Series
        Fold, 0 to k − 1, by image.

    Raises
    ------
    wbc_utils.data.splits.SplitError
        As `wbc_utils.data.splits.multilabel_folds`.
    """
    boxes = cells.boxes
    area = ((boxes["xmax"] - boxes["xmin"]) * (boxes["ymax"] - boxes["ymin"])).groupby(boxes["image"]).max()
    numbers = boxes["image"].value_counts()
    largest = area.reindex(looks.index).fillna(0)
    counted = {image: ("cells", min(numbers.get(image, 0), MOST_COUNTED)) for image in looks.index}
    high = looks > looks.median()
    sets = [{*cells.types.get(image, ()), counted[image], *high.columns[high.loc[image]]} for image in looks.index]
    size = pd.qcut(largest, SIZE_BINS, labels=False, duplicates="drop")
    bright = looks.filter(like="mean").mean(axis=1)
    folds = multilabel_folds(sets, size, bright > bright.median(), clusters, k, seed)
    return pd.Series(folds, index=looks.index, name="fold")


def plan(cells: WhiteCells, looks: pd.DataFrame, splits: pd.DataFrame, k: int, seed: int) -> pd.DataFrame:
    """Divide images into folds and a locked part: the published test images, else one more fold.

    Parameters
    ----------
    cells, looks, k, seed
        See `field_folds`; ``looks`` has a row for each image that is used.
    splits
        By image: ``split`` and ``cluster``, from notebook 01.

    Returns
    -------
    pandas.DataFrame
        By image: ``fold`` (`LOCKED` for the locked part), ``cluster``, and ``stratum``, the types it shows in words.
    """
    known = splits.loc[looks.index]
    locked = (known["split"] == "test") & known.index.isin(cells.boxes["image"])
    divided = known.index[~locked & (known["split"] != "test")]
    extra = not locked.any()
    folds = field_folds(cells, looks.loc[divided], list(known.loc[divided, "cluster"]), k + extra, seed)
    numbers = pd.concat([folds.replace(k, LOCKED), pd.Series(LOCKED, index=known.index[locked])])
    words = [" ".join(sorted(cells.types.get(image, ()))) for image in numbers.index]
    return pd.DataFrame({"fold": numbers, "cluster": known.loc[numbers.index, "cluster"], "stratum": words})


def require_every_class(typed: pd.DataFrame, folds: pd.Series, classes: Sequence[str]) -> None:
    """Refuse folds outside one of which a class has no cell to learn from.

    Parameters
    ----------
    typed
        ``image`` and ``class`` of the cells.
    folds
        By image.

    Raises
    ------
    wbc_utils.data.splits.SplitError
        Naming fold and class.
    """
    found = pd.crosstab(typed["class"], typed["image"].map(folds)).reindex(list(classes), fill_value=0)
    for fold in sorted(set(folds)):
        outside = found.drop(columns=fold, errors="ignore").sum(axis=1)
        if not outside.all():
            absent = ", ".join(outside.index[outside == 0])
            raise SplitError(
                f"all cells of {absent} lie in fold {fold}, so that nothing of it is left to learn from; use another "
                "seed or fewer folds, or leave the class out"
            )
