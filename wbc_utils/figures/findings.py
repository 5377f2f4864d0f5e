"""Sentences that follow from recorded numbers; what was not measured is not said."""

from collections.abc import Iterable

import pandas as pd

from wbc_utils.claims import Answer
from wbc_utils.manifest import Metric, format_number


def data_findings(metrics: dict[str, Metric]) -> pd.DataFrame:
    """Return what the audit of notebook 01 found and no report mentions: ``finding``, ``number``, ``what it means``."""
    rows = []

    def add(metric: str, finding: str, meaning: str) -> None:
        if metric in metrics and metrics[metric].value > 0:
            rows.append({"finding": finding, "number": str(metrics[metric]), "what it means": meaning})

    add("cbc.exact_duplicates_across_splits", "Equal pictures in two published splits of cbc",
        "A score on the published validation images repeats the training images; it is no validation.")  # fmt: skip
    add("cbc.near_duplicates_across_splits", "Nearly equal pictures in two published splits of cbc",
        "The model has seen the test field before, slightly changed.")  # fmt: skip
    add("cbc.near_duplicates", "Nearly equal pictures within cbc",
        "Fewer independent fields than files; intervals must resample clusters, not files.")  # fmt: skip
    if {"cbc.train_rows", "cbc.train_rows_raw"} <= metrics.keys():
        dropped = metrics["cbc.train_rows_raw"].value - metrics["cbc.train_rows"].value
        rows.append({"finding": "Training boxes of cbc without area", "number": format_number(dropped),
                     "what it means": "Published row counts are those after dropping such boxes; a loader that keeps "
                     "them makes some detectors fail with a non-finite loss."})  # fmt: skip
    add("bcd.near_duplicates", "Nearly equal pictures in bcd",
        "A random 80/20 split can put the same field on both sides.")  # fmt: skip
    add("bcd.images_over_10_percent_wbc", "Images of bcd with more than 10 % white cells among the boxes",
        "Report 003 puts the share at 10 % or less in each image.")  # fmt: skip
    for name in ("pbc", "segwbc", "lymph", "wbcbench", "cytologia"):
        add(f"{name}.exact_duplicate_groups", f"Groups of equal pictures in {name}",
            "Random splits divide some of them; every score is then a little too good.")  # fmt: skip
        add(f"{name}.near_duplicates", f"Nearly equal pictures in {name}",
            "As above; they escape a comparison of files or digests.")  # fmt: skip
    add("pbc.conflicting_duplicate_groups", "Equal pictures under different labels in pbc",
        "At least one label is wrong; no classifier can get both right.")  # fmt: skip
    add("pbc.unspecific_cells", "Cells of pbc whose label names no specific type (IG, NEUTROPHIL)",
        "As classes of their own they overlap with the types they contain.")  # fmt: skip
    return pd.DataFrame(rows, columns=["finding", "number", "what it means"])


def data_answer(metrics: dict[str, Metric], answers: Iterable[Answer]) -> str:
    """Return the one-sentence answer of notebook 01."""
    parts = []
    if "cbc.exact_duplicates_across_splits" in metrics:
        pairs = metrics["cbc.exact_duplicates_across_splits"].value
        parts.append(f"{pairs} pictures of cbc stand in two of its published splits")
    if "bcd.duplicate_annotations" in metrics:
        parts.append(f"{metrics['bcd.duplicate_annotations'].value} boxes of bcd carry two labels")
    if "pbc.exact_duplicate_groups" in metrics:
        groups = metrics["pbc.exact_duplicate_groups"].value
        torn = metrics["pbc.conflicting_duplicate_groups"].value
        parts.append(f"{groups} groups of pbc cells are equal to the pixel, {torn} of them under different labels")
    verdicts = [answer.verdict for answer in answers]
    compared = sum(verdict in ("confirmed", "contradicted") for verdict in verdicts)
    if compared:
        held = f"{verdicts.count('confirmed')} of {compared} published counts that can be compared hold"
    else:
        held = "no published count can be compared with this data"
    return "; ".join([*parts, held]) + ". The splits written here keep every duplicate and every patient on one side."
