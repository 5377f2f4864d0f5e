"""Numbers of an embedding, by hand and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import manifold
from sklearn.neighbors import NearestNeighbors

from wbc_utils.metrics import MetricError, embedding

LINE = np.array([[0.0], [1.0], [3.0], [7.0], [15.0]])


def blobs(n, distance, seed=0):
    """Return n points around each of three corners of a triangle in five dimensions, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(["BNE", "MY", "SNE"], n)
    return distance * np.repeat(np.eye(3, 5), n, axis=0) + rng.normal(size=(3 * n, 5)), labels


def test_neighbours_on_a_line_by_hand():
    assert embedding.nearest(LINE, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1], [3, 2]]


def test_members_of_a_group_are_no_neighbours_of_each_other():
    found = embedding.nearest(LINE, 2, groups=["a", "a", "b", "b", "c"])
    assert found.tolist() == [[2, 3], [2, 3], [1, 0], [1, 0], [3, 2]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbours_are_those_of_scikit_learn(dtype):
    points = (np.random.default_rng(0).normal(size=(300, 40)) + 100).astype(dtype)
    oracle = NearestNeighbors(n_neighbors=7).fit(points).kneighbors(return_distance=False)
    assert embedding.nearest(points, 7).tolist() == oracle.tolist()


def test_blocks_of_the_distance_table_fit_together(monkeypatch):
    points = np.random.default_rng(0).normal(size=(100, 3))
    whole = embedding.nearest(points, 3), embedding.trustworthiness(points, points[:, :2], 3)
    monkeypatch.setattr(embedding, "_BLOCK_MIB", 0.01)  # 13 rows of 100 distances
    parts = embedding.nearest(points, 3), embedding.trustworthiness(points, points[:, :2], 3)
    assert parts[0].tolist() == whole[0].tolist()
    assert parts[1] == pytest.approx(whole[1])


def test_purity_by_hand():
    assert embedding.knn_purity(LINE, list("aabbb"), k=2).tolist() == [0.5, 0.5, 0, 0.5, 1]


def test_copies_make_an_embedding_pure_unless_they_are_grouped():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    points, labels = np.tile(points, (4, 1)), np.tile(labels, 4)
    assert embedding.knn_purity(points, labels, k=3).mean() == 1
    grouped = embedding.knn_purity(points, labels, k=3, groups=np.tile(np.arange(200), 4))
    assert grouped.mean() == pytest.approx(0.5, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2), min_size=6, max_size=20),
    k=st.integers(1, 5),
    shift=st.floats(-5, 5),
    turn=st.floats(0, 6),
    scale=st.floats(0.1, 10),
)
def test_purity_ignores_shift_rotation_and_scale(labels, k, shift, turn, scale):
    points = np.random.default_rng(len(labels)).normal(size=(len(labels), 2))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = scale * points @ rotation + shift
    found = embedding.knn_purity(points, labels, k)
    assert embedding.knn_purity(moved, labels, k).tolist() == found.tolist()
    assert ((found >= 0) & (found <= 1)).all()


def test_silhouettes_by_hand():
    found = embedding.silhouette(np.array([[0.0], [2.0], [10.0]]), ["MY", "MY", "EO"])
    assert found == pytest.approx([(10 - 2) / 10, (8 - 2) / 8, 0])


def test_a_projection_that_keeps_all_neighbours_is_trusted():
    points = np.random.default_rng(0).normal(size=(50, 2))
    assert embedding.trustworthiness(np.column_stack([points, np.zeros(50)]), 3 * points, k=5) == 1


def test_trustworthiness_of_one_wrong_neighbour_by_hand():
    # on the line, the nearest of each of 0, 1, 3, 7, 15 is 1, 0, 1, 3, 7; the projection swaps the places of 3 and 15
    projected = LINE[[0, 1, 4, 3, 2]]
    # nearest in the projection: 0 → 1, 1 → 0, 3 (now at 15) → 7, 7 → 15 (now at 3), 15 (at 3) → 1
    # their ranks on the line: 1, 1, 3 (after 1 and 0), 4 (the farthest), 3 (after 7 and 3)
    found = embedding.trustworthiness(LINE, projected, k=1)
    assert found == pytest.approx(1 - 2 / (5 * 1 * (10 - 3 - 1)) * (2 + 3 + 2))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(12, 60), k=st.integers(1, 5), dimensions=st.sampled_from([2, 3, 20])
)
def test_trustworthiness_is_that_of_scikit_learn(seed, n, k, dimensions):
    rng = np.random.default_rng(seed)
    high, low = rng.normal(size=(n, dimensions)), rng.normal(size=(n, 2))
    found = embedding.trustworthiness(high, low, k)
    assert found == pytest.approx(manifold.trustworthiness(high, low, n_neighbors=k))


def test_a_probe_reads_what_is_linear_and_guesses_what_is_not():
    points, labels = blobs(40, distance=8)
    groups = np.arange(120)
    probe = embedding.linear_probe(points, labels, groups, folds=4, seed=0)
    assert probe.classes == ("BNE", "MY", "SNE")
    assert (probe.y_pred == labels).all()
    assert probe.probabilities.sum(axis=1) == pytest.approx(np.ones(120))
    noise = embedding.linear_probe(np.random.default_rng(1).normal(size=(120, 5)), labels, groups, folds=4, seed=0)
    assert (noise.y_pred == labels).mean() < 0.5


