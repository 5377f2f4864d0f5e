"""White cells of fields with the type of each, where the data says which: what the two-stage pipeline learns from.

CytologIA gives every box its type. For ``cbc`` a second table, ``wbc_types.csv``, lists the types that were seen in an
image, not which box has which. A box gets a type only where no other reading is possible: the image has as many boxes
as types, and they are all the same. In two of the seven training images that show two different types the order of the
table contradicts the order of the boxes, so that order says nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wbc_utils.data.boxes import COORDINATES, read_wbc_types
from wbc_utils.data.tables import DataError, Dataset
from wbc_utils.labels import in_lineage_order

CBC_TYPES: dict[str, str] = {
    "NEUTROPHIL": "NEUTROPHIL", "EOSINOPHIL": "EO", "BASOPHIL": "BA", "LYMPHOCYTE": "LY", "MONOCYTE": "MO",
}  # fmt: skip
"""Words of ``wbc_types.csv`` and our codes."""

WHITE = "WBC"
"""The one class of the first stage."""

TYPED = "typed"
UNTYPED = "no type given"
DIFFERING = "number of boxes and of types differ"
MIXED = "two types, not said which box has which"
NO_CELL = "no white cell"
STATES = (TYPED, MIXED, DIFFERING, UNTYPED, NO_CELL)
"""What is known of the types in an image."""


@dataclass(frozen=True, eq=False)
class WhiteCells:
    """White cells of a data set.

    Attributes
    ----------
    boxes
        A row a cell: ``image``, ``class`` (always `WHITE`), ``xmin``, ``ymin``, ``xmax``, ``ymax``, ``type``, missing
        where it is not known.
    types
        Image → the set of types it shows, for the images where it is known.
    states
        Image → one of `STATES`, for every image.
    """

    boxes: pd.DataFrame
    types: dict[str, frozenset[str]]
    states: pd.Series

    @property
    def typed(self) -> pd.DataFrame:
        """The cells of known type, with the type as their ``class``."""
        known = self.boxes[self.boxes["type"].notna()]
        return known.assign(**{"class": known["type"]}).drop(columns="type").reset_index(drop=True)

    def classes(self, groups: Mapping[str, object], least: int) -> tuple[str, ...]:
        """Return the types that at least so many groups of images show, in lineage order.

        Parameters
        ----------
        groups
            Image → its cluster of duplicates; images without one do not count.
        least
            Two, if a class is to be learned and scored.
        """
        typed = self.typed
        shown = typed.assign(group=typed["image"].map(groups)).dropna(subset="group")
        numbers = shown.groupby("class")["group"].nunique()
        return tuple(in_lineage_order(numbers.index[numbers >= least]))

    def restricted(self, classes: Sequence[str]) -> "WhiteCells":
        """Return the same with only some types; cells of others stay as cells of no known type."""
        boxes = self.boxes.assign(type=self.boxes["type"].where(self.boxes["type"].isin(list(classes)), None))
        types = {image: shown for image, shown in self.types.items() if shown <= set(classes)}
        states = self.states.where(~self.states.isin([TYPED, MIXED]) | self.states.index.isin(types), UNTYPED)
        return WhiteCells(boxes, types, states)


def white_cells(dataset: Dataset, folder: Path) -> WhiteCells:
    """Return the white cells of ``cbc`` or ``cytologia``.

    Parameters
    ----------
    dataset
        As read, or cleaned.
    folder
        Where ``wbc_types.csv`` of ``cbc`` lies.

    Raises
    ------
    wbc_utils.data.tables.DataError
        If the data set is another one, or a word of ``wbc_types.csv`` is unknown.
    """
    if dataset.name == "cytologia":
        boxes = dataset.table.assign(type=dataset.table["class"])
        types = {image: frozenset(shown) for image, shown in boxes.groupby("image")["type"]}
        states = pd.Series({image: TYPED if image in types else NO_CELL for image in dataset.images["image"]})
        return WhiteCells(_columns(boxes), types, states)
    if dataset.name != "cbc":
        raise DataError(f"{dataset.name} has no white cells with types in fields; allowed are cbc and cytologia")
    boxes = dataset.table[dataset.table["class"] == WHITE]
    counts, stated = Counter(boxes["image"]), _stated(folder)
    states, types, single = {}, {}, {}
    for image in dataset.images["image"]:
        shown = stated.get(_number(image), [])
        states[image] = _state(counts[image], shown)
        if states[image] in (TYPED, MIXED):
            types[image] = frozenset(shown)
        if states[image] == TYPED:
            single[image] = shown[0]
    return WhiteCells(_columns(boxes.assign(type=boxes["image"].map(single))), types, pd.Series(states))


def within(boxes: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return boxes as annotated, but cut at the border of their image, and without those that have no area then.

    Parameters
    ----------
    boxes
        ``image`` and coordinates.
    images
        ``image``, ``width``, ``height`` in px.
    """
    sizes = images.set_index("image")
    cut = boxes.copy()
    for axis, side in (("x", "width"), ("y", "height")):
        columns = [f"{axis}min", f"{axis}max"]
        cut[columns] = cut[columns].clip(lower=0).clip(upper=cut["image"].map(sizes[side]), axis=0)
    return cut[(cut["xmax"] > cut["xmin"]) & (cut["ymax"] > cut["ymin"])].reset_index(drop=True)


def differences(before: pd.DataFrame, after: pd.DataFrame) -> tuple[int, int]:
    """Return how many boxes are gone and how many are new; a moved box is one of each.

    Parameters
    ----------
    before, after
        ``image`` and coordinates; of boxes at one place each counts.
    """
    places = ["image", *COORDINATES]
    first, second = (one[places].assign(number=one.groupby(places).cumcount()) for one in (before, after))
    found = first.merge(second, how="outer", indicator=True)["_merge"]
    return int((found == "left_only").sum()), int((found == "right_only").sum())


def _columns(boxes: pd.DataFrame) -> pd.DataFrame:
    columns = ["image", "class", "xmin", "ymin", "xmax", "ymax", "type"]
    types = boxes["type"].astype(object).where(boxes["type"].notna(), None)
    return boxes.assign(**{"class": WHITE, "type": types})[columns].reset_index(drop=True)


def _stated(folder: Path) -> dict[int, list[str]]:
    stated = read_wbc_types(folder)
    unknown = sorted({word for words in stated.values() for word in words} - set(CBC_TYPES))
    if unknown:
        raise DataError(
            f"{folder / 'wbc_types.csv'} names the types {', '.join(unknown)}; allowed are {', '.join(CBC_TYPES)}"
        )
    return {number: [CBC_TYPES[word] for word in words] for number, words in stated.items()}


def _number(image: str) -> int:
    """Return the number in a file name such as ``BloodImage_00042.jpg``, −1 where there is none."""
    digits = Path(image).stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else -1


def _state(boxes: int, shown: list[str]) -> str:
    if not boxes:
        return DIFFERING if shown else NO_CELL
    if not shown:
        return UNTYPED
    if len(shown) != boxes:
        return DIFFERING
    return TYPED if len(set(shown)) == 1 else MIXED
