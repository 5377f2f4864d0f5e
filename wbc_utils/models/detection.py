"""Detectors of cells: one factory for torchvision's families and YOLOX, one way to train them and to ask them.

Classes are numbered from 1 in the order of ``classes``; 0 is the background. Images are lists of float (3, h, w) in
[0, 1] of any sizes, boxes are ``xmin, ymin, xmax, ymax`` in pixels of those images.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from wbc_utils.models import ModelError, detector_weights
from wbc_utils.models.detector_init import begin, shape_of, take_over
from wbc_utils.models.detector_networks import NORM_GROUPS, SSDS, Design, assemble, body, split
from wbc_utils.models.detector_weights import DetectorCard
from wbc_utils.models.postprocess import DETECTIONS

RAW_SCORE = 0.001
"""Least score of a raw prediction."""

Trainable = Literal["all", "last", "head"]


class CellDetector(nn.Module):
    """A detector with named classes.

    Attributes
    ----------
    design, init
        See `wbc_utils.models.detector_networks.Design`; origin of the first weights (``random``, ``coco``, ``imagenet
        backbone``, ``in-domain: <file name>``, ``in-domain backbone: <file name>``).
    trainable
        Which layers learn: ``all``; ``last``, the last stage of the body and all above it; ``head``, all above the body
        (pyramid, proposals, heads).
    network
        torchvision's module, or one with its interface.
    """

    def __init__(self, network: nn.Module, design: Design, init: str, trainable: Trainable = "all"):
        super().__init__()
        self.network, self.design, self.init, self.trainable = network, design, init, trainable
        self.frozen = False
        self.freeze_backbone(False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Codes of the classes, without the background."""
        return self.design.classes

    def losses(self, images: list[Tensor], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the losses by name, ``loss_…``; in evaluation mode normalisation keeps its statistics.

        Parameters
        ----------
        images
            See the module.
        targets
            One an image: ``boxes`` float (n, 4) and ``labels`` int64 (n,), from 1.
        """
        shift = self._shift()
        targets = [{**target, "labels": target["labels"] - shift} for target in targets]
        parts = [self.network, *(getattr(self.network, name, None) for name in ("transform", "rpn", "roi_heads"))]
        modes = [(part, part.training) for part in parts if part is not None]
        for part, _ in modes:
            part.training = True
        try:
            found = self.network(images, targets)
        finally:
            for part, mode in modes:
                part.training = mode
        return {name if name.startswith("loss_") else f"loss_{name}": value for name, value in found.items()}

    def detect(
        self, images: list[Tensor], score: float = RAW_SCORE, nms_iou: float = 1.0, most: int = DETECTIONS
    ) -> list[dict[str, Tensor]]:
        """Return what the network sees in images, best first: ``boxes``, ``labels`` (from 1) and ``scores`` of each.

        The network's own settings are put back afterwards.

        Parameters
        ----------
        images
            See the module.
        score
            Predictions must exceed it.
        nms_iou
            Suppression within each class; 1 is none.
        most
            Predictions of an image.
        """
        last = getattr(self.network, "roi_heads", self.network)
        wanted = {"score_thresh": score, "nms_thresh": nms_iou, "detections_per_img": most}
        before = {name: getattr(last, name) for name in wanted}
        try:
            vars(last).update(wanted)
            found = self.network(images)
        finally:
            vars(last).update(before)
        return [{**one, "labels": one["labels"] + self._shift()} for one in found]

    def freeze_backbone(self, frozen: bool) -> None:
        """Hold the whole body fixed, or let learn what ``trainable`` says.

        What does not learn stays in evaluation mode: normalisation keeps its statistics.
        """
        self.frozen = frozen
        held = self._held(frozen)
        for weight in self.network.parameters():
            weight.requires_grad_(id(weight) not in held)
        self.train(self.training)

    def train(self, mode: bool = True) -> "CellDetector":
        """Set training or evaluation mode, except of what does not learn."""
        super().train(mode)
        if self.frozen or self.trainable != "all":
            below, last = body(self.network, self.design)
            for part in below:
                part.eval()
            if self.trainable == "last" and not self.frozen:
                for part in last:
                    part.train(mode)
        return self

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """Return the groups for an optimiser: weights decay, biases and one-dimensional parameters do not.

        A body that is frozen only for now is in them; it has no gradients, so optimisers pass it over.
        """
        held = self._held(frozen=False)
        learned = [weight for weight in self.network.parameters() if id(weight) not in held]
        return [
            {"params": [weight for weight in learned if weight.ndim > 1], "weight_decay": weight_decay},
            {"params": [weight for weight in learned if weight.ndim <= 1], "weight_decay": 0.0},
        ]

    def _shift(self) -> int:
        """Return how far the module's labels lie below ours: without a background they begin at 0."""
        return 0 if self.design.background else 1

    def _held(self, frozen: bool) -> set[int]:
        """Return the identities of the weights that do not learn, with the body frozen or not."""
        if self.trainable == "all" and not frozen:
            return set()
        below, last = (
            {id(weight) for part in parts for weight in part.parameters()} for parts in body(self.network, self.design)
        )
        return below - last if self.trainable == "last" and not frozen else below


def build_detector(
    architecture: str,
    classes: Sequence[str],
    init: str | Path = "random",
    *,
    trainable: Trainable = "all",
    image_px: tuple[int, int] | None = None,
    finest_stride: int | None = None,
    channels: int | None = None,
    anchor_px: float | None = None,
    proposals: int = 1000,
    rois: int = 512,
    prior: float | None = None,
    head_norm: bool = True,
) -> CellDetector:
    """Build a detector of cells.

    Random weights come from torch's global generator. Every detector keeps torchvision's initial weights of its heads:
    for RetinaNet and FCOS, and YOLOX too, with the prior of the focal loss, which gives each anchor a first probability
    of 0.01 (Lin et al. 2017, *Focal Loss for Dense Object Detection*, section 4.1). What starts from random weights
    must normalise by statistics of its own to train (He et al. 2019, *Rethinking ImageNet Pre-training*): its batch
    normalisation learns, the heads of RetinaNet get group normalisation, and the VGG network of SSD batch normalisation
    (Zhu et al. 2019, *ScratchDet*). torchvision's frozen batch normalisation, a constant, goes with published weights
    only.

    Parameters
    ----------
    architecture
        ``faster_rcnn_…``, ``retinanet_…``, ``fcos_…`` or ``yolox_…`` with ``resnet50``, ``mobilenet`` (both
        torchvision's) or a name in timm, such as ``faster_rcnn_convnext_atto``; ``yolox_s``, which is
        ``yolox_cs3darknet_focus_s``, and the thinner ``yolox_tiny``; ``ssd300_vgg16``;
        ``ssdlite_mobilenet``; ``ssd300_resnet18`` and others of timm.
    classes
        Codes of the cell types, without a background.
    init
        ``random``; ``coco``, torchvision's detector without its predictor of classes; ``imagenet-backbone``; or a
        file. Of a detector that `wbc_utils.models.detector_weights.save` wrote and that has this architecture
        everything is taken over, but the predictor of classes only if the classes are equal. Of a classifier of
        notebook 03 the backbone, where it is the same network: those of timm, and ``resnet50``.
    trainable
        See `CellDetector`.
    image_px
        Short and longest long side of the resized images, px; None for torchvision's (800, 1333), YOLOX's (640, 640) or
        tiny's (416, 416), or the file's. SSD has one size of its own.
    finest_stride
        Pixels to one of the finest map of the pyramid; None for torchvision's (4 for Faster R-CNN, 8 for the others,
        32 for Faster R-CNN on MobileNet), or the file's. Small cells need a fine one.
    channels
        Of the maps of the pyramid and of the heads, a multiple of 32; None for torchvision's 256, or the file's. Half
        of them save about a third of the time of Faster R-CNN.
    anchor_px
        Side of the anchors on the finest map, px of the resized image; None for torchvision's 32, or the file's. They
        double from map to map.
    proposals, rois
        Of Faster R-CNN: boxes of an image that its second stage judges, and boxes that it learns from. Fewer than
        torchvision's 1000 and 512 save most of its time where an image holds tens of cells.
    prior
        First probability of each class at each anchor of a new predictor of RetinaNet or FCOS; None for 0.01.
    head_norm
        Whether the heads of a RetinaNet from random weights normalise; torchvision's do not.

    Raises
    ------
    ModelError
        If there is no such detector, an option does not fit it, classes are missing or repeated, or the weights cannot
        be had or are of another network.
    """
    if not classes or len(set(classes)) < len(classes):
        raise ModelError(f"the classes are {list(classes)}; give at least one, each once")
    if trainable not in get_args(Trainable):
        raise ModelError(f"trainable is {trainable!r}; allowed are {', '.join(get_args(Trainable))}")
    if init == "random" and trainable != "all":
        raise ModelError(f"trainable {trainable!r} would hold random weights fixed; choose all, or another init")
    start = begin(init, architecture)
    asked = {"image_px": image_px and tuple(image_px), "finest_stride": finest_stride}
    asked |= {"channels": channels, "anchor_px": anchor_px}
    asked = {option: value for option, value in asked.items() if value is not None}
    _require_fitting(architecture, asked, init)
    if not head_norm and (start.norm, split(architecture)[0]) != ("learned", "retinanet"):
        raise ModelError(f"head_norm is for RetinaNet with learned normalisation, not for {architecture}; leave it out")
    if channels is not None and (channels < 1 or channels % NORM_GROUPS):
        raise ModelError(f"channels is {channels}; give a multiple of {NORM_GROUPS}, the groups of normalisation")
    design = Design(
        architecture=architecture, classes=tuple(classes), proposals=proposals, rois=rois,
        norm=start.norm if head_norm else "body",
        **start.look, **(start.shape | asked),
    )  # fmt: skip
    network = assemble(design)
    if prior is not None:
        _set_prior(network, design, prior, start.classes)
    if start.tensors:
        take_over(network, design, start, str(init))
    return CellDetector(network, design, start.name, trainable)


def load(path: Path, device: str | torch.device = "cpu") -> tuple[CellDetector, DetectorCard]:
    """Return the detector that `wbc_utils.models.detector_weights.save` wrote, in evaluation mode, and its card.

    Raises
    ------
    ModelError
        If the file is missing, carries no card of a detector, or holds other tensors than its card says.
    """
    tensors, card = detector_weights.read(path)
    network = assemble(card.design)
    detector_weights.fill(network, tensors, str(path))
    return CellDetector(network, card.design, card.init).to(device).eval(), card


def _set_prior(network: nn.Module, design: Design, prior: float, learned: Sequence[str]) -> None:
    """Set the biases of a new predictor so that each class has a probability at first.

    Parameters
    ----------
    learned
        Classes of the predictor that is taken over, if there is one.
    """
    if design.family not in ("retinanet", "fcos") or design.classes == tuple(learned):
        raise ModelError(f"no new focal predictor in {design.architecture} from this init; leave prior out")
    if not 0 < prior < 1:
        raise ModelError(f"prior is {prior}; give a number above 0 and below 1")
    nn.init.constant_(network.head.classification_head.cls_logits.bias, math.log(prior / (1 - prior)))


def _require_fitting(architecture: str, asked: dict[str, object], init: str | Path) -> None:
    """Refuse options that the architecture, or its weights from COCO, have no choice of."""
    own = shape_of(architecture)
    settled = {name for name, value in own.items() if value is None or split(architecture)[0] in SSDS}
    settled |= {"finest_stride", "channels"} if init == "coco" else set()
    for name in settled & set(asked):
        if asked[name] != own[name]:
            weights = " with weights from COCO" if init == "coco" else ""
            raise ModelError(f"{name} of {architecture}{weights} is {own[name]}, asked for {asked[name]}; leave it out")
