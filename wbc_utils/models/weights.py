"""Weights of networks: where pretrained ones are found, and how our own are kept, with the card that explains them.

All files are safetensors. Our own carry the model card in their header, so that a file alone says what it is.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors
import safetensors.torch
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import get_session
from pydantic import ValidationError
from timm.models import get_pretrained_cfg
from torch import nn

from wbc_utils.manifest import write_together
from wbc_utils.models import ModelError
from wbc_utils.models.card import ModelCard

if TYPE_CHECKING:
    from wbc_utils.models.backbones import CellClassifier


def save(path: Path, model: "CellClassifier", card: ModelCard) -> None:
    """Write a network and its card, and beside them the card as Markdown (``.md``); old files are replaced as one.

    Low-rank updates are merged into the weights that they update, so that the names of the tensors are timm's own
    behind ``backbone.``, together with ``head.weight``, ``head.bias``, ``mean`` and ``std``.

    Raises
    ------
    ModelError
        If the card describes another network, or the file's name does not end in ``.safetensors``.
    """
    if path.suffix != ".safetensors":
        raise ModelError(f"{path.name} does not end in .safetensors; weights are kept in no other format")
    differing = [
        f"{name} is {value}, on the card {getattr(card, name)}"
        for name, value in model.identity().items()
        if value != getattr(card, name)
    ]
    if differing:
        raise ModelError(f"the card describes another network: {'; '.join(differing)}. Fill it with model.identity()")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.merged_state().items()}
    content = safetensors.torch.save(tensors, metadata={"format": "pt", "card": card.model_dump_json()})
    write_together({path: content, path.with_suffix(".md"): card.markdown()})


def read(path: Path) -> tuple[dict[str, torch.Tensor], ModelCard]:
    """Read tensors and card of a file that `save` wrote.

    Raises
    ------
    ModelError
        If the file is missing, no safetensors file, or carries no card of this shape.
    """
    if not path.is_file():
        raise ModelError(f"there are no weights at {path}; run the notebook that saves them, or correct the path")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file ({error}); give weights that notebook 03 saved") from error
    if "card" not in header:
        raise ModelError(
            f"{path} carries no model card, so classes and scale are unknown; give weights that notebook 03 saved "
            "(bare ImageNet weights belong into the folder WBC_WEIGHTS, with init imagenet)"
        )
    try:
        return tensors, ModelCard.model_validate_json(header["card"])
    except ValidationError as error:
        raise ModelError(f"the model card in {path} does not read: {error}. Save the weights anew") from error


def load(path: Path, device: str | torch.device = "cpu") -> tuple["CellClassifier", ModelCard]:
    """Return the network that `save` wrote, in evaluation mode, and its card.

    Raises
    ------
    ModelError
        As `read`, and if the tensors are not those of the architecture and classes on the card.
    """
    from wbc_utils.models.backbones import build  # which reads weights itself

    tensors, card = read(path)
    model = build(card.architecture, card.classes, stem_stride=card.stem_stride)
    fill(model, tensors, f"{path} (by its card {card.architecture} with classes {', '.join(card.classes)})")
    model.init = card.init
    return model.to(device).eval(), card


def fill(module: nn.Module, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Copy tensors into a module that has exactly those names and shapes.

    Raises
    ------
    ModelError
        Naming the source and the first tensor that is missing, superfluous or of another shape.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if wrong:
        name = wrong[0]
        raise ModelError(
            f"{source} holds other tensors than that network has: {len(wrong)} differ, such as {name}, "
            f"{found.get(name, 'missing')} in the file and {wanted.get(name, 'unknown')} in the network. "
            "Give the file of this architecture"
        )
    module.load_state_dict(tensors)


def imagenet(architecture: str) -> dict[str, torch.Tensor]:
    """Return timm's pretrained weights of an architecture, without the classifier.

    ``<architecture>.safetensors`` in the folder ``WBC_WEIGHTS`` comes first, then the cache of earlier downloads,
    then the download.

    Raises
    ------
    ModelError
        If they cannot be had; the message lists the alternatives.
    """
    published = get_pretrained_cfg(architecture)
    path = _local_file(architecture) or _hub_file(architecture, published.hf_hub_id)
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is no safetensors file ({error}); put the published file there") from error
    classifier = (published.classifier,) if isinstance(published.classifier, str) else published.classifier
    return {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[0] not in classifier}


def _local_file(architecture: str) -> Path | None:
    folder = os.environ.get("WBC_WEIGHTS")
    path = Path(folder or "").expanduser() / f"{architecture}.safetensors"
    return path if folder and path.is_file() else None


def _hub_file(architecture: str, repository: str | None) -> Path:
    """Return the published file from the cache or the hub.

    One request asks first whether the hub answers at all, because the download itself would repeat its requests for
    most of a minute on a machine without a network.
    """
    if repository is None:
        raise ModelError(f"timm publishes no pretrained weights of {architecture}; choose init random or a path")
    try:
        return Path(hf_hub_download(repository, "model.safetensors", local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        get_session().head(constants.ENDPOINT, timeout=5)
        return Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the hub's client passes on the exceptions of whichever HTTP library it uses
        folder = os.environ.get("WBC_WEIGHTS")
        local = f"WBC_WEIGHTS ({folder}) has no {architecture}.safetensors" if folder else "WBC_WEIGHTS is not set"
        raise ModelError(
            f"no ImageNet weights of {architecture}: {local}, and the download of {repository} failed "
            f"({type(error).__name__}: {error}). Either put its model.safetensors as {architecture}.safetensors into a "
            "folder and set WBC_WEIGHTS to it; or choose init random; or init the path of weights that notebook 03 "
            "saved; or come back with a network"
        ) from error
