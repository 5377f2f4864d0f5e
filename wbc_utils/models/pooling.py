"""From the instances of a bag to one vector: mean, maximum, top-k, attention, gated attention, transformer.

Every pool takes packed bags and forgets the order of the instances; the vector of a bag depends neither on the other
bags of the batch nor on padding.

References
----------
M. Ilse, J. Tomczak, M. Welling (2018), *Attention-based Deep Multiple Instance Learning*, ICML.
J. Lee et al. (2019), *Set Transformer*, ICML.
"""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from wbc_utils.models import ModelError
from wbc_utils.models.bags import Bags

Pooling = Literal["mean", "max", "top_k", "attention", "gated_attention", "transformer"]

_HEADS = 2  # of the transformer


class Pooled(NamedTuple):
    """One vector a bag, (b, d), and what each instance counted in it, (n,), which sums to one in each bag."""

    features: Tensor
    weights: Tensor


def build_pool(name: Pooling, width: int, top: int = 8, hidden: int = 32) -> nn.Module:
    """Build a pool from bags of instances (n, width) to `Pooled` of the same width.

    Parameters
    ----------
    name
        ``mean``; ``max`` and ``top_k``, of each feature the mean of its largest values in the bag; ``attention`` and
        ``gated_attention``, means weighted by a small network (Ilse et al. 2018, equations 8 and 9); ``transformer``,
        self-attention among the instances, then of a learned query to them (Lee et al. 2019).
    width
        Features of an instance.
    top
        Values that ``top_k`` averages; all of a smaller bag.
    hidden
        Width of the networks of attention.

    Raises
    ------
    ModelError
        If the name is unknown, or ``top`` is below one.
    """
    if name not in get_args(Pooling):
        raise ModelError(f"there is no pooling {name!r}; allowed are {', '.join(get_args(Pooling))}")
    if top < 1:
        raise ModelError(f"top_k pooling of {top} values; give at least 1")
    if name == "mean":
        return MeanPool()
    if name in ("max", "top_k"):
        return TopPool(1 if name == "max" else top)
    if name == "transformer":
        return TransformerPool(width, hidden)
    return AttentionPool(width, hidden, gated=name == "gated_attention")


class MeanPool(nn.Module):
    """All instances count alike."""

    def forward(self, bags: Bags) -> Pooled:
        """Return the mean of each feature."""
        return Pooled(bags.mean(bags.instances), (1 / bags.sizes.to(bags.instances.dtype))[bags.owner])


class TopPool(nn.Module):
    """Of each feature its largest values; an instance's weight is its share of them over all features."""

    def __init__(self, top: int):
        super().__init__()
        self.top = top

    def forward(self, bags: Bags) -> Pooled:
        """Return the mean of the largest values of each feature."""
        wide = bags.padded(bags.instances, -torch.inf)
        largest, place = wide.topk(min(self.top, wide.shape[1]), dim=1)
        there = largest > -torch.inf
        share = there / there.sum(dim=1, keepdim=True)
        features = (largest.where(there, 0) * share).sum(dim=1)
        weights = torch.zeros_like(wide).scatter_add(1, place, share.to(wide.dtype)).mean(dim=2)
        return Pooled(features, bags.unpadded(weights))


class AttentionPool(nn.Module):
    """Weights wᵀ tanh(V h), gated by σ(U h), normalised over the bag (Ilse et al. 2018, equations 8 and 9)."""

    def __init__(self, width: int, hidden: int, gated: bool):
        super().__init__()
        self.content = nn.Linear(width, hidden)
        self.gate = nn.Linear(width, hidden) if gated else None
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, bags: Bags) -> Pooled:
        """Return the weighted mean of each feature."""
        seen = torch.tanh(self.content(bags.instances))
        if self.gate is not None:
            seen = seen * torch.sigmoid(self.gate(bags.instances))
        weights = bags.softmax(self.score(seen).squeeze(1))
        return Pooled(bags.sum(weights[:, None] * bags.instances), weights)


class TransformerPool(nn.Module):
    """Instances look at each other, then a learned query at them (Lee et al. 2019, SAB and PMA with one seed)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))
        self.among, self.final = _Block(width, hidden), _Block(width, hidden)

    def forward(self, bags: Bags) -> Pooled:
        """Return what the query has become; weights are those of its attention, averaged over the heads."""
        wide, beyond = bags.padded(bags.instances), bags.beyond
        seen, _ = self.among(wide, wide, beyond, need_weights=False)
        query, weights = self.final(self.query.expand(len(bags), 1, -1), seen, beyond, need_weights=True)
        return Pooled(query.squeeze(1), bags.unpadded(weights.squeeze(1)))


class _Block(nn.Module):
    """Attention and a small network, each with a bypass, normalised before."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        if width % _HEADS:
            raise ModelError(f"a transformer of {width} features with {_HEADS} heads; give a multiple of {_HEADS}")
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attention = nn.MultiheadAttention(width, _HEADS, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, queries: Tensor, keys: Tensor, beyond: Tensor, need_weights: bool) -> tuple[Tensor, Tensor]:
        asked, looked_at = self.norms[0](queries), self.norms[1](keys)
        seen, weights = self.attention(asked, looked_at, looked_at, key_padding_mask=beyond, need_weights=need_weights)
        queries = queries + seen
        return queries + self.mlp(self.norms[2](queries)), weights
