"""Readers of the detection data sets, to the columns of `wbc_utils.data.tables.BOX_COLUMNS`.

Coordinates are in pixels from the upper left corner of the image; ``xmax`` and ``ymax`` are exclusive borders. The
readers keep every row that can be parsed; `clean` decides about boxes that make no sense.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from wbc_utils.data.cleaning import COORDINATES, clean, to_numbered
from wbc_utils.data.entries import how_to_get_extra
from wbc_utils.data.images import find_images
from wbc_utils.data.reading import audit_rows, read_csv, read_image_table, require_splits
from wbc_utils.data.tables import BOX_COLUMNS, Audit, DataError, Dataset, listed
from wbc_utils.labels import CYTOLOGIA_CODES

__all__ = ["COORDINATES", "clean", "read_bcd", "read_cbc", "read_cytologia", "read_wbc_types", "to_numbered"]

CBC_SPLITS = {"Training": "train", "Validation": "validation", "Testing": "test"}
CBC_CLASSES = {name: name for name in ("RBC", "WBC", "Platelets")}
BCD_CLASSES = {"rbc": "RBC", "wbc": "WBC", "RBC": "RBC", "WBC": "WBC"}
_RAW = ["image", "class", *COORDINATES, "source_row"]


def read_cbc(folder: Path) -> Dataset:
    """Read the Complete Blood Count data set: Pascal VOC, one XML file an image.

    Each image is paired with the annotation of the same file name; the name written inside the XML file only enters
    the audit. ``source_row`` is the position of the object in its file.

    Raises
    ------
    DataError
        If a split has no usable image, or the boxes are written in another format.
    """
    folder, audit, rows, splits = Path(folder), Audit("cbc"), [], {}
    _require_voc("cbc", folder)
    for part, split in CBC_SPLITS.items():
        images = [f"{part}/Images/{name}" for name in find_images(folder / part / "Images")]
        annotations = {path.stem: path for path in sorted((folder / part / "Annotations").glob("*.xml"))}
        for image in images:
            annotation = annotations.pop(Path(image).stem, None)
            objects = _read_voc(annotation, image, audit)
            if objects is not None:
                splits[image] = split
                rows += objects
        for path in annotations.values():
            audit.add(path.relative_to(folder).as_posix(), None, "annotation without image", "dropped")
    return _assemble(
        "cbc", folder, pd.DataFrame(rows, columns=_RAW), splits, CBC_CLASSES, audit, list(CBC_SPLITS.values())
    )


def read_bcd(folder: Path) -> Dataset:
    """Read the Blood Cell Detection Dataset: ``annotations.csv`` or, where that is absent, ``annotations_ratio.csv``.

    Coordinates are ratios of the image's width and height where half of the right and lower borders are at most 1.

    Raises
    ------
    DataError
        If there is no such file, a column is missing, or no image can be used.
    """
    folder, audit = Path(folder), Audit("bcd")
    names = ["annotations.csv", "annotations_ratio.csv"]
    path = next((folder / name for name in names if (folder / name).is_file()), folder / names[0])
    table = read_csv(path, ["image", *COORDINATES, "label"]).rename(columns={"label": "class"})
    table = _numeric(table.assign(image=[f"images/{image or ''}" for image in table["image"]]))
    splits = {f"images/{image}": "all" for image in find_images(folder / "images")}
    borders = table[["xmax", "ymax"]].to_numpy()
    borders = borders[np.isfinite(borders)]
    ratios = bool(borders.size) and np.median(borders) <= 1
    return _assemble("bcd", folder, table, _annotated(splits, table, audit), BCD_CLASSES, audit, ["all"], ratios)


def read_cytologia(folder: Path) -> Dataset:
    """Read the CytologIA challenge: ``train.csv`` and, where it is there, the listing ``test.csv``.

    Images may lie anywhere under the folder; of several with one name the first in path order counts. Classes are
    the challenge's own 23. Images of the listing have split ``test`` and no boxes.

    Raises
    ------
    DataError
        If ``train.csv`` is absent or lacks a column, or a split has no usable image.
    """
    folder, audit = Path(folder), Audit("cytologia")
    table = read_csv(folder / "train.csv", ["NAME", "x1", "y1", "x2", "y2", "class"])
    renamed = dict(zip(["NAME", "x1", "y1", "x2", "y2"], ["image", *COORDINATES], strict=True))
    table = _numeric(table.rename(columns=renamed))
    by_name: dict[str, str] = {}
    for image in find_images(folder):
        if by_name.setdefault(Path(image).name, image) != image:
            audit.add(image, None, "several images of one name", "dropped, first in path order kept")
    table["image"] = table["image"].map(lambda name: by_name.get(name, name))
    tested: list[str] = []
    if (folder / "test.csv").is_file():
        for row, name in enumerate(read_csv(folder / "test.csv", ["NAME"])["NAME"]):
            if name in by_name:
                tested.append(by_name[name])
            else:
                audit.add(str(name), row, "image named in the test listing but absent", "dropped")
    present = {image: "test" if image in set(tested) else "train" for image in by_name.values()}
    both = sorted(set(tested) & set(table["image"]))
    for image in both:
        audit.add(image, None, "image in the training table and in the test listing", "kept in test without boxes")
    table = table[~table["image"].isin(both)]
    splits = _annotated(present, table, audit)
    return _assemble("cytologia", folder, table, splits, {code: code for code in CYTOLOGIA_CODES}, audit, ["train"])


def read_wbc_types(folder: Path) -> dict[int, list[str]]:
    """Read ``wbc_types.csv``: the white-cell types that a human saw in each image, by image number.

    Returns
    -------
    dict
        Types in the order of the file, upper case; an empty list where none is given.

    Raises
    ------
    DataError
        If the file is absent, a column is missing or an image number is not a whole number.
    """
    path = Path(folder) / "wbc_types.csv"
    types: dict[int, list[str]] = {}
    columns = ["Image", "Category"]
    table = read_csv(path, columns, how_to_get_extra("cbc", folder, path.name))
    for row, (number, category) in enumerate(table[columns].to_numpy()):
        if not re.fullmatch("[0-9]{1,18}", number or ""):
            raise DataError(f"{path}, row {row}: the image number is {number!r:.60}, a whole number is needed.")
        names = (category or "").split(",")
        types.setdefault(int(number), []).extend(name.strip().upper() for name in names if name.strip())
    return types


def _require_voc(name: str, folder: Path) -> None:
    """Refuse a folder without XML files whose boxes lie in files of another format."""
    if next(folder.rglob("*.xml"), None):
        return
    for kind, pattern in {"COCO": "**/*.json", "YOLO": "**/Annotations/*.txt"}.items():
        if other := next(iter(sorted(folder.glob(pattern))), None):
            raise DataError(
                f"{name}: {folder} has no Pascal VOC file (.xml), and {other.relative_to(folder)} looks like {kind}'s "
                "format. Write one XML file an image: SPLIT/Annotations/NAME.xml beside SPLIT/Images/NAME."
            )


def _read_voc(annotation: Path | None, image: str, audit: Audit) -> list[tuple] | None:
    if annotation is None or not os.path.isfile(annotation):
        audit.add(image, None, "image without annotation", "dropped")
        return None
    try:
        root = parse(annotation, forbid_dtd=True).getroot()
    except DefusedXmlException:
        audit.add(image, None, "annotation refused: it declares a document type or entities", "dropped")
        return None
    except (ParseError, ValueError, LookupError):
        audit.add(image, None, "annotation is not well-formed XML", "dropped")
        return None
    except OSError:
        audit.add(image, None, "annotation cannot be read", "dropped")
        return None
    if root.findtext("filename", "").strip() != Path(image).name:
        audit.add(image, None, "annotation names another file", "kept under the name of the file")
    rows = []
    for row, thing in enumerate(root.iter("object")):
        corners = [_number(thing.findtext(f"bndbox/{side}")) for side in COORDINATES]
        rows.append((image, thing.findtext("name", "").strip(), *corners, row))
    if not rows:
        audit.add(image, None, "annotation without objects", "kept")
    return rows


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    numbers = {side: table[side].map(_number).astype(float) for side in COORDINATES}
    return table.assign(**numbers, source_row=np.arange(len(table)))[_RAW]


def _annotated(splits: Mapping[str, str], table: pd.DataFrame, audit: Audit) -> dict[str, str]:
    named = set(table["image"])
    for image, split in splits.items():
        if image not in named and split != "test":
            audit.add(image, None, "image without annotation", "dropped")
    return {image: split for image, split in splits.items() if image in named or split == "test"}


def _assemble(
    name: str,
    folder: Path,
    table: pd.DataFrame,
    splits: Mapping[str, str],
    classes: Mapping[str, str],
    audit: Audit,
    expected: list[str],
    ratios: bool = False,
) -> Dataset:
    images = read_image_table(folder, splits, audit)
    require_splits(name, folder, images["split"], expected, audit)
    table = _usable(table, images, splits, classes, audit)
    if table.empty:
        reasons = listed(sorted({row[3] for row in audit.rows})) or "its table has no rows"
        raise DataError(f"{name}: {folder} has no usable box ({reasons}). Look at its annotations.")
    by_image = images.set_index("image")
    if ratios:
        width, height = (table["image"].map(by_image[side]).to_numpy()[:, None] for side in ("width", "height"))
        table[["xmin", "xmax"]] *= width
        table[["ymin", "ymax"]] *= height
    table["class"] = table["class"].map(classes)
    table["split"] = table["image"].map(by_image["split"])
    return Dataset(name, table[list(BOX_COLUMNS)].reset_index(drop=True), images, audit.frame())


def _usable(
    table: pd.DataFrame, images: pd.DataFrame, splits: Mapping[str, str], classes: Mapping[str, str], audit: Audit
) -> pd.DataFrame:
    reasons = pd.Series(None, index=table.index, dtype=object)
    unknown = ~table["class"].isin(list(classes))
    reasons[unknown] = [f"unknown class {name or '(empty)'}" for name in table.loc[unknown, "class"]]
    reasons[~np.isfinite(table[COORDINATES]).all(axis=1)] = "coordinate is not a number"
    reasons[~table["image"].isin(images["image"])] = "box of an image that cannot be read"
    reasons[~table["image"].isin(list(splits))] = "image named but absent"
    for reason, rows in table.groupby(reasons):
        audit_rows(audit, rows, str(reason), "dropped")
    table = table[reasons.isna()].copy()
    for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
        wrong = table[low] > table[high]
        audit_rows(audit, table[wrong], f"{low} and {high} reversed", "repaired: swapped")
        table[low], table[high] = table[[low, high]].min(axis=1), table[[low, high]].max(axis=1)
    return table
