"""Training of detectors: mirrored batches, validation, alarms and resumed trainings; what a trained one sees."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from boxes import COORDINATES, table

from wbc_utils import detection
from wbc_utils.detection import DetectionRecipe, DetectionTask, predict_boxes, train
from wbc_utils.fit import DivergenceError, FitError, fit
from wbc_utils.models import ModelError
from wbc_utils.models.boxed_images import BoxedImages
from wbc_utils.models.detection import build_detector
from wbc_utils.models.tuning import tune

CLASSES = ("RBC", "WBC")
COLOURS = {"RBC": (200, 60, 60), "WBC": (60, 60, 200)}
RECIPE = DetectionRecipe(
    architecture="retinanet_test_resnet", image_px=(32, 32), anchor_px=6, epochs=2, batch_size=2, learning_rate=1e-3,
    warmup_epochs=0.5, alarm_epochs=None, transpose=0.5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _thin_pyramids(monkeypatch):
    monkeypatch.setattr("wbc_utils.models.detector_init._CHANNELS", 64)


def draw(number, seed=0, cells=(1, 3), size=(64, 64)):
    """Return images of coloured squares of 12 to 20 px on white, one beside another."""
    rng = np.random.default_rng(seed)
    images, rows = {}, []
    for place in range(number):
        image = np.full((*size, 3), 240, dtype=np.uint8)
        slots = [(x, y) for y in range(0, size[0] - 21, 21) for x in range(0, size[1] - 21, 21)]
        for slot in rng.permutation(len(slots))[: rng.integers(*cells, endpoint=True)]:
            name, side = str(rng.choice(CLASSES)), int(rng.integers(12, 21))
            x, y = slots[slot]
            image[y : y + side, x : x + side] = COLOURS[name]
            rows.append((f"{place}.png", name, x, y, x + side, y + side))
        images[f"{place}.png"] = image
    return BoxedImages.of(images, table(*rows, scored=False), CLASSES)


def score(truth, predictions, images, classes):
    found = tune(predictions, truth, images, thresholds={name: [0.0] for name in classes}, nms_ious=[1.0])
    return {"validation_ap50": found.value, "validation_boxes": len(predictions)}


def never(truth, predictions, images, classes):
    return {"validation_ap50": 0.0}


@pytest.fixture(scope="module")
def images():
    return draw(4)


@pytest.fixture(scope="module")
def validation():
    return draw(2, seed=1)


@pytest.fixture
def make_task(images, validation):
    def make(recipe=RECIPE, images=images, seed=0, score=score):
        model = build_detector(recipe.architecture, CLASSES, image_px=recipe.image_px, anchor_px=recipe.anchor_px)
        return DetectionTask(model, images, validation, recipe, seed, "cpu", score)

    return make


@pytest.fixture
def learn(images, validation, tmp_path):
    def run(recipe=RECIPE, seed=0, folder=tmp_path / "checkpoints", images=images, score=score, name="net"):
        return train(name, images, validation, recipe, seed=seed, device="cpu", folder=folder, score=score)

    return run


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has the training interrupted at its n-th batch from now on, None for never."""
    true_loss = DetectionTask.loss

    def plan(batch):
        calls = iter(range(10**6))

        def loss(*arguments):
            if next(calls) == batch:
                raise KeyboardInterrupt
            return true_loss(*arguments)

        monkeypatch.setattr(DetectionTask, "loss", loss)

    return plan


def weights(fitted):
    return fitted.model.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---- images with boxes


def test_boxes_are_put_to_their_images_in_the_order_of_the_images():
    images = {"b": np.zeros((50, 60, 3), np.uint8), "a": np.zeros((20, 30, 3), np.uint8)}
    boxes = table(("a", "WBC", 1, 2, 3, 4), ("b", "RBC", 0, 0, 60, 50), ("a", "RBC", 5, 5, 9, 9), scored=False)
    found = BoxedImages.of(images, boxes, CLASSES)
    assert found.names == ("b", "a")
    assert [part.tolist() for part in found.boxes] == [[[0, 0, 60, 50]], [[1, 2, 3, 4], [5, 5, 9, 9]]]
    assert [part.tolist() for part in found.labels] == [[0], [1, 0]]
    assert found.counts.tolist() == [2, 1]
    expected = boxes.iloc[[1, 0, 2]].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.truth, expected, check_dtype=False)
    assert found.subset([1]).names == ("a",)
    assert len(found.subset([1, 0])) == 2


