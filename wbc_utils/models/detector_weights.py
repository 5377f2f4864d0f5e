"""Weights of detectors: where published ones are found, and how our own are kept, with the card that explains them."""

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import requests
import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torchvision import models
from torchvision.models import detection
from torchvision.models._api import WeightsEnum

from wbc_utils.manifest import Metric, write_together
from wbc_utils.models import ModelError
from wbc_utils.models.card import TrainingData
from wbc_utils.models.detector_networks import Design

if TYPE_CHECKING:
    from wbc_utils.models.detection import CellDetector

COCO: dict[str, tuple[WeightsEnum, float]] = {
    "faster_rcnn_resnet50": (detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1, 0.0),
    "faster_rcnn_mobilenet": (detection.FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1, 1e-5),
    "retinanet_resnet50": (detection.RetinaNet_ResNet50_FPN_Weights.COCO_V1, 0.0),
    "fcos_resnet50": (detection.FCOS_ResNet50_FPN_Weights.COCO_V1, 1e-5),
    "ssd300_vgg16": (detection.SSD300_VGG16_Weights.COCO_V1, 1e-5),
    "ssdlite_mobilenet": (detection.SSDLite320_MobileNet_V3_Large_Weights.COCO_V1, 1e-3),
}
"""torchvision's weights from COCO, and the ε of batch normalisation that they were trained with."""

IMAGENET: dict[str, tuple[WeightsEnum, float]] = {
    "resnet50": (models.ResNet50_Weights.IMAGENET1K_V1, 1e-5),
    "mobilenet": (models.MobileNet_V3_Large_Weights.IMAGENET1K_V1, 1e-3),
    "vgg16": (models.VGG16_Weights.IMAGENET1K_FEATURES, 1e-5),
}
"""torchvision's weights of classifiers from ImageNet, and their ε."""

UNTUNED = 0.5
"""Least score of every class, where none was tuned."""

_HOST = "https://download.pytorch.org"


