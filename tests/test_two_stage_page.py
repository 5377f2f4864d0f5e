"""The page of the two-stage pipeline: what it saves is what it scored, and it runs on CytologIA, which no demo does."""

from pathlib import Path

import matplotlib as mpl
import nbformat
import numpy as np
import pytest

from wbc_utils import decisions, params, pipeline_files
from wbc_utils.data.synthetic import cytologia
from wbc_utils.data.synthetic.writing import Truth
from wbc_utils.manifest import read_manifest
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


def test_whoever_has_cytologia_runs_the_page_on_it(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(cytologia, "COUNT", 60)
    monkeypatch.setattr(cytologia, "_SHARES", {"PNN": 0.4, "LY": 0.3, "EO": 0.3})
    data, project = tmp_path / "data", type(demo)(tmp_path)
    cytologia.write(data / "cytologia", np.random.default_rng(0), Truth())
    project.run("01", data, datasets=["cytologia"])
    project.run(
        "08", data, dataset="cytologia", classifier_init="random", rivals=[], rates=[0.02], detector_rate=0.02,
        detector_epochs=6, type_epochs=1, whole_epochs=1, timed_images=2, timed_passes=1, batch_sizes=[1],
    )  # fmt: skip
    manifest = read_manifest(project.reports / "manifests" / "08.json")
    assert [used.name for used in manifest.data] == ["cytologia"]
    assert not manifest.synthetic
    assert {"cytologia.challenge_score", "cytologia.two_stage_macro_f1"} <= manifest.metrics.keys()
    pipeline, _ = pipeline_files.load(tmp_path / "runs" / "demo" / "08" / "tables" / "pipeline")
    assert set(pipeline.classes) == {"PNN", "LY", "EO"}


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
