"""CSV files of every data set, damaged or with nasty fields: each row is in the table or in the audit."""

import os

import pytest
from fuzzing import accounted, fuzz, outcome, table, writable
from hypothesis import given, settings
from hypothesis import strategies as st

from wbc_utils.data.boxes import clean, read_bcd, read_cytologia, read_wbc_types
from wbc_utils.data.cells import read_attributes, read_segwbc, read_wbcbench
from wbc_utils.data.patients import read_lymph
from wbc_utils.data.reading import MAX_COLUMNS, read_csv
from wbc_utils.data.tables import DataError, listed

NUMBERS = ["1", "5", "20", "39", "0.2", "40"]


def written(path, content):
    path.write_bytes(content)
    return path.parent


def rows_of(path, *columns):
    return len(read_csv(path, columns))


def test_no_row_of_bcd_is_lost(folder):
    path = folder("images/a.png", "images/b.png") / "annotations.csv"
    columns = {"image": ["a.png", "b.png"], **dict.fromkeys(["xmin", "ymin", "xmax", "ymax"], NUMBERS)}
    columns["label"] = ["rbc", "wbc"]

    def look(content):
        found = read_bcd(written(path, content))
        for dataset in (found, clean(found)):
            writable(dataset)
            assert accounted(dataset) == rows_of(path, "image")

    counts = fuzz(lambda rng: table(rng, columns), look, 200)
    assert min(counts["parsed"], counts["refused"]) > 40


def test_cytologia_is_read_or_refused_whatever_its_two_tables_hold(folder):
    path = folder("images/a.jpg", "images/b.jpg", "images/c.jpg") / "train.csv"
    columns = {"NAME": ["a.jpg", "b.jpg"], **dict.fromkeys(["x1", "y1", "x2", "y2"], NUMBERS)}
    columns["class"] = ["PNN", "LY", "B", "EO"]

    def look(contents):
        written(path.with_name("test.csv"), contents[1])
        found = read_cytologia(written(path, contents[0]))
        writable(found)
        writable(clean(found))

    counts = fuzz(lambda rng: (table(rng, columns), table(rng, {"NAME": ["c.jpg", "d.jpg"]}, rows=2)), look, 200)
    assert min(counts["parsed"], counts["refused"]) > 20


def test_no_row_of_segwbc_is_lost(folder):
    images = [f"Dataset 1/{number}.{kind}" for number in ("001", "002") for kind in ("bmp", "png")]
    path = folder(*images) / "Class Labels of Dataset 1.csv"

    def look(content):
        found = read_segwbc(written(path, content))
        writable(found)
        assert accounted(found) == rows_of(path, "image ID")

    counts = fuzz(lambda rng: table(rng, {"image ID": ["1", "2", "3"], "class label": ["1", "2", "5"]}), look, 250)
    assert min(counts["parsed"], counts["refused"]) > 40


def test_wbcbench_is_read_or_refused_whatever_its_listing_holds(folder):
    path = folder("images/01.jpg", "images/02.jpg", "images/03.jpg") / "train.csv"
    columns = {"ID": ["01", "02.jpg", "03"], "labels": ["LY", "SNE", "MO"], "split": ["train", "val", "test"]}
    counts = fuzz(lambda rng: table(rng, columns), lambda content: writable(read_wbcbench(written(path, content))), 250)
    assert min(counts["parsed"], counts["refused"]) > 40


def test_no_patient_of_lymph_is_lost(folder):
    path = folder(*(f"trainset/P{number}/0.jpg" for number in (1, 2, 3))) / "clinical_annotation.csv"
    columns = {
        "ID": ["P1", "P2", "P3", "P4"],
        "LABEL": ["0", "1", "-1", "1.0"],
        "GENDER": ["M", "F"],
        "DOB": ["1/2/1950", "1950-02-01", "31/12/50", "1-1-50 00:00"],
        "LYMPH_COUNT": ["5.5", "20", "3,4"],
    }

    def look(content):
        found = read_lymph(written(path, content))
        writable(found)
        assert accounted(found) == rows_of(path, "ID")
        assert found.table["age"].dropna().between(0, 120).all()
        assert (found.table["lymphocyte_count"].dropna() >= 0).all()

    counts = fuzz(lambda rng: table(rng, columns), look, 300)
    assert min(counts["parsed"], counts["refused"]) > 40


@pytest.mark.parametrize(
    ("read", "name", "columns"),
    [
        (read_wbc_types, "wbc_types.csv", {"Image": ["0", "1", "12"], "Category": ["NEUTROPHIL", "MONOCYTE, LY", ""]}),
        (read_attributes, "wbcatt_attributes.csv", {"img_name": ["a.jpg"], "label": ["LY"], "cell_size": ["big"]}),
    ],
)
def test_tables_beside_a_data_set_are_read_or_refused(tmp_path, read, name, columns):
    path = tmp_path / name
    counts = fuzz(lambda rng: table(rng, columns), lambda content: read(written(path, content)), 150)
    assert min(counts["parsed"], counts["refused"]) > 10


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters='\r\n",', codec="utf-8")), min_size=1, max_size=4))
def test_any_text_in_a_field_comes_back_stripped_and_an_empty_one_as_missing(tmp_path_factory, fields):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text("x,y\n" + "".join(f'"{field}",1\n' for field in fields), encoding="utf-8", newline="")
    assert read_csv(path, ["x", "y"])["x"].tolist() == [field.strip() or None for field in fields]


@pytest.mark.parametrize("digits", ["²", "٣x", "9" * 5000])
def test_digits_that_are_no_number_are_refused_in_both_numbered_tables(folder, digits):
    root = folder("Dataset 1/001.bmp")
    (root / "wbc_types.csv").write_text(f"Image,Category\n{digits},LY\n")
    (root / "Class Labels of Dataset 1.csv").write_text(f"image ID,class label\n1,{digits}\n")
    assert outcome(lambda: read_wbc_types(root)) == outcome(lambda: read_segwbc(root)) == "refused"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("a.csv", path)])
def test_a_table_that_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv is (a folder or a pipe|missing)"):
        read_csv(tmp_path / "a.csv", ["x"])


def test_a_row_of_a_million_commas_costs_no_memory_in_the_other_rows(tmp_path):
    (tmp_path / "a.csv").write_text("x\n" + "," * 1_000_000 + "\n" + "1\n" * 1000)
    assert outcome(lambda: read_csv(tmp_path / "a.csv", ["x"])) == "parsed"


def test_more_columns_than_any_data_set_has_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text(",".join(f"x{number}" for number in range(MAX_COLUMNS + 1)) + "\n" + "1\n" * 20_000)
    with pytest.raises(DataError, match=r"1001 columns, at most 1000"):
        read_csv(tmp_path / "a.csv", ["x1"])


def test_a_message_lists_the_first_words_and_the_beginning_of_long_ones():
    assert listed(["a", "b"]) == "a, b"
    assert listed(["x" * 61, *"abcdefghijklm"]) == "x" * 59 + "…, a, b, c, d, e, f, g, h, i, j, k, …"
