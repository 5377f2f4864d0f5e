"""Countable facts about the data sets: what reports state, and what they leave out."""

from typing import NamedTuple

import pandas as pd

from wbc_utils.data.duplicates import DuplicateScan
from wbc_utils.data.tables import Dataset
from wbc_utils.labels import PBC_UNSPECIFIC


class Fact(NamedTuple):
    """One count, as `wbc_utils.repro.record` takes it."""

    name: str
    value: int | float
    n: int
    split: str = "all"
    unit: str = ""


def duplicate_facts(name: str, scan: DuplicateScan) -> list[Fact]:
    """Count duplicates of one data set: pairs across splits, groups of equal pixels, groups under several labels."""
    pairs, groups, n = scan.frame(), scan.exact_groups(), len(scan.images)
    across = pairs[pairs["split_a"] != pairs["split_b"]]
    facts = [
        Fact(f"{name}.exact_duplicate_groups", len(groups), n, unit="groups"),
        Fact(f"{name}.near_duplicates", int((pairs["kind"] == "near").sum()), n, unit="pairs"),
    ]
    if len(set(scan.images["split"])) > 1:
        for kind in ("exact", "near"):
            count = int((across["kind"] == kind).sum())
            facts.append(Fact(f"{name}.{kind}_duplicates_across_splits", count, n, unit="pairs"))
    if scan.images["label"].notna().any():
        conflicting = int(groups["conflicting"].sum())
        facts.append(Fact(f"{name}.conflicting_duplicate_groups", conflicting, n, unit="groups"))
    return facts


def cbc_facts(raw: Dataset, clean: Dataset) -> list[Fact]:
    """Count what report 002 states: rows of the tables, images with two or no white cells, with many platelets."""
    facts = []
    for split in ("train", "test"):
        n = int((raw.images["split"] == split).sum())
        rows, rows_raw = (int((dataset.table["split"] == split).sum()) for dataset in (clean, raw))
        for name, number in {"rows": rows, "rows_raw": rows_raw, "rows_dropped": rows_raw - rows}.items():
            facts.append(Fact(f"cbc.{split}_{name}", number, n, split, "boxes"))
    images = clean.images.loc[clean.images["split"] == "train", "image"]
    count = pd.crosstab(clean.table["image"], clean.table["class"]).reindex(images, fill_value=0)
    stated = {
        "two_wbc": count["WBC"] == 2,
        "no_wbc": count["WBC"] == 0,
        "many_platelets": count["Platelets"] > 3,
        "no_rbc": count["RBC"] == 0,
    }
    return facts + [
        Fact(f"cbc.train_images_{what}", int(which.sum()), len(images), "train", "images")
        for what, which in stated.items()
    ]


def bcd_facts(raw: Dataset, clean: Dataset) -> list[Fact]:
    """Count what report 003 states: boxes annotated twice, images in which white cells exceed 10 % of the boxes."""
    coordinates = ["image", "xmin", "ymin", "xmax", "ymax"]
    classes = raw.table.groupby(coordinates)["class"].nunique()
    share = (clean.table["class"] == "WBC").groupby(clean.table["image"]).mean()
    return [
        Fact("bcd.duplicate_annotations", int((classes > 1).sum()), len(raw.images), unit="boxes"),
        Fact("bcd.images_over_10_percent_wbc", int((share > 0.1).sum()), len(share), unit="images"),
    ]


def pbc_facts(clean: Dataset) -> list[Fact]:
    """Count the cells whose file-name prefix names no specific type."""
    unspecific = int(clean.table["fine_label"].isin(PBC_UNSPECIFIC).sum())
    return [Fact("pbc.unspecific_cells", unspecific, len(clean.table), unit="cells")]


def lymph_facts(clean: Dataset) -> list[Fact]:
    """Count what report 004 states: patients by label."""
    patients = clean.table
    counts = {
        "reactive_patients": (patients["label"] == 0).sum(),
        "malignant_patients": (patients["label"] == 1).sum(),
        "test_patients": (patients["split"] == "test").sum(),
    }
    return [Fact(f"lymph.{what}", int(value), len(patients), unit="patients") for what, value in counts.items()]


def all_facts(raw: dict[str, Dataset], clean: dict[str, Dataset], scans: dict[str, DuplicateScan]) -> list[Fact]:
    """Return the facts of every data set at hand."""
    facts = [fact for name in clean for fact in duplicate_facts(name, scans[name])]
    if "cbc" in clean:
        facts += cbc_facts(raw["cbc"], clean["cbc"])
    if "bcd" in clean:
        facts += bcd_facts(raw["bcd"], clean["bcd"])
    if "pbc" in clean:
        facts += pbc_facts(clean["pbc"])
    if "lymph" in clean:
        facts += lymph_facts(clean["lymph"])
    return facts
