"""What a model says about image files: a table, a submission to a challenge, one paragraph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from wbc_utils.labels import WBCBENCH_CODES
from wbc_utils.manifest import Metric
from wbc_utils.models.card import ModelCard

UNSURE = 0.5
"""Confidence under which a summary counts an image."""


ABROAD = "another laboratory"
"""Split of metrics on images that are not of the laboratory that a model learned from."""


NO_DEVICE = "Not a medical device: for research and teaching only."
"""Last sentence of every summary."""


@dataclass(frozen=True, eq=False)
class FilePredictions:
    """What a model says about n image files.

    Attributes
    ----------
    names
        Of the images, as they were asked for.
    classes
        Codes in lineage order.
    probabilities
        float64 (n, k), columns as ``classes``; NaN where the image could not be read.
    reasons
        Why an image could not be read, empty where it could, (n,).
    padded
        Whether an image is smaller than the field that the model sees, (n,) bool.
    """

    names: list[str]
    classes: list[str]
    probabilities: np.ndarray
    reasons: list[str]
    padded: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Which images could be read, (n,) bool."""
        return np.array([not reason for reason in self.reasons])

    @property
    def confidence(self) -> np.ndarray:
        """Probability of the label, (n,); NaN where the image could not be read."""
        return self.probabilities.max(axis=1)

    def best(self, codes: Sequence[str]) -> list[str]:
        """Return the most probable of some of the classes for each image, empty where it could not be read."""
        columns = [self.classes.index(code) for code in codes]
        chosen = self.probabilities[:, columns].argmax(axis=1)
        return [codes[column] if ok else "" for column, ok in zip(chosen, self.readable, strict=True)]

    def table(self, min_confidence: float | None = None) -> pd.DataFrame:
        """Return one row an image: ``image``, ``label``, ``confidence``, a probability each class, ``reason``.

        Parameters
        ----------
        min_confidence
            If given, a column ``abstain`` says ``yes`` where the confidence is below it, else ``no``.
        """
        table = pd.DataFrame({"image": self.names, "label": self.best(self.classes), "confidence": self.confidence})
        if min_confidence is not None:
            unsure = np.where(self.confidence < min_confidence, "yes", "no")
            table["abstain"] = np.where(self.readable, unsure, "")
        for column, code in enumerate(self.classes):
            table[code] = self.probabilities[:, column]
        return table.assign(reason=self.reasons)

    def wbcbench(self) -> pd.DataFrame:
        """Return a submission to WBCBench 2026: ``ID``, a file name, and ``labels``, the best of its thirteen classes.

        The label is empty where the image could not be read.
        """
        known = [code for code in self.classes if code in WBCBENCH_CODES]
        return pd.DataFrame({"ID": [file_name(name) for name in self.names], "labels": self.best(known)})

    def about_wbcbench(self) -> str:
        """Return in a few sentences how the classes of the model and of WBCBench differ, and what that does here."""
        foreign = [code for code in self.classes if code not in WBCBENCH_CODES]
        unknown = [code for code in WBCBENCH_CODES if code not in self.classes]
        sentences = [f"Submission: one of the {len(WBCBENCH_CODES)} classes of WBCBench for every image."]
        if foreign:
            moved = sum(label in foreign for label in self.best(self.classes))
            sentences.append(
                f"Of the model's classes {', '.join(foreign)} are not among them: {moved} images that look most like "
                "these got the best class that is."
            )
        if unknown:
            sentences.append(f"The model does not know {', '.join(unknown)} and never says so.")
        if missing := int((~self.readable).sum()):
            sentences.append(f"{missing} images could not be read and have no label: fill them in before you submit.")
        return " ".join(sentences)

    def summary(self, card: ModelCard, min_confidence: float | None = None) -> str:
        """Return one paragraph: how many images, classes and doubts; which model, and what it is not."""
        confidence = self.confidence[self.readable]
        counts = Counter(self.best(self.classes))
        others = f" ({count_reasons(self.reasons)})" if not self.readable.all() else ""
        sentences = [
            f"{len(confidence)} of {len(self.names)} images labelled{others}: "
            + ", ".join(f"{code} {counts[code]}" for code in self.classes if counts[code]) + ".",
            f"Confidence is below {UNSURE:g} for {(confidence < UNSURE).mean():.1%} of them.",
        ]  # fmt: skip
        if min_confidence is not None:
            unsure = (confidence < min_confidence).mean()
            sentences.append(f"The model abstains from {unsure:.1%} (confidence below {min_confidence:g}).")
        if self.padded.any():
            sentences.append(
                f"{self.padded.sum()} images are smaller than the field that the model sees and were padded with the "
                "colour of the slide."
            )
        sentences += [
            f"Model: {card.architecture}, init {card.init}, {quality(card.metrics)}. {abroad(card.metrics)}",
            NO_DEVICE,
        ]
        return " ".join(sentences)


def file_name(name: str) -> str:
    """Return the last part of a path, whichever way its slashes lean."""
    return name.replace("\\", "/").rpartition("/")[2]


def count_reasons(reasons: Iterable[str]) -> str:
    """Return how often each reason occurs, the most frequent first; empty ones do not count."""
    return ", ".join(f"{count} × {reason}" for reason, count in Counter(filter(None, reasons)).most_common())


def quality(metrics: Mapping[str, Metric]) -> str:
    """Return what a card says about the model's quality: its first metric."""
    for name, metric in metrics.items():
        return f"{name} {metric} ({metric.split}, n = {metric.n})"
    return "without a metric in its card"


def abroad(metrics: Mapping[str, Metric]) -> str:
    """Return what a card says about images of another laboratory, measured or not."""
    measured = [f"{name} {metric}" for name, metric in metrics.items() if metric.split == ABROAD]
    if measured:
        return f"On images of another laboratory it had {', '.join(measured)}, whatever its confidence said."
    return "On images of another laboratory it may be right less often than its confidence says."
