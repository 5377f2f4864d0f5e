"""A panel of mixtures that judges patients together: kept in one file with its card, asked about a folder of them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wbc_utils.data.patients import read_lymph
from wbc_utils.images.features import FEATURES
from wbc_utils.inquiry import require_file, writing
from wbc_utils.intake import Intake, embed
from wbc_utils.lymphocytosis import Diagnoser, MixtureRecipe, untrained
from wbc_utils.manifest import Metric, write_together
from wbc_utils.models import ModelError, weights
from wbc_utils.models.backbones import CellClassifier, build
from wbc_utils.models.card import TrainingData
from wbc_utils.models.cohort import Cohort, Scale
from wbc_utils.models.device import choose_device
from wbc_utils.nested import mean_said

_KEY = "panel"  # of the card in the header of a file


class PanelCard(BaseModel):
    """What a reader, and ``wbc predict``, must know about a panel.

    Attributes
    ----------
    recipe
        Of its members, the fields of `wbc_utils.lymphocytosis.MixtureRecipe`.
    members, threshold
        How many there are, and the mean probability from which a patient is called malignant.
    encoder
        Of the network that embeds the cells: architecture, classes, init, stem_stride, mean, std.
    image_px, field_px
        Side of what it sees, and of the field that it shows in pixels of the files.
    features
        Names of the handmade features.
    data, metrics
        What the panel learned from, and how well its kind did in nested cross-validation.
    licence, seed, commit, versions
        Of the weights; from which run they come.
    intended_use, limits
        Sentences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: dict
    members: int = Field(ge=1)
    threshold: float = Field(ge=0, le=1)
    encoder: dict
    image_px: int = Field(gt=0)
    field_px: float = Field(gt=0)
    features: tuple[str, ...]
    data: tuple[TrainingData, ...]
    metrics: dict[str, Metric]
    licence: str
    seed: int
    commit: str
    versions: dict[str, str]
    intended_use: str
    limits: str


@dataclass(frozen=True, eq=False)
class Panel:
    """Several trained mixtures and the network that embeds the cells for them.

    Attributes
    ----------
    members
        Trained by one recipe on different parts of the same patients.
    encoder
        Evaluation mode.
    """

    members: Sequence[Diagnoser]
    encoder: CellClassifier

    def malignant(self, cohort: Cohort) -> np.ndarray:
        """Return the mean probability of malignant, (n,), of patients whose cells this panel's encoder embedded."""
        return mean_said(self.members, cohort)["malignant"]


def save(path: Path, panel: Panel, recipe: MixtureRecipe, **card: object) -> PanelCard:
    """Write a panel with its card into one safetensors file, and return the card.

    Parameters
    ----------
    recipe
        Of the members.
    **card
        Fields of `PanelCard` that do not follow from the panel.

    Raises
    ------
    ModelError
        If the file's name does not end in ``.safetensors``, or the members have encoders of their own.
    """
    if path.suffix != ".safetensors":
        raise ModelError(f"{path.name} does not end in .safetensors; weights are kept in no other format")
    if recipe.architecture:
        raise ModelError("a panel keeps one frozen encoder; its recipe names one that is learned, leave it out")
    written = PanelCard(
        recipe=asdict(recipe), members=len(panel.members), encoder=panel.encoder.identity(),
        features=[feature.name for feature in FEATURES], **card,
    )  # fmt: skip
    tensors = {f"encoder.{name}": tensor for name, tensor in panel.encoder.merged_state().items()}
    for number, member in enumerate(panel.members):
        tensors |= {f"model.{number}.{name}": tensor for name, tensor in member.model.state_dict().items()}
        tensors |= {f"scale.{number}.{name}": tensor for name, tensor in vars(member.scale).items()}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = safetensors.torch.save(whole, metadata={"format": "pt", _KEY: written.model_dump_json()})
    write_together({path: content, path.with_suffix(".json"): written.model_dump_json(indent=1) + "\n"})
    return written


