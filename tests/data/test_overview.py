from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from wbc_utils.data import overview, registry
from wbc_utils.data.tables import DataError

NAMES = list(registry.load_registry())


@pytest.fixture(scope="module")
def data(synthetic_root):
    return overview.clean_all(overview.read_all(NAMES, synthetic_root))


def test_a_root_without_any_wanted_data_set_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="Set WBC_DATA"):
        overview.read_all(NAMES, tmp_path)


def test_a_wrong_root_is_told_apart_by_what_lies_near_it(tmp_path):
    (tmp_path / "root" / "bcd").mkdir(parents=True)
    (tmp_path / "root" / "bcd" / "annotations.csv").touch()
    named = rf"wanted data sets \(cbc, bcd\) lies .* {tmp_path / 'root'} holds bcd: set WBC_DATA to it\."
    with pytest.raises(DataError, match=named):
        overview.read_all(["cbc", "bcd"], tmp_path)


def test_a_data_set_without_a_miniature_is_said_to_lack_one(tmp_path):
    (tmp_path / registry.SYNTHETIC_MARK).write_text("{}")
    with pytest.raises(DataError, match="No miniature of it is drawn there: see _WRITERS and VERSION"):
        overview.read_all(["cbc"], tmp_path)


def test_the_real_root_is_that_of_wbc_data(tmp_path, monkeypatch):
    monkeypatch.setenv("WBC_DATA", str(tmp_path))
    assert overview.open_root("real") == tmp_path.resolve()


def test_the_image_table_has_every_image_once_with_its_finest_label(data):
    table = overview.image_table(data)
    assert len(table) == sum(len(dataset.images) for dataset in data.values())
    assert not table.duplicated(["dataset", "image"]).any()
    assert table.loc[table["dataset"] == "cbc", "label"].isna().all()
    assert set(table.loc[table["dataset"] == "pbc", "label"]) >= {"BNE", "SNE"}
    lymph = table[table["dataset"] == "lymph"]
    assert set(lymph["label"].dropna()) == {"reactive", "malignant"}
    assert lymph["group"].notna().all()


def test_the_group_of_a_cell_is_its_patient_and_missing_where_unknown(data):
    cells = data["segwbc"]
    assert overview.image_table({"segwbc": cells})["group"].isna().all()
    assert not overview.names_patients(cells)
    half = cells.table["group"].where(cells.table.index < 5, "P1")
    table = overview.image_table({"segwbc": replace(cells, table=cells.table.assign(group=half))})
    assert table["group"].iloc[:5].isna().all()
    assert set(table["group"].iloc[5:]) == {"P1"}


def test_counts_add_up_to_the_tables_and_name_the_unlabelled(data):
    counts = overview.class_counts(data)
    total = counts.groupby("dataset")["objects"].sum()
    assert all(total[name] == len(dataset.table) for name, dataset in data.items())
    assert "unlabelled" in set(counts.loc[counts["dataset"] == "lymph", "class"])


def test_counts_by_split_have_classes_in_lineage_order():
    rows = [("x", "train", "SNE", 3), ("x", "train", "BL", 1), ("x", "test", "SNE", 2)]
    wide = overview.by_split(pd.DataFrame(rows, columns=["dataset", "split", "class", "objects"]))
    assert list(wide.columns) == ["split", "BL", "SNE"]
    assert wide.to_dict("list") == {"split": ["test", "train"], "BL": [0, 1], "SNE": [2, 3]}


def test_imbalance_is_largest_over_smallest_without_the_unlabelled():
    rows = [("x", "all", "SNE", 90), ("x", "all", "PC", 3), ("x", "test", "unlabelled", 1)]
    [row] = overview.imbalance(pd.DataFrame(rows, columns=["dataset", "split", "class", "objects"])).to_dict("records")
    assert (row["ratio"], row["largest"], row["smallest"], row["objects"]) == (30.0, "SNE (90)", "PC (3)", 93)


def test_names_of_patients_do_not_reach_a_page():
    frame = pd.DataFrame({"dataset": ["lymph", "cbc"], "image": ["trainset/P1/0.jpg", "Training/Images/a.jpg"]})
    assert list(overview.without_identifiers(frame)["image"]) == ["(withheld)", "Training/Images/a.jpg"]


def test_pictures_without_a_stated_licence_are_shown_only_if_synthetic():
    assert overview.may_be_shown(["cbc", "lymph"], "real") == ["cbc"]
    assert overview.may_be_shown(["cbc", "lymph"], "synthetic") == ["cbc", "lymph"]


def test_colour_statistics_of_plain_colours_are_exact(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    Image.new("RGB", (8, 8), (51, 51, 51)).save(tmp_path / "grey.png")
    (tmp_path / "broken.png").write_bytes(b"")
    names = ["red.png", "grey.png", "broken.png"]
    images = pd.DataFrame({"dataset": "x", "image": names, "path": [tmp_path / name for name in names]})
    found = overview.color_statistics(images, np.random.default_rng(0)).set_index("image")
    assert found.loc["red.png", ["brightness", "saturation"]].tolist() == pytest.approx([1, 1])
    assert found.loc["grey.png", ["brightness", "saturation"]].tolist() == pytest.approx([0.2, 0])
    assert "broken.png" not in found.index


def test_a_sample_has_one_cell_of_each_label_in_lineage_order(data):
    images = overview.image_table(data)
    pictures, labels = overview.sample_cells(images[images["dataset"] == "segwbc"], np.random.default_rng(0))
    assert labels == ["EO", "BA", "MO", "LY", "NEUTROPHIL"]
    assert all(picture.shape == (120, 120, 3) for picture in pictures)


def test_sampled_fields_come_with_their_own_boxes(data):
    images = overview.image_table(data)
    pictures, boxes = overview.sample_fields(data["cbc"], images, 3, np.random.default_rng(0))
    assert len(pictures) == len(boxes) == 3
    assert all(len(set(own["image"])) == 1 for own in boxes)


def test_an_unreadable_image_is_a_row_of_the_audit():
    unreadable = pd.DataFrame({"dataset": ["cbc"], "image": ["a.jpg"], "error": ["the file is empty"]})
    [row] = overview.unreadable_rows(unreadable).to_dict("records")
    assert (row["dataset"], row["image"], row["reason"]) == ("cbc", "a.jpg", "the file is empty")
    assert row["decision"] == "excluded from every split"
    assert overview.unreadable_rows(unreadable.iloc[:0]).empty
