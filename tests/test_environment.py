import re

import pytest
import yaml
from environment import ROOT, direct_dependencies, environment, locked, selected


def test_the_committed_environment_is_the_generated_one():
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == environment(), "run make lock"


def test_the_environment_lists_python_pip_the_pins_and_the_project_itself():
    content = yaml.safe_load(environment())
    assert (content["name"], content["channels"]) == ("wbc", ["conda-forge"])
    python, pip, pinned = content["dependencies"]
    assert (python, pip) == ("python=3.12", "pip")
    *pins, last = pinned["pip"]
    assert last == "-e ."
    assert [pin.partition("==")[0] for pin in pins] == sorted(direct_dependencies())
    assert all(re.fullmatch(r"[a-z0-9-]+==\d[\w.]*", pin) for pin in pins)


def test_every_entry_of_the_lock_is_pinned_and_has_a_hash():
    entries = locked()
    assert len(entries) > 100
    for entry, hashes in entries:
        assert [pin.operator for pin in entry.specifier] == ["=="], entry
        assert hashes, entry
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", digest) for digest in hashes), entry


def test_the_lock_names_no_index_and_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host|\s@\s", text)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_supported_python_selects_one_version_of_each_dependency_and_one_that_fits(python):
    versions = selected(python)
    assert {name: found for name, found in versions.items() if len(found) != 1} == {}
    for name, wanted in direct_dependencies().items():
        assert wanted.specifier.contains(versions[name][0]), wanted


def test_there_is_only_one_lock():
    assert not (ROOT / "uv.lock").exists()
