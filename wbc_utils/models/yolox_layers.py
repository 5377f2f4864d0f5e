"""The parts of YOLOX between its body and its boxes: path aggregation and the decoupled head."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from timm.layers import ConvNormAct
from torch import Tensor, nn
from torch.nn import functional

PRIOR = 0.01
"""First probability of an object, and of each class (Lin et al. 2017, *Focal Loss*, section 4.1)."""

_conv = partial(ConvNormAct, act_layer=nn.SiLU)


class PathAggregation(nn.Module):
    """Maps of a body, joined from coarse to fine and then from fine to coarse, with the body's numbers of channels.

    S. Liu et al. (2018), *Path Aggregation Network for Instance Segmentation*, CVPR, with the cross-stage partial
    layers of YOLOX. The pooling pyramid at the end of YOLOX's body is the first thing here, since timm's bodies have
    none.

    Attributes
    ----------
    body
        It returns the maps by name, from fine to coarse, each at half the resolution of the one before.
    channels
        Of the maps.
    """

    def __init__(self, body: nn.Module, channels: Sequence[int]):
        super().__init__()
        self.body, self.channels = body, tuple(channels)
        pairs = list(pairwise(channels))  # fine and coarse
        self.pooling = _PoolingPyramid(channels[-1])
        self.narrow = nn.ModuleList(_conv(coarse, fine) for fine, coarse in pairs)
        self.up = nn.ModuleList(_CrossStage(2 * fine, fine) for fine, _ in pairs)
        self.thin = nn.ModuleList(_conv(fine, fine, 3, stride=2) for fine, _ in pairs)
        self.down = nn.ModuleList(_CrossStage(2 * fine, coarse) for fine, coarse in pairs)

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps by name, from fine to coarse."""
        maps = self.body(images)
        *finer, found = maps.values()
        found, sides = self.pooling(found), []
        for level in reversed(range(len(finer))):
            side = self.narrow[level](found)
            sides.insert(0, side)
            wide = functional.interpolate(side, size=finer[level].shape[-2:])
            found = self.up[level](torch.cat([wide, finer[level]], dim=1))
        joined = [found]
        for level, side in enumerate(sides):
            found = self.down[level](torch.cat([self.thin[level](found), side], dim=1))
            joined.append(found)
        return OrderedDict(zip(maps, joined, strict=True))


class DecoupledHead(nn.Module):
    """Class on one branch, box and objectness on another, for each map by itself (YOLOX, figure 2)."""

    def __init__(self, channels: Sequence[int], classes: int):
        super().__init__()
        width = channels[0]
        self.stem = nn.ModuleList(_conv(count, width) for count in channels)
        self.class_branch, self.box_branch = (nn.ModuleList(_two(width) for _ in channels) for _ in range(2))
        self.classes, self.box, self.objectness = (
            nn.ModuleList(nn.Conv2d(width, outputs, 1) for _ in channels) for outputs in (classes, 4, 1)
        )
        for last in (*self.classes, *self.objectness):
            nn.init.constant_(last.bias, math.log(PRIOR / (1 - PRIOR)))

    def forward(self, maps: OrderedDict[str, Tensor]) -> Tensor:
        """Return what is said at each pixel of the maps, (b, n, 5 + k): box, logits of objectness and of k classes."""
        said = []
        for level, found in enumerate(maps.values()):
            stem = self.stem[level](found)
            box, of_class = self.box_branch[level](stem), self.class_branch[level](stem)
            parts = self.box[level](box), self.objectness[level](box), self.classes[level](of_class)
            said.append(torch.cat(parts, dim=1).flatten(2).mT)
        return torch.cat(said, dim=1)


class _CrossStage(nn.Module):
    """Half of the channels go through a bottleneck, half past it (C.-Y. Wang et al. 2020, *CSPNet*)."""

    def __init__(self, entering: int, leaving: int):
        super().__init__()
        half = leaving // 2
        self.through = nn.Sequential(_conv(entering, half), _conv(half, half), _conv(half, half, 3))
        self.past = _conv(entering, half)
        self.join = _conv(2 * half, leaving)

    def forward(self, found: Tensor) -> Tensor:
        return self.join(torch.cat([self.through(found), self.past(found)], dim=1))


class _PoolingPyramid(nn.Module):
    """Maxima over 1, 5, 9 and 13 pixels (K. He et al. 2014, *Spatial Pyramid Pooling*, as in YOLOv3-SPP)."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.enter, self.leave = _conv(channels, half), _conv(4 * half, channels)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)  # twice makes 9, three times 13

    def forward(self, found: Tensor) -> Tensor:
        maxima = [self.enter(found)]
        for _ in range(3):
            maxima.append(self.pool(maxima[-1]))
        return self.leave(torch.cat(maxima, dim=1))


def _two(width: int) -> nn.Sequential:
    return nn.Sequential(_conv(width, width, 3), _conv(width, width, 3))
