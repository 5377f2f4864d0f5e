"""The readers of the detection data sets keep every row that can be parsed and audit every other."""

import pytest
from PIL import Image

from wbc_utils.data.boxes import read_bcd, read_cbc, read_cytologia, read_wbc_types
from wbc_utils.data.tables import BOX_COLUMNS, IMAGE_COLUMNS, DataError

BOX = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><annotation>&y;</annotation>'


def image(path, size=(40, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def voc(path, *boxes, filename=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(BOX.format(*box) for box in boxes)
    path.write_text(f"<annotation><filename>{filename or path.stem + '.jpg'}</filename>{objects}</annotation>")


@pytest.fixture
def cbc(tmp_path):
    for part in ("Training", "Validation", "Testing"):
        image(tmp_path / part / "Images" / "a.jpg")
        voc(tmp_path / part / "Annotations" / "a.xml", ("RBC", 1, 2, 3, 4), ("WBC", 0, 0, 40, 20))
    return tmp_path


@pytest.fixture
def bcd(tmp_path):
    image(tmp_path / "images" / "a.png")

    def write(*rows, name="annotations.csv", header="image,xmin,ymin,xmax,ymax,label"):
        (tmp_path / name).write_text("\n".join([header, *rows]) + "\n")
        return tmp_path

    return write


def findings(dataset):
    return list(dataset.audit[["image", "reason", "decision"]].itertuples(index=False, name=None))


def test_cbc_has_its_three_splits_with_image_paths_as_keys(cbc):
    found = read_cbc(cbc)
    assert tuple(found.table) == BOX_COLUMNS
    assert tuple(found.images) == IMAGE_COLUMNS
    assert found.images["image"].tolist() == [f"{p}/Images/a.jpg" for p in ("Training", "Validation", "Testing")]
    assert found.table["split"].tolist() == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert found.table.iloc[1].tolist() == ["Training/Images/a.jpg", "WBC", 0, 0, 40, 20, "train", 1]
    assert found.images[["width", "height"]].to_numpy().tolist() == [[40, 20]] * 3
    assert found.audit.empty


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<annotation><object><name>RBC</na", "annotation is not well-formed XML"),
        ("", "annotation is not well-formed XML"),
        (BOMB, "annotation refused: it declares a document type or entities"),
    ],
)
def test_a_damaged_or_dangerous_annotation_drops_its_image(cbc, content, reason):
    image(cbc / "Training" / "Images" / "b.jpg")
    (cbc / "Training" / "Annotations" / "b.xml").write_text(content)
    found = read_cbc(cbc)
    assert findings(found) == [("Training/Images/b.jpg", reason, "dropped")]
    assert "Training/Images/b.jpg" not in set(found.images["image"]) | set(found.table["image"])


def test_images_and_annotations_without_each_other_are_audited(cbc):
    image(cbc / "Testing" / "Images" / "<script>.jpg")
    voc(cbc / "Testing" / "Annotations" / "z.xml", ("RBC", 1, 2, 3, 4))
    assert findings(read_cbc(cbc)) == [
        ("Testing/Images/<script>.jpg", "image without annotation", "dropped"),
        ("Testing/Annotations/z.xml", "annotation without image", "dropped"),
    ]


def test_the_name_of_the_file_wins_over_the_name_in_the_annotation(cbc):
    voc(cbc / "Testing" / "Annotations" / "a.xml", ("RBC", 1, 2, 3, 4), filename="b.jpg")
    found = read_cbc(cbc)
    assert found.table["image"].tolist()[-1] == "Testing/Images/a.jpg"
    assert findings(found) == [
        ("Testing/Images/a.jpg", "annotation names another file", "kept under the name of the file")
    ]


def test_an_annotation_without_objects_keeps_its_image(cbc):
    voc(cbc / "Testing" / "Annotations" / "a.xml")
    found = read_cbc(cbc)
    assert "Testing/Images/a.jpg" in set(found.images["image"])
    assert findings(found) == [("Testing/Images/a.jpg", "annotation without objects", "kept")]


def test_objects_that_cannot_be_parsed_are_dropped_one_by_one(cbc):
    voc(cbc / "Testing" / "Annotations" / "a.xml", ("RBC", "nan", 2, 3, 4), ("Bug", 1, 2, 3, 4), ("RBC", 5, 6, 7, 8))
    found = read_cbc(cbc)
    assert found.table[found.table["split"] == "test"]["source_row"].tolist() == [2]
    assert found.audit[["row", "reason"]].to_numpy().tolist() == [
        [0, "coordinate is not a number"],
        [1, "unknown class Bug"],
    ]


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [("annotations.json", '{"annotations": []}', "COCO"), ("Training/Annotations/a.txt", "0 .5 .5 .1 .1", "YOLO")],
)
def test_boxes_in_another_format_are_named_with_the_one_that_is_read(cbc, path, content, kind):
    for annotation in cbc.rglob("*.xml"):
        annotation.unlink()
    (cbc / path).write_text(content)
    with pytest.raises(DataError, match=rf"no Pascal VOC file \(.xml\), and {path} looks like {kind}'s format. Write"):
        read_cbc(cbc)


