"""Make the whole miniature tree, once, all or nothing."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from filelock import FileLock

from wbc_utils.data.synthetic import bcd, cbc, cytologia, lymph, pbc, segwbc, wbcbench
from wbc_utils.data.synthetic.writing import Truth, put
from wbc_utils.data.tables import DataError

VERSION = 1
"""Raised whenever the pictures or tables change, so that older trees are drawn anew."""

_WRITERS = {
    "cbc": cbc, "bcd": bcd, "pbc": pbc, "segwbc": segwbc, "lymph": lymph, "wbcbench": wbcbench,
    "cytologia": cytologia,
}  # fmt: skip
_MARK = "SYNTHETIC.json"


def _mark(root: Path) -> dict | None:
    """Return the content of a tree's mark, None where there is none that can be read."""
    try:
        return json.loads((root / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _draw_tree(root: Path, seed: int) -> None:
    """Write every data set and the truth; each data set has a random stream of its own."""
    truth = Truth()
    for index, (name, writer) in enumerate(_WRITERS.items()):
        writer.write(root / name, np.random.default_rng([seed, index]), truth)
    put(root / "truth" / "boxes.csv", truth.box_table().to_csv(index=False, lineterminator="\n"))
    put(root / "truth" / "planted.json", json.dumps(truth.planted, indent=1) + "\n")
    put(root / _MARK, json.dumps({"version": VERSION, "seed": seed}) + "\n")


def _swap_in(new: Path, root: Path) -> None:
    """Put a finished tree in its place; an earlier tree is set aside first, and comes back if that fails."""
    aside = new.with_name(f"{new.name}.old")
    if root.exists():
        os.replace(root, aside)
    try:
        os.replace(new, root)
    except BaseException:
        if aside.exists() and not root.exists():
            os.replace(aside, root)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def ensure(root: Path, seed: int = 0) -> Path:
    """Return a folder with miniature versions of all data sets, drawn if it is not there yet.

    Parameters
    ----------
    root
        Folder of the tree: one folder a data set, ``truth`` (masks, tight boxes, what was planted) and
        ``SYNTHETIC.json``, the mark of a finished tree.
    seed
        Non-negative; the same seed draws the same bytes.

    Raises
    ------
    DataError
        If the folder exists, is not empty and bears no mark: it may hold somebody's data.
    """
    root = Path(root)
    wanted = {"version": VERSION, "seed": seed}
    if _mark(root) == wanted:
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_name(f"{root.name}.lock")):
        found = _mark(root)
        if found == wanted:
            return root
        if found is None and root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise DataError(
                f"{root} exists and has no readable {_MARK}, so it was not made by this function and is left as it is. "
                "Synthetic data needs a new or empty folder: choose another path, or move this one away."
            )
        new = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}."))
        try:
            new.chmod(0o755)
            _draw_tree(new, seed)
            _swap_in(new, root)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
    return root


def planted(root: Path) -> dict:
    """Return what was planted in a tree: data set → kind → file names, rows or objects.

    File names are relative to the data set's folder; ``object`` counts the objects of a VOC file and ``rows`` the
    rows of ``annotations.csv``, both from 0.
    """
    return json.loads((Path(root) / "truth" / "planted.json").read_text(encoding="utf-8"))
