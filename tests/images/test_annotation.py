"""Boxes are drawn where they are, in the colour of their class, with labels that do not hide each other."""

import numpy as np
import pandas as pd
import pytest
from PIL import ImageColor

from wbc_utils.images import annotation
from wbc_utils.images.annotation import LEAST_TEXT_PX, annotate
from wbc_utils.labels import DETECTION_COLORS, cell_color

COLUMNS = ["class", "score", "xmin", "ymin", "xmax", "ymax"]


def blank(width=300, height=200):
    return np.full((height, width, 3), 240, np.uint8)


def drawn(*rows, image=None):
    image = blank() if image is None else image
    return np.array(annotate(image, pd.DataFrame(rows, columns=COLUMNS)))


def is_color(pixels, code):
    return (pixels == ImageColor.getrgb(cell_color(code))).all(axis=-1)


@pytest.fixture
def said(monkeypatch):
    """Return what is written into pictures: texts with the upper left corners of their labels."""
    found = []
    honest = annotation.ImageDraw.ImageDraw.text

    def text(self, place, words, **options):
        found.append((words, tuple(place)))
        honest(self, place, words, **options)

    monkeypatch.setattr(annotation.ImageDraw.ImageDraw, "text", text)
    return found


def test_an_image_without_boxes_is_as_it_was():
    image = blank()
    image[3, 4] = 7
    np.testing.assert_array_equal(drawn(image=image), image)


def test_the_image_itself_is_not_drawn_into():
    image = blank()
    drawn(("RBC", 0.9, 10, 10, 90, 90), image=image)
    np.testing.assert_array_equal(image, blank())


@pytest.mark.parametrize("code", DETECTION_COLORS)
def test_a_box_is_drawn_on_its_borders_in_the_colour_of_its_class(code):
    inside = is_color(drawn((code, 0.9, 100, 50, 180, 150)), code)
    assert inside[50:150, [100, 179]].all()
    assert inside[[50, 149], 100:180].all()
    assert not inside[:, 180:].any()
    assert not inside[150:].any()
    assert not inside[55:145, 105:175].any()


def test_a_label_has_class_and_score_and_lies_beside_its_box(said):
    pixels = drawn(("WBC", 0.976, 100, 50, 180, 150))
    assert [words for words, _ in said] == ["WBC 0.98"]
    label = is_color(pixels, "WBC")[35:50, 100:160]
    assert label.mean() > 0.5  # the rest are the letters
    assert not is_color(pixels, "WBC")[:34].any()


@pytest.mark.parametrize("box", [(0, 0, 300, 200), (0, 0, 5, 5), (295, 195, 300, 200), (0, 195, 300, 200)])
def test_a_label_of_a_box_at_the_border_lies_in_the_image(said, box):
    drawn(("WBC", 0.9, *box))
    [(_, (x, y))] = said
    assert 0 <= x <= 300 - 40
    assert 0 <= y <= 200 - LEAST_TEXT_PX


def test_labels_of_boxes_that_overlap_do_not(said):
    boxes = [("WBC", 0.9 - step / 100, 100 + step, 80 + step, 180 + step, 140 + step) for step in range(5)]
    drawn(*boxes)
    places = [np.array(place) for _, place in said]
    apart = [np.abs(one - other) for row, one in enumerate(places) for other in places[:row]]
    assert all(x >= 45 or y >= LEAST_TEXT_PX for x, y in apart)


def test_where_labels_would_cover_too_much_they_are_shortened_to_what_tells_the_classes_apart(said):
    rows = [(code, 0.5, 20 * n, 20, 20 * n + 15, 35) for n, code in enumerate(["BNE", "BA", "SNE", "SNE"])]
    drawn(*rows, image=blank(100, 40))
    assert {words for words, _ in said} == {"BN .50", "BA .50", "S .50"}


def test_a_score_of_one_keeps_its_one(said):
    drawn(*[("RBC", 1.0, 5, 5, 30, 30)] * 9, image=blank(60, 60))
    assert {words for words, _ in said} == {"R 1.00"}


@pytest.mark.parametrize("code", [*DETECTION_COLORS, "BL", "LY", "unheard of"])
def test_letters_contrast_with_their_label(code):
    def luminance(color):
        share = np.array(ImageColor.getrgb(color)) / 255
        return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    low, high = sorted([luminance(cell_color(code)), luminance(annotation._readable(cell_color(code)))])
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.1, level AA


def test_letters_follow_the_boxes_and_are_never_too_small():
    def letters(side, *box):
        before = annotation._font.cache_info().currsize
        drawn(("RBC", 0.9, *box), image=blank(side, side))
        return before

    annotation._font.cache_clear()
    letters(64, 5, 5, 60, 60)
    letters(1000, 5, 5, 60, 60)
    assert annotation._font.cache_info().currsize == 1  # both the least
    letters(1000, 5, 5, 900, 900)
    assert annotation._font.cache_info().currsize == 2