def test_an_empty_split_is_an_error_that_names_it(cbc):
    (cbc / "Validation" / "Images" / "a.jpg").unlink()
    with pytest.raises(DataError, match="validation"):
        read_cbc(cbc)


def test_an_image_of_zero_bytes_takes_its_boxes_with_it(cbc):
    image(cbc / "Testing" / "Images" / "b.jpg")
    voc(cbc / "Testing" / "Annotations" / "b.xml", ("RBC", 1, 2, 3, 4))
    (cbc / "Testing" / "Images" / "b.jpg").write_bytes(b"")
    found = read_cbc(cbc)
    assert len(found.table) == 6
    assert findings(found) == [
        ("Testing/Images/b.jpg", "image cannot be read: the file has zero bytes", "dropped"),
        ("Testing/Images/b.jpg", "box of an image that cannot be read", "dropped"),
    ]


def test_bcd_reads_pixels_as_they_are(bcd):
    found = read_bcd(bcd("a.png,1.5,2,30,4,rbc", "a.png,0,0,40,20,wbc"))
    assert found.table.iloc[0].tolist() == ["images/a.png", "RBC", 1.5, 2, 30, 4, "all", 0]
    assert found.table["class"].tolist() == ["RBC", "WBC"]


@pytest.mark.parametrize("name", ["annotations.csv", "annotations_ratio.csv"])
def test_bcd_scales_ratios_by_the_size_of_the_image(bcd, name):
    rows = ("1,a.png,0,0,0.5,0.25,rbc", "1,a.png,0.1,0.2,1,1,wbc")
    found = read_bcd(bcd(*rows, name=name, header="image_id,image,xmin,ymin,xmax,ymax,label"))
    assert found.table[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [[0, 0, 20, 5], [4, 4, 40, 20]]


def test_bcd_prefers_the_table_in_pixels(bcd):
    bcd("a.png,0,0,1,1,rbc", name="annotations_ratio.csv")
    assert read_bcd(bcd("a.png,0,0,7,9,rbc")).table["xmax"].tolist() == [7]


def test_reversed_coordinates_are_swapped_and_noted(bcd):
    found = read_bcd(bcd("a.png,9,8,3,4,rbc"))
    assert found.table[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist() == [[3, 4, 9, 8]]
    assert findings(found) == [
        ("images/a.png", "xmin and xmax reversed", "repaired: swapped"),
        ("images/a.png", "ymin and ymax reversed", "repaired: swapped"),
    ]


@pytest.mark.parametrize(
    ("row", "image", "reason"),
    [
        ("a.png,,2,3,4,rbc", "images/a.png", "coordinate is not a number"),
        ("a.png,1,2,inf,4,rbc", "images/a.png", "coordinate is not a number"),
        ("a.png,1,2,x,4,rbc", "images/a.png", "coordinate is not a number"),
        ("a.png,1,2,3,4,<script>", "images/a.png", "unknown class <script>"),
        ("a.png,1,2,3,4,", "images/a.png", "unknown class (empty)"),
        ("../a.png,1,2,3,4,rbc", "images/../a.png", "image named but absent"),
        (",1,2,3,4,rbc", "images/", "image named but absent"),
    ],
)
def test_a_row_that_cannot_be_used_is_audited_with_its_number(bcd, row, image, reason):
    found = read_bcd(bcd("a.png,1,2,3,4,rbc", row))
    assert found.table["source_row"].tolist() == [0]
    assert found.audit.iloc[0].tolist() == ["bcd", image, 1, reason, "dropped"]


def test_degenerate_and_overhanging_boxes_stay_until_they_are_cleaned(bcd):
    found = read_bcd(bcd("a.png,5,5,5,5,rbc", "a.png,-3,1,99,9,rbc"))
    assert len(found.table) == 2
    assert found.audit.empty


def test_a_missing_column_names_what_was_found_and_what_is_needed(bcd):
    folder = bcd("a.png,1,2,3", header="image,xmin,ymin,label")
    with pytest.raises(DataError, match=r"xmin, ymin, xmax, ymax, label once\. Found: image, xmin, ymin, label"):
        read_bcd(folder)


def test_a_table_without_any_usable_box_is_an_error(bcd):
    with pytest.raises(DataError, match=r"no usable box.*unknown class x"):
        read_bcd(bcd("a.png,1,2,3,4,x"))


def test_cytologia_finds_images_anywhere_and_lists_the_test_images(tmp_path):
    for name in ("images/a.png", "images/more/b.png", "other/b.png", "images/c.png", "images/d.png"):
        image(tmp_path / name)
    (tmp_path / "train.csv").write_text(
        "NAME,x1,y1,x2,y2,class\na.png,1,2,30,4,PNN\na.png,5,6,70,8,LGL\nb.png,0,0,9,9,SNE\nc.png,0,0,9,9,EO\n"
    )
    (tmp_path / "test.csv").write_text("NAME\nc.png\ngone.png\n")
    found = read_cytologia(tmp_path)
    assert found.table[["image", "class", "split"]].to_numpy().tolist() == [
        ["images/a.png", "PNN", "train"],
        ["images/a.png", "LGL", "train"],
    ]
    splits = dict(zip(found.images["image"], found.images["split"], strict=True))
    assert splits == {"images/a.png": "train", "images/more/b.png": "train", "images/c.png": "test"}
    assert set(findings(found)) == {
        ("other/b.png", "several images of one name", "dropped, first in path order kept"),
        ("gone.png", "image named in the test listing but absent", "dropped"),
        ("images/c.png", "image in the training table and in the test listing", "kept in test without boxes"),
        ("images/d.png", "image without annotation", "dropped"),
        ("images/more/b.png", "unknown class SNE", "dropped"),
    }


def test_white_cell_types_come_as_lists_by_image_number(tmp_path):
    (tmp_path / "wbc_types.csv").write_bytes(
        b',Image,Category\r\n,0,NEUTROPHIL\r\n,1,\r\n,02,"neutrophil, BASOPHIL"\r\n'
    )
    assert read_wbc_types(tmp_path) == {0: ["NEUTROPHIL"], 1: [], 2: ["NEUTROPHIL", "BASOPHIL"]}


def test_an_image_number_that_is_none_is_refused(tmp_path):
    (tmp_path / "wbc_types.csv").write_text("Image,Category\nx,LYMPHOCYTE\n")
    with pytest.raises(DataError, match="row 0: the image number is 'x'"):
        read_wbc_types(tmp_path)
