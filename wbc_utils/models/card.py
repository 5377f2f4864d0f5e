"""The model card: what a reader, and ``wbc predict``, must know about weights."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wbc_utils.manifest import Metric

_SCALE_TOLERANCE = 0.05  # by which field_cells · cell_px may differ from image_px, for rounded numbers


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingData(_Part):
    """One data set behind the weights: its name, SPDX licence, digest and the images in each split."""

    name: str
    licence: str
    digest: str
    splits: dict[str, int]


class ModelCard(_Part):
    """What a reader, and ``wbc predict``, must know about weights.

    Attributes
    ----------
    architecture, classes, stem_stride, mean, std, init
        As in `wbc_utils.models.backbones.CellClassifier`.
    image_px
        Side of the input, px.
    field_cells
        Side of the input in diameters of the training cells: the scale at which the network knows cells.
    cell_px
        Median cell diameter at ``image_px``, px.
    isolated
        The network knows cells alone on a white slide (`wbc_utils.images.isolate.isolate`), not pictures as they are.
    temperature
        Logits are divided by it before the softmax.
    views
        1, or 8 for the mean over the dihedral group.
    data, metrics
        What it learned from, and how well it did where.
    licence
        Of the weights.
    seed, commit, versions
        From which run they come.
    intended_use, limits
        Sentences.
    """

    architecture: str
    classes: tuple[str, ...]
    stem_stride: int | None
    image_px: int = Field(gt=0)
    field_cells: float = Field(gt=0)
    cell_px: float = Field(gt=0)
    isolated: bool = False
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    init: str
    temperature: float = Field(gt=0)
    views: Literal[1, 8]
    data: tuple[TrainingData, ...]
    metrics: dict[str, Metric]
    licence: str
    seed: int
    commit: str
    versions: dict[str, str]
    intended_use: str
    limits: str

    @model_validator(mode="after")
    def _one_scale(self):
        if abs(self.field_cells * self.cell_px - self.image_px) > _SCALE_TOLERANCE * self.image_px:
            raise ValueError(
                f"field_cells {self.field_cells} times cell_px {self.cell_px} is not image_px {self.image_px}; "
                "give the diameter of the cells in the resized images"
            )
        return self

    def markdown(self) -> str:
        """Return the card as a page of Markdown."""
        stem = "the architecture's" if self.stem_stride is None else self.stem_stride
        rows = {
            "classes": ", ".join(self.classes),
            "stride of the first convolution": stem,
            "initialised from": self.init,
            "input": f"{self.image_px} × {self.image_px} px, a field of {self.field_cells:.3g} cell diameters "
            f"(median cell: {self.cell_px:.3g} px)",
            "what it sees": "the cell alone on a white slide" if self.isolated else "the picture as it is",
            "mean; standard deviation": f"{_numbers(self.mean)}; {_numbers(self.std)}",
            "temperature": f"{self.temperature:.3g}",
            "views": self.views,
            "licence": self.licence,
            "seed": self.seed,
            "commit": self.commit,
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        }
        data = [
            (use.name, use.licence, ", ".join(f"{name} {n}" for name, n in use.splits.items()), use.digest)
            for use in self.data
        ]
        metrics = [(name, str(metric), metric.split, metric.n) for name, metric in self.metrics.items()]
        return "\n\n".join(
            [
                f"# {self.architecture}, {len(self.classes)} classes of cells",
                f"**Intended use.** {self.intended_use}",
                f"**Limits.** {self.limits}",
                _table(("", ""), rows.items()),
                "## Data",
                _table(("name", "licence", "images", "digest"), data),
                "## Metrics",
                _table(("name", "value", "split", "n"), metrics),
            ]
        ) + "\n"  # fmt: skip


def _numbers(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _table(head: Sequence, rows: Iterable[Sequence]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