def test_an_image_without_boxes_is_one_and_trains(learn, images):
    empty = {"empty.png": np.full((64, 64, 3), 240, np.uint8)}
    shown = dict(zip(images.names, images.images, strict=True)) | empty
    both = BoxedImages.of(shown, images.truth, CLASSES)
    assert both.boxes[-1].shape == (0, 4)
    assert len(both.truth) == len(images.truth)
    assert np.isfinite(learn(replace(RECIPE, epochs=1), images=both).history["loss"]).all()


def test_images_of_different_sizes_train_together(learn, images):
    wide = draw(2, seed=5, size=(48, 96))
    shown = dict(zip(images.names, images.images, strict=True))
    shown |= {f"wide {name}": image for name, image in zip(wide.names, wide.images, strict=True)}
    boxes = pd.concat([images.truth, wide.truth.assign(image="wide " + wide.truth["image"])])
    both = BoxedImages.of(shown, boxes, CLASSES)
    assert np.isfinite(learn(replace(RECIPE, epochs=1, batch_size=6), images=both).history["loss"]).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", "WBC", 5, 5, 5, 9), r"1 of 1 true boxes have no area, the first is \[5.0, 5.0, 5.0, 9.0\] in a; drop"),
        (("a", "WBC", 9, 5, 5, 9), "no area"),
        (("a", "WBC", np.nan, 5, 5, 9), "a coordinate that is not a finite number"),
        (("a", "WBC", 5, 5, 31, 9), r"\[5.0, 5.0, 31.0, 9.0\] in a passes the border of 30 × 20 px; clip"),
        (("a", "WBC", -1, 5, 3, 9), "passes the border"),
        (("b", "WBC", 5, 5, 9, 9), r"boxes of 1 unknown image\(s\), such as 'b'"),
        (("a", "EO", 5, 5, 9, 9), r"boxes of 1 unknown class\(s\), such as 'EO'"),
    ],
)
def test_boxes_that_cannot_be_learned_from_are_named(row, message):
    with pytest.raises(ModelError, match=message):
        BoxedImages.of({"a": np.zeros((20, 30, 3), np.uint8)}, table(row, scored=False), CLASSES)


@pytest.mark.parametrize(
    ("shape", "kind"), [((20, 30), "u1"), ((20, 30, 4), "u1"), ((20, 30, 3), "f8"), ((0, 3, 3), "u1")]
)
def test_an_array_that_is_no_image_is_named(shape, kind, make_task):
    image = np.zeros(shape, dtype=kind)
    with pytest.raises(ModelError, match=r"a is .*; give RGB images, uint8 \(h, w, 3\)"):
        BoxedImages.of({"a": image}, table(scored=False), CLASSES)
    with pytest.raises(ModelError, match="a is "):
        predict_boxes(make_task().model, {"a": image})


def test_a_class_without_training_boxes_or_a_validation_without_any_is_refused(images, validation, make_task):
    truth, shown = images.truth, dict(zip(images.names, images.images, strict=True))
    red = BoxedImages.of(shown, truth[truth["class"] == "RBC"], CLASSES)
    with pytest.raises(ModelError, match=r"no training box of WBC: .*leave it out"):
        make_task(images=red)
    blank = BoxedImages.of({"a": np.zeros((9, 9, 3), np.uint8)}, table(scored=False), CLASSES)
    with pytest.raises(ModelError, match="no true box in 1 validation images"):
        DetectionTask(make_task().model, images, blank, RECIPE, 0, "cpu", score)


def test_a_batch_larger_than_the_training_part_is_refused_and_one_image_for_statistics_too(make_task):
    with pytest.raises(ModelError, match="4 training images do not fill a batch of 5; set batch_size to at most 4"):
        make_task(replace(RECIPE, batch_size=5))
    with pytest.raises(ModelError, match=r"ssdlite_mobilenet normalises maps of one pixel: a batch of 1 .* at least 2"):
        make_task(replace(RECIPE, architecture="ssdlite_mobilenet", image_px=None, anchor_px=None, batch_size=1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip": 1.1},
        {"transpose": -0.1},
        {"mosaic": 2.0},
        {"mixup": -0.5},
        {"plain_epochs": -1},
        {"alarm_epochs": 0},
        {"rois": 0},
        {"proposals": 0},
    ],
)
def test_a_number_out_of_range_is_named(wrong):
    with pytest.raises(FitError, match=f"{next(iter(wrong))} is .*; give a number from"):
        DetectionRecipe(**wrong)


