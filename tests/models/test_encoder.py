"""An encoder answers a cell alike alone and in a batch, also while it learns."""

import pytest
import torch

from wbc_utils.models import ModelError
from wbc_utils.models.encoder import build_encoder


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_cell_has_one_embedding_whatever_the_batch_also_in_training(images):
    encoder = build_encoder("test_resnet", "random").train()
    together = encoder(images)
    assert together.shape == (3, encoder.width)
    torch.testing.assert_close(encoder(images[1:2])[0], together[1])


def test_bytes_and_fractions_are_the_same_image(images):
    encoder = build_encoder("test_resnet", "random")
    torch.testing.assert_close(encoder(images), encoder(images.float() / 255))


def test_all_weights_but_the_unused_head_are_learned(images):
    encoder = build_encoder("test_resnet", "random")
    encoder(images).sum().backward()
    assert {name for name, weight in encoder.named_parameters() if not weight.requires_grad} == {
        "classifier.head.weight", "classifier.head.bias",
    }  # fmt: skip


def test_low_rank_updates_alone_are_learned_if_asked_for(images):
    encoder = build_encoder("test_vit", "random", lora_rank=2)
    learned = {name.rpartition(".")[2] for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert learned == {"lora_a", "lora_b"}


def test_low_rank_updates_of_a_convolutional_network_are_refused():
    with pytest.raises(ModelError, match="vision transformer"):
        build_encoder("test_resnet", "random", lora_rank=2)
