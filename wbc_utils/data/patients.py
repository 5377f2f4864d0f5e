"""Reader of the lymphocytosis challenge: patients with a bag of cell images each.

Ages are years at ``REFERENCE_DATE``. The date of the blood sample is not published, and copies of the table lack day
and month of birth; ages are therefore comparable between patients, but each may be off by a few years.
"""

import math
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from wbc_utils.data.images import find_images
from wbc_utils.data.reading import read_csv, read_image_table, require_splits
from wbc_utils.data.tables import PATIENT_COLUMNS, Audit, Dataset

REFERENCE_DATE = date(2020, 1, 1)
"""Day at which ages are taken: the year in which the study that collected the patients was published."""

OLDEST = 120
"""Largest age in years that is believed."""

_LABELS = {"0": 0, "1": 1, "-1": pd.NA}
_TWO_DIGIT_YEAR = re.compile(r"\d{1,2}\D\d{1,2}\D\d{2}")
_COLUMNS = ["ID", "LABEL", "GENDER", "DOB", "LYMPH_COUNT"]


def read_lymph(folder: Path, needed: Sequence[str] = ("train",)) -> Dataset:
    """Read the lymphocytosis challenge.

    Parameters
    ----------
    folder
        Of the data set.
    needed
        Splits that must have an image: ``train``, patients with a label, or ``test``, those without.

    Returns
    -------
    Dataset
        Its table has one row a patient: ``label`` 0 reactive, 1 malignant, missing for the test split (−1 in the
        file); ``age`` in years; ``sex`` M or F; ``lymphocyte_count`` in 10⁹/L; ``paths``, a tuple of image paths
        relative to the folder. Patients without images, and folders without a clinical row, are dropped.

    Raises
    ------
    DataError
        If the clinical table is absent or lacks a column, or no patient of a needed split can be used.
    """
    folder, audit = Path(folder), Audit("lymph")
    clinical = read_csv(folder / "clinical_annotation.csv", _COLUMNS)
    bags = _find_bags(folder)
    known: dict[str, tuple[int, dict]] = {}
    for row, entry in enumerate(clinical[_COLUMNS].to_dict("records")):
        patient, label = entry["ID"] or "", (entry["LABEL"] or "").removesuffix(".0")
        if label not in _LABELS:
            audit.add(patient, row, f"unknown class {label or '(empty)'}", "dropped")
        elif patient in known:
            audit.add(patient, row, "patient listed twice", "dropped, first kept")
        elif not bags.get(patient):
            audit.add(patient, row, "patient without images", "dropped")
        else:
            known[patient] = (row, entry | {"LABEL": _LABELS[label]})
    for patient in sorted(set(bags) - set(clinical["ID"])):
        audit.add(patient, None, "images without clinical row", "dropped")
    splits = {
        image: "test" if entry["LABEL"] is pd.NA else "train"
        for patient, (_, entry) in known.items()
        for image in bags[patient]
    }
    images = read_image_table(folder, splits, audit)
    require_splits("lymph", folder, images["split"], needed, audit)
    readable = set(images["image"])
    rows = []
    for patient, (row, entry) in known.items():
        paths = tuple(image for image in bags[patient] if image in readable)
        if paths:
            rows.append(_patient(patient, row, entry, paths, audit))
        else:
            audit.add(patient, row, "patient without readable images", "dropped")
    types = {"label": "Int64", "age": float, "lymphocyte_count": float}
    table = pd.DataFrame(rows, columns=list(PATIENT_COLUMNS)).astype(types)
    return Dataset("lymph", table, images, audit.frame())


def parse_birth(text: str | None) -> date | None:
    """Return the date of birth, or None if the text is no date.

    Year first where the first number has four digits; otherwise the year is last and the day comes before the month,
    unless only the reverse is a date (12/31/1950). Two digits mean the latest such year before ``REFERENCE_DATE``.
    """
    numbers = re.fullmatch(r"(\d{1,4})[/.\- ](\d{1,2})[/.\- ](\d{1,4})(?:[T ].*)?", (text or "").strip())
    if not numbers:
        return None
    first, second, last = numbers.groups()
    if len(first) == 4:
        orders = [(int(first), int(second), int(last))]
    else:
        year = int(last)
        if len(last) <= 2:
            year += 2000 if 2000 + year < REFERENCE_DATE.year else 1900
        orders = [(year, int(second), int(first)), (year, int(first), int(second))]
    for order in orders:
        try:
            return date(*order)
        except ValueError:
            continue
    return None


def _find_bags(folder: Path) -> dict[str, list[str]]:
    bags: dict[str, list[str]] = {}
    for part in ("trainset", "testset"):
        for bag in sorted((folder / part).glob("P*")):
            paths = [f"{part}/{bag.name}/{name}" for name in find_images(bag)]
            bags.setdefault(bag.name, []).extend(paths)
    return bags


def _patient(patient: str, row: int, entry: dict, paths: tuple[str, ...], audit: Audit) -> tuple:
    birth = parse_birth(entry["DOB"])
    age = (REFERENCE_DATE - birth).days / 365.25 if birth else math.nan
    if not 0 <= age <= OLDEST:
        audit.add(patient, row, "age missing or impossible", "kept without age")
        age = math.nan
    elif _TWO_DIGIT_YEAR.fullmatch(entry["DOB"]):
        audit.add(patient, row, "year of birth with two digits", "kept, latest possible century")
    count = _count(entry["LYMPH_COUNT"])
    if math.isnan(count):
        audit.add(patient, row, "lymphocyte count missing or impossible", "kept without count")
    sex = (entry["GENDER"] or "").strip().upper()
    if sex not in {"M", "F"}:
        audit.add(patient, row, "sex missing or unknown", "kept without sex")
        sex = None
    split = "test" if entry["LABEL"] is pd.NA else "train"
    return patient, entry["LABEL"], age, sex, count, split, paths


def _count(text: str | None) -> float:
    try:
        value = float((text or "nan").replace(",", "."))
    except ValueError:
        return math.nan
    return value if 0 <= value < math.inf else math.nan
