import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import hed_from_rgb
from torch import Tensor

from wbc_utils.images.augment import PRESETS, Augmentation, AugmentationError, augment, mix, step_generator

OPERATIONS = {
    "flips": True, "rot90": True, "rotate": 30, "translate": 0.2, "scale": 0.3, "stain": 0.2, "brightness": 0.3,
    "contrast": 0.3, "saturation": 0.5, "hue": 0.2, "gamma": 0.5, "blur": 0.05, "motion_blur": 0.3, "dropout": 0.4,
}  # fmt: skip
ALONE = [Augmentation(**{name: value}) for name, value in OPERATIONS.items()]
names = list(OPERATIONS)
luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float32)


def noise(n=8, height=16, width=16, low=0.0, high=1.0) -> Tensor:
    return low + (high - low) * torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def same(n=64, side=16, low=0.0, high=1.0) -> Tensor:
    """Return one image n times."""
    return noise(1, side, side, low, high).expand(n, -1, -1, -1)


def smooth(side=32) -> Tensor:
    """Return one image that bilinear sampling hardly changes."""
    y, x = torch.meshgrid(*[torch.linspace(0, 3, side)] * 2, indexing="ij")
    return torch.stack([0.5 + 0.3 * torch.sin(x + 2 * y), 0.5 + 0.3 * torch.cos(2 * x), 0.3 + 0.1 * y])[None]


def done(images: Tensor, seed=0, **on) -> Tensor:
    return augment(images, Augmentation(**on), step_generator(seed, 0, 0))


def views(image: Tensor) -> list[Tensor]:
    """Return the eight views of an image."""
    turned = [image.rot90(quarter, (-2, -1)) for quarter in range(4)]
    return turned + [view.flip(-1) for view in turned]


def seen_views(images: Tensor) -> list[int]:
    """Return which of the eight views of the first image of `same` each image is, bit for bit."""
    expected = views(same(1)[0])
    return [next(number for number, view in enumerate(expected) if image.equal(view)) for image in images]


def test_with_everything_off_the_images_are_returned_as_they_are():
    images = noise()
    assert augment(images, PRESETS["none"], step_generator(0, 0, 0)) is images


@pytest.mark.parametrize("augmentation", [*ALONE, PRESETS["standard"], PRESETS["challenge"]], ids=[*names, "S", "C"])
def test_shape_and_range_stay_the_given_images_too_and_something_changes(augmentation):
    images = torch.cat([noise(), torch.zeros(2, 3, 16, 16), torch.ones(2, 3, 16, 16)])
    before = images.clone()
    changed = augment(images, augmentation, step_generator(0, 0, 0))
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert images.equal(before)
    assert not changed.equal(images)


@pytest.mark.parametrize("augmentation", [*ALONE, PRESETS["challenge"]], ids=[*names, "challenge"])
def test_equal_images_of_a_batch_are_changed_differently(augmentation):
    images = augment(same(32), augmentation, step_generator(0, 0, 0))
    assert len({image.numpy().tobytes() for image in images}) > 2


@pytest.mark.parametrize("augmentation", [*ALONE, PRESETS["challenge"]], ids=[*names, "challenge"])
def test_an_image_does_not_depend_on_the_others(augmentation):
    images, others = noise(), noise()
    others[1:] = 0.3
    one, other = (augment(batch, augmentation, step_generator(3, 0, 0))[0] for batch in (images, others))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_all_happens_on_the_device_of_the_images_whatever_that_of_the_generator(preset):
    images = torch.empty(4, 3, 16, 16, device="meta")  # operations with tensors of the CPU would fail
    assert augment(images, PRESETS[preset], step_generator(0, 0, 0)).is_meta
    stained = dataclasses.replace(PRESETS[preset], stain=0.1)
    assert augment(images, stained, step_generator(0, 0, 0)).is_meta


def test_a_batch_of_one_works():
    for augmentation in PRESETS.values():
        assert augment(noise(1), augmentation, step_generator(0, 0, 0)).shape == (1, 3, 16, 16)


