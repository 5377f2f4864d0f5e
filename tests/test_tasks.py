"""What a saved model is for is told from its file, before anything heavy is loaded."""

import json
import subprocess
import sys

import numpy as np
import pytest
from cell_models import save_certain
from detector_models import save_detector
from safetensors.numpy import save_file
from saved_models import save_panel, save_pipeline

from wbc_utils.models import ModelError
from wbc_utils.tasks import Task, ask, task_of, warning_of


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a model of each kind by its task."""
    folder = tmp_path_factory.mktemp("models")
    return {
        Task.CLASSIFICATION: save_certain(folder / "cells.safetensors", {"SNE": 0.6, "LY": 0.4}),
        Task.DETECTION: save_detector(folder / "fields.safetensors"),
        Task.TWO_STAGE: save_pipeline(folder / "pipeline"),
        Task.LYMPHOCYTOSIS: save_panel(folder / "panel.safetensors"),
    }


def test_the_task_is_told_from_what_was_saved(models):
    assert {task: task_of(model) for task, model in models.items()} == {task: task for task in Task}


@pytest.mark.parametrize("task", Task)
def test_every_other_task_is_refused_by_both_names(models, tmp_path, task):
    for other in set(Task) - {task}:
        with pytest.raises(ModelError, match=f"--task {task}, not .* --task {other}; leave out --task, or give"):
            ask(models[task], tmp_path, tmp_path / "out", None, {}, print, other)


def test_the_task_is_told_without_torch(models):
    code = "import sys, pathlib; from wbc_utils.tasks import task_of; print(task_of(pathlib.Path(sys.argv[1]))); "
    code += "print('torch' in sys.modules)"
    for task, model in models.items():
        reply = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=True)
        assert reply.stdout.split() == [task, "False"]


def test_what_no_notebook_saved_is_refused(tmp_path):
    save_file({"a": np.zeros(1)}, tmp_path / "bare.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    for name, error in {
        "bare.safetensors": "carries no model card",
        "noise.safetensors": "is no safetensors file",
        "gone": "there are no weights at",
        ".": r"has no pipeline\.json",
    }.items():
        with pytest.raises(ModelError, match=error):
            task_of(tmp_path / name)


@pytest.mark.parametrize(
    ("place", "advice"),
    [
        ("runs/cpu/03/tables/portable.safetensors", r"run it: wbc run 03 --profile cpu$"),
        ("runs/demo/08/tables/pipeline", r"run it: wbc run 08 --profile demo$"),
        ("runs/mine/portable.safetensors", r"or correct the path$"),
    ],
)
def test_weights_that_a_run_has_not_left_yet_name_its_command(tmp_path, place, advice):
    with pytest.raises(ModelError, match=advice):
        task_of(tmp_path / place)


@pytest.mark.parametrize(
    ("stated", "warned"),
    [
        ({"intended_use": "Trained on synthetic drawings.", "limits": "Many."}, "Trained on synthetic drawings."),
        ({"intended_use": "Tests.", "limits": "Learned on drawings."}, "Learned on drawings."),
        ({"intended_use": "Teaching.", "limits": "Many."}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("header", ["card", "detector", "panel"])
def test_what_a_card_says_of_drawings_is_told(tmp_path, header, stated, warned):
    folder = tmp_path / "pipeline"
    folder.mkdir()
    save_file({"a": np.zeros(1)}, folder / "a.safetensors", {header: json.dumps(stated)})
    assert warning_of(folder / "a.safetensors") == warned
    assert warning_of(folder) == warned


def test_the_drawings_are_the_first_line_of_the_answer(models, tmp_path, monkeypatch):
    monkeypatch.setattr("wbc_utils.tasks.warning_of", lambda model: "Trained on drawings.")
    monkeypatch.setattr("wbc_utils.labelling.label_images", lambda request, say: say("3 images labelled."))
    lines = []
    ask(models[Task.CLASSIFICATION], tmp_path, tmp_path / "out.csv", None, {}, lines.append)
    assert lines == ["Trained on drawings.", "3 images labelled."]
