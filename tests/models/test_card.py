import pytest

from wbc_utils.manifest import Metric
from wbc_utils.models.card import ModelCard, TrainingData

FIELDS = {
    "architecture": "test_convnext", "classes": ("BL", "EO"), "stem_stride": 2, "image_px": 96, "field_cells": 2.4,
    "cell_px": 40.0, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "init": "random", "temperature": 0.8,
    "views": 8,
    "data": (TrainingData(name="pbc", licence="CC-BY-4.0", digest="ab12", splits={"train": 70, "test": 9}),),
    "metrics": {"pbc.macro_f1": Metric(value=0.9, ci=(0.85, 0.95), n=9, split="test", init="random")},
    "licence": "CC-BY-4.0", "seed": 3, "commit": "c0ffee", "versions": {"torch": "2.11"},
    "intended_use": "Teaching.", "limits": "One laboratory | one stain.",
}  # fmt: skip


def test_a_card_comes_back_from_json():
    card = ModelCard(**FIELDS)
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_the_page_names_every_field_of_the_card():
    page = ModelCard(**FIELDS).markdown()
    for text in (
        "# test_convnext, 2 classes of cells", "BL, EO", "| stride of the first convolution | 2 |", "96 × 96 px",
        "2.4 cell diameters", "median cell: 40 px", "0.5, 0.5, 0.5; 0.25, 0.25, 0.25", "| initialised from | random |",
        "| temperature | 0.8 |", "| views | 8 |", "| pbc | CC-BY-4.0 | train 70, test 9 | ab12 |",
        "| pbc.macro_f1 | 0.900 (95 % interval 0.850–0.950) | test | 9 |", "| licence | CC-BY-4.0 |", "| seed | 3 |",
        "| commit | c0ffee |", "torch 2.11", "**Intended use.** Teaching.", "**Limits.** One laboratory",
    ):  # fmt: skip
        assert text in page


def test_a_bar_in_a_table_is_escaped():
    page = ModelCard(**{**FIELDS, "licence": "MIT | GPL"}).markdown()
    assert "| licence | MIT \\| GPL |" in page


def test_scales_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"field_cells 2.4 times cell_px 60.0 is not image_px 96"):
        ModelCard(**{**FIELDS, "cell_px": 60.0})


@pytest.mark.parametrize(
    ("field", "value"), [("temperature", 0), ("image_px", 0), ("cell_px", -40), ("views", 4), ("colour", "red")]
)
def test_impossible_values_and_unknown_fields_are_refused(field, value):
    with pytest.raises(ValueError, match=field):
        ModelCard(**{**FIELDS, field: value})
