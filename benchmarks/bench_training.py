"""Time of a training epoch: images decoded once and augmented as batches, against ImageFolder and DataLoader.

Usage: OMP_WAIT_POLICY=PASSIVE python benchmarks/bench_training.py [FOLDER]

FOLDER has one folder of images a class; without it the Barcelona cells under WBC_DATA are taken, and where there are
none, synthetic cells are drawn in a temporary folder, at 160 pixels and at the 360 pixels of that data set's release.
Both sides train the same network with the same loop (`wbc_utils.fit`), loss, optimiser, batches of 64 and files. The
peer is what one would write first: ImageFolder, one persistent worker a core, the v2 transforms on PIL images, which
of this size are faster than on tensors. Its transforms have the ranges of the augmentation ``standard``, without
quarter turns, stain and gamma, which only our side does. Validation is not timed.

The sides take turns, and the ratio is that of neighbouring epochs; the first epoch of each is not counted. Where other
programs use the cores, the ratio of processor times says more than that of the clock. Nothing is written into the
project.
"""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil
import torch
from sheet import Sheet
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from wbc_utils import paths, repro
from wbc_utils.classification import CellRecipe, Cells, CellTask
from wbc_utils.data.cells import PBC_FOLDER
from wbc_utils.data.images import open_image
from wbc_utils.data.pixels import load_pixels
from wbc_utils.data.synthetic.fields import draw_field
from wbc_utils.data.synthetic.looks import LOOKS
from wbc_utils.data.synthetic.pbc import FOLDERS, SCALE, SIZE
from wbc_utils.data.synthetic.writing import jpeg_bytes, put
from wbc_utils.fit import fit
from wbc_utils.images.augment import PRESETS
from wbc_utils.models.backbones import build

ARCHITECTURES = ("convnext_atto", "resnet18")
INPUT_PX = 64
DRAWN_PX = (160, 360)
IMAGES = {"cpu": 24 * 64, "cuda": 192 * 64}  # an epoch; a GPU needs more for the start of an epoch not to decide
REPEATS = 3
ASKED = {"cpu": 1.5, "cuda": 3.0}
MOST_LOADING = 10  # per cent of our epoch


def draw_cells(folder: Path, side: int) -> None:
    """Draw the synthetic JPEG files, one folder a cell type."""
    rng = np.random.default_rng(0)
    for number, code in enumerate(islice(cycle(FOLDERS), IMAGES["cpu"])):
        field = draw_field(
            rng, side, side, whites=[code], reds=int(rng.integers(6, 18)), platelets=0, scale=SCALE * side / SIZE,
            look=LOOKS["pbc"].varied(rng), centred=True,
        )  # fmt: skip
        put(folder / code / f"{number}.jpg", jpeg_bytes(field.image, 85))


