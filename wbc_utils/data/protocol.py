"""The splits that all later notebooks use: published ones cleaned of leaks, our own where none is published.

Every table has one row an image, or a patient where there is a bag of images each: its key, ``split`` (``train``,
``validation``, ``test`` or ``excluded``), ``fold`` (missing outside cross-validation), ``cluster`` (duplicates share
it, and images of one patient) and ``reason`` (why a row is excluded). A cluster is never in two splits or two folds,
unless a published split divides a patient, which ``WBC002`` then says.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from wbc_utils import checks
from wbc_utils.data import duplicates
from wbc_utils.data.overview import has_boxes, has_patients, names_patients, without_identifiers
from wbc_utils.data.splits import group_folds, multilabel_folds, stratified_groups
from wbc_utils.data.tables import Dataset
from wbc_utils.labels import DIAGNOSES
from wbc_utils.manifest import Check

PUBLISHED_PRIORITY = ("test", "validation", "train")
"""Of two published splits that share an image the first keeps it."""

OWN_FRACTIONS = {"train": 0.70, "validation": 0.15, "test": 0.15}
BCD_FRACTIONS = {"train": 0.80, "test": 0.20}
"""Report 003's split."""

SIZE_BINS = 4
"""Quantile bins of the largest box of an image, as report 000 (small, regular, medium, large)."""


