"""Sentences that follow from recorded numbers; what was not measured is not said."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pandas as pd

from wbc_utils.claims import Answer
from wbc_utils.figures.show import Link
from wbc_utils.manifest import Manifest, Metric


class Finding(NamedTuple):
    """What a metric measures and what it means for a reader of the reports; both hold whatever its value is."""

    metric: str
    finding: str
    meaning: str


IN_DATA: tuple[Finding, ...] = (
    Finding("cbc.exact_duplicates_across_splits", "Equal pictures in two published splits of cbc",
        "A score on the published validation images repeats the training images; it is no validation."),
    Finding("cbc.near_duplicates_across_splits", "Nearly equal pictures in two published splits of cbc",
        "The model has seen the test field before, slightly changed."),
    Finding("cbc.near_duplicates", "Nearly equal pictures within cbc",
        "Fewer independent fields than files; intervals must resample clusters, not files."),
    Finding("cbc.train_rows_dropped", "Training boxes of cbc without area",
        "Published row counts are those after dropping such boxes; a loader that keeps them makes some detectors fail "
        "with a non-finite loss."),
    Finding("bcd.near_duplicates", "Nearly equal pictures in bcd",
        "A random 80/20 split can put the same field on both sides."),
    Finding("bcd.images_over_10_percent_wbc", "Images of bcd with more than 10 % white cells among the boxes",
        "Report 003 puts the share at 10 % or less in each image."),
    Finding("pbc.conflicting_duplicate_groups", "Equal pictures under different labels in pbc",
        "At least one label is wrong; no classifier can get both right."),
    Finding("pbc.unspecific_cells", "Cells of pbc whose label names no specific type (IG, NEUTROPHIL)",
        "As classes of their own they overlap with the types they contain."),
)  # fmt: skip
"""What the audit of notebook 01 looks for beside `in_each`; a count of zero is no finding."""

IN_METHODS: tuple[Finding, ...] = (
    Finding("pbc.inflation_by_leaky_smote", "Macro-F1 that SMOTE before the split adds over SMOTE inside the folds",
        "Synthetic cells between a training and a test cell carry the answer across the split."),
    Finding("pbc.mixup_gain_validation", "What MixUp changes on validation cells",
        "Where the epoch was chosen on the same cells, a gain there is not yet a gain."),
    Finding("pbc.seed_range", "Range of macro-F1 when only the seed changes",
        "A published difference of this size between two single trainings says nothing about the methods."),
    Finding("segwbc.balanced_accuracy_e", "Mean recall on another laboratory's cells, network that is best at home",
        "A score inside one collection is no score for the next microscope."),
    Finding("pbc.unspecific_on_grey_slides", "Share of labels IG and NEUTROPHIL in another acquisition (grey slides)",
        "Where it is near one, these labels name a batch of pictures, not a cell."),
    Finding("pbc.ig_from_border", "How well the colour of the empty slide tells IG from its subtypes",
        "A classifier can be right without looking at the cell."),
    Finding("cbc.optimism_report", "What choosing thresholds on Testing adds to report 002's own average precision",
        "Report 002 chose and scored on the same images."),
    Finding("cbc.ap50_with_thresholds", "COCO's AP50 with the chosen thresholds alone",
        "A threshold cannot raise an average precision; a published rise by thresholds shows another definition."),
    Finding("cbc.ap50_with_nothing", "The same without any filter", "The number to compare it with."),
    Finding("bcd.retinanet_ap", "AP of RetinaNet once learning rate, warm-up and anchors fit these cells",
        "Report 003 publishes 0.016: a failed training, not a property of the detector."),
    Finding("cbc.sure_without_label_validation", "Sure boxes on no label, validation images of cbc (cut from Training)",
        "Where it exceeds the next number, cells of Training are labelled less completely than those of Testing."),
    Finding("cbc.sure_without_label_test", "The same on Testing", "The number to compare it with."),
    Finding("lymph.tabular_balanced_accuracy", "Balanced accuracy of age and lymphocyte count alone",
        "What images have to add to; report 004 shows no such baseline."),
    Finding("lymph.one_split_optimism", "What one split for stopping, selection and report promises beyond its test",
        "Report 004 has 1.0 on validation and 0.8649 on test patients."),
    Finding("lymph.width_at_42", "Width of the range of a balanced accuracy on 42 patients",
        "Published models that differ by less than that are not ranked by such a test."),
    Finding("two_stage.trick_gain", "What saying every box nine times changes in the challenge's score",
        "The score does not count false alarms; a rank by it is no statement about them."),
)  # fmt: skip
"""What the other notebooks measure beside the reports' questions."""


