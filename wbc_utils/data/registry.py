"""The registry: where the data sets of `entries` lie, whether they are the published ones, how they are read."""

import os
from collections.abc import Callable
from pathlib import Path

from wbc_utils.data import boxes, cells, patients
from wbc_utils.data.entries import Entry, Release, get_entry, load_registry, parse_registry
from wbc_utils.data.tables import SPLITS, DataError, Dataset, listed
from wbc_utils.manifest import DataUse
from wbc_utils.paths import data_root
from wbc_utils.repro import digest_tree

__all__ = [
    "READERS", "SYNTHETIC_MARK", "Entry", "Release", "available", "get_entry", "hint", "inspect", "load_registry",
    "locate", "parse_registry", "read",
]  # fmt: skip

SYNTHETIC_MARK = "SYNTHETIC.json"
"""File in a data root whose data sets were all drawn by the project itself."""

READERS: dict[str, Callable[[Path], Dataset]] = {
    "cbc": boxes.read_cbc,
    "bcd": boxes.read_bcd,
    "pbc": cells.read_pbc,
    "segwbc": cells.read_segwbc,
    "lymph": patients.read_lymph,
    "wbcbench": cells.read_wbcbench,
    "cytologia": boxes.read_cytologia,
}


def available(root: Path | None = None) -> list[str]:
    """Return the names of the data sets that have files under a root, in the order of the registry."""
    root = data_root() if root is None else Path(root)
    return [name for name, entry in load_registry().items() if entry.is_in(root / name)]


def locate(name: str, root: Path | None = None) -> Path:
    """Return the folder of a data set.

    Parameters
    ----------
    name
        Key in the registry.
    root
        Folder with one sub-folder a data set; `wbc_utils.paths.data_root` where None.

    Raises
    ------
    DataError
        If the name is unknown, or the folder is absent or has none of the data set's files. The message says what
        was looked for, what the root holds and how to get the data.
    """
    entry = get_entry(name)
    root = data_root() if root is None else Path(root)
    folder = root / name
    if entry.is_in(folder):
        return folder
    raise DataError(f"{_what_is_there(entry, root)}{hint(name, root) or f' {entry.how_to_get(root)}'}")


def inspect(name: str, root: Path | None = None) -> DataUse:
    """Say which release of a data set lies under a root, by the digest of its files.

    Raises
    ------
    DataError
        See `locate`; or if a file cannot be read, or its name is not UTF-8.
    """
    entry, folder = get_entry(name), locate(name, root)
    files = list(entry.find_files(folder))
    try:
        digest = digest_tree(folder, files)
    except (OSError, UnicodeEncodeError) as error:
        raise DataError(
            f"{name}: a file under {folder} cannot be digested ({error}). Make it readable, with a name in UTF-8."
        ) from error
    release, note = _compare(entry, folder, len(files), digest)
    drawn = release == "synthetic"
    return DataUse(
        name=name,
        title=entry.title,
        release=release,
        note=note,
        files=len(files),
        digest=digest,
        licence="MIT" if drawn else entry.licence,
        citation="Drawn by wbc_utils.data.synthetic." if drawn else entry.citation,
    )


def read(name: str, root: Path | None = None) -> Dataset:
    """Read a data set into tidy tables.

    Raises
    ------
    DataError
        See `locate` and the reader of the data set; or if it has none, or a split is none of `SPLITS`.
    """
    folder = locate(name, root)
    if name not in READERS:
        raise DataError(
            f"{name} is described in datasets.yaml but has no reader: add one line to READERS in registry.py."
        )
    dataset = READERS[name](folder)
    splits = set(dataset.images["split"])
    if not splits <= set(SPLITS) or ("all" in splits and len(splits) > 1):
        raise DataError(
            f"{name}: the images of {folder} have the splits {listed(sorted(splits))}; allowed are all of them in "
            f"'all', or each in one of {', '.join(SPLITS[1:])}. Map the words in the reader."
        )
    return dataset


def _compare(entry: Entry, folder: Path, files: int, digest: str) -> tuple[str, str]:
    if (folder.parent / SYNTHETIC_MARK).is_file():
        return "synthetic", "drawn by the project in the format of the data set; no published data"
    for copy in entry.copies:
        if copy.digest == digest:
            return "differs", f"a reduced copy: {copy.what}"
    if not entry.releases:
        return "unregistered", f"{files} files; no digest of a published release is registered"
    for release in entry.releases:
        if release.digest == digest:
            return "complete", f"release {release.name}"
    known = "; ".join(f"{release.files} files in release {release.name}" for release in entry.releases)
    return "differs", f"{files} files here, {known}; the contents differ"


def _what_is_there(entry: Entry, root: Path) -> str:
    folder = root / entry.name
    if folder.is_dir():
        return f"{folder} has no file that matches {', '.join(entry.files)}."
    if not root.is_dir():
        unset = "" if os.environ.get("WBC_DATA") else " (WBC_DATA is not set)"
        return f"The data root {root} does not exist{unset}, so there is no {entry.name} in it."
    names = sorted(path.name for path in root.iterdir())
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"{folder} does not exist. The data root {root} holds: {shown or 'nothing'}."


def hint(name: str, root: Path) -> str:
    """Say what is amiss with a root that lacks a data set, after a look one level up and down; empty if not known."""
    if (root / SYNTHETIC_MARK).is_file():
        return " No miniature of it is drawn there: see _WRITERS and VERSION in wbc_utils/data/synthetic/tree.py."
    if not root.is_dir():
        return f" That folder does not exist: set WBC_DATA to the one that holds {name}, or use data_source=synthetic."
    entry = get_entry(name)
    # patterns that match anywhere say nothing about a level
    telling = entry.model_copy(update={"files": tuple(p for p in entry.files if not p.startswith("**"))})
    if root.is_dir() and telling.is_in(root):
        return f" The root itself is {entry.name}: set WBC_DATA to {root.parent} and name the folder {entry.name}."
    if telling.is_in(root.parent / entry.name):
        return f" {root.parent} holds {entry.name}: set WBC_DATA to it."
    for below in sorted(path for path in root.glob("*") if path.is_dir()):
        if telling.is_in(below / entry.name):
            return f" {below} holds {entry.name}: set WBC_DATA to it."
        if below.name == entry.name and (deep := next((p for p in sorted(below.glob("*")) if telling.is_in(p)), None)):
            return f" {deep} holds the files: move them up into {below}."
    return ""
