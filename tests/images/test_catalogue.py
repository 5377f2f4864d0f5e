"""The catalogue: how many features there are, that their names can be relied upon, and that none is undescribed."""

import re

from wbc_utils.images.catalogue import FEATURES, TAVAKOLI_FEATURES, feature_table
from wbc_utils.images.texture import ANGLES, GLCM_PROPERTIES, LBP_BINS


def test_there_are_89_features_in_three_families():
    families = [feature.family for feature in FEATURES]
    assert len(FEATURES) == 89
    assert {name: families.count(name) for name in families} == {
        "morphological": 23,
        "colorimetric": 36,
        "textural": 30,
    }


def test_the_set_of_report_004_has_51_features():
    assert len(TAVAKOLI_FEATURES) == 3 + 4 * 12
    assert sum(feature.name.endswith("_roc_std") for feature in TAVAKOLI_FEATURES) == 12


def test_names_are_unique_across_both_sets_and_can_be_identifiers():
    names = [feature.name for feature in (*FEATURES, *TAVAKOLI_FEATURES)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", name) for name in names)


def test_names_start_with_their_region():
    assert all(feature.name.startswith(feature.region.split("/")[0]) for feature in FEATURES)


def test_published_names_stay_what_they_are():
    names = {feature.name for feature in FEATURES}
    assert names >= {
        "cell_area", "nucleus_circularity", "nucleus_hu_1", "nucleus_lobes", "nucleus_cell_ratio", "cytoplasm_r_mean",
        "nucleus_h_std", "cell_glcm_contrast_0", "cell_glcm_correlation_135", "cell_lbp_3",
    }  # fmt: skip


def test_texture_is_listed_in_the_order_in_which_it_is_computed():
    expected = [f"cell_glcm_{name}_{angle}" for name in GLCM_PROPERTIES for angle in ANGLES]
    expected += [f"cell_lbp_{number}" for number in range(LBP_BINS)]
    assert [feature.name for feature in FEATURES if feature.family == "textural"] == expected


def test_the_table_has_a_formula_unit_and_source_for_every_feature():
    for features in (FEATURES, TAVAKOLI_FEATURES):
        table = feature_table(features)
        assert list(table["name"]) == [feature.name for feature in features]
        assert list(table.columns) == ["name", "family", "region", "formula", "unit", "source"]
        assert (table.map(len) > 0).all(axis=None)


def test_no_two_features_of_a_region_have_the_same_formula():
    table = feature_table()
    assert not table.duplicated(["region", "formula"]).any()
