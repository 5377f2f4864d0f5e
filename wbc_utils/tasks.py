"""What a saved model is for: told from its file, and asked with the options that it has."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from wbc_utils.models import ModelError


class Task(StrEnum):
    """What a saved model does."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    TWO_STAGE = "two-stage"
    LYMPHOCYTOSIS = "lymphocytosis"


_CARDS = {"card": Task.CLASSIFICATION, "detector": Task.DETECTION, "panel": Task.LYMPHOCYTOSIS}  # in a file's header
_PIPELINE = "pipeline.json"  # in a folder

_KINDS = {
    Task.CLASSIFICATION: "a classifier",
    Task.DETECTION: "a detector",
    Task.TWO_STAGE: "a two-stage pipeline",
    Task.LYMPHOCYTOSIS: "a panel that judges patients",
}

_OPTIONS = {
    Task.CLASSIFICATION: {"batch_size", "views", "temperature", "cell_px", "min_confidence", "submission"},
    Task.DETECTION: {"batch_size", "threshold", "nms_iou", "no_pictures"},
    Task.TWO_STAGE: {"batch_size", "no_pictures"},
    Task.LYMPHOCYTOSIS: set(),
}


def task_of(model: Path) -> Task:
    """Return the task of a file or, for pipelines, a folder that a notebook saved; torch is not needed for it.

    Raises
    ------
    ModelError
        If there is nothing, or nothing that a notebook saved.
    """
    if model.is_dir():
        if (model / _PIPELINE).is_file():
            return Task.TWO_STAGE
        raise ModelError(
            f"the folder {model} has no {_PIPELINE}; give one that notebook 08 wrote, or a file of weights"
        )
    if not model.is_file():
        raise ModelError(f"there are no weights at {model}; {_command(model)}")
    header = _header(model)
    for card, task in _CARDS.items():
        if card in header:
            return task
    raise ModelError(f"{model} carries no model card, so nothing is known of it; give weights that a notebook saved")


def warning_of(model: Path) -> str | None:
    """Return what a card says of the drawings that the weights learned from, None where it speaks of none."""
    file = next(iter(sorted(model.glob("*.safetensors"))), None) if model.is_dir() else model
    header = _header(file) if file else {}
    for card in _CARDS.keys() & header.keys():
        with suppress(ValueError, TypeError, LookupError):  # the loader says what is wrong with a damaged card
            stated = json.loads(header[card])
            about = [stated[field] for field in ("intended_use", "limits") if "drawings" in stated[field]]
            return " ".join(about) or None
    return None


def _header(file: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            return opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} is no safetensors file ({error}); give weights that a notebook saved") from error


def _command(model: Path) -> str:
    """Return what to do where a path leads to nothing: in a folder of runs the notebook and profile are known."""
    found = re.search(r"(?:^|/)runs/(demo|cpu|gpu)/(\d\d)(?:/|$)", model.as_posix())
    if not found:
        return "run the notebook that saves them, or correct the path"
    return f"run it: wbc run {found[2]} --profile {found[1]}"


def ask(
    model: Path,
    images: Path,
    out: Path,
    device: str | None,
    options: Mapping[str, object],
    say: Callable[[str], None],
    task: Task | None = None,
) -> None:
    """Ask a saved model about images.

    Parameters
    ----------
    model, images, out, device
        See `wbc_utils.inquiry.Inquiry`; of a panel see `wbc_utils.panel.diagnose`.
    options
        Of the command; None is not given.
    say
        Called with one line at a time.
    task
        What the model is taken for, if anything.

    Raises
    ------
    ModelError
        If the model is for another task, or does not have an option.
    """
    found = task_of(model)
    given = {name: value for name, value in options.items() if value is not None}
    if task not in (None, found):
        raise ModelError(
            f"{model.name} is {_KINDS[found]}, for --task {found}, not {_KINDS[task]}, for --task {task}; leave out "
            "--task, or give another model"
        )
    if wrong := [f"--{name.replace('_', '-')}" for name in given if name not in _OPTIONS[found]]:
        raise ModelError(f"{model.name} is {_KINDS[found]}; leave out {', '.join(wrong)}, which it does not have")
    if warning := warning_of(model):
        say(warning)
    if found is Task.LYMPHOCYTOSIS:
        from wbc_utils.panel import diagnose

        diagnose(model, images, out, device, say)
        return
    same = {"model": model, "images": images, "out": out, "device": device}
    if found is Task.CLASSIFICATION:
        from wbc_utils import labelling

        labelling.label_images(labelling.Request(**same, **given), say)
        return
    same["pictures"] = not given.pop("no_pictures", False)
    if found is Task.DETECTION:
        from wbc_utils import counting

        thresholds = counting.parse_thresholds(given.pop("threshold", []))
        counting.count_cells(counting.Request(**same, **given, thresholds=thresholds), say)
    else:
        from wbc_utils import naming

        naming.name_cells(naming.Request(**same, **given), say)
