"""Figures of a diagnosis of patients: ROC curves, reliability, trust in the images, one split against many."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from wbc_utils.figures.training import COLORS, LINES
from wbc_utils.labels import DIAGNOSES, cell_color
from wbc_utils.metrics.diagnosis import Verdicts

_MARKERS = {"reactive": "o", "malignant": "^"}
_GRID = np.linspace(0, 1, 101)  # of specificities that curves are averaged at


def roc(verdicts: Mapping[str, Verdicts], specificity: float) -> Figure:
    """Draw the ROC curve of each model, its sensitivities averaged over the repeats.

    Parameters
    ----------
    verdicts
        By the name of the model, at most seven.
    specificity
        Marked by a vertical line.
    """
    fig, axes = plt.subplots(figsize=(6.0, 5.0))
    axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
    axes.axvline(1 - specificity, color="#777777", linewidth=0.8, linestyle=":")
    for (name, one), color, line in zip(verdicts.items(), COLORS, LINES, strict=False):
        curves = [roc_curve(one.malignant, scores)[:2] for scores in one.scores]
        mean = np.mean([np.interp(_GRID, alarms, hits) for alarms, hits in curves], axis=0)
        axes.plot(np.append(0, _GRID), np.append(0, mean), color=color, linestyle=line, label=name)
    axes.set(xlabel="reactive patients called malignant", ylabel="malignant patients called so", aspect="equal")
    axes.text(1 - specificity + 0.01, 0.02, f"specificity {specificity:g}", fontsize=9)
    fig.legend(loc="outside lower center", ncols=2, fontsize=10)
    return fig


def reliability(verdicts: Verdicts, bins: int = 5) -> Figure:
    """Draw the share of malignant patients against the mean probability, in groups of equally many patients.

    Probabilities are means over the repeats.
    """
    scores = verdicts.scores.mean(axis=0)
    fig, axes = plt.subplots(figsize=(4.8, 4.4))
    axes.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
    for part in np.array_split(np.argsort(scores, kind="stable"), bins):
        axes.plot(scores[part].mean(), verdicts.malignant[part].mean(), "o", color=COLORS[0])
        axes.annotate(f"{len(part)}", (scores[part].mean(), verdicts.malignant[part].mean()), xytext=(6, -4),
                      textcoords="offset points", fontsize=9)  # fmt: skip
    axes.set(xlabel="probability of malignant (n beside the mark)", ylabel="share that is malignant",
             xlim=(-0.03, 1.06), ylim=(-0.03, 1.06), aspect="equal")  # fmt: skip
    return fig


def trust(age: np.ndarray, count: np.ndarray, weight: np.ndarray, malignant: np.ndarray) -> Figure:
    """Draw patients by age and lymphocyte count, coloured by the weight of the images.

    Parameters
    ----------
    age, count
        Years and 10⁹/L, (n,); patients without one are left out.
    weight
        π, (n,).
    malignant
        Diagnosis, (n,) bool; it is the shape of the mark.
    """
    fig, axes = plt.subplots(figsize=(6.0, 4.2))
    known = np.isfinite(age) & np.isfinite(count)
    limits = {"vmin": weight[known].min(), "vmax": weight[known].max()}
    for label, name in DIAGNOSES.items():
        own = known & (malignant == bool(label))
        drawn = axes.scatter(age[own], count[own], c=weight[own], cmap="cividis", marker=_MARKERS[name], s=42,
                             edgecolors="black", linewidths=0.5, label=f"{name} ({own.sum()})", **limits)  # fmt: skip
    fig.colorbar(drawn, label="π, weight of the images")
    axes.set(xlabel="age, years", ylabel="lymphocytes, 10⁹/L (log scale)", yscale="log")
    fig.legend(loc="outside lower center", ncols=2, fontsize=10)
    return fig


def one_split(draws: pd.DataFrame) -> Figure:
    """Draw reported against test score of the chosen recipe of each draw, over those of the others.

    Parameters
    ----------
    draws
        As `wbc_utils.one_split.draw_splits` returns them.
    """
    fig, axes = plt.subplots(figsize=(5.0, 4.8))
    low = min(draws["reported"].min(), draws["test"].min()) - 0.03
    axes.plot([low, 1.02], [low, 1.02], color="#777777", linestyle="--", linewidth=1)
    for chosen, color, marker, size, name in ((False, "#999999", ".", 5, "other"), (True, COLORS[1], "s", 6, "chosen")):
        own = draws[draws["chosen"] == chosen]
        axes.plot(
            own["reported"], own["test"], marker, color=color, markersize=size, alpha=0.7, label=f"{name} recipes"
        )
    limits = (low, 1.03)
    axes.set(xlabel="balanced accuracy on the part that stopped and chose", ylabel="on patients that decided nothing",
             xlim=limits, ylim=limits, aspect="equal")  # fmt: skip
    fig.legend(loc="outside lower center", ncols=2, fontsize=10)
    return fig


def by_diagnosis(values: pd.DataFrame, malignant: np.ndarray, titles: Sequence[str]) -> Figure:
    """Draw numbers of patients as one strip a diagnosis, a panel a number, the median as a bar.

    Parameters
    ----------
    values
        One row a patient, one column a panel.
    malignant
        Diagnosis, (n,) bool.
    titles
        Of the panels.
    """
    columns = 2
    rows = -(-values.shape[1] // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(6.2, 1.9 * rows), squeeze=False)
    spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(values))
    for axes, column, title in zip(panels.flat, values, titles, strict=False):
        for label, name in DIAGNOSES.items():
            own = values[column].to_numpy()[malignant == bool(label)]
            axes.plot(label + spread[: len(own)], own, _MARKERS[name], color=cell_color(name), markersize=3, alpha=0.6)
            axes.plot([label - 0.35, label + 0.35], [np.median(own)] * 2, color="black", linewidth=2)
        axes.set_xticks([0, 1], list(DIAGNOSES.values()))
        axes.set_title(title, fontsize=9)
    for axes in panels.flat[values.shape[1] :]:
        axes.set_axis_off()
    return fig
