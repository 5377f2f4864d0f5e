"""Training of cell classifiers: batches, losses, refusals, and resumed trainings with everything switched on."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss

from wbc_utils import classification, predict
from wbc_utils.classification import CellRecipe, Cells, CellTask, train
from wbc_utils.fit import FitError
from wbc_utils.metrics import MetricError
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build

CLASSES = ("SNE", "LY", "EO")
RECIPE = CellRecipe(
    architecture="test_convnext", epochs=2, batch_size=8, learning_rate=3e-3, warmup_epochs=0.5, augmentation="none"
)
EVERYTHING = replace(
    RECIPE, epochs=3, drop_path=0.3, ema=0.9, gamma=1.0, class_weights="inverse_sqrt", augmentation="challenge",
    mix=("mixup", "cutmix"), balanced=True, accumulate=2, schedule="restarts", restart_epochs=1,
)  # fmt: skip


def draw_cells(members, seed=0, side=32):
    """Return noisy squares, each class in a colour of its own."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(list(members), list(members.values()))
    colours = {"SNE": (200, 80, 80), "LY": (80, 200, 80), "EO": (80, 80, 200)}
    images = np.array([colours[code] for code in codes])[:, None, None] + rng.normal(0, 25, (len(codes), side, side, 3))
    return Cells.of(images.clip(0, 255).astype(np.uint8), codes, CLASSES)


@pytest.fixture(scope="module")
def cells():
    return draw_cells({"SNE": 20, "LY": 13, "EO": 7})


@pytest.fixture(scope="module")
def validation():
    return draw_cells({"SNE": 6, "LY": 5, "EO": 4}, seed=1)


@pytest.fixture
def learn(cells, validation, tmp_path):
    """Return a function that trains on the cells."""

    def run(recipe=RECIPE, seed=0, folder=tmp_path / "checkpoints", name="rung", start=None, cells=cells):
        return train(name, cells, validation, recipe, seed=seed, device="cpu", folder=folder, start=start)

    return run


