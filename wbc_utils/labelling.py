"""Label the cell images of a folder or a list with a saved model: list, measure, predict, write one table."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from joblib import cpu_count

from wbc_utils import predict
from wbc_utils.data.framing import cell_diameter, frame
from wbc_utils.data.sources import Source, list_sources, read_source
from wbc_utils.images.isolate import isolate
from wbc_utils.inquiry import Inquiry, InquiryError, Say, as_csv, look, require_file, writing
from wbc_utils.labels import WBCBENCH_CODES, in_lineage_order
from wbc_utils.manifest import write_together
from wbc_utils.models.backbones import CellClassifier
from wbc_utils.models.card import ModelCard
from wbc_utils.models.device import choose_device
from wbc_utils.models.weights import load
from wbc_utils.predictions import FilePredictions, count_reasons, file_name

MEASURED = 200
"""Most images whose cells are measured to learn the scale, spread evenly over all."""

SUBMISSIONS = ("wbcbench",)
"""Challenges that a submission can be written for."""

_BATCHES_READ = 4  # batches decoded before they are computed


@dataclass(frozen=True)
class Request(Inquiry):
    """What to label, with which model, how, and where to write the result.

    Attributes
    ----------
    model
        Weights with their card, from `wbc_utils.models.weights.save`.
    out
        CSV file to write; replaced only when all is done.
    views, temperature
        See `wbc_utils.predict.logits` and `wbc_utils.predict.combine`; those of the card where None.
    cell_px
        Diameter of a typical cell in pixels of the images; measured where None.
    min_confidence
        Confidence below which the model abstains; never where None.
    submission
        One of ``SUBMISSIONS``: ``out`` is then a submission instead of a table of probabilities.
    images, device, batch_size
        See `wbc_utils.inquiry.Inquiry`.

    Raises
    ------
    InquiryError
        If a value is not allowed.
    """

    views: int | None = None
    temperature: float | None = None
    cell_px: float | None = None
    min_confidence: float | None = None
    submission: str | None = None
    batch_size: int = field(default=64, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        rules = {
            "views": (lambda value: value in (1, predict.VIEWS), f"1 or {predict.VIEWS}"),
            "temperature": (lambda value: 0 < value < float("inf"), "a positive number"),
            "cell_px": (lambda value: 0 < value < float("inf"), "a positive number of pixels"),
            "min_confidence": (lambda value: 0 <= value <= 1, "0 to 1"),
            "submission": (lambda value: value in SUBMISSIONS, " or ".join(SUBMISSIONS)),
        }
        for name, (holds, allowed) in rules.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise InquiryError(f"--{name.replace('_', '-')} is {value}; allowed is {allowed}")
        if self.submission and self.min_confidence is not None:
            raise InquiryError("a submission has a label for every image: leave out --min-confidence")


def label_images(request: Request, say: Say = lambda line: None) -> FilePredictions:
    """Label images and write the table, or the submission, that was asked for.

    Parameters
    ----------
    request
        What and how.
    say
        Called with one line at a time: the scale that was measured, progress, and at the end the summary.

    Raises
    ------
    InquiryError
        If none of the images can be read, or the result cannot be written where it was asked for.
    wbc_utils.data.tables.DataError
        If there are no images, or their scale cannot be measured.
    wbc_utils.models.ModelError
        If the weights cannot be used, or the device not.
    """
    device = choose_device(request.device)
    sources = list_sources(request.images)
    inputs = [request.images, request.model, request.model.with_suffix(".md")]
    require_file(request.out, [*inputs, *(source.path for source in sources if source.path)])
    model, card = load(request.model, device)
    if request.submission:
        _require_submittable(card, sources)
    cell_px = request.cell_px or _measured(sources, say)
    found = predict_files(model, card, sources, request, card.field_cells * cell_px, say)
    table = found.wbcbench() if request.submission else found.table(request.min_confidence)
    with writing(request.out):
        write_together({request.out: as_csv(table, float_format="%.6f")})
    say(found.summary(card, request.min_confidence))
    if request.submission:
        say(found.about_wbcbench())
    return found


def predict_files(
    model: CellClassifier, card: ModelCard, sources: Sequence[Source], request: Request, field_px: float, say: Say
) -> FilePredictions:
    """Ask a model about image files; one that cannot be read becomes a row with its reason.

    Parameters
    ----------
    model, card
        From `wbc_utils.models.weights.load`.
    sources
        At least one image.
    request
        How to ask.
    field_px
        Side of the field that the model sees, in pixels of the images.
    say
        Called with a line of progress now and then.

    Raises
    ------
    InquiryError
        If none of the images can be read.
    wbc_utils.models.ModelError
        See `wbc_utils.predict.logits`.
    """
    views, temperature = request.views or card.views, request.temperature or card.temperature
    classes = in_lineage_order(model.classes)
    order = [model.classes.index(code) for code in classes]
    probabilities = np.full((len(sources), len(classes)), np.nan)
    padded = np.zeros(len(sources), bool)
    reasons: list[str] = []
    see = partial(_framed, card=card, field_px=field_px)
    for seen, why in look(sources, _BATCHES_READ * request.batch_size, say, see):
        reasons += why
        if seen:
            rows, images = list(seen), np.stack([image for image, _ in seen.values()])
            logits = predict.logits(model, images, views, request.batch_size)
            probabilities[rows] = predict.combine(logits, temperature, average="logits")[:, order]
            padded[rows] = [small for _, small in seen.values()]
    return FilePredictions([source.name for source in sources], classes, probabilities, reasons, padded)


def _measured(sources: Sequence[Source], say: Say) -> float:
    """Return the median diameter of the cells in pixels, measured on some of the images."""
    rows = np.unique(np.linspace(0, len(sources) - 1, MEASURED).round().astype(int))
    with ThreadPoolExecutor(cpu_count()) as pool:
        found = list(pool.map(read_source, [sources[row] for row in rows]))
    images = [image for image in found if not isinstance(image, str)]
    if not images:
        raise InquiryError(f"none of {len(rows)} images looked at could be read: {count_reasons(found)}")
    measured = cell_diameter(images)
    low, high = measured.quartiles
    say(
        f"Cells measure {measured.px:.1f} px across (middle half {low:.0f} to {high:.0f} px), from {measured.trusted} "
        f"trusted outlines in {measured.looked_at} images looked at. --cell-px overrides this."
    )
    if measured.trusted < measured.looked_at / 2:
        say("Fewer than half could be outlined: does every image show one whole cell in its middle?")
    return measured.px


def _framed(source: Source, card: ModelCard, field_px: float) -> tuple[np.ndarray, bool] | str:
    """Return the square that the model sees and whether the image was padded, or why it cannot be read."""
    image = read_source(source)
    if isinstance(image, str):
        return image
    shown = isolate(image) if card.isolated else image
    return frame(shown, card.image_px, field_px), min(image.shape[:2]) < field_px


def _require_submittable(card: ModelCard, sources: Sequence[Source]) -> None:
    """Raise InquiryError if WBCBench could not take the submission."""
    if not set(card.classes) & set(WBCBENCH_CODES):
        raise InquiryError(
            f"the model's classes {', '.join(card.classes)} are none of WBCBench's {', '.join(WBCBENCH_CODES)}; use "
            "another model, or leave out --submission"
        )
    name, count = Counter(file_name(source.name) for source in sources).most_common(1)[0]
    if count > 1 or not name:
        raise InquiryError(
            f"{count} images have the name {name!r}, which a submission takes for their ID; it must be there, and once"
        )
