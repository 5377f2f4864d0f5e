"""Training of the mixture of experts on patients: the recipe, the batches, the loss, the falls of the learning rate."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from wbc_utils.fit import FitError, Recipe, fit
from wbc_utils.images.augment import PRESETS, augment, step_generator
from wbc_utils.models import ModelError
from wbc_utils.models.cohort import Cohort, Projection, Scale
from wbc_utils.models.encoder import BagEncoder, build_encoder
from wbc_utils.models.mixture import (
    Combination,
    MixtureOfExperts,
    Opinion,
    Patients,
    normalised_mse,
    weighted_bce,
)
from wbc_utils.models.pooling import Pooling

_AT_ONCE = 16  # patients that a trained model looks at together
_WATCHED = "validation_log_likelihood"
_CELLS_AT_ONCE = 256  # that a frozen network embeds together


@dataclass(frozen=True)
class MixtureRecipe(Recipe):
    """How a mixture of experts is built and trained.

    The learning rate falls to a tenth when ``patience`` epochs brought no better validation loss, ``stages`` times at
    most, each time from the best weights; the training ends when a fall brings nothing. With five epochs of patience
    this is report 004's schedule: a tenth after five stale epochs, the end after ten.

    Attributes
    ----------
    combination, pooling, hidden, dropout
        See `wbc_utils.models.mixture.MixtureOfExperts`.
    components
        Principal components that embeddings, and handmade features, are projected on.
    multitask
        Weight of the regression of the count; 0 is without.
    thinning
        Share of the cells of a patient that each step leaves out.
    stages
        Learning rates, each a tenth of the one before.
    architecture, init, lora_rank
        Of an encoder that learns together with the experts (see `wbc_utils.models.encoder.build_encoder`), by images
        turned and mirrored at random; without an architecture the embeddings are given.
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    schedule: Literal["constant"] = "constant"
    warmup_epochs: float = 0
    patience: int | None = 5
    combination: Combination = "gate"
    pooling: Pooling = "mean"
    hidden: int = 16
    dropout: float = 0.0
    components: int = 16
    multitask: float = 0.1
    thinning: float = 0.3
    stages: int = 3
    architecture: str | None = None
    init: str = "random"
    lora_rank: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "components", "stages"):
            if getattr(self, name) < 1:
                raise FitError(f"{name} is {getattr(self, name)}; give at least 1")
        for name in ("dropout", "thinning"):
            if not 0 <= getattr(self, name) < 1:
                raise FitError(f"{name} is {getattr(self, name)}; give a share from 0 to below 1")
        if self.multitask < 0:
            raise FitError(f"multitask is {self.multitask}; give 0 or more")