@pytest.fixture
def make_task(cells, validation):
    def make(recipe=RECIPE, cells=cells, seed=0):
        return CellTask(build(recipe.architecture, CLASSES), cells, validation, recipe, seed, "cpu")

    return make


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has the training interrupted at its n-th batch from now on, None for never."""
    true_loss = classification.focal_loss

    def plan(batch):
        calls = iter(range(10**6))

        def loss(*arguments):
            if next(calls) == batch:
                raise KeyboardInterrupt
            return true_loss(*arguments)

        monkeypatch.setattr(classification, "focal_loss", loss)

    return plan


def weights(fitted):
    return fitted.model.state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_cells_are_rows_of_images_and_subsets_share_the_images(cells):
    assert len(cells) == 40
    assert cells.counts.tolist() == [20, 13, 7]
    rare = cells.subset(cells.labels == 2)
    assert rare.images is cells.images
    assert rare.counts.tolist() == [0, 0, 7]
    assert np.array_equal(rare.pixels, cells.images[33:])
    last = rare.subset(np.array([6, 0]))
    assert last.rows.tolist() == [39, 33]
    assert np.array_equal(last.pixels, cells.images[[39, 33]])
    assert last.labels.tolist() == [2, 2]


def test_cells_take_codes_of_the_classes_only_and_one_an_image():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(MetricError, match="MO"):
        Cells.of(images, ["LY", "MO"], CLASSES)
    with pytest.raises(ModelError, match="2 images and 1 codes"):
        Cells.of(images, ["LY"], CLASSES)


def test_a_recipe_names_what_another_changes():
    other = replace(RECIPE, gamma=2.0, mix=("mixup",))
    assert RECIPE.changes(other) == {"gamma": 2.0, "mix": ("mixup",)}
    assert RECIPE.changes(RECIPE) == {}


def test_an_epoch_shows_whole_batches_of_cells_that_differ_in_another_order_each_time(cells, make_task):
    task = make_task(replace(RECIPE, batch_size=12))
    shown = []
    for epoch in (0, 1):
        batches = list(task.batches(epoch))
        assert len(batches) == task.steps() == 3
        images = torch.cat([images for images, _ in batches])
        targets = torch.cat([targets for _, targets in batches])
        found = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        rows = [int(np.flatnonzero((cells.images == image).all(axis=(1, 2, 3)))[0]) for image in found]
        assert len(set(rows)) == 36
        assert targets.tolist() == cells.labels[rows].tolist()
        shown.append(rows)
    assert shown[0] != shown[1]


def test_batches_follow_from_seed_and_epoch_alone(make_task):
    recipe = replace(EVERYTHING, balanced=False)
    first, again = (list(make_task(recipe).batches(1)) for _ in range(2))
    other = list(make_task(recipe, seed=1).batches(1))
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])
        assert not torch.equal(one[0], three[0])


def test_balanced_draws_show_every_class_equally_often(make_task):
    task = make_task(replace(RECIPE, balanced=True))
    drawn = torch.cat([targets for epoch in range(20) for _, targets in task.batches(epoch)])
    assert (torch.bincount(drawn) / len(drawn)).tolist() == pytest.approx([1 / 3] * 3, abs=0.07)  # 4 σ of 800


def test_mixed_targets_are_shares_of_the_classes(make_task):
    task = make_task(replace(RECIPE, mix=("mixup", "cutmix")))
    for images, targets in task.batches(0):
        assert images.shape == (8, 3, 32, 32)
        assert targets.shape == (8, 3)
        torch.testing.assert_close(targets.sum(1), torch.ones(8))


def test_a_batch_of_a_single_class_is_mixed_and_trains(learn, make_task):
    recipe = replace(RECIPE, batch_size=4, mix=("mixup",))
    lonely = draw_cells({"SNE": 14, "LY": 1, "EO": 1})
    targets = [targets for _, targets in make_task(recipe, lonely).batches(0)]
    assert any((target[:, 0] > 0.999).all() for target in targets)
    assert np.isfinite(learn(recipe, cells=lonely).history["loss"]).all()


def test_the_network_learns_colours_and_its_scores_are_those_of_scikit_learn(learn, validation):
    fitted = learn(replace(RECIPE, epochs=8, learning_rate=1e-2))
    logits = predict.logits(fitted.model, validation.pixels)
    probabilities = predict.combine(logits)
    row = fitted.history.set_index("epoch").loc[fitted.best_epoch]
    expected = f1_score(validation.labels, probabilities.argmax(1), average="macro")
    assert row["validation_macro_f1"] == pytest.approx(expected)
    assert row["validation_nll"] == pytest.approx(log_loss(validation.labels, probabilities), rel=1e-5)
    assert fitted.history["loss"].iloc[-1] < fitted.history["loss"].iloc[0]
    assert expected > 0.9


def test_class_weights_enter_the_loss(make_task):
    plain, weighted = make_task(), make_task(replace(RECIPE, class_weights="inverse_sqrt"))
    batch = next(plain.batches(0))
    weighted.model.load_state_dict(plain.model.state_dict())
    plain.model.requires_grad_(False)
    weighted.model.requires_grad_(False)
    log_p = torch.log_softmax(plain.model.eval()(batch[0]), 1).gather(1, batch[1][:, None])[:, 0]
    share = torch.tensor([1 / 20, 1 / 13, 1 / 7]).sqrt()[batch[1]]
    assert float(plain.loss(plain.model, batch)) == pytest.approx(float(-log_p.mean()), rel=1e-5)
    expected = float(-(share * log_p).sum() / share.sum())
    assert float(weighted.loss(weighted.model.eval(), batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("recipe", "batch"),
    [
        (EVERYTHING, 5),
        (EVERYTHING, 12),
        (replace(EVERYTHING, architecture="test_efficientnet", accumulate=1), 8),
        (replace(RECIPE, architecture="test_efficientnet", freeze_epochs=1), 7),
    ],
    ids=["all, epoch's end", "all, mid-epoch", "batch norm, mid-epoch", "frozen, mid-epoch"],
)
def test_an_interrupted_training_ends_with_the_bits_of_an_undisturbed_one(learn, interrupt_at, tmp_path, recipe, batch):
    undisturbed = learn(recipe, folder=tmp_path / "undisturbed")
    interrupt_at(batch)
    with pytest.raises(KeyboardInterrupt):
        learn(recipe)
    interrupt_at(None)
    resumed = learn(recipe)
    assert same(weights(resumed), weights(undisturbed))
    assert resumed.history.drop(columns="seconds").equals(undisturbed.history.drop(columns="seconds"))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1


def test_a_training_is_repeated_only_for_other_cells_seed_recipe_or_name(learn, interrupt_at, cells, tmp_path):
    once = learn()
    interrupt_at(0)
    again = learn()
    assert same(weights(again), weights(once))
    assert again.history.equals(once.history)
    images = cells.images.copy()
    images[0, 0, 0, 0] ^= 1
    others = [
        {"cells": replace(cells, images=images)}, {"seed": 1}, {"recipe": replace(RECIPE, gamma=1.0)}, {"name": "b"},
        {"cells": replace(cells, labels=np.roll(cells.labels, 1))},
    ]  # fmt: skip
    for other in others:
        interrupt_at(0)
        with pytest.raises(KeyboardInterrupt):
            learn(**other)


def test_a_damaged_checkpoint_is_named(learn, tmp_path):
    learn()
    (file,) = (tmp_path / "checkpoints").iterdir()
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(FitError, match=file.name):
        learn()


def test_the_seed_decides_the_weights(learn, tmp_path):
    recipe = replace(RECIPE, epochs=1, augmentation="standard")
    torch.manual_seed(1)
    first = weights(learn(recipe, folder=tmp_path / "a"))
    torch.manual_seed(2)
    assert same(weights(learn(recipe, folder=tmp_path / "b")), first)
    assert not same(weights(learn(recipe, seed=1, folder=tmp_path / "a")), first)


def test_the_global_generators_are_left_as_they_were(learn):
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()
    learn(replace(EVERYTHING, epochs=1))
    assert states() == before


def test_the_backbone_is_frozen_for_the_first_epochs_with_its_statistics(make_task, monkeypatch):
    recipe = replace(RECIPE, architecture="test_efficientnet", epochs=3, freeze_epochs=2)
    task, seen = make_task(recipe), []
    monkeypatch.setattr(task, "validate", lambda model: {"score": float(seen.append(snapshot(model)) or len(seen))})

    def snapshot(model):
        return [{name: x.clone() for name, x in part.state_dict().items()} for part in (model.backbone, model.head)]

    first = snapshot(task.model)
    fitted = classification.fit(task, recipe, seed=0)
    assert [same(backbone, first[0]) for backbone, _ in seen] == [True, True, False]
    assert not any(same(head, first[1]) for _, head in seen)
    statistics = [name for name in first[0] if name.endswith("running_mean")]
    assert statistics
    assert not any(torch.equal(seen[2][0][name], first[0][name]) for name in statistics)
    assert all(weight.requires_grad for weight in fitted.model.parameters())


@pytest.mark.parametrize("architecture", ["test_convnext", "test_efficientnet"])
def test_a_new_head_leaves_the_backbone_bit_for_bit_and_the_start_untouched(learn, architecture):
    begun = learn(replace(RECIPE, architecture=architecture)).model
    begun.mean.fill_(0.4)
    before = {name: value.clone() for name, value in begun.state_dict().items()}
    recipe = replace(RECIPE, architecture=architecture, epochs=2, balanced=True, ema=0.5, augmentation="standard")
    after = weights(learn(recipe, name="new head", start=begun))
    kept = [name for name in before if not name.startswith("head.")]
    assert all(torch.equal(after[name], before[name]) for name in kept)
    assert not torch.equal(after["head.weight"], before["head.weight"])
    assert same(begun.state_dict(), before)


def test_a_new_head_begins_anew(learn):
    begun = learn().model
    fitted = learn(replace(RECIPE, epochs=1, learning_rate=1e-9, weight_decay=0), name="new", start=begun)
    assert (fitted.model.head.weight - begun.head.weight).abs().mean() > 0.01


def test_a_start_of_another_architecture_is_refused(learn):
    with pytest.raises(ModelError, match="start from is test_resnet, the recipe's is test_convnext"):
        learn(start=build("test_resnet", CLASSES))


@pytest.mark.parametrize(
    ("members", "recipe", "message"),
    [
        ({"SNE": 20, "LY": 20}, RECIPE, "no training cell of EO: .* leave it out"),
        ({"SNE": 2, "LY": 2, "EO": 2}, RECIPE, "6 training cells do not fill a batch of 8; set .* at most 6"),
    ],
    ids=["class missing", "few cells"],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(learn, tmp_path, members, recipe, message):
    with pytest.raises(ModelError, match=message):
        learn(recipe, cells=draw_cells(members))
    assert not (tmp_path / "checkpoints").exists()


def test_a_diverging_training_says_where(learn):
    with pytest.raises(FitError, match=r"the loss is (nan|inf) in step [2345] of epoch 1 \(learning rate 1e\+30\)"):
        learn(replace(RECIPE, optimizer="sgd", learning_rate=1e30, clip=None, schedule="constant", warmup_epochs=0))


def test_images_mapped_from_a_file_train_like_those_in_memory(learn, cells, tmp_path):
    np.save(tmp_path / "images.npy", cells.images)
    mapped = replace(cells, images=np.load(tmp_path / "images.npy", mmap_mode="c"))
    assert same(weights(learn(cells=mapped, folder=tmp_path / "a")), weights(learn(folder=tmp_path / "b")))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"views": 3}, "views is 3; allowed are 1, 8"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"gamma": -1.0}, "gamma is -1.0"),
        ({"mix": ("blend",)}, "mix names blend; allowed are mixup, cutmix"),
        ({"class_weights": "sqrt"}, "class_weights is 'sqrt'"),
        ({"augmentation": "strong"}, "there is no augmentation 'strong'"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_before_any_training(wrong, said):
    with pytest.raises(FitError, match=said):
        replace(RECIPE, **wrong)
