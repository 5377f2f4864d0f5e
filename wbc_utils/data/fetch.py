"""Download a data set, verify its content, and only then put it in its place."""

import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import pooch
import requests

from wbc_utils.data.registry import Entry, get_entry
from wbc_utils.data.tables import DataError
from wbc_utils.repro import digest_tree

MAX_UNPACKED = 16 * 2**30
"""Largest total size of an archive's members, bytes."""

MAX_RATIO = 200
"""Largest ratio of unpacked to packed size; images and annotations stay far below."""

TIMEOUT = 60
"""Seconds without an answer after which a download is given up."""


def fetch(name: str, root: Path, url: str | None = None) -> Path:
    """Download a data set into ``root/name``.

    Everything happens in a folder beside the target, which is renamed into place when the content's digest is that of
    a registered release; whatever goes wrong before leaves the root as it was.

    Parameters
    ----------
    name
        Key in the registry.
    root
        Folder with one sub-folder a data set; made if missing.
    url
        Address of a ZIP archive to use instead of the registered one, for example a mirror.

    Returns
    -------
    pathlib.Path
        The data set's folder.

    Raises
    ------
    DataError
        If the folder exists, the data set cannot be fetched without a person, the download fails, the archive is
        damaged or unsafe, or its content is no registered release.
    """
    entry, root = get_entry(name), Path(root)
    target = root / name
    if target.exists():
        raise DataError(f"{target} exists and is never overwritten. Use it, or move it away: wbc data check {name}")
    address = url or entry.archive
    if address is None or not entry.releases:
        why = "has no archive that can be fetched" if address is None else "has no registered digest to verify it by"
        raise DataError(f"{name} {why}. {entry.redistribution} {entry.how_to_get(root)}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}.") as stage:
            archive, unpacked = Path(stage) / "archive.zip", Path(stage) / "unpacked"
            _download(address, archive)
            _unpack(archive, unpacked)
            content = _verified(entry, unpacked)
            content.rename(target)
    except OSError as error:
        raise DataError(f"{name} could not be written under {root} ({error}). Nothing was changed there.") from error
    return target


def _download(address: str, target: Path) -> None:
    if not address.startswith(("https://", "http://")):
        raise DataError(f"{address} is no web address; https:// or http:// is needed.")
    try:
        pooch.HTTPDownloader(timeout=TIMEOUT)(address, str(target), None)
    except requests.RequestException as error:
        raise DataError(
            f"{address} could not be downloaded ({error}). Nothing was changed; try again later."
        ) from error


def _unpack(archive: Path, folder: Path) -> None:
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as content:
            _refuse_unsafe(content.infolist(), archive.stat().st_size)
            content.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"The downloaded file is no complete ZIP archive ({error}). Nothing was changed; try again."
        ) from error


def _refuse_unsafe(members: list[zipfile.ZipInfo], packed: int) -> None:
    for member in members:
        path = PurePosixPath(member.filename)
        windows = PureWindowsPath(member.filename)
        leaves = path.is_absolute() or windows.drive or windows.root or ".." in (*path.parts, *windows.parts)
        if leaves or stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"The archive is unsafe: its member {member.filename!r} would leave the folder. Refused.")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED or unpacked > MAX_RATIO * packed:
        raise DataError(f"The archive is unsafe: {packed} bytes would unpack to {unpacked}. Refused.")


def _verified(entry: Entry, unpacked: Path) -> Path:
    """Return the folder that holds the data set's files, below an archive's own top folder if it has one."""
    content = unpacked
    while not entry.is_in(content):
        inside = [path for path in content.iterdir() if path.is_dir() and path.name != "__MACOSX"]
        if len(inside) != 1:
            raise DataError(f"The archive has no file that matches {', '.join(entry.files)}. Nothing was changed.")
        content = inside[0]
    digest = digest_tree(content, entry.find_files(content))
    if digest not in {release.digest for release in entry.releases}:
        known = ", ".join(f"{release.digest} ({release.name})" for release in entry.releases)
        raise DataError(
            f"The archive's content has the digest {digest}; registered: {known}. Nothing was changed. If you trust "
            f"the content, unpack it by hand; a difference is then reported, not refused."
        )
    return content
