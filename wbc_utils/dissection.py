"""What breaks a training: the factors by which two recipes differ, exchanged one at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from wbc_utils import repro
from wbc_utils.detection import DetectionRecipe
from wbc_utils.metrics.coco import ap_difference, ap_interval
from wbc_utils.metrics.detection import Detections
from wbc_utils.models.boxed_images import BoxedImages
from wbc_utils.rivals import mean_ap
from wbc_utils.trials import attempt

REPAIRED, REPORTED = "repaired", "as reported"
"""The two recipes between which factors are exchanged."""


def exchange(
    repaired: DetectionRecipe, reported: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[str, str, DetectionRecipe]]:
    """Yield start, factor and recipe: both starts (factor ""), and each with one factor taken from the other.

    Parameters
    ----------
    repaired
        The recipe that works.
    reported
        For each factor the fields of the recipe that it sets, as a report had them.
    """
    all_fields = {name: value for fields in reported.values() for name, value in fields.items()}
    yield REPAIRED, "", repaired
    for factor, fields in reported.items():
        yield REPAIRED, factor, replace(repaired, **fields)
    yield REPORTED, "", replace(repaired, **all_fields)
    for factor, fields in reported.items():
        others = {name: value for name, value in all_fields.items() if name not in fields}
        yield REPORTED, factor, replace(repaired, **others)


def dissect(
    images: BoxedImages,
    left_out: BoxedImages,
    repaired: DetectionRecipe,
    reported: Mapping[str, Mapping[str, object]],
    *,
    seed: int,
    device: str,
    folder: Path,
) -> pd.DataFrame:
    """Exchange one factor at a time between two recipes and measure what it does.

    Parameters
    ----------
    images, left_out, seed, device, folder
        See `attempt`.
    repaired, reported
        See `exchange`.

    Returns
    -------
    pandas.DataFrame
        A row a recipe: ``start``, ``factor`` ("" is the start itself), ``recipe`` (both in words), ``set to`` (what
        the factor is in this row), ``AP`` with ``low`` and ``high``, the paired ``change`` against the start, and of
        the second start against the first, with ``change low`` and ``change high``, ``diverged``. AP is that of the
        best epoch, which flatters all of them.
    """
    rows, starts = [], {}
    for start, factor, recipe in exchange(repaired, reported):
        repro.progress(f"{start}, {factor or 'nothing exchanged'}")
        trial = attempt(images, left_out, recipe, seed=seed, device=device, folder=folder)
        found = Detections.of(left_out.truth, trial.predictions, left_out.names, left_out.classes)
        other = REPORTED if start == REPAIRED else REPAIRED
        row = {"start": start, "factor": factor, "recipe": f"{start}, but {factor} {other}" if factor else start}
        row["set to"] = ", ".join(f"{field} {getattr(recipe, field)}" for field in reported.get(factor, {}))
        row |= mean_ap(ap_interval(found, seed), "AP", "low", "high")
        if before := starts.get(start if factor else REPAIRED):
            row |= mean_ap(ap_difference(before, found, seed), "change", "change low", "change high")
        starts.setdefault(start, found)
        rows.append({**row, "diverged": trial.diverged})
    return pd.DataFrame(rows)


def gap(table: pd.DataFrame) -> float:
    """Return by how much the AP of the repaired recipe exceeds that of the reported one."""
    starts = table[table["factor"] == ""].set_index("start")["AP"]
    return float(starts[REPAIRED] - starts[REPORTED])


def decisive(table: pd.DataFrame) -> tuple[dict[str, float], dict[str, float]]:
    """Return the factors that alone take away, and those that alone give back, at least half of the `gap`.

    The intervals of the paired change, and of the gap itself, must exclude zero, too.

    Parameters
    ----------
    table
        As `dissect` returns it.

    Returns
    -------
    tuple
        Factor → AP taken away from the repaired recipe, and factor → AP given back to the reported one; the strongest
        factor first.
    """
    half, single = gap(table) / 2, table[table["factor"] != ""]
    if not _is_worse(table):
        return {}, {}
    from_repaired, from_reported = (single[single["start"] == start] for start in (REPAIRED, REPORTED))
    taking = from_repaired[(from_repaired["change high"] < 0) & (from_repaired["change"] <= -half)]
    giving = from_reported[(from_reported["change low"] > 0) & (from_reported["change"] >= half)]
    taken = -taking.set_index("factor")["change"].sort_values()
    given = giving.set_index("factor")["change"].sort_values(ascending=False)
    return taken.to_dict(), given.to_dict()


def in_words(table: pd.DataFrame, name: str) -> str:
    """Return a sentence that says which factors decide.

    Parameters
    ----------
    table
        As `dissect` returns it.
    name
        Of the detector.
    """
    if not _is_worse(table):
        return f"the budget does not suffice to tell the reported recipe of {name} from the repaired one"
    taken, given = decisive(table)
    return (
        f"of the {gap(table):.3f} AP between the repaired and the reported recipe of {name}, "
        f"{_listed(taken)} takes away at least half; repaired, {_listed(given)} gives back at least half"
    )


def _is_worse(table: pd.DataFrame) -> bool:
    """Return whether the interval of the gap lies above zero."""
    return bool((table[(table["start"] == REPORTED) & (table["factor"] == "")]["change high"] < 0).all())


def _listed(factors: dict[str, float]) -> str:
    named = [f"{factor} alone ({change:.3f})" for factor, change in factors.items()]
    return ", or ".join(named) or "no single setting"
