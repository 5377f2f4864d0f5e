"""Time from image files to named white cells by two stages: in batches, against image by image and crop by crop.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_pipeline.py

Fields are drawn and saved as JPEG. The networks are those of notebook 08's profile (cpu, and gpu where there is one)
with random weights, which cost what trained ones do. They would find nothing, or hundreds of boxes; the detector is
therefore asked in full, and as many boxes as a field has white cells are put in the place of its answer. The peer is
what one writes first: decode an image, detect, cut a box, classify it, and so on with the next; it has none of our
checks. That both sides say the same is checked first. Nothing is kept.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from sheet import Sheet, take_turns
from torch import Tensor, nn

from wbc_utils import budget, params
from wbc_utils.data.crops import cut
from wbc_utils.data.images import open_image
from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.writing import put_jpeg
from wbc_utils.models.backbones import build
from wbc_utils.models.detection import CellDetector, build_detector
from wbc_utils.models.postprocess import DETECTIONS
from wbc_utils.two_stage import SEEN, TwoStage, sightings

FILES, BATCH, REPEATS = 32, 8, 5
WIDTH, HEIGHT = 640, 480
BOXES = torch.tensor([[100.0, 120, 190, 215], [420, 250, 500, 340]])
TYPES = ("SNE", "LY", "MO", "EO", "BA")
GOALS = {"cpu": "≤ 150", "cuda": "≤ 5"}  # ms an image


class Planted(nn.Module):
    """A detector that looks at every image in full, and then says where the boxes are."""

    def __init__(self, detector: CellDetector):
        super().__init__()
        self.detector, self.classes = detector, detector.classes

    def detect(self, images: list[Tensor], *settings) -> list[dict[str, Tensor]]:
        """Return the same boxes for every image."""
        self.detector.detect(images, *settings)
        boxes = BOXES.to(images[0])
        said = {"boxes": boxes, "labels": boxes.new_ones(len(boxes)), "scores": boxes.new_ones(len(boxes))}
        return [said] * len(images)


def make_pipeline(profile: str, device: str) -> TwoStage:
    """Return the single model of a profile."""
    p, named = params.resolve("08", profile, {}), params.resolve("03", profile, {})
    torch.manual_seed(0)
    detector = build_detector(p.detector, ("WBC",), image_px=tuple(p.image_px), finest_stride=p.finest_stride)
    classifier = build(named.architecture, TYPES, stem_stride=named.stem_stride)
    return TwoStage([Planted(detector)], [classifier], crop_px=p.crop_px).to(device).eval()


def one_by_one(pipeline: TwoStage, paths: list[Path], device: str) -> np.ndarray:
    """Name the cells of image after image, crop after crop; return the probabilities, (n, k)."""
    (detector,), (classifier,), said = pipeline.detectors, pipeline.classifiers, []
    with torch.inference_mode():
        for path in paths:
            pixels = torch.from_numpy(open_image(path)).to(device).permute(2, 0, 1).float().div_(255)
            found = detector.detect([pixels], SEEN, pipeline.nms_iou, DETECTIONS)[0]
            for box in found["boxes"]:
                said.append(classifier(cut(pixels, box[None], pipeline.crop_px)).softmax(dim=1).cpu())
    return torch.cat(said).numpy()


def compare(sheet: Sheet, profile: str, device: str, paths: list[Path]) -> None:
    """Check that both sides say the same, then time them in turns."""
    pipeline = make_pipeline(profile, device)
    sheet.section(f"networks of the {profile} profile, batches of {BATCH}, {device}")
    ours = sightings(pipeline, {str(path): open_image(path) for path in paths}, BATCH).boxes[list(TYPES)]
    apart = np.abs(ours.to_numpy() - one_by_one(pipeline, paths, device)).max()
    sheet.note(f"{profile}: {len(ours)} cells named on either side, no probability more than {apart:.1e} apart")
    times = take_turns(
        lambda: budget.by_stage(pipeline, paths, BATCH), lambda: one_by_one(pipeline, paths, device),
        lambda: budget.by_stage(pipeline, paths, 1), repeats=REPEATS,
    )  # fmt: skip
    name = f"named cells of a {WIDTH} × {HEIGHT} file"
    sheet.ratio(name, *times[:2], peer="image by image, crop by crop", asked="≥ 3")
    sheet.ratio(name, times[0], times[2], peer="our path in batches of one")
    sheet.line(name, [1000 * seconds / FILES for seconds in times[0]], "ms", asked=GOALS[device])
    for stage, spent in budget.by_stage(pipeline, paths, BATCH).items():
        if stage != budget.TOTAL:
            sheet.line(f"{name}: {stage}", [spent], "ms")


def main() -> None:
    """Run the benchmark."""
    with (
        Sheet("pipeline", "the two-stage pipeline from file to named cells", ("torch", "torchvision", "timm")) as sheet,
        tempfile.TemporaryDirectory() as folder,
    ):
        torch.set_num_threads(1)
        rng, paths = np.random.default_rng(0), [Path(folder, f"{number}.jpg") for number in range(FILES)]
        for path in paths:
            put_jpeg(path, draw_field(rng, WIDTH, HEIGHT, whites=["SNE", "LY"]).image)
        sheet.note(
            f"{FILES} drawn files of two white cells; {REPEATS} passes of each side in turns; one thread of torch"
        )
        compare(sheet, "cpu", "cpu", paths)
        if torch.cuda.is_available():
            compare(sheet, "gpu", "cuda", paths)


if __name__ == "__main__":
    main()
