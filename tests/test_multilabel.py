"""Types of whole images: labels with a background, the loss by hand, learning a simple picture, bad input."""

import numpy as np
import pytest
import torch

from wbc_utils import predict
from wbc_utils.classification import CellRecipe
from wbc_utils.models import ModelError
from wbc_utils.models.backbones import build
from wbc_utils.multilabel import BACKGROUND, MultilabelTask, TypedImages, squared, train

RECIPE = CellRecipe(
    architecture="test_convnext", epochs=2, batch_size=4, learning_rate=3e-3, gamma=2.0, augmentation="dihedral",
    warmup_epochs=0,
)  # fmt: skip
COLOURS = {"EO": (220, 40, 40), "LY": (40, 40, 220)}


def pictures(number, side=32, seed=0):
    """Return images with a red square, a blue one, both or none, and what they show."""
    rng, images, types = np.random.default_rng(seed), {}, {}
    for place in range(number):
        shown = [(), ("EO",), ("LY",), ("EO", "LY")][place % 4]
        image = rng.integers(220, 250, (side, side + 8, 3)).astype(np.uint8)
        for kind in shown:
            x, y = rng.integers(0, side - 12, 2)
            image[y : y + 12, x : x + 12] = COLOURS[kind]
        images[f"{seed}-{place}"], types[f"{seed}-{place}"] = image, frozenset(shown)
    return images, types


@pytest.fixture(scope="module")
def typed():
    return TypedImages.of(*pictures(16), ("EO", "LY"), 32)


def test_labels_say_what_an_image_shows_and_nothing_is_background(typed):
    assert typed.classes == ("EO", "LY", BACKGROUND)
    assert typed.labels[:4].tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert typed.pixels.shape == (16, 32, 32, 3)


def test_images_of_unknown_types_are_left_out():
    images, types = pictures(4)
    del types["0-1"]
    assert TypedImages.of(images, types, ("EO", "LY"), 32).names == ("0-0", "0-2", "0-3")


def test_a_square_is_made_of_means():
    image = torch.zeros(1, 3, 4, 8)
    image[..., ::2] = 1
    assert torch.allclose(squared(image, 4), torch.tensor(0.5))


def test_without_focusing_the_loss_is_binary_cross_entropy_summed_over_classes(typed):
    model = build("test_convnext", typed.classes)
    task = MultilabelTask(model, typed, typed, CellRecipe(batch_size=4, gamma=0.0), 0, "cpu")
    images, labels = next(task.batches(0))
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(model(images), labels, reduction="none")
    assert task.loss(model, (images, labels)).item() == pytest.approx(wanted.sum(dim=1).mean().item(), rel=1e-5)


def test_what_is_known_counts_less_with_focusing(typed):
    model = build("test_convnext", typed.classes)
    plain, focused = (
        MultilabelTask(model, typed, typed, CellRecipe(batch_size=4, gamma=gamma), 0, "cpu") for gamma in (0.0, 2.0)
    )
    batch = next(plain.batches(0))
    assert focused.loss(model, batch) < plain.loss(model, batch)


def test_batches_follow_from_seed_and_epoch(typed):
    model = build("test_convnext", typed.classes)
    first, again, other = (
        next(MultilabelTask(model, typed, typed, RECIPE, seed, "cpu").batches(1)) for seed in (0, 0, 1)
    )
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[0], other[0])


def test_it_learns_which_colours_an_image_shows(tmp_path):
    images, validation = (TypedImages.of(*pictures(number, seed=seed), ("EO", "LY"), 32)
                          for number, seed in ((64, 1), (16, 2)))  # fmt: skip
    recipe = CellRecipe(architecture="test_convnext", epochs=8, batch_size=8, learning_rate=4e-3,
                        augmentation="dihedral", warmup_epochs=0)  # fmt: skip
    fitted = train("net", images, validation, recipe, seed=0, device="cpu", folder=tmp_path)
    assert fitted.history["validation_accuracy"].max() > 0.8
    assert fitted.history["validation_minus_loss"].iloc[-1] > fitted.history["validation_minus_loss"].iloc[0]


def test_a_finished_training_is_not_repeated_and_another_type_is_another_training(typed, tmp_path):
    settings = {"seed": 0, "device": "cpu", "folder": tmp_path}
    first = train("net", typed, typed, RECIPE, **settings)
    again = train("net", typed, typed, RECIPE, **settings)
    assert again.history.equals(first.history)
    logits = [predict.logits(one.model, typed.pixels) for one in (first, again)]
    assert np.array_equal(*logits)
    changed = TypedImages(typed.names, typed.pixels, typed.labels[::-1].copy(), typed.classes)
    train("net", changed, typed, RECIPE, **settings)
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_bad_input_is_refused(typed):
    images, types = pictures(4)
    with pytest.raises(ModelError, match="images show LY, which is none of EO"):
        TypedImages.of(images, types, ("EO",), 32)
    with pytest.raises(ModelError, match="none of 4 images has its types told"):
        TypedImages.of(images, {}, ("EO", "LY"), 32)
    model = build("test_convnext", typed.classes)
    with pytest.raises(ModelError, match="16 training images for batches of 64"):
        MultilabelTask(model, typed, typed, CellRecipe(), 0, "cpu")
