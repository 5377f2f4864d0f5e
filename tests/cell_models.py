"""Saved models whose answer is known, and folders of images to ask them about."""

import numpy as np
import torch
from PIL import Image

from wbc_utils.manifest import Metric
from wbc_utils.models.backbones import build
from wbc_utils.models.card import ModelCard
from wbc_utils.models.weights import save

METRIC = Metric(value=0.91, ci=(0.9, 0.92), n=800, split="test", init="random")


def save_certain(path, shares, **changes):
    """Save a network that gives every image the same probabilities: a share for each class, in the order given."""
    model = build("test_convnext", list(shares))
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor(list(shares.values())).log())
    fields = {
        "image_px": 32, "field_cells": 2.0, "cell_px": 16.0, "temperature": 1.0, "views": 1, "data": (),
        "metrics": {"pbc.macro_f1": METRIC}, "licence": "MIT", "seed": 0, "commit": "unknown", "versions": {},
        "intended_use": "Tests.", "limits": "Everything else.",
    }  # fmt: skip
    save(path, model, ModelCard(**{**model.identity(), **fields, **changes}))
    return path


def save_images(folder, *names, side=40, seed=0):
    """Save noise under the given names and return the folder."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(folder / name)
    return folder
