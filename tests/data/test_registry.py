"""The registry describes the data sets, finds them under a root, and says which release it found."""

import hashlib
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from wbc_utils.data import entries, registry
from wbc_utils.data.registry import (
    READERS,
    Entry,
    Release,
    available,
    get_entry,
    inspect,
    load_registry,
    locate,
    parse_registry,
    read,
)
from wbc_utils.data.synthetic import tree
from wbc_utils.data.tables import DataError
from wbc_utils.params import NOTEBOOKS


@pytest.fixture
def root(tmp_path):
    """Return a data root with a one-image ``bcd``."""
    folder = tmp_path / "root" / "bcd"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (20, 10)).save(folder / "images" / "a.png")
    (folder / "annotations.csv").write_text("image,xmin,ymin,xmax,ymax,label\na.png,1,2,13,4,rbc\n")
    (folder / "README.md").write_text("belongs to no pattern")
    return tmp_path / "root"


@pytest.fixture
def registered(root, monkeypatch):
    """Register the fixture's own content as the release of ``bcd``."""
    names = ["annotations.csv", "images/a.png"]
    lines = [f"{hashlib.sha256((root / 'bcd' / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    release = Release(name="mine", files=2, digest=hashlib.sha256("".join(lines).encode()).hexdigest())
    entry = get_entry("bcd").model_copy(update={"releases": (release,)})
    monkeypatch.setattr(entries, "load_registry", lambda: {"bcd": entry})


def test_each_data_set_that_is_described_has_a_reader_and_a_miniature():
    assert set(READERS) == set(load_registry()) == set(tree._WRITERS)


@pytest.mark.parametrize("entry", load_registry().values(), ids=load_registry())
def test_every_entry_says_where_to_get_the_data_and_what_is_allowed(entry):
    assert all(getattr(entry, field) for field in ("title", "what", "citation", "groups", "redistribution", "size"))
    assert entry.homepage.startswith("https://")
    assert "{folder}" in entry.by_hand
    assert " " not in entry.licence
    for release in entry.releases:
        assert len(bytes.fromhex(release.digest)) == 32
        assert release.files > 0
        assert release.archive is None or release.archive.endswith(".zip")
    assert all(len(bytes.fromhex(copy.digest)) == 32 and copy.what for copy in entry.copies)
    assert all(" " not in extra.licence and "https://" in extra.get for extra in entry.extras)
    assert {extra.notebook for extra in entry.extras} <= set(NOTEBOOKS)


def test_a_table_of_other_makers_that_is_absent_is_named_with_its_origin_and_place(tmp_path):
    [line] = get_entry("pbc").missing_extras(tmp_path)
    assert "which notebook 02 needs. Get it: " in line
    assert line.endswith(f"put it at {tmp_path / 'wbcatt_attributes.csv'}")
    (tmp_path / "wbcatt_attributes.csv").touch()
    assert get_entry("pbc").missing_extras(tmp_path) == []


def test_what_cannot_be_passed_on_has_no_archive():
    assert not any(get_entry(name).archive for name in ("pbc", "lymph", "wbcbench", "cytologia"))


def test_an_entry_is_frozen_and_refuses_unknown_fields():
    entry = get_entry("cbc")
    with pytest.raises(ValidationError):
        entry.title = "x"
    with pytest.raises(ValidationError, match="colour"):
        Entry(**entry.model_dump(), colour="red")


def test_the_missing_and_the_surplus_fields_of_an_entry_are_named():
    with pytest.raises(DataError, match=r"entry 'mine': what: Field required; .*; colour: Extra inputs") as caught:
        parse_registry(b"mine: {title: Mine, colour: red}")
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_name_is_answered_with_the_nearest(root):
    with pytest.raises(DataError, match=r"'sickle'\. To add one: CONTRIBUTING\.md\. Known: cbc, "):
        get_entry("sickle")
    for function in (get_entry, lambda name: locate(name, root), lambda name: read(name, root)):
        with pytest.raises(DataError, match=r"Unknown data set 'cbcc'\. Did you mean 'cbc'\?"):
            function("cbcc")


def test_only_what_is_there_is_available(root, tmp_path):
    (root / "cbc").mkdir()
    assert available(root) == ["bcd"]
    assert available(tmp_path / "absent") == []


def test_the_environment_names_the_root(root, monkeypatch):
    monkeypatch.setenv("WBC_DATA", str(root))
    assert locate("bcd") == root / "bcd"
    assert available() == ["bcd"]


def test_an_absent_data_set_names_folder_content_and_command(root):
    with pytest.raises(DataError) as caught:
        locate("cbc", root)
    text = str(caught.value)
    assert f"{root / 'cbc'} does not exist" in text
    assert "holds: bcd." in text
    assert "wbc data fetch cbc" in text
    assert f"{root / 'cbc'}/Training/Images" in text


def test_a_data_set_behind_an_account_is_explained_by_hand(root):
    with pytest.raises(DataError, match=r"By hand: https://www\.kaggle\.com/.*Join the competition") as caught:
        locate("lymph", root)
    assert "wbc data fetch" not in str(caught.value)


def test_an_absent_root_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WBC_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"data root .*nowhere does not exist, so"):
        locate("bcd")
    monkeypatch.delenv("WBC_DATA")
    with pytest.raises(DataError, match=r"data root .*nowhere does not exist \(WBC_DATA is not set\), so"):
        locate("bcd", tmp_path / "nowhere")


