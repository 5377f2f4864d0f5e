"""The one training loop: every network of the suite learns here, and a killed run goes on where it was.

What is learned is a `Task`: it yields batches and scores the model. How it is learned is a `Recipe`. All randomness of
an epoch follows from ``(seed, epoch)``, so that a checkpoint needs no state of any generator and a resumed run ends
with the weights of an undisturbed one, bit for bit on a CPU.
"""

import copy
import math
import pickle
import time
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import psutil
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from wbc_utils import repro
from wbc_utils.models.device import out_of_memory
from wbc_utils.recipe import DivergenceError, FitError, Recipe

_AMP = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Task(Protocol):
    """What is learned: the model, its batches and its scores."""

    model: nn.Module

    def steps(self) -> int:
        """Return the number of batches an epoch."""

    def batches(self, epoch: int) -> Iterator[Any]:
        """Yield the batches of an epoch; all draws follow from the epoch."""

    def loss(self, model: nn.Module, batch: Any) -> Tensor | dict[str, Tensor]:
        """Return the loss of a batch, a scalar, or its parts by name, whose sum is minimised."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return scores of the model; the first is the one that is watched: finite, higher is better."""


@dataclass
class Fitted:
    """What a training left.

    Attributes
    ----------
    model
        With the weights of the best epoch by the watched score.
    history
        One row an epoch: ``epoch``, ``loss`` and its parts where the task names them, the scores of the task,
        ``learning_rate``, ``seconds``.
    best_epoch
        The epoch whose weights the model has.
    peak_memory
        Bytes: of the GPU, else resident memory of the process, looked at after every step.
    """

    model: nn.Module
    history: pd.DataFrame
    best_epoch: int
    peak_memory: int

    @property
    def seconds(self) -> float:
        """Seconds of all epochs, validation included."""
        return float(self.history["seconds"].sum())


@dataclass
class _State:
    """All that changes during a training and is not in the model."""

    rows: list[dict[str, float]] = field(default_factory=list)
    best_score: float = -math.inf
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    peak_memory: int = 0


def fit(
    task: Task, recipe: Recipe, *, seed: int, device: str = "cpu", checkpoint: Path | None = None, key: str = ""
) -> Fitted:
    """Train a model and return it with the weights of its best epoch.

    Parameters
    ----------
    task
        Model, batches, loss and scores.
    recipe
        How to train.
    seed
        Of all draws inside the model (dropout); those of the batches are the task's.
    device
        ``cpu`` or ``cuda``.
    checkpoint
        File that is written after every epoch and from which an interrupted training goes on. A finished one is not
        trained again.
    key
        What identifies the data and the code; a checkpoint of another key, seed or recipe is refused.

    Raises
    ------
    FitError
        If a loss (`DivergenceError`) or the watched score is not finite, or the checkpoint is damaged, of another
        training or cannot be written; the one before it is then still there.
    wbc_utils.models.ModelError
        If the GPU's memory does not suffice.
    """
    loop = _Loop(task, recipe, seed, device, checkpoint, f"{key} {seed} {recipe}")
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        loop.run()
    return loop.result()


