"""A saved two-stage pipeline: a folder with its networks, each with its card, and what joins them."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wbc_utils.manifest import write_together
from wbc_utils.models import ModelError, detection, detector_weights, weights
from wbc_utils.models.backbones import CellClassifier
from wbc_utils.models.card import ModelCard
from wbc_utils.models.detector_weights import DetectorCard
from wbc_utils.sightings import Settings
from wbc_utils.two_stage import TwoStage

NAME = "pipeline.json"


class PipelineCard(BaseModel):
    """What joins the networks of a folder; their own cards say the rest.

    Attributes
    ----------
    detectors, classifiers, image_classifiers
        Names of the files, in order.
    crop_px, whole_px, nms_iou, mirrored
        See `wbc_utils.two_stage.TwoStage`.
    least_score, share
        See `wbc_utils.two_stage.Settings`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detectors: tuple[str, ...]
    classifiers: tuple[str, ...]
    image_classifiers: tuple[str, ...] = ()
    crop_px: int = Field(gt=0)
    whole_px: int = Field(ge=0)
    nms_iou: float = Field(ge=0, le=1)
    mirrored: bool
    least_score: float = Field(ge=0, le=1)
    share: float = Field(ge=0, le=1)


def save(folder: Path, pipeline: TwoStage, about: Mapping[str, object], crop_cells: float, whole_cells: float) -> None:
    """Write a pipeline into a folder, its card last.

    Parameters
    ----------
    folder
        Made if missing.
    about
        Fields that the cards of all networks share: ``data``, ``metrics``, ``licence``, ``seed``, ``commit``,
        ``versions``, ``intended_use``, ``limits``.
    crop_cells, whole_cells
        Sides of a crop and of a whole image in median cell diameters.

    Raises
    ------
    wbc_utils.models.ModelError
        If a network cannot be described by a card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, list[str]] = {"detectors": [], "classifiers": [], "image_classifiers": []}
    for number, detector in enumerate(pipeline.detectors):
        names["detectors"].append(f"detector-{number}.safetensors")
        thresholds = dict.fromkeys(detector.classes, pipeline.settings.least_score)
        card = DetectorCard(
            design=detector.design, init=detector.init, thresholds=thresholds, nms_iou=pipeline.nms_iou, agnostic=False,
            **about,
        )  # fmt: skip
        detector_weights.save(folder / names["detectors"][-1], detector, card)
    kinds = {
        "classifiers": (pipeline.classifiers, pipeline.crop_px, crop_cells),
        "image_classifiers": (pipeline.image_classifiers, pipeline.whole_px, whole_cells),
    }
    for kind, (networks, side, cells) in kinds.items():
        for number, network in enumerate(networks):
            names[kind].append(f"{kind.removesuffix('s')}-{number}.safetensors".replace("_", "-"))
            weights.save(folder / names[kind][-1], network, _card(network, side, cells, about))
    card = PipelineCard(
        **names, crop_px=pipeline.crop_px, whole_px=pipeline.whole_px, nms_iou=pipeline.nms_iou,
        mirrored=pipeline.mirrored, **pipeline.settings._asdict(),
    )  # fmt: skip
    write_together({folder / NAME: card.model_dump_json(indent=1) + "\n"})


def load(folder: Path, device: str = "cpu") -> tuple[TwoStage, dict[str, DetectorCard | ModelCard]]:
    """Return the pipeline of a folder, in evaluation mode, and the cards of its networks by file name.

    Raises
    ------
    wbc_utils.models.ModelError
        If the folder has no pipeline, its card does not read, a network is missing or damaged, or they do not fit
        together.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise ModelError(f"there is no pipeline in {folder}: it has no {NAME}; give the folder that notebook 08 wrote")
    try:
        card = PipelineCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} does not read: {error}. Run notebook 08 again") from error
    found = {
        kind: [loader(path.with_name(name), device) for name in getattr(card, kind)]
        for kind, loader in (
            ("detectors", detection.load), ("classifiers", weights.load), ("image_classifiers", weights.load),
        )
    }  # fmt: skip
    pipeline = TwoStage(
        *([network for network, _ in networks] for networks in found.values()),
        crop_px=card.crop_px, whole_px=card.whole_px, nms_iou=card.nms_iou, mirrored=card.mirrored,
        settings=Settings(card.least_score, card.share),
    )  # fmt: skip
    cards = {
        name: one for kind, networks in found.items()
        for name, (_, one) in zip(getattr(card, kind), networks, strict=True)
    }  # fmt: skip
    return pipeline.to(device).eval(), cards


def _card(network: CellClassifier, side: int, cells: float, about: Mapping[str, object]) -> ModelCard:
    return ModelCard(
        **network.identity(), image_px=side, field_cells=cells, cell_px=side / cells, temperature=1.0, views=1, **about
    )