# ---- batches


def test_an_epoch_shows_whole_batches_of_images_that_differ_in_another_order_each_time(make_task):
    task = make_task(replace(RECIPE, batch_size=3, flip=0.0, transpose=0.0), images=draw(7))
    shown = []
    for epoch in (0, 1):
        batches = list(task.batches(epoch))
        assert [len(images) for images, _ in batches] == [3, 3]
        assert task.steps() == 2
        pixels = [(image * 255).round().byte().permute(1, 2, 0).numpy() for images, _ in batches for image in images]
        places = [next(p for p, one in enumerate(task.train.images) if np.array_equal(one, image)) for image in pixels]
        assert len(set(places)) == 6
        for place, target in zip(places, (one for _, targets in batches for one in targets), strict=True):
            assert np.array_equal(target["boxes"].numpy(), task.train.boxes[place])
            assert (target["labels"] - 1).tolist() == task.train.labels[place].tolist()
        shown.append(places)
    assert shown[0] != shown[1]


@pytest.mark.parametrize("size", [(64, 64), (43, 90)])
def test_boxes_stay_on_their_cells_whichever_way_an_image_is_turned(make_task, size):
    """Every pixel of a box has the colour of its class, and no pixel of that colour is outside."""
    task = make_task(replace(RECIPE, flip=0.5), images=draw(8, seed=2, size=size))
    shapes = set()
    for epoch in range(4):
        for images, targets in task.batches(epoch):
            for image, target in zip(images, targets, strict=True):
                shapes.add(tuple(image.shape[1:]))
                expected = torch.full_like(image, 240 / 255)
                for (x, y, right, low), label in zip(target["boxes"].int().tolist(), target["labels"], strict=True):
                    colour = torch.tensor(COLOURS[CLASSES[label - 1]]) / 255
                    expected[:, y:low, x:right] = colour[:, None, None]
                torch.testing.assert_close(image, expected)
    assert shapes == {size, size[::-1]}


def test_images_are_mirrored_as_often_as_asked_for_and_each_by_itself(make_task):
    corner = np.zeros((8, 8, 3), np.uint8)
    corner[0, 1] = 255
    many = {str(n): corner for n in range(400)}
    boxes = table(*[(name, cell, 0, 0, 2, 1) for name in many for cell in CLASSES], scored=False)
    task = make_task(replace(RECIPE, batch_size=100, flip=0.4, transpose=0.25), BoxedImages.of(many, boxes, CLASSES))
    places = [tuple(image[0].nonzero()[0].tolist()) for images, _ in task.batches(0) for image in images]
    right = np.mean([max(place) > 3 and (place in {(0, 6), (7, 6), (6, 0), (6, 7)}) for place in places])
    swapped = np.mean([place in {(1, 0), (1, 7), (6, 0), (6, 7)} for place in places])
    assert right == pytest.approx(0.4, abs=0.1)  # 4 σ
    assert swapped == pytest.approx(0.25, abs=0.09)
    assert len(set(places)) == 8


def test_a_mosaic_holds_cells_of_several_images_and_mixup_the_mean_of_two(make_task):
    one, other = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 255, np.uint8)
    boxes = table(("one", "RBC", 8, 8, 16, 16), ("other", "WBC", 30, 20, 40, 30), scored=False)
    pair = BoxedImages.of({"one": one, "other": other}, boxes, CLASSES)
    seen = {name: [] for name in ("mosaic", "mixup")}
    for name, found in seen.items():
        task = make_task(replace(RECIPE, epochs=20, batch_size=1, transpose=0, **{name: 1.0}), pair)
        for epoch in range(20):
            for (image,), (target,) in task.batches(epoch):
                assert len(target["boxes"]) == len(target["labels"])
                found.append((image, target["labels"].tolist()))
    assert max(len(labels) for _, labels in seen["mosaic"]) > 2
    assert any(set(labels) == {1, 2} for _, labels in seen["mosaic"])
    mixed = {(round(float(image.mean()), 1), tuple(sorted(labels))) for image, labels in seen["mixup"]}
    assert mixed == {(0.0, (1, 1)), (0.5, (1, 2)), (1.0, (2, 2))}


