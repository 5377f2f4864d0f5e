"""Agreement of two masks."""

import numpy as np

from wbc_utils.metrics import MetricError


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return Dice's coefficient 2 |A ∩ B| / (|A| + |B|) of two masks of one shape.

    Any non-zero pixel belongs to a mask. Two empty masks agree: 1. One empty mask: 0.

    Raises
    ------
    MetricError
        If the shapes differ.

    References
    ----------
    L. R. Dice (1945), *Measures of the amount of ecologic association between species*.
    """
    a, b = np.asarray(a) != 0, np.asarray(b) != 0
    if a.shape != b.shape:
        raise MetricError(f"masks of shapes {a.shape} and {b.shape} cannot be compared; bring them to one size first")
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0
