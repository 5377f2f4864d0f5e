import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbc_utils import labels
from wbc_utils.labels import CELL_TYPES, CYTOLOGIA_CODES, DETECTION_COLORS, LINEAGE_ORDER

names = [*LINEAGE_ORDER, *DETECTION_COLORS, *CYTOLOGIA_CODES]
codes = st.lists(st.one_of(st.sampled_from(names), st.text(max_size=3)))


def test_every_class_has_a_colour_of_its_own():
    colors = [*(cell.color for cell in CELL_TYPES.values()), *DETECTION_COLORS.values(), labels.cell_color("unheard")]
    assert len(set(colors)) == len(CELL_TYPES) + len(DETECTION_COLORS) + 1
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in colors)


def brightness(code):
    """Return the relative luminance of the colour of a class (sRGB weights)."""
    red, green, blue = (int(labels.cell_color(code)[start : start + 2], 16) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ramp", [["PMY", "MY", "MMY", "BNE", "SNE"], ["LY", "VLY", "PLY", "PC"]])
def test_maturation_and_the_lymphoid_line_get_darker_step_by_step(ramp):
    assert sorted(ramp, key=brightness, reverse=True) == ramp


def test_lineage_order_holds_every_code_once_with_granulocytes_by_maturation():
    assert sorted(LINEAGE_ORDER) == sorted(CELL_TYPES)
    assert LINEAGE_ORDER[:6] == ("BL", "PMY", "MY", "MMY", "BNE", "SNE")


def test_the_names_of_the_codes_are_complete_and_unique():
    assert all(code == cell.code for code, cell in CELL_TYPES.items())
    assert len({cell.name for cell in CELL_TYPES.values()}) == len(CELL_TYPES)


def test_wbcbench_has_its_thirteen_classes():
    assert set(labels.WBCBENCH_CODES) == {
        "SNE", "LY", "MO", "EO", "BA", "VLY", "BNE", "MMY", "MY", "PMY", "BL", "PC", "PLY",
    }  # fmt: skip


def test_every_prefix_of_pbc_is_a_code_in_lineage_order():
    assert list(labels.PBC_PREFIXES) == labels.in_lineage_order(labels.PBC_PREFIXES)
    assert set(labels.PBC_PREFIXES) <= set(CELL_TYPES)
    assert set(labels.PBC_PREFIXES) > labels.PBC_UNSPECIFIC


def test_every_class_of_cytologia_has_a_code_or_none():
    assert len(CYTOLOGIA_CODES) == 23
    assert set(CYTOLOGIA_CODES.values()) <= {*CELL_TYPES, None}
    assert CYTOLOGIA_CODES["PNN"] == "SNE"
    assert CYTOLOGIA_CODES["LLC"] is None


def test_every_class_of_the_segmentation_data_has_a_code():
    assert list(labels.SEGWBC_CODES) == [1, 2, 3, 4, 5]
    assert set(labels.SEGWBC_CODES.values()) <= set(CELL_TYPES)


def test_confusable_pairs_are_different_known_classes():
    assert all(set(pair) <= set(CELL_TYPES) and len(set(pair)) == 2 for pair in labels.CONFUSABLE_PAIRS)


@pytest.mark.parametrize(
    ("code", "name", "color"),
    [("SNE", "segmented neutrophil", "#08306b"), ("RBC", "RBC", "#d55e00"), ("unheard", "unheard", "#777777")],
)
def test_a_code_has_its_name_and_colour_and_an_unknown_one_is_grey(code, name, color):
    assert (labels.cell_name(code), labels.cell_color(code)) == (name, color)


def test_known_codes_come_by_lineage_then_detection_classes_then_unknown_ones():
    given_order = ["zebra", "Platelets", "RBC", "ant", "LY", "SNE", "PMY", "LY"]
    assert labels.in_lineage_order(given_order) == ["PMY", "SNE", "LY", "RBC", "Platelets", "ant", "zebra"]


@given(codes=codes)
def test_ordering_keeps_every_code_once_and_does_not_depend_on_the_order_before(codes):
    ordered = labels.in_lineage_order(codes)
    assert sorted(ordered) == sorted(set(codes))
    assert labels.in_lineage_order(reversed(codes)) == ordered == labels.in_lineage_order(ordered)


@given(codes=codes)
def test_no_unknown_code_stands_before_a_known_one(codes):
    known = {*CELL_TYPES, *DETECTION_COLORS, *labels.DIAGNOSES.values()}
    known |= {code for code, ours in CYTOLOGIA_CODES.items() if ours}
    flags = [code in known for code in labels.in_lineage_order(codes)]
    assert flags == sorted(flags, reverse=True)


def test_a_class_of_cytologia_stands_beside_its_equivalent_in_the_same_colour():
    assert labels.in_lineage_order(["LY", "MY", "PNN", "SNE", "PM"]) == ["PM", "MY", "PNN", "SNE", "LY"]
    assert labels.cell_color("PNN") == labels.cell_color("SNE")
    assert labels.cell_color("LLC") == labels.cell_color("unheard")