def test_the_last_epochs_are_plain_and_probability_zero_changes_no_draw(make_task):
    recipe = replace(RECIPE, epochs=4, flip=0.5)
    joined = make_task(replace(recipe, mosaic=1.0, mixup=0.5, plain_epochs=2))
    plain = make_task(recipe)

    def shown(task, epoch):
        return [image for images, _ in task.batches(epoch) for image in images]

    for epoch in range(4):
        same_images = all(map(torch.equal, shown(joined, epoch), shown(plain, epoch)))
        assert same_images is (epoch >= 2)


@pytest.mark.parametrize("changes", [{}, {"mosaic": 0.5, "mixup": 0.5}])
def test_batches_follow_from_seed_and_epoch_alone(make_task, changes):
    recipe = replace(RECIPE, **changes)
    first, again, other = (list(make_task(recipe, seed=seed).batches(1)) for seed in (0, 0, 1))

    def equal(one, two):
        return all(torch.equal(x, y) for x, y in zip(one[0], two[0], strict=True)) and all(
            torch.equal(x[name], y[name]) for x, y in zip(one[1], two[1], strict=True) for name in x
        )

    assert all(equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(equal(one, two) for one, two in zip(first, other, strict=True))


def test_the_training_images_and_boxes_are_left_as_they_were(make_task, images):
    before = [part.copy() for part in (*images.images, *images.boxes)]
    list(make_task(replace(RECIPE, flip=1.0)).batches(0))
    assert all(np.array_equal(one, other) for one, other in zip(before, (*images.images, *images.boxes), strict=True))


# ---- training


@pytest.mark.parametrize("family", ["faster_rcnn", "retinanet", "fcos"])
def test_a_detector_learns_coloured_squares_from_random_weights(family):
    recipe = replace(RECIPE, epochs=6, batch_size=4, learning_rate=3e-3)
    torch.manual_seed(0)
    model = build_detector(
        f"{family}_test_resnet", CLASSES, image_px=(64, 64), anchor_px=None if family == "fcos" else 12,
        proposals=40, rois=24, finest_stride=8,
    )  # fmt: skip
    task = DetectionTask(model, draw(32, seed=3), draw(6, seed=4), recipe, 0, "cpu", score)
    history = fit(task, recipe, seed=0).history
    assert history["validation_ap50"].max() > 0.25 > 2 * history["validation_ap50"].iloc[0]
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]
    assert history["validation_loss"].iloc[-1] < history["validation_loss"].iloc[0]
    parts = [name for name in history if name.startswith("loss_")]
    assert history[parts].sum(axis=1).tolist() == pytest.approx(history["loss"].tolist(), rel=1e-5)


def test_the_history_holds_the_losses_by_name_and_the_scores(learn):
    recipe = replace(RECIPE, architecture="faster_rcnn_test_resnet", epochs=1, proposals=20, rois=16)
    assert list(learn(recipe).history) == [
        "epoch", "loss", "loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg", "validation_ap50",
        "validation_boxes", "validation_loss", "learning_rate", "seconds",
    ]  # fmt: skip


def test_the_validation_loss_has_no_chance_in_it_and_leaves_the_generators(make_task):
    recipe = replace(RECIPE, architecture="faster_rcnn_test_resnet", rois=4, proposals=20)
    task = make_task(recipe)
    task.model.eval()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = task.validate(task.model)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert task.validate(task.model) == first
    assert next(iter(first)) == "validation_ap50"


def test_what_is_scored_is_suppressed_and_bounded(make_task):
    seen = []

    def look(truth, predictions, images, classes):
        seen.append((truth, predictions, images, classes))
        return {"score": 1.0}

    task = make_task(score=look)
    task.validate(task.model.eval())
    truth, predictions, images, classes = seen[0]
    pd.testing.assert_frame_equal(truth, task.validation.truth)
    assert (tuple(images), tuple(classes)) == (task.validation.names, CLASSES)
    assert predictions.groupby("image").size().max() <= 300
    raw = predict_boxes(task.model, dict(zip(images, task.validation.images, strict=True)), most=10**6)
    assert len(predictions) < len(raw)


