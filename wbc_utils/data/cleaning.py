"""Cleaning of boxes: clip, drop, and decide where one box has two classes; each step is a row of the audit."""

from pathlib import Path

import pandas as pd

from wbc_utils.data.appearance import Appearance
from wbc_utils.data.reading import audit_rows
from wbc_utils.data.tables import Audit, DataError, Dataset

COORDINATES = ["xmin", "ymin", "xmax", "ymax"]
BCD_NUMBERS = {"RBC": 1, "WBC": 2}
"""Numbers of the classes in report 003's ``clean_anno.csv``."""


def clean(dataset: Dataset) -> Dataset:
    """Clip, drop and decide; every step is a row of the audit.

    Boxes past the border are clipped, boxes without area dropped, a box that was annotated twice with one class
    kept once. Where the same box has several classes, the one stays whose other boxes look most like it
    (`wbc_utils.data.appearance.Appearance`); where that cannot be measured all of them go.
    """
    audit = Audit(dataset.name, list(dataset.audit.itertuples(index=False, name=None)))
    table = _clip(dataset, audit)
    repeated = table.duplicated(["image", "class", *COORDINATES])
    audit_rows(audit, table[repeated], "same box annotated twice with one class", "dropped, first kept")
    table = _settle(table[~repeated], dataset.images, audit)
    return Dataset(dataset.name, table.reset_index(drop=True), dataset.images, audit.frame())


def to_numbered(dataset: Dataset) -> pd.DataFrame:
    """Return the boxes as report 003's ``clean_anno.csv``: file name, coordinates, RBC = 1 and WBC = 2.

    Raises
    ------
    DataError
        If there are other classes.
    """
    unknown = sorted(set(dataset.table["class"]) - set(BCD_NUMBERS))
    if unknown:
        raise DataError(f"{dataset.name} has the class(es) {', '.join(unknown)}; only {BCD_NUMBERS} have numbers.")
    numbered = dataset.table[["image", *COORDINATES]].copy()
    numbered["image"] = [Path(image).name for image in numbered["image"]]
    numbered["label"] = dataset.table["class"].map(BCD_NUMBERS).astype("int64")
    return numbered


def _clip(dataset: Dataset, audit: Audit) -> pd.DataFrame:
    table, sizes = dataset.table.copy(), dataset.images.set_index("image")
    degenerate = (table["xmax"] <= table["xmin"]) | (table["ymax"] <= table["ymin"])
    audit_rows(audit, table[degenerate], "box without area", "dropped")
    table = table[~degenerate].copy()
    clipped = table[COORDINATES].copy()
    for axis, side in (("x", "width"), ("y", "height")):
        columns = [f"{axis}min", f"{axis}max"]
        clipped[columns] = clipped[columns].clip(lower=0).clip(upper=table["image"].map(sizes[side]), axis=0)
    past = (clipped != table[COORDINATES]).any(axis=1)
    outside = (clipped["xmax"] <= clipped["xmin"]) | (clipped["ymax"] <= clipped["ymin"])
    audit_rows(audit, table[past & ~outside], "box past the border", "clipped")
    audit_rows(audit, table[outside], "box outside the image", "dropped")
    table[COORDINATES] = clipped
    return table[~outside]


def _settle(table: pd.DataFrame, images: pd.DataFrame, audit: Audit) -> pd.DataFrame:
    contested = table.duplicated(["image", *COORDINATES], keep=False)
    if not contested.any():
        return table
    paths = images.set_index("image")["path"]
    rivals = table["class"].isin(table.loc[contested, "class"])
    appearance = Appearance.of(table[rivals & ~contested], paths)
    lost = []
    for _, rows in table[contested].groupby(["image", *COORDINATES], sort=False):
        distances = appearance.distances(rows.iloc[0], paths)
        measured = sorted((distances[name], name) for name in rows["class"] if name in distances)
        if len(measured) < len(rows):
            losers, decision = rows, "dropped: too few other boxes to compare with"
        else:
            losers = rows[rows["class"] != measured[0][1]]
            shown = ", ".join(f"{name} {distance:.2f}" for distance, name in measured)
            decision = f"dropped, {measured[0][1]} kept (standardised distances: {shown})"
        audit_rows(audit, losers, "same box annotated with different classes", decision)
        lost += list(losers.index)
    return table.drop(index=lost)