def test_the_same_state_of_the_generator_gives_the_same_images():
    images = noise()
    first = augment(images, PRESETS["challenge"], step_generator(1, 2, 3))
    assert first.equal(augment(images, PRESETS["challenge"], step_generator(1, 2, 3)))
    for seed, epoch, step in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (3, 2, 1)):
        assert not first.equal(augment(images, PRESETS["challenge"], step_generator(seed, epoch, step)))


def test_an_operation_does_not_change_the_draws_of_another():
    images = same()
    flipped = seen_views(done(images, flips=True))
    covered = done(images, flips=True, dropout=0.4)
    unchanged = [number for number, image in enumerate(covered) if any(image.equal(v) for v in views(images[0]))]
    assert 16 <= len(unchanged) < 48
    assert seen_views(covered[unchanged]) == [flipped[number] for number in unchanged]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ({"flips": True}, {0, 2, 4, 6}),
        ({"rot90": True}, {0, 1, 2, 3}),
        ({"flips": True, "rot90": True}, set(range(8))),
    ],
)
def test_flips_and_turns_are_exact_permutations_and_equally_frequent(on, expected):
    found = seen_views(done(same(800), **on))
    counts = np.bincount(found, minlength=8)
    assert set(np.flatnonzero(counts)) == expected
    share = 800 / len(expected)
    assert np.abs(counts[list(expected)] - share).max() < 4 * math.sqrt(share)


def test_flips_keep_images_that_are_not_square():
    images = noise(40, 6, 10)
    for before, after in zip(images, done(images, flips=True), strict=True):
        assert any(after.equal(view) for view in (before, before.flip(-1), before.flip(-2), before.flip((-2, -1))))


def test_sampling_flips_and_turns_as_the_permutation_does():
    images = noise(64, 12, 12)
    permuted = done(images, flips=True, rot90=True)
    sampled = done(images, flips=True, rot90=True, translate=1e-9)
    torch.testing.assert_close(sampled, permuted, rtol=0, atol=1e-5)


def test_a_shift_moves_by_whole_fractions_of_the_side_at_most():
    x = torch.linspace(0, 1, 41)
    ramp = x.expand(200, 3, 41, 41)
    shift = (done(ramp, translate=0.1) - ramp)[:, 0, 20, 20] * 40 / 41  # at the centre, in widths
    assert 0.09 < shift.max() <= 0.1 + 1e-6
    assert -0.1 - 1e-6 <= shift.min() < -0.09


