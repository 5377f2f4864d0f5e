"""Logits of every view, probabilities from them, and embeddings; no image and no batch is treated differently."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import softmax
from torch import nn

from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build
from wbc_utils.predict import VIEWS, combine, embeddings, logits


class Echo(nn.Module):
    """Says the pixels themselves, one logit each, and notes how it was asked."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.batches = []

    def forward(self, images):
        self.batches.append((len(images), self.training, torch.is_grad_enabled()))
        return images.flatten(1) * self.scale

    def embed(self, images):
        return self(images)[:, :2]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build("test_convnext", ["BNE", "SNE", "LY"])


def seen(image):
    """Return what Echo says about an image (h, w, 3)."""
    return (image.transpose(2, 0, 1).reshape(-1) / np.float32(255)).astype(np.float32)


def test_pixels_reach_the_network_as_channels_between_zero_and_one(images):
    found = logits(Echo(), images)
    assert found.shape == (1, 7, 48)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], [seen(image) for image in images], atol=1e-7)


def test_the_views_are_the_image_itself_and_its_seven_other_orientations(images):
    found = logits(Echo(), images[:1], views=VIEWS)[:, 0]
    assert np.array_equal(found[0], logits(Echo(), images[:1])[0, 0])
    turned = [np.rot90(image, turn) for image in (images[0], images[0][:, ::-1]) for turn in range(4)]
    assert {tuple(row.round(5)) for row in found} == {tuple(seen(image).round(5)) for image in turned}


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_every_image_is_seen_once_whatever_the_batch_size(images, batch_size):
    model = Echo()
    assert np.array_equal(logits(model, images, batch_size=batch_size), logits(Echo(), images))
    assert sum(size for size, _, _ in model.batches) == len(images)
    assert max(size for size, _, _ in model.batches) == min(batch_size, len(images))


def test_the_network_is_asked_in_evaluation_mode_and_without_gradients(images):
    model = Echo().train()
    logits(model, images)
    assert model.batches == [(7, False, False)]
    assert not model.training


def test_images_may_be_mapped_from_a_read_only_file(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert np.array_equal(logits(Echo(), mapped, batch_size=2), logits(Echo(), images))


def test_a_real_network_says_the_same_of_an_image_in_any_company(network):
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    together = logits(network, images, views=VIEWS, device="cpu")
    alone = np.concatenate([logits(network, images[i : i + 1], views=VIEWS) for i in range(3)], axis=1)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_with_eight_views_orientation_does_not_matter(network, average):
    images = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    turned = np.rot90(images, 1, (1, 2))[:, ::-1]
    straight, other = (combine(logits(network, some, views=VIEWS), average=average) for some in (images, turned))
    np.testing.assert_allclose(straight, other, atol=1e-6)
    assert not np.allclose(logits(network, images), logits(network, turned), atol=1e-4)


def test_embeddings_are_what_the_network_pools_before_its_head(images, network):
    assert np.array_equal(embeddings(Echo(), images, batch_size=2), logits(Echo(), images)[0, :, :2])
    found = embeddings(network, np.zeros((2, 32, 32, 3), np.uint8), device="cpu")
    with torch.inference_mode():
        expected = network.embed(torch.zeros(2, 3, 32, 32)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"views": 4}, "found 4 views; allowed are 1 .* and 8"),
        ({"batch_size": 0}, "batch size of 0; it must be at least 1"),
    ],
)
def test_what_is_not_allowed_is_named_beside_what_is(images, options, error):
    with pytest.raises(ModelError, match=error):
        logits(Echo(), images, **options)


def test_no_images_are_an_error(images):
    with pytest.raises(ModelError, match="no images"):
        logits(Echo(), images[:0])


def test_an_output_that_is_not_finite_is_an_error_with_the_number_of_images(images):
    model = Echo()
    images[:, 0, 0, 0] = [0, 0, 9, 9, 9, 9, 9]
    model.scale.data = torch.full((1,), float("inf"))  # infinity times 0 is no number, times 9 infinite
    with pytest.raises(ModelError, match="not finite for 7 of 7 images"):
        logits(model, images)


def test_full_memory_names_the_batch_size(images):
    class Full(Echo):
        def forward(self, images):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ModelError, match=r"batch size of 32\. Try a batch size of 16"):
        logits(Full(), images, batch_size=32)


def test_views_are_averaged_after_the_softmax_or_before_it():
    two = np.log([[[3.0, 1.0]], [[1.0, 1.0]]])
    np.testing.assert_allclose(combine(two), [[(0.75 + 0.5) / 2, (0.25 + 0.5) / 2]])
    root = np.sqrt(3)  # logits of ½ log 3 and 0
    np.testing.assert_allclose(combine(two, average="logits"), [[root / (1 + root), 1 / (1 + root)]])


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_temperature_divides_the_logits(average):
    one = np.log([[[9.0, 1.0]]])
    np.testing.assert_allclose(combine(one, 2.0, average), [[0.75, 0.25]])
    np.testing.assert_allclose(combine(one, 0.5, average), [[81 / 82, 1 / 82]])


@given(
    arrays(np.float32, (3, 4, 5), elements=st.floats(-50, 50, width=32)),
    st.floats(0.1, 10),
    st.sampled_from(["probabilities", "logits"]),
)
def test_probabilities_sum_to_one_and_ignore_a_constant(values, temperature, average):
    found = combine(values, temperature, average)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(combine(values.astype(float) + 7, temperature, average), found, atol=1e-9)
    alone = softmax(values[0].astype(float) / temperature, axis=1)
    np.testing.assert_allclose(combine(values[:1], temperature, average), alone)


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ModelError, match=r"temperature of .*; it must be positive and finite"):
        combine(np.zeros((1, 1, 2)), temperature)


def test_an_unknown_average_is_refused():
    with pytest.raises(ModelError, match="'median' over views; allowed are probabilities and logits"):
        combine(np.zeros((1, 1, 2)), average="median")
