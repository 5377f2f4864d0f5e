"""Images of coloured squares on white, which a tiny detector learns in seconds."""

import numpy as np
from boxes import table

from wbc_utils.models.boxed_images import BoxedImages

COLOURS = {"RBC": (200, 60, 60), "WBC": (60, 60, 200)}


def squares(number, seed=0, side=64):
    """Return images of squares of 12 to 20 px, one to three an image, none on another; both classes occur."""
    rng, images, rows = np.random.default_rng(seed), {}, []
    corners = [(x, y) for y in range(0, side - 21, 21) for x in range(0, side - 21, 21)]
    for place in range(number):
        image = np.full((side, side, 3), 240, dtype=np.uint8)
        for turn, slot in enumerate(rng.permutation(len(corners))[: rng.integers(1, 4)]):
            name, size, (x, y) = list(COLOURS)[(place + turn) % 2], int(rng.integers(12, 21)), corners[slot]
            image[y : y + size, x : x + size] = COLOURS[name]
            rows.append((f"{seed}-{place}.png", name, x, y, x + size, y + size))
        images[f"{seed}-{place}.png"] = image
    return BoxedImages.of(images, table(*rows, scored=False), tuple(COLOURS))
