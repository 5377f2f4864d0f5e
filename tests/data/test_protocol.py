import numpy as np
import pandas as pd
import pytest

from wbc_utils.data import duplicates, fingerprints, overview, protocol, registry
from wbc_utils.data.tables import Dataset

FOLDS = 3


@pytest.fixture(scope="module")
def searched(synthetic_root):
    raw = overview.read_all(list(registry.load_registry()), synthetic_root)
    data = overview.clean_all(raw)
    images = overview.image_table(data)
    prints = fingerprints.fingerprint(images["path"])
    scans = duplicates.scan_each(images, prints, np.random.default_rng(0), known=50)
    brightness = prints.thumbnails.mean(axis=(1, 2))
    tables = {}
    for name, dataset in data.items():
        own = (images["dataset"] == name).to_numpy()
        scanned = scans[name].images.assign(group=images["group"][own].to_numpy(), brightness=brightness[own])
        tables[name] = protocol.split_table(dataset, scanned, FOLDS, seed=0)
    return raw, scans, tables


def test_no_cluster_is_in_two_splits_or_two_folds(searched):
    for table in searched[2].values():
        used = table[table["split"] != "excluded"]
        assert (used.groupby("cluster")["split"].nunique() <= 1).all()
        assert (used.dropna(subset="fold").groupby("cluster")["fold"].nunique() <= 1).all()


def test_every_image_or_patient_stands_in_its_table_once(searched):
    raw, _, tables = searched
    for name, table in tables.items():
        key = "id" if name == "lymph" else "image"
        wanted = raw[name].table["id"] if name == "lymph" else raw[name].images["image"]
        assert sorted(table[key]) == sorted(wanted)


def test_training_copies_of_validation_and_test_images_are_excluded_with_a_reason(searched):
    table = searched[2]["cbc"]
    excluded = table[table["split"] == "excluded"]
    assert set(excluded["image"].str.split("/").str[0]) == {"Training"}
    assert set(excluded["reason"]) == {"duplicate of a validation image", "duplicate of a test image"}
    assert excluded["fold"].isna().all()


def test_equal_pictures_under_two_labels_are_excluded(searched, synthetic_root):
    from wbc_utils.data import synthetic

    table = searched[2]["pbc"].set_index("image")
    for pair in synthetic.planted(synthetic_root)["pbc"]["conflicting_duplicates"]:
        names = [name for name in (pair.values() if isinstance(pair, dict) else pair) if isinstance(name, str)]
        assert set(table.loc[[name for name in names if name in table.index], "split"]) == {"excluded"}


def test_published_test_images_stay_in_test_and_out_of_every_fold(searched):
    raw, _, tables = searched
    for name in ("cbc", "wbcbench"):
        published = raw[name].images.set_index("image")["split"]
        table = tables[name].set_index("image")
        test = published[published == "test"].index
        assert (table.loc[test, "split"] == "test").all()
        assert table.loc[test, "fold"].isna().all()


def test_folds_are_numbered_from_zero_and_all_used(searched):
    for table in searched[2].values():
        assert set(table["fold"].dropna()) == set(range(FOLDS))


def test_unlabelled_patients_are_in_no_fold(searched):
    raw, _, tables = searched
    unlabelled = raw["lymph"].table.loc[raw["lymph"].table["label"].isna(), "id"]
    assert tables["lymph"].set_index("id").loc[unlabelled, "fold"].isna().all()


def test_patients_who_share_a_picture_share_a_fold(searched, synthetic_root):
    from wbc_utils.data import synthetic

    fold = searched[2]["lymph"].set_index("id")["fold"]
    for pair in synthetic.planted(synthetic_root)["lymph"]["exact_duplicates"]:
        names = pair.values() if isinstance(pair, dict) else pair
        patients = {name.split("/")[1] for name in names if isinstance(name, str) and "/" in name}
        assert len(patients) == 2
        assert len(set(fold[list(patients)])) == 1


def test_sizes_count_every_row(searched):
    sizes = protocol.sizes(searched[2]).set_index("data set")
    for name, table in searched[2].items():
        assert sizes.loc[name, ["train", "validation", "test", "excluded"]].sum() == (table["split"] != "all").sum()


def test_the_published_split_of_cbc_fails_its_check_and_ours_passes(searched):
    checks = protocol.method_checks(*searched, FOLDS)
    status = {(check.code, check.data): check.status for check in checks}
    assert status["WBC001", "cbc, as published"] == "fail"
    assert status["WBC002", "cbc, as split here"] == "pass"
    assert status["WBC007", "bcd"] == "fail"


def test_the_same_seed_gives_the_same_splits(searched, synthetic_root):
    raw, scans, tables = searched
    scanned = scans["segwbc"].images.assign(group=None, brightness=0.0)
    again = protocol.split_table(raw["segwbc"], scanned, FOLDS, seed=0)
    pd.testing.assert_frame_equal(again, tables["segwbc"])


def test_split_cells_have_their_labels_and_files_and_no_excluded_one(tmp_path):
    table = tmp_path / "splits_pbc.csv"
    table.write_text(
        "image,split,cluster,reason,fold\na/1.jpg,train,0,,1\nb/2.jpg,excluded,1,torn,\nb/3.jpg,test,2,,0\n"
    )
    rows = {"path": ["b/3.jpg", "a/1.jpg", "b/2.jpg"], "label": ["b", "a", "b"], "fine_label": ["B", "A", "B"]}
    dataset = Dataset("pbc", pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame())
    cells = protocol.split_cells(table, dataset, tmp_path)
    assert cells["image"].tolist() == ["a/1.jpg", "b/3.jpg"]
    assert cells["fine_label"].tolist() == ["A", "B"]
    assert cells["file"].tolist() == [tmp_path / "a/1.jpg", tmp_path / "b/3.jpg"]
