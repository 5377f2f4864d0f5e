"""Method checks: the mistakes that make a published number on cell images better than it is.

Each check looks at plain tables or arrays and returns what it found; none of them changes anything.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from wbc_utils.manifest import Check

CHECKS: dict[str, str] = {
    "WBC001": "duplicate across splits",
    "WBC002": "patient or group across splits",
    "WBC003": "class too small to validate",
    "WBC004": "threshold tuned on test",
    "WBC005": "resampling before the split",
    "WBC006": "unreadable or missing images",
    "WBC007": "same object, different labels",
}
"""Title of each check."""

Owner = Literal["ours", "published", "lesson"]

_SHOWN = 3  # examples named in a detail


def whose(check: Check) -> Owner:
    """Say whose doing a check judges: this project's, a report's or a published data set's, or a planted mistake.

    The words after the name of the data set tell: ``as published`` and ``in report 002`` are not our doing, ``(the
    lesson)`` is a mistake made on purpose to measure what it does. Everything else is ours.
    """
    if check.data.endswith("(the lesson)"):
        return "lesson"
    return "published" if check.data.endswith("as published") or " in report " in check.data else "ours"


def duplicate_across_splits(pairs: pd.DataFrame, data: str) -> Check:
    """Check that no two duplicates lie in different splits (WBC001).

    Parameters
    ----------
    pairs
        One row a pair of duplicates with ``split_a`` and ``split_b``; pairs with a missing split do not count.
    data
        Name of the data set.
    """
    known = pairs.dropna(subset=["split_a", "split_b"])
    apart = known[known["split_a"] != known["split_b"]]
    if apart.empty:
        return _check("WBC001", data, "pass", 0, f"None of {len(known)} duplicate pairs has its images in two splits.")
    where = Counter(
        " and ".join(sorted(map(str, both))) for both in zip(apart["split_a"], apart["split_b"], strict=True)
    )
    listed = ", ".join(f"{count} between {names}" for names, count in where.most_common(_SHOWN))
    detail = (
        f"{len(apart)} of {len(known)} duplicate pairs have their images in different splits ({listed}); "
        "keep each cluster of duplicates in one split."
    )
    return _check("WBC001", data, "fail", len(apart), detail)


def group_across_splits(
    groups: Sequence[Hashable], splits: Sequence[Hashable], data: str, *, patients: bool = False
) -> Check:
    """Check that all items of a patient or group lie in one split (WBC002).

    Groups are counted, not named: their names may be identifiers of patients. Items with a missing group or split do
    not count. Without patients the best outcome is a warning.

    Parameters
    ----------
    groups, splits
        Group and split of each item, (n,).
    data
        Name of the data set.
    patients
        Whether the groups keep patients together; else they are clusters of duplicates alone.
    """
    table = pd.DataFrame({"group": list(groups), "split": list(splits)}, dtype=object).dropna()
    spread = table.groupby("group", sort=False)["split"].nunique()
    found = int((spread > 1).sum())
    if not found and patients:
        return _check("WBC002", data, "pass", 0, f"Each of {len(spread)} groups of patients lies in one split.")
    if not found:
        detail = (
            f"Each of {len(spread)} clusters of duplicates lies in one split; the data set names no patients, so a "
            "leak between patients cannot be seen."
        )
        return _check("WBC002", data, "warn", 0, detail)
    detail = f"{found} of {len(spread)} groups have items in several splits; split by group, not by item."
    return _check("WBC002", data, "fail", found, detail)


def class_too_small(labels: Sequence[str], groups: Sequence[Hashable], parts: int, data: str) -> Check:
    """Check that every class has a group for every fold or split (WBC003).

    Fewer is a warning; a class with a single group fails, since it cannot be both learned and validated.

    Parameters
    ----------
    labels, groups
        Class and group of each item, (n,); where items are independent, each is its own group.
    parts
        Number of folds or splits.
    data
        Name of the data set.
    """
    table = pd.DataFrame({"label": list(labels), "group": list(groups)}, dtype=object)
    independent = table.groupby("label")["group"].nunique()
    small = independent[independent < parts].sort_values(kind="stable")
    if small.empty:
        detail = f"Each of {len(independent)} classes has at least {parts} independent groups for {parts} parts."
        return _check("WBC003", data, "pass", 0, detail)
    listed = _some([f"{label}: {count}" for label, count in small.items()])
    detail = (
        f"{len(small)} of {len(independent)} classes have fewer than {parts} independent groups ({listed}); use fewer "
        "parts, merge the class, or report it without a score of its own."
    )
    return _check("WBC003", data, "fail" if small.iloc[0] < 2 else "warn", len(small), detail)


def threshold_tuned_on_test(tuned_on: Collection[str], evaluated_on: Collection[str], data: str) -> Check:
    """Check that thresholds were not tuned on a split that also yields the result (WBC004).

    Parameters
    ----------
    tuned_on, evaluated_on
        Names of the splits; ``tuned_on`` is empty if nothing was tuned.
    data
        Name of the data set.
    """
    shared = sorted(set(tuned_on) & set(evaluated_on))
    if shared:
        detail = f"Thresholds were tuned and evaluated on {_some(shared)}; tune on a split that yields no result."
        return _check("WBC004", data, "fail", len(shared), detail)
    tuned = f"tuned on {_some(sorted(set(tuned_on)))}" if tuned_on else "fixed beforehand"
    detail = f"Thresholds were {tuned} and evaluated on {_some(sorted(set(evaluated_on)))}."
    return _check("WBC004", data, "pass", 0, detail)


def resampling_before_split(source_rows: np.ndarray, test_rows: np.ndarray, data: str) -> Check:
    """Check that no training row was resampled from a test row (WBC005).

    Parameters
    ----------
    source_rows
        Rows of the original table from which each resampled training row was made, (n,), or (n, m) where a row is
        made of several (SMOTE: m = 2).
    test_rows
        Rows of the original table that are tested on, (k,).
    data
        Name of the data set.
    """
    leaked = np.intersect1d(np.ravel(source_rows), np.ravel(test_rows))
    tested = np.unique(test_rows)
    if not len(leaked):
        detail = f"None of {len(tested)} test rows is the source of a resampled training row."
        return _check("WBC005", data, "pass", 0, detail)
    detail = (
        f"{len(leaked)} of {len(tested)} test rows are the source of resampled training rows; split first, then "
        "resample the training part alone."
    )
    return _check("WBC005", data, "fail", len(leaked), detail)


def broken_images(broken: Collection[str], total: int, data: str) -> Check:
    """Check that every image of the table is there and can be decoded (WBC006).

    Parameters
    ----------
    broken
        Names of the images that are missing or unreadable.
    total
        Number of images in the table, broken ones included.
    data
        Name of the data set.
    """
    if not total:
        return _check("WBC006", data, "fail", 0, "The table names no image; check the data root.")
    if not broken:
        return _check("WBC006", data, "pass", 0, f"All {total} images were decoded.")
    detail = (
        f"{len(broken)} of {total} images are missing or cannot be decoded ({_some(broken)}); results leave them out, "
        "restore the files to include them."
    )
    return _check("WBC006", data, "fail" if len(broken) == total else "warn", len(broken), detail)


def conflicting_labels(objects: Sequence[Hashable], labels: Sequence[Hashable], data: str) -> Check:
    """Check that no object is annotated twice with different labels (WBC007).

    Parameters
    ----------
    objects
        What each annotation speaks of, (n,): image and box as a tuple, or the digest of a cell image. Missing ones do
        not count.
    labels
        Label of each annotation, (n,).
    data
        Name of the data set.
    """
    table = pd.DataFrame(
        {"object": pd.Series(list(objects), dtype=object), "label": pd.Series(list(labels), dtype=object)}
    )
    given = (
        table.dropna().groupby("object", sort=False)["label"].agg(lambda values: tuple(sorted(set(map(str, values)))))
    )
    conflicts = given[given.map(len) > 1]
    if conflicts.empty:
        return _check("WBC007", data, "pass", 0, f"Each of {len(given)} objects has one label.")
    listed = Counter("/".join(names) for names in conflicts).most_common(_SHOWN)
    detail = (
        f"{len(conflicts)} of {len(given)} objects have several labels "
        f"({', '.join(f'{names}: {count}' for names, count in listed)}); ask who knows, or drop these objects."
    )
    return _check("WBC007", data, "fail", len(conflicts), detail)


def _check(code: str, data: str, status: Literal["pass", "warn", "fail"], found: int, detail: str) -> Check:
    return Check(code=code, title=CHECKS[code], data=data, status=status, found=found, detail=detail)


def _some(names: Collection[str]) -> str:
    """Name the first few, and how many more there are."""
    shown = ", ".join(str(name) for name in list(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
