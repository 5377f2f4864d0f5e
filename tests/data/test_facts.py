import pandas as pd

from wbc_utils.data import facts
from wbc_utils.data.tables import BOX_COLUMNS, Dataset


def boxes(name, rows, images):
    table = pd.DataFrame(rows, columns=list(BOX_COLUMNS))
    listed = pd.DataFrame([(image, image, split, 100, 100) for image, split in images.items()],
                          columns=["image", "path", "split", "width", "height"])  # fmt: skip
    return Dataset(name, table, listed, pd.DataFrame())


def by_name(found):
    return {fact.name: (fact.value, fact.n) for fact in found}


def test_cbc_counts_images_by_their_cells_and_boxes_before_and_after_cleaning():
    images = {"a": "train", "b": "train", "c": "train", "t": "test"}
    rows = [("a", "WBC", 0, 0, 9, 9, "train", 0), ("a", "WBC", 20, 20, 30, 30, "train", 1)]
    rows += [("b", "Platelets", k, k, k + 5, k + 5, "train", k) for k in range(4)]
    rows += [("t", "RBC", 0, 0, 9, 9, "test", 0)]
    degenerate = ("a", "RBC", 5, 5, 5, 9, "train", 2)
    found = by_name(facts.cbc_facts(boxes("cbc", [*rows, degenerate], images), boxes("cbc", rows, images)))
    assert found["cbc.train_rows"] == (6, 3)
    assert found["cbc.train_rows_raw"] == (7, 3)
    assert found["cbc.train_rows_dropped"] == (1, 3)
    assert found["cbc.test_rows"] == (1, 1)
    assert found["cbc.train_images_two_wbc"] == (1, 3)
    assert found["cbc.train_images_no_wbc"] == (2, 3)
    assert found["cbc.train_images_many_platelets"] == (1, 3)
    assert found["cbc.train_images_no_rbc"] == (3, 3)


def test_bcd_counts_boxes_under_two_labels_and_images_with_many_white_cells():
    rows = [("a", "RBC", 0, 0, 9, 9, "all", 0), ("a", "WBC", 0, 0, 9, 9, "all", 1), ("b", "RBC", 0, 0, 9, 9, "all", 2)]
    dataset = boxes("bcd", rows, {"a": "all", "b": "all"})
    assert by_name(facts.bcd_facts(dataset, dataset)) == {
        "bcd.duplicate_annotations": (1, 2),
        "bcd.images_over_10_percent_wbc": (1, 2),
    }


def test_pbc_counts_cells_whose_prefix_names_no_type():
    dataset = Dataset("pbc", pd.DataFrame({"fine_label": ["IG", "MY", "NEUTROPHIL"]}), pd.DataFrame(), pd.DataFrame())
    assert by_name(facts.pbc_facts(dataset)) == {"pbc.unspecific_cells": (2, 3)}


def test_lymph_counts_patients_by_label_and_those_without():
    table = pd.DataFrame({"label": pd.array([0, 1, 1, pd.NA], dtype="Int64"), "split": ["train"] * 3 + ["test"]})
    assert by_name(facts.lymph_facts(Dataset("lymph", table, pd.DataFrame(), pd.DataFrame()))) == {
        "lymph.reactive_patients": (1, 4),
        "lymph.malignant_patients": (2, 4),
        "lymph.test_patients": (1, 4),
    }
