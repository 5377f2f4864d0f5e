"""Which device computes, and what an error says when its memory is full."""

import pytest
import torch

from wbc_utils.models import ModelError
from wbc_utils.models.device import choose_device, out_of_memory, time_unit


@pytest.mark.parametrize(("there", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_the_gpu_is_taken_where_there_is_one_and_none_is_named(monkeypatch, there, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device() == chosen
    assert choose_device("cpu") == "cpu"


def test_a_gpu_that_is_not_there_is_an_error_with_the_alternative(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=r"sees no CUDA GPU.* use the device cpu"):
        choose_device("cuda")


def test_an_unknown_device_is_named_beside_the_allowed_ones():
    with pytest.raises(ModelError, match="no device 'tpu'; allowed are cpu, cuda"):
        choose_device("tpu")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_full_memory_names_the_batch_size_that_failed_and_half_of_it(error):
    with pytest.raises(ModelError, match=r"batch size of 48\. Try a batch size of 24,"), out_of_memory(48):
        raise error


def test_one_image_cannot_be_halved():
    with (
        pytest.raises(ModelError, match=r"batch size of 1\. Try a smaller network or the device cpu"),
        out_of_memory(1),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_any_other_error_passes_unchanged():
    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"), out_of_memory(8):
        raise RuntimeError("shapes do not fit")


def test_the_unit_of_a_time_says_on_what_it_depends():
    assert time_unit("cpu", 8) == "ms (cpu, 1 CPU thread, batch 8)"
    torch.set_num_threads(2)
    assert time_unit("cuda", 1) == "ms (cuda, 2 CPU threads, batch 1)"