class _Loop:
    def __init__(self, task: Task, recipe: Recipe, seed: int, device: str, checkpoint: Path | None, key: str):
        self.task, self.recipe, self.seed, self.device = task, recipe, seed, device
        self.checkpoint, self.key = checkpoint, key
        self.model = task.model.to(device)
        self.optimizer = _optimizer(self.model, recipe)
        self.scaler = torch.amp.GradScaler(device, enabled=recipe.amp == "fp16" and device == "cuda")
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
            if recipe.ema
            else None
        )
        self.state = _State()
        self.process = psutil.Process()

    def run(self) -> None:
        self._resume()
        if self.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        while len(self.state.rows) < self.recipe.epochs and not self._stale():
            self._epoch(len(self.state.rows))
            self._save()

    def result(self) -> Fitted:
        self.model.load_state_dict(self.state.best_weights)
        self.model.eval()
        if self.recipe.freeze_epochs:
            self.model.freeze_backbone(False)
        return Fitted(self.model, pd.DataFrame(self.state.rows), self.state.best_epoch, self.state.peak_memory)

    def _stale(self) -> bool:
        patience = self.recipe.patience
        return patience is not None and len(self.state.rows) - self.state.best_epoch >= patience

    def _epoch(self, epoch: int) -> None:
        started = time.perf_counter()
        self._seed(epoch)
        self.model.train()
        if self.recipe.freeze_epochs:
            self.model.freeze_backbone(epoch < self.recipe.freeze_epochs)
        with out_of_memory(self.recipe.batch_size):
            loss, parts = self._steps(epoch)
        kept = self.average.module if self.average else self.model
        kept.eval()
        scores = {name: float(score) for name, score in self.task.validate(kept).items()}
        name, watched = next(iter(scores.items()))
        if not math.isfinite(watched):
            raise FitError(f"{name} is {watched} after epoch {epoch + 1}; no epoch can be chosen by it")
        rate = self.optimizer.param_groups[0]["lr"]
        row = {"epoch": epoch + 1, "loss": loss, **parts, **scores, "learning_rate": rate}
        self.state.rows.append({**row, "seconds": time.perf_counter() - started})
        if watched > self.state.best_score:
            self.state.best_score, self.state.best_epoch = watched, epoch + 1
            self.state.best_weights = copy.deepcopy(kept.state_dict())
        repro.progress(f"epoch {epoch + 1} of {self.recipe.epochs}: loss {loss:.3f}, score {watched:.3f}")

    def _seed(self, epoch: int) -> None:
        """Seed only the generators that `fit` puts back."""
        seed = (self.seed << 20) + epoch
        torch.default_generator.manual_seed(seed)
        if self.device == "cuda":
            torch.cuda.manual_seed(seed)

    def _steps(self, epoch: int) -> tuple[float, dict[str, float]]:
        """Learn from every batch of an epoch and return the mean loss, and the means of its parts."""
        steps, size, losses = self.task.steps(), self.recipe.accumulate, []
        parts: dict[str, list[Tensor]] = {}
        for step, batch in enumerate(self.task.batches(epoch)):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate(epoch, step)
            with self._precision():
                loss = self.task.loss(self.model, batch)
                if isinstance(loss, dict):
                    for name, part in loss.items():
                        parts.setdefault(name, []).append(part.detach())
                    loss = sum(loss.values())
            together = min(size, steps - step // size * size)  # fewer than `accumulate` at the end of an epoch
            self.scaler.scale(loss / together).backward()
            if step % size == together - 1:
                self._update()
            losses.append(loss.detach())
            self._look_at_memory()
        # looked at only here: a look at every step would make the GPU wait
        found = torch.stack(losses).float().cpu()
        if not found.isfinite().all():
            step = int((~found.isfinite()).nonzero()[0])
            raise DivergenceError(
                f"the loss is {found[step].item()} in step {step + 1} of epoch {epoch + 1} (learning rate "
                f"{self._rate(epoch, step):.2g}); use a lower learning_rate, a longer warm-up, a smaller clip, or "
                "amp = off"
            )
        means = {name: float(torch.stack(values).float().mean()) for name, values in parts.items()}
        return float(found.mean()), means

    def _rate(self, epoch: int, step: int) -> float:
        """Return the rate in the middle of a step: neither zero at the start, nor past a restart at the end."""
        return self.recipe.rate(epoch + (step + 0.5) / self.task.steps())

    def _update(self) -> None:
        if self.recipe.clip is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update_parameters(self.model)

    def _precision(self):
        amp = self.recipe.amp
        return nullcontext() if amp == "off" else torch.autocast(self.device, _AMP[amp])

    def _look_at_memory(self) -> None:
        used = torch.cuda.max_memory_allocated() if self.device == "cuda" else self.process.memory_info().rss
        self.state.peak_memory = max(self.state.peak_memory, used)

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        content = {
            "key": self.key,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            **vars(self.state),
        }
        partial = self.checkpoint.with_suffix(".partial")
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                torch.save(content, file)
            partial.replace(self.checkpoint)
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            cause = error if isinstance(error, OSError) else error.__context__  # torch says "unexpected pos" instead
            if not isinstance(cause, OSError):
                raise
            raise FitError(
                f"the checkpoint {self.checkpoint} cannot be written ({cause}); free some space or make its folder "
                "writable, then run again: the training goes on after its last whole checkpoint"
            ) from cause

    def _resume(self) -> None:
        if self.checkpoint is None or not self.checkpoint.is_file():
            return
        content = _read(self.checkpoint)
        if content.pop("key") != self.key:
            raise FitError(
                f"{self.checkpoint} is the checkpoint of another training (other recipe, data or code); remove it, or "
                "give this training another file"
            )
        self.model.load_state_dict(content.pop("model"))
        self.optimizer.load_state_dict(content.pop("optimizer"))
        self.scaler.load_state_dict(content.pop("scaler"))
        average = content.pop("average")
        if self.average:
            self.average.load_state_dict(average)
        self.state = _State(**content)


def _read(checkpoint: Path) -> dict[str, Any]:
    """Return what a checkpoint holds; `torch.load` does not look at the check sums, `zipfile` does."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            damaged = archive.testzip()
        if damaged is None:
            # weights_only: tensors and plain values, nothing that could run; load_state_dict moves them to the device
            return torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        damaged = error
    raise FitError(f"{checkpoint} is no whole checkpoint ({damaged}); remove it, and the training starts anew")


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    grouped = getattr(model, "parameter_groups", None)
    groups = grouped(recipe.weight_decay) if grouped else model.parameters()
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay, fused=True
    )
