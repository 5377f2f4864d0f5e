"""Every pool forgets the order of a bag, the other bags and the padding; known cases have known answers."""

from typing import get_args

import pytest
import torch

from wbc_utils.models import ModelError
from wbc_utils.models.bags import Bags
from wbc_utils.models.pooling import Pooling, build_pool

WIDTH = 4

each = pytest.mark.parametrize("name", get_args(Pooling))


def pool(name):
    torch.manual_seed(0)
    made = build_pool(name, WIDTH, top=3).double().eval()
    for weight in made.parameters():
        weight.data = torch.randn_like(weight)
    return made


def drawn(*numbers):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(number, WIDTH, generator=generator, dtype=torch.float64) for number in numbers]


@each
def test_the_order_of_a_bag_does_not_matter(name):
    bag = drawn(7)[0]
    order = torch.randperm(7, generator=torch.Generator().manual_seed(2))
    one, other = pool(name)(Bags.pack([bag])), pool(name)(Bags.pack([bag[order]]))
    torch.testing.assert_close(one.features, other.features)
    torch.testing.assert_close(one.weights[order], other.weights)


@each
def test_a_bag_is_pooled_alike_alone_and_beside_others_of_any_size(name):
    bags, made = drawn(3, 1, 40), pool(name)
    together = made(Bags.pack(bags))
    for place, bag in enumerate(bags):
        alone = made(Bags.pack([bag]))
        torch.testing.assert_close(alone.features[0], together.features[place])
        torch.testing.assert_close(alone.weights, Bags.pack(bags).with_instances(together.weights).split()[place])


@each
def test_gradients_of_bags_together_are_the_sum_of_those_alone(name):
    bags, made = [bag.requires_grad_() for bag in drawn(3, 1, 9)], pool(name)
    leaves = [*bags, *made.parameters()]
    together = torch.autograd.grad(made(Bags.pack(bags)).features.square().sum(), leaves)
    for bag in bags:
        made(Bags.pack([bag])).features.square().sum().backward()
    for one, leaf in zip(together, leaves, strict=True):
        torch.testing.assert_close(one, leaf.grad, rtol=1e-9, atol=1e-9)


@each
def test_weights_sum_to_one_in_each_bag_and_are_not_negative(name):
    packed = Bags.pack(drawn(1, 5, 12))
    weights = pool(name)(packed).weights
    assert (weights >= 0).all()
    torch.testing.assert_close(packed.sum(weights), torch.ones(3, dtype=torch.float64))


@each
def test_a_bag_of_five_thousand_is_pooled(name):
    assert pool(name)(Bags.pack(drawn(5000))).features.isfinite().all()


def test_mean_max_and_top_k_of_a_known_bag():
    packed = Bags.pack([torch.tensor([[1.0, 8.0], [2.0, 6.0], [3.0, 4.0], [4.0, 2.0]]), torch.tensor([[5.0, 7.0]])])
    assert build_pool("mean", 2)(packed).features.tolist() == [[2.5, 5], [5, 7]]
    assert build_pool("max", 2)(packed).features.tolist() == [[4, 8], [5, 7]]
    top = build_pool("top_k", 2, top=2)(packed)
    assert top.features.tolist() == [[3.5, 7], [5, 7]]
    assert top.weights.tolist() == [0.25, 0.25, 0.25, 0.25, 1]


def test_top_k_of_at_least_the_whole_bag_is_the_mean_and_of_one_the_maximum():
    packed = Bags.pack(drawn(2, 3))
    torch.testing.assert_close(build_pool("top_k", WIDTH)(packed).features, build_pool("mean", WIDTH)(packed).features)
    one = build_pool("top_k", WIDTH, top=1)(packed)
    torch.testing.assert_close(one.features, build_pool("max", WIDTH)(packed).features)


def test_attention_without_a_preference_is_the_mean():
    packed, made = Bags.pack(drawn(2, 5)), build_pool("attention", WIDTH).double()
    made.score.weight.data.zero_()
    torch.testing.assert_close(made(packed).features, build_pool("mean", WIDTH)(packed).features)


def test_attention_is_the_formula_of_the_paper():
    bag, made = drawn(6)[0], pool("gated_attention")
    seen = torch.tanh(made.content(bag)) * torch.sigmoid(made.gate(bag))
    weights = (seen @ made.score.weight[0]).softmax(0)
    found = made(Bags.pack([bag]))
    torch.testing.assert_close(found.weights, weights)
    torch.testing.assert_close(found.features[0], weights @ bag)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("median", {}, "no pooling 'median'; allowed are mean, max, top_k"),
        ("top_k", {"top": 0}, "top_k pooling of 0 values; give at least 1"),
        ("transformer", {"width": 5}, "give a multiple of 2"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, words):
    with pytest.raises(ModelError, match=words):
        build_pool(name, **{"width": WIDTH, **options})
