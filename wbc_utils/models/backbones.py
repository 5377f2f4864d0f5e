"""Networks that classify cells: a timm backbone, a linear head, and normalisation inside."""

import difflib
import math
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from torch import nn

from wbc_utils.models import ModelError, weights

_HALF = (0.5, 0.5, 0.5)  # mean and standard deviation for networks that start from random weights


class CellClassifier(nn.Module):
    """A backbone and a head over named classes.

    Attributes
    ----------
    architecture, classes, init, stem_stride
        Name in timm, codes in the order of the logits, origin of the first weights (``random``, ``imagenet``,
        ``in-domain: <file name>``), stride of the first convolution where it is not the architecture's (else None).
    backbone
        timm network without classifier.
    head
        `torch.nn.Linear` from pooled features to logits.
    mean, std
        Subtracted from and divided into the images, buffers (3, 1, 1).
    """

    def __init__(
        self,
        backbone: nn.Module,
        architecture: str,
        classes: Sequence[str],
        init: str,
        stem_stride: int | None,
        mean: Sequence[float],
        std: Sequence[float],
    ):
        super().__init__()
        self.architecture, self.classes, self.init = architecture, tuple(classes), init
        self.stem_stride = stem_stride
        self.backbone = backbone
        self.head = nn.Linear(backbone.head_hidden_size, len(self.classes))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1))
        self.frozen = False
        self.trainable = {name for name, weight in backbone.named_parameters() if weight.requires_grad}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (n, k) of images (n, 3, h, w), RGB in [0, 1]."""
        return self.head(self.embed(images))

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled features (n, d) before the head, of images (n, 3, h, w), RGB in [0, 1].

        Raises
        ------
        ModelError
            If the images are integers, or of a size that the network does not take.
        """
        if not images.is_floating_point():
            raise ModelError(f"images are {images.dtype}; give floating point numbers in [0, 1] (divide bytes by 255)")
        try:
            return self.backbone((images - self.mean) / self.std)
        except AssertionError as error:  # how timm's transformers refuse a size
            raise ModelError(
                f"{self.architecture} takes no images of {tuple(images.shape[2:])} px ({error}); resize them, or take "
                "a convolutional network"
            ) from error

    def freeze_backbone(self, frozen: bool) -> None:
        """Hold the backbone fixed, or let it learn again (only its low-rank updates after `add_lora`).

        A frozen backbone stays in evaluation mode: normalisation layers keep their statistics, nothing is dropped.
        """
        self.frozen = frozen
        for name, weight in self.backbone.named_parameters():
            weight.requires_grad_(not frozen and name in self.trainable)
        self.train(self.training)

    def train(self, mode: bool = True) -> "CellClassifier":
        """Set training or evaluation mode, except of a frozen backbone."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """Return the groups for an optimiser: weights decay, biases and one-dimensional parameters do not.

        A backbone that is frozen for now is in them; it has no gradients, so optimisers pass it over.
        """
        learned = [weight for name, weight in self.backbone.named_parameters() if name in self.trainable]
        learned += self.head.parameters()
        return [
            {"params": [weight for weight in learned if weight.ndim > 1], "weight_decay": weight_decay},
            {"params": [weight for weight in learned if weight.ndim <= 1], "weight_decay": 0.0},
        ]

    def identity(self) -> dict:
        """Return what a model card says of the network itself, by the names of its fields."""
        names = ("architecture", "classes", "stem_stride", "init")
        constants = {
            name: tuple(round(x, 6) for x in getattr(self, name).flatten().tolist()) for name in ("mean", "std")
        }
        return {name: getattr(self, name) for name in names} | constants

    def merged_state(self) -> dict[str, torch.Tensor]:
        """Return the state with low-rank updates added to the weights they update: names are those before them."""
        state = self.state_dict()
        for name, module in self.named_modules():
            if isinstance(module, LoRALinear):
                state[f"{name}.weight"] = module.merged()
                del state[f"{name}.lora_a"], state[f"{name}.lora_b"]
        return state


def build(
    architecture: str,
    classes: Sequence[str],
    init: str | Path = "random",
    stem_stride: int | None = None,
    drop_path: float = 0.0,
) -> CellClassifier:
    """Build a classifier of cells on a timm network.

    Random weights come from torch's global generator. Vision transformers take every image size that is a multiple of
    their patch: their position embeddings are interpolated.

    Parameters
    ----------
    architecture
        Name in timm, with or without the tag of its pretrained weights.
    classes
        Codes of the cell types, in the order of the logits.
    init
        ``random``; ``imagenet`` (see `wbc_utils.models.weights.imagenet`); or a file that
        `wbc_utils.models.weights.save` wrote: its backbone is taken over, and its head if the classes are equal. The
        constants of normalisation are 0.5, timm's, or the file's.
    stem_stride
        Stride of the first convolution, None for the architecture's (or the file's). A lower stride keeps more
        resolution of small images and costs its square in time.
    drop_path
        Highest rate of stochastic depth, in [0, 1).

    Raises
    ------
    ModelError
        If timm knows no such architecture, classes are fewer than two or repeated, the weights cannot be had or are
        of another architecture, or the stride does not fit.
    """
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise ModelError(f"the classes are {list(classes)}; give at least two, each once")
    backbone = _backbone(architecture, drop_path)
    mean = std = _HALF
    tensors, card, name = {}, None, str(init)
    if init == "imagenet":
        weights.fill(backbone, weights.imagenet(architecture), f"the file of ImageNet weights of {architecture}")
        mean, std = backbone.pretrained_cfg["mean"], backbone.pretrained_cfg["std"]
    elif init != "random":
        tensors, card = _own_weights(Path(init), architecture, classes)
        mean, std, name = card.mean, card.std, f"in-domain: {Path(init).name}"
        stem_stride = card.stem_stride if stem_stride is None else stem_stride
        weights.fill(backbone, _below(tensors, "backbone."), str(init))
    if stem_stride is not None:
        _set_stem_stride(backbone, architecture, stem_stride)
    model = CellClassifier(backbone, architecture, classes, name, stem_stride, mean, std)
    if card is not None and card.classes == model.classes:
        weights.fill(model.head, _below(tensors, "head."), str(init))
    return model


def add_lora(model: CellClassifier, rank: int, alpha: float) -> None:
    """Let a vision transformer learn low-rank updates of its attention only, beside the head; done in place.

    Each joint projection to queries, keys and values becomes W + (alpha / rank) B A (Hu et al. 2021, equation 3). B
    starts at zero, so that the logits are unchanged at first; A is uniform, from torch's global generator.

    Raises
    ------
    ModelError
        If the network has no such projection, has updates already, or the rank is below one.
    """
    places = [module for module in model.backbone.modules() if isinstance(getattr(module, "qkv", None), nn.Linear)]
    if not places:
        raise ModelError(
            f"{model.architecture} has no attention with a joint query-key-value projection; take a vision "
            "transformer such as vit_tiny_patch16_224, or freeze the backbone"
        )
    if rank < 1 or any(isinstance(place.qkv, LoRALinear) for place in places):
        raise ModelError(f"rank {rank} for {model.architecture}: it must be at least 1, and given once to a network")
    for place in places:
        place.qkv = LoRALinear(place.qkv, rank, alpha)
    model.trainable = {name for name, _ in model.backbone.named_parameters() if name.endswith(("lora_a", "lora_b"))}
    model.freeze_backbone(model.frozen)


class LoRALinear(nn.Linear):
    """A linear layer with a low-rank update; weight and bias keep their names."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float):
        kind = {"device": linear.weight.device, "dtype": linear.weight.dtype}
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, **kind)
        self.weight, self.bias = linear.weight, linear.bias
        self.lora_a = nn.Parameter(torch.empty(rank, linear.in_features, **kind))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank, **kind))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x Wᵀ + b + (alpha / rank) x Aᵀ Bᵀ."""
        return super().forward(x) + self.scale * (x @ self.lora_a.T @ self.lora_b.T)

    def merged(self) -> torch.Tensor:
        """Return W + (alpha / rank) B A."""
        return self.weight + self.scale * (self.lora_b @ self.lora_a)


def parameters_in_millions(model: nn.Module) -> float:
    """Return the number of parameters, learned or frozen, in millions."""
    return sum(weight.numel() for weight in model.parameters()) / 1e6


def _backbone(architecture: str, drop_path: float) -> nn.Module:
    if not timm.is_model(architecture):
        near = ", ".join(difflib.get_close_matches(architecture, timm.list_models(), n=3))
        raise ModelError(
            f"timm {timm.__version__} knows no network {architecture!r}; "
            + (f"near it are {near}" if near else "timm.list_models() names them")
        )
    options = {"drop_path_rate": drop_path} if drop_path else {}
    if timm.model_entrypoint(architecture).__module__ == "timm.models.vision_transformer":
        options["dynamic_img_size"] = True
    try:
        return timm.create_model(architecture, num_classes=0, **options)
    except (RuntimeError, TypeError) as error:  # a tag or an option that this architecture does not have
        raise ModelError(
            f"timm builds no {architecture} with {options}: {error}; choose another name or option"
        ) from error


def _own_weights(path: Path, architecture: str, classes: Sequence[str]) -> tuple[dict, weights.ModelCard]:
    if path.suffix != ".safetensors":
        raise ModelError(f"init {str(path)!r} is neither random, imagenet nor the path of a .safetensors file")
    tensors, card = weights.read(path)
    if card.architecture != architecture:
        raise ModelError(
            f"the weights in {path} are of architecture {card.architecture} with classes {', '.join(card.classes)}, "
            f"asked for {architecture} with classes {', '.join(classes)}; ask for {card.architecture} or another init"
        )
    return tensors, card


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _set_stem_stride(backbone: nn.Module, architecture: str, stride: int) -> None:
    """Set the stride of the first convolution; n pixels become about n / stride, as at the architecture's own."""
    if hasattr(backbone, "patch_embed"):
        raise ModelError(
            f"{architecture} cuts patches, it has no stride to choose; give stem_stride None, or a convolutional "
            "network such as convnext_atto"
        )
    stem = next(module for module in backbone.modules() if isinstance(module, nn.Conv2d))
    kernel = stem.kernel_size[0]
    if not 1 <= stride <= kernel:
        raise ModelError(
            f"a stride of {stride} for the first convolution of {architecture}: its kernel has {kernel} px, give 1 to "
            f"{kernel}"
        )
    padding = (kernel - stride + 1) // 2
    stem.stride, stem.padding = (stride, stride), (padding, padding)