class MixtureTask:
    """Batches, loss and validation of a mixture; implements `wbc_utils.fit.Task`.

    Parameters
    ----------
    learn, choose
        Patients to learn from, and to choose the epoch by.
    scale
        Of the patients to learn from.

    Raises
    ------
    ModelError
        If a class has no patient in either part, or a diagnosis is unknown.
    """

    def __init__(
        self,
        model: MixtureOfExperts,
        learn: Cohort,
        choose: Cohort,
        scale: Scale,
        recipe: MixtureRecipe,
        seed: int,
        device: str = "cpu",
    ):
        self.model, self.recipe, self.seed, self.device = model, recipe, seed, device
        self.patients, self.chosen = (scale.apply(one).to(device) for one in (learn, choose))
        self.malignant, self.chosen_malignant = _classes(learn).to(device), _classes(choose)
        self.known = torch.from_numpy(~np.isnan(learn.count)).to(device)
        self.weights = len(learn) / (2 * torch.bincount(self.malignant, minlength=2).float())

    def steps(self) -> int:
        """Return the number of batches, the last of which may be smaller."""
        return -(-len(self.malignant) // self.recipe.batch_size)

    def batches(self, epoch: int) -> Iterator[tuple[Patients, Tensor, Tensor]]:
        """Yield patients with some of their cells left out, their classes, and whether their count is known."""
        order = torch.randperm(len(self.malignant), generator=step_generator(self.seed, epoch, self.steps()))
        for step, chosen in enumerate(order.to(self.device).split(self.recipe.batch_size)):
            yield self._seen(chosen, epoch, step), self.malignant[chosen], self.known[chosen]

    def loss(self, model: MixtureOfExperts, batch: tuple[Patients, Tensor, Tensor]) -> dict[str, Tensor]:
        """Return the weighted cross entropy of a batch, and the weighted error of the count if that is learned."""
        patients, malignant, known = batch
        opinion = model(patients)
        parts = {"loss_diagnosis": weighted_bce(opinion, malignant, self.weights)}
        if self.recipe.multitask:
            parts["loss_count"] = self.recipe.multitask * normalised_mse(opinion, patients.scalars, known)
        return parts

    def validate(self, model: MixtureOfExperts) -> dict[str, float]:
        """Return the log-likelihood of the patients to choose by, weighted by class as the loss is."""
        opinion = ask(model, self.chosen, self.recipe.batch_size)
        loss = weighted_bce(opinion, self.chosen_malignant, self.weights.cpu())
        return {_WATCHED: -float(loss)}

    def _seen(self, chosen: Tensor, epoch: int, step: int) -> Patients:
        """Return what a step sees of some patients."""
        patients, share = self.patients.take(chosen), self.recipe.thinning
        generator = step_generator(self.seed, epoch, step)
        images, handmade = (bags.thinned(share, generator) for bags in (patients.images, patients.handmade))
        if self.recipe.architecture:
            images = images.apply(lambda pixels: augment(pixels.float() / 255, PRESETS["dihedral"], generator))
        return Patients(images, handmade, patients.scalars)


@dataclass(frozen=True, eq=False)
class Diagnoser:
    """A trained mixture with the scale of its inputs; called with patients it says numbers by name, one a patient.

    Attributes
    ----------
    model, scale
        In evaluation mode; of the patients that it learned from.
    history
        One row an epoch, see `wbc_utils.fit.Fitted`, and ``stage``.
    """

    model: MixtureOfExperts
    scale: Scale
    history: pd.DataFrame

    def opinion(self, cohort: Cohort) -> Opinion:
        """Return what the model says of patients."""
        device = next(self.model.parameters()).device
        return ask(self.model, self.scale.apply(cohort).to(device), _AT_ONCE)

    def __call__(self, cohort: Cohort) -> dict[str, np.ndarray]:
        """Return ``malignant`` (ŷ), ``trust`` (π), the experts' probabilities ``images`` and ``scalars``, ``evenness``.

        After `tune` also ``tuned``: 1 where the training of the network brought a better validation loss than the
        experts alone, else 0.

        Evenness is the effective share of a patient's cells: the exponential of the entropy of the attention over their
        number; 1 where all cells count alike, 1 / m where one of m does.
        """
        opinion, bags = self.opinion(cohort), cohort.images
        said = {"malignant": opinion.log_malignant.exp(), "trust": opinion.trust}
        said |= {"images": opinion.images.sigmoid(), "scalars": opinion.scalars.sigmoid()}
        entropy = -bags.sum(torch.xlogy(opinion.attention, opinion.attention))
        said["evenness"] = entropy.exp() / bags.sizes
        stages = self.history.get("stage", pd.Series(dtype=int))  # of a saved model nothing is known
        if (stages == 0).any():
            said["tuned"] = torch.full_like(opinion.trust, float(stages[self.history[_WATCHED].idxmax()] > 0))
        return {name: values.double().numpy() for name, values in said.items()}


def ask(model: MixtureOfExperts, patients: Patients, batch_size: int) -> Opinion:
    """Return what a model says of patients, batch by batch, on the CPU."""
    batches = torch.arange(len(patients.scalars), device=patients.scalars.device).split(batch_size)
    with torch.inference_mode():
        opinions = [model(patients.take(chosen)) for chosen in batches]
    return Opinion(*(torch.cat(parts).cpu() for parts in zip(*opinions, strict=True)))


@dataclass(frozen=True)
class MixtureLearner:
    """Trains a mixture; implements `wbc_utils.nested.Learner`.

    Attributes
    ----------
    recipe, experts
        See `train`, and `tune` if ``experts`` is given.
    """

    recipe: MixtureRecipe
    device: str = "cpu"
    experts: MixtureRecipe | None = None

    def learn(self, learn: Cohort, choose: Cohort, seed: int) -> Diagnoser:
        """Learn from some patients, choose the epoch by others."""
        if self.experts is None:
            return train(learn, choose, self.recipe, seed=seed, device=self.device)
        return tune(learn, choose, self.recipe, self.experts, seed=seed, device=self.device)


def train(learn: Cohort, choose: Cohort, recipe: MixtureRecipe, *, seed: int, device: str = "cpu") -> Diagnoser:
    """Train a mixture on some patients; others choose the epoch and the falls of the learning rate.

    Raises
    ------
    ModelError
        As `MixtureTask` and `wbc_utils.models.cohort.Scale.fit`.
    wbc_utils.fit.FitError
        If a loss is not finite.
    """
    scale = Scale.fit(learn, recipe.components)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = untrained(recipe, scale)
    return _descend(Diagnoser(model, scale, pd.DataFrame()), learn, choose, recipe, seed, device)


def tune(
    learn: Cohort, choose: Cohort, recipe: MixtureRecipe, experts: MixtureRecipe, *, seed: int, device: str = "cpu"
) -> Diagnoser:
    """Train experts on what a frozen network sees, then the network together with them.

    The network never has to follow experts that know nothing yet (Kumar et al. 2022, linear probing before
    fine-tuning). Where its training brings no better validation loss, the experts on the frozen network are kept.

    Parameters
    ----------
    learn, choose
        Patients with images.
    recipe
        Of the network with the experts; width, components, pool and gate are those of ``experts``.
    experts
        Of the first training, without an architecture.

    Raises
    ------
    ModelError
        If the recipe has no architecture, or as `train`.
    wbc_utils.fit.FitError
        If a loss is not finite.

    References
    ----------
    A. Kumar et al. (2022), *Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution*, ICLR.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = _encoder(recipe)
    if encoder is None:
        raise ModelError("a recipe without an architecture has no network to tune; name one, or use train")
    encoder.to(device).eval()
    first = train(*(_embedded(encoder, one, device) for one in (learn, choose)), experts, seed=seed, device=device)
    seen = Projection(first.scale.images, first.scale.image_axes)
    first.model.encoder = nn.Sequential(encoder, seen).to(device)
    scale = replace(first.scale, images=torch.empty(0), image_axes=torch.empty(0, 0))
    begun = Diagnoser(first.model, scale, first.history.assign(stage=0))
    return _descend(begun, learn, choose, recipe, seed, device)


def _embedded(encoder: BagEncoder, cohort: Cohort, device: str) -> Cohort:
    """Return patients with the embeddings of their images."""
    parts = cohort.images.instances.split(_CELLS_AT_ONCE)
    with torch.no_grad():
        found = torch.cat([encoder(part.to(device).permute(0, 3, 1, 2)).cpu() for part in parts])
    return cohort.with_images(found)


def _descend(
    begun: Diagnoser, learn: Cohort, choose: Cohort, recipe: MixtureRecipe, seed: int, device: str
) -> Diagnoser:
    """Train at falling learning rates, each from the best weights so far, until one brings nothing."""
    model, histories, best = begun.model, [begun.history], begun.history.get(_WATCHED, pd.Series(-np.inf)).max()
    weights = copy.deepcopy(model.state_dict())
    for stage in range(recipe.stages):
        now = replace(recipe, learning_rate=recipe.learning_rate / 10**stage)
        task = MixtureTask(model, learn, choose, begun.scale, now, seed + stage, device)
        fitted = fit(task, now, seed=seed + stage, device=device)
        histories.append(fitted.history.assign(stage=stage + 1))
        found = fitted.history[_WATCHED].max()
        if found <= best:
            model.load_state_dict(weights)
            break
        best, weights = found, copy.deepcopy(model.state_dict())
    return Diagnoser(model.eval(), begun.scale, pd.concat(histories, ignore_index=True))


def untrained(recipe: MixtureRecipe, scale: Scale) -> MixtureOfExperts:
    """Build the mixture of a recipe; random weights come from torch's global generator.

    Raises
    ------
    ModelError
        If images are not embedded and the recipe names no architecture to see them, or as `build_encoder`.
    """
    encoder = _encoder(recipe)
    if encoder is None and not len(scale.images):
        raise ModelError("images are given and the recipe has no architecture to see them; embed them first")
    return MixtureOfExperts(
        encoder.width if encoder else scale.image_axes.shape[1],
        scale.handmade_axes.shape[1],
        recipe.combination,
        recipe.pooling,
        recipe.hidden,
        recipe.dropout,
        encoder,
    )


def _encoder(recipe: MixtureRecipe) -> BagEncoder | None:
    return build_encoder(recipe.architecture, recipe.init, recipe.lora_rank) if recipe.architecture else None


def _classes(cohort: Cohort) -> Tensor:
    malignant = cohort.malignant
    for name, there in {"malignant": malignant, "reactive": ~malignant}.items():
        if not there.any():
            raise ModelError(
                f"none of {len(cohort)} patients is {name}; learning and choosing need both diagnoses, use fewer folds"
            )
    return torch.from_numpy(malignant.astype(np.int64))