@pytest.mark.parametrize(("height", "width"), [(41, 41), (31, 61)])
def test_rotation_keeps_distances_and_its_range(height, width):
    y, x = torch.meshgrid(torch.arange(height) - height // 2, torch.arange(width) - width // 2, indexing="ij")
    slopes = torch.stack([x, y, x]) / 100 + 0.5
    turned = done(slopes.expand(200, -1, -1, -1), rotate=20)
    middle = turned[:, :2, height // 2, width // 2 - 1 : width // 2 + 2]  # a step to the right, in (x, y)
    step = (middle[..., 2] - middle[..., 0]) * 50
    torch.testing.assert_close(step.norm(dim=1), torch.ones(200), rtol=0, atol=1e-3)
    angle = torch.rad2deg(torch.atan2(step[:, 1], step[:, 0]))
    assert 18 < angle.max() <= 20.01
    assert -20.01 <= angle.min() < -18


def test_scale_keeps_the_centre_and_its_range():
    x = torch.arange(41) - 20
    ramp = (x / 100 + 0.5).expand(200, 3, 41, 41)
    scaled = done(ramp, scale=0.25)
    torch.testing.assert_close(scaled[:, :, 20, 20], ramp[:, :, 20, 20])
    factor = 1 / ((scaled[:, 0, 20, 21] - scaled[:, 0, 20, 19]) * 50)
    assert 1.2 < factor.max() <= 1.2501
    assert 0.7999 <= factor.min() < 0.83


def test_brightness_multiplies_within_its_range():
    images = same(200, high=0.7)
    ratio = done(images, brightness=0.4) / images
    torch.testing.assert_close(ratio.amin((1, 2, 3)), ratio.amax((1, 2, 3)), rtol=1e-4, atol=0)
    assert 1.35 < ratio.max() <= 1.4 + 1e-4
    assert 1 / 1.4 - 1e-4 <= ratio.min() < 0.74


def test_contrast_multiplies_the_distance_from_the_mean_grey():
    images = same(200, low=0.3, high=0.7)
    grey = (images.mean((2, 3)) @ luma)[:, None, None, None]
    ratio = (done(images, contrast=0.4) - grey).flatten(1).norm(dim=1) / (images - grey).flatten(1).norm(dim=1)
    assert 1.35 < ratio.max() <= 1.4 + 1e-3
    assert 1 / 1.4 - 1e-3 <= ratio.min() < 0.74
    grey_after = done(images, contrast=0.4).mean((2, 3)) @ luma
    torch.testing.assert_close(grey_after, grey.flatten(), rtol=0, atol=1e-5)


def test_contrast_keeps_the_mean_grey_that_brightness_gave():
    images = same(low=0.4, high=0.6)
    bright, both = done(images, brightness=0.3), done(images, brightness=0.3, contrast=0.2)
    torch.testing.assert_close(both.mean((2, 3)) @ luma, bright.mean((2, 3)) @ luma, rtol=0, atol=1e-5)


@pytest.mark.parametrize("on", [{"saturation": 0.5}, {"hue": 0.1}])
def test_saturation_and_hue_keep_luma_and_greys(on):
    images = noise(low=0.4, high=0.6)
    images[0] = images[0, :1]
    changed = done(images, **on)
    expected = torch.einsum("nchw,c->nhw", images, luma)
    torch.testing.assert_close(torch.einsum("nchw,c->nhw", changed, luma), expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(changed[0], images[0], rtol=0, atol=1e-3)
    assert (changed[1:] - images[1:]).abs().amax((1, 2, 3)).min() > 1e-4


def test_saturation_multiplies_the_distance_from_the_grey_of_the_pixel():
    images = same(200, low=0.4, high=0.6)
    grey = torch.einsum("nchw,c->nhw", images, luma)[:, None]
    ratio = (done(images, saturation=0.5) - grey).flatten(1).norm(dim=1) / (images - grey).flatten(1).norm(dim=1)
    assert 1.45 < ratio.max() <= 1.5 + 1e-2
    assert 1 / 1.5 - 1e-2 <= ratio.min() < 0.7


def test_gamma_is_a_power_of_the_light():
    images = same(100, low=0.05, high=0.95)
    exponent = done(images, gamma=0.5).log() / images.log()
    torch.testing.assert_close(exponent.amin((1, 2, 3)), exponent.amax((1, 2, 3)), rtol=1e-3, atol=0)
    assert 1.4 < exponent.max() <= 1.5 + 1e-3
    assert 1 / 1.5 - 1e-3 <= exponent.min() < 0.72


def test_stains_are_scaled_and_shifted_each_for_itself_within_the_range():
    images = same(200, side=8, low=0.3, high=0.5)
    to_stains = torch.from_numpy(hed_from_rgb).float()

    def stains(light: Tensor) -> Tensor:
        return torch.einsum("nchw,cs->nshw", -light.log(), to_stains).flatten(2)

    before, after = stains(images), stains(done(images, stain=0.2))
    spread = before - before.mean(2, keepdim=True)
    gain = (after * spread).sum(2) / (spread**2).sum(2)
    shift = after.mean(2) - gain * before.mean(2)
    residual = after - gain[..., None] * before - shift[..., None]
    assert residual.abs().max() < 1e-3
    assert 1.15 < gain.max() < 1.201
    assert 0.832 < gain.min() < 0.87
    assert 0.18 < shift.abs().max() < 0.201
    assert np.abs(np.corrcoef(torch.cat([gain, shift], 1).T.numpy()) - np.eye(6)).max() < 0.3


def test_blur_reaches_its_standard_deviation_and_leaves_half_of_the_images():
    line = torch.zeros(200, 3, 9, 101)
    line[..., 50] = 1
    seen = done(line, blur=0.04)[:, 0, 4].double()
    spread = ((seen * (torch.arange(101) - 50) ** 2).sum(1) / seen.sum(1)).sqrt()
    assert 3.8 < spread.max() < 4.1
    sharp = (seen[:, 50] > 0.9999).double().mean()
    assert 0.35 < sharp < 0.65


def test_motion_blur_spreads_along_its_path_and_not_across():
    y, x = torch.meshgrid(*[torch.arange(61) - 30.0] * 2, indexing="ij")
    dot = torch.exp(-(x**2 + y**2) / 8)  # variance 4 in every direction
    seen = done(dot.expand(100, 3, -1, -1), motion_blur=0.4)[:, 0].double()
    weights = seen / seen.sum((1, 2), keepdim=True)
    moments = torch.stack([(weights * m).sum((1, 2)) for m in (x * x, x * y, x * y, y * y)], 1).reshape(-1, 2, 2)
    across, along = torch.linalg.eigvalsh(moments).T
    torch.testing.assert_close(across, torch.full_like(across, 4), rtol=0, atol=0.1)
    lengths = (12 * (along - 4).clamp(min=0)).sqrt()  # a uniform path has the variance length² / 12
    assert 0.38 * 61 < lengths.max() < 0.401 * 61
    assert 30 <= (lengths < 0.5).sum() <= 70


@pytest.mark.parametrize("on", [{"blur": 0.1}, {"motion_blur": 0.5}, {"blur": 1.0, "motion_blur": 1.0}])
def test_blur_leaves_a_uniform_image_of_any_shape_as_it_is(on):
    images = torch.full((5, 3, 7, 12), 0.25)
    torch.testing.assert_close(done(images, **on), images, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 1), st.integers(4, 40), st.integers(4, 40), st.integers(0, 1000))
def test_dropout_covers_at_most_its_share_in_the_mean_colour(share, height, width, seed):
    images = noise(8, height, width)
    after = done(images, seed, dropout=share)
    covered = (after != images).any(1)
    assert covered.double().mean((1, 2)).max() <= share
    mean = images.mean((2, 3))[:, :, None, None].expand_as(images)
    hidden = covered[:, None].expand_as(images)
    assert after[hidden].equal(mean[hidden])


def test_dropout_covers_rectangles_up_to_about_its_share_and_leaves_half_of_the_images():
    covered = (done(same(200, side=40), dropout=0.3) != same(200, side=40)).any(1).double().mean((1, 2))
    assert covered.max() > 0.22
    assert 70 <= (covered == 0).sum() <= 130


def test_presets_order_by_strength():
    off, dihedral, standard, challenge, laboratory = (dataclasses.asdict(PRESETS[name]) for name in PRESETS)
    assert not any(off.values())
    assert {name for name, value in dihedral.items() if value} == {"flips", "rot90"}
    weaker = {name for name in OPERATIONS if standard[name] <= challenge[name]}
    assert weaker == set(OPERATIONS) - {"stain"}
    assert all(standard[name] <= laboratory[name] for name in OPERATIONS)


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ({"rotate": -5}, "rotate of the augmentation is -5; choose 0 to 180"),
        ({"hue": 0.6}, "hue of the augmentation is 0.6; choose 0 to 0.5"),
        ({"blur": 2.0}, "blur of the augmentation is 2.0; choose 0 to 1"),
        ({"stain": math.nan}, "stain of the augmentation is nan"),
    ],
)
def test_strengths_out_of_range_are_refused(on, message):
    with pytest.raises(AugmentationError, match=message):
        Augmentation(**on)


