"""Pairs of near images: the same as brute force, and a correlation that means what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from wbc_utils.data import similarity
from wbc_utils.data.fingerprints import ORIENTATIONS, orient
from wbc_utils.data.similarity import aligned_distances, correlations, near_pairs


def texture(seed):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), 1.5)
    return np.clip(128 + 200 * noise, 0, 255).astype(np.uint8)


def hamming(a, b):
    return (int(a) ^ int(b)).bit_count()


@settings(deadline=None)
@given(
    hashes=arrays(np.uint64, st.tuples(st.integers(0, 12), st.just(8)), elements=st.integers(0, 2**64 - 1)),
    threshold=st.integers(0, 40),
)
def test_near_pairs_are_those_of_brute_force(hashes, threshold):
    pairs, distances = near_pairs(hashes, threshold)
    expected = {}
    for i in range(len(hashes)):
        for j in range(i + 1, len(hashes)):
            distance = min(hamming(hashes[i, o], hashes[j, 0]) for o in range(8))
            if distance <= threshold:
                expected[i, j] = distance
    assert dict(zip(map(tuple, pairs.tolist()), distances.tolist(), strict=True)) == expected
    assert pairs.tolist() == sorted(pairs.tolist())


def test_blocks_do_not_change_the_pairs(monkeypatch):
    hashes = np.random.default_rng(0).integers(0, 2**64, (50, 8), dtype=np.uint64)
    whole = near_pairs(hashes, 24)
    monkeypatch.setattr(similarity, "_ROWS", 7)
    monkeypatch.setattr(similarity, "_COLUMNS", 11)
    parts = near_pairs(hashes, 24)
    assert len(whole[0]) > 10
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])


def test_distance_tells_the_orientation_of_the_first_image():
    first = np.random.default_rng(1).integers(0, 2**64, (3, 8), dtype=np.uint64)
    second = np.zeros((3, 8), np.uint64)
    second[:, 0] = first[[0, 1, 2], [0, 3, 7]] ^ np.uint64(0b101)
    distances, orientations = aligned_distances(first, second)
    assert distances.tolist() == [2, 2, 2]
    assert orientations.tolist() == [0, 3, 7]


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_turned_copy_correlates_fully_once_aligned(orientation):
    pair = np.array([texture(0), orient(texture(0), orientation)])
    assert correlations(pair, np.array([0]), np.array([1]), np.array([orientation]))[0] == pytest.approx(1, abs=2e-3)


def test_different_textures_hardly_correlate():
    images = np.array([texture(seed) for seed in range(20)])
    values = correlations(images, np.arange(10), np.arange(10, 20), np.zeros(10, int))
    assert values.max() < 0.4


def test_correlation_ignores_brightness_and_slow_shading():
    shaded = np.clip(0.8 * texture(0) + np.linspace(0, 40, 64), 0, 255).astype(np.uint8)
    assert correlations(np.array([texture(0), shaded]), np.array([0]), np.array([1]), np.array([0]))[0] > 0.97


@pytest.mark.parametrize(("shift", "low", "high"), [(3, 0.8, 1.0), (8, -1.0, 0.4)])
def test_small_shifts_are_found_and_large_ones_are_not(shift, low, high):
    field = gaussian_filter(np.random.default_rng(2).normal(size=(80, 80)), 1.5)
    field = np.clip(128 + 200 * field, 0, 255).astype(np.uint8)
    pair = np.array([field[:64, :64], field[shift : 64 + shift, :64]])
    value = correlations(pair, np.array([0]), np.array([1]), np.array([0]))[0]
    assert low < value < high


def test_images_without_detail_correlate_with_nothing():
    images = np.array([np.full((64, 64), 200, np.uint8), np.full((64, 64), 90, np.uint8), texture(0)])
    assert correlations(images, np.array([0, 0]), np.array([1, 2]), np.zeros(2, int)).tolist() == [0, 0]


def test_no_pairs_have_no_correlations():
    none = np.empty(0, int)
    assert correlations(np.empty((0, 64, 64), np.uint8), none, none, none).shape == (0,)
