"""CSV files are read as text; what a reader needs must be there exactly once."""

import pytest
from PIL import Image

from wbc_utils.data.reading import read_csv, read_image_table, require_splits
from wbc_utils.data.tables import Audit, DataError


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_surplus_commas_byte_order_mark_and_blank_lines_do_no_harm(tmp_path):
    path = write(tmp_path, "ID,labels,split,,\n007,NA,train,,\n\n8,,test\n", encoding="utf-8-sig")
    table = read_csv(path, ["ID", "labels", "split"])
    assert list(table) == ["ID", "labels", "split"]
    assert table.to_numpy().tolist() == [["007", "NA", "train"], ["8", None, "test"]]


@pytest.mark.parametrize("header", ["image,xmin", "", "image,label,label"])
def test_a_missing_or_repeated_column_is_named_beside_those_found(tmp_path, header):
    with pytest.raises(DataError, match=r"image, label once\. Found: .*To be put right: .*label"):
        read_csv(write(tmp_path, f"{header}\n"), ["image", "label"])


def test_an_absent_file_is_named_with_its_columns(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv is missing.*image, label"):
        read_csv(tmp_path / "absent.csv", ["image", "label"])


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b'image,label\n"a,b'])
def test_a_file_that_is_no_csv_is_refused(tmp_path, content):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match="not a readable CSV file"):
        read_csv(tmp_path / "table.csv", ["image", "label"])


def test_an_unreadable_image_is_left_out_and_audited(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    audit = Audit("x")
    table = read_image_table(tmp_path, {"a.png": "train", "b.png": "test"}, audit)
    assert table.to_numpy().tolist() == [["a.png", str(tmp_path / "a.png"), "train", 4, 3]]
    assert audit.rows == [("x", "b.png", None, "image cannot be read: the file has zero bytes", "dropped")]


def test_an_empty_split_is_named(tmp_path):
    require_splits("cbc", tmp_path, ["train", "train", "test"], ["train", "test"], Audit("cbc"))
    with pytest.raises(DataError, match=r"cbc: the split\(s\) validation of .* \(no image was found\)"):
        require_splits("cbc", tmp_path, ["train", "test"], ["train", "validation", "test"], Audit("cbc"))


def test_an_empty_split_is_explained_by_what_the_reader_found(tmp_path):
    audit = Audit("cbc")
    for image, reason in (("a", "unknown class x"), ("b", "annotation cannot be read"), ("c", "unknown class x")):
        audit.add(image, None, reason, "dropped")
    with pytest.raises(DataError, match=r"\(2 × unknown class x, 1 × annotation cannot be read\)"):
        require_splits("cbc", tmp_path, [], ["train"], audit)
