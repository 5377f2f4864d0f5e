"""Boxes drawn into their image, each with its class and score where they can be read."""

from functools import cache

import numpy as np
import pandas as pd
from PIL import Image, ImageColor, ImageDraw, ImageFont

from wbc_utils.labels import cell_color

LEAST_TEXT_PX = 11
"""Smallest height of the letters; smaller ones cannot be read."""

_TEXT_SHARES = 1 / 40, 1 / 5  # of the short side of the image, of the middle box's side: the smaller counts
_LINE_SHARES = 1 / 300, 1 / 5  # of the short side of the image, of the letters: the smaller counts
_COVERED = 1 / 8  # of the image, most that long labels may cover
_PAD = 2  # px between text and border of its label


def annotate(image: np.ndarray, boxes: pd.DataFrame) -> Image.Image:
    """Draw boxes in the colours of their classes, each with a label such as "WBC 0.98" beside it.

    A label is put where it covers no other label, as little as can be of other boxes, and then of its own; better
    scores choose first and lie on top. Where the labels would cover too much of the image, all are shortened: "W .98".

    Parameters
    ----------
    image
        uint8 (h, w, 3).
    boxes
        ``class``, ``score`` and ``xmin``, ``ymin``, ``xmax``, ``ymax`` in px of the image.

    Returns
    -------
    PIL.Image.Image
        RGB, of the same size.
    """
    picture = Image.fromarray(image)
    draw, short = ImageDraw.Draw(picture), min(picture.size)
    ranked = boxes.sort_values("score", ascending=False, kind="stable")
    corners = ranked[["xmin", "ymin", "xmax", "ymax"]].to_numpy(float).round()
    side = np.median(corners[:, 2:] - corners[:, :2]) if len(corners) else 0
    font = _font(max(LEAST_TEXT_PX, round(min(short * _TEXT_SHARES[0], side * _TEXT_SHARES[1]))))
    line = max(1, round(min(short * _LINE_SHARES[0], font.size * _LINE_SHARES[1])))
    colors = [cell_color(code) for code in ranked["class"]]
    for box, color in reversed(list(zip(corners, colors, strict=True))):
        draw.rectangle((*box[:2], *np.maximum(box[2:] - 1, box[:2])), outline=color, width=line)  # exclusive borders
    texts, extents = _texts(ranked["class"].tolist(), ranked["score"].tolist(), font, picture.width * picture.height)
    labels = list(zip(texts, _placed(extents, corners, picture.size), colors, strict=True))
    for text, place, color in reversed(labels):
        draw.rectangle((*place[:2], *(place[2:] - 1)), fill=color)
        draw.text(tuple(place[:2] + _PAD), text, fill=_readable(color), font=font, anchor="lt")
    return picture


def _placed(extents: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the borders of labels of given widths and heights at boxes, (n, 4) px, inside the image."""
    placed = np.empty((0, 4))
    for row, (box, extent) in enumerate(zip(corners, extents, strict=True)):
        kept_clear = (placed, np.delete(corners, row, axis=0), box[None])  # the first counts most
        places = [np.concatenate([corner, corner + extent]) for corner in _beside(box, extent, size)]
        hidden = [[_shared(place, boxes).sum() for boxes in kept_clear] for place in places]
        placed = np.vstack([placed, places[hidden.index(min(hidden))]])
    return placed


def _beside(box: np.ndarray, extent: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return upper left corners for a label: above, below, inside above and below, right, left; (6, 2) px."""
    left, top, right, bottom = box
    width, height = extent
    places = [
        (left, top - height), (left, bottom), (left, top), (left, bottom - height), (right, top), (left - width, top),
    ]  # fmt: skip
    return np.clip(places, 0, np.maximum(np.array(size) - extent, 0))


def _shared(place: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area that a rectangle shares with each of n others, (n,) px²."""
    sides = np.minimum(place[2:], others[:, 2:]) - np.maximum(place[:2], others[:, :2])
    return np.maximum(sides, 0).prod(axis=1)


def _texts(
    classes: list[str], scores: list[float], font: ImageFont.FreeTypeFont, pixels: int
) -> tuple[list[str], np.ndarray]:
    """Return the text of each label and its width and height, (n, 2) px: short ones if long ones cover too much."""
    numbers = [f"{score:.2f}" for score in scores]
    texts = [f"{code} {number}" for code, number in zip(classes, numbers, strict=True)]
    extents = _extents(texts, font)
    if extents.prod(axis=1).sum() > _COVERED * pixels:
        short = {code: _abbreviation(code, set(classes) - {code}) for code in classes}
        texts = [f"{short[code]} {number.removeprefix('0')}" for code, number in zip(classes, numbers, strict=True)]
        extents = _extents(texts, font)
    return texts, extents


def _extents(texts: list[str], font: ImageFont.FreeTypeFont) -> np.ndarray:
    """Return width and height of labels, (n, 2) px."""
    return np.array([(np.ceil(font.getlength(text)), font.size) for text in texts]).reshape(-1, 2) + 2 * _PAD


def _abbreviation(code: str, others: set[str]) -> str:
    """Return the shortest beginning of a code that no other one has, the code itself if there is none."""
    begins = (code[:letters] for letters in range(1, len(code)))
    return next((begin for begin in begins if not any(other.startswith(begin) for other in others)), code)


def _readable(color: str) -> str:
    """Return black or white, whichever contrasts more with a colour (WCAG 2.1, relative luminance)."""
    share = np.array(ImageColor.getrgb(color)) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"


@cache
def _font(px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=px)
