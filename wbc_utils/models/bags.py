"""Bags of instances packed behind each other: patients with different numbers of cells in one tensor, not padded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from wbc_utils.models import ModelError


@dataclass(frozen=True, eq=False)
class Bags:
    """Several bags of instances in one tensor; `pack` makes them from one tensor a bag.

    Attributes
    ----------
    instances
        Of all bags, one bag behind the other, (n, …).
    sizes
        Instances of each bag, at least one, (b,) int64.
    """

    instances: Tensor
    sizes: Tensor

    @classmethod
    def pack(cls, bags: Sequence[Tensor]) -> "Bags":
        """Put bags (m, …) behind each other.

        Raises
        ------
        ModelError
            If there is no bag, one is empty, or instances differ in shape.
        """
        if not len(bags):
            raise ModelError("there are no bags to pack; give at least one")
        if empty := sum(not len(bag) for bag in bags):
            raise ModelError(
                f"{empty} of {len(bags)} bags have no instances; a patient needs at least one readable image, leave "
                "the others out and say so"
            )
        if len(shapes := {tuple(bag.shape[1:]) for bag in bags}) > 1:
            raise ModelError(f"the instances of the bags have different shapes: {sorted(shapes)}; bring them to one")
        return cls(torch.cat(list(bags)), torch.tensor([len(bag) for bag in bags], device=bags[0].device))

    def __len__(self) -> int:
        return len(self.sizes)

    @cached_property
    def owner(self) -> Tensor:
        """Number of the bag of each instance, (n,) int64."""
        numbers = torch.arange(len(self), device=self.sizes.device)
        return numbers.repeat_interleave(self.sizes, output_size=len(self.instances))

    @cached_property
    def starts(self) -> Tensor:
        """Place of the first instance of each bag, (b,) int64."""
        return self.sizes.cumsum(0) - self.sizes

    def split(self) -> tuple[Tensor, ...]:
        """Return one tensor (m, …) a bag."""
        return self.instances.split(self.sizes.tolist())

    def take(self, chosen: Tensor) -> "Bags":
        """Return some of the bags by their numbers, in that order, (k,) int64."""
        sizes = self.sizes[chosen]
        first = (self.starts[chosen] - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)
        return Bags(self.instances[first + torch.arange(len(first), device=first.device)], sizes)

    def with_instances(self, instances: Tensor) -> "Bags":
        """Return bags of the same sizes with other instances, such as what a network made of these, (n, …)."""
        return replace(self, instances=instances)

    def apply(self, function: Callable[[Tensor], Tensor]) -> "Bags":
        """Return the bags with a function applied to all instances at once, (n, …) to (n, …)."""
        return self.with_instances(function(self.instances))

    def to(self, device: str | torch.device) -> "Bags":
        """Return the bags on a device."""
        return Bags(self.instances.to(device), self.sizes.to(device))

    def thinned(self, share: float, generator: torch.Generator) -> "Bags":
        """Leave each instance out with a probability; at least one of each bag stays.

        Parameters
        ----------
        share
            Probability, in [0, 1).
        generator
            Of the draws, on the CPU.
        """
        if not share:
            return self
        drawn = torch.rand(len(self.instances), generator=generator).to(self.sizes.device)
        kept = (drawn >= share) | (drawn == self.maximum(drawn)[self.owner])
        return Bags(self.instances[kept], self.sum(kept.long()))

    def sum(self, values: Tensor) -> Tensor:
        """Add up one row an instance (n, …) in each bag, (b, …)."""
        return values.new_zeros(len(self), *values.shape[1:]).index_add(0, self.owner, values)

    def mean(self, values: Tensor) -> Tensor:
        """Average one row an instance (n, …) in each bag, (b, …)."""
        return self.sum(values) / self.sizes.to(values.dtype).view(-1, *[1] * (values.ndim - 1))

    def maximum(self, values: Tensor) -> Tensor:
        """Return the largest of one row an instance (n, …) in each bag, (b, …); gradients of ties are shared."""
        owner = self.owner.view(-1, *[1] * (values.ndim - 1)).expand_as(values)
        lowest = values.new_full((len(self), *values.shape[1:]), -torch.inf)
        return lowest.scatter_reduce(0, owner, values, "amax", include_self=False)

    def softmax(self, scores: Tensor) -> Tensor:
        """Return weights exp(s) / Σ exp(s), with the sum over the instances of the same bag, (n,)."""
        raised = (scores - self.maximum(scores.detach())[self.owner]).exp()
        return raised / self.sum(raised)[self.owner]

    def padded(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Spread one row an instance (n, d) over (b, largest size, d), what is beyond a bag's size filled."""
        wide = values.new_full((len(self) * int(self.sizes.max()), *values.shape[1:]), fill)
        return wide.index_copy(0, self._places, values).view(len(self), -1, *values.shape[1:])

    def unpadded(self, wide: Tensor) -> Tensor:
        """Undo `padded`: from (b, largest size, …) to one row an instance, (n, …)."""
        return wide.flatten(0, 1)[self._places]

    @property
    def beyond(self) -> Tensor:
        """Which places of a padded tensor hold no instance, (b, largest size) bool."""
        return torch.arange(int(self.sizes.max()), device=self.sizes.device) >= self.sizes[:, None]

    @cached_property
    def _places(self) -> Tensor:
        """Place of each instance in a padded tensor whose first two dimensions are one."""
        within = torch.arange(len(self.instances), device=self.sizes.device) - self.starts[self.owner]
        return self.owner * int(self.sizes.max()) + within