def test_a_probe_never_sees_the_group_that_it_predicts():
    # a group can only be recognised by its own column; its label is a coin
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    labels = rng.permutation(np.repeat(["MY", "SNE"], 20))[groups]
    points = np.eye(40)[groups]
    apart = embedding.linear_probe(points, labels, groups, folds=5, seed=0)
    leaking = embedding.linear_probe(points, labels, np.arange(200), folds=5, seed=0)
    assert (leaking.y_pred == labels).mean() > 0.95
    assert (apart.y_pred == labels).mean() < 0.7


def test_a_class_of_one_group_is_never_predicted_and_has_probability_zero():
    points, labels = blobs(20, distance=8)
    labels = labels.astype("U4")
    labels[:3] = "PLY"
    groups = np.arange(60)
    groups[:3] = 0
    probe = embedding.linear_probe(points, labels, groups, folds=3, seed=0)
    column = probe.classes.index("PLY")
    assert (probe.probabilities[:3, column] == 0).all()
    assert "PLY" not in probe.y_pred[:3]
    assert (probe.probabilities[3:, column] > 0).any()


def test_the_same_seed_repeats_the_probe():
    points, labels = blobs(15, distance=1)
    one, other = (embedding.linear_probe(points, labels, range(45), folds=3, seed=7) for _ in range(2))
    assert one.probabilities.tolist() == other.probabilities.tolist()


def test_centroids_and_their_distances_by_hand():
    points, labels = np.array([[0, 0], [2, 0], [1, 4], [9, 0]], dtype=np.float32), ["MY", "MY", "EO", "SNE"]
    order = ["SNE", "MY", "EO"]
    means = embedding.centroids(points, labels, order)
    assert means.loc["MY"].tolist() == [1, 0]
    assert list(means.index) == order
    distances = embedding.centroid_distances(points, labels, order)
    assert (list(distances.index), list(distances.columns)) == (order, order)
    assert distances.loc["MY"].tolist() == [8, 0, 4]
    assert distances.loc["EO", "SNE"] == pytest.approx(np.hypot(8, 4))


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(float, (9, 3), elements=st.floats(-1e3, 1e3)))
def test_centroid_distances_are_a_metric(points):
    distances = embedding.centroid_distances(points, list("aaabbbccc"), list("abc")).to_numpy()
    assert (np.diag(distances) == 0).all()
    assert (distances == distances.T).all()
    assert distances[0, 1] <= distances[0, 2] + distances[2, 1] + 1e-9


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0.0], [np.nan], [1.0]], "1 of 3 embeddings are not finite"),
        ([0.0, 1.0, 2.0], r"embeddings of shape \(3,\)"),
        (np.empty((3, 0)), r"embeddings of shape \(3, 0\)"),
        ([[0.0], [1.0]], "2 embeddings and 3 labels"),
    ],
)
def test_what_is_no_embedding_of_the_items_is_refused(points, message):
    points = np.asarray(points)
    for measure in (
        lambda: embedding.knn_purity(points, list("aab"), k=1),
        lambda: embedding.silhouette(points, list("aab")),
        lambda: embedding.linear_probe(points, list("aab"), range(3), folds=2, seed=0),
        lambda: embedding.centroids(points, list("aab"), list("ab")),
    ):
        with pytest.raises(MetricError, match=message):
            measure()


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: embedding.nearest(LINE, 5), "some item has only 4 others outside its group, give 1 to 4"),
        (lambda: embedding.nearest(LINE, 0), "give 1 to 4"),
        (lambda: embedding.nearest(LINE, 3, groups=list("aaabc")), "only 2 others outside its group"),
        (lambda: embedding.nearest(LINE, 1, groups=list("ab")), "5 embeddings and 2 groups"),
        (lambda: embedding.silhouette(LINE, list("aaaaa")), "1 classes of 5 items"),
        (lambda: embedding.silhouette(LINE, list("abcde")), "5 classes of 5 items"),
        (lambda: embedding.trustworthiness(LINE, LINE, k=3), "defined for 1 to fewer than 2.5"),
        (lambda: embedding.trustworthiness(LINE, LINE[:4], k=1), "5 embeddings and 4 projected"),
        (lambda: embedding.linear_probe(LINE, list("aaabb"), range(5), folds=4, seed=0), "allow 2 to 3"),
        (lambda: embedding.linear_probe(LINE, list("aaabb"), [0, 0, 0, 1, 1], folds=3, seed=0), "allow 2 to 2"),
        (lambda: embedding.linear_probe(LINE, list("aaabb"), [0, 0, 0, 1, 1], folds=2, seed=0), "trains on"),
        (lambda: embedding.centroids(LINE, list("aaabb"), list("abc")), r"classes \['c'\] have no item"),
        (lambda: embedding.centroids(LINE, list("aaabb"), list("a")), r"\['b'\] are not in the order"),
    ],
)
def test_what_cannot_be_measured_is_refused(measure, message):
    with pytest.raises(MetricError, match=message):
        measure()


def test_the_nearest_class_is_another_one():
    distances = embedding.centroid_distances(LINE, list("abcde"), list("abcde"))
    assert embedding.nearest_class(distances).to_dict() == {"a": "b", "b": "a", "c": "b", "d": "c", "e": "d"}
