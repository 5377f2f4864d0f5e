"""Detectors: what they are built of, where their weights come from, what learns, and what they say when asked."""

import math
import re

import pytest
import requests
import safetensors.torch
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.models import detection
from torchvision.models.vgg import cfgs, make_layers

from wbc_utils.manifest import Metric
from wbc_utils.models import ModelError, backbones, detector_weights, weights
from wbc_utils.models.card import ModelCard, TrainingData
from wbc_utils.models.detection import build_detector, load
from wbc_utils.models.detector_init import shape_of
from wbc_utils.models.detector_networks import Design, assemble, constants, split
from wbc_utils.models.detector_weights import COCO, IMAGENET, DetectorCard

CLASSES = ("RBC", "WBC")
SMALL = {"image_px": (64, 96), "proposals": 20, "rois": 16}
TINY = ["faster_rcnn_test_resnet", "retinanet_test_resnet", "fcos_test_resnet", "ssdlite_mobilenet"]
CARD = {
    "thresholds": {"RBC": 0.5, "WBC": 0.7}, "nms_iou": 0.45, "agnostic": False,
    "data": (TrainingData(name="cbc", licence="MIT", digest="0" * 64, splits={"train": 300}),),
    "metrics": {"cbc.ap50": Metric(value=0.9, ci=(0.8, 0.95), n=60, split="test", init="random")},
    "licence": "MIT", "seed": 0, "commit": "c0ffee", "versions": {}, "intended_use": "Tests.", "limits": "All.",
}  # fmt: skip
OF_CLASSIFIER = {
    "image_px": 32, "field_cells": 2.0, "cell_px": 16.0, "temperature": 1.0, "views": 1, "data": (), "metrics": {},
    "licence": "MIT", "seed": 0, "commit": "c0ffee", "versions": {}, "intended_use": "Tests.", "limits": "All.",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def build(architecture, classes=CLASSES, init="random", **options):
    small = {} if architecture.startswith("ssd") else SMALL
    return build_detector(architecture, classes, init, **(small | options))


def scene(boxes=1):
    """Return two images of different sizes, the second without boxes, and their targets."""
    box = torch.tensor([[10.0, 10, 50, 50]])[:boxes]
    targets = [{"boxes": box, "labels": torch.ones(boxes, dtype=torch.int64)}]
    targets.append({"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)})
    return [torch.rand(3, 64, 96), torch.rand(3, 80, 64)], targets


def saved(path, model, **changes):
    detector_weights.save(path, model, DetectorCard(design=model.design, init=model.init, **(CARD | changes)))
    return path


def saved_classifier(path, architecture, **options):
    model = backbones.build(architecture, ("BL", "EO"), **options)
    weights.save(path, model, ModelCard(**model.identity(), **OF_CLASSIFIER))
    return model


def with_statistics(module):
    """Give batch normalisation statistics and factors as a training leaves them."""
    for part in module.modules():
        if hasattr(part, "running_var"):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(1e-6, 1e-4)  # about the ε of different trainings
            part.weight.detach().copy_(part.running_var.sqrt() / 3)
    return module.eval()


# ---- what they are built of


@pytest.mark.parametrize("architecture", COCO)
def test_tensors_and_anchors_of_published_detectors_are_torchvisions(architecture):
    reference = {
        "faster_rcnn_resnet50": detection.fasterrcnn_resnet50_fpn,
        "faster_rcnn_mobilenet": detection.fasterrcnn_mobilenet_v3_large_fpn,
        "retinanet_resnet50": detection.retinanet_resnet50_fpn,
        "fcos_resnet50": detection.fcos_resnet50_fpn,
        "ssd300_vgg16": detection.ssd300_vgg16,
        "ssdlite_mobilenet": detection.ssdlite320_mobilenet_v3_large,
    }[architecture]
    family = split(architecture)[0]
    norm = {"ssd300": "none", "ssdlite": "learned"}.get(family, "frozen")
    classes = tuple(map(str, range(91 if family in ("retinanet", "fcos") else 90)))  # with the background 91
    with torch.device("meta"):
        expected = reference(weights=None, weights_backbone=None)
        design = Design(
            architecture=architecture, classes=classes, proposals=1000, rois=512, norm=norm,
            **shape_of(architecture), **constants(family, norm),
        )  # fmt: skip
        found = assemble(design)

    def shapes(network):
        state = network.state_dict().items()
        return {name: value.shape for name, value in state if norm != "frozen" or "num_batches" not in name}

    assert shapes(found) == shapes(expected)
    assert tuple(found.transform.image_mean) == tuple(expected.transform.image_mean)
    assert tuple(found.transform.image_std) == pytest.approx(tuple(expected.transform.image_std))
    assert found.transform.min_size == expected.transform.min_size
    assert found.transform.max_size == expected.transform.max_size
    generators = [getattr(network, "rpn", network).anchor_generator for network in (found, expected)]
    for name in ("sizes", "aspect_ratios", "scales", "steps"):
        assert getattr(generators[0], name, None) == getattr(generators[1], name, None)


OTHERS = ["faster_rcnn_test_convnext", "ssd300_vgg16", "ssd300_test_resnet", "retinanet_mobilenet"]


@pytest.mark.parametrize("architecture", [*TINY, *OTHERS])
def test_every_detector_trains_on_images_of_any_size_and_without_boxes(architecture):
    model = build(architecture)
    images, targets = scene()
    for some in (targets, targets[1:] * 2):
        losses = model.losses(images, some)
        assert all(name.startswith("loss_") for name in losses)
        assert torch.stack(list(losses.values())).isfinite().all()
        sum(losses.values()).backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
    with torch.no_grad():
        found = model.eval().detect(images, most=7)
    for image, one in zip(images, found, strict=True):
        assert len(one["boxes"]) == 7
        assert set(one["labels"].tolist()) <= {1, 2}
        assert (one["scores"].diff() <= 0).all()
        assert (one["boxes"] >= 0).all()
        assert (one["boxes"] <= torch.tensor([image.shape[2], image.shape[1]] * 2) + 1e-3).all()


@pytest.mark.parametrize(
    ("architecture", "finest", "strides"),
    [
        ("faster_rcnn_mobilenet", None, [32, 32, 64]),
        ("faster_rcnn_mobilenet", 8, [8, 16, 32, 64]),
        ("faster_rcnn_test_resnet", None, [4, 8, 16, 32, 64]),
        ("faster_rcnn_test_resnet", 16, [16, 32, 64]),
        ("retinanet_mobilenet", 4, [4, 8, 16, 32, 64, 128]),
        ("fcos_test_convnext", None, [8, 16, 32, 64, 128]),
        ("retinanet_resnet50", 16, [16, 32, 64, 128]),
    ],
)
def test_the_pyramid_begins_at_the_stride_asked_for_and_anchors_double_from_map_to_map(architecture, finest, strides):
    model = build(architecture, finest_stride=finest)
    with torch.no_grad():
        maps = model.eval().network.backbone(torch.zeros(1, 3, 128, 128))
    assert [128 // found.shape[2] for found in maps.values()] == strides
    generator = getattr(model.network, "rpn", model.network).anchor_generator
    first = strides[0] if architecture.startswith("fcos") else 32
    if strides[:2] != [32, 32]:
        assert [sizes[0] for sizes in generator.sizes] == [first * 2**n for n in range(len(strides))]


@pytest.mark.parametrize("architecture", ["faster_rcnn_test_resnet", "retinanet_test_resnet", "fcos_test_resnet"])
def test_pyramid_and_heads_have_the_channels_asked_for_and_a_file_keeps_them(architecture, tmp_path):
    model = build(architecture, channels=32)
    with torch.no_grad():
        maps = model.eval().network.backbone(torch.zeros(1, 3, 128, 128))
    assert {found.shape[1] for found in maps.values()} == {model.design.channels} == {32}
    path = saved(tmp_path / "d.safetensors", model)
    assert build(architecture, init=path).design.channels == 32


@pytest.mark.parametrize("architecture", ["faster_rcnn_mobilenet", "retinanet_test_resnet"])
def test_anchors_begin_at_the_side_asked_for(architecture):
    model = build(architecture, anchor_px=12)
    generator = getattr(model.network, "rpn", model.network).anchor_generator
    assert generator.sizes[0][0] == 12
    assert model.design.anchor_px == 12


@pytest.mark.parametrize("architecture", ["faster_rcnn_test_resnet", "ssd300_vgg16", "ssdlite_mobilenet"])
def test_random_networks_normalise_by_statistics_of_their_own(architecture):
    model = build(architecture)
    assert model.design.norm == "learned"
    learned = [part for part in model.network.backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    assert learned
    assert all(part.weight.requires_grad for part in learned)
    side = SMALL["image_px"][0] if architecture.startswith("faster") else 300
    with torch.no_grad():
        maps = list(model.network.backbone.train()(torch.rand(2, 3, side, side)).values())
    assert all(0.01 < float(found.std()) < 30 for found in maps[:3])


@pytest.mark.parametrize("architecture", ["retinanet_test_resnet", "fcos_test_resnet"])
def test_the_focal_prior_gives_each_class_a_hundredth_at_first(architecture):
    head = build(architecture).network.head.classification_head
    torch.testing.assert_close(head.cls_logits.bias.sigmoid(), torch.full_like(head.cls_logits.bias, 0.01))


@pytest.mark.parametrize("architecture", ["retinanet_test_resnet", "fcos_test_resnet"])
def test_another_prior_is_the_first_probability_of_each_class(architecture):
    head = build(architecture, prior=0.5).network.head.classification_head
    torch.testing.assert_close(head.cls_logits.bias.sigmoid(), torch.full_like(head.cls_logits.bias, 0.5))


def test_heads_without_normalisation_are_for_a_retinanet_from_random_weights_and_come_back(tmp_path):
    with pytest.raises(ModelError, match="head_norm is for RetinaNet with learned normalisation, not for fcos_test"):
        build("fcos_test_resnet", head_norm=False)
    path = saved(tmp_path / "d.safetensors", build("retinanet_test_resnet", head_norm=False))
    assert load(path)[0].design.norm == "body"
    assert build("retinanet_test_resnet", init=path).design.norm == "body"


def test_a_prior_needs_a_new_predictor_of_a_focal_loss(tmp_path):
    with pytest.raises(ModelError, match="no new focal predictor in faster_rcnn_test_resnet"):
        build("faster_rcnn_test_resnet", prior=0.5)
    path = saved(tmp_path / "d.safetensors", build("retinanet_test_resnet"))
    with pytest.raises(ModelError, match="no new focal predictor in retinanet_test_resnet from this init"):
        build("retinanet_test_resnet", init=path, prior=0.5)
    new = build("retinanet_test_resnet", classes=("RBC", "LY"), init=path, prior=0.5)
    assert not new.network.head.classification_head.cls_logits.bias.any()
    with pytest.raises(ModelError, match="prior is 1; give a number above 0 and below 1"):
        build("retinanet_test_resnet", prior=1)


def test_the_heads_of_a_random_retinanet_normalise_and_those_of_published_weights_do_not(monkeypatch):
    def groups(model):
        return sum(isinstance(part, nn.GroupNorm) for part in model.network.head.modules())

    assert groups(build("retinanet_test_resnet")) == 8
    assert groups(build("retinanet_test_resnet", head_norm=False)) == 0
    monkeypatch.setattr(weights, "imagenet", lambda name: timm.create_model(name, num_classes=0).state_dict())
    assert groups(build("retinanet_test_resnet", init="imagenet-backbone")) == 0


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("yolo_resnet50", {}, "no detector 'yolo_resnet50'; there are ssd300_vgg16, ssdlite_mobilenet, yolox"),
        ("faster_rcnn_resnet51", {}, "no detector 'faster_rcnn_resnet51'"),
        ("faster_rcnn_test_vit", {}, "test_vit makes maps of strides 16, .*convnext_atto"),
        ("faster_rcnn_test_resnet", {"finest_stride": 3}, "strides 2, 4, 8, 16, 32, asked for a pyramid from 3 on"),
        ("faster_rcnn_mobilenet", {"finest_stride": 2}, "mobilenet makes maps of strides 4, 8, 16, 32, asked .* 2 on"),
        ("ssd300_vgg16", {"image_px": (512, 512)}, r"image_px of ssd300_vgg16 is \(300, 300\), asked for \(512, 512\)"),
        ("ssdlite_mobilenet", {"finest_stride": 8}, "finest_stride of ssdlite_mobilenet is None, asked for 8; leave"),
        ("fcos_test_resnet", {"anchor_px": 16}, "anchor_px of fcos_test_resnet is None, asked for 16; leave it out"),
        ("yolox_test_resnet", {"channels": 64}, "channels of yolox_test_resnet is None, asked for 64; leave it out"),
        ("fcos_test_resnet", {"channels": 100}, "channels is 100; give a multiple of 32"),
        ("faster_rcnn_test_resnet", {"classes": ()}, r"the classes are \[\]; give at least one"),
        ("faster_rcnn_test_resnet", {"classes": ("RBC", "RBC")}, "each once"),
        ("faster_rcnn_test_resnet", {"trainable": "some"}, "trainable is 'some'; allowed are all, last, head"),
        ("faster_rcnn_test_resnet", {"trainable": "head"}, "'head' would hold random weights fixed; choose all, or"),
        ("faster_rcnn_test_resnet", {"init": "imagenet"}, "'imagenet' is neither random, coco, imagenet-backbone nor"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_named(architecture, options, message):
    with pytest.raises(ModelError, match=message):
        build_detector(architecture, **({"classes": CLASSES} | options))


# ---- where their weights come from


def published_file(folder, enum, tensors):
    path = folder / enum.url.rpartition("/")[2]
    torch.save(tensors, path)
    return path


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Set up a machine without a network and without weights."""

    def head(*_, **__):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "head", head)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv("WBC_WEIGHTS", raising=False)


@pytest.mark.parametrize(
    ("architecture", "init", "file"),
    [
        ("faster_rcnn_resnet50", "coco", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"),
        ("faster_rcnn_mobilenet", "imagenet-backbone", "mobilenet_v3_large-8738ca79.pth"),
        ("ssd300_vgg16", "imagenet-backbone", "vgg16_features-amdegroot-88682ab5.pth"),
    ],
)
@pytest.mark.usefixtures("nowhere")
def test_without_a_network_the_error_lists_the_alternatives(architecture, init, file, monkeypatch, tmp_path):
    with pytest.raises(ModelError, match=f"no published weights {file}: WBC_WEIGHTS is not set, .*no route") as caught:
        build_detector(architecture, CLASSES, init)
    for word in ("set WBC_WEIGHTS", "init random", "init the path", "notebook 03, 05 or 07"):
        assert word in str(caught.value)
    monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match=re.escape(f"WBC_WEIGHTS ({tmp_path}) has no {file}")):
        build_detector(architecture, CLASSES, init)


@pytest.mark.usefixtures("nowhere")
def test_a_published_file_in_the_folder_of_weights_is_taken(monkeypatch, tmp_path):
    enum = COCO["ssdlite_mobilenet"][0]
    whole = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91).state_dict()
    published_file(tmp_path, enum, whole)
    monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path))
    model = build("ssdlite_mobilenet", init="coco")
    assert (model.init, model.design.norm) == ("coco", "learned")
    for name, value in model.network.state_dict().items():
        predictor = re.search(r"classification_head\.module_list\.\d\.1\.", name)
        assert predictor or torch.equal(value, whole[name])
    assert model.network.head.classification_head.num_columns == 3


@pytest.mark.usefixtures("nowhere")
def test_a_damaged_published_file_is_named(monkeypatch, tmp_path):
    (tmp_path / COCO["ssdlite_mobilenet"][0].url.rpartition("/")[2]).write_bytes(b"not a checkpoint")
    monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"ssdlite320_.*\.pth is no file of tensors \(UnpicklingError\); put the published"
    ):
        build("ssdlite_mobilenet", init="coco")


def test_weights_from_coco_see_what_torchvision_sees_with_them(monkeypatch):
    """The weights were trained with ε = 0; the names are those before torchvision renamed the head."""
    reference = detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=91)
    with_statistics(reference)
    for part in reference.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 0.0
    old = {re.sub(r"(head\..*conv)\.(\d)\.0\.", lambda m: f"{m[1]}.{2 * int(m[2])}.", name): value
           for name, value in reference.state_dict().items() if "num_batches" not in name}  # fmt: skip
    assert "head.regression_head.conv.6.bias" in old
    monkeypatch.setattr(detector_weights, "published", lambda _: old)
    model = build("retinanet_resnet50", init="coco").eval()
    assert model.design.norm == "frozen"
    assert not [name for name, _ in model.network.backbone.body.named_parameters() if "bn" in name]
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps, expected = (list(network.backbone(image).values()) for network in (model.network, reference))
        boxes, same = (net.head.regression_head(expected) for net in (model.network, reference))
    for one, other in zip(maps, expected, strict=True):
        assert float((one - other).abs().max()) < 1e-4 * float(other.abs().max())
    assert torch.equal(boxes, same)
    bias = model.network.head.classification_head.cls_logits.bias
    assert bias.shape == (9 * 2,)
    assert float(bias[0].detach()) == pytest.approx(-math.log(99))


@pytest.mark.parametrize("architecture", ["faster_rcnn_test_resnet", "retinanet_mobilenet"])
def test_an_architecture_without_weights_from_coco_says_which_have_some(architecture):
    with pytest.raises(ModelError, match=f"no weights of {architecture} from COCO, only of faster_rcnn_resnet50, "):
        build(architecture, init="coco")


def test_a_pyramid_of_another_stride_does_not_fit_weights_from_coco(monkeypatch):
    monkeypatch.setattr(detector_weights, "published", lambda _: {"never": "read"})
    with pytest.raises(ModelError, match="finest_stride of faster_rcnn_mobilenet with weights from COCO is 32, asked"):
        build("faster_rcnn_mobilenet", init="coco", finest_stride=8)


def test_a_mobilenet_from_imagenet_sees_what_the_classifier_sees(monkeypatch):
    classifier = with_statistics(models.mobilenet_v3_large(weights=None))
    assert classifier.features[0][1].eps == IMAGENET["mobilenet"][1] == 1e-3
    monkeypatch.setattr(detector_weights, "published", lambda _: classifier.state_dict())
    model = build("faster_rcnn_mobilenet", init="imagenet-backbone", finest_stride=8).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = list(model.network.backbone.body(image).values())[-1]
        torch.testing.assert_close(coarsest, classifier.features(image), rtol=1e-3, atol=1e-6)
    assert model.init == "imagenet backbone"


def test_a_vgg_from_imagenet_sees_what_the_classifier_sees(monkeypatch):
    layers = make_layers(cfgs["D"], batch_norm=False)
    tensors = {f"features.{name}": value for name, value in layers.state_dict().items()}
    monkeypatch.setattr(detector_weights, "published", lambda _: tensors)
    model = build("ssd300_vgg16", init="imagenet-backbone").eval()
    backbone, image = model.network.backbone, torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        fine = backbone.features(image)
        torch.testing.assert_close(fine, layers[:23](image))
        torch.testing.assert_close(backbone.extra[0][:7](fine), layers[23:30](layers[:23](image)))
    assert model.design.norm == "none"


def test_a_network_of_timm_from_imagenet_is_taken_with_its_constants(monkeypatch):
    published = with_statistics(timm.create_model("test_resnet", num_classes=0))
    monkeypatch.setattr(weights, "imagenet", lambda name: published.state_dict())
    model = build("faster_rcnn_test_resnet", init="imagenet-backbone").eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = list(model.network.backbone.body(image).values())[-1]
        torch.testing.assert_close(coarsest, published.forward_features(image))
    assert model.design.mean == tuple(published.pretrained_cfg["mean"])


def test_an_ssdlite_has_no_backbone_from_imagenet():
    with pytest.raises(ModelError, match=r"thinner last stage .* choose init coco, random or a path"):
        build("ssdlite_mobilenet", init="imagenet-backbone")


@pytest.mark.parametrize("architecture", ["retinanet_test_resnet", "fcos_test_convnext"])
def test_the_backbone_of_notebook_03_is_the_body(tmp_path, architecture):
    name = split(architecture)[1]
    classifier = with_statistics(saved_classifier(tmp_path / "net.safetensors", name))
    weights.save(
        tmp_path / "net.safetensors", classifier, ModelCard(**classifier.identity(), **OF_CLASSIFIER)
    )  # with its statistics
    model = build(architecture, init=tmp_path / "net.safetensors").eval()
    assert model.init == "in-domain backbone: net.safetensors"
    assert (model.design.mean, model.design.norm) == ((0.5, 0.5, 0.5), "learned")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = list(model.network.backbone.body(image).values())[-1]
        expected = classifier.backbone.forward_intermediates(image, intermediates_only=True)[-1]
    torch.testing.assert_close(coarsest, expected)


def test_timms_resnet50_is_torchvisions(monkeypatch):
    classifier = backbones.build("resnet50", ("BL", "EO"))
    with_statistics(classifier.backbone)
    card = ModelCard(**classifier.identity(), **OF_CLASSIFIER)
    monkeypatch.setattr(weights, "read", lambda _: (classifier.state_dict(), card))
    model = build("faster_rcnn_resnet50", init="resnet50.safetensors").eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = list(model.network.backbone.body(image).values())[-1]
        torch.testing.assert_close(coarsest, classifier.backbone.forward_features(image))


@pytest.mark.parametrize(
    ("saved_as", "options", "architecture"),
    [
        ("test_resnet", {}, "faster_rcnn_test_convnext"),
        ("test_resnet", {"stem_stride": 1}, "faster_rcnn_test_resnet"),
        ("test_efficientnet", {}, "faster_rcnn_mobilenet"),
        ("test_resnet", {}, "ssdlite_mobilenet"),
    ],
)
def test_a_backbone_that_is_another_network_is_refused(tmp_path, saved_as, options, architecture):
    saved_classifier(tmp_path / "net.safetensors", saved_as, **options)
    message = f"holds a classifier on {saved_as}.* not the body of {architecture}. .* fits faster_rcnn_{saved_as}"
    with pytest.raises(ModelError, match=message):
        build(architecture, init=tmp_path / "net.safetensors")


def test_an_ssd_on_a_network_of_timm_has_the_maps_and_anchors_of_the_published_one():
    found, published = (build(name).network.eval() for name in ("ssd300_test_resnet", "ssd300_vgg16"))
    with torch.no_grad():
        sides = [
            [tuple(one.shape[-2:]) for one in network.backbone(torch.rand(1, 3, 300, 300)).values()]
            for network in (found, published)
        ]
    assert sides[0] == sides[1] == [(side, side) for side in (38, 19, 10, 5, 3, 1)]
    for name in ("scales", "aspect_ratios", "steps"):
        assert getattr(found.anchor_generator, name) == getattr(published.anchor_generator, name)


def test_an_ssd_takes_the_body_of_a_classifier(tmp_path):
    saved_classifier(tmp_path / "net.safetensors", "test_resnet")
    model = build("ssd300_test_resnet", init=tmp_path / "net.safetensors")
    assert model.init == "in-domain backbone: net.safetensors"


@pytest.mark.parametrize("architecture", ["ssd300_resnet50", "ssd300_mobilenet", "ssd300_vit"])
def test_an_ssd_stands_on_networks_of_timm_only(architecture):
    with pytest.raises(ModelError, match=rf"no detector '{architecture}'.* likewise ssd300 with a network in timm"):
        build(architecture)


@pytest.mark.parametrize("architecture", ["retinanet_test_resnet", "ssdlite_mobilenet", "ssd300_test_resnet"])
def test_a_saved_detector_comes_back_with_its_predictions_and_card(tmp_path, architecture):
    model = build(architecture)
    with_statistics(model.network.backbone)
    path = saved(tmp_path / "net.safetensors", model.eval())
    found, card = load(path)
    images, _ = scene()
    with torch.no_grad():
        for one, other in zip(found.detect(images), model.detect(images), strict=True):
            assert all(torch.equal(one[name], other[name]) for name in ("boxes", "labels", "scores"))
    assert not found.training
    assert (card.design, card.thresholds) == (model.design, CARD["thresholds"])
    assert {path.name for path in tmp_path.iterdir()} == {"net.safetensors", "net.md"}
    page = (tmp_path / "net.md").read_text(encoding="utf-8")
    for text in (architecture, "RBC 0.5, WBC 0.7", "IoU 0.45, within classes", "cbc (MIT; train 300", "0.9"):
        assert text in page


@pytest.mark.parametrize("classes", [CLASSES, ("RBC", "WBC", "Platelets"), ("WBC", "RBC")])
def test_a_detector_begins_with_another_and_keeps_its_predictor_for_equal_classes_only(tmp_path, classes):
    begun = build("retinanet_test_resnet", anchor_px=20)
    path = saved(tmp_path / "cbc.safetensors", begun)
    model = build_detector("retinanet_test_resnet", classes, path)
    assert model.init == "in-domain: cbc.safetensors"
    assert (model.design.image_px, model.design.anchor_px) == ((64, 96), 20)
    before, after = begun.network.state_dict(), model.network.state_dict()
    assert before.keys() == after.keys()
    differing = {name for name in before if not torch.equal(before[name], after[name])}
    expected = set() if classes == CLASSES else {"head.classification_head.cls_logits.weight"}
    assert differing - {"head.classification_head.cls_logits.bias"} == expected
    assert build_detector("retinanet_test_resnet", classes, path, image_px=(32, 48)).design.image_px == (32, 48)


def test_a_detector_of_other_shape_or_no_detector_is_refused(tmp_path):
    path = saved(tmp_path / "net.safetensors", build("retinanet_test_resnet"))
    with pytest.raises(ModelError, match="holds a retinanet_test_resnet, asked for a fcos_test_resnet; ask for"):
        build("fcos_test_resnet", init=path)
    with pytest.raises(ModelError, match=r"holds other tensors .*\.fpn\..*, and leave finest_stride out"):
        build("retinanet_test_resnet", init=path, finest_stride=16)
    with pytest.raises(ModelError, match="there are no weights at"):
        build("retinanet_test_resnet", init=tmp_path / "nothing.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    with pytest.raises(ModelError, match=r"noise\.safetensors is no safetensors file"):
        build("retinanet_test_resnet", init=tmp_path / "noise.safetensors")
    saved_classifier(tmp_path / "cells.safetensors", "test_resnet")
    with pytest.raises(ModelError, match=r"cells\.safetensors is no detector's weights"):
        load(tmp_path / "cells.safetensors")
    with pytest.raises(ModelError, match=r"nothing\.safetensors does not exist"):
        load(tmp_path / "nothing.safetensors")


def test_a_file_with_a_missing_tensor_or_a_foreign_card_is_refused(tmp_path):
    model = build("ssdlite_mobilenet")
    path = saved(tmp_path / "net.safetensors", model)
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = safetensors.torch.load_file(path)
    tensors.pop("backbone.extra.0.0.0.weight")
    safetensors.torch.save_file(tensors, path, metadata=header)
    with pytest.raises(ModelError, match=r"1 differ, such as backbone\.extra\.0\.0\.0\.weight"):
        load(path)
    safetensors.torch.save_file(tensors, path, metadata={"detector": "{}"})
    with pytest.raises(ModelError, match=r"the card in .* does not read"):
        load(path)


def test_a_card_of_another_detector_and_another_suffix_are_refused(tmp_path):
    model = build("ssdlite_mobilenet")
    card = DetectorCard(design=model.design.model_copy(update={"classes": ("RBC",)}), init="random", **CARD)
    with pytest.raises(ModelError, match=r"describes another detector; fill it with model\.design"):
        detector_weights.save(tmp_path / "net.safetensors", model, card)
    with pytest.raises(ModelError, match=r"net\.pth does not end in \.safetensors"):
        saved(tmp_path / "net.pth", model)
    assert not list(tmp_path.iterdir())


# ---- what learns, and what is said


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return detectors to begin with, by architecture."""
    folder = tmp_path_factory.mktemp("starts")
    names = ("retinanet_test_resnet", "ssdlite_mobilenet", "retinanet_mobilenet")
    return {name: saved(folder / f"{name}.safetensors", build(name)) for name in names}


@pytest.mark.parametrize(
    ("architecture", "last"),
    [
        ("retinanet_test_resnet", "backbone.body.network.layer4."),
        ("ssdlite_mobilenet", "backbone.features.1."),
        ("retinanet_mobilenet", r"backbone.body.1[3-6]."),
    ],
)
@pytest.mark.parametrize("trainable", ["all", "last", "head"])
def test_only_what_is_asked_for_learns_and_the_rest_keeps_its_statistics(start, architecture, last, trainable):
    model = build(architecture, init=start[architecture], trainable=trainable)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    model.train()
    images, targets = scene()
    optimizer = torch.optim.SGD(model.parameter_groups(0.0), lr=0.1)
    sum(model.losses(images, targets).values()).backward()
    optimizer.step()
    changed = {name for name, value in model.network.state_dict().items() if not torch.equal(value, before[name])}
    body = "backbone.features." if architecture.startswith("ssd") else "backbone.body."
    below = {name for name in changed if name.startswith(body)}
    assert changed - below
    if trainable == "head":
        assert not below
    elif trainable == "last":
        assert below
        assert all(re.match(last, name) for name in below)
        assert any(name.endswith("running_mean") for name in below)
    else:
        assert any(not re.match(last, name) for name in below)
    grouped = sum(weight.numel() for group in model.parameter_groups(0.0) for weight in group["params"])
    assert grouped == sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def test_a_body_frozen_for_a_while_stays_with_the_optimiser():
    model = build("retinanet_test_resnet")
    free = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    model.freeze_backbone(True)
    model.train()
    body = model.network.backbone.body
    assert not any(weight.requires_grad for weight in body.parameters())
    assert not any(part.training for part in body.modules())
    assert model.network.head.training
    assert sum(weight.numel() for group in model.parameter_groups(0.1) for weight in group["params"]) == free
    model.freeze_backbone(False)
    assert sum(weight.numel() for weight in model.parameters() if weight.requires_grad) == free
    assert body.training


def test_biases_and_one_dimensional_weights_do_not_decay():
    decaying, others = build("retinanet_test_resnet").parameter_groups(0.1)
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert all(weight.ndim > 1 for weight in decaying["params"])
    assert all(weight.ndim == 1 for weight in others["params"])


@pytest.mark.parametrize("architecture", TINY)
def test_losses_in_evaluation_mode_leave_mode_and_statistics_as_they_were(architecture):
    model = build(architecture).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        losses = model.losses(*scene())
    assert all(value.isfinite() for value in losses.values())
    assert not any(part.training for part in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_faster_rcnn_has_the_four_losses_of_report_002():
    model = build("faster_rcnn_test_resnet")
    expected = {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    assert set(model.losses(*scene())) == expected


@pytest.mark.parametrize("architecture", TINY)
def test_raw_predictions_are_not_suppressed_and_the_settings_are_put_back(architecture):
    model = build(architecture).eval()
    images, _ = scene()
    asked = getattr(model.network, "roi_heads", model.network)
    before = (asked.score_thresh, asked.nms_thresh, asked.detections_per_img)
    assert asked.detections_per_img == 300
    with torch.no_grad():
        raw, fewer = model.detect(images, most=10**6), model.detect(images, nms_iou=0.05, most=10**6)
    assert (asked.score_thresh, asked.nms_thresh, asked.detections_per_img) == before
    for one, other in zip(raw, fewer, strict=True):
        assert len(other["scores"]) < len(one["scores"])
        assert one["scores"].min() > 0.001
        assert set(other["scores"].tolist()) <= set(one["scores"].tolist())


def test_the_settings_are_put_back_after_an_error():
    model = build("retinanet_test_resnet").eval()
    with pytest.raises(ValueError, match="3d tensors"):
        model.detect([torch.rand(64, 64)], score=0.9)
    assert model.network.score_thresh == 0.05


def test_proposals_bound_what_the_second_stage_judges():
    model = build("faster_rcnn_test_resnet", proposals=3).eval()
    with torch.no_grad():
        found = model.detect([torch.rand(3, 64, 64)], score=0.0)
    maps = 5  # each proposes
    assert len(found[0]["boxes"]) <= 3 * len(CLASSES)
    assert model.network.rpn.pre_nms_top_n() * maps == 15
