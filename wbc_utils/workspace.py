"""A project folder from the installed package: what one needs to run the notebooks without a checkout."""

import shutil
from pathlib import Path

SHIPPED = ("notebooks", "params", "profiles", "Snakefile", "requirements.lock")
"""What a project folder needs; pyproject.toml puts these into the wheel."""


class WorkspaceError(FileExistsError):
    """A folder that cannot become a project."""


def create(folder: Path) -> list[Path]:
    """Copy notebooks, parameters, workflow and pins into a folder, made if missing, and return what was put there.

    Raises
    ------
    WorkspaceError
        If any of them is already there; nothing is copied then.
    """
    if taken := [name for name in SHIPPED if (folder / name).exists()]:
        raise WorkspaceError(
            f"{folder.resolve()} already holds {', '.join(taken)}; nothing was copied. "
            "Work in it as it is, or name an empty folder: wbc init FOLDER"
        )
    folder.mkdir(parents=True, exist_ok=True)
    package = Path(__file__).parent
    source = package / "project"
    if not source.is_dir():  # a checkout
        source = package.parent
    for name in SHIPPED:
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns(".*"))
        else:
            shutil.copyfile(source / name, folder / name)
    return [folder / name for name in SHIPPED]
