"""Time of a training epoch on patients: packed bags, against one patient at a time with accumulated gradients.

Usage: OMP_NUM_THREADS=1 python benchmarks/bench_bags.py

Patients are drawn: 16 to 48 cells each, an embedding and 89 handmade features a cell, as in `lymph`. Both sides train
the same mixture of experts with the same batches, loss and optimiser. The peer is what report 004 describes, because a
batch of bags of different sizes is no tensor: patient after patient, the loss divided by the size of the batch, and a
step after each batch. That both have the same gradients is checked first. Where there is a GPU, an encoder that learns
from images is timed on it, too. Nothing is written.
"""

import time
from collections.abc import Iterator

import numpy as np
import torch
from sheet import Sheet, take_turns

from wbc_utils.lymphocytosis import MixtureRecipe, MixtureTask, untrained
from wbc_utils.models.bags import Bags
from wbc_utils.models.cohort import Cohort, Scale

PATIENTS, BATCH, REPEATS = 96, 32, 7
EMBEDDING, FEATURES = 512, 89
IMAGE_PX = 64


def draw(patients: int, images: bool = False) -> Cohort:
    """Draw patients, every third reactive."""
    rng = np.random.default_rng(0)
    labels = (np.arange(patients) % 3 > 0).astype(int)
    sizes = torch.from_numpy(rng.integers(16, 49, patients))
    cells = int(sizes.sum())
    looks = (
        torch.from_numpy(rng.integers(0, 256, (cells, IMAGE_PX, IMAGE_PX, 3), dtype=np.uint8))
        if images
        else torch.from_numpy(rng.normal(size=(cells, EMBEDDING)).astype(np.float32))
    )
    handmade = torch.from_numpy(rng.normal(size=(cells, FEATURES)).astype(np.float32))
    count = 10 ** rng.normal(1, 0.3, patients)
    return Cohort(labels, rng.normal(65, 15, patients), count, Bags(looks, sizes), Bags(handmade, sizes))


def make_task(recipe: MixtureRecipe, cohort: Cohort, device: str) -> MixtureTask:
    """Return a task with the first weights of seed 0."""
    torch.manual_seed(0)
    scale = Scale.fit(cohort, recipe.components)
    return MixtureTask(untrained(recipe, scale).to(device), cohort, cohort, scale, recipe, 0, device)


def one_by_one(batch: tuple) -> Iterator[tuple]:
    """Take a batch apart, one patient at a time."""
    patients, malignant, known = batch
    for row in range(len(malignant)):
        chosen = torch.tensor([row], device=malignant.device)
        yield patients.take(chosen), malignant[chosen], known[chosen]


def accumulate(task: MixtureTask, batch: tuple, packed: bool) -> None:
    """Add the gradients of a batch."""
    parts = [batch] if packed else one_by_one(batch)
    for part in parts:
        (sum(task.loss(task.model, part).values()) * len(part[1]) / len(batch[1])).backward()


def epoch(task: MixtureTask, optimizer: torch.optim.Optimizer, packed: bool) -> None:
    """Learn from every patient once."""
    for batch in task.batches(0):
        optimizer.zero_grad()
        accumulate(task, batch, packed)
        optimizer.step()
    if task.device == "cuda":
        torch.cuda.synchronize()


def largest_difference(task: MixtureTask) -> float:
    """Return by how much the two sides' gradients of a batch differ at most."""
    batch, found = next(task.batches(0)), []
    for packed in (True, False):
        task.model.zero_grad()
        accumulate(task, batch, packed)
        found.append([weight.grad.clone() for weight in task.model.parameters() if weight.grad is not None])
    return max(float((one - other).abs().max()) for one, other in zip(*found, strict=True))


def compare(sheet: Sheet, name: str, recipe: MixtureRecipe, cohort: Cohort, device: str, asked: str) -> None:
    """Check the gradients, then time epochs of both sides in turns."""
    task = make_task(recipe, cohort, device)
    task.model.train()
    sheet.section(f"{name}, batches of {recipe.batch_size}, {device}")
    sheet.note(f"{name}: largest difference of a gradient {largest_difference(task):.1e}")
    optimizer = torch.optim.AdamW([weight for weight in task.model.parameters() if weight.requires_grad])
    clock = time.process_time if device == "cpu" else time.perf_counter
    ours, theirs = take_turns(
        lambda: epoch(task, optimizer, True), lambda: epoch(task, optimizer, False), repeats=REPEATS, clock=clock
    )
    peer = "one patient at a time, gradients accumulated"
    sheet.ratio("an epoch of packed bags", ours, theirs, peer=peer, asked=asked)
    sheet.line("an epoch of packed bags", [1000 * value for value in ours], "ms")
    sheet.line(f"an epoch of {peer}", [1000 * value for value in theirs], "ms")


def main() -> None:
    """Run the benchmark."""
    with Sheet("bags", "a training epoch on bags of cells", ("torch",)) as sheet:
        torch.set_num_threads(1)
        cohort = draw(PATIENTS)
        sheet.note(f"{PATIENTS} patients, {len(cohort.images.instances)} cells; {REPEATS} epochs of each side in turns")
        for pooling in ("mean", "gated_attention", "transformer"):
            recipe = MixtureRecipe(pooling=pooling, batch_size=BATCH)
            compare(sheet, f"cached embeddings, {pooling} pooling", recipe, cohort, "cpu", "≥ 10")
        if torch.cuda.is_available():
            recipe = MixtureRecipe(architecture="resnet18", batch_size=BATCH, thinning=0.3)
            compare(sheet, "an encoder that learns, resnet18", recipe, draw(PATIENTS, images=True), "cuda", "≥ 2")


if __name__ == "__main__":
    main()
