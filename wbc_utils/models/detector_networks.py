"""Detectors as networks: torchvision's Faster R-CNN, RetinaNet, FCOS and SSD, and YOLOX, built from a description.

All but SSD stand on a feature pyramid over any network that thins its maps step by step: torchvision's ResNet-50
and MobileNetV3-Large, for which weights from COCO are published, or a network of timm, such as notebook 03 trains.
"""

from collections import OrderedDict
from dataclasses import replace
from functools import partial
from typing import Literal

import timm
from pydantic import BaseModel, ConfigDict
from timm.layers import freeze_batch_norm_2d
from timm.models.cspnet import model_cfgs
from torch import Tensor, nn
from torchvision import models
from torchvision.models import detection
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.ssd import SSDFeatureExtractorVGG
from torchvision.models.vgg import cfgs, make_layers
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from wbc_utils.models import ModelError
from wbc_utils.models.postprocess import DETECTIONS
from wbc_utils.models.yolox import Yolox
from wbc_utils.models.yolox_layers import PathAggregation

FAMILIES = ("faster_rcnn", "retinanet", "fcos", "yolox")
"""Detectors on a feature pyramid: an architecture is one of them and a backbone, such as ``retinanet_resnet50``."""
SSDS = {"ssd300": 300, "ssdlite": 320}
"""Detectors without a pyramid, and the side of their input, px."""
_PUBLISHED_SSDS = ("ssd300_vgg16", "ssdlite_mobilenet")
YOLOX_S = "cs3darknet_focus_s"
"""The network of timm that ``yolox_s`` stands on; ``yolox_tiny`` has three quarters of its channels."""

# stride of a map: the module that makes it, and its channels
_RESNET50 = {4: {"layer1": 256}, 8: {"layer2": 512}, 16: {"layer3": 1024}, 32: {"layer4": 2048}}
_MOBILENET = {4: {"3": 24}, 8: {"6": 40}, 16: {"12": 112}, 32: {"16": 960}}
_MOBILENET_COCO = {32: {"13": 160, "16": 960}}  # torchvision's detector has no finer one

NORM_GROUPS = 32
"""Groups that heads normalise in; they divide the channels of a pyramid."""
_RATIOS = (0.5, 1.0, 2.0)  # height / width of anchors
_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
_VGG = {"mean": (0.48235, 0.45882, 0.40784), "std": (1 / 255, 1 / 255, 1 / 255)}


