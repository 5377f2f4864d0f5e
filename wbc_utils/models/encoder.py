"""A network that looks at the cells of patients and learns together with what judges the patients."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wbc_utils.models.backbones import CellClassifier, add_lora, build


class BagEncoder(nn.Module):
    """A backbone of cells whose answer to a cell does not depend on the other cells of a batch.

    Layers that normalise over a batch keep the statistics that they came with: of random weights mean 0 and variance 1.
    Training with packed bags and patient after patient then have equal gradients.

    Parameters
    ----------
    classifier
        Its head is not used.
    """

    def __init__(self, classifier: CellClassifier):
        super().__init__()
        self.classifier = classifier
        classifier.head.requires_grad_(False)
        self.width = classifier.head.in_features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the embeddings (n, d) of images (n, 3, h, w), uint8 or floating in [0, 1]."""
        return self.classifier.embed(images if images.is_floating_point() else images.float() / 255)

    def train(self, mode: bool = True) -> "BagEncoder":
        """Set training or evaluation mode, except of normalisation over batches."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


def build_encoder(architecture: str, init: str | Path, lora_rank: int = 0) -> BagEncoder:
    """Build an encoder on a timm network.

    Parameters
    ----------
    architecture, init
        See `wbc_utils.models.backbones.build`.
    lora_rank
        Rank of the low-rank updates that alone are learned, of a vision transformer; 0 learns all weights.

    Raises
    ------
    wbc_utils.models.ModelError
        As `build` and `wbc_utils.models.backbones.add_lora`.
    """
    classifier = build(architecture, ("reactive", "malignant"), init)
    if lora_rank:
        add_lora(classifier, lora_rank, alpha=2 * lora_rank)
    return BagEncoder(classifier)
