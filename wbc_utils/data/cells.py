"""Readers of the single-cell data sets, to the columns of `wbc_utils.data.tables.CELL_COLUMNS`.

``path`` is relative to the data set's folder and equals ``image`` in the table of images.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from wbc_utils.data.entries import how_to_get_extra
from wbc_utils.data.images import find_images
from wbc_utils.data.reading import read_csv, read_image_table, require_splits
from wbc_utils.data.tables import CELL_COLUMNS, Audit, DataError, Dataset
from wbc_utils.labels import PBC_PREFIXES, SEGWBC_CODES, WBCBENCH_CODES

PBC_FOLDER = "PBC_dataset_normal_DIB"
PBC_CLASSES: dict[str, frozenset[str]] = {
    "basophil": frozenset({"BA"}),
    "eosinophil": frozenset({"EO"}),
    "erythroblast": frozenset({"ERB"}),
    "ig": frozenset({"PMY", "MY", "MMY", "IG"}),
    "lymphocyte": frozenset({"LY"}),
    "monocyte": frozenset({"MO"}),
    "neutrophil": frozenset({"BNE", "SNE", "NEUTROPHIL"}),
    "platelet": frozenset({"PLATELET"}),
}
"""Folders of the Barcelona data set and the prefixes that belong into each."""

WBCBENCH_SPLITS = {"val": "validation", "valid": "validation", "eval": "validation"}
"""Spellings of split names that are made uniform; others are only put into lower case."""


def read_pbc(folder: Path) -> Dataset:
    """Read the Barcelona peripheral blood cells: label is the folder, fine label the file-name prefix.

    Raises
    ------
    DataError
        If no image can be used.
    """
    folder, audit, rows = Path(folder), Audit("pbc"), []
    for name in find_images(folder / PBC_FOLDER):
        path = f"{PBC_FOLDER}/{name}"
        label, prefix = Path(name).parent.as_posix(), Path(name).name.partition("_")[0]
        if label not in PBC_CLASSES:
            audit.add(path, None, f"unknown class folder {label}", "dropped")
        elif prefix not in PBC_PREFIXES:
            audit.add(path, None, "unknown file-name prefix", "dropped")
        else:
            if prefix not in PBC_CLASSES[label]:
                audit.add(path, None, "prefix belongs to another folder", "kept under both labels")
            rows.append((path, label, prefix, "", "all"))
    return assemble("pbc", folder, pd.DataFrame(rows, columns=list(CELL_COLUMNS)), audit)


def read_attributes(folder: Path) -> pd.DataFrame:
    """Read ``wbcatt_attributes.csv``: eleven morphological attributes that humans gave to cells of ``pbc``.

    Returns
    -------
    pandas.DataFrame
        Columns as in the file; ``img_name`` is the file name of the image.

    Raises
    ------
    DataError
        If the file is absent or lacks ``img_name`` or ``label``.
    """
    file = "wbcatt_attributes.csv"
    return read_csv(Path(folder) / file, ["img_name", "label"], how_to_get_extra("pbc", folder, file))


def read_segwbc(folder: Path) -> Dataset:
    """Read Dataset 1 of the segmentation data set; the extra column ``mask`` is the mask's relative path.

    Raises
    ------
    DataError
        If the class table is absent or lacks a column, or no image can be used.
    """
    folder, audit, rows = Path(folder), Audit("segwbc"), []
    labels = read_csv(folder / "Class Labels of Dataset 1.csv", ["image ID", "class label"])
    images = {path.stem: path for path in sorted((folder / "Dataset 1").glob("*.bmp"))}
    for row, (number, label) in enumerate(labels[["image ID", "class label"]].to_numpy()):
        image = images.pop((number or "").zfill(3), None)
        if image is None:
            audit.add(f"Dataset 1/{(number or '').zfill(3)}.bmp", row, "image named but absent", "dropped")
            continue
        path = image.relative_to(folder).as_posix()
        code = SEGWBC_CODES.get(int(label)) if re.fullmatch("[0-9]{1,4}", label or "") else None
        if code is None:
            audit.add(path, row, f"unknown class {label or '(empty)'}", "dropped")
            continue
        mask = image.with_suffix(".png")
        if not mask.is_file():
            audit.add(path, row, "mask absent", "kept without mask")
        rows.append((path, code, code, "", "all", mask.relative_to(folder).as_posix() if mask.is_file() else None))
    for image in images.values():
        audit.add(image.relative_to(folder).as_posix(), None, "image without annotation", "dropped")
    return assemble("segwbc", folder, pd.DataFrame(rows, columns=[*CELL_COLUMNS, "mask"]), audit)


def read_wbcbench(folder: Path) -> Dataset:
    """Read WBCBench 2026: every CSV file under the folder with the columns ID, labels and split.

    Images may lie anywhere under the folder; ID is a file name with or without its ending. A row of the test
    split without a label stays, its label is missing; a row with a label takes precedence over one without.

    Raises
    ------
    DataError
        If there is no such CSV file, or a split that they name has no usable image.
    """
    folder, audit, rows = Path(folder), Audit("wbcbench"), {}
    images, listed = _by_name(folder, audit), _listed(folder)
    for number, label, split, row in listed:
        path = images.get(number)
        if path is None:
            audit.add(number, row, "image named but absent", "dropped")
        elif label not in WBCBENCH_CODES and not (label is None and split == "test"):
            audit.add(path, row, f"unknown class {label or '(empty)'}", "dropped")
        elif path in rows and None not in (label, rows[path][1]):
            same = rows[path][1] == label
            audit.add(path, row, f"image listed twice with {'one class' if same else 'two classes'}", "first kept")
        elif path not in rows or label is not None:
            rows[path] = (path, label, label, "", split)
    for path in sorted(set(images.values()) - set(rows)):
        audit.add(path, None, "image without annotation", "dropped")
    table = pd.DataFrame(rows.values(), columns=list(CELL_COLUMNS))
    return assemble("wbcbench", folder, table, audit, {split for _, _, split, _ in listed})


def _listed(folder: Path) -> list[tuple[str, str | None, str, int]]:
    """Return ID, label, split and row of every row of every CSV file that has these columns."""
    needed, found, rows = ["ID", "labels", "split"], [], []
    for path in sorted(folder.rglob("*.csv")):
        try:
            table = read_csv(path, needed)[needed]
        except DataError as error:
            found.append(str(error))
            continue
        for row, (number, label, split) in enumerate(table.to_numpy()):
            split = (split or "").lower()
            rows.append((number or "", label, WBCBENCH_SPLITS.get(split, split), row))
    if not rows:
        raise DataError(f"{folder} has no CSV file with rows under {', '.join(needed)}. {' '.join(found)}".strip())
    return rows


def _by_name(folder: Path, audit: Audit) -> dict[str, str]:
    found: dict[str, str] = {}
    for image in find_images(folder):
        names = {Path(image).name, Path(image).stem}
        if any(found.get(name, image) != image for name in names):
            audit.add(image, None, "several images of one name", "dropped, first in path order kept")
            continue
        found.update(dict.fromkeys(names, image))
    return found


def assemble(name: str, folder: Path, table: pd.DataFrame, audit: Audit, expected: Iterable[str] = ("all",)) -> Dataset:
    """Make the data set of a table of cells: those whose image can be read, the others are in the audit.

    Parameters
    ----------
    table
        ``CELL_COLUMNS`` and what the data set has beside.
    expected
        Splits that must have an image.

    Raises
    ------
    DataError
        If one of them has none.
    """
    images = read_image_table(folder, dict(zip(table["path"], table["split"], strict=True)), audit)
    require_splits(name, folder, images["split"], expected, audit)
    table = table[table["path"].isin(images["image"])].reset_index(drop=True)
    return Dataset(name, table, images, audit.frame())