class Design(BaseModel):
    """Everything that decides the shape of a detector and how it sees images.

    Attributes
    ----------
    architecture
        ``faster_rcnn_…``, ``retinanet_…``, ``fcos_…`` or ``yolox_…`` with ``resnet50``, ``mobilenet`` or a name in
        timm; ``yolox_s``; ``yolox_tiny``; ``ssd300_vgg16``; ``ssdlite_mobilenet``; ``ssd300_…`` with a name in timm.
    classes
        Codes in the order of the network's classes, after the background.
    image_px
        Images are resized so that their short side has the first, but their long side not more than the second (px);
        SSD squeezes them to a square.
    finest_stride
        Pixels of the resized image to one of the finest map of the pyramid; None without a pyramid.
    channels
        Of every map of the pyramid and of the heads on it; None where the architecture has its own (SSD, YOLOX).
    anchor_px
        Side of the anchors on the finest map, px of the resized image, doubled from map to map; None where the
        architecture has its own (SSD) or none (FCOS, YOLOX).
    proposals
        Boxes of an image that the second stage of Faster R-CNN judges, twice as many in training.
    rois
        Boxes of an image that it learns from.
    norm
        ``learned``: normalisation with statistics of its own. ``body``: so, but none in the heads. ``frozen``: batch
        normalisation as published, a constant scale and shift. ``none``: the VGG network of published weights has none.
    mean, std
        Subtracted from and divided into images in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    classes: tuple[str, ...]
    image_px: tuple[int, int]
    finest_stride: int | None
    channels: int | None = 256
    anchor_px: float | None
    proposals: int
    rois: int
    norm: Literal["learned", "body", "frozen", "none"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def family(self) -> str:
        """The architecture without its backbone."""
        return split(self.architecture)[0]

    @property
    def backbone(self) -> str:
        """The backbone."""
        return split(self.architecture)[1]

    @property
    def background(self) -> bool:
        """Whether the background is a class of the network; else each class is judged by itself."""
        return self.family not in ("retinanet", "fcos", "yolox")

    @property
    def outputs(self) -> int:
        """Scores of a box: the classes, and the background where there is one."""
        return len(self.classes) + self.background


def split(architecture: str) -> tuple[str, str]:
    """Return family and backbone of an architecture.

    Raises
    ------
    ModelError
        If there is no such detector.
    """
    if architecture in _PUBLISHED_SSDS:
        return tuple(architecture.split("_"))
    if architecture in ("yolox_s", "yolox_tiny"):
        return "yolox", {"yolox_s": YOLOX_S, "yolox_tiny": "tiny"}[architecture]
    for family in (*FAMILIES, "ssd300"):
        backbone = architecture.removeprefix(f"{family}_")
        if backbone in ("resnet50", "mobilenet"):
            known = family != "ssd300"  # torchvision's networks of these names, which stand below pyramids only
        else:
            known = backbone != architecture and timm.is_model(backbone)
        if known:
            return family, backbone
    raise ModelError(
        f"there is no detector {architecture!r}; there are {', '.join(_PUBLISHED_SSDS)}, yolox_s, yolox_tiny, and "
        f"{', '.join(FAMILIES)}, each followed by _resnet50, _mobilenet or _ and the name of a network in timm, "
        "likewise ssd300 with a network in timm"
    )


def constants(family: str, norm: str) -> dict[str, tuple[float, float, float]]:
    """Return mean and standard deviation that images are normalised by, where no weights say otherwise."""
    if family == "ssdlite":
        return _HALF
    return _VGG if norm == "none" else _IMAGENET


def assemble(design: Design) -> nn.Module:
    """Return the network of a design with random weights from torch's global generator.

    Raises
    ------
    ModelError
        If timm's network makes no pyramid, or none of that stride.
    """
    network = _BUILDERS[design.family](design)
    if design.norm == "frozen":
        network.backbone.body = freeze_batch_norm_2d(network.backbone.body)
    return network


def body(network: nn.Module, design: Design) -> tuple[list[nn.Module], list[nn.Module]]:
    """Return the parts of a network that weights of a classifier can fill, and the last stage of them."""
    backbone = network.backbone
    if design.backbone == "vgg16":
        return [backbone.features, backbone.extra[0]], [backbone.extra[0]]
    if design.family == "ssdlite":
        return [backbone.features], [backbone.features[1]]
    if design.backbone == "resnet50":
        return [backbone.body], [backbone.body["layer4"]]
    if design.backbone == "mobilenet":
        return [backbone.body], [backbone.body[str(number)] for number in range(13, 17)]
    network = backbone.body.network
    return [backbone.body], [network.get_submodule(network.feature_info[-1]["module"])]


class Pyramid(nn.Module):
    """Maps of a body, joined from coarse to fine (Lin et al. 2017, *Feature Pyramid Networks for Object Detection*)."""

    def __init__(self, body: nn.Module, channels: list[int], out_channels: int, extra: nn.Module):
        super().__init__()
        self.body, self.out_channels = body, out_channels
        self.fpn = FeaturePyramidNetwork(channels, out_channels, extra_blocks=extra)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps by name, from fine to coarse."""
        return self.fpn(self.body(images))


