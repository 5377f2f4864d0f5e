"""True boxes, and the predictions of a detector that finds most of them several times, misses some and errs."""

import numpy as np
import pandas as pd

COORDINATES = ["xmin", "ymin", "xmax", "ymax"]
CELLS = {"RBC": 5, "WBC": 2, "Platelets": 2}  # most of an image


def table(*rows, scored=True):
    """Return a table of boxes: image, class, score (if scored), four coordinates."""
    columns = ["image", "class", *["score"] * scored, *COORDINATES]
    return pd.DataFrame(rows, columns=columns)


def draw(images=4, copies=3, seed=0, cells=CELLS, side=200):
    """Return raw predictions and true boxes of some images, whose names are returned too."""
    rng = np.random.default_rng(seed)
    names, true, raw = [f"{number}.png" for number in range(images)], [], []
    for name in names:
        for cell, most in cells.items():
            for _ in range(rng.integers(1, most + 1)):
                size = rng.uniform(20, 40, 2)
                box = np.concatenate([low := rng.uniform(0, side - 40, 2), low + size])
                true.append((name, cell, *box))
                for _ in range(rng.integers(0, copies + 1)):
                    seen = box + rng.normal(0, 4, 4)
                    said = cell if rng.random() < 0.85 else rng.choice(list(cells))
                    raw.append((name, said, rng.beta(4, 2), *seen))
        for _ in range(copies):  # nothing there
            box = np.concatenate([low := rng.uniform(0, side - 40, 2), low + 30])
            raw.append((name, rng.choice(list(cells)), rng.beta(2, 4), *box))
    raw = table(*raw)
    return raw.sample(frac=1, random_state=seed).reset_index(drop=True), table(*true, scored=False), names