def split_table(dataset: Dataset, scanned: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """Return the splits of one data set.

    Parameters
    ----------
    dataset
        Cleaned.
    scanned
        `wbc_utils.data.duplicates.DuplicateScan.images` of at least this data set, with ``brightness``.
    folds
        Number of cross-validation folds.
    seed
        Of every random choice.

    Raises
    ------
    wbc_utils.data.splits.SplitError
        If there are fewer groups than folds.
    """
    own = scanned[(scanned["dataset"] == dataset.name) & scanned["digest"].notna()].reset_index(drop=True)
    if has_patients(dataset):
        return _patients(dataset, own, folds, seed)
    table = own[["image", "split", "cluster"]].assign(reason="")
    if table["split"].nunique() > 1:
        table = _without_leaks(table)
    if own["label"].notna().any():
        return _cells(table, own["label"], own["group"], folds, seed)
    return _fields(table, dataset, own["brightness"], folds, seed)


def _without_leaks(table: pd.DataFrame) -> pd.DataFrame:
    """Exclude the copies that a cluster has in a split of lower priority."""
    rank = table["split"].map({name: place for place, name in enumerate(PUBLISHED_PRIORITY)})
    best = rank.groupby(table["cluster"]).transform("min")
    leaks = rank > best
    keeper = best.map(dict(enumerate(PUBLISHED_PRIORITY)))
    return table.assign(
        split=table["split"].mask(leaks, "excluded"),
        reason=table["reason"].mask(leaks, "duplicate of a " + keeper + " image"),
    )


def _joined(clusters: pd.Series, groups: pd.Series) -> np.ndarray:
    """Return the clusters anew, those that share a group (a patient) as one; a missing group joins nothing."""
    pairs = []
    for key in (clusters, groups.dropna()):
        first = key.index.to_series().groupby(key).transform("first")
        pairs.append(np.column_stack([first, first.index]))
    return duplicates.clusters(len(clusters), np.concatenate(pairs))


def _cells(table: pd.DataFrame, labels: pd.Series, groups: pd.Series, folds: int, seed: int) -> pd.DataFrame:
    """Split labelled cell images by class; clusters under two labels are of no use as truth and excluded.

    Folds hold every used image except those of a published test split: cross-validation and our own three-way split
    are two ways to use the same cells, not to be mixed.
    """
    torn = labels.groupby(table["cluster"]).transform("nunique") > 1
    table = table.assign(
        split=table["split"].mask(torn, "excluded"),
        reason=table["reason"].mask(torn, "same picture under two labels"),
    )
    if groups.notna().any():
        table["cluster"] = _joined(table["cluster"], groups)
    used = table["split"] != "excluded"
    in_folds = used & (table["split"] != "test")
    if set(table.loc[used, "split"]) == {"all"}:
        table.loc[used, "split"] = stratified_groups(labels[used], table.loc[used, "cluster"], OWN_FRACTIONS, seed)
    return _with_folds(table, in_folds, group_folds(labels[in_folds], table.loc[in_folds, "cluster"], folds, seed))


def _fields(table: pd.DataFrame, dataset: Dataset, brightness: pd.Series, folds: int, seed: int) -> pd.DataFrame:
    """Split fields with boxes; folds are stratified by label set, cell-size bin and brightness bin (report 000)."""
    boxes = dataset.table
    by_image = boxes.groupby("image")
    label_sets = table["image"].map(by_image["class"].agg(frozenset)).map(lambda s: s if s == s else frozenset())
    largest = ((boxes["xmax"] - boxes["xmin"]) * (boxes["ymax"] - boxes["ymin"])).groupby(boxes["image"]).max()
    size = table["image"].map(largest).fillna(0)
    size_bin = pd.qcut(size, SIZE_BINS, labels=False, duplicates="drop")
    bright_bin = (brightness > brightness.median()).astype(int)
    if dataset.name == "bcd":
        whites = table["image"].map((boxes["class"] == "WBC").groupby(boxes["image"]).sum()).clip(upper=2)
        table = table.assign(split=stratified_groups(whites, table["cluster"], BCD_FRACTIONS, seed))
    elif set(table["split"]) == {"all"}:
        table = table.assign(split=stratified_groups(label_sets, table["cluster"], OWN_FRACTIONS, seed))
    used = table["split"].isin(["train", "validation"])
    numbers = multilabel_folds(
        list(label_sets[used]), size_bin[used], bright_bin[used], table.loc[used, "cluster"], folds, seed
    )
    return _with_folds(table, used, numbers)


def _patients(dataset: Dataset, own: pd.DataFrame, folds: int, seed: int) -> pd.DataFrame:
    """Fold patients by label; patients that share a picture are one group."""
    patients = dataset.table[["id", "label", "split"]].reset_index(drop=True)
    place = {patient: number for number, patient in enumerate(patients["id"])}
    owner = own["group"].map(place)
    first = owner.groupby(own["cluster"]).transform("first")
    pairs = np.column_stack([first[owner != first], owner[owner != first]])
    table = patients[["id", "split"]].assign(cluster=duplicates.clusters(len(patients), pairs), reason="")
    used = patients["label"].notna()
    return _with_folds(table, used, group_folds(patients.loc[used, "label"], table.loc[used, "cluster"], folds, seed))


def _with_folds(table: pd.DataFrame, used: pd.Series, numbers: np.ndarray) -> pd.DataFrame:
    fold = pd.array([pd.NA] * len(table), dtype="Int64")
    fold[used.to_numpy()] = numbers
    return table.assign(fold=fold)


def split_cells(table: Path, dataset: Dataset, folder: Path) -> pd.DataFrame:
    """Read the split table of a data set of cells, with the label and the file of each cell.

    Parameters
    ----------
    table
        ``splits_<name>.csv`` of notebook 01.
    dataset, folder
        The data set, as read, and where it lies.

    Returns
    -------
    pandas.DataFrame
        One row a cell that is not excluded: ``image``, ``split``, ``cluster``, ``fold``, ``label``, ``fine_label``,
        ``file``.
    """
    cells = pd.read_csv(table).merge(dataset.table[["path", "label", "fine_label"]], left_on="image", right_on="path")
    cells = cells[cells["split"] != "excluded"].drop(columns=["path", "reason"]).reset_index(drop=True)
    return cells.assign(file=[folder / image for image in cells["image"]])


def method_checks(
    raw: dict[str, Dataset], scans: dict[str, duplicates.DuplicateScan], tables: dict[str, pd.DataFrame], folds: int
) -> list[Check]:
    """Check every data set as it was published and as it is split here.

    Parameters
    ----------
    raw
        Data sets before cleaning.
    scans
        Of each data set.
    tables
        Split tables of each data set.
    folds
        Number of folds that every class should be able to fill.
    """
    found = []
    for name, dataset in raw.items():
        scan, table = scans[name], tables[name]
        if len(set(dataset.images["split"])) > 1:
            found.append(checks.duplicate_across_splits(scan.frame(), f"{name}, as published"))
        used = table[table["split"] != "excluded"]
        patients, here = names_patients(dataset), f"{name}, as split here"
        found.append(checks.group_across_splits(used["cluster"], used["split"], here, patients=patients))
        if has_boxes(dataset):
            keys = dataset.table[["image", "xmin", "ymin", "xmax", "ymax"]].itertuples(index=False, name=None)
            published = f"{name}, as published"
            found.append(checks.conflicting_labels(list(keys), list(dataset.table["class"]), published))
        elif not has_patients(dataset):
            labels = scan.images.set_index("image")["label"].reindex(used["image"])
            found.append(checks.class_too_small(list(labels), list(used["cluster"]), folds, f"{name}, as published"))
        else:
            labelled = dataset.table.dropna(subset="label")
            labels = labelled["label"].map(DIAGNOSES)
            found.append(checks.class_too_small(list(labels), list(labelled["id"]), folds, f"{name}, as published"))
        dropped = dataset.audit[dataset.audit["reason"].str.startswith("image cannot be read")]
        broken = without_identifiers(pd.concat([scan.unreadable, dropped]))["image"]
        found.append(checks.broken_images(list(broken), len(scan.images) + len(dropped), name))
    return found


def sizes(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row a data set with the number of images, or patients, in each split."""
    rows = []
    for name, table in tables.items():
        count = table["split"].value_counts()
        found = {split: int(count.get(split, 0)) for split in (*PUBLISHED_PRIORITY[::-1], "excluded")}
        rows.append({"data set": name, "unit": "patients" if "id" in table else "images", **found,
                     "in folds": int(table["fold"].notna().sum())})  # fmt: skip
    return pd.DataFrame(rows)
