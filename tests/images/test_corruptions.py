import numpy as np
import pytest

from wbc_utils.images.corruptions import KINDS, SEVERITIES, CorruptionError, corrupt


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    """Return two images, dark disc on a bright slide, nowhere near black or white."""
    y, x = np.mgrid[:96, :80]
    image = np.full((96, 80, 3), (190, 180, 170), np.uint8)
    image[np.hypot(y - 48, x - 40) < 24] = (110, 80, 130)
    return np.stack([image, image[::-1, ::-1]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_from_the_original_grows_with_severity(cells, kind):
    distances = [np.abs(corrupt(cells, kind, severity, 0) - cells.astype(float)).mean() for severity in SEVERITIES]
    assert distances[0] > 0
    assert (np.diff(distances) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_shape_and_type_stay_and_the_given_images_too(cells, kind):
    before = cells.copy()
    corrupted = corrupt(cells, kind, 4, 0)
    assert corrupted.shape == cells.shape
    assert corrupted.dtype == np.uint8
    np.testing.assert_array_equal(cells, before)


@pytest.mark.parametrize("kind", ["noise", "illumination"])
def test_the_seed_decides_and_each_image_draws_its_own(cells, kind):
    twice = np.stack([cells[0], cells[0]])
    corrupted = corrupt(twice, kind, 2, 5)
    np.testing.assert_array_equal(corrupted, corrupt(twice, kind, 2, 5))
    assert (corrupted != corrupt(twice, kind, 2, 6)).any()
    assert (corrupted[0] != corrupted[1]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_does_not_depend_on_the_content_of_the_others(cells, kind):
    other = np.stack([np.zeros_like(cells[0]), cells[1]])
    np.testing.assert_array_equal(corrupt(other, kind, 3, 0)[1], corrupt(cells, kind, 3, 0)[1])


@pytest.mark.parametrize(("severity", "sigma"), [(1, 5), (2, 10), (3, 20), (4, 40)])
def test_noise_has_its_standard_deviation_in_grey_levels_whatever_the_size(severity, sigma):
    for side in (32, 200):
        grey = np.full((4, side, side, 3), 127, np.uint8)
        noise = corrupt(grey, "noise", severity, 0) - 127.0
        assert noise.std() == pytest.approx(sigma, rel=0.03)
        assert abs(noise.mean()) < 0.05 * sigma


@pytest.mark.parametrize(("severity", "fraction"), [(1, 0.005), (2, 0.01), (3, 0.02), (4, 0.03)])
def test_blur_spreads_a_line_by_its_fraction_of_the_width(severity, fraction):
    for width in (200, 400):
        line = np.zeros((1, 4, width, 3), np.uint8)
        line[:, :, width // 2] = 255
        seen = corrupt(line, "blur", severity, 0)[0, 0, :, 0].astype(float)
        x = np.arange(width) - width // 2
        spread = np.sqrt((seen * x**2).sum() / seen.sum())
        assert spread == pytest.approx(fraction * width, rel=0.1)


def test_blur_leaves_a_uniform_image_as_it_is():
    plain = np.full((1, 20, 20, 3), (200, 100, 7), np.uint8)
    np.testing.assert_array_equal(corrupt(plain, "blur", 4, 0), plain)


@pytest.mark.parametrize(("severity", "gain"), [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)])
def test_illumination_is_a_gradient_of_its_gain_with_red_and_blue_apart(severity, gain):
    temperature = gain / 2
    grey = np.full((6, 64, 64, 3), 120, np.uint8)
    seen = corrupt(grey, "illumination", severity, 1) / 120.0
    green, ratio = seen[..., 1], seen[..., 0].mean((1, 2)) / seen[..., 2].mean((1, 2))
    assert green.max() == pytest.approx(1 + gain, abs=0.02)
    assert green.min() == pytest.approx(1 - gain, abs=0.02)
    assert green.mean() == pytest.approx(1, abs=0.005)
    warm = (1 + temperature) / (1 - temperature)
    assert {round(float(value), 1) for value in ratio} == {round(warm, 1), round(1 / warm, 1)}


def test_what_does_not_exist_is_refused_with_what_does():
    images = np.zeros((1, 8, 8, 3), np.uint8)
    for kind, severity in (("fog", 1), ("noise", 0), ("noise", 5)):
        with pytest.raises(CorruptionError, match="kinds are noise, blur, illumination, severities 1, 2, 3, 4"):
            corrupt(images, kind, severity, 0)


@pytest.mark.parametrize(
    "images", [np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((1, 3, 8, 8), "u1")]
)
def test_images_of_another_layout_or_type_are_refused(images):
    with pytest.raises(CorruptionError, match=r"give RGB images, uint8 \(n, h, w, 3\)"):
        corrupt(images, "noise", 1, 0)
