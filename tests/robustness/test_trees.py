"""Folders of data sets with names and files that nobody expects: pipes, loops, devices, names that are no UTF-8."""

import contextlib
import io
import os
import shutil

import pytest
from fuzzing import fuzz, nasty, outcome, writable
from PIL import Image

from wbc_utils.data import registry
from wbc_utils.data.cells import read_pbc
from wbc_utils.data.sources import list_sources, read_source
from wbc_utils.data.tables import DataError

VOC = (
    b"<annotation><object><name>RBC</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox>"
    b"</object></annotation>"
)
BOXES = "1,2,3,4"
LAYOUTS = {
    "cbc": {
        f"{part}/{kind}": "" for part in ("Training", "Validation", "Testing") for kind in ("Images", "Annotations")
    },
    "bcd": {
        "images": "",
        "annotations.csv": f"image,xmin,ymin,xmax,ymax,label\na.png,{BOXES},rbc\nLY_1.jpg,{BOXES},rbc\n",
    },
    "pbc": {f"PBC_dataset_normal_DIB/{place}": "" for place in ("lymphocyte", "monocyte", "")},
    "segwbc": {"Dataset 1": "", "Class Labels of Dataset 1.csv": "image ID,class label\n1,1\n"},
    "lymph": {
        "trainset/P1": "", "testset/P2": "", "trainset": "",
        "clinical_annotation.csv": "ID,LABEL,GENDER,DOB,LYMPH_COUNT\nP1,1,M,1/1/1950,5\nP2,-1,F,1/1/1950,4\n",
    },
    "wbcbench": {"images": "", "train.csv": "ID,labels,split\na,LY,train\nLY_1,LY,train\n001,SNE,val\n"},
    "cytologia": {"images": "", "train.csv": f"NAME,x1,y1,x2,y2,class\na.png,{BOXES},LY\n"},
}  # fmt: skip
"""Folders, which get files of any kind, and tables, which are mostly as they should be."""


def test_every_data_set_has_a_layout_to_mutate():
    assert set(LAYOUTS) == set(registry.load_registry())


def png():
    file = io.BytesIO()
    Image.new("RGB", (12, 9), (200, 180, 190)).save(file, "PNG")
    return file.getvalue()


PNG = png()


def put(path, rng):
    """Put a file, a folder, a link or a pipe at a path, unless something is there or the name is too long."""
    kind = rng.choice([*["file"] * 8, "empty", "folder", "pipe", path.name, "nowhere", "..", "/dev/zero"])
    with contextlib.suppress(OSError):
        if kind == "file":
            path.write_bytes(VOC if path.suffix == ".xml" else PNG)
        elif kind == "empty":
            path.touch()
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(kind)


def strange(rng):
    """Draw a file name; one in ten is no UTF-8."""
    if rng.random() < 0.1:
        name = rng.randbytes(rng.randint(1, 6))
    else:
        name = (rng.choice(["a", "SNE_1", "P1", "neutrophil", "x" * 230, ""]) + nasty(rng)).encode()[:240]
    return os.fsdecode(name.replace(b"/", b"_").replace(b"\x00", b"_"))


def tree(root, rng):
    """Draw a data set under a root and return its name."""
    shutil.rmtree(root, ignore_errors=True)
    name = rng.choice(list(LAYOUTS))
    for place, content in LAYOUTS[name].items():
        path = root / name / place
        (path.parent if content else path).mkdir(parents=True, exist_ok=True)
        if content and rng.random() < 0.8:
            path.write_text(content)
        elif content:
            put(path, rng)
        else:
            usual = [end for end in ("a.png", "a.xml", "LY_1.jpg", "001.bmp", "MO_2.png") if rng.random() < 0.5]
            odd = [strange(rng) + rng.choice([".jpg", ".png", ".xml", ".csv", ""]) for _ in range(rng.randint(0, 3))]
            for end in usual + odd:
                put(path / end, rng)
    return name


def test_data_sets_with_strange_files_are_read_or_refused_without_waiting_for_a_pipe(tmp_path):
    def look(name):
        writable(registry.read(name, tmp_path / "root"))

    counts = fuzz(lambda rng: tree(tmp_path / "root", rng), look, 350)
    assert min(counts["parsed"], counts["refused"]) > 40


def test_data_sets_with_strange_files_are_digested_or_refused(tmp_path):
    counts = fuzz(lambda rng: tree(tmp_path / "root", rng), lambda name: registry.inspect(name, tmp_path / "root"), 150)
    assert min(counts["parsed"], counts["refused"]) > 10


def test_folders_and_lists_of_images_to_label_are_read_with_a_reason_for_what_is_none(tmp_path):
    root, listing = tmp_path / "root", tmp_path / "root" / "list.csv"

    def draw(rng):
        name = tree(root, rng)
        names = [nasty(rng).replace('"', "") for _ in range(3)]
        listing.write_text("image\n" + "".join(f'"{entry}"\n' for entry in ["a", "a.png", "/etc", *names]), newline="")
        return rng.choice([root / name, listing])

    def look(place):
        for source in list_sources(place):
            found = read_source(source)
            assert found if isinstance(found, str) else found.ndim == 3

    assert fuzz(draw, look, 150)["parsed"] > 100


def test_any_name_of_a_data_set_that_is_not_known_is_refused():
    assert fuzz(nasty, registry.get_entry, 200) == {"refused": 200}


@pytest.fixture
def undecodable(folder):
    root = folder("pbc/PBC_dataset_normal_DIB/monocyte/MO_1.jpg")
    images = root / "pbc" / "PBC_dataset_normal_DIB" / "monocyte"
    shutil.copy(images / "MO_1.jpg", os.fsencode(images / "MO_2") + b"\xff.jpg")
    return root


def test_an_image_whose_name_is_no_utf8_is_dropped_and_the_audit_spells_it_out(undecodable):
    found = read_pbc(undecodable / "pbc")
    assert found.table["fine_label"].tolist() == ["MO"]
    (finding,) = found.audit[["image", "reason", "decision"]].itertuples(index=False, name=None)
    name = r"PBC_dataset_normal_DIB/monocyte/MO_2\udcff.jpg"
    assert finding == (name, "image with a name that is not UTF-8", "dropped: rename it")


def test_a_data_set_with_a_name_that_is_no_utf8_has_no_digest_and_says_why(undecodable):
    with pytest.raises(DataError, match=r"cannot be digested .* a name in UTF-8"):
        registry.inspect("pbc", undecodable)


@pytest.mark.parametrize("name", ["a\nb", "-rf", "ü😀", "\u202egpj", "<script>", "x" * 248])
def test_other_names_come_back_as_they_are(tmp_path, name):
    path = tmp_path / "PBC_dataset_normal_DIB" / "monocyte" / f"MO_{name}.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(PNG)
    assert outcome(lambda: read_pbc(tmp_path)) == "parsed"
    assert read_pbc(tmp_path).images["path"].tolist() == [str(path)]
