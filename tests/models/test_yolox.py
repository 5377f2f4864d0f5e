"""YOLOX: what it is built of, what it learns from, and what it says when asked."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import box_iou

from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.manifest import Metric
from wbc_utils.models import ModelError, backbones, detector_weights, weights
from wbc_utils.models.card import ModelCard, TrainingData
from wbc_utils.models.detection import build_detector, load
from wbc_utils.models.detector_networks import YOLOX_S, split
from wbc_utils.models.detector_weights import DetectorCard
from wbc_utils.models.yolox import decode, grid, losses
from wbc_utils.models.yolox_layers import PRIOR

CLASSES = ("RBC", "WBC")
SMALL = {"image_px": (64, 96)}
CARD = {
    "data": (TrainingData(name="cbc", licence="MIT", digest="0" * 64, splits={"train": 300}),),
    "metrics": {"cbc.ap50": Metric(value=0.9, ci=(0.8, 0.95), n=60, split="test", init="random")},
    "licence": "MIT", "seed": 0, "commit": "c0ffee", "versions": {}, "intended_use": "Tests.", "limits": "All.",
}  # fmt: skip
OF_DETECTOR = {"thresholds": {"RBC": 0.5, "WBC": 0.7}, "nms_iou": 0.45, "agnostic": False}
OF_CLASSIFIER = {"image_px": 32, "field_cells": 2.0, "cell_px": 16.0, "temperature": 1.0, "views": 1}


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def model():
    return build_detector("yolox_test_resnet", CLASSES, **SMALL)


def scene(size=(64, 96)):
    """Return an image with a box, one of another size without, and their targets."""
    targets = [{"boxes": torch.tensor([[10.0, 10, 50, 50]]), "labels": torch.tensor([2])}]
    targets.append({"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)})
    return [torch.rand(3, *size), torch.rand(3, 80, 64)], targets


def seen(model, images, **options):
    with torch.no_grad():
        return model.eval().detect(images, **({"score": 0.0} | options))


# ---- what it is built of


@pytest.mark.parametrize(
    ("architecture", "channels", "millions"),
    [("yolox_s", (128, 256, 512), 8.97), ("yolox_tiny", (96, 192, 384), 5.06)],  # YOLOX, tables 4 and 5
)
def test_small_and_tiny_have_the_published_channels_and_about_the_published_size(architecture, channels, millions):
    with torch.device("meta"):
        network = build_detector(architecture, list(map(str, range(80)))).network
    assert network.backbone.channels == channels
    assert network.strides == (8, 16, 32)
    found = sum(weight.numel() for weight in network.parameters()) / 1e6
    assert found == pytest.approx(millions, rel=0.1)  # timm's body thins its maps with fewer channels


def test_the_small_one_stands_on_a_network_of_timm():
    assert split("yolox_s") == split(f"yolox_{YOLOX_S}") == ("yolox", YOLOX_S)


@pytest.mark.parametrize(
    ("architecture", "finest", "strides"),
    [
        ("yolox_test_resnet", None, [8, 16, 32]),
        ("yolox_test_resnet", 4, [4, 8, 16, 32]),
        ("yolox_test_resnet", 32, [32]),
        ("yolox_mobilenet", 16, [16, 32]),
        ("yolox_mobilenet", 32, [32]),
    ],
)
def test_the_pyramid_begins_at_the_stride_asked_for_and_keeps_the_channels_of_the_body(architecture, finest, strides):
    network = build_detector(architecture, CLASSES, finest_stride=finest).network.eval()
    with torch.no_grad():
        maps = network.backbone(torch.zeros(1, 3, 128, 128))
        body = network.backbone.body(torch.zeros(1, 3, 128, 128))
    assert [128 // found.shape[2] for found in maps.values()] == strides == list(network.strides)
    assert [found.shape for found in maps.values()] == [found.shape for found in body.values()]


def test_the_head_begins_with_a_hundredth_for_an_object_and_for_each_class(model):
    head = model.network.head
    for last in (*head.objectness, *head.classes):
        torch.testing.assert_close(last.bias.sigmoid(), torch.full_like(last.bias, PRIOR))


def test_it_has_no_anchors_and_sees_images_of_the_published_size():
    assert build_detector("yolox_tiny", CLASSES).design.image_px == (416, 416)
    design = build_detector("yolox_test_resnet", CLASSES).design
    assert (design.image_px, design.anchor_px, design.background) == ((640, 640), None, False)
    with pytest.raises(ModelError, match="anchor_px of yolox_test_resnet is None, asked for 16; leave it out"):
        build_detector("yolox_test_resnet", CLASSES, anchor_px=16)


# ---- pixels, boxes and losses by hand


def test_points_are_the_middles_of_pixels_map_by_map():
    points, strides = grid({"0": torch.zeros(1, 5, 1, 2), "1": torch.zeros(1, 5, 1, 1)}, (8, 16))
    assert points.tolist() == [[4, 4], [12, 4], [8, 8]]
    assert strides.tolist() == [8, 8, 16]


def test_boxes_are_decoded_from_the_corner_of_their_pixel_in_strides():
    said = torch.tensor([[0.5, 0.5, 0, 0], [0, 1, math.log(2), math.log(3)]])
    found = decode(said, torch.tensor([[4.0, 4], [24, 8]]), torch.tensor([8.0, 16]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0, 8, 8], [0, -8, 32, 40]]))


def test_boxes_move_and_grow_with_their_pixel():
    said, points, strides = torch.randn(2, 5, 4), torch.rand(5, 2) * 50, torch.full((5,), 8.0)
    found = decode(said, points, strides)
    moved = decode(said, points + torch.tensor([16.0, -8]), strides)
    torch.testing.assert_close(moved, found + torch.tensor([16.0, -8, 16, -8]))
    torch.testing.assert_close(decode(said, points * 4, strides * 4), found * 4)


def by_hand(boxes, objectness, classes, truth, labels):
    """Return the losses of one image of 32 × 32 px, predictions at stride 8."""
    points, strides = grid({"0": torch.zeros(1, 1, 4, 4)}, (8,))
    said = torch.cat([torch.zeros(16, 4), objectness[:, None], classes], dim=1)[None]
    target = {"boxes": torch.tensor(truth).reshape(-1, 4), "labels": torch.tensor(labels, dtype=torch.int64)}
    return losses(said, boxes[None], points, strides, [target])


def test_the_losses_of_perfect_predictions_are_zero():
    truth, boxes = [8.0, 8, 24, 24], torch.rand(16, 4) / 10
    boxes[:, 2:] += 0.2
    objectness, classes = torch.full((16,), -40.0), torch.full((16, 2), -40.0)
    boxes[5], objectness[5], classes[5, 1] = torch.tensor(truth), 40.0, 40.0
    found = by_hand(boxes, objectness, classes, truth, [1])
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {"classification": 0, "bbox_regression": 0, "objectness": 0}, abs=1e-6
    )


def test_boxes_learn_by_generalised_iou_and_classes_learn_the_overlap():
    """Of 16 × 16 px a half is covered and the hull is the true box: GIoU = IoU = ½."""
    boxes, objectness, classes = torch.zeros(16, 4), torch.full((16,), -40.0), torch.zeros(16, 2)
    boxes[:, 2:] = 0.1
    boxes[5], objectness[5] = torch.tensor([8.0, 8, 24, 16]), 40.0
    found = by_hand(boxes, objectness, classes, [8.0, 8, 24, 24], [0])
    assert float(found["bbox_regression"]) == pytest.approx(5 * 0.5)
    assert float(found["classification"]) == pytest.approx(2 * math.log(2))  # −½ log ½ − ½ log ½, and − log ½
    assert float(found["objectness"]) == pytest.approx(0, abs=1e-6)
    boxes[5] = torch.tensor([24.0, 8, 40, 24])  # beside the true box: IoU 0, and the hull is filled
    assert float(by_hand(boxes, objectness, classes, [8.0, 8, 24, 24], [0])["bbox_regression"]) == pytest.approx(5)
    boxes[5] = torch.tensor([40.0, 8, 56, 24])  # a gap of a third of the hull, so that GIoU = −⅓
    boxes = boxes[5].expand(16, 4)  # whichever is taken
    found = by_hand(boxes, objectness, classes, [8.0, 8, 24, 24], [0])
    assert float(found["bbox_regression"]) == pytest.approx(5 * 4 / 3)


def test_without_boxes_only_objectness_is_learned():
    found = by_hand(torch.rand(16, 4), torch.zeros(16), torch.zeros(16, 2), [], [])
    assert (float(found["classification"]), float(found["bbox_regression"])) == (0, 0)
    assert float(found["objectness"]) == pytest.approx(16 * math.log(2))


# ---- the whole detector


@pytest.mark.parametrize("architecture", ["yolox_test_resnet", "yolox_tiny"])
def test_it_trains_on_images_of_any_size_and_without_boxes(architecture):
    model = build_detector(architecture, CLASSES, **SMALL)
    images, targets = scene()
    for some in (targets, targets[1:] * 2):
        found = model.losses(images, some)
        assert list(found) == ["loss_classification", "loss_bbox_regression", "loss_objectness"]
        assert torch.stack(list(found.values())).isfinite().all()
        sum(found.values()).backward()
    assert all(weight.grad is not None for weight in model.network.head.parameters())
    assert any(weight.grad.abs().sum() > 0 for weight in model.network.backbone.body.parameters())


def test_detections_are_clipped_ordered_and_as_many_as_asked_for(model):
    images, _ = scene(size=(128, 150))
    found = seen(model, images, most=7)
    for image, one in zip(images, found, strict=True):
        assert len(one["boxes"]) == len(one["scores"]) == 7
        assert set(one["labels"].tolist()) <= {1, 2}
        assert (one["scores"].diff() <= 0).all()
        assert (one["boxes"] >= 0).all()
        assert (one["boxes"] <= torch.tensor([image.shape[2], image.shape[1]] * 2) + 1e-3).all()
    everything = seen(model, images, most=10**6)
    assert len(everything[0]["boxes"]) == 2 * (12**2 + 6**2 + 3**2)  # two classes; 96 × 96 px with the padding
    assert len(seen(model, images, nms_iou=0.3)[0]["boxes"]) < len(everything[0]["boxes"])
    least = float(everything[0]["scores"][20])
    assert len(seen(model, images, score=least)[0]["boxes"]) == 20


def test_an_image_is_seen_alike_whatever_is_beside_it(model):
    images = list(torch.rand(3, 3, 64, 96))
    together = seen(model, images)
    for image, one in zip(reversed(images), reversed(together), strict=True):
        alone = seen(model, [image])[0]
        torch.testing.assert_close(alone["scores"], one["scores"])


def test_two_synthetic_fields_are_learned_by_heart():
    rng, images, targets = np.random.default_rng(0), [], []
    for whites in (["SNE"], ["LY", "EO"]):
        field = draw_field(rng, 96, 64, whites=whites, reds=3, platelets=0, scale=3)
        boxes = torch.tensor([one.box for one in field.objects if one.kind == "WBC"], dtype=torch.float32)
        images.append(torch.from_numpy(field.image).permute(2, 0, 1) / 255)
        targets.append({"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)})
    model = build_detector("yolox_test_resnet", ["WBC"], **SMALL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    history = []
    for _ in range(100):
        parts = model.losses(images, targets)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        history.append({name: float(value.detach()) for name, value in parts.items()})
    assert history[-1]["loss_objectness"] < 0.1 * history[0]["loss_objectness"]
    assert history[-1]["loss_bbox_regression"] < 0.25 * history[0]["loss_bbox_regression"]
    for one, target in zip(seen(model, images, score=0.3, nms_iou=0.5), targets, strict=True):
        assert len(one["boxes"]) == len(target["boxes"])
        assert box_iou(one["boxes"], target["boxes"]).amax(dim=0).min() > 0.75


def test_half_precision_gives_about_the_same_losses(model):
    images, targets = scene()
    full = model.eval().losses(images, targets)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.losses(images, targets)
    for name, value in full.items():
        assert half[name].dtype == torch.float32
        assert float(half[name].detach()) == pytest.approx(float(value.detach()), rel=0.1)


def test_losses_in_evaluation_mode_leave_the_statistics(model):
    before = {name: value.clone() for name, value in model.eval().state_dict().items()}
    model.losses(*scene())
    assert not model.network.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("trainable", ["last", "head"])
def test_what_does_not_learn_is_held(model, trainable):
    model.trainable = trainable
    model.freeze_backbone(False)
    model.train()
    body = model.network.backbone.body
    last = body.network.get_submodule(body.network.feature_info[-1]["module"])
    assert all(weight.requires_grad is (trainable == "last") for weight in last.parameters())
    assert not next(body.parameters()).requires_grad
    assert not body.network.bn1.training
    assert model.network.backbone.pooling.enter.conv.weight.requires_grad


# ---- where its weights come from


def saved(path, model):
    detector_weights.save(path, model, DetectorCard(design=model.design, init=model.init, **OF_DETECTOR, **CARD))
    return path


def test_a_saved_one_comes_back_with_its_predictions(model, tmp_path):
    for part in model.network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_var.uniform_(0.5, 2)
    images, _ = scene()
    found, card = load(saved(tmp_path / "net.safetensors", model))
    assert card.design == model.design
    for one, other in zip(seen(found, images), seen(model, images), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("boxes", "labels", "scores"))


def test_for_other_classes_all_but_their_predictor_is_taken_over(model, tmp_path):
    path = saved(tmp_path / "net.safetensors", model)
    found = build_detector("yolox_test_resnet", ("WBC",), path)
    assert found.design.image_px == model.design.image_px
    kept = model.network.state_dict()
    differing = {name for name, value in found.network.state_dict().items() if not torch.equal(value, kept[name])}
    assert differing
    assert all(name.startswith("head.classes.") for name in differing)


def test_the_backbone_of_a_classifier_is_the_body(tmp_path):
    classifier = backbones.build("test_resnet", ("BL", "EO"))
    path = tmp_path / "net.safetensors"
    weights.save(path, classifier, ModelCard(**classifier.identity(), **OF_CLASSIFIER, **(CARD | {"data": ()})))
    found = build_detector("yolox_test_resnet", CLASSES, path)
    assert found.init == "in-domain backbone: net.safetensors"
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        coarsest = list(found.eval().network.backbone.body(image).values())[-1]
        torch.testing.assert_close(coarsest, classifier.eval().backbone.forward_features(image))


def test_for_the_tiny_one_nothing_is_published():
    with pytest.raises(ModelError, match="nobody publishes the body of yolox_tiny; choose yolox_s, or init random"):
        build_detector("yolox_tiny", CLASSES, "imagenet-backbone")
    with pytest.raises(ModelError, match="no weights of yolox_tiny from COCO"):
        build_detector("yolox_tiny", CLASSES, "coco")
