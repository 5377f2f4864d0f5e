"""The device that networks run on: which one, and what to do when its memory is full."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wbc_utils.models import ModelError

DEVICES = ("cpu", "cuda")
"""Devices that a network may be asked to run on."""

_FULL = ("out of memory", "_STATUS_ALLOC_FAILED")  # in the errors of CUDA, and of cuBLAS and cuDNN


def choose_device(name: str | None = None) -> str:
    """Return the device to use: the one named, else the GPU where there is one.

    Raises
    ------
    ModelError
        If the name is unknown, or torch sees no GPU and one is asked for.
    """
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in DEVICES:
        raise ModelError(f"there is no device {name!r}; allowed are {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError(
            "the device cuda was asked for, but torch sees no CUDA GPU. Look at the driver and at whether this torch "
            f"({torch.__version__}) was built for CUDA, or use the device cpu."
        )
    return name


def time_unit(device: str, batch_size: int) -> str:
    """Return the unit of a time an image, with what it depends on: device, threads of torch on the CPU, batch."""
    threads = torch.get_num_threads()
    return f"ms ({device}, {threads} CPU {'thread' if threads == 1 else 'threads'}, batch {batch_size})"


@contextmanager
def out_of_memory(batch_size: int) -> Iterator[None]:
    """Turn a GPU's lack of memory into an error that names the batch size to try.

    Parameters
    ----------
    batch_size
        Images a batch inside the ``with`` block.

    Raises
    ------
    ModelError
        If the GPU's memory does not suffice. Any other error passes unchanged.
    """
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _FULL)):
            raise
        smaller = f"a batch size of {batch_size // 2}" if batch_size > 1 else "a smaller network or the device cpu"
        raise ModelError(
            f"the GPU's memory does not suffice for a batch size of {batch_size}. Try {smaller}, and look at whether "
            "other processes use the GPU (nvidia-smi)."
        ) from error
