"""Write pictures and the truth about them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from wbc_utils.data.synthetic.fields import Drawn

TRUTH_COLUMNS = ("dataset", "image", "class", "code", "xmin", "ymin", "xmax", "ymax")


class Truth:
    """What was drawn and what was planted, collected while the data sets are written."""

    def __init__(self):
        self.planted: dict[str, dict[str, Any]] = {}
        self.boxes: list[tuple] = []

    def add_boxes(self, dataset: str, image: str, objects: list[Drawn]) -> None:
        """Note the tight box of every drawn object, labelled or not; edges in pixels, 0-based, the last exclusive."""
        for drawn in objects:
            code = drawn.morphology.code if drawn.morphology else ""
            self.boxes.append((dataset, image, drawn.kind, code, *drawn.box))

    def box_table(self) -> pd.DataFrame:
        """Return all boxes as a table with ``TRUTH_COLUMNS``."""
        return pd.DataFrame(self.boxes, columns=list(TRUTH_COLUMNS))


def jpeg_bytes(image: np.ndarray, quality: int) -> bytes:
    """Encode an RGB picture as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> None:
    """Write a file as it is given, line ends included, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def put_jpeg(path: Path, image: np.ndarray, quality: int = 85) -> None:
    """Write an RGB picture as JPEG."""
    put(path, jpeg_bytes(image, quality))


def put_mask(path: Path, nucleus: np.ndarray, cell: np.ndarray) -> None:
    """Write two masks as one grey PNG: 255 nucleus, 128 cytoplasm, 0 background."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(nucleus, 255, np.where(cell, 128, 0)).astype(np.uint8)).save(path)
