"""The search for duplicates: what was planted is found, and nothing else."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from wbc_utils.data import synthetic
from wbc_utils.data.duplicates import PAIR_COLUMNS, clusters, scan
from wbc_utils.data.images import find_images


def texture(seed):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(96, 96, 3)), (4, 4, 0))
    return np.clip(128 + 400 * noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def planted_scan(tmp_path_factory):
    """Twenty textures; an exact copy across splits, a turned one across data sets, one unreadable file."""
    folder = tmp_path_factory.mktemp("images")
    rows = []

    def add(name, image, dataset="one", split="train", label="LY"):
        Image.fromarray(np.ascontiguousarray(image)).save(folder / name)
        rows.append((dataset, name, folder / name, split, label))

    for seed in range(20):
        add(f"{seed}.png", texture(seed))
    add("copy.bmp", texture(3), split="test", label="MO")
    add("turned.jpg", np.rot90(texture(5)), dataset="two")
    (folder / "broken.jpg").touch()
    rows.append(("one", "broken.jpg", folder / "broken.jpg", "train", "LY"))
    (folder / "empty.jpg").touch()
    rows.append(("one", "empty.jpg", folder / "empty.jpg", "train", "LY"))
    images = pd.DataFrame(rows, columns=["dataset", "image", "path", "split", "label"], index=range(100, 124))
    return scan(images, np.random.default_rng(0))


def test_planted_pairs_are_found_and_no_others(planted_scan):
    frame = planted_scan.frame()
    assert list(frame.columns) == list(PAIR_COLUMNS)
    found = frame[["image_a", "image_b", "kind"]].to_numpy().tolist()
    assert found == [["3.png", "copy.bmp", "exact"], ["5.png", "turned.jpg", "near"]]


def test_a_pair_carries_split_label_and_data_set_of_both_images(planted_scan):
    exact, near = planted_scan.frame().to_dict("records")
    assert (exact["split_a"], exact["split_b"], exact["label_a"], exact["label_b"]) == ("train", "test", "LY", "MO")
    assert (exact["distance"], exact["correlation"]) == (0, 1)
    assert (near["dataset_a"], near["dataset_b"]) == ("one", "two")
    assert near["correlation"] > planted_scan.calibration.correlation


def test_look_alikes_are_kept_apart_with_their_correlation(planted_scan):
    look_alikes = planted_scan.look_alikes()
    assert len(look_alikes) + 2 == len(planted_scan.pairs)
    assert (look_alikes["correlation"] < planted_scan.calibration.correlation).all()
    assert look_alikes["correlation"].is_monotonic_decreasing


def test_clusters_join_duplicates_and_leave_the_rest_alone(planted_scan):
    number = planted_scan.images.set_index("image")["cluster"]
    assert number["3.png"] == number["copy.bmp"]
    assert number["5.png"] == number["turned.jpg"]
    assert number.nunique() == 24 - 2
    assert planted_scan.clusters()["images"].tolist() == [("3.png", "copy.bmp"), ("5.png", "turned.jpg")]


def test_exact_groups_name_conflicting_labels(planted_scan):
    (group,) = planted_scan.exact_groups().to_dict("records")
    assert group["images"] == ("3.png", "copy.bmp")
    assert group["splits"] == ("train", "test")
    assert group["labels"] == ("LY", "MO")
    assert group["conflicting"]


def test_unreadable_images_are_listed_and_are_no_duplicates_of_each_other(planted_scan):
    assert planted_scan.unreadable["image"].tolist() == ["broken.jpg", "empty.jpg"]
    assert planted_scan.unreadable["error"].str.contains("zero bytes").all()
    assert not planted_scan.pairs["image_a"].isin(["broken.jpg", "empty.jpg"]).any()


def test_images_without_duplicates_give_empty_tables_with_their_columns(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        Image.fromarray(texture(seed)).save(path)
    found = scan(pd.DataFrame({"image": ["a", "b", "c"], "path": paths}), np.random.default_rng(0))
    assert found.frame().empty
    assert list(found.frame().columns) == list(PAIR_COLUMNS)
    assert list(found.exact_groups().columns) == ["images", "datasets", "splits", "labels", "conflicting"]
    assert found.images["cluster"].tolist() == [0, 1, 2]


def test_scan_finds_the_duplicates_planted_in_the_synthetic_cells(synthetic_root):
    folder = synthetic_root / "pbc"
    names = find_images(folder)
    found = scan(pd.DataFrame({"image": names, "path": [folder / name for name in names]}), np.random.default_rng(0))
    truth = synthetic.planted(synthetic_root)["pbc"]
    exact = {frozenset(pair) for pair in truth["exact_duplicates"] + truth["conflicting_duplicates"]}
    near = {frozenset((entry["original"], entry["copy"])) for entry in truth["near_duplicates"]}
    rows = found.frame()
    pairs = {(row.kind, frozenset((row.image_a, row.image_b))) for row in rows.itertuples()}
    assert pairs == {("exact", pair) for pair in exact} | {("near", pair) for pair in near}


def test_clusters_are_chains_of_pairs_numbered_by_their_first_item():
    assert clusters(6, np.array([[4, 5], [1, 4]])).tolist() == [0, 1, 2, 3, 1, 1]


def test_without_pairs_each_item_is_its_own_cluster():
    assert clusters(3, np.empty((0, 2), int)).tolist() == [0, 1, 2]
    assert clusters(0, np.empty((0, 2), int)).tolist() == []


@settings(deadline=None)
@given(st.integers(1, 15).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_clusters_do_not_depend_on_the_order_of_pairs_and_never_part_a_pair(case):
    n, pairs = case
    number = clusters(n, np.array(pairs, int).reshape(-1, 2))
    assert all(number[i] == number[j] for i, j in pairs)
    assert clusters(n, np.array([pair[::-1] for pair in pairs[::-1]], int).reshape(-1, 2)).tolist() == number.tolist()
    first_seen = list(dict.fromkeys(number.tolist()))
    assert first_seen == list(range(len(first_seen)))