def in_each(metrics: Mapping[str, Metric]) -> list[Finding]:
    """Return what is looked for in every measured data set that has no words of its own in `IN_DATA`."""
    told, found = {one.metric for one in IN_DATA}, []
    for near in (metric for metric in metrics if metric.endswith(".near_duplicates") and metric not in told):
        name = near.removesuffix(".near_duplicates")
        found += [
            Finding(f"{name}.exact_duplicate_groups", f"Groups of equal pictures in {name}",
                "Random splits divide some of them; every score is then a little too good."),
            Finding(near, f"Nearly equal pictures in {name}",
                "As above; they escape a comparison of files or digests."),
        ]  # fmt: skip
    return found


def data_findings(metrics: Mapping[str, Metric]) -> pd.DataFrame:
    """Return what the audit of notebook 01 found and no report mentions: ``finding``, ``number``, ``what it means``."""
    rows = [
        {"finding": one.finding, "number": str(metrics[one.metric]), "what it means": one.meaning}
        for one in (*IN_DATA, *in_each(metrics))
        if one.metric in metrics and metrics[one.metric].value > 0
    ]
    return pd.DataFrame(rows, columns=["finding", "number", "what it means"])


def untold(manifests: Mapping[str, Manifest]) -> pd.DataFrame:
    """Return what no report told, over all notebooks of a profile, as `data_findings` with a link to the ``page``."""
    parts = []
    for number, manifest in manifests.items():
        found = data_findings(manifest.metrics)
        others = [one for one in IN_METHODS if one.metric in manifest.metrics]
        rows = [(one.finding, str(manifest.metrics[one.metric]), one.meaning) for one in others]
        both = pd.concat([found, pd.DataFrame(rows, columns=found.columns)], ignore_index=True)
        parts.append(both.assign(page=[Link(f"{number}.html", f"{number}.html")] * len(both)))
    return pd.concat(parts, ignore_index=True) if parts else data_findings({}).assign(page=[])


def data_answer(metrics: dict[str, Metric], answers: Iterable[Answer]) -> str:
    """Return the one-sentence answer of notebook 01."""
    parts = []
    if "cbc.validation_copies_of_train" in metrics:
        train, test = (metrics[f"cbc.validation_copies_of_{split}"] for split in ("train", "test"))
        share = f"all {train.n}" if train.value == train.n else f"{train.value} of {train.n}"
        copies, near = metrics["cbc.train_copies_of_test"], metrics["cbc.near_duplicates_across_splits"]
        parts.append(
            f"{share} published validation images of cbc are copies of a training image, {test.value} of a test image; "
            f"{copies.value} of {copies.n} published training images are copies of a test image, and {near} "
            "across splits nearly so"
        )
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
    found = "; ".join([*parts, held])
    patients = ", and every patient of the one data set that names them, lymph" if _of(metrics, "lymph") else ""
    return (
        f"{found[0].upper()}{found[1:]}. The splits written here keep every duplicate that was found on one side"
        f"{patients}."
    )


def _of(metrics: Iterable[str], dataset: str) -> bool:
    """Return whether a data set was measured."""
    return any(name.startswith(f"{dataset}.") for name in metrics)