@pytest.mark.parametrize(
    "images", [torch.zeros(3, 8, 8), torch.zeros(1, 8, 8, 3), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)]
)
def test_images_of_another_layout_or_type_are_refused(images):
    with pytest.raises(AugmentationError, match=r"torch.float32 \(n, 3, h, w\)"):
        augment(images, PRESETS["none"], step_generator(0, 0, 0))


def test_turning_what_is_not_square_is_refused():
    with pytest.raises(AugmentationError, match="6 × 10 pixels cannot be turned by 90°; make them square"):
        done(noise(2, 6, 10), rot90=True)


LABELS = torch.tensor([0, 1, 2, 2, 1, 0, 3, 1])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.sampled_from([("mixup",), ("cutmix",), ("mixup", "cutmix")]), st.floats(0.1, 5))
def test_mixed_targets_sum_to_one_and_images_stay_in_range(seed, methods, alpha):
    images, targets = mix(noise(), LABELS, 4, methods, alpha, step_generator(seed, 0, 0))
    assert targets.shape == (8, 4)
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    assert targets.min() >= 0
    assert -1e-6 <= images.min() <= images.max() <= 1 + 1e-6


def test_the_share_of_the_label_is_that_of_the_image_in_mixup():
    images = torch.arange(4.0)[:, None, None, None].expand(-1, 3, 8, 8) / 4
    mixed, targets = mix(images, torch.arange(4), 4, ("mixup",), 1.0, step_generator(0, 0, 0))
    expected = targets @ (torch.arange(4.0) / 4)
    torch.testing.assert_close(mixed, expected[:, None, None, None].expand_as(mixed))
    assert 0.01 < targets[0, 0] < 0.99


