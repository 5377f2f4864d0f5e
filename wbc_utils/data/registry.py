"""The registry: which data sets there are, where they lie, whether they are the published ones, how they are read."""

import difflib
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from wbc_utils import plain_yaml
from wbc_utils.data import boxes, cells, patients
from wbc_utils.data.tables import SPLITS, DataError, Dataset, listed
from wbc_utils.manifest import DataUse
from wbc_utils.paths import data_root
from wbc_utils.repro import digest_tree

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


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Release(_Part):
    """A published content: number of files, digest (`wbc_utils.repro.digest_tree`) and, where sure, its archive."""

    name: str
    files: int
    digest: str
    archive: str | None = None


class Entry(_Part):
    """One data set of ``datasets.yaml``; the meaning of each field stands at the head of that file."""

    name: str
    title: str
    what: str
    homepage: str
    by_hand: str
    redistribution: str
    size: str
    licence: str
    citation: str
    groups: str
    files: tuple[str, ...]
    releases: tuple[Release, ...] = ()

    @property
    def archive(self) -> str | None:
        """Address of the archive that is downloaded, None where a person has to fetch the data."""
        return next((release.archive for release in self.releases if release.archive), None)

    def find_files(self, folder: Path) -> Iterator[Path]:
        """Yield the files of the data set under a folder."""
        seen: set[Path] = set()
        for pattern in self.files:
            for path in folder.glob(pattern):
                if path not in seen and path.is_file():
                    seen.add(path)
                    yield path

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder holds at least one file of the data set."""
        return next(self.find_files(folder), None) is not None

    def how_to_get(self, root: Path) -> str:
        """Return what to do to have the data set under a root."""
        by_hand = f"{self.homepage} — {self.by_hand.format(folder=root / self.name)}"
        return f"Run: wbc data fetch {self.name}. Or by hand: {by_hand}" if self.archive else f"By hand: {by_hand}"


@cache
def load_registry() -> dict[str, Entry]:
    """Return the described data sets by name, in the order of the file."""
    return parse_registry(resources.files("wbc_utils.data").joinpath("datasets.yaml").read_bytes())


def parse_registry(content: bytes) -> dict[str, Entry]:
    """Return the data sets that the content of a registry describes.

    Raises
    ------
    DataError
        If it is no YAML, or an entry lacks a field, has an unknown one or one of a wrong type.
    """
    name = None
    try:
        entries = {}
        for name, fields in plain_yaml.load(content).items():
            entries[name] = Entry.model_validate({**fields, "name": name})
        return entries
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        wrong = error
        if isinstance(error, ValidationError):
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise DataError(
            f"the registry of data sets cannot be read, last entry {name!r:.60}: {wrong}. Its head says what belongs "
            "there."
        ) from error


def get_entry(name: str) -> Entry:
    """Return the description of one data set.

    Raises
    ------
    DataError
        If there is no such data set; the message names one that is spelled alike.
    """
    registry = load_registry()
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        advice = f"Did you mean {near[0]!r}?" if near else "To add one: CONTRIBUTING.md."
        raise DataError(f"Unknown data set {name!r:.60}. {advice} Known: {', '.join(registry)}.")
    return registry[name]


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
