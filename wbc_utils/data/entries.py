"""What ``datasets.yaml`` says of each data set: origin, licence, files, published contents, tables of other makers."""

import difflib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from wbc_utils import plain_yaml
from wbc_utils.data.tables import DataError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Release(_Part):
    """A published content: number of files, digest (`wbc_utils.repro.digest_tree`) and, where sure, its archive."""

    name: str
    files: int
    digest: str
    archive: str | None = None


class Copy(_Part):
    """A changed copy that is known by its digest; ``what`` says how it differs from the published content."""

    what: str
    digest: str


class Extra(_Part):
    """A table by other makers that belongs into the folder of a data set: file, content, notebook, origin, licence."""

    file: str
    what: str
    notebook: str
    get: str
    licence: str

    def how_to_get(self, folder: Path) -> str:
        """Return what to do to have the file in the folder of its data set."""
        return f"Get it: {self.get} (licence {self.licence}), put it at {Path(folder) / self.file}"


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
    copies: tuple[Copy, ...] = ()
    extras: tuple[Extra, ...] = ()

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

    def missing_extras(self, folder: Path) -> list[str]:
        """Return one line a table of other makers that is not in the folder: content, who needs it, how to get it."""
        return [
            f"without {extra.file} ({extra.what}), which notebook {extra.notebook} needs. {extra.how_to_get(folder)}"
            for extra in self.extras
            if not (folder / extra.file).is_file()
        ]

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


def how_to_get_extra(name: str, folder: Path, file: str) -> str:
    """Return what to do to have a table of other makers in the folder of a data set."""
    return next(extra for extra in get_entry(name).extras if extra.file == file).how_to_get(folder)
