"""Learning rates against PyTorch's schedulers, and numbers that are refused."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, StepLR

from wbc_utils.recipe import FitError, Recipe


def rates_of_torch(scheduler, steps, **options):
    """Return the rate before each of the steps of a scheduler."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule, found = scheduler(optimizer, **options), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_cosine_is_that_of_torch_and_ends_at_zero():
    recipe = Recipe(epochs=12, learning_rate=0.3, schedule="cosine", warmup_epochs=0)
    expected = rates_of_torch(CosineAnnealingLR, 13, T_max=12)
    assert [recipe.rate(epoch) for epoch in range(13)] == pytest.approx(expected, abs=1e-12)
    assert recipe.rate(12) == pytest.approx(0, abs=1e-12)


def test_the_restarts_are_those_of_torch():
    recipe = Recipe(epochs=20, learning_rate=0.3, schedule="restarts", restart_epochs=5, warmup_epochs=0)
    expected = rates_of_torch(CosineAnnealingWarmRestarts, 20, T_0=5)
    assert [recipe.rate(epoch) for epoch in range(20)] == pytest.approx(expected, abs=1e-12)
    assert recipe.rate(5) == recipe.rate(15) == 0.3
    assert recipe.rate(4.999) < 1e-6


@pytest.mark.parametrize("restart_epochs", [6, 15])
def test_a_period_that_the_training_does_not_exceed_is_one_cosine(restart_epochs):
    restarts = Recipe(epochs=7, schedule="restarts", restart_epochs=restart_epochs)
    cosine = Recipe(epochs=7, schedule="cosine")
    assert [restarts.rate(n / 4) for n in range(29)] == [cosine.rate(n / 4) for n in range(29)]


def test_the_warm_up_is_a_straight_line_and_the_schedule_begins_at_its_end():
    recipe = Recipe(epochs=6, learning_rate=0.3, schedule="restarts", restart_epochs=2, warmup_epochs=1.5)
    assert [recipe.rate(x) for x in (0, 0.5, 1, 1.5)] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert [recipe.rate(x) for x in (2.5, 3.5, 4.5, 5.5)] == pytest.approx([0.15, 0.3, 0.15, 0.3])


def test_the_steps_are_those_of_torch_and_count_from_the_end_of_the_warm_up():
    recipe = Recipe(epochs=9, learning_rate=0.3, schedule="step", step_epochs=3, warmup_epochs=0)
    expected = rates_of_torch(StepLR, 9, step_size=3, gamma=0.1)
    assert [recipe.rate(epoch + 0.5) for epoch in range(9)] == pytest.approx(expected, rel=1e-12)
    late = Recipe(epochs=9, learning_rate=0.3, schedule="step", step_epochs=3, warmup_epochs=0.5)
    assert [late.rate(x) for x in (0.25, 0.5, 3.49, 3.5, 6.5)] == pytest.approx([0.15, 0.3, 0.3, 0.03, 0.003])


def test_the_constant_rate_stays_after_the_warm_up():
    recipe = Recipe(epochs=9, learning_rate=0.3, schedule="constant", warmup_epochs=1)
    assert {recipe.rate(x) for x in (1, 2.5, 9)} == {0.3}


@pytest.mark.parametrize(("learned", "settling"), [(3, 1), (20, 8), (1, 8)])
def test_a_training_that_settles_has_its_rate_for_the_epochs_asked_for_and_then_a_tenth(learned, settling):
    recipe = Recipe(epochs=learned + settling, learning_rate=0.3, schedule="settle", step_epochs=learned)
    rates = [recipe.rate(epoch + 0.5) for epoch in range(recipe.epochs)]
    assert rates == pytest.approx([0.15] + [0.3] * (learned - 1) + [0.03] * settling)


def test_a_training_shorter_than_its_warm_up_only_warms_up():
    recipe = Recipe(epochs=1, learning_rate=0.3, warmup_epochs=1)
    assert [recipe.rate(0.5), recipe.rate(1)] == [0.15, 0.3]


@given(
    st.sampled_from(["cosine", "restarts", "step", "constant"]),
    st.integers(1, 50),
    st.integers(1, 20),
    st.floats(0, 5),
    st.floats(0, 1),
)
def test_rates_lie_between_zero_and_the_learning_rate(schedule, epochs, restart_epochs, warmup_epochs, share):
    recipe = Recipe(
        epochs=epochs, schedule=schedule, restart_epochs=restart_epochs, warmup_epochs=warmup_epochs, learning_rate=0.3
    )
    assert 0 <= recipe.rate(share * epochs) <= 0.3


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0}, {"batch_size": 0}, {"accumulate": 0}, {"restart_epochs": 0}, {"step_epochs": 0}, {"patience": 0},
        {"warmup_epochs": -1}, {"freeze_epochs": -1}, {"weight_decay": -0.1}, {"learning_rate": 0},
        {"learning_rate": math.nan}, {"clip": 0}, {"ema": 1}, {"ema": 0}, {"weight_decay": math.inf},
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_named_with_what_is_allowed(wrong):
    with pytest.raises(FitError, match=f"{next(iter(wrong))} is .*; give a number"):
        Recipe(**wrong)


def test_the_recipe_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3


@pytest.mark.parametrize(
    "wrong", [{"optimizer": "adam"}, {"schedule": "cosin"}, {"amp": "f16"}], ids=lambda wrong: next(iter(wrong))
)
def test_a_word_that_is_not_allowed_is_refused_with_those_that_are(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(FitError, match=f"{name} is '{value}'; allowed are"):
        Recipe(**wrong)