def test_a_folder_without_matching_files_is_named_with_the_patterns(root):
    (root / "cbc").mkdir()
    with pytest.raises(DataError, match=r"cbc has no file that matches Training/Images/\*\.jpg"):
        locate("cbc", root)


@pytest.mark.parametrize(
    ("level", "hint"),
    [
        ("bcd", "The root itself is bcd: set WBC_DATA to {root}"),
        ("cbc", "{root} holds bcd: set WBC_DATA to it"),
        ("..", "{root} holds bcd: set WBC_DATA to it"),
    ],
)
def test_a_root_one_level_off_gets_a_hint(root, level, hint):
    (root / "cbc").mkdir()
    with pytest.raises(DataError) as caught:
        locate("bcd", (root / level).resolve())
    assert hint.format(root=root) in str(caught.value)
    assert "wbc data fetch" not in str(caught.value)


def test_files_one_folder_too_deep_get_a_hint(root):
    (root / "bcd").rename(root / "archive-main")
    (root / "bcd").mkdir()
    (root / "archive-main").rename(root / "bcd" / "archive-main")
    with pytest.raises(DataError, match=r"archive-main holds the files: move them up into .*bcd\."):
        locate("bcd", root)


def test_the_registered_content_is_complete(root, registered):
    found = inspect("bcd", root)
    assert (found.release, found.files, found.note) == ("complete", 2, "release mine")
    assert found.licence == "MIT"
    assert found.digest == load_digest()


def load_digest():
    return entries.load_registry()["bcd"].releases[0].digest


@pytest.mark.parametrize("change", ["change", "remove", "add"])
def test_any_difference_is_reported_not_refused(root, registered, change):
    images = root / "bcd" / "images"
    if change == "remove":
        (images / "a.png").unlink()
    else:
        (images / ("b.png" if change == "add" else "a.png")).write_bytes(b"other")
    found = inspect("bcd", root)
    assert found.release == "differs"
    assert found.files == {"change": 2, "remove": 1, "add": 3}[change]
    assert found.note == f"{found.files} files here, 2 files in release mine; the contents differ"
    assert found.digest != load_digest()


def test_a_known_reduced_copy_differs_and_says_how(root, registered, monkeypatch):
    copy = entries.Copy(what="half of it", digest=load_digest())
    reduced = get_entry("bcd").model_copy(update={"releases": (), "copies": (copy,)})
    monkeypatch.setattr(entries, "load_registry", lambda: {"bcd": reduced})
    found = inspect("bcd", root)
    assert (found.release, found.note) == ("differs", "a reduced copy: half of it")


def test_files_outside_the_patterns_do_not_count(root, registered):
    (root / "bcd" / "notes.txt").write_text("mine")
    assert inspect("bcd", root).release == "complete"


def test_a_root_with_the_mark_is_synthetic_and_does_not_cite_the_original(root):
    (root / registry.SYNTHETIC_MARK).write_text("{}")
    found = inspect("bcd", root)
    assert found.release == "synthetic"
    assert "Aslan" not in found.citation


def test_a_data_set_without_registered_release_is_unregistered(root):
    (root / "lymph").mkdir()
    (root / "lymph" / "clinical_annotation.csv").write_text("ID\n")
    assert inspect("lymph", root).release == "unregistered"


def test_reading_goes_to_the_reader_of_the_data_set(root):
    found = read("bcd", root)
    assert found.name == "bcd"
    assert found.table["class"].tolist() == ["RBC"]


@pytest.mark.parametrize("splits", [["Train", "TestA"], ["train", ""], ["all", "test"]])
def test_splits_of_a_reader_that_nothing_else_knows_are_refused(root, monkeypatch, splits):
    found = read("bcd", root)
    odd = replace(found, images=pd.concat([found.images] * 2).assign(split=splits))
    monkeypatch.setitem(READERS, "bcd", lambda folder: odd)
    with pytest.raises(DataError, match=r"bcd: the images of .* have the splits .* Map the words in the reader"):
        read("bcd", root)


def test_a_data_set_without_a_reader_is_said_to_lack_one(root, monkeypatch):
    monkeypatch.delitem(READERS, "bcd")
    with pytest.raises(
        DataError, match=r"bcd is described in datasets\.yaml but has no reader: add one line to READERS"
    ):
        read("bcd", root)