@pytest.mark.parametrize(
    ("changes", "interruption"),
    [
        ({}, 2),
        ({}, 3),
        ({"architecture": "faster_rcnn_test_resnet", "optimizer": "sgd", "proposals": 10, "rois": 4}, 3),
    ],
    ids=["epoch's end", "mid-epoch", "samplers, mid-epoch"],
)
def test_an_interrupted_training_ends_with_the_bits_of_an_undisturbed_one(
    learn, interrupt_at, tmp_path, changes, interruption
):
    recipe = replace(RECIPE, **changes)
    undisturbed = learn(recipe, folder=tmp_path / "undisturbed")
    interrupt_at(interruption)
    with pytest.raises(KeyboardInterrupt):
        learn(recipe)
    interrupt_at(None)
    resumed = learn(recipe)
    assert same(weights(resumed), weights(undisturbed))
    assert resumed.history.drop(columns="seconds").equals(undisturbed.history.drop(columns="seconds"))


def test_a_training_is_repeated_only_for_other_images_boxes_seed_recipe_or_score(learn, interrupt_at, images):
    recipe = replace(RECIPE, epochs=1)
    once = learn(recipe)
    interrupt_at(0)
    assert same(weights(learn(recipe)), weights(once))
    pixels, boxes = list(images.images), list(images.boxes)
    pixels[0] = pixels[0] ^ np.uint8(1)
    boxes[0] = boxes[0] + np.float32(0.5)
    others = [
        {"images": replace(images, images=tuple(pixels))}, {"images": replace(images, boxes=tuple(boxes))},
        {"seed": 1}, {"recipe": replace(recipe, flip=0.5)}, {"name": "other"}, {"score": never},
    ]  # fmt: skip
    for other in others:
        interrupt_at(0)
        with pytest.raises(KeyboardInterrupt):
            learn(**({"recipe": recipe} | other))


def test_the_seed_decides_the_weights_and_the_global_generators_are_left(learn, tmp_path):
    recipe = replace(RECIPE, epochs=1)

    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    torch.manual_seed(1)
    before = states()
    first = weights(learn(recipe, folder=tmp_path / "a"))
    assert states() == before
    torch.manual_seed(2)
    assert same(weights(learn(recipe, folder=tmp_path / "b")), first)
    assert not same(weights(learn(recipe, seed=1)), first)


@pytest.mark.parametrize(("alarm", "epochs"), [(2, 2), (None, 3), (4, 3)])
def test_a_score_that_stays_at_zero_raises_an_alarm_with_what_to_look_at(learn, alarm, epochs):
    recipe = replace(RECIPE, epochs=3, alarm_epochs=alarm)
    if alarm != 2:
        assert len(learn(recipe, score=never).history) == epochs
        return
    message = (
        r"validation_ap50 is 0 after epoch 2: nothing is found\. Try a lower learning_rate, .* have sides of [678] to "
        r"(9|10) px in the resized images, anchors begin at 6 px\. alarm_epochs sets"
    )
    with pytest.raises(FitError, match=message):
        learn(recipe, score=never)


def test_a_score_above_zero_raises_no_alarm(learn):
    fitted = learn(replace(RECIPE, alarm_epochs=1), score=lambda *_: {"validation_ap50": 0.01})
    assert len(fitted.history) == 2


def test_a_diverging_training_says_where(learn):
    recipe = replace(RECIPE, optimizer="sgd", learning_rate=1e30, clip=None, schedule="constant", warmup_epochs=0)
    with pytest.raises(DivergenceError, match=r"the loss is (nan|inf) in step 2 of epoch 1 \(learning rate 1e\+30\)"):
        learn(recipe)


def test_weights_that_are_no_numbers_after_the_last_step_have_diverged_too(make_task):
    task = make_task()
    with torch.no_grad():
        next(task.model.parameters()).fill_(torch.inf)
    with pytest.raises(DivergenceError, match="a weight is not finite after epoch 1; use a lower learning_rate"):
        task.validate(task.model)


def test_without_validation_images_the_last_epoch_is_kept_and_nothing_is_scored(images, tmp_path):
    recipe = replace(RECIPE, epochs=3)
    fitted = train("net", images, None, recipe, seed=0, device="cpu", folder=tmp_path, score=never)
    assert fitted.best_epoch == 3
    assert list(fitted.history["epochs_learned"]) == [1, 2, 3]
    assert "validation_loss" not in fitted.history
    again = train("net", images, None, recipe, seed=0, device="cpu", folder=None, score=never)
    assert same(weights(again), weights(fitted))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_head_alone_learns_on_the_body_of_another_detector(learn, tmp_path, monkeypatch):
    begun = learn().model
    monkeypatch.setattr(detection, "build_detector", lambda *_, **__: begun)
    begun.trainable = "head"
    begun.freeze_backbone(False)
    before = {name: value.clone() for name, value in begun.state_dict().items()}
    after = weights(learn(replace(RECIPE, epochs=1), folder=tmp_path / "head"))
    differing = {name for name in before if not torch.equal(before[name], after[name])}
    assert differing
    assert not any(name.startswith("network.backbone.body.") for name in differing)


