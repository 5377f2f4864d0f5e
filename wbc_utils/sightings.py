"""What the networks of a two-stage pipeline say of images, and what is decided from it afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from wbc_utils.models import ModelError
from wbc_utils.models.fusion import blend
from wbc_utils.models.postprocess import COORDINATES


class Settings(NamedTuple):
    """What is decided after the networks have spoken.

    Attributes
    ----------
    least_score
        Of a box.
    share
        Of the networks of whole images in the type of a cell that is alone in its image; the rest is the crop's.
    """

    least_score: float = 0.5
    share: float = 0.0


DEFAULT = Settings()


@dataclass(frozen=True, eq=False)
class Sightings:
    """What networks say of images, before anything is decided.

    Attributes
    ----------
    boxes
        A row a box: ``image``, ``score``, ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px, and a probability each type, in
        columns named by the types; each image's by falling score.
    whole
        Images × types: how much the whole image looks like each type; None where no such network was asked.
    classes
        The k types.
    """

    boxes: pd.DataFrame
    whole: pd.DataFrame | None
    classes: tuple[str, ...]

    @classmethod
    def join(cls, several: Sequence["Sightings"]) -> "Sightings":
        """Return the sightings of different images in one."""
        boxes = pd.concat([one.boxes for one in several], ignore_index=True)
        whole = None if several[0].whole is None else pd.concat([one.whole for one in several])
        return cls(boxes, whole, several[0].classes)

    def decided(self, settings: Settings) -> pd.DataFrame:
        """Return the detections: ``image``, ``class``, ``score``, coordinates.

        The score is that of the box times the probability of its type.

        Raises
        ------
        wbc_utils.models.ModelError
            If whole images have a share and were not asked about, or a setting is not in [0, 1].
        """
        boxes = self.boxes[self.boxes["score"] >= settings.least_score].reset_index(drop=True)
        types = boxes[list(self.classes)].to_numpy(float)
        alone = (boxes.groupby("image")["image"].transform("size") == 1).to_numpy(bool)
        if settings.share and self.whole is None:
            raise ModelError("no network of whole images was asked, so that it can have no share; set share to 0")
        if settings.share and alone.any():
            asked = self.whole.loc[boxes["image"][alone], list(self.classes)].to_numpy(float)
            types[alone] = blend(types[alone], asked, settings.share)
        best = types.argmax(axis=1) if len(types) else np.empty(0, dtype=int)
        table = boxes[["image", *COORDINATES]].copy()
        table.insert(1, "class", np.array(self.classes, dtype=object)[best])
        table.insert(2, "score", boxes["score"].to_numpy() * types[np.arange(len(types)), best])
        return table
