"""What a trained network says about images: logits, probabilities over views and temperature, embeddings.

Images are uint8 (n, h, w, 3) RGB, in memory or mapped from a file. They go to the device batch by batch and are there
float (n, 3, h, w) between 0 and 1; results come back to the CPU.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from wbc_utils.models import ModelError
from wbc_utils.models.device import out_of_memory

BATCH = 256
"""Images a batch where nothing else is asked for; a forward pass keeps little."""

VIEWS = 8
"""Number of views of an image: four rotations by quarters of a turn, each also mirrored (the dihedral group)."""


def logits(
    model: nn.Module, images: np.ndarray, views: int = 1, batch_size: int = BATCH, device: str | None = None
) -> np.ndarray:
    """Apply a network to images, once or in every orientation.

    A cell on a slide has no up and no left, so that each of the eight orientations is as good an image of it.

    Parameters
    ----------
    model
        From images (n, 3, h, w), float between 0 and 1, to logits (n, k). It is put into evaluation mode and stays so.
    images
        uint8 (n, h, w, 3).
    views
        1 for the images as they are, 8 for all views; the first view is the image as it is.
    batch_size
        Images a batch; each view of a batch is computed by itself and needs no more memory.
    device
        Where the model is moved to and computed; where it is by default.

    Returns
    -------
    numpy.ndarray
        float32 (views, n, k).

    Raises
    ------
    ModelError
        If the views are not 1 or 8, a logit is not finite, or the GPU's memory does not suffice.
    """
    if views not in (1, VIEWS):
        raise ModelError(f"found {views} views; allowed are 1 (the image as it is) and {VIEWS} (every orientation)")

    def see(batch: Tensor) -> Tensor:
        return torch.stack([model(_view(batch, number)) for number in range(views)], dim=1)

    found = _apply(see, model, images, batch_size, device)
    if not np.isfinite(found).all():
        rows = int((~np.isfinite(found)).any(axis=(1, 2)).sum())
        raise ModelError(
            f"the network's output is not finite for {rows} of {len(found)} images: its weights are damaged, or its "
            "training diverged. Use other weights."
        )
    return np.ascontiguousarray(found.swapaxes(0, 1))


def combine(
    logits: np.ndarray, temperature: float = 1.0, average: Literal["probabilities", "logits"] = "probabilities"
) -> np.ndarray:
    """Return one probability a class and image from the logits of its views.

    Parameters
    ----------
    logits
        (views, n, k).
    temperature
        Divides the logits before the softmax: above 1 less confident, below 1 more (Guo et al. 2017, equation 9).
    average
        What is averaged over views: probabilities, after the softmax, or logits, before it.

    Returns
    -------
    numpy.ndarray
        float64 (n, k); rows sum to 1.

    Raises
    ------
    ModelError
        If the temperature is not positive or the average unknown.
    """
    if not 0 < temperature < float("inf"):
        raise ModelError(f"found a temperature of {temperature}; it must be positive and finite, 1 changes nothing")
    scaled = np.asarray(logits, dtype=float) / temperature
    if average == "probabilities":
        return softmax(scaled, axis=2).mean(axis=0)
    if average == "logits":
        return softmax(scaled.mean(axis=0), axis=1)
    raise ModelError(f"cannot average {average!r} over views; allowed are probabilities and logits")


def embeddings(model: nn.Module, images: np.ndarray, batch_size: int = BATCH, device: str | None = None) -> np.ndarray:
    """Return the pooled features that a network sees in images, before its head.

    Parameters
    ----------
    model
        With a method ``embed`` from images (n, 3, h, w) to features (n, d). It is put into evaluation mode and stays
        so.
    images, batch_size, device
        See `logits`.

    Returns
    -------
    numpy.ndarray
        float32 (n, d).

    Raises
    ------
    ModelError
        If the GPU's memory does not suffice.
    """
    return _apply(model.embed, model, images, batch_size, device)


def _apply(
    function: Callable[[Tensor], Tensor], model: nn.Module, images: np.ndarray, batch_size: int, device: str | None
) -> np.ndarray:
    """Return what a function of batches gives for all images, float32, on the CPU."""
    if batch_size < 1:
        raise ModelError(f"found a batch size of {batch_size}; it must be at least 1")
    if not len(images):
        raise ModelError("there are no images to apply the network to; give at least one")
    if device is not None:
        model.to(device)
    model.eval()
    where = next(model.parameters()).device
    with torch.inference_mode(), out_of_memory(batch_size):
        return torch.cat([function(batch).float().cpu() for batch in _batches(images, batch_size, where)]).numpy()


def _batches(images: np.ndarray, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Yield batches on the device, float (n, 3, h, w) with the channels last in memory as they are in an image."""
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(np.array(images[start : start + batch_size]))  # a copy: a map may be read-only
        yield batch.to(device).permute(0, 3, 1, 2).float().div_(255)


def _view(batch: Tensor, number: int) -> Tensor:
    """Return one of the views of a batch (n, 3, h, w)."""
    turned = torch.rot90(batch, number % 4, (2, 3))
    return (turned if number < 4 else turned.flip(3)).contiguous(memory_format=torch.channels_last)
