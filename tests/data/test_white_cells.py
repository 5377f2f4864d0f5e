"""Types of white cells: given to a box only where no other reading is possible."""

import pandas as pd
import pytest

from wbc_utils.data.tables import DataError, Dataset
from wbc_utils.data.white_cells import DIFFERING, MIXED, NO_CELL, TYPED, UNTYPED, differences, white_cells, within

COLUMNS = ["image", "class", "xmin", "ymin", "xmax", "ymax"]


def dataset(name, *boxes, images):
    table = pd.DataFrame([(image, code, 0, 0, 10, 10) for image, code in boxes], columns=COLUMNS)
    return Dataset(name, table, pd.DataFrame({"image": images}), pd.DataFrame())


@pytest.fixture
def counted(tmp_path):
    """Return white cells of images that state their types in every way."""
    stated = [
        "1,NEUTROPHIL",
        '2,"EOSINOPHIL, EOSINOPHIL"',
        '3,"NEUTROPHIL, BASOPHIL"',
        "4,",
        '5,"LYMPHOCYTE"',
        "6,MONOCYTE",
    ]
    (tmp_path / "wbc_types.csv").write_text("\n".join(["Image,Category", *stated]) + "\n")
    names = {number: f"Training/Images/BloodImage_{number:05d}.jpg" for number in range(1, 9)}
    boxes = [(names[1], "WBC"), (names[1], "RBC"), (names[2], "WBC"), (names[2], "WBC"), (names[3], "WBC"),
             (names[3], "WBC"), (names[4], "WBC"), (names[5], "WBC"), (names[5], "WBC"), (names[7], "RBC"),
             (names[8], "WBC")]  # fmt: skip
    return white_cells(dataset("cbc", *boxes, images=list(names.values())), tmp_path), names


def test_each_image_says_what_is_known_of_its_types(counted):
    cells, names = counted
    wanted = [TYPED, TYPED, MIXED, UNTYPED, DIFFERING, DIFFERING, NO_CELL, UNTYPED]
    assert cells.states[list(names.values())].tolist() == wanted


def test_only_boxes_with_one_reading_have_a_type(counted):
    cells, names = counted
    assert cells.typed[["image", "class"]].to_numpy().tolist() == [
        [names[1], "NEUTROPHIL"], [names[2], "EO"], [names[2], "EO"],
    ]  # fmt: skip
    assert set(cells.boxes["class"]) == {"WBC"}
    assert len(cells.boxes) == 9


def test_an_image_of_two_types_has_a_set_but_no_typed_box(counted):
    cells, names = counted
    assert cells.types[names[3]] == {"NEUTROPHIL", "BA"}
    assert names[4] not in cells.types


def test_classes_are_those_in_enough_clusters_in_lineage_order(counted):
    cells, names = counted
    alone = {name: number for number, name in names.items()}
    assert cells.classes(alone, 1) == ("EO", "NEUTROPHIL")
    assert cells.classes(alone, 2) == ()
    assert cells.classes({names[2]: 0}, 1) == ("EO",)


def test_cells_of_types_left_out_stay_as_cells_of_no_type(counted):
    cells, names = counted
    fewer = cells.restricted(["EO"])
    assert len(fewer.boxes) == len(cells.boxes)
    assert set(fewer.typed["class"]) == {"EO"}
    assert list(fewer.types) == [names[2]]
    assert (fewer.states[names[1]], fewer.states[names[7]]) == (UNTYPED, NO_CELL)


def test_cytologia_types_every_box():
    found = white_cells(dataset("cytologia", ("a", "PNN"), ("a", "LY"), images=["a", "b"]), None)
    assert found.typed["class"].tolist() == ["PNN", "LY"]
    assert found.types == {"a": {"PNN", "LY"}}
    assert found.states.tolist() == [TYPED, NO_CELL]


def test_boxes_end_at_the_border_and_those_beyond_are_gone():
    boxes = pd.DataFrame([("a", -5, 2, 20, 9), ("a", 12, 0, 18, 5)], columns=["image", "xmin", "ymin", "xmax", "ymax"])
    found = within(boxes, pd.DataFrame({"image": ["a"], "width": [10], "height": [8]}))
    assert found.to_numpy().tolist() == [["a", 0, 2, 10, 8]]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (["x", "x", "y"], (0, 0)),
        (["x", "y"], (1, 0)),  # one of two boxes at one place is gone
        (["x", "x", "z"], (1, 1)),  # one is moved
        ([], (3, 0)),
        (["x", "x", "x", "y"], (0, 1)),
    ],
)
def test_boxes_gone_and_new_are_counted_one_by_one(after, expected):
    def boxes(names):
        rows = [("a", ord(name), 0, ord(name) + 9.5, 5) for name in names]
        return pd.DataFrame(rows, columns=["image", "xmin", "ymin", "xmax", "ymax"])

    assert differences(boxes(["x", "y", "x"]), boxes(after)) == expected


def test_unknown_words_and_other_data_sets_are_refused(tmp_path):
    (tmp_path / "wbc_types.csv").write_text("Image,Category\n1,BLAST\n")
    with pytest.raises(DataError, match="names the types BLAST"):
        white_cells(dataset("cbc", ("x_1", "WBC"), images=["x_1"]), tmp_path)
    with pytest.raises(DataError, match="allowed are cbc and cytologia"):
        white_cells(dataset("pbc", images=[]), tmp_path)