def transforms() -> v2.Compose:
    """Return the peer's transforms, with the ranges of ours."""
    on = PRESETS["standard"]
    return v2.Compose(
        [
            v2.Resize((INPUT_PX, INPUT_PX)),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(on.rotate, (on.translate, on.translate), (1 / (1 + on.scale), 1 + on.scale)),
            v2.ColorJitter(on.brightness, on.contrast, on.saturation, on.hue),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )


def peer_loader(images: Subset, recipe: CellRecipe, device: str) -> DataLoader:
    """Return the peer's loader; like ours it leaves out the last batch if it is not whole."""
    return DataLoader(
        images, recipe.batch_size, shuffle=True, drop_last=True, num_workers=repro.hardware()["cores"],
        persistent_workers=True, pin_memory=device == "cuda",
    )  # fmt: skip


def peer_batches(loader: DataLoader, device: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the peer's batches in the memory format of ours."""
    for images, targets in loader:
        images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
        yield images, targets.to(device, non_blocking=True)


def our_task(images: Subset, recipe: CellRecipe, device: str) -> tuple[CellTask, float]:
    """Return the task with the images decoded, and the seconds that the decoding took."""
    folder = images.dataset
    samples = [folder.samples[row] for row in images.indices]
    files, codes = [path for path, _ in samples], [folder.classes[label] for _, label in samples]
    field = min(open_image(files[0]).shape[:2])
    with tempfile.TemporaryDirectory() as temporary:
        start = time.perf_counter()
        pixels = load_pixels(files, INPUT_PX, field, Path(temporary))
        seconds = time.perf_counter() - start
    cells = Cells.of(pixels.images, codes, folder.classes)
    return CellTask(build(recipe.architecture, folder.classes), cells, cells, recipe, 0, device), seconds


def settle() -> None:
    """Wait until a GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def processor_seconds() -> float:
    """Return the processor time of this process and of its workers."""
    process = psutil.Process()
    times = [one.cpu_times() for one in (process, *process.children())]
    return sum(one.user + one.system for one in times)


class Epoch:
    """One epoch of a task with batches from anywhere; a task itself, which notes the times while `fit` trains it.

    Attributes
    ----------
    seconds, processor, waited
        From the first batch asked for to the end of the last step; processor time of the same; seconds of these until
        the batches were there.
    """

    def __init__(self, task: CellTask, source: Iterable, device: str, apart: bool = False):
        self.source, self.apart = source, apart
        self.model, self.steps, self.loss = task.model, task.steps, task.loss
        fit(self, task.recipe, seed=0, device=device)

    def validate(self, model: torch.nn.Module) -> dict[str, float]:
        """Score nothing."""
        return {"nothing": 0.0}

    def batches(self, epoch: int) -> Iterator:
        """Yield the batches of the source; if they are timed apart, a GPU finishes each before the step and after."""
        settle()
        start, used, self.waited = time.perf_counter(), processor_seconds(), 0.0
        source = iter(self.source)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            if self.apart:
                settle()
            self.waited += time.perf_counter() - asked
            if batch is None:
                break
            yield batch
            if self.apart:
                settle()
        settle()
        self.seconds, self.processor = time.perf_counter() - start, processor_seconds() - used


def compare(sheet: Sheet, folder: ImageFolder, architecture: str, device: str) -> None:
    """Time epochs of both sides in turns."""
    recipe = CellRecipe(architecture=architecture, epochs=1, warmup_epochs=0, schedule="constant")
    images = Subset(folder, np.linspace(0, len(folder) - 1, IMAGES[device]).astype(int).tolist())
    task, decoding = our_task(images, recipe, device)
    loader = peer_loader(images, recipe, device)
    turns = range(1 + REPEATS)
    ours, theirs = [], []
    for turn in turns:
        ours.append(Epoch(task, task.batches(turn), device))
        theirs.append(Epoch(task, peer_batches(loader, device), device))
    apart = ours if device == "cpu" else [Epoch(task, task.batches(turn), device, apart=True) for turn in turns]
    ours, theirs, apart = ours[1:], theirs[1:], apart[1:]

    thousands = len(images) / 1000
    peer = "ImageFolder + DataLoader"
    clock = [[one.seconds for one in side] for side in (ours, theirs)]
    sheet.ratio("epoch", *clock, peer=peer, asked=f"≥ {ASKED[device]}")
    if device == "cpu":
        processor = ([one.processor for one in side] for side in (ours, theirs))
        sheet.ratio("processor time of an epoch", *processor, peer=peer)
    sheet.line("epoch, decoded once and augmented as batches", clock[0], "s")
    sheet.line(f"epoch, {peer}", clock[1], "s")
    sheet.line("decoding, once", [decoding], "s")
    shares = [100 * one.waited / one.seconds for one in apart]
    sheet.line("share of our epoch that is not the network's", shares, "%", f"≤ {MOST_LOADING}")
    sheet.line("augmented batches", [one.waited / thousands for one in apart], "ms/image")
    sheet.line("forward, backward, step", [(one.seconds - one.waited) / thousands for one in apart], "ms/image")
    sheet.line("peer's decoding and transforms, one core", [plain_loading(images) for _ in range(REPEATS)], "ms/image")


def plain_loading(images: Subset) -> float:
    """Return the peer's processor time an image without workers, in milliseconds."""
    chosen = range(0, len(images), len(images) // 200)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker
    start = time.process_time()
    for row in chosen:
        images[row]
    seconds = time.process_time() - start
    torch.set_num_threads(threads)
    return 1000 * seconds / len(chosen)


def report(sheet: Sheet, place: Path, words: str) -> None:
    """Compare with every network on every device that is there."""
    try:
        folder = ImageFolder(str(place), transforms())
    except FileNotFoundError as error:
        sys.exit(str(error))
    side = open_image(folder.samples[0][0]).shape[0]
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        for architecture in ARCHITECTURES:
            sheet.section(
                f"{words} of {side} px, {IMAGES[device]} an epoch: {architecture} at {INPUT_PX} px on {device}"
            )
            compare(sheet, folder, architecture, device)


def main() -> None:
    """Run the benchmark."""
    barcelona = paths.data_root() / "pbc" / PBC_FOLDER
    packages = ("torch", "torchvision", "timm", "pillow")
    with Sheet("training", "an epoch of training, same network, batches and files", packages) as sheet:
        sheet.note(f"{REPEATS} epochs of each side after one not counted")
        if len(sys.argv) > 1:
            report(sheet, Path(sys.argv[1]), sys.argv[1])
        elif barcelona.is_dir():
            report(sheet, barcelona, "Barcelona cells")
        else:
            for side in DRAWN_PX:
                with tempfile.TemporaryDirectory() as temporary:
                    draw_cells(Path(temporary), side)
                    report(sheet, Path(temporary), "synthetic cells")


if __name__ == "__main__":
    main()
