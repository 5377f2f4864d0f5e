"""The page of the two-stage pipeline: what it saves is what it scored, and it reads CytologIA, which no demo does."""

from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
import pytest

from wbc_utils import decisions, params, paths, pipeline_files
from wbc_utils.data.registry import read
from wbc_utils.data.synthetic import cytologia
from wbc_utils.data.synthetic.writing import Truth
from wbc_utils.metrics import challenge, coco
from wbc_utils.metrics.detection import Detections
from wbc_utils.two_stage import sightings

CELLS = nbformat.read(Path(__file__).parents[1] / "notebooks" / "08_two_stage_pipeline.ipynb", as_version=4).cells
CODE = [cell.source for cell in CELLS if cell.cell_type == "code"]
LAST = next(place for place, source in enumerate(CODE) if "study = " in source)


@pytest.fixture
def read_data(monkeypatch):
    """Return a function that runs the cells on the data, with changed parameters, and returns their variables."""
    monkeypatch.setattr("wbc_utils.repro.RECORDED", {})

    def run(**changes):
        space = params.resolve("08", "demo", changes).model_dump()
        with mpl.rc_context():
            for source in CODE[1 : LAST + 1]:
                exec(source, space)
        return space

    return run


def test_the_cells_on_the_data_run_on_cytologia(read_data, tmp_path, monkeypatch):
    cytologia.write(tmp_path / "cytologia", np.random.default_rng(0), Truth())
    images = read("cytologia", tmp_path).images["image"]
    splits = pd.DataFrame({"image": images, "split": "train", "cluster": range(len(images))})
    splits.to_csv(tmp_path / "splits.csv", index=False)  # in the place of notebook 01
    monkeypatch.setattr(paths, "upstream_table", lambda profile, number, file: tmp_path / "splits.csv")
    monkeypatch.setattr(paths, "run_dir", lambda profile, number: tmp_path)
    monkeypatch.setattr("wbc_utils.data.overview.open_root", lambda source, seed: tmp_path)
    found = read_data(dataset="cytologia", classifier_init="random")
    images = set(found["study"].images), set(found["locked"])
    assert not images[0] & images[1]
    assert len(images[0] | images[1]) == cytologia.COUNT
    assert set(found["truth"]["class"]) == set(found["classes"]) > {"PNN", "LY"}
    assert set(found["truth"]["image"]) <= images[0]


def test_the_saved_pipeline_has_the_locked_scores_that_stand_on_its_cards(read_data, demo, monkeypatch):
    monkeypatch.setenv("WBC_PROJECT", str(demo.root))
    found = read_data()
    pipeline, cards = pipeline_files.load(demo.root / "runs" / "demo" / "08" / "tables" / "pipeline")
    seen, names = sightings(pipeline, found["locked"]), list(found["locked"])
    score = challenge.score(decisions.judge(seen.decided(pipeline.settings), found["locked_truth"], found["classes"]))
    boxes = found["cells"].boxes
    truth = boxes[boxes["image"].isin(names)].drop(columns="type")
    both = Detections.of(truth, seen.boxes.assign(**{"class": "WBC"}), names, ["WBC"])
    for card in cards.values():
        assert card.metrics["two_stage.locked_score"].value == pytest.approx(score)
        assert card.metrics["two_stage.locked_ap50"].value == pytest.approx(coco.coco_ap(both)["AP50"].iloc[-1])
