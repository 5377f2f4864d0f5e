"""Where things are: the project, the data, the outputs of a run."""

import os
from pathlib import Path


class ProjectNotFoundError(FileNotFoundError):
    """No folder with notebooks/ and params/ was found."""


def project_root() -> Path:
    """Return the project folder: ``WBC_PROJECT``, or the nearest parent that holds notebooks/ and params/.

    Raises
    ------
    ProjectNotFoundError
        If neither leads to such a folder.
    """
    named = os.environ.get("WBC_PROJECT")
    here = Path(named or Path.cwd()).resolve()
    for folder in (here,) if named else (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "params").is_dir():
            return folder
    raise ProjectNotFoundError(
        f"{here} {'(from WBC_PROJECT) ' if named else 'and its parents '}hold no notebooks/ and params/. "
        "Change into the project's folder, set WBC_PROJECT to it, or begin one in this folder: wbc init"
    )


def data_root() -> Path:
    """Return the folder with one sub-folder a data set: ``WBC_DATA``, else the user's cache."""
    named = os.environ.get("WBC_DATA")
    if named:
        return Path(named).expanduser().resolve()
    import pooch

    return Path(pooch.os_cache("wbc"))


def run_dir(profile: str, notebook: str) -> Path:
    """Return the git-ignored folder of one notebook's run: executed notebook, tables, checkpoints."""
    return project_root() / "runs" / profile / notebook


def reports_dir(profile: str) -> Path:
    """Return the folder of the rendered pages of a profile."""
    return project_root() / "reports" / profile


def manifest_path(profile: str, notebook: str) -> Path:
    """Return the path of one notebook's manifest."""
    return reports_dir(profile) / "manifests" / f"{notebook}.json"


def output_dir(profile: str, notebook: str) -> Path:
    """Return the folder a notebook writes its tables into, made if missing.

    Under ``wbc run`` this is a staging folder (``WBC_STAGE``) that replaces the previous tables only when the
    notebook succeeds; in JupyterLab it is the final folder itself.
    """
    staged = os.environ.get("WBC_STAGE")
    folder = Path(staged) if staged else run_dir(profile, notebook) / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def upstream_table(profile: str, notebook: str, name: str) -> Path:
    """Return the path of a table that another notebook wrote.

    Raises
    ------
    FileNotFoundError
        If that notebook has not run; the message is the command that runs it.
    """
    path = run_dir(profile, notebook) / "tables" / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: notebook {notebook} writes it. Run it first: wbc run {notebook} --profile {profile}"
        )
    return path
