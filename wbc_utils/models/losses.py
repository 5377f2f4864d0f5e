"""Losses and class weights for unbalanced classes."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from wbc_utils.models import ModelError

Scheme = Literal["none", "log", "inverse_sqrt", "effective_number"]

_BETA = 0.999  # of the effective number: items beyond about a thousand of a class add nothing new


def class_weights(counts: Mapping[str, int] | pd.Series | Sequence[int], scheme: Scheme) -> np.ndarray:
    """Return weights that raise rare classes, with mean 1 over the items.

    Of n items of a class and N in all: ``log`` is log(1 + N/n), ``inverse_sqrt`` 1/√n, ``effective_number``
    (1 - β)/(1 - βⁿ) with β = 0.999; ``none`` weighs all alike.

    Parameters
    ----------
    counts
        Items of each class of the training part; the keys, or the positions, name the classes in errors.
    scheme
        Name of the formula.

    Returns
    -------
    numpy.ndarray
        float64 (k,), in the order of the counts.

    Raises
    ------
    ModelError
        If a class has no items or the scheme is unknown.

    References
    ----------
    Y. Cui et al. (2019), *Class-balanced loss based on effective number of samples*, CVPR, equation 2.
    """
    if scheme not in get_args(Scheme):
        raise ModelError(f"no class weights {scheme!r}; choose one of {', '.join(get_args(Scheme))}")
    named = pd.Series(counts, dtype=float)
    if absent := [str(name) for name in named.index[named <= 0]]:
        raise ModelError(
            f"no item to weigh in the training part of class {', '.join(absent)}; "
            "leave the class out or choose a split in which it occurs"
        )
    n = named.to_numpy()
    weights = {
        "none": lambda: np.ones_like(n),
        "log": lambda: np.log1p(n.sum() / n),
        "inverse_sqrt": lambda: 1 / np.sqrt(n),
        "effective_number": lambda: (1 - _BETA) / (1 - _BETA**n),
    }[scheme]()
    return weights * n.sum() / (n * weights).sum()


def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 0.0, weights: Tensor | None = None) -> Tensor:
    """Return the focal loss, of hard or soft targets, weighted by class.

    With probabilities p, target shares q and class weights w, summed over items and classes:
    Σ q w (1 - p)^γ (-log p) / Σ q w. For γ = 0 and hard targets this is the weighted cross entropy of PyTorch.

    Parameters
    ----------
    logits
        (n, k) of any floating type; half precision is computed in float32.
    targets
        Classes, int64 (n,), or shares of the classes, floating (n, k), as MixUp makes them.
    gamma
        Focusing exponent, at least 0: how much less well classified items count.
    weights
        (k,), of the classes; without them all count alike.

    Returns
    -------
    Tensor
        Scalar.

    Raises
    ------
    ModelError
        If the shapes do not fit together or γ is negative.

    References
    ----------
    T.-Y. Lin et al. (2017), *Focal loss for dense object detection*, ICCV, equation 5; there for two classes and hard
    targets.
    """
    if gamma < 0:
        raise ModelError(f"gamma of the focal loss is {gamma}; choose 0 (cross entropy) or more")
    log_p = functional.log_softmax(logits, dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))
    shares = _shares(targets, log_p)
    if weights is not None:
        shares = shares * weights.to(shares)
    loss = -log_p
    if gamma:
        # Where p rounds to 1 the slope of a power below 1 is infinite: stop just before.
        missing = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).eps)
        loss = loss * missing**gamma
    return (shares * loss).sum() / shares.sum()


def _shares(targets: Tensor, log_p: Tensor) -> Tensor:
    """Return the targets as shares of the classes, (n, k)."""
    n, k = log_p.shape
    if targets.shape == (n,) and not targets.is_floating_point():
        return functional.one_hot(targets, k).to(log_p.dtype)
    if targets.shape == (n, k) and targets.is_floating_point():
        return targets.to(log_p.dtype)
    raise ModelError(
        f"targets of shape {tuple(targets.shape)} and type {targets.dtype} do not fit logits of shape {(n, k)}; "
        f"give classes, int64 ({n},), or shares, floating ({n}, {k})"
    )
