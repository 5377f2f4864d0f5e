"""Tables of true and predicted boxes: written down, drawn at random, and drawn by hypothesis."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from wbc_utils.metrics.detection import COORDINATES, Detections

CLASSES = ("RBC", "WBC", "Platelets")


def truth_table(*rows):
    """Return true boxes from rows of image, class and four coordinates."""
    return pd.DataFrame(rows, columns=["image", "class", *COORDINATES])


def prediction_table(*rows):
    """Return predictions from rows of image, class, four coordinates and score."""
    return pd.DataFrame(rows, columns=["image", "class", *COORDINATES, "score"])


def detections(truth, predictions, images=("a",), classes=("RBC",)):
    """Return checked detections of rows."""
    return Detections.of(truth_table(*truth), prediction_table(*predictions), images, classes)


def random_tables(seed, images=20, cells=8, classes=CLASSES, extra=4):
    """Return true boxes, predictions and the names of the images.

    Predictions are the true boxes displaced, with nine in ten found, some twice, some of the wrong class, and ``extra``
    boxes an image anywhere. The last image has no true box, the one before no prediction.
    """
    rng = np.random.default_rng(seed)
    names = [f"image_{number:04d}" for number in range(images)]
    shares = 1 / np.arange(1, len(classes) + 1)

    def boxes(number):
        low, side = rng.uniform(0, 200, (number, 2)), rng.uniform(20, 60, (number, 2))
        return np.hstack([low, low + side])

    def table(image, label, corners):
        columns = dict(zip(COORDINATES, corners.T, strict=True))
        return pd.DataFrame({"image": np.array(names)[image], "class": np.array(classes)[label], **columns})

    image = np.repeat(np.arange(images - 1), rng.poisson(cells, images - 1))
    label = rng.choice(len(classes), len(image), p=shares / shares.sum())
    corners = boxes(len(image))
    again = np.flatnonzero(rng.random(len(image)) < 0.9)
    again = np.concatenate([again, again[rng.random(len(again)) < 0.2]])
    moved = corners[again] + rng.normal(0, 3, (len(again), 4))
    wrong = np.where(rng.random(len(again)) < 0.1, rng.integers(0, len(classes), len(again)), label[again])
    stray = np.repeat(np.arange(images), rng.poisson(extra, images))
    predicted_image = np.concatenate([image[again], stray])
    predicted = table(
        predicted_image,
        np.concatenate([wrong, rng.integers(0, len(classes), len(stray))]),
        np.vstack([moved, boxes(len(stray))]),
    ).assign(score=np.concatenate([rng.beta(4, 2, len(again)), rng.beta(2, 4, len(stray))]))
    return table(image, label, corners), predicted[predicted_image != images - 2].reset_index(drop=True), names


@st.composite
def drawn_tables(draw, tied=True):
    """Draw true boxes, predictions and images: few, on a coarse grid, so that ties of IoU and of score are common."""
    images, classes = ["a", "b", "c"], CLASSES[:2]
    side = st.integers(1, 4)
    box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), st.integers(0, 4), st.integers(0, 4), side, side)
    place = st.tuples(st.sampled_from(images), st.sampled_from(classes), box)
    truth = draw(st.lists(place, max_size=10))
    found = draw(st.lists(place, max_size=14))
    if tied:
        scores = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=len(found), max_size=len(found)))
    else:
        scores = draw(st.permutations(np.linspace(0, 1, len(found)).tolist()))
    rows = [(image, label, *corners, score) for (image, label, corners), score in zip(found, scores, strict=True)]
    return truth_table(*[(image, label, *corners) for image, label, corners in truth]), prediction_table(*rows), images
