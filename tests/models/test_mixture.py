"""The mixture is its formula, a patient's opinion is the patient's own, and packed gradients are those one by one."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from wbc_utils.models import ModelError
from wbc_utils.models.bags import Bags
from wbc_utils.models.mixture import (
    Combination,
    MixtureOfExperts,
    Patients,
    mix,
    normalised_mse,
    weighted_bce,
)
from wbc_utils.models.pooling import Pooling

WIDTH, FEATURES = 5, 3
logit = st.floats(-30, 30)

each = pytest.mark.parametrize("combination", get_args(Combination))


def patients(*sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randn(size, WIDTH, generator=generator, dtype=torch.float64) for size in sizes]
    handmade = [torch.randn(size + 1, FEATURES, generator=generator, dtype=torch.float64) for size in sizes]
    scalars = torch.randn(len(sizes), 2, generator=generator, dtype=torch.float64)
    return Patients(Bags.pack(images), Bags.pack(handmade), scalars)


def model(combination="gate", pooling="gated_attention", **options):
    torch.manual_seed(0)
    return MixtureOfExperts(WIDTH, FEATURES, combination, pooling, hidden=4, **options).double()


def one(number):
    return torch.tensor([number], dtype=torch.float64)


@settings(deadline=None)
@given(logit, logit, logit)
def test_the_mixture_is_a_weighted_mean_of_the_experts_probabilities(images, scalars, gate):
    malignant, reactive = mix(one(images), one(scalars), one(gate))
    p, q, trust = (torch.sigmoid(one(number)) for number in (images, scalars, gate))
    torch.testing.assert_close(malignant.exp(), trust * p + (1 - trust) * q)
    torch.testing.assert_close(malignant.exp() + reactive.exp(), one(1.0))


@pytest.mark.parametrize(("gate", "expected"), [(torch.inf, "images"), (-torch.inf, "scalars")])
def test_a_closed_gate_leaves_one_expert_and_finite_gradients(gate, expected):
    logits = {name: one(number).requires_grad_() for name, number in (("images", 2.0), ("scalars", -1.0))}
    malignant, _ = mix(logits["images"], logits["scalars"], one(gate))
    malignant.backward()
    torch.testing.assert_close(malignant.exp(), torch.sigmoid(logits[expected]))
    assert all(value.grad.isfinite() for value in logits.values())


def test_the_gate_is_linear_in_age_count_and_one_number_of_each_pool():
    made, found = model(), patients(3, 2)
    opinion = made(found)
    images = made.image_pool(found.images.apply(made.image_layer)).features
    handmade = made.handmade_pool(found.handmade.apply(made.handmade_layer)).features
    seen = torch.cat([found.scalars, made.images_to_gate(images), made.handmade_to_gate(handmade)], dim=1)
    expected = torch.sigmoid(seen @ made.gate.weight[0] + made.gate.bias)
    torch.testing.assert_close(opinion.trust, expected)


@each
def test_a_combination_trusts_the_images_as_it_says(combination):
    trust = model(combination)(patients(3, 1, 2)).trust
    fixed = {"average": 0.5, "concatenation": 0.5, "images": 1.0, "scalars": 0.0}
    if combination == "gate":
        assert ((trust > 0) & (trust < 1)).all()
    else:
        assert trust.tolist() == [fixed[combination]] * 3


def test_concatenation_has_one_head_for_both_experts():
    opinion = model("concatenation")(patients(3, 1))
    assert torch.equal(opinion.images, opinion.scalars)
    torch.testing.assert_close(opinion.log_malignant.exp(), torch.sigmoid(opinion.images))


@each
def test_an_opinion_does_not_depend_on_the_other_patients_of_the_batch(combination):
    found, made = patients(3, 1, 40), model(combination)
    together = made(found)
    for row in range(3):
        alone = made(found.take(torch.tensor([row])))
        for name in ("log_malignant", "log_reactive", "trust", "images", "scalars", "count"):
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[row])


@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_gradients_of_a_packed_batch_are_those_of_patients_one_by_one(pooling):
    found, made, malignant = patients(4, 1, 7), model(pooling=pooling).float(), torch.tensor([1, 0, 1])
    found = Patients(*(part.apply(torch.Tensor.float) if isinstance(part, Bags) else part.float() for part in found))
    weights = torch.tensor([1.5, 0.75])
    loss(made, found, malignant, weights).backward()
    together = [weight.grad.clone() for weight in made.parameters()]
    made.zero_grad()
    for row in range(3):
        rows = torch.tensor([row])
        (loss(made, found.take(rows), malignant[rows], weights) / 3).backward()
    for expected, weight in zip(together, made.parameters(), strict=True):
        torch.testing.assert_close(weight.grad, expected, rtol=1e-5, atol=1e-5)


def loss(made, found, malignant, weights):
    opinion = made(found)
    known = torch.ones(len(malignant), dtype=torch.bool)
    return weighted_bce(opinion, malignant, weights) + 0.1 * normalised_mse(opinion, found.scalars, known)


def test_the_weighted_cross_entropy_is_that_of_torch():
    opinion, malignant = model("images")(patients(2, 3, 1)), torch.tensor([1, 0, 0])
    weights = torch.tensor([0.7, 2.0], dtype=torch.float64)
    expected = nn.functional.binary_cross_entropy_with_logits(
        opinion.images, malignant.double(), weight=weights[malignant]
    )
    torch.testing.assert_close(weighted_bce(opinion, malignant, weights), expected)


def test_the_count_is_learned_where_it_is_known_only():
    found = patients(2, 3, 1)
    opinion = model()(found)
    known = torch.tensor([True, False, True])
    errors = (opinion.count - found.scalars[:, 1]).square()
    torch.testing.assert_close(normalised_mse(opinion, found.scalars, known), (errors[0] + errors[2]) / 2)
    assert normalised_mse(opinion, found.scalars, ~known & known).item() == 0


def test_the_count_is_read_from_the_images_alone():
    found, made = patients(2, 3), model()
    other = found._replace(scalars=found.scalars + 1, handmade=found.handmade.apply(torch.zeros_like))
    assert torch.equal(made(found).count, made(other).count)


def test_an_encoder_learns_together_with_the_experts():
    made = model(encoder=nn.Linear(2, WIDTH))
    images = Bags.pack([torch.randn(3, 2, dtype=torch.float64)])
    found = patients(2)._replace(images=images)
    made(found).log_malignant.sum().backward()
    assert made.encoder.weight.grad.abs().sum() > 0


def test_an_unknown_combination_is_refused():
    with pytest.raises(ModelError, match="no combination 'vote'; allowed are gate, average"):
        MixtureOfExperts(WIDTH, FEATURES, "vote")