class TimmMaps(nn.Module):
    """The maps of a classification network of timm; its tensors keep timm's names behind ``network.``."""

    def __init__(self, name: str, finest_stride: int):
        super().__init__()
        self.network = _tiny() if name == "tiny" else timm.create_model(name, num_classes=0)
        made = [(level["reduction"], level["num_chs"]) for level in self.network.feature_info]
        strides = [stride for stride, _ in made]
        if finest_stride not in strides or len(set(strides)) < len(strides):
            raise ModelError(
                f"{name} makes maps of strides {', '.join(map(str, strides))}, asked for a pyramid from "
                f"{finest_stride} on; choose another stride, or a convolutional network such as convnext_atto"
            )
        first = strides.index(finest_stride)
        self.indices = list(range(first, len(made)))
        self.channels = [channels for _, channels in made[first:]]

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps by name, from fine to coarse."""
        maps = self.network.forward_intermediates(images, indices=self.indices, intermediates_only=True)
        return OrderedDict((str(number), found) for number, found in enumerate(maps))


class ShrinkingMaps(nn.Module):
    """Six maps for SSD at 300 px: a body's from stride 8 on, then three ever smaller ones (Liu et al. 2016, SSD)."""

    def __init__(self, name: str):
        super().__init__()
        self.body = TimmMaps(name, 8)
        before = self.body.channels[-1]
        self.extra = nn.ModuleList()
        for channels, stride in ((512, 2), (256, 2), (256, 1)):  # maps of 5, 3 and 1 px a side
            last = stride == 1  # one pixel: nothing to normalise by
            self.extra.append(
                nn.Sequential(
                    Conv2dNormActivation(before, channels // 2, kernel_size=1),
                    Conv2dNormActivation(
                        channels // 2, channels, kernel_size=3, stride=stride, padding=0 if last else 1,
                        norm_layer=None if last else nn.BatchNorm2d,
                    ),
                )
            )  # fmt: skip
            before = channels

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps by name, from fine to coarse."""
        maps = self.body(images)
        for extra in self.extra:
            maps[str(len(maps))] = extra(maps[str(len(maps) - 1)])
        return maps


def _tiny() -> nn.Module:
    """Return the body of YOLOX-tiny."""
    small = model_cfgs[YOLOX_S]
    widths = tuple(3 * width // 4 for width in small.stages.out_chs)
    stem, stages = replace(small.stem, out_chs=3 * small.stem.out_chs // 4), replace(small.stages, out_chs=widths)
    return timm.create_model(YOLOX_S, num_classes=0, stem=stem, stages=stages)


def _pyramid(design: Design, extra: nn.Module) -> tuple[Pyramid, int]:
    """Return the pyramid of a design without its extra maps' count, and the number of the body's maps."""
    found, channels = _maps(design)
    return Pyramid(found, channels, design.channels, extra), len(channels)


def _maps(design: Design) -> tuple[nn.Module, list[int]]:
    """Return the body of a design, which makes maps from the finest stride on, and their channels."""
    name, finest = design.backbone, design.finest_stride
    if name not in ("resnet50", "mobilenet"):
        found = TimmMaps(name, finest)
        return found, found.channels
    coco = finest == 32 and design.family != "yolox"
    table = _RESNET50 if name == "resnet50" else _MOBILENET_COCO if coco else _MOBILENET
    if finest not in table:
        allowed = ", ".join(map(str, _RESNET50 if name == "resnet50" else _MOBILENET))
        raise ModelError(f"{name} makes maps of strides {allowed}, asked for a pyramid from {finest} on; choose one")
    maps = {module: n for stride, made in table.items() if stride >= finest for module, n in made.items()}
    if name == "resnet50":
        network = models.resnet50(weights=None, norm_layer=nn.BatchNorm2d)
    else:
        network = models.mobilenet_v3_large(weights=None, norm_layer=nn.BatchNorm2d).features
    getter = IntermediateLayerGetter(network, {module: str(number) for number, module in enumerate(maps)})
    return getter, list(maps.values())


def _common(design: Design) -> dict:
    """Return what every detector on a pyramid is given."""
    return {
        "num_classes": design.outputs,
        "min_size": design.image_px[0],
        "max_size": design.image_px[1],
        "image_mean": design.mean,
        "image_std": design.std,
    }


def _faster_rcnn(design: Design) -> nn.Module:
    pyramid, maps = _pyramid(design, LastLevelMaxPool())
    if design.backbone == "mobilenet" and design.finest_stride == 32:  # torchvision's: five sizes on every map
        sizes = (tuple(design.anchor_px * 2**n for n in range(5)),) * (maps + 1)
    else:
        sizes = tuple((design.anchor_px * 2**n,) for n in range(maps + 1))
    return detection.FasterRCNN(
        pyramid,
        rpn_anchor_generator=AnchorGenerator(sizes, (_RATIOS,) * len(sizes)),
        rpn_pre_nms_top_n_train=2 * design.proposals,
        rpn_post_nms_top_n_train=2 * design.proposals,
        rpn_pre_nms_top_n_test=design.proposals,
        rpn_post_nms_top_n_test=design.proposals,
        box_roi_pool=MultiScaleRoIAlign([str(n) for n in range(maps)], output_size=7, sampling_ratio=2),
        box_batch_size_per_image=design.rois,
        box_detections_per_img=DETECTIONS,
        **_common(design),
    )


def _retinanet(design: Design) -> nn.Module:
    pyramid, maps = _pyramid(design, LastLevelP6P7(design.channels, design.channels))
    octaves = [2 ** (n / 3) for n in range(3)]
    sizes = tuple(tuple(int(design.anchor_px * 2**n * step) for step in octaves) for n in range(maps + 2))
    anchors = AnchorGenerator(sizes, (_RATIOS,) * len(sizes))
    norm = partial(nn.GroupNorm, NORM_GROUPS) if design.norm == "learned" else None
    head = RetinaNetHead(design.channels, anchors.num_anchors_per_location()[0], design.outputs, norm_layer=norm)
    return detection.RetinaNet(
        pyramid, anchor_generator=anchors, head=head, detections_per_img=DETECTIONS, **_common(design)
    )


def _fcos(design: Design) -> nn.Module:
    pyramid, maps = _pyramid(design, LastLevelP6P7(design.channels, design.channels))
    sizes = tuple((design.finest_stride * 2**n,) for n in range(maps + 2))  # a point in the middle of each pixel
    anchors = AnchorGenerator(sizes, ((1.0,),) * len(sizes))
    return detection.FCOS(pyramid, anchor_generator=anchors, detections_per_img=DETECTIONS, **_common(design))


def _yolox(design: Design) -> nn.Module:
    pyramid = PathAggregation(*_maps(design))
    strides = [design.finest_stride * 2**n for n in range(len(pyramid.channels))]
    return Yolox(pyramid, strides, **_common(design))


def _vgg(design: Design) -> nn.Module:
    layers = make_layers(cfgs["D"], batch_norm=design.norm == "learned")
    for layer in layers:
        if isinstance(layer, nn.Conv2d):  # as torchvision's VGG
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return SSDFeatureExtractorVGG(layers, highres=False)


def _ssd300(design: Design) -> nn.Module:
    anchors = DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05],
        steps=[8, 16, 32, 64, 100, 300],
    )
    return detection.ssd.SSD(
        _vgg(design) if design.backbone == "vgg16" else ShrinkingMaps(design.backbone),
        anchors,
        design.image_px,
        design.outputs,
        image_mean=design.mean,
        image_std=design.std,
        detections_per_img=DETECTIONS,
    )


def _ssdlite(design: Design) -> nn.Module:
    return detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=design.outputs)


_BUILDERS = {
    "faster_rcnn": _faster_rcnn, "retinanet": _retinanet, "fcos": _fcos, "yolox": _yolox, "ssd300": _ssd300,
    "ssdlite": _ssdlite,
}  # fmt: skip
