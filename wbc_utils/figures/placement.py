"""Where labels go when the things they name lie on each other."""

import numpy as np

_ROUNDS = 500


def apart(places: np.ndarray, width: float, height: float) -> np.ndarray:
    """Move label centres up and down, as little as needed, until no two labels overlap.

    Parameters
    ----------
    places
        Wanted centres, (n, 2).
    width, height
        Size of a label in the same units.

    Returns
    -------
    numpy.ndarray
        Centres, (n, 2); those of labels that overlapped nothing are where they were.
    """
    moved = np.array(places, dtype=float)
    first, second = np.triu_indices(len(moved), 1)
    for _ in range(_ROUNDS):
        gap = moved[second] - moved[first]
        lack = np.where(np.abs(gap[:, 0]) < width, height - np.abs(gap[:, 1]), 0)
        if (lack <= 1e-6 * height).all():
            break
        push = np.where(gap[:, 1] >= 0, 0.5, -0.5) * np.maximum(lack, 0)
        np.add.at(moved[:, 1], second, push)
        np.add.at(moved[:, 1], first, -push)
    return moved
