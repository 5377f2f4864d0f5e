"""Thresholds: they follow their stated rule and separate known duplicates from different images."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from wbc_utils.data import calibration
from wbc_utils.data.calibration import ALTERATIONS, CANDIDATES_PER_IMAGE, calibrate
from wbc_utils.data.fingerprints import fingerprint
from wbc_utils.data.tables import DataError


@pytest.fixture(scope="module")
def smears(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smears")
    paths = []
    for seed in range(40):
        noise = gaussian_filter(np.random.default_rng(seed).normal(size=(96, 96, 3)), (4, 4, 0))
        paths.append(folder / f"{seed}.png")
        Image.fromarray(np.clip(128 + 400 * noise, 0, 255).astype(np.uint8)).save(paths[-1])
    return paths, fingerprint(paths)


@pytest.fixture(scope="module")
def found(smears):
    return calibrate(*smears, np.random.default_rng(0), known=60)


def test_every_kind_of_pair_is_measured(found):
    frame = found.frame()
    assert set(frame["kind"]) == {*ALTERATIONS, "different"}
    assert (frame["kind"] != "different").sum() == 60
    assert frame["distance"].between(0, 64).all()
    assert frame["correlation"].between(-1, 1).all()


def test_half_of_the_copies_of_every_kind_are_held_back_and_decide_nothing(found):
    frame = found.frame()
    kinds = frame.groupby("kind")["held"].mean()
    assert kinds["different"] == 0
    assert (kinds.drop("different") == 0.5).all()
    used = frame[~frame["held"] & (frame["kind"] != "different")]["correlation"]
    assert found.known_bound == pytest.approx(used.quantile(calibration.KNOWN_SHARE_LOST))


def test_fewer_copies_leave_the_pairs_of_different_images_as_they_were(smears, found):
    fewer = calibrate(*smears, np.random.default_rng(0), known=20)
    assert (fewer.distance, fewer.different_bound) == (found.distance, found.different_bound)


def test_known_duplicates_pass_and_different_images_do_not(found):
    assert found.recall > 0.98
    different = found.frame().query("kind == 'different'")
    assert (different["correlation"] < found.correlation).all()


def test_distance_is_the_largest_that_keeps_to_the_candidates_allowed(found):
    distances = found.frame().query("kind == 'different'")["distance"].to_numpy()
    assert found.pairs_searched == 40 * 39 // 2

    def proposed(threshold):
        return (distances <= threshold).mean() * found.pairs_searched

    assert proposed(found.distance) <= CANDIDATES_PER_IMAGE * 40 < proposed(found.distance + 1)


def test_correlation_lies_halfway_between_the_two_bounds(found):
    assert found.different_bound < found.correlation < found.known_bound
    assert found.correlation == pytest.approx((found.different_bound + found.known_bound) / 2)


def test_overlapping_distributions_give_the_bound_that_excludes_false_pairs(smears, monkeypatch):
    monkeypatch.setattr(calibration, "_tail_bound", lambda correlation, probability: 0.999)
    found = calibrate(*smears, np.random.default_rng(0), known=20)
    assert found.known_bound < found.different_bound == found.correlation


def test_tail_of_an_exponential_distribution_is_extrapolated_exactly():
    z = -np.log10(1 - (np.arange(100_000) + 0.5) / 100_000) / 10
    bound = calibration._tail_bound(np.tanh(z), 1e-8)
    assert np.arctanh(bound) == pytest.approx(0.8, abs=1e-3)


def test_few_comparisons_need_no_extrapolation():
    correlation = np.linspace(0, 0.5, 101)
    assert calibration._tail_bound(correlation, 0.1) == pytest.approx(0.45, abs=1e-3)


def test_same_seed_gives_the_same_thresholds(smears):
    first, second = (calibrate(*smears, np.random.default_rng(3), known=20) for _ in range(2))
    assert (first.distance, first.correlation) == (second.distance, second.correlation)


def test_crop_keeps_the_size_and_removes_at_most_two_per_cent():
    ramp = np.tile(np.linspace(0, 250, 100).astype(np.uint8), (80, 1))
    image = Image.fromarray(np.dstack([ramp] * 3))
    cropped = np.asarray(ALTERATIONS["cropped"](image, np.random.default_rng(0)))
    assert cropped.shape == (80, 100, 3)
    assert 0 < np.abs(cropped[:, 5:-5, 0].astype(int) - ramp[:, 5:-5]).max() <= 8


def test_brightness_changes_by_at_most_ten_per_cent():
    image = Image.fromarray(np.full((8, 8, 3), 100, np.uint8))
    rng = np.random.default_rng(0)
    levels = [int(np.asarray(ALTERATIONS["brightened"](image, rng))[0, 0, 0]) for _ in range(50)]
    assert 90 <= min(levels) < 95
    assert 105 < max(levels) <= 110


def test_equal_images_alone_cannot_be_calibrated(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "absent.png"]
    for path in paths[:2]:
        Image.new("RGB", (40, 40), "pink").save(path)
    with pytest.raises(DataError, match="of 3 images 2 are readable, and no two of them differ"):
        calibrate(paths, fingerprint(paths), np.random.default_rng(0))