class DetectorCard(BaseModel):
    """What a reader, and ``wbc predict``, must know about the weights of a detector.

    Attributes
    ----------
    design, init
        The network, and the origin of its first weights.
    thresholds, nms_iou, agnostic
        The operating point, for `wbc_utils.models.postprocess.apply`: a least score for every class, or for none where
        they were not tuned.
    data, metrics
        What it learned from, and how well it did where.
    licence
        Of the weights.
    seed, commit, versions
        From which run they come.
    intended_use, limits
        Sentences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    design: Design
    init: str
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    nms_iou: float = Field(default=0.5, ge=0, le=1)
    agnostic: bool = False
    data: tuple[TrainingData, ...]
    metrics: dict[str, Metric]
    licence: str
    seed: int
    commit: str
    versions: dict[str, str]
    intended_use: str
    limits: str

    def least_scores(self) -> dict[str, float]:
        """Return the threshold of each class: ``UNTUNED`` where none was tuned."""
        return self.thresholds or dict.fromkeys(self.design.classes, UNTUNED)

    def markdown(self) -> str:
        """Return the card as a page of Markdown."""
        design = self.design
        point = ", ".join(f"{name} {value:.3g}" for name, value in self.least_scores().items())
        among = "among all classes" if self.agnostic else "within classes"
        rows = {
            "classes": ", ".join(design.classes),
            "initialised from": self.init,
            "input": f"short side {design.image_px[0]} px, long side up to {design.image_px[1]} px",
            "least scores": point if self.thresholds else f"{point} (not tuned)",
            "suppression": f"IoU {self.nms_iou:.3g}, {among}",
            "licence": self.licence,
            "seed": self.seed,
            "commit": self.commit,
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        }
        data = [
            f"{use.name} ({use.licence}; {', '.join(f'{name} {n}' for name, n in use.splits.items())}; {use.digest})"
            for use in self.data
        ]
        metrics = [f"{name}: {metric} ({metric.split}, n = {metric.n})" for name, metric in self.metrics.items()]
        return "\n\n".join(
            [
                f"# {design.architecture}, a detector of {len(design.classes)} classes of cells",
                f"**Intended use.** {self.intended_use}",
                f"**Limits.** {self.limits}",
                "\n".join(f"- {name}: {value}" for name, value in rows.items()),
                "## Data", "\n".join(f"- {line}" for line in data),
                "## Metrics", "\n".join(f"- {line}" for line in metrics),
            ]
        ) + "\n"  # fmt: skip


def save(path: Path, model: "CellDetector", card: DetectorCard) -> None:
    """Write a detector and its card, and beside them the card as Markdown (``.md``); old files are replaced as one.

    Raises
    ------
    ModelError
        If the card describes another detector or has thresholds for other classes, or the file's name does not end in
        ``.safetensors``.
    """
    if path.suffix != ".safetensors":
        raise ModelError(f"{path.name} does not end in .safetensors; weights are kept in no other format")
    if card.design != model.design or card.init != model.init:
        raise ModelError("the card describes another detector; fill it with model.design and model.init")
    if card.thresholds and set(card.thresholds) != set(model.classes):
        raise ModelError(
            f"the card has thresholds for {', '.join(card.thresholds)}, the detector finds {', '.join(model.classes)}; "
            "give one for each class, or none"
        )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    content = safetensors.torch.save(tensors, metadata={"format": "pt", "detector": card.model_dump_json()})
    write_together({path: content, path.with_suffix(".md"): card.markdown()})


def is_detector(path: Path) -> bool:
    """Return whether a file was written by `save`; whatever else it may be, others say what is wrong with it."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return "detector" in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def read(path: Path) -> tuple[dict[str, Tensor], DetectorCard]:
    """Read tensors and card of a file that `save` wrote.

    Raises
    ------
    ModelError
        If the file is missing or carries no such card.
    """
    if not is_detector(path):
        found = "is no detector's weights" if path.is_file() else "does not exist"
        raise ModelError(f"{path} {found}; give a .safetensors file that notebook 05 or 07 saved")
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()["detector"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    try:
        return tensors, DetectorCard.model_validate_json(header)
    except ValidationError as error:
        raise ModelError(f"the card in {path} does not read: {error}. Save the weights anew") from error


def published(weights: WeightsEnum) -> dict[str, Tensor]:
    """Return weights that torchvision publishes.

    The published file in the folder ``WBC_WEIGHTS`` comes first, then torch's cache, then the download. Only tensors
    are read from it, nothing that could run.

    Raises
    ------
    ModelError
        If they cannot be had or do not read; the message lists the alternatives.
    """
    name = weights.url.rpartition("/")[2]
    folder = os.environ.get("WBC_WEIGHTS")
    path = Path(folder or "").expanduser() / name
    if folder and path.is_file():
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
            found = f"{path} is no file of tensors ({type(error).__name__})"
            raise ModelError(f"{found}; put the published file there") from error
    try:
        if not (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file():
            requests.head(_HOST, timeout=5)  # the download itself would wait for minutes
        return weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:  # no network, no such page, or a damaged download
        local = f"WBC_WEIGHTS ({folder}) has no {name}" if folder else "WBC_WEIGHTS is not set"
        raise ModelError(
            f"no published weights {name}: {local}, and the download of {weights.url} failed "
            f"({type(error).__name__}: {error}). Either put that file into a folder and set WBC_WEIGHTS to it; or "
            "choose init random; or init the path of weights that notebook 03, 05 or 07 saved; or come back with a "
            "network"
        ) from error


def fill(network: nn.Module, tensors: dict[str, Tensor], source: str, left_out: frozenset[str] = frozenset()) -> None:
    """Copy tensors into a network, all but those that are left out on purpose.

    Raises
    ------
    ModelError
        Naming the source and the first tensor that is missing, superfluous or of another shape.
    """
    tensors = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    try:
        found = network.load_state_dict(tensors, strict=False)  # which also translates torchvision's older names
        wrong = [name for name in (*found.missing_keys, *found.unexpected_keys) if name not in left_out]
    except RuntimeError as error:
        wrong = [str(error).splitlines()[1].strip()]
    if wrong:
        raise ModelError(
            f"{source} holds other tensors than that detector has: {len(wrong)} differ, such as {wrong[0]}. Give the "
            "file of this architecture, and leave finest_stride out"
        )


def set_epsilon(part: nn.Module, trained: float) -> None:
    """Scale frozen batch normalisation so that it does what it did with the ε of its training.

    A frozen layer multiplies by w / √(σ² + ε); other ε, other w.
    """
    for module in part.modules():
        if hasattr(module, "running_var") and not list(module.parameters(recurse=False)):
            module.weight.mul_(((module.running_var + module.eps) / (module.running_var + trained)).sqrt())
