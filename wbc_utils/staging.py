"""A folder of results that changes all at once: new ones are made aside and take the place of earlier ones."""

import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".wbc-"


def foreign(folder: Path, ours: Collection[str]) -> str | None:
    """Return a file under a folder that is not ours, as a path relative to it; None if there is no such file.

    What a killed run left aside is ours.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in ours and not name.startswith(_PREFIX):
            return name
    return None


@contextmanager
def staged(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a new folder inside a folder; when the block ends well, what is in it replaces what was there.

    If the block raises, nothing has changed.

    Parameters
    ----------
    folder
        Made if missing; its parent must exist.
    names
        Files and folders that are replaced. Those that the block did not make are gone afterwards.

    Raises
    ------
    OSError
        If the folder cannot be written; it is as it was then.
    """
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    try:
        stage = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        try:
            (stage / "new").mkdir()
            yield stage / "new"
            _replace(stage, folder, names)
            made = False
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    finally:
        if made:
            folder.rmdir()


def _replace(stage: Path, folder: Path, names: Sequence[str]) -> None:
    """Move earlier results aside and the new ones into their place, or leave all as it was."""
    (stage / "old").mkdir()
    moves = [(folder / name, stage / "old" / name) for name in names]
    moves += [(stage / "new" / name, folder / name) for name in names]
    done = []
    try:
        for source, target in moves:
            if source.exists():
                source.rename(target)
                done.append((source, target))
    except BaseException:
        for source, target in reversed(done):
            target.rename(source)
        raise
