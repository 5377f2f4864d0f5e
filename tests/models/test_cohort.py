"""Patients are gathered without loss or mixing, and scaled by what training patients alone tell."""

import numpy as np
import pandas as pd
import pytest
import torch
from cohorts import draw_cohort, draw_pixels

from wbc_utils.models import ModelError
from wbc_utils.models.cohort import Cohort, Scale


def table(*patients):
    columns = ["label", "age", "lymphocyte_count", "paths"]
    return pd.DataFrame(patients, columns=columns).astype({"label": "Int64", "age": float, "lymphocyte_count": float})


TABLE = table((1, 70, 10, ("a", "b")), (0, np.nan, 5, ("c",)), (pd.NA, 50, np.nan, ("d", "e", "f")))
IMAGES, HANDMADE = np.arange(12.0).reshape(6, 2), np.arange(6.0).reshape(6, 1)
ALL = np.ones(6, bool)


def test_each_patient_has_its_own_cells_and_an_unknown_diagnosis_is_minus_one():
    found = Cohort.of(TABLE, IMAGES, HANDMADE, ALL)
    assert found.labels.tolist() == [1, 0, -1]
    assert [len(bag) for bag in found.images.split()] == [2, 1, 3]
    assert found.images.split()[1].tolist() == [[4, 5]]


def test_unreadable_images_are_in_no_bag_and_unmeasured_cells_in_no_handmade_bag():
    handmade, usable = HANDMADE.copy(), ALL.copy()
    handmade[0], usable[5] = np.nan, False
    found = Cohort.of(TABLE, IMAGES, handmade, usable)
    assert found.images.sizes.tolist() == [2, 1, 2]
    assert found.handmade.sizes.tolist() == [1, 1, 2]
    assert found.handmade.instances[:, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda images, handmade, usable: usable.__setitem__(2, False),
            "1 of 3 patients have no cell that can be read",
        ),
        (lambda images, handmade, usable: handmade.__setitem__(2, np.nan), "1 of 3 patients.*could be measured"),
    ],
)
def test_a_patient_without_cells_is_refused(spoil, words):
    images, handmade, usable = IMAGES.copy(), HANDMADE.copy(), ALL.copy()
    spoil(images, handmade, usable)
    with pytest.raises(ModelError, match=words):
        Cohort.of(TABLE, images, handmade, usable)


def test_rows_that_do_not_fit_the_table_are_refused():
    with pytest.raises(ModelError, match="6 paths, 5 images, 6 rows of features"):
        Cohort.of(TABLE, IMAGES[:5], HANDMADE, ALL)


def test_patients_without_a_diagnosis_can_be_asked_about_but_not_learned_from():
    found = Cohort.of(TABLE, IMAGES, HANDMADE, ALL)
    assert found.take([0, 1]).malignant.tolist() == [True, False]
    with pytest.raises(ModelError, match=r"1 of 3 patients have no diagnosis \(label -1\)"):
        _ = found.malignant


def test_taken_patients_bring_their_cells_along():
    found, cohort = draw_cohort(9).take([5, 2]), draw_cohort(9)
    assert found.age.tolist() == cohort.age[[5, 2]].tolist()
    assert torch.equal(found.images.split()[0], cohort.images.split()[5])
    assert torch.equal(found.handmade.split()[1], cohort.handmade.split()[2])


def test_scaled_age_and_count_have_mean_zero_and_variance_one_where_they_were_learned():
    cohort = draw_cohort()
    scalars = Scale.fit(cohort, 3).apply(cohort).scalars
    torch.testing.assert_close(scalars.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(scalars.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["images", "handmade"])
def test_means_of_patients_become_uncorrelated_components_of_mean_variance_one(kind):
    cohort = draw_cohort()
    bags = getattr(Scale.fit(cohort, 3).apply(cohort), kind)
    means = bags.mean(bags.instances)
    means = means - means.mean(0)
    variances = (means.square().mean(0)).tolist()
    assert variances == sorted(variances, reverse=True)
    assert np.mean(variances) == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(means.T @ means / 40, torch.diag(torch.tensor(variances)), atol=1e-4, rtol=0)


def test_the_scale_is_that_of_the_training_patients_whatever_the_others_are():
    cohort = draw_cohort()
    learned = Scale.fit(cohort.take(range(30)), 3)
    others = cohort.take(range(30, 40))
    alone = learned.apply(others.take([3]))
    torch.testing.assert_close(alone.scalars[0], learned.apply(others).scalars[3])
    torch.testing.assert_close(alone.images.instances, learned.apply(others).images.split()[3])


def test_an_unknown_age_or_count_becomes_the_mean_of_the_training_patients():
    cohort = draw_cohort()
    cohort.age[0], cohort.count[1] = np.nan, np.nan
    scaled = Scale.fit(cohort, 3).apply(cohort).scalars
    assert scaled[0, 0] == 0
    assert scaled[1, 1] == 0
    assert scaled.isfinite().all()


def test_a_count_of_zero_has_a_logarithm_all_the_same():
    cohort = draw_cohort()
    cohort.count[0] = 0
    assert cohort.scalars[0, 1] == -1


def test_a_cell_far_from_all_others_moves_its_patient_little_and_a_constant_feature_nothing():
    cohort = draw_cohort()
    cohort.handmade.instances[:, 2] = 7.0
    other = cohort.take(range(40))
    other.handmade.instances[0, 0] = 1e6
    scale = Scale.fit(cohort, 4)
    one, moved = scale.apply(cohort).handmade.instances[0], scale.apply(other).handmade.instances[0]
    assert one.isfinite().all()
    assert 0 < (moved - one).norm() < 20


def test_more_components_than_there_are_are_all_there_are():
    assert Scale.fit(draw_cohort(), 100).image_axes.shape == (6, 6)
    assert Scale.fit(draw_cohort(4), 100).image_axes.shape == (6, 3)


def test_images_pass_unscaled_with_the_channels_first():
    cohort = draw_pixels()
    images = Scale.fit(cohort, 3).apply(cohort).images.instances
    assert images.dtype == torch.uint8
    assert images.shape[1:] == (3, 32, 32)


@pytest.mark.parametrize("name", ["age", "count"])
def test_a_scale_of_nothing_known_is_refused(name):
    cohort = draw_cohort(6)
    getattr(cohort, name)[:] = np.nan
    with pytest.raises(ModelError, match=f"no {name} of 6 training patients is known"):
        Scale.fit(cohort, 3)


def test_a_scale_of_one_patient_is_refused():
    with pytest.raises(ModelError, match="cohort of 1 patients is unknown"):
        Scale.fit(draw_cohort(6).take([0]), 3)
