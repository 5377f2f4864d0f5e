"""Cohorts whose answer is known: age and count tell a little, the cells a lot, or nothing does."""

import numpy as np
import torch

from wbc_utils.models.bags import Bags
from wbc_utils.models.cohort import Cohort

WIDTH, FEATURES = 6, 4


def draw_cohort(n=40, cells=2.0, clinic=0.5, seed=0, largest=6):
    """Return n patients, every third reactive; means of the classes differ by so many deviations."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 > 0).astype(int)
    sizes = torch.from_numpy(rng.integers(1, largest + 1, n))
    shift = cells * (np.repeat(labels, sizes) - 0.5)
    images = rng.normal(size=(len(shift), WIDTH))
    handmade = rng.normal(size=(len(shift), FEATURES))
    images[:, 0] += shift
    handmade[:, 1] += shift
    age = rng.normal(60 + 10 * clinic * (labels - 0.5), 10)
    count = 10 ** rng.normal(1 + 0.3 * clinic * (labels - 0.5), 0.3)
    bags = [Bags(torch.from_numpy(part).float(), sizes) for part in (images, handmade)]
    return Cohort(labels, age, count, *bags)


def draw_pixels(n=8, side=32, seed=0):
    """Return patients with images, uint8, darker in malignant ones."""
    cohort, rng = draw_cohort(n, seed=seed, largest=3), np.random.default_rng(seed)
    shade = 150 - 60 * np.repeat(cohort.labels, cohort.images.sizes)
    pixels = np.clip(rng.normal(shade[:, None, None, None], 20, (len(shade), side, side, 3)), 0, 255)
    return cohort.with_images(torch.from_numpy(pixels.astype(np.uint8)))
