"""Weights of classes, and the focal loss against the cross entropy of PyTorch."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from wbc_utils.models import ModelError
from wbc_utils.models.losses import class_weights, focal_loss

SCHEMES = ["none", "log", "inverse_sqrt", "effective_number"]
quick = settings(deadline=None, max_examples=50)


@st.composite
def batches(draw, largest=20.0):
    """Draw logits (n, k), hard targets, soft targets and class weights, float64."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64) * draw(st.floats(0.0, largest))
    soft = torch.rand(n, k, generator=generator, dtype=torch.float64).softmax(1)
    weights = 0.1 + torch.rand(k, generator=generator, dtype=torch.float64)
    return logits, torch.randint(k, (n,), generator=generator), soft, weights


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
@quick
@given(counts=st.lists(st.integers(1, 20_000), min_size=1, max_size=8))
def test_the_mean_weight_of_the_items_is_one_and_rarer_classes_weigh_no_less(scheme, counts):
    weights = class_weights(counts, scheme)
    assert np.average(weights, weights=counts) == pytest.approx(1)
    assert (np.diff(weights[np.argsort(counts)]) <= 1e-9).all()


@pytest.mark.parametrize(
    ("scheme", "ratio"),
    [
        ("none", 1),
        ("log", np.log(1 + 500 / 100) / np.log(1 + 500 / 400)),
        ("inverse_sqrt", 2),
        ("effective_number", (1 - 0.999**400) / (1 - 0.999**100)),
    ],
)
def test_the_ratio_of_two_weights_is_that_of_the_formula(scheme, ratio):
    rare, frequent = class_weights([100, 400], scheme)
    assert rare / frequent == pytest.approx(ratio)


def test_a_class_without_items_is_named_by_its_key_or_position():
    with pytest.raises(ModelError, match="class PLY, PC; leave the class out"):
        class_weights(pd.Series({"SNE": 9, "PLY": 0, "PC": 0}), "log")
    with pytest.raises(ModelError, match="class 1;"):
        class_weights([3, 0], "none")


def test_an_unknown_scheme_names_those_that_exist():
    with pytest.raises(ModelError, match="'balanced'; choose one of none, log, inverse_sqrt, effective_number"):
        class_weights([1, 2], "balanced")


@quick
@given(batches())
def test_without_focus_it_is_the_cross_entropy_of_pytorch_with_and_without_weights(batch):
    logits, hard, soft, weights = batch
    close(focal_loss(logits, hard), functional.cross_entropy(logits, hard))
    close(focal_loss(logits, hard, weights=weights), functional.cross_entropy(logits, hard, weight=weights))
    close(focal_loss(logits, soft), functional.cross_entropy(logits, soft))


@quick
@given(batches(), st.floats(0, 5))
def test_a_one_hot_target_equals_the_hard_one(batch, gamma):
    logits, hard, _, weights = batch
    one_hot = functional.one_hot(hard, logits.shape[1]).double()
    close(focal_loss(logits, one_hot, gamma, weights), focal_loss(logits, hard, gamma, weights))


@quick
@given(batches(), st.floats(0, 5), st.floats(0, 1))
def test_it_is_linear_in_soft_targets(batch, gamma, share):
    logits, hard, soft, _ = batch
    one_hot = functional.one_hot(hard, logits.shape[1]).double()
    mixed = focal_loss(logits, share * one_hot + (1 - share) * soft, gamma)
    close(mixed, share * focal_loss(logits, one_hot, gamma) + (1 - share) * focal_loss(logits, soft, gamma))


@quick
@given(batches(), st.floats(0, 5), st.floats(0, 5))
def test_more_focus_never_raises_the_loss(batch, one, other):
    logits, _, soft, weights = batch
    less, more = sorted((one, other))
    assert focal_loss(logits, soft, more, weights) <= focal_loss(logits, soft, less, weights) + 1e-12


def test_the_value_for_two_classes_is_that_of_the_formula():
    logits = torch.tensor([[0.0, np.log(3)]], dtype=torch.float64)  # probabilities 1/4 and 3/4
    assert focal_loss(logits, torch.tensor([0]), 2.0).item() == pytest.approx(0.75**2 * np.log(4))
    soft, weights = torch.tensor([[0.5, 0.5]], dtype=torch.float64), torch.tensor([3.0, 1.0], dtype=torch.float64)
    expected = (3 * 0.75 * np.log(4) + 1 * 0.25 * np.log(4 / 3)) / 4
    assert focal_loss(logits, soft, 1.0, weights).item() == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_loss_and_gradient_are_finite_at_extreme_logits(gamma, size):
    logits = torch.tensor([[size, -size, 0.0], [-size, size, 0.0]], requires_grad=True)
    for targets in (torch.tensor([0, 0]), torch.full((2, 3), 1 / 3)):
        loss = focal_loss(logits, targets, gamma)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()


@quick
@given(batches(largest=3.0), st.floats(0, 4))
def test_the_gradient_is_the_slope(batch, gamma):
    logits, _, soft, weights = batch
    assert torch.autograd.gradcheck(lambda z: focal_loss(z, soft, gamma, weights), logits.requires_grad_())


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(half):
    logits = torch.tensor([[1.0, 2.0, -3.0]]).to(half)
    loss = focal_loss(logits, torch.tensor([2]), 1.0)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, focal_loss(logits.float(), torch.tensor([2]), 1.0))


@pytest.mark.parametrize(
    "targets", [torch.zeros(3, dtype=torch.int64), torch.zeros(2), torch.ones(2, 3), torch.ones(2, 4).long()]
)
def test_targets_that_do_not_fit_the_logits_are_refused(targets):
    with pytest.raises(ModelError, match=r"do not fit logits of shape \(2, 4\); give classes, int64 \(2,\), or shares"):
        focal_loss(torch.zeros(2, 4), targets)


def test_a_negative_focus_is_refused():
    with pytest.raises(ModelError, match="gamma of the focal loss is -1"):
        focal_loss(torch.zeros(2, 4), torch.tensor([0, 1]), gamma=-1)