def test_the_share_of_the_label_is_that_of_the_area_in_cutmix():
    images = torch.arange(4.0)[:, None, None, None].expand(-1, 3, 8, 8).clone()
    mixed, targets = mix(images, torch.arange(4), 4, ("cutmix",), 1.0, step_generator(0, 0, 0))
    for number, image in enumerate(mixed[:, 0]):
        for label in range(4):
            assert (image == label).double().mean().item() == pytest.approx(targets[number, label].item())
    assert 0.01 < targets[0, 0] < 0.99


def test_both_ways_of_mixing_are_equally_frequent():
    images = torch.arange(4.0)[:, None, None, None].expand(-1, 3, 8, 8).clone()
    both = ("mixup", "cutmix")
    cut = [
        mix(images, torch.arange(4), 4, both, 1.0, step_generator(0, 0, step))[0].frac().eq(0).all()
        for step in range(200)
    ]
    assert 70 <= sum(cut) <= 130


def test_mixing_follows_the_generator_and_leaves_the_global_state_as_it_is():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = mix(noise(), LABELS, 4, ("mixup", "cutmix"), 1.0, step_generator(0, 0, 0))
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(2)
    again = mix(noise(), LABELS, 4, ("mixup", "cutmix"), 1.0, step_generator(0, 0, 0))
    other = mix(noise(), LABELS, 4, ("mixup", "cutmix"), 1.0, step_generator(0, 0, 1))
    assert first[0].equal(again[0])
    assert first[1].equal(again[1])
    assert not first[0].equal(other[0])


@pytest.mark.parametrize("method", ["mixup", "cutmix"])
def test_a_batch_of_one_class_or_one_image_keeps_its_target(method):
    for images, labels in ((noise(), torch.full((8,), 2)), (noise(1), torch.tensor([2]))):
        mixed, targets = mix(images, labels, 4, (method,), 1.0, step_generator(0, 0, 0))
        torch.testing.assert_close(targets, torch.eye(4)[labels])
        if len(images) == 1:
            torch.testing.assert_close(mixed, images)


@pytest.mark.parametrize("methods", [(), ("mixup", "mosaic"), "mixup"])
def test_unknown_ways_of_mixing_name_those_that_exist(methods):
    with pytest.raises(AugmentationError, match="choose one or both of mixup, cutmix"):
        mix(noise(), LABELS, 4, methods, 1.0, step_generator(0, 0, 0))


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan])
def test_a_beta_distribution_without_width_is_refused(alpha):
    with pytest.raises(AugmentationError, match="choose a number above 0"):
        mix(noise(), LABELS, 4, ("mixup",), alpha, step_generator(0, 0, 0))
