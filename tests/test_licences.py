import importlib.metadata
from email.message import Message

import pytest
from environment import locked
from packaging.utils import canonicalize_name

from wbc_utils import licences
from wbc_utils.data import registry


@pytest.fixture
def package(monkeypatch, tmp_path):
    """Return a function that pins one package with the given metadata and describes it."""
    for name in ("notebooks", "params"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("WBC_PROJECT", str(tmp_path))

    def describe(*fields):
        content = Message()
        for field, value in (("Version", "1.2"), *fields):
            content[field] = value
        monkeypatch.setattr(importlib.metadata, "metadata", {"blood": content}.__getitem__)
        (tmp_path / "requirements.lock").write_text("# a comment\nblood==1.2 \\\n    --hash=sha256:0\n")
        return licences.of_packages()

    return describe


MIT = ("Classifier", "License :: OSI Approved :: MIT License")
BSD = ("Classifier", "License :: OSI Approved :: BSD License")
PYTHON = ("Classifier", "Programming Language :: Python")


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "Apache-2.0"), MIT, ("License", "BSD")], "Apache-2.0"),
        ([MIT, PYTHON, ("License", "Expat")], "MIT License"),
        ([MIT, BSD], "MIT License / BSD License"),
        ([("Classifier", "License :: OSI Approved"), ("License", "BSD-3-Clause")], "BSD-3-Clause"),
        ([PYTHON, ("License", "MIT\n\nPermission is hereby granted")], "MIT"),
        ([("License", "UNKNOWN"), ("License-File", "LICENSE"), ("License-File", "NOTICE")],
         "not stated; see LICENSE, NOTICE"),
        ([PYTHON], "not stated"),
    ],
)  # fmt: skip
def test_the_most_exact_statement_of_a_package_is_taken(package, fields, licence):
    assert package(*fields) == [("blood", "1.2", licence)]


def test_a_package_that_this_system_does_not_need_is_listed_all_the_same(toy):
    (toy.root / "requirements.lock").write_text("no-such-package-of-ours==1.0 ; sys_platform == 'amiga'\n")
    assert licences.of_packages() == [("no-such-package-of-ours", "–", "not installed here")]


def test_every_package_of_the_lock_is_listed_once_and_has_an_answer(project):
    found = licences.of_packages()
    names = [canonicalize_name(name) for name, _, _ in found]
    assert len(names) == len(set(names))
    assert set(names) == {canonicalize_name(entry.name) for entry, _ in locked()}
    assert all(licence for _, _, licence in found)
    assert {"numpy", "torch", "papermill"} <= {name for name, version, _ in found if version[0].isdigit()}


def test_every_data_set_is_listed_with_its_licence_and_conditions():
    found = licences.of_data()
    assert [name for name, *_ in found] == list(registry.load_registry())
    assert all(all(row) for row in found)


def test_without_a_lock_the_error_says_how_to_make_it(toy):
    with pytest.raises(licences.LicenceError, match=r"requirements\.lock is missing; .*: make lock"):
        licences.of_packages()
