"""A mixture learns what is there to learn, and what it says of a patient does not depend on the others."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cohorts import draw_cohort, draw_pixels

from wbc_utils.fit import FitError
from wbc_utils.lymphocytosis import MixtureLearner, MixtureRecipe, MixtureTask, train, tune, untrained
from wbc_utils.models import ModelError
from wbc_utils.models.cohort import Scale
from wbc_utils.models.encoder import build_encoder

QUICK = MixtureRecipe(epochs=15, batch_size=8, learning_rate=0.02, hidden=4, components=3, stages=2)


def halves(cohort):
    return cohort.take(range(0, len(cohort), 2)), cohort.take(range(1, len(cohort), 2))


def task(cohort, recipe=QUICK, **changes):
    learn, choose = halves(cohort)
    scale = Scale.fit(learn, recipe.components)
    torch.manual_seed(0)
    return MixtureTask(untrained(recipe, scale), learn, choose, scale, replace(recipe, **changes), seed=3)


def test_a_mixture_tells_patients_apart_that_it_has_not_seen():
    cohort = draw_cohort(60)
    learn, choose = halves(cohort)
    says = train(learn, choose, QUICK, seed=0)
    unseen = draw_cohort(60, seed=1)
    scores = says(unseen)["malignant"]
    assert scores[unseen.malignant].mean() > scores[~unseen.malignant].mean() + 0.3


def test_a_training_is_the_same_again_and_another_with_another_seed():
    learn, choose = halves(draw_cohort(20))
    one, same, other = (train(learn, choose, QUICK, seed=seed)(choose)["malignant"] for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_learning_rate_falls_to_a_tenth_and_the_best_weights_of_all_stages_are_kept():
    learn, choose = halves(draw_cohort(20))
    says = train(learn, choose, replace(QUICK, stages=3, patience=2), seed=0)
    history = says.history
    rates = history.groupby("stage")["learning_rate"].first()
    assert rates.tolist() == pytest.approx([0.02 / 10**stage for stage in range(len(rates))])
    kept = MixtureTask(says.model, learn, choose, says.scale, QUICK, 0).validate(says.model)
    assert kept["validation_log_likelihood"] == pytest.approx(history["validation_log_likelihood"].max())


def test_an_epoch_shows_every_patient_once_with_fewer_cells_and_its_own_class():
    cohort = draw_cohort(20, largest=30)
    asked = task(cohort, batch_size=4, thinning=0.5)
    batches = list(asked.batches(0))
    assert len(batches) == asked.steps() == 3
    seen = torch.cat([patients.scalars for patients, _, _ in batches])
    assert sorted(seen[:, 0].tolist()) == sorted(asked.patients.scalars[:, 0].tolist())
    malignant = dict(zip(asked.patients.scalars[:, 0].tolist(), asked.malignant.tolist(), strict=True))
    for patients, classes, _ in batches:
        assert classes.tolist() == [malignant[age] for age in patients.scalars[:, 0].tolist()]
    cells = sum(len(patients.images.instances) for patients, _, _ in batches)
    assert 0.35 < cells / len(asked.patients.images.instances) < 0.65


def test_the_loss_names_its_parts_and_has_none_of_the_count_without_the_second_task():
    for weight, names in ((0.1, {"loss_diagnosis", "loss_count"}), (0.0, {"loss_diagnosis"})):
        asked = task(draw_cohort(20), multitask=weight)
        parts = asked.loss(asked.model, next(asked.batches(0)))
        assert set(parts) == names
        assert all(part.isfinite() for part in parts.values())


def test_classes_count_alike_in_the_loss():
    asked = task(draw_cohort(30))
    assert asked.weights[0] * (asked.malignant == 0).sum() == pytest.approx(
        float(asked.weights[1] * asked.malignant.sum())
    )


def test_unknown_counts_do_not_stop_a_training():
    cohort = draw_cohort(20)
    cohort.count[::3] = np.nan
    assert np.isfinite(train(*halves(cohort), QUICK, seed=0)(cohort)["malignant"]).all()


def test_what_is_said_of_a_patient_does_not_depend_on_the_others():
    cohort = draw_cohort(20)
    says = train(*halves(cohort), QUICK, seed=0)
    alone, together = says(cohort.take([7])), says(cohort)
    assert {name: values[7] for name, values in together.items()} == {
        name: pytest.approx(values[0], abs=1e-6) for name, values in alone.items()
    }


def test_evenness_is_the_effective_share_of_the_cells():
    cohort = draw_cohort(20)
    learn, choose = halves(cohort)
    assert train(learn, choose, QUICK, seed=0)(cohort)["evenness"] == pytest.approx(np.ones(20), abs=1e-5)
    says = train(learn, choose, replace(QUICK, pooling="attention"), seed=0)
    expected = []
    for attention in cohort.images.with_instances(says.opinion(cohort).attention).split():
        expected.append(float(torch.exp(-(attention * attention.log()).sum()) / len(attention)))
    assert says(cohort)["evenness"] == pytest.approx(expected, abs=1e-5)
    assert min(expected) < 0.999


@pytest.mark.parametrize("architecture", ["test_resnet"])
def test_an_encoder_is_trained_on_images(architecture):
    cohort = draw_pixels(8)
    recipe = replace(QUICK, epochs=1, stages=1, architecture=architecture, thinning=0.3)
    says = train(*halves(cohort), recipe, seed=0)
    assert says(cohort)["malignant"].shape == (8,)


def test_a_network_is_tuned_from_the_experts_on_what_it_saw_frozen():
    learn, choose = halves(draw_pixels(12))
    recipe = replace(QUICK, epochs=2, stages=2, architecture="test_resnet", learning_rate=1e-3)
    says = tune(learn, choose, recipe, QUICK, seed=0)
    frozen = says.history[says.history["stage"] == 0]["validation_log_likelihood"].max()
    kept = MixtureTask(says.model, learn, choose, says.scale, recipe, 0).validate(says.model)
    assert kept["validation_log_likelihood"] == pytest.approx(says.history["validation_log_likelihood"].max(), abs=1e-5)
    assert kept["validation_log_likelihood"] >= frozen - 1e-5


def test_tuning_that_brings_nothing_leaves_the_experts_on_the_frozen_network():
    learn, choose = halves(draw_pixels(12))
    recipe = replace(QUICK, epochs=1, stages=1, architecture="test_resnet", learning_rate=10.0)
    says = tune(learn, choose, recipe, QUICK, seed=0)
    torch.manual_seed(0)
    encoder = build_encoder("test_resnet", "random").eval()
    with torch.no_grad():
        embedded = choose.with_images(encoder(choose.images.instances.permute(0, 3, 1, 2)))
        learned = learn.with_images(encoder(learn.images.instances.permute(0, 3, 1, 2)))
    expected = train(learned, embedded, QUICK, seed=0)(embedded)
    found = says(choose)
    assert not found.pop("tuned").any()
    assert {name: pytest.approx(values, abs=1e-5) for name, values in found.items()} == expected


def test_nothing_is_tuned_without_a_network():
    with pytest.raises(ModelError, match="no network to tune"):
        tune(*halves(draw_pixels(8)), QUICK, QUICK, seed=0)


def test_images_without_a_network_to_see_them_are_refused():
    with pytest.raises(ModelError, match="embed them first"):
        train(*halves(draw_pixels(8)), QUICK, seed=0)


def test_a_part_without_one_diagnosis_is_refused():
    cohort = draw_cohort(20)
    only = np.flatnonzero(cohort.malignant)
    with pytest.raises(ModelError, match=r"none of \d+ patients is reactive; learning and choosing need both"):
        train(cohort, cohort.take(only), QUICK, seed=0)


def test_the_learner_says_all_that_decides_what_it_learns():
    assert "hidden=4" in repr(MixtureLearner(QUICK))
    assert repr(MixtureLearner(QUICK)) != repr(MixtureLearner(replace(QUICK, pooling="max")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden": 0}, "hidden is 0; give at least 1"),
        ({"components": 0}, "components is 0"),
        ({"stages": 0}, "stages is 0"),
        ({"dropout": 1}, "dropout is 1; give a share"),
        ({"thinning": -0.1}, "thinning is -0.1"),
        ({"multitask": -1}, "multitask is -1"),
        ({"pooling": "median"}, "pooling is 'median'; allowed are mean"),
        ({"combination": "vote"}, "combination is 'vote'; allowed are gate"),
    ],
)
def test_recipes_that_cannot_be_are_refused(changes, words):
    with pytest.raises(FitError, match=words):
        replace(QUICK, **changes)
