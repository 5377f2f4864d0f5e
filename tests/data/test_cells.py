"""The readers of the single-cell data sets label each image once and audit what they cannot label."""

import pytest
from PIL import Image

from wbc_utils.data.cells import PBC_CLASSES, read_attributes, read_pbc, read_segwbc, read_wbcbench
from wbc_utils.data.tables import CELL_COLUMNS, DataError
from wbc_utils.labels import PBC_PREFIXES


def image(path, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def findings(dataset):
    return list(dataset.audit[["image", "reason", "decision"]].itertuples(index=False, name=None))


def test_every_prefix_belongs_to_one_folder():
    prefixes = [prefix for folder in PBC_CLASSES.values() for prefix in folder]
    assert sorted(prefixes) == sorted(PBC_PREFIXES)


def test_pbc_takes_the_label_from_the_folder_and_the_fine_label_from_the_prefix(tmp_path):
    root = tmp_path / "PBC_dataset_normal_DIB"
    for name in ("neutrophil/BNE_1.jpg", "ig/IG_<script>.jpg"):
        image(root / name)
    found = read_pbc(tmp_path)
    assert tuple(found.table) == CELL_COLUMNS
    assert found.table.to_numpy().tolist() == [
        ["PBC_dataset_normal_DIB/ig/IG_<script>.jpg", "ig", "IG", "", "all"],
        ["PBC_dataset_normal_DIB/neutrophil/BNE_1.jpg", "neutrophil", "BNE", "", "all"],
    ]
    assert found.images["image"].tolist() == found.table["path"].tolist()
    assert found.images[["width", "height"]].to_numpy().tolist() == [[12, 10]] * 2
    assert found.audit.empty


def test_pbc_audits_prefixes_folders_and_images_it_cannot_use(tmp_path):
    root = tmp_path / "PBC_dataset_normal_DIB"
    for name in ("basophil/BA_1.jpg", "basophil/XY_1.jpg", "basophil/EO_1.jpg", "blob/BA_1.jpg", "monocyte/MO_1.jpg"):
        image(root / name)
    (root / "monocyte" / "MO_1.jpg").write_bytes(b"")
    found = read_pbc(tmp_path)
    assert found.table["fine_label"].tolist() == ["BA", "EO"]
    assert findings(found) == [
        ("PBC_dataset_normal_DIB/basophil/EO_1.jpg", "prefix belongs to another folder", "kept under both labels"),
        ("PBC_dataset_normal_DIB/basophil/XY_1.jpg", "unknown file-name prefix", "dropped"),
        ("PBC_dataset_normal_DIB/blob/BA_1.jpg", "unknown class folder blob", "dropped"),
        (
            "PBC_dataset_normal_DIB/monocyte/MO_1.jpg",
            "image cannot be read: the file has zero bytes",
            "dropped",
        ),
    ]


def test_pbc_without_images_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"pbc: the split\(s\) all"):
        read_pbc(tmp_path)


def test_attributes_keep_the_columns_of_the_file(tmp_path):
    (tmp_path / "wbcatt_attributes.csv").write_text("img_name,label,cell_size\nBNE_1.jpg,Neutrophil,big\n")
    assert read_attributes(tmp_path).to_dict("records") == [
        {"img_name": "BNE_1.jpg", "label": "Neutrophil", "cell_size": "big"}
    ]


def test_segwbc_pairs_images_masks_and_labels(tmp_path):
    for name in ("001.bmp", "001.png", "002.bmp", "003.bmp", "004.bmp"):
        image(tmp_path / "Dataset 1" / name)
    (tmp_path / "Class Labels of Dataset 1.csv").write_text("image ID,class label\n1,2\n2,1\n3,9\n5,1\n")
    found = read_segwbc(tmp_path)
    assert found.table["path"].tolist() == ["Dataset 1/001.bmp", "Dataset 1/002.bmp"]
    assert found.table["label"].tolist() == ["LY", "NEUTROPHIL"]
    assert found.table["mask"].iloc[0] == "Dataset 1/001.png"
    assert found.table["mask"].isna().tolist() == [False, True]
    assert findings(found) == [
        ("Dataset 1/002.bmp", "mask absent", "kept without mask"),
        ("Dataset 1/003.bmp", "unknown class 9", "dropped"),
        ("Dataset 1/005.bmp", "image named but absent", "dropped"),
        ("Dataset 1/004.bmp", "image without annotation", "dropped"),
    ]


def test_wbcbench_reads_every_listing_with_trailing_empty_columns(tmp_path):
    for name in ("x/a.jpg", "y/b.jpg", "y/c.png"):
        image(tmp_path / name)
    (tmp_path / "train.csv").write_text("ID,labels,split,,\na.jpg,PLY,train,,\nb,SNE,Val,,\n")
    (tmp_path / "y" / "test.csv").write_text("ID,labels,split\nc,,test\n")
    (tmp_path / "notes.csv").write_text("something,else\n1,2\n")
    found = read_wbcbench(tmp_path)
    assert found.table[["path", "split"]].to_numpy().tolist() == [
        ["x/a.jpg", "train"],
        ["y/b.jpg", "validation"],
        ["y/c.png", "test"],
    ]
    assert found.table["label"].tolist()[:2] == ["PLY", "SNE"]
    assert found.table["label"].isna().tolist() == [False, False, True]
    assert found.audit.empty


def test_wbcbench_audits_what_is_absent_unknown_or_listed_twice(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "z/a.jpg"):
        image(tmp_path / name)
    rows = ["a,LY,train", "a,MO,train", "b,XX,train", "gone,LY,train", "c,,test", "c,EO,test", "b,,train"]
    (tmp_path / "all.csv").write_text("\n".join(["ID,labels,split", *rows]))
    found = read_wbcbench(tmp_path)
    assert found.table[["path", "label", "split"]].to_numpy().tolist() == [
        ["a.jpg", "LY", "train"],
        ["c.jpg", "EO", "test"],
    ]
    assert set(findings(found)) == {
        ("z/a.jpg", "several images of one name", "dropped, first in path order kept"),
        ("a.jpg", "image listed twice with two classes", "first kept"),
        ("b.jpg", "unknown class XX", "dropped"),
        ("b.jpg", "unknown class (empty)", "dropped"),
        ("gone", "image named but absent", "dropped"),
        ("b.jpg", "image without annotation", "dropped"),
        ("d.jpg", "image without annotation", "dropped"),
    }


def test_wbcbench_with_a_split_that_has_no_image_is_an_error(tmp_path):
    image(tmp_path / "a.jpg")
    (tmp_path / "all.csv").write_text("ID,labels,split\na,LY,train\nb,LY,test\n")
    with pytest.raises(DataError, match=r"split\(s\) test"):
        read_wbcbench(tmp_path)


def test_wbcbench_without_a_listing_says_what_was_found(tmp_path):
    (tmp_path / "notes.csv").write_text("something,else\n1,2\n")
    with pytest.raises(DataError, match=r"no CSV file with rows under ID, labels, split.*something, else"):
        read_wbcbench(tmp_path)
