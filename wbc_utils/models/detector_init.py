"""What a detector begins with: published weights, weights of our own, or none, by the names of its tensors."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from wbc_utils.models import ModelError, detector_weights, weights
from wbc_utils.models.detector_networks import SSDS, Design, constants, split
from wbc_utils.models.detector_weights import COCO, IMAGENET

_SIZES = (800, 1333)  # torchvision's short and long side, px
_YOLOX_SIDES = {"yolox_tiny": 416}  # px; 640 of the others
_ANCHOR_PX = 32.0
_CHANNELS = 256
_PREDICTORS = {  # tensors whose shapes depend on the classes
    "faster_rcnn": r"roi_heads\.box_predictor\.",
    "retinanet": r"head\.classification_head\.cls_logits\.",
    "fcos": r"head\.classification_head\.cls_logits\.",
    "yolox": r"head\.classes\.",
    "ssd300": r"head\.classification_head\.module_list\.",
    "ssdlite": r"head\.classification_head\.module_list\.\d+\.1\.",
}
_ABOVE_BODY = r"(?!backbone\.body\.|backbone\.features\.|backbone\.extra\.0\.\d+\.(weight|bias)$)"
_NOTHING = r"(?!)"
_CONV5 = 23  # layers of VGG-16 below SSD's first map


@dataclass(frozen=True)
class Start:
    """What a detector begins with.

    Attributes
    ----------
    name
        For reports.
    norm, look
        `Design.norm`; its ``mean`` and ``std``.
    shape
        What the options of a design are unless asked for: ``image_px``, ``finest_stride``, ``channels``, ``anchor_px``.
    tensors
        By the names of the detector; empty for random weights.
    whole
        The tensors are those of a detector, not of a body alone.
    classes
        Of the tensors' predictor; empty if they are no cells.
    epsilon
        Of the batch normalisation that is frozen now, where it is not the layers' own.
    """

    name: str
    norm: Literal["learned", "frozen", "none"]
    look: dict[str, tuple[float, float, float]]
    shape: dict[str, object]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    whole: bool = False
    classes: tuple[str, ...] = ()
    epsilon: float | None = None


def begin(init: str | Path, architecture: str) -> Start:
    """Return what a detector begins with; see `wbc_utils.models.detection.build_detector`.

    Raises
    ------
    ModelError
        If there is no such detector or init, or the weights cannot be had or are of another network.
    """
    family, _ = split(architecture)
    shape = shape_of(architecture)
    if init == "random":
        return Start("random", "learned", constants(family, "learned"), shape)
    if init == "coco":
        return _coco(architecture, shape)
    if init == "imagenet-backbone":
        return _imagenet(architecture, shape)
    path = Path(init)
    if path.suffix != ".safetensors":
        raise ModelError(
            f"init {str(init)!r} is neither random, coco, imagenet-backbone nor the path of a .safetensors file"
        )
    if detector_weights.is_detector(path):
        return _detector(path, architecture)
    return _classifier(path, architecture, shape)


def shape_of(architecture: str) -> dict[str, object]:
    """Return the published shape of an architecture, see `Start.shape`; None where it has no such number."""
    family, backbone = split(architecture)
    if family in SSDS:
        return {"image_px": (SSDS[family],) * 2, "finest_stride": None, "channels": None, "anchor_px": None}
    if family == "yolox":
        side = _YOLOX_SIDES.get(architecture, 640)
        return {"image_px": (side, side), "finest_stride": 8, "channels": None, "anchor_px": None}
    finest = {"mobilenet": 32}.get(backbone, 4) if family == "faster_rcnn" else 8
    anchor = None if family == "fcos" else _ANCHOR_PX
    return {"image_px": _SIZES, "finest_stride": finest, "channels": _CHANNELS, "anchor_px": anchor}


def take_over(network: nn.Module, design: Design, start: Start, source: str) -> None:
    """Copy the tensors of a start into a network: all, or all but the predictor of other classes, or the body's.

    Raises
    ------
    ModelError
        If they are not those of the network.
    """
    left = _NOTHING if start.classes == design.classes else _PREDICTORS[design.family]
    pattern = re.compile(left if start.whole else _ABOVE_BODY)
    left_out = frozenset(name for name in network.state_dict() if pattern.match(name))
    frozen = start.norm == "frozen"  # which counts no batches
    tensors = {
        name: value for name, value in start.tensors.items() if not (frozen and name.endswith("num_batches_tracked"))
    }
    detector_weights.fill(network, tensors, source, left_out)
    if frozen and start.epsilon is not None:
        detector_weights.set_epsilon(network, start.epsilon)


def _coco(architecture: str, shape: dict[str, object]) -> Start:
    if architecture not in COCO:
        raise ModelError(
            f"torchvision publishes no weights of {architecture} from COCO, only of {', '.join(COCO)}; take one of "
            "them, or init random, imagenet-backbone or a path"
        )
    published, epsilon = COCO[architecture]
    family, _ = split(architecture)
    norm = {"ssd300": "none", "ssdlite": "learned"}.get(family, "frozen")
    tensors = detector_weights.published(published)
    return Start("coco", norm, constants(family, norm), shape, tensors, whole=True, epsilon=epsilon)


def _imagenet(architecture: str, shape: dict[str, object]) -> Start:
    family, backbone = split(architecture)
    name = "imagenet backbone"
    if family == "ssdlite":
        raise ModelError(
            f"{architecture} has a thinner last stage than the network that is published from ImageNet; choose init "
            "coco, random or a path"
        )
    if backbone in IMAGENET:
        published, epsilon = IMAGENET[backbone]
        norm = "none" if backbone == "vgg16" else "frozen"
        tensors = _named(detector_weights.published(published), backbone)
        return Start(name, norm, constants(family, norm), shape, tensors, epsilon=epsilon)
    if backbone == "tiny":
        raise ModelError(f"nobody publishes the body of {architecture}; choose yolox_s, or init random or a path")
    published = get_pretrained_cfg(backbone)
    look = {"mean": published.mean, "std": published.std}
    return Start(name, "frozen", look, shape, _named(weights.imagenet(backbone), backbone))


def _detector(path: Path, architecture: str) -> Start:
    tensors, card = detector_weights.read(path)
    design = card.design
    if design.architecture != architecture:
        raise ModelError(
            f"{path} holds a {design.architecture}, asked for a {architecture}; ask for {design.architecture} or "
            "another init"
        )
    shape = {name: getattr(design, name) for name in shape_of(architecture)}
    look = {"mean": design.mean, "std": design.std}
    name = f"in-domain: {path.name}"
    return Start(name, design.norm, look, shape, tensors, whole=True, classes=design.classes)


def _classifier(path: Path, architecture: str, shape: dict[str, object]) -> Start:
    """Return the backbone of a classifier of notebook 03 where it is, tensor for tensor, the body of the detector."""
    _, backbone = split(architecture)
    tensors, card = weights.read(path)
    name = card.architecture.partition(".")[0]  # without the tag of timm's weights
    if backbone == "vgg16" or name != backbone.partition(".")[0] or card.stem_stride is not None:
        stem = "" if card.stem_stride is None else f" with a first stride of {card.stem_stride}"
        raise ModelError(
            f"{path} holds a classifier on {card.architecture}{stem}, which is not the body of {architecture}. Such a "
            f"backbone fits faster_rcnn_{name}, retinanet_{name}, fcos_{name}, yolox_{name} and ssd300_{name} if its "
            "first stride is timm's own; timm's MobileNet and torchvision's are different networks"
        )
    found = {key.removeprefix("backbone."): value for key, value in tensors.items() if key.startswith("backbone.")}
    look = {"mean": card.mean, "std": card.std}
    return Start(f"in-domain backbone: {path.name}", "learned", look, shape, _named(found, backbone))


def _named(tensors: dict[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Return the tensors of a classifier, without what classifies, by the names that they have in a detector."""
    if backbone in ("vgg16", "mobilenet"):
        tensors = {name.removeprefix("features."): x for name, x in tensors.items() if name.startswith("features.")}
    if backbone == "vgg16":
        return {_of_vgg(*name.split(".")): value for name, value in tensors.items()}
    prefix = "backbone.body." if backbone in ("mobilenet", "resnet50") else "backbone.body.network."
    return {prefix + name: value for name, value in tensors.items() if not name.startswith("fc.")}


def _of_vgg(layer: str, part: str) -> str:
    number = int(layer)
    return f"backbone.features.{number}.{part}" if number < _CONV5 else f"backbone.extra.0.{number - _CONV5}.{part}"