# ---- predictions


def test_predictions_are_boxes_in_the_pixels_of_each_image_by_falling_score(make_task):
    model = make_task().model
    images = {"big": np.full((300, 400, 3), 200, np.uint8), "small": np.full((40, 30, 3), 100, np.uint8)}
    found = predict_boxes(model, images)
    assert list(found) == ["image", "class", "score", *COORDINATES]
    assert found["image"].drop_duplicates().tolist() == ["big", "small"]
    assert set(found["class"]) <= set(CLASSES)
    assert not model.training
    for name, image in images.items():
        rows = found[found["image"] == name]
        assert (rows["score"].diff().dropna() <= 0).all()
        assert rows["score"].min() > 0.001
        assert rows[COORDINATES].to_numpy().min() >= 0
        assert rows["xmax"].max() == pytest.approx(image.shape[1], rel=1e-6)
        assert rows["ymax"].max() == pytest.approx(image.shape[0], rel=1e-6)
        assert ((rows["xmax"] > rows["xmin"]) & (rows["ymax"] > rows["ymin"])).all()


def test_predictions_do_not_depend_on_the_images_beside(make_task, images):
    model = make_task().model
    wide = draw(2, seed=5, size=(48, 96))
    shown = dict(zip(images.names, images.images, strict=True)) | {
        f"wide {name}": image for name, image in zip(wide.names, wide.images, strict=True)
    }
    together = predict_boxes(model, shown, batch_size=8)
    alone = pd.concat([predict_boxes(model, {name: image}) for name, image in shown.items()], ignore_index=True)
    assert together["image"].tolist() == alone["image"].tolist()
    for name, rows in together.groupby("image"):
        expected = alone[alone["image"] == name]
        assert np.sort(rows["score"]) == pytest.approx(np.sort(expected["score"]), abs=1e-5)


def test_raw_predictions_are_as_many_as_asked_for_and_suppression_thins_them(make_task, validation):
    model, shown = make_task().model, dict(zip(validation.names, validation.images, strict=True))
    raw = predict_boxes(model, shown, most=10**6)
    few = predict_boxes(model, shown, most=20)
    best = [raw.loc[raw["image"] == name, "score"].nlargest(20) for name in shown]
    assert few["score"].tolist() == pytest.approx(np.concatenate(best), abs=1e-6)
    assert len(predict_boxes(model, shown, most=10**6, nms_iou=0.3)) < len(raw)
    assert len(predict_boxes(model, shown, score=0.99)) == 0


def test_each_class_keeps_its_name(make_task, validation):
    task = make_task(replace(RECIPE, architecture="faster_rcnn_test_resnet", proposals=20))
    predictor = task.model.network.roi_heads.box_predictor.cls_score
    for place, name in enumerate(CLASSES, start=1):
        with torch.no_grad():
            predictor.weight.zero_()
            predictor.bias.fill_(-9).index_fill_(0, torch.tensor([place]), 9)
        found = predict_boxes(task.model, {"a": validation.images[0]}, score=0.5)
        assert set(found["class"]) == {name}
    task = make_task()
    logits = task.model.network.head.classification_head.cls_logits
    for place, name in enumerate(CLASSES):
        with torch.no_grad():
            logits.weight.zero_()
            logits.bias.fill_(-9)
            logits.bias[place :: len(CLASSES)] = 9
        assert set(predict_boxes(task.model, {"a": validation.images[0]}, score=0.5)["class"]) == {name}


def test_damaged_weights_no_images_and_no_batch_are_refused(make_task, validation):
    model, shown = make_task().model, {"a": validation.images[0]}
    with pytest.raises(ModelError, match="there are no images"):
        predict_boxes(model, {})
    with pytest.raises(ModelError, match="a batch size of 0"):
        predict_boxes(model, shown, batch_size=0)
    with torch.no_grad():
        next(model.parameters())[0] = float("nan")
    with pytest.raises(ModelError, match=r"a weight is not finite: .*; use others"):
        predict_boxes(model, shown)
