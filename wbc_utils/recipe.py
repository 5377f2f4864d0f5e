"""How a network is trained: numbers, the schedule of the learning rate, and what cannot be."""

import math
from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints


class FitError(RuntimeError):
    """A training that cannot go on."""


class DivergenceError(FitError):
    """A training whose loss or weights are no finite numbers any more."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    epochs
        Passes over the training data.
    batch_size
        Items a batch.
    optimizer
        ``adamw``, or ``sgd`` with Nesterov momentum 0.9.
    learning_rate
        After the warm-up.
    weight_decay
        Decoupled for AdamW; biases and normalisation have none if the model's ``parameter_groups`` says so.
    schedule
        After the warm-up: ``cosine`` falls to zero once, ``restarts`` every ``restart_epochs``, or once if there are
        no more (SGDR, Loshchilov & Hutter 2017), ``step`` falls to a tenth every ``step_epochs``, ``constant`` stays;
        ``settle`` stays and falls to a tenth once, ``step_epochs`` after the start of the training.
    warmup_epochs
        The rate rises linearly from zero over these; may be a fraction.
    freeze_epochs
        Epochs at the start in which only the head learns.
    clip
        Largest norm of the gradient; None is no limit.
    accumulate
        Batches whose gradients are averaged before a step; at an epoch's end those that are left.
    ema
        Decay of an exponential moving average of the weights, which is then what is validated and kept; None is off.
    patience
        Epochs without a better validation score after which the training stops; None is never.
    amp
        Mixed precision of forward and backward pass.

    Raises
    ------
    FitError
        If a number is out of range, or a word is not one of those allowed.
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "restarts", "step", "constant", "settle"] = "cosine"
    restart_epochs: int = 15
    step_epochs: int = 3
    warmup_epochs: float = 1.0
    freeze_epochs: int = 0
    clip: float | None = 1.0
    accumulate: int = 1
    ema: float | None = None
    patience: int | None = None
    amp: Literal["off", "fp16", "bf16"] = "off"

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "restart_epochs": 1, "accumulate": 1, "patience": 1}
        least |= {"step_epochs": 1, "warmup_epochs": 0, "freeze_epochs": 0, "weight_decay": 0}
        for name, lowest in least.items():
            found = getattr(self, name)
            if found is not None and not lowest <= found < math.inf:
                raise FitError(f"{name} is {found}; give a number from {lowest} on")
        for name, highest in {"learning_rate": math.inf, "clip": math.inf, "ema": 1}.items():
            found = getattr(self, name)
            if found is not None and not 0 < found < highest:
                raise FitError(f"{name} is {found}; give a number above 0" + (", below 1" if highest == 1 else ""))
        for name, kind in get_type_hints(type(self)).items():
            if get_origin(kind) is Literal and getattr(self, name) not in get_args(kind):
                raise FitError(f"{name} is {getattr(self, name)!r}; allowed are {', '.join(map(str, get_args(kind)))}")

    def rate(self, epoch: float) -> float:
        """Return the learning rate at a point of the training, in epochs from its start."""
        if self.schedule == "settle" and epoch >= self.step_epochs:
            return self.learning_rate / 10
        if epoch < self.warmup_epochs:
            return self.learning_rate * epoch / self.warmup_epochs
        done, length = epoch - self.warmup_epochs, self.epochs - self.warmup_epochs
        if self.schedule in ("constant", "settle") or length <= 0:
            return self.learning_rate
        if self.schedule == "step":
            return self.learning_rate / 10 ** (done // self.step_epochs)
        if self.schedule == "restarts" and self.restart_epochs < length:
            done, length = done % self.restart_epochs, self.restart_epochs
        return self.learning_rate * (1 + math.cos(math.pi * done / length)) / 2
