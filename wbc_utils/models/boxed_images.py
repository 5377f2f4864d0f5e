"""Images of any sizes with their true boxes, checked once before anything is learned from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import COORDINATES, require_boxes


@dataclass(frozen=True, eq=False)
class BoxedImages:
    """Images of any sizes with their true boxes; make it with `of`, which checks them.

    Attributes
    ----------
    names
        Of the n images.
    images
        uint8 (h, w, 3) each.
    boxes
        float32 (m, 4) each, ``xmin, ymin, xmax, ymax`` in px; m may be 0.
    labels
        Positions in ``classes``, int64 (m,) each.
    classes
        Codes in the order of the network's outputs.
    """

    names: tuple[str, ...]
    images: tuple[np.ndarray, ...]
    boxes: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, images: Mapping[str, np.ndarray], table: pd.DataFrame, classes: Sequence[str]) -> "BoxedImages":
        """Put boxes to their images.

        Parameters
        ----------
        images
            uint8 (h, w, 3) by name; those without boxes too.
        table
            ``image``, ``class``, ``xmin``, ``ymin``, ``xmax``, ``ymax``.
        classes
            All that may occur.

        Raises
        ------
        wbc_utils.models.ModelError
            If an image is none, or a box is of an unknown image or class, not finite, without area or past a border.
        """
        require_images(images)
        _require_known("image", table["image"], images)
        _require_known("class", table["class"], classes)
        require_boxes("true boxes", table)
        rows = table.groupby("image", sort=False).indices
        corners = table[COORDINATES].to_numpy(np.float32)
        label = pd.Index(list(classes)).get_indexer(table["class"]).astype(np.int64)
        own = [rows.get(name, np.empty(0, dtype=int)) for name in images]
        for (name, image), members in zip(images.items(), own, strict=True):
            height, width = image.shape[:2]
            past = (corners[members] < 0) | (corners[members] > (width, height, width, height))
            if past.any():
                box = corners[members][past.any(axis=1)][0].tolist()
                raise ModelError(f"{box} in {name} passes the border of {width} × {height} px; clip the boxes first")
        parts = ([corners[members] for members in own], [label[members] for members in own])
        return cls(tuple(images), tuple(images.values()), *map(tuple, parts), tuple(classes))

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, chosen: Sequence[int]) -> "BoxedImages":
        """Return chosen images, by position."""
        parts = (self.names, self.images, self.boxes, self.labels)
        return BoxedImages(*(tuple(part[place] for place in chosen) for part in parts), self.classes)

    @property
    def truth(self) -> pd.DataFrame:
        """The true boxes as a table: ``image``, ``class`` and four coordinates."""
        numbers = [len(boxes) for boxes in self.boxes]
        table = pd.DataFrame(np.concatenate(self.boxes).astype(float), columns=COORDINATES)
        table.insert(0, "image", np.repeat(np.array(self.names, dtype=object), numbers))
        table.insert(1, "class", np.array(self.classes, dtype=object)[np.concatenate(self.labels)])
        return table

    @property
    def counts(self) -> np.ndarray:
        """Boxes of each class, (k,)."""
        return np.bincount(np.concatenate(self.labels), minlength=len(self.classes))


def require_images(images: Mapping[str, np.ndarray]) -> None:
    """Refuse images that are none."""
    if not images:
        raise ModelError("there are no images; give at least one")
    for name, image in images.items():
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ModelError(f"{name} is {image.dtype} {image.shape}; give RGB images, uint8 (h, w, 3)")


def _require_known(what: str, found: pd.Series, known: Sequence[str] | Mapping) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise ModelError(f"boxes of {len(unknown)} unknown {what}(s), such as {unknown[0]!r}; leave them out or add it")
