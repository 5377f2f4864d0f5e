"""Packed bags against bags taken one by one, and every refusal of what cannot be packed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.models import ModelError
from wbc_utils.models.bags import Bags

unhurried = settings(deadline=None, max_examples=40)
sizes = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def drawn(numbers, width=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(number, width, generator=generator, dtype=torch.float64) for number in numbers]


def chosen_generator(seed=0):
    return torch.Generator().manual_seed(seed)


@unhurried
@given(sizes)
def test_packed_bags_come_apart_again(numbers):
    bags = drawn(numbers)
    packed = Bags.pack(bags)
    assert len(packed) == len(numbers)
    assert all(torch.equal(one, other) for one, other in zip(packed.split(), bags, strict=True))
    assert packed.owner.tolist() == [place for place, number in enumerate(numbers) for _ in range(number)]


@unhurried
@given(sizes, st.data())
def test_taken_bags_are_those_asked_for_in_that_order(numbers, data):
    rows = data.draw(st.lists(st.integers(0, len(numbers) - 1), min_size=1, max_size=6))
    bags = drawn(numbers)
    found = Bags.pack(bags).take(torch.tensor(rows)).split()
    assert all(torch.equal(one, bags[row]) for one, row in zip(found, rows, strict=True))


@unhurried
@given(sizes)
def test_sums_means_and_maxima_are_those_of_each_bag_alone(numbers):
    bags = drawn(numbers)
    packed = Bags.pack(bags)
    for found, expected in (
        (packed.sum(packed.instances), [bag.sum(0) for bag in bags]),
        (packed.mean(packed.instances), [bag.mean(0) for bag in bags]),
        (packed.maximum(packed.instances), [bag.amax(0) for bag in bags]),
    ):
        torch.testing.assert_close(found, torch.stack(expected))


@unhurried
@given(sizes)
def test_a_softmax_over_each_bag_is_that_of_the_bag_alone_however_large_the_scores(numbers):
    bags = [300 * bag[:, 0] for bag in drawn(numbers)]
    packed = Bags.pack(bags)
    found = packed.softmax(packed.instances)
    torch.testing.assert_close(found, torch.cat([bag.softmax(0) for bag in bags]))
    torch.testing.assert_close(packed.sum(found), torch.ones(len(bags), dtype=found.dtype))


@unhurried
@given(sizes)
def test_padding_is_undone_and_marks_what_is_beyond_a_bag(numbers):
    packed = Bags.pack(drawn(numbers))
    wide = packed.padded(packed.instances, -7.0)
    assert wide.shape == (len(numbers), max(numbers), 3)
    assert torch.equal(packed.unpadded(wide), packed.instances)
    assert (wide[packed.beyond] == -7).all()
    assert int((~packed.beyond).sum()) == sum(numbers)


@unhurried
@given(sizes, st.floats(0.01, 0.99), st.integers(0, 99))
def test_thinning_leaves_something_of_every_bag_and_nothing_new(numbers, share, seed):
    packed = Bags.pack([torch.full((number,), place) for place, number in enumerate(numbers)])
    thin = packed.thinned(share, chosen_generator(seed))
    assert (thin.sizes >= 1).all()
    assert (thin.sizes <= packed.sizes).all()
    assert torch.equal(thin.instances, thin.owner)


def test_thinning_by_nothing_changes_nothing_and_by_a_share_leaves_about_the_rest():
    packed = Bags.pack(drawn([1, 5000]))
    assert packed.thinned(0, chosen_generator()) is packed
    assert packed.thinned(0.3, chosen_generator()).sizes.tolist() == [1, pytest.approx(3500, abs=120)]


def test_a_bag_of_one_beside_a_bag_of_five_thousand():
    packed = Bags.pack(drawn([1, 5000]))
    torch.testing.assert_close(packed.mean(packed.instances)[0], packed.instances[0])
    torch.testing.assert_close(packed.mean(packed.instances)[1], packed.instances[1:].mean(0))


def test_gradients_reach_the_instances():
    packed = Bags.pack([bag.requires_grad_() for bag in drawn([2, 3])])
    packed.instances.retain_grad()
    (packed.mean(packed.instances).sum() + packed.softmax(packed.instances[:, 0]).square().sum()).backward()
    assert packed.instances.grad.isfinite().all()


@pytest.mark.parametrize(
    ("bags", "words"),
    [
        ([], "no bags to pack"),
        ([torch.ones(2, 3), torch.ones(0, 3)], r"1 of 2 bags have no instances.*at least one readable image"),
        ([torch.ones(2, 3), torch.ones(2, 4)], r"different shapes: \[\(3,\), \(4,\)\]"),
    ],
)
def test_what_cannot_be_packed_is_refused(bags, words):
    with pytest.raises(ModelError, match=words):
        Bags.pack(bags)
