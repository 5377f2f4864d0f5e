"""The images asked for are those of a folder, or the rows of a CSV file; none of its rows is lost."""

import numpy as np
import pytest
from PIL import Image

from wbc_utils.data.sources import AMBIGUOUS, NOT_FOUND, NOT_NAMED, list_sources, read_source
from wbc_utils.data.tables import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "a.JPG", "b/c/2.jpg", "notes.txt", "b/7.png"):
        path = tmp_path / "cells" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (1, 2, 3)).save(path, format="PNG")
    return tmp_path / "cells"


def test_a_folder_gives_its_images_at_any_depth_in_order(folder):
    found = list_sources(folder)
    assert [source.name for source in found] == ["a.JPG", "b/2.png", "b/7.png", "b/c/2.jpg"]
    assert [source.path for source in found] == [folder / source.name for source in found]


@pytest.mark.parametrize("column", ["image", "path", "ID"])
def test_a_listing_gives_its_rows_in_order_by_path_name_or_name_without_ending(folder, column):
    absolute = folder / "b" / "7.png"
    rows = ["b/2.png", "7", "a.JPG", str(absolute), "7.png", "2", "gone", "", "7"]
    (folder / "list.csv").write_text("\n".join([f"x,{column},,", *(f"x,{row},," for row in rows)]))
    found = list_sources(folder / "list.csv")
    assert [source.name for source in found] == rows
    assert [source.path for source in found] == [
        folder / "b/2.png", absolute, folder / "a.JPG", absolute, absolute, None, None, None, absolute,
    ]  # fmt: skip
    assert [source.reason for source in found] == ["", "", "", "", "", AMBIGUOUS, NOT_FOUND, NOT_NAMED, ""]


def test_a_name_too_long_for_any_file_is_not_found(folder):
    (folder / "list.csv").write_text("ID\n" + "x" * 5000 + "\n")
    assert list_sources(folder / "list.csv")[0].reason == NOT_FOUND


def test_a_column_image_counts_before_a_column_id(folder):
    (folder / "list.csv").write_text("ID,image\n7,a.JPG\n")
    assert [source.name for source in list_sources(folder / "list.csv")] == ["a.JPG"]


def test_an_empty_folder_is_named_with_the_endings_looked_for(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"folder .* holds no image .* \.bmp, \.jpeg, \.jpg, \.png, \.tif, \.tiff"):
        list_sources(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("gone", None, "gone does not exist. Give a folder with images, or a CSV file"),
        ("one.PNG", "", r"one\.PNG is an image\. Give the folder"),
        (
            "list.csv",
            "name,label\na,LY\n",
            "image, path or ID, separated by commas: .*Found: name, label",
        ),
        ("list.csv", "ID\n", "lists no image: it has a header and no rows"),
        ("list.csv", '"ID', "needs a column image, path or ID, separated by commas: .*not a readable CSV file"),
    ],
)
def test_a_place_without_images_is_an_error_that_says_what_to_give(tmp_path, name, content, error):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=error):
        list_sources(tmp_path / name)


def test_reading_gives_the_pixels_or_why_there_are_none(folder):
    (folder / "b" / "7.png").write_bytes(b"")
    (folder / "list.csv").write_text("ID\na.JPG\n7\ngone\n")
    first, second, third = (read_source(source) for source in list_sources(folder / "list.csv"))
    assert np.array_equal(first, np.broadcast_to(np.array([1, 2, 3], np.uint8), (3, 4, 3)))
    assert (second, third) == ("the file has zero bytes", NOT_FOUND)
