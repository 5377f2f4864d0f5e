"""The clinical table is read whatever its date formats, and every doubt about a patient is in the audit."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wbc_utils.data.patients import REFERENCE_DATE, parse_birth, read_lymph
from wbc_utils.data.tables import PATIENT_COLUMNS, DataError

HEADER = ",ID,LABEL,GENDER,DOB,LYMPH_COUNT"


@pytest.fixture
def lymph(tmp_path):
    def write(*rows, header=HEADER, bags=("trainset/P0",)):
        for bag in bags:
            (tmp_path / bag).mkdir(parents=True)
            for name in ("1.jpg", "2.jpg"):
                Image.new("RGB", (9, 9)).save(tmp_path / bag / name)
        (tmp_path / "clinical_annotation.csv").write_text("\n".join([header, *rows]))
        return tmp_path

    return write


def findings(dataset):
    return list(dataset.audit[["image", "reason", "decision"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("text", "born"),
    [
        ("1/1/1933", date(1933, 1, 1)),
        ("01-02-1941", date(1941, 2, 1)),
        ("12/31/1950", date(1950, 12, 31)),
        ("1955-3-2", date(1955, 3, 2)),
        ("1955-03-02 00:00:00", date(1955, 3, 2)),
        ("5.6.33", date(1933, 6, 5)),
        ("5/6/04", date(2004, 6, 5)),
        ("31/2/1950", None),
        ("1950", None),
        ("unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_of_birth_are_read_in_every_format(text, born):
    assert parse_birth(text) == born


@given(st.dates(date(1900, 1, 1), REFERENCE_DATE))
def test_a_written_date_comes_back_and_an_ambiguous_one_stays_in_its_year(born):
    assert parse_birth(f"{born:%Y-%m-%d}") == born
    assert parse_birth(f"{born:%d/%m/%Y}") == born
    assert parse_birth(f"{born:%m/%d/%Y}").year == born.year


def test_a_patient_is_one_row_with_age_in_years_and_the_images_of_the_bag(lymph):
    found = read_lymph(
        lymph("0,P0,1,f,1/1/1950,11.2", '1,P1,-1,M,01-01-2000,"7,5"', bags=("trainset/P0", "testset/P1"))
    )
    first, second = found.table.to_dict("records")
    assert tuple(found.table) == PATIENT_COLUMNS
    assert first.pop("age") == pytest.approx(70, abs=0.01)
    assert second.pop("age") == pytest.approx(20, abs=0.01)
    assert first == {
        "id": "P0",
        "label": 1,
        "sex": "F",
        "lymphocyte_count": 11.2,
        "split": "train",
        "paths": ("trainset/P0/1.jpg", "trainset/P0/2.jpg"),
    }
    assert (second["split"], second["sex"], second["lymphocyte_count"]) == ("test", "M", 7.5)
    assert found.table["label"].isna().tolist() == [False, True]
    assert found.images["split"].tolist() == ["train", "train", "test", "test"]
    assert found.audit.empty


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        ("0,P0,1,F,,5", "age missing or impossible", "age"),
        ("0,P0,1,F,1/1/2050,5", "age missing or impossible", "age"),
        ("0,P0,1,F,1/1/1850,5", "age missing or impossible", "age"),
        ("0,P0,1,F,1/1/1950,", "lymphocyte count missing or impossible", "lymphocyte_count"),
        ("0,P0,1,F,1/1/1950,-3", "lymphocyte count missing or impossible", "lymphocyte_count"),
        ("0,P0,1,F,1/1/1950,many", "lymphocyte count missing or impossible", "lymphocyte_count"),
        ("0,P0,1,?,1/1/1950,5", "sex missing or unknown", "sex"),
        ("0,P0,1,,1/1/1950,5", "sex missing or unknown", "sex"),
    ],
)
def test_a_missing_value_is_audited_and_the_patient_kept(lymph, row, reason, column):
    found = read_lymph(lymph(row))
    assert found.table[column].isna().all()
    assert found.table.drop(columns=column).notna().all(axis=None)
    [(patient, why, decision)] = findings(found)
    assert (patient, why) == ("P0", reason)
    assert decision.startswith("kept without")


def test_a_year_with_two_digits_is_audited(lymph):
    found = read_lymph(lymph("0,P0,1,F,1/1/33,5"))
    assert found.table["age"].tolist() == pytest.approx([87], abs=0.01)
    assert findings(found) == [("P0", "year of birth with two digits", "kept, latest possible century")]


def test_patients_and_folders_without_each_other_are_dropped(lymph):
    rows = [
        "0,P0,1,F,1/1/1950,5",
        "1,P1,0,F,1/1/1950,5",
        "2,P0,0,M,1/1/1960,5",
        "3,P2,7,F,1/1/1950,5",
        "4,P3,,F,1/1/1950,5",
    ]
    found = read_lymph(lymph(*rows, bags=("trainset/P0", "trainset/P9")))
    assert found.table[["id", "label"]].to_numpy().tolist() == [["P0", 1]]
    assert findings(found) == [
        ("P1", "patient without images", "dropped"),
        ("P0", "patient listed twice", "dropped, first kept"),
        ("P2", "unknown class 7", "dropped"),
        ("P3", "unknown class (empty)", "dropped"),
        ("P9", "images without clinical row", "dropped"),
    ]


def test_unreadable_images_leave_the_bag_and_an_emptied_bag_drops_the_patient(lymph):
    folder = lymph("0,P0,1,F,1/1/1950,5", "1,P1,0,F,1/1/1950,5", bags=("trainset/P0", "trainset/P1"))
    for name in ("trainset/P0/1.jpg", "trainset/P1/1.jpg", "trainset/P1/2.jpg"):
        (folder / name).write_bytes(b"")
    found = read_lymph(folder)
    assert found.table["paths"].tolist() == [("trainset/P0/2.jpg",)]
    assert findings(found)[-1] == ("P1", "patient without readable images", "dropped")
    assert len(found.audit) == 4


def test_a_table_without_usable_training_patients_is_an_error(lymph):
    with pytest.raises(DataError, match=r"split\(s\) train"):
        read_lymph(lymph("0,P0,-1,F,1/1/1950,5"))


def test_a_missing_column_is_named(lymph):
    with pytest.raises(DataError, match="To be put right: LYMPH_COUNT"):
        read_lymph(lymph("0,P0,1,F,1/1/1950", header=",ID,LABEL,GENDER,DOB"))
