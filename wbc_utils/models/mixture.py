"""Two experts on a patient, one that sees the cells' images and one that sees numbers, and a gate between them.

Sahasrabudhe et al. (2021), with the additions of report 004: handmade features of the cells beside age and lymphocyte
count, and a head that learns the count from the images.

References
----------
M. Sahasrabudhe et al. (2021), *Deep Multi-Instance Learning Using Multi-Modal Data for Diagnosis of Lymphocytosis*,
IEEE J. Biomed. Health Inform. 25(6).
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from wbc_utils.models import ModelError
from wbc_utils.models.bags import Bags
from wbc_utils.models.pooling import Pooling, build_pool

Combination = Literal["gate", "average", "concatenation", "images", "scalars"]


class Patients(NamedTuple):
    """A batch of b patients, as the model takes them.

    Attributes
    ----------
    images
        Bags of images (n, 3, h, w) if the model has an encoder, else of their embeddings, scaled and projected,
        (n, d).
    handmade
        Bags of handmade features, scaled and projected, (m, k); a cell without a trusted outline has none, so that m
        may differ from n.
    scalars
        Age and logarithm of the lymphocyte count, scaled, (b, 2).
    """

    images: Bags
    handmade: Bags
    scalars: Tensor

    def take(self, chosen: Tensor) -> "Patients":
        """Return some of the patients by their numbers, in that order, (k,) int64."""
        return Patients(self.images.take(chosen), self.handmade.take(chosen), self.scalars[chosen])

    def to(self, device: str | torch.device) -> "Patients":
        """Return the patients on a device."""
        return Patients(*(part.to(device) for part in self))


class Opinion(NamedTuple):
    """What the model says of b patients.

    Attributes
    ----------
    log_malignant, log_reactive
        Logarithms of ŷ = π ŷ_images + (1 − π) ŷ_scalars and of 1 − ŷ, (b,).
    trust
        π, the weight of the expert on images, (b,).
    images, scalars
        Logits of the two experts, (b,); where all is concatenated, both are the logit of the one head.
    count
        The lymphocyte count as the images tell it, on the scale of the second scalar, (b,).
    attention
        What each image counted in its bag, (n,).
    """

    log_malignant: Tensor
    log_reactive: Tensor
    trust: Tensor
    images: Tensor
    scalars: Tensor
    count: Tensor
    attention: Tensor


class MixtureOfExperts(nn.Module):
    """The whole model.

    Parameters
    ----------
    image_width, handmade_width
        Features of an image (of its embedding), and of the handmade kind, of a cell.
    combination
        ``gate``: π = σ(linear(scalars, one number of the pooled images, one of the pooled handmade features)) (report
        004, section 2.5); ``average``: π = ½; ``concatenation``: one head on everything pooled; ``images`` and
        ``scalars``: one expert alone.
    pooling
        Of the images, see `wbc_utils.models.pooling.build_pool`; handmade features are averaged.
    hidden
        Width of the layer between embeddings and pool (report 004, section 3.3), and of those of the other expert.
    dropout
        Share of the pooled features that training leaves out.
    encoder
        From images (n, 3, h, w) to embeddings (n, d), learned together; None where embeddings are given.

    Raises
    ------
    ModelError
        If the combination or the pooling is unknown.
    """

    def __init__(
        self,
        image_width: int,
        handmade_width: int,
        combination: Combination = "gate",
        pooling: Pooling = "mean",
        hidden: int = 16,
        dropout: float = 0.0,
        encoder: nn.Module | None = None,
    ):
        super().__init__()
        if combination not in get_args(Combination):
            raise ModelError(f"there is no combination {combination!r}; allowed are {', '.join(get_args(Combination))}")
        self.combination, self.encoder, self.dropout = combination, encoder, nn.Dropout(dropout)
        self.image_layer = nn.Sequential(nn.Linear(image_width, hidden), nn.ReLU())
        self.image_pool = build_pool(pooling, hidden)
        self.image_head, self.count_head = nn.Linear(hidden, 1), nn.Linear(hidden, 1)
        self.handmade_layer = nn.Sequential(nn.Linear(handmade_width, hidden), nn.ReLU())
        self.handmade_pool = build_pool("mean", hidden)
        self.scalar_head = nn.Sequential(nn.Linear(hidden + 2, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        if combination == "gate":
            self.images_to_gate, self.handmade_to_gate = nn.Linear(hidden, 1), nn.Linear(hidden, 1)
            self.gate = nn.Linear(4, 1)
        if combination == "concatenation":
            self.joint_head = nn.Linear(2 * hidden + 2, 1)

    def forward(self, patients: Patients) -> Opinion:
        """Return what is to be said of a batch of patients."""
        images, attention = self.image_pool(self._embedded(patients.images).apply(self.image_layer))
        handmade = self.handmade_pool(patients.handmade.apply(self.handmade_layer)).features
        images, handmade = self.dropout(images), self.dropout(handmade)
        by_images = self.image_head(images).squeeze(1)
        by_scalars = self.scalar_head(torch.cat([handmade, patients.scalars], dim=1)).squeeze(1)
        if self.combination == "concatenation":
            joint = self.joint_head(torch.cat([images, handmade, patients.scalars], dim=1)).squeeze(1)
            by_images = by_scalars = joint
        gate = self._gate(images, handmade, patients.scalars)
        return Opinion(
            *mix(by_images, by_scalars, gate),
            torch.sigmoid(gate),
            by_images,
            by_scalars,
            self.count_head(images).squeeze(1),
            attention,
        )

    def _embedded(self, images: Bags) -> Bags:
        return images if self.encoder is None else images.apply(self.encoder)

    def _gate(self, images: Tensor, handmade: Tensor, scalars: Tensor) -> Tensor:
        """Return the logit of π, (b,)."""
        if self.combination == "gate":
            seen = [scalars, self.images_to_gate(images), self.handmade_to_gate(handmade)]
            return self.gate(torch.cat(seen, dim=1)).squeeze(1)
        fixed = {"images": torch.inf, "scalars": -torch.inf}.get(self.combination, 0.0)
        return scalars.new_full((len(scalars),), fixed)


def mix(images: Tensor, scalars: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """Return log(π p + (1 − π) q) and log(π (1 − p) + (1 − π)(1 − q)), from the logits of p, q and π, each (b,)."""
    open_, closed = functional.logsigmoid(gate), functional.logsigmoid(-gate)
    malignant = torch.logaddexp(open_ + functional.logsigmoid(images), closed + functional.logsigmoid(scalars))
    reactive = torch.logaddexp(open_ + functional.logsigmoid(-images), closed + functional.logsigmoid(-scalars))
    return malignant, reactive


def weighted_bce(opinion: Opinion, malignant: Tensor, weights: Tensor) -> Tensor:
    """Return the binary cross entropy with a weight for each class (reactive, malignant), averaged over patients.

    Parameters
    ----------
    malignant
        1 or 0 for each patient, (b,) int64.
    weights
        Of the two classes, (2,).
    """
    right = torch.where(malignant == 1, opinion.log_malignant, opinion.log_reactive)
    return -(weights[malignant] * right).mean()


def normalised_mse(opinion: Opinion, scalars: Tensor, known: Tensor) -> Tensor:
    """Return the squared error of the count over its variance, which is 1 as the count is scaled (report 004, 3.4).

    Parameters
    ----------
    scalars
        Scaled age and count, (b, 2).
    known
        Whether the count is known, (b,) bool; others do not count. Zero if none is.
    """
    errors = (opinion.count - scalars[:, 1]).square() * known
    return errors.sum() / known.sum().clamp(min=1)
