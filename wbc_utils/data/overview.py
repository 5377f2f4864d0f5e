"""Several data sets side by side: which are there, and one row an image or an object over all of them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from wbc_utils.data import boxes, registry, synthetic
from wbc_utils.data.images import ImageError, open_image
from wbc_utils.data.tables import AUDIT_COLUMNS, DataError, Dataset
from wbc_utils.labels import DIAGNOSES, in_lineage_order
from wbc_utils.paths import data_root, project_root

NO_LICENCE = "LicenseRef-none-stated"
"""Licence of data whose pictures no page shows."""


def open_root(data_source: str) -> Path:
    """Return the folder of the data sets: the real ones, or synthetic ones drawn if they are not there yet.

    Parameters
    ----------
    data_source
        ``real`` (``WBC_DATA`` or the user's cache) or ``synthetic``: always the same drawings, whatever the seed of a
        notebook, since the tables of notebook 01 name their images.
    """
    if data_source == "real":
        return data_root()
    return synthetic.ensure(project_root() / "runs" / "synthetic" / "seed-0", seed=0)


def read_all(names: Iterable[str], root: Path) -> dict[str, Dataset]:
    """Read the wanted data sets that lie under a root.

    Raises
    ------
    wbc_utils.data.tables.DataError
        If none of them does.
    """
    wanted = list(names)
    present = [name for name in wanted if registry.get_entry(name).is_in(root / name)]
    if not present:
        hints = filter(None, (registry.hint(name, root) for name in wanted))
        raise DataError(
            f"none of the wanted data sets ({', '.join(wanted)}) lies under {root}."
            f"{next(hints, ' Set WBC_DATA to the folder that holds them, or run with data_source=synthetic.')} "
            "`wbc data list` shows what is there."
        )
    return {name: registry.read(name, root) for name in present}


def clean_all(raw: dict[str, Dataset]) -> dict[str, Dataset]:
    """Clean the boxes of data sets that have boxes; the others are returned as they are."""
    return {name: boxes.clean(dataset) if has_boxes(dataset) else dataset for name, dataset in raw.items()}


def has_boxes(dataset: Dataset) -> bool:
    """Return whether a data set is one of detection."""
    return "xmin" in dataset.table


def has_patients(dataset: Dataset) -> bool:
    """Return whether a data set has one row a patient, with a bag of images, rather than boxes or single cells."""
    return "paths" in dataset.table


def names_patients(dataset: Dataset) -> bool:
    """Return whether it is known of every image of a data set which patient it comes from."""
    if "group" not in dataset.table:
        return has_patients(dataset)
    return bool((dataset.table["group"].notna() & (dataset.table["group"] != "")).all())


def image_table(datasets: dict[str, Dataset]) -> pd.DataFrame:
    """Return one row an image: ``dataset``, ``image``, ``path``, ``split``, ``label``, ``group``.

    The label is the finest class of a cell image, the diagnosis of a patient's image, and missing for a field with
    boxes; the group is the patient where one is known.
    """
    parts = []
    for name, dataset in datasets.items():
        part = dataset.images[["image", "path", "split"]].assign(dataset=name, label=None, group=None)
        if "fine_label" in dataset.table:
            cells = dataset.table.set_index("path")
            part["label"] = part["image"].map(cells["fine_label"])
            part["group"] = part["image"].map(cells["group"].mask(cells["group"] == ""))
        elif has_patients(dataset):
            bags = dataset.table.explode("paths").set_index("paths")
            part["label"] = part["image"].map(bags["label"].map(DIAGNOSES))
            part["group"] = part["image"].map(bags["id"])
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    return table[["dataset", "image", "path", "split", "label", "group"]]


def color_statistics(images: pd.DataFrame, rng: np.random.Generator, at_most: int = 150) -> pd.DataFrame:
    """Return mean ``brightness`` and ``saturation`` (HSV, 0 … 1) of a random draw of images of each data set.

    Unreadable images are left out; the audit names them.
    """
    rows = []
    for name, own in images.groupby("dataset", sort=False):
        chosen = own.iloc[np.sort(rng.permutation(len(own))[:at_most])]
        for image, path in zip(chosen["image"], chosen["path"], strict=True):
            try:
                pixels = open_image(path).astype(np.float32) / 255
            except ImageError:
                continue
            high, low = pixels.max(axis=2), pixels.min(axis=2)
            saturation = np.where(high > 0, (high - low) / np.maximum(high, 1e-6), 0)
            rows.append((name, image, float(high.mean()), float(saturation.mean())))
    return pd.DataFrame(rows, columns=["dataset", "image", "brightness", "saturation"])


def unreadable_rows(unreadable: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the audit for images that could not be decoded.

    Parameters
    ----------
    unreadable
        ``dataset``, ``image``, ``error``, as a `wbc_utils.data.duplicates.DuplicateScan` has it.
    """
    rows = unreadable.rename(columns={"error": "reason"}).assign(row=pd.NA, decision="excluded from every split")
    return rows[list(AUDIT_COLUMNS)].astype({"row": "Int64"})


def class_counts(datasets: dict[str, Dataset]) -> pd.DataFrame:
    """Return one row a data set, split and class: ``objects`` (boxes, cells or patients)."""
    parts = []
    for name, dataset in datasets.items():
        if has_patients(dataset):
            labels = dataset.table["label"].map(DIAGNOSES)
        else:
            labels = dataset.table["class" if has_boxes(dataset) else "fine_label"]
        labels = labels.astype("string").fillna("unlabelled")
        counted = labels.groupby([dataset.table["split"], labels]).size()
        counted.index.names = ["split", "class"]
        parts.append(counted.rename("objects").reset_index().assign(dataset=name))
    return pd.concat(parts, ignore_index=True)[["dataset", "split", "class", "objects"]]


def by_split(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the counts of one data set with a row a split and a column a class, in lineage order."""
    wide = counts.pivot_table(index="split", columns="class", values="objects", fill_value=0).astype(int)
    wide = wide[in_lineage_order(wide.columns)].reset_index()
    return wide.rename_axis(columns=None)


def without_identifiers(frame: pd.DataFrame, column: str = "image") -> pd.DataFrame:
    """Return a table for a page: names of patients and of their images are withheld where no licence is stated."""
    private = frame["dataset"].map(lambda name: registry.get_entry(name).licence == NO_LICENCE)
    return frame.assign(**{column: frame[column].mask(private, "(withheld)")})


def imbalance(counts: pd.DataFrame) -> pd.DataFrame:
    """Return one row a data set: classes, largest and smallest class with their objects, and their ratio."""
    rows = []
    for name, own in counts[counts["class"] != "unlabelled"].groupby("dataset", sort=False):
        total = own.groupby("class")["objects"].sum().sort_values()
        rows.append(
            {
                "data set": name,
                "classes": len(total),
                "objects": int(total.sum()),
                "largest": f"{total.index[-1]} ({total.iloc[-1]})",
                "smallest": f"{total.index[0]} ({total.iloc[0]})",
                "ratio": float(total.iloc[-1] / total.iloc[0]),
            }
        )
    return pd.DataFrame(rows)


def may_be_shown(names: Iterable[str], data_source: str) -> list[str]:
    """Return the data sets whose pictures a page may show: all synthetic ones, else those with a stated licence."""
    return [name for name in names if data_source == "synthetic" or registry.get_entry(name).licence != NO_LICENCE]


def sample_fields(
    dataset: Dataset, images: pd.DataFrame, number: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[pd.DataFrame]]:
    """Draw fields at random: their pictures and their boxes.

    Parameters
    ----------
    dataset
        One with boxes.
    images
        Rows of `image_table`, readable ones; those of the data set that have boxes are drawn from.
    number
        Of fields, at most.
    """
    boxed = images[(images["dataset"] == dataset.name) & images["image"].isin(dataset.table["image"])]
    chosen = boxed.iloc[np.sort(rng.permutation(len(boxed))[:number])]
    pictures = [open_image(path) for path in chosen["path"]]
    return pictures, [dataset.table[dataset.table["image"] == image] for image in chosen["image"]]


def sample_cells(images: pd.DataFrame, rng: np.random.Generator) -> tuple[list[np.ndarray], list[str]]:
    """Draw one picture a label, in lineage order: the pictures and the labels.

    Parameters
    ----------
    images
        Rows of `image_table` of one data set, readable ones.
    """
    pictures, labels = [], in_lineage_order(images["label"].dropna())
    for label in labels:
        own = images[images["label"] == label]
        pictures.append(open_image(own["path"].iloc[rng.integers(len(own))]))
    return pictures, labels
