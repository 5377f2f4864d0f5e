"""Probabilities of cells by networks that did not see them: one network a fold, trained on the others."""

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from wbc_utils import predict, repro
from wbc_utils.classification import CellRecipe, Cells, train
from wbc_utils.data.splits import stratified_groups

INNER_FRACTIONS = {"train": 0.9, "validation": 0.1}
"""Of the cells outside a fold: what its network learns from, and what chooses its epoch. The fold itself chooses
nothing."""


def out_of_fold(
    cells: Cells,
    groups: Sequence[Hashable],
    folds: np.ndarray,
    recipe: CellRecipe,
    *,
    seed: int,
    device: str,
    folder: Path,
) -> np.ndarray:
    """Return the probabilities of each cell by the network of its fold, (n, k).

    Parameters
    ----------
    cells
        With the labels to learn.
    groups
        Duplicate cluster of each cell; must lie in one fold, (n,).
    folds
        Fold in which each cell is left out, (n,).
    recipe, seed, device, folder
        See `wbc_utils.classification.train`.

    Raises
    ------
    wbc_utils.models.ModelError
        If a class is missing outside a fold.
    wbc_utils.data.splits.SplitError
        If lengths differ.
    """
    groups, found = np.asarray(groups), np.zeros((len(cells), len(cells.classes)))
    for number, fold in enumerate(np.unique(folds)):
        repro.progress(f"network {number + 1} of {len(np.unique(folds))}, out of fold")
        outside, left_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part = stratified_groups(cells.labels[outside], groups[outside], INNER_FRACTIONS, seed)
        inner = {name: cells.subset(outside[part == name]) for name in INNER_FRACTIONS}
        fitted = train(
            f"fold-{fold}", inner["train"], inner["validation"], recipe, seed=seed, device=device, folder=folder
        )
        logits = predict.logits(fitted.model, cells.subset(left_out).pixels, recipe.views, device=device)
        found[left_out] = predict.combine(logits, recipe.temperature, average="logits")
    return found
