from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wbc_utils.data import duplicates, fingerprints, overview, protocol, reading, registry
from wbc_utils.data.tables import Audit, Dataset

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


def test_the_published_split_of_cbc_fails_its_check_and_ours_passes_as_far_as_patients_are_known(searched):
    checks = protocol.method_checks(*searched, FOLDS)
    status = {(check.code, check.data): check.status for check in checks}
    assert status["WBC001", "cbc, as published"] == "fail"
    assert status["WBC002", "cbc, as split here"] == "warn"
    assert status["WBC002", "lymph, as split here"] == "pass"
    assert status["WBC007", "bcd, as published"] == "fail"


def test_the_same_seed_gives_the_same_splits(searched, synthetic_root):
    raw, scans, tables = searched
    scanned = scans["segwbc"].images.assign(group=None, brightness=0.0)
    again = protocol.split_table(raw["segwbc"], scanned, FOLDS, seed=0)
    pd.testing.assert_frame_equal(again, tables["segwbc"])


def of_patients(dataset, number):
    """Return a data set of cells in which every so many cells belong to one patient."""
    groups = [f"P{place % number}" for place in range(len(dataset.table))]
    return replace(dataset, table=dataset.table.assign(group=groups))


def scanned_as(scan, dataset, **changes):
    """Return the searched images as those of another data set, with the groups of its table."""
    groups = overview.image_table({dataset.name: dataset})["group"].to_numpy()
    return scan.images.assign(**{"dataset": dataset.name, "group": groups, "brightness": 0.0, **changes})


def test_all_cells_of_a_patient_are_in_one_split_and_one_fold(searched):
    raw, scans, _ = searched
    known = of_patients(raw["segwbc"], 9)
    table = protocol.split_table(known, scanned_as(scans["segwbc"], known), FOLDS, seed=0)
    patients = table.merge(known.table[["path", "group"]], left_on="image", right_on="path").groupby("group")
    assert (patients[["split", "fold", "cluster"]].nunique() == 1).all(axis=None)
    assert set(table["split"]) == {"train", "validation", "test"}
    status = {
        check.code: check.status for check in protocol.method_checks({"segwbc": known}, scans, {"segwbc": table}, FOLDS)
    }
    assert status["WBC002"] == "pass"


def test_cells_of_two_labels_from_one_patient_are_not_taken_for_a_picture_under_two_labels(searched):
    raw, scans, _ = searched
    known = of_patients(raw["segwbc"], 9)
    table = protocol.split_table(known, scanned_as(scans["segwbc"], known), FOLDS, seed=0)
    assert "excluded" not in set(table["split"])


def test_a_published_split_that_divides_a_patient_fails_its_check(searched):
    raw, scans, _ = searched
    known = of_patients(raw["segwbc"], 9)
    published = np.where(np.arange(len(known.images)) < 18, "train", "test")
    table = protocol.split_table(known, scanned_as(scans["segwbc"], known, split=published), FOLDS, seed=0)
    found = protocol.method_checks({"segwbc": known}, scans, {"segwbc": table}, FOLDS)
    assert [(check.status, check.found) for check in found if check.code == "WBC002"] == [("fail", 9)]


def test_the_published_split_of_any_data_set_is_cleaned_of_leaks(searched):
    raw, scans, _ = searched
    mine = replace(raw["segwbc"], name="mine")
    published = np.where(np.arange(len(mine.images)) % 2, "test", "train")
    labels, clusters = "LY", np.arange(len(mine.images)) // 2
    scanned = scanned_as(scans["segwbc"], mine, split=published, label=labels, cluster=clusters)
    scanned.loc[4:, "cluster"] += np.arange(len(scanned) - 4)
    table = protocol.split_table(mine, scanned, FOLDS, seed=0)
    assert list(table.loc[table["split"] == "excluded"].index) == [0, 2]
    assert set(table.loc[[0, 2], "reason"]) == {"duplicate of a test image"}


def test_patients_are_told_by_their_bags_of_images_and_not_by_the_name_of_the_data_set(searched):
    raw, scans, tables = searched
    mine = replace(raw["lymph"], name="mine")
    table = protocol.split_table(mine, scanned_as(scans["lymph"], mine), FOLDS, seed=0)
    pd.testing.assert_frame_equal(table, tables["lymph"])
    assert list(protocol.sizes({"mine": table})["unit"]) == ["patients"]


def test_fields_without_a_published_split_are_divided_as_cells_are(searched):
    raw, scans, _ = searched
    mine = replace(raw["cbc"], name="mine")
    table = protocol.split_table(mine, scanned_as(scans["cbc"], mine, split="all"), FOLDS, seed=0)
    share = table["split"].value_counts(normalize=True)
    assert all(abs(share[split] - wanted) < 0.1 for split, wanted in protocol.OWN_FRACTIONS.items())
    assert (table.groupby("cluster")["split"].nunique() == 1).all()


def test_an_image_that_the_reader_dropped_because_it_cannot_be_read_is_broken(searched, tmp_path):
    raw, scans, tables = searched
    audit = Audit("segwbc")
    (tmp_path / "noise.png").write_bytes(b"no image")
    reading.read_image_table(tmp_path, {"noise.png": "all"}, audit)
    dropped = {"segwbc": replace(raw["segwbc"], audit=audit.frame())}
    [broken] = [check for check in protocol.method_checks(dropped, scans, tables, FOLDS) if check.code == "WBC006"]
    assert (broken.status, broken.found) == ("warn", 1)
    assert f"1 of {len(scans['segwbc'].images) + 1} images" in broken.detail
    assert "noise.png" in broken.detail


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
