"""Pascal VOC files, damaged or with nasty content: each object is in the table or in the audit."""

import os
from xml.sax.saxutils import escape

import pytest
from defusedxml.ElementTree import ParseError, fromstring
from fuzzing import damage, fuzz, nasty, outcome, writable

from wbc_utils.data.boxes import clean, read_cbc

WORDS = [b"RBC", b"30", b"14", b"annotation", b"xmin", b"utf-8", b"object", b"1.0", b"<", b">"]


VOC = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotation verified="no"><filename>{}</filename>'
    "<size><width>40</width><height>20</height></size>{}</annotation>"
)
OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


@pytest.fixture(scope="module")
def cbc(folder):
    root = folder(*(f"{part}/Images/a.jpg" for part in ("Training", "Validation", "Testing")))
    for part in ("Training", "Validation", "Testing"):
        (root / part / "Annotations").mkdir()
        (root / part / "Annotations" / "a.xml").write_text(VOC.format("a.jpg", OBJECT.format("RBC", 1, 2, 30, 14)))
    return root


def annotation(rng):
    """Draw a file with up to four objects, some of their fields nasty, some unescaped; half are damaged besides."""

    def field(*usual):
        text = nasty(rng) if rng.random() < 0.1 else rng.choice(usual)
        return text if rng.random() < 0.03 else escape(text)

    boxes = [(field("RBC", "WBC", "Platelets"), *(field("1", "12", "19.5", "40") for _ in range(4))) for _ in range(4)]
    content = VOC.format(field("a.jpg"), "".join(OBJECT.format(*box) for box in boxes[: rng.randint(0, 4)])).encode()
    return damage(content, rng, WORDS, most=2) if rng.random() < 0.5 else content


def test_damaged_annotations_are_read_or_refused_and_no_object_is_lost(cbc):
    target = cbc / "Training" / "Annotations" / "a.xml"

    def look(content):
        target.write_bytes(content)
        found = read_cbc(cbc)
        writable(found)
        ours = found.audit["image"].eq("Training/Images/a.jpg") & found.audit["decision"].eq("dropped")
        kept = found.table["image"].eq("Training/Images/a.jpg")
        assert kept.sum() + ours.sum() == sum(1 for _ in fromstring(content).iter("object"))
        writable(clean(found))

    counts = fuzz(annotation, look, 250)
    assert min(counts["parsed"], counts["refused"]) > 25


def test_an_annotation_nested_a_hundred_thousand_deep_is_read(cbc):
    deep = "<a>" * 100_000 + OBJECT.format("RBC", 1, 2, 3, 4) + "</a>" * 100_000
    (cbc / "Training" / "Annotations" / "a.xml").write_text(f"<annotation>{deep}</annotation>")
    assert outcome(lambda: read_cbc(cbc)) == "parsed"
    with pytest.raises(ParseError):
        fromstring(deep[:-1])


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("a.xml", path)])
def test_an_annotation_that_is_no_file_is_none(folder, make):
    root = folder(*(f"{part}/Images/{name}.jpg" for part in ("Training", "Validation", "Testing") for name in "ab"))
    for part in ("Training", "Validation", "Testing"):
        (root / part / "Annotations").mkdir()
        (root / part / "Annotations" / "b.xml").write_text(VOC.format("b.jpg", OBJECT.format("RBC", 1, 2, 3, 4)))
    make(root / "Training" / "Annotations" / "a.xml")
    found = read_cbc(root).audit
    assert found["reason"].tolist().count("image without annotation") == 3