def is_panel(path: Path) -> bool:
    """Return whether a file holds a panel; what cannot be read holds none."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def load(path: Path, device: str = "cpu") -> tuple[Panel, PanelCard]:
    """Return the panel that `save` wrote, and its card.

    Raises
    ------
    ModelError
        If the file is missing, holds no panel, or its features are not those that this version measures.
    """
    if not path.is_file() or not is_panel(path):
        raise ModelError(f"{path} holds no panel of mixtures; give the file that notebook 06 saved")
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()[_KEY]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    try:
        card = PanelCard.model_validate_json(header)
        recipe = MixtureRecipe(**card.recipe)
    except (ValidationError, TypeError) as error:
        raise ModelError(f"the card in {path} does not read: {error}. Save the panel anew") from error
    if card.features != tuple(feature.name for feature in FEATURES):
        raise ModelError(f"the panel in {path} was trained on other handmade features; run notebook 06 again")
    given = {name: card.encoder[name] for name in ("architecture", "classes", "stem_stride")}
    encoder = build(**given)
    weights.fill(encoder, _below(tensors, "encoder."), str(path))
    members = [_member(recipe, tensors, number, path) for number in range(card.members)]
    return Panel(members, encoder.to(device).eval()), card


def diagnose(model: Path, folder: Path, out: Path, device: str | None = None, say: Callable = print) -> pd.DataFrame:
    """Ask a panel about the patients of the challenge that have no label, and write ``ID,LABEL``.

    Parameters
    ----------
    model
        File that `save` wrote.
    folder
        Of the challenge: ``clinical_annotation.csv`` and ``testset/P<id>``, see `wbc_utils.data.patients`.
    out
        CSV file to write: 1 malignant, 0 reactive. Patients without a readable and measurable cell are not in it, and
        counted in what is said.
    device
        ``cpu`` or ``cuda``; the GPU, if there is one, where None.
    say
        Called with one line at a time.

    Raises
    ------
    wbc_utils.data.tables.DataError
        If the folder is none of the challenge, or every patient has a label.
    ModelError
        If the file holds no panel, or no patient can be judged.
    wbc_utils.inquiry.InquiryError
        If the result cannot be written where it was asked for.
    """
    device = choose_device(device)
    require_file(out, [model, model.with_suffix(".json"), folder / "clinical_annotation.csv"])
    panel, card = load(model, device)
    dataset = read_lymph(folder, needed=("test",))
    table = dataset.table[dataset.table["split"] == "test"].reset_index(drop=True)
    with tempfile.TemporaryDirectory() as work:
        taken = Intake.of(table, folder, card.image_px, card.field_px, Path(work))
        judged = taken.complete()
        if not len(judged.table):
            raise ModelError(f"none of {len(table)} patients has a cell that can be read and measured")
        cohort = judged.cohort(embed(panel.encoder, judged.pixels, device, Path(work)))
    labels = (panel.malignant(cohort) >= card.threshold).astype(int)
    found = pd.DataFrame({"ID": judged.table["id"], "LABEL": labels})
    with writing(out):
        write_together({out: found.to_csv(index=False, lineterminator="\n")})
    dropped = dataset.audit["decision"].str.startswith("dropped").sum() + len(table) - len(found)
    say(f"{len(found)} patients: {labels.sum()} malignant, {(1 - labels).sum()} reactive, written to {out}.")
    if dropped:
        say(f"{dropped} findings cost a patient or a listing its label; `wbc data check lymph` lists them.")
    say(f"Nested cross-validation of such panels: {_quality(card)}. Not a medical device: for research and teaching.")
    return found


def _member(recipe: MixtureRecipe, tensors: dict[str, torch.Tensor], number: int, path: Path) -> Diagnoser:
    scale = Scale(**_below(tensors, f"scale.{number}."))
    model = untrained(recipe, scale)
    weights.fill(model, _below(tensors, f"model.{number}."), str(path))
    return Diagnoser(model.eval(), scale, pd.DataFrame())


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _quality(card: PanelCard) -> str:
    return ", ".join(f"{name} {metric} (n = {metric.n})" for name, metric in card.metrics.items())
