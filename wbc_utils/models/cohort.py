"""Patients with the cells of each, and the scale of all that is known of them as training patients tell it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from wbc_utils.models import ModelError
from wbc_utils.models.bags import Bags
from wbc_utils.models.mixture import Patients

_FAR = 4.0  # standard deviations beyond which a feature of a cell is cut: a wrong outline says no more than that
_FEW = 0.1  # 10⁹/L; a smaller count has the logarithm of this one


@dataclass(frozen=True, eq=False)
class Cohort:
    """What is known of n patients.

    Attributes
    ----------
    labels
        1 malignant, 0 reactive, −1 unknown, (n,) int.
    age, count
        Years, and lymphocytes in 10⁹/L, (n,); NaN where unknown.
    images
        One bag a patient: of uint8 images (m, h, w, 3), or of their embeddings (m, d).
    handmade
        One bag a patient of handmade features, (m, k).
    """

    labels: np.ndarray
    age: np.ndarray
    count: np.ndarray
    images: Bags
    handmade: Bags

    @classmethod
    def of(cls, table: pd.DataFrame, images: np.ndarray, handmade: np.ndarray, usable: np.ndarray) -> "Cohort":
        """Gather a cohort from a table of patients and one row an image.

        Parameters
        ----------
        table
            ``label``, ``age``, ``lymphocyte_count`` and ``paths`` of each patient, as
            `wbc_utils.data.patients.read_lymph` returns them.
        images
            Images or embeddings in the order of all ``paths``, (m, …).
        handmade
            Handmade features in the same order, (m, k); a row of NaN where a cell could not be measured.
        usable
            Which images could be read, (m,) bool; the others are left out of both.

        Raises
        ------
        ModelError
            If lengths differ, or a patient has no readable image or no measured cell.
        """
        sizes = table["paths"].map(len).to_numpy()
        owner = np.repeat(np.arange(len(table)), sizes)
        if not len(owner) == len(images) == len(handmade) == len(usable):
            raise ModelError(
                f"{len(owner)} paths, {len(images)} images, {len(handmade)} rows of features and {len(usable)} flags; "
                "give one of each for every path, in the same order"
            )
        measured = usable & ~np.isnan(handmade).any(axis=1)
        seen = _sizes(owner[usable], len(table), "can be read")
        known = _sizes(owner[measured], len(table), "could be measured")
        return cls(
            table["label"].fillna(-1).to_numpy(int),
            table["age"].to_numpy(float),
            table["lymphocyte_count"].to_numpy(float),
            Bags(torch.from_numpy(np.ascontiguousarray(images[usable])), seen),
            Bags(torch.from_numpy(np.asarray(handmade[measured], np.float32)), known),
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def malignant(self) -> np.ndarray:
        """Which patients are malignant, (n,) bool.

        Raises
        ------
        ModelError
            If a diagnosis is unknown.
        """
        if unknown := int((self.labels < 0).sum()):
            raise ModelError(f"{unknown} of {len(self)} patients have no diagnosis (label -1); only predict for them")
        return self.labels == 1

    @property
    def scalars(self) -> np.ndarray:
        """Age and common logarithm of the count, (n, 2); NaN where unknown."""
        return np.column_stack([self.age, np.log10(np.maximum(self.count, _FEW))])

    def take(self, rows: Sequence[int]) -> "Cohort":
        """Return some of the patients, in that order."""
        chosen = torch.as_tensor(np.asarray(rows), dtype=torch.long)
        return Cohort(
            *(one[rows] for one in (self.labels, self.age, self.count)), self.images.take(chosen),
            self.handmade.take(chosen),
        )  # fmt: skip

    def with_labels(self, labels: np.ndarray) -> "Cohort":
        """Return the same patients with other labels, such as permuted ones, (n,)."""
        return replace(self, labels=labels)

    def with_images(self, instances: Tensor) -> "Cohort":
        """Return the same patients with other numbers of each image, such as embeddings of a network, (m, d)."""
        return replace(self, images=self.images.with_instances(instances))


def _sizes(owner: np.ndarray, patients: int, what: str) -> Tensor:
    """Return how many cells each patient has."""
    sizes = np.bincount(owner, minlength=patients)
    if empty := int((sizes == 0).sum()):
        raise ModelError(f"{empty} of {patients} patients have no cell that {what}; leave them out and say so")
    return torch.from_numpy(sizes)


class Projection(nn.Module):
    """Scaled features of cells on fixed directions.

    Parameters
    ----------
    moments
        Mean and standard deviation of each feature, (2, d).
    axes
        (d, components).
    """

    def __init__(self, moments: Tensor, axes: Tensor):
        super().__init__()
        self.register_buffer("moments", moments)
        self.register_buffer("axes", axes)

    def forward(self, cells: Tensor) -> Tensor:
        """Return features (n, d) as components (n, k)."""
        return _scaled(cells, self.moments) @ self.axes


@dataclass(frozen=True, eq=False)
class Scale:
    """Where each input lies and how far it spreads, learned from training patients only.

    Attributes
    ----------
    scalars
        Mean and standard deviation of age and log count over patients, (2, 2).
    handmade, handmade_axes
        Mean and standard deviation of handmade features over cells, (2, k), and the directions that the scaled features
        are projected on, (k, components).
    images, image_axes
        The same of embeddings, (2, d), (d, components); both empty for images that a network is to see itself.
    """

    scalars: Tensor
    handmade: Tensor
    handmade_axes: Tensor
    images: Tensor
    image_axes: Tensor

    @classmethod
    def fit(cls, cohort: Cohort, components: int) -> "Scale":
        """Learn from a cohort.

        Features and embeddings have variance 1 over the cells and are projected on the principal components of the
        patients' means, which then have mean variance 1 between patients. What differs between the cells of a patient
        chooses no direction.

        Parameters
        ----------
        components
            Directions kept; as many as there are if more.

        Raises
        ------
        ModelError
            If there are fewer than two patients, or no age or no count is known.
        """
        if len(cohort) < 2:
            raise ModelError(f"the scale of a cohort of {len(cohort)} patients is unknown; give at least two")
        for name in ("age", "count"):
            if np.isnan(getattr(cohort, name)).all():
                raise ModelError(f"no {name} of {len(cohort)} training patients is known; the model needs some")
        known = cohort.scalars
        scalars = torch.tensor(np.stack([np.nanmean(known, axis=0), np.nanstd(known, axis=0)]), dtype=torch.float32)
        images = torch.empty(0), torch.empty(0, 0)
        if cohort.images.instances.is_floating_point():
            images = _axes(cohort.images, components)
        return cls(_safe(scalars), *_axes(cohort.handmade, components), *images)

    def apply(self, cohort: Cohort) -> Patients:
        """Return a cohort as the model takes it; an unknown age or count becomes the mean."""
        scalars = (torch.from_numpy(cohort.scalars).float() - self.scalars[0]) / self.scalars[1]
        handmade = cohort.handmade.apply(Projection(self.handmade, self.handmade_axes))
        if len(self.images):
            images = cohort.images.apply(Projection(self.images, self.image_axes))
        else:
            images = cohort.images.apply(lambda pixels: pixels.permute(0, 3, 1, 2))
        return Patients(images, handmade, scalars.nan_to_num(nan=0.0))


def _scaled(cells: Tensor, moments: Tensor) -> Tensor:
    return ((cells - moments[0]) / moments[1]).clamp(-_FAR, _FAR)


def _axes(bags: Bags, components: int) -> tuple[Tensor, Tensor]:
    """Return the moments of the cells, and the principal directions of the means of the bags."""
    cells = bags.instances
    moments = _safe(torch.stack([cells.mean(dim=0), cells.std(dim=0, correction=0)]))
    means = bags.mean(_scaled(cells, moments))
    _, spread, axes = torch.linalg.svd(means - means.mean(dim=0), full_matrices=False)
    kept = min(components, max(1, int((spread > 1e-4 * spread[0]).sum())))
    size = spread[:kept].square().mean().clamp(min=1e-12).sqrt()
    return moments, axes[:kept].T * (len(bags) ** 0.5 / size)


def _safe(moments: Tensor) -> Tensor:
    """Replace deviations of zero by one."""
    moments[1][moments[1] == 0] = 1
    return moments
