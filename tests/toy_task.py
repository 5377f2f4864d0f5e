"""A tiny task for the training loop: points of two classes in an order that follows from the epoch, two layers."""

import os
import signal

import torch
from torch import nn
from torch.nn import functional

from wbc_utils.recipe import Recipe

RECIPE = Recipe(epochs=4, batch_size=4, learning_rate=0.05, warmup_epochs=0.5, schedule="restarts", restart_epochs=2)


class ToyTask:
    """Twenty points in batches.

    ``scores`` replaces the scores of the epochs; ``before`` is called with epoch and step before each batch; ``damage``
    multiplies the loss at an epoch and step; ``shares`` names parts of the loss, by their shares of it.
    """

    def __init__(self, size=4, dropout=0.0, scores=None, before=None, damage=None, dtype=torch.float32, shares=None):
        self.size, self.scores, self.before, self.damage, self.shares = size, scores, before, damage or {}, shares
        drawn = torch.Generator().manual_seed(0)
        self.points = torch.randn(20, 3, generator=drawn).to(dtype)
        self.classes = (self.points.sum(1) > 0).long()
        self.model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2)).to(dtype)
        for weight in self.model.parameters():
            weight.data = torch.randn(weight.shape, generator=drawn).to(dtype)
        self.dtypes, self.snapshots = set(), []

    def steps(self):
        return -(-len(self.points) // self.size)

    def batches(self, epoch):
        order = torch.randperm(len(self.points), generator=torch.Generator().manual_seed(epoch))
        for step, chosen in enumerate(order.split(self.size)):
            if self.before:
                self.before(epoch, step)
            yield self.points[chosen], self.classes[chosen], self.damage.get((epoch, step), 1.0)

    def loss(self, model, batch):
        points, classes, factor = batch
        logits = model(points)
        self.dtypes.add(logits.dtype)
        loss = factor * functional.cross_entropy(logits, classes)
        return {name: share * loss for name, share in self.shares.items()} if self.shares else loss

    def validate(self, model):
        self.snapshots.append({name: value.clone() for name, value in model.state_dict().items()})
        with torch.no_grad():
            loss = float(functional.cross_entropy(model(self.points), self.classes))
        return {"score": self.scores[len(self.snapshots) - 1] if self.scores else -loss, "nll": loss}


def interrupt_at(epoch, step):
    """Return what stops a training before a batch, as a keyboard does."""

    def stop(*now):
        if now == (epoch, step):
            raise KeyboardInterrupt

    return stop


def kill_at(epoch, step):
    """Return what kills the process before a batch; nothing is cleaned up."""

    def kill(*now):
        if now == (epoch, step):
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
