import json
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
from torch import nn

from wbc_utils.models import ModelError, weights
from wbc_utils.models.backbones import add_lora, build
from wbc_utils.models.card import ModelCard

CLASSES = ("BL", "EO", "LY")


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def card_of(model, **changes):
    fields = {
        "image_px": 32, "field_cells": 2.0, "cell_px": 16.0, "temperature": 1.0, "views": 1, "data": (), "metrics": {},
        "licence": "MIT", "seed": 0, "commit": "c0ffee", "versions": {}, "intended_use": "Tests.", "limits": "All.",
    }  # fmt: skip
    return ModelCard(**{**model.identity(), **fields, **changes})


def saved(path, architecture="test_convnext", classes=CLASSES, **options):
    model = build(architecture, classes, **options).eval()
    weights.save(path, model, card_of(model))
    return model


def images(px=32):
    return torch.rand(2, 3, px, px)


# ---- our own weights


@pytest.mark.parametrize(
    ("architecture", "options"),
    [("test_convnext", {"stem_stride": 2}), ("test_efficientnet", {}), ("test_resnet", {}), ("test_vit", {})],
)
def test_a_network_comes_back_with_its_logits_and_card(tmp_path, architecture, options):
    model = saved(tmp_path / "net.safetensors", architecture, **options)
    found, card = weights.load(tmp_path / "net.safetensors")
    batch = images()
    assert torch.equal(found(batch), model(batch))
    assert not found.training
    assert (found.identity(), card) == (model.identity(), card_of(model))


def test_the_tensors_of_the_backbone_carry_timms_names(tmp_path):
    saved(tmp_path / "net.safetensors", "test_vit")
    names = set(safetensors.torch.load_file(tmp_path / "net.safetensors"))
    plain = timm.create_model("test_vit", num_classes=0).state_dict()
    assert names == {f"backbone.{name}" for name in plain} | {"head.weight", "head.bias", "mean", "std"}


def test_low_rank_updates_are_saved_merged(tmp_path):
    model = build("test_vit", CLASSES).eval()
    add_lora(model, rank=2, alpha=2)
    for block in model.backbone.blocks:
        nn.init.normal_(block.attn.qkv.lora_b)
    weights.save(tmp_path / "net.safetensors", model, card_of(model))
    found, _ = weights.load(tmp_path / "net.safetensors")
    batch = images()
    torch.testing.assert_close(found(batch), model(batch))


def test_a_channels_last_network_can_be_saved(tmp_path):
    model = build("test_resnet", CLASSES).eval().to(memory_format=torch.channels_last)
    weights.save(tmp_path / "net.safetensors", model, card_of(model))
    batch = images()
    torch.testing.assert_close(weights.load(tmp_path / "net.safetensors")[0](batch), model(batch))


def test_the_card_lies_beside_the_weights_and_no_other_file(tmp_path):
    model = saved(tmp_path / "net.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"net.safetensors", "net.md"}
    assert (tmp_path / "net.md").read_text(encoding="utf-8") == card_of(model).markdown()


def test_a_failed_save_leaves_the_old_files(tmp_path, monkeypatch):
    old = saved(tmp_path / "net.safetensors")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        weights.save(tmp_path / "net.safetensors", old, card_of(old, seed=7))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_card_of_another_network_is_refused(tmp_path):
    model = build("test_convnext", CLASSES)
    with pytest.raises(ModelError, match=r"classes is \('BL', 'EO', 'LY'\), on the card \('BL', 'EO'\)"):
        weights.save(tmp_path / "net.safetensors", model, card_of(model, classes=("BL", "EO")))
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused(tmp_path):
    model = build("test_convnext", CLASSES)
    with pytest.raises(ModelError, match=r"net\.pth does not end in \.safetensors"):
        weights.save(tmp_path / "net.pth", model, card_of(model))


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(ModelError, match="there are no weights at"):
        weights.load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\xff" * 64], ids=["empty", "pickle", "noise"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "net.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.safetensors is no safetensors file"):
        weights.load(tmp_path / "net.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    saved(tmp_path / "net.safetensors")
    content = (tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "net.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="is no safetensors file"):
        weights.load(tmp_path / "net.safetensors")


def test_a_file_without_a_card_is_refused(tmp_path):
    safetensors.torch.save_file(build("test_convnext", CLASSES).state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match="carries no model card"):
        weights.load(tmp_path / "net.safetensors")


def test_a_card_of_another_shape_is_refused(tmp_path):
    header = {"card": json.dumps({"architecture": "test_convnext"})}
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors", metadata=header)
    with pytest.raises(ModelError, match=r"does not read: [\s\S]*Save the weights anew"):
        weights.load(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("head.bias"), r"1 differ, such as head.bias, missing in the file and \(3,\)"),
        (lambda tensors: tensors.update(more=torch.zeros(2)), r"such as more, \(2,\) in the file and unknown"),
        (
            lambda tensors: tensors.update({"head.bias": torch.zeros(9)}),
            r"\(9,\) in the file and \(3,\) in the network",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_card_are_refused(tmp_path, change, message):
    model = build("test_convnext", CLASSES)
    tensors = model.state_dict()
    change(tensors)
    header = {"card": card_of(model).model_dump_json()}
    safetensors.torch.save_file(tensors, tmp_path / "net.safetensors", metadata=header)
    with pytest.raises(ModelError, match=f"by its card test_convnext with classes BL, EO, LY.*{message}"):
        weights.load(tmp_path / "net.safetensors")


# ---- in-domain weights as the start of another network


def test_equal_classes_take_over_backbone_and_head(tmp_path):
    model = saved(tmp_path / "net.safetensors", "test_resnet")
    found = build("test_resnet", CLASSES, init=tmp_path / "net.safetensors")
    assert found.init == "in-domain: net.safetensors"
    assert all(torch.equal(tensor, found.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("classes", [("BL", "EO"), ("EO", "BL", "LY"), ("BL", "EO", "SNE")])
def test_other_classes_take_over_the_backbone_only(tmp_path, classes):
    model = saved(tmp_path / "net.safetensors", "test_resnet")
    found = build("test_resnet", classes, init=tmp_path / "net.safetensors")
    batch = images()
    assert torch.equal(found.eval().embed(batch), model.embed(batch))
    assert found.head.weight.shape[0] == len(classes)
    assert not torch.equal(found.head.weight[0], model.head.weight[0])


def test_the_stem_stride_and_the_normalisation_come_from_the_file(tmp_path):
    model = build("test_convnext", CLASSES, stem_stride=2)
    model.mean.fill_(0.25)
    weights.save(tmp_path / "net.safetensors", model, card_of(model))
    start = partial(build, "test_convnext", CLASSES, init=tmp_path / "net.safetensors")
    assert (start().stem_stride, start(stem_stride=1).stem_stride) == (2, 1)
    assert start().mean.flatten().tolist() == [0.25] * 3


def test_weights_of_another_architecture_are_refused(tmp_path):
    saved(tmp_path / "net.safetensors", "test_resnet")
    message = "are of architecture test_resnet with classes BL, EO, LY, asked for test_convnext with classes BL, EO;"
    with pytest.raises(ModelError, match=message):
        build("test_convnext", ("BL", "EO"), init=tmp_path / "net.safetensors")


# ---- ImageNet weights


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Return a function that points the hub's client at an address, with an empty cache."""

    def point(address):
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    monkeypatch.delenv("WBC_WEIGHTS", raising=False)
    return point


def published(path, architecture="test_convnext", classes=1000):
    """Write a network with its classifier, as timm publishes it."""
    network = timm.create_model(architecture, num_classes=classes)
    safetensors.torch.save_file(network.state_dict(), path)
    return network


@pytest.mark.parametrize("architecture", ["test_convnext", "test_efficientnet", "test_resnet", "test_vit"])
def test_imagenet_weights_come_from_the_local_folder_first(tmp_path, monkeypatch, architecture):
    network = published(tmp_path / f"{architecture}.safetensors", architecture).state_dict()
    monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path))
    model = build(architecture, CLASSES, init="imagenet")
    assert model.init == "imagenet"
    assert model.mean.flatten().tolist() == pytest.approx(timm.get_pretrained_cfg(architecture).mean)
    assert all(torch.equal(tensor, network[name]) for name, tensor in model.backbone.state_dict().items())


def test_a_local_file_of_another_network_is_refused(tmp_path, monkeypatch):
    published(tmp_path / "test_convnext.safetensors", "test_resnet")
    monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match="the file of ImageNet weights of test_convnext holds other tensors"):
        build("test_convnext", CLASSES, init="imagenet")


def test_a_local_file_that_is_no_safetensors_is_refused(tmp_path, monkeypatch):
    (tmp_path / "test_convnext.safetensors").write_bytes(b"PK\x03\x04")
    monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match=r"test_convnext\.safetensors is no safetensors file"):
        build("test_convnext", CLASSES, init="imagenet")


@pytest.mark.parametrize("folder", [None, "empty"])
def test_without_a_network_the_error_lists_the_alternatives(tmp_path, monkeypatch, hub, folder):
    hub("http://127.0.0.1:9")
    if folder:
        monkeypatch.setenv("WBC_WEIGHTS", str(tmp_path / folder))
    with pytest.raises(ModelError) as raised:
        build("test_convnext", CLASSES, init="imagenet")
    message = str(raised.value)
    state = (
        f"WBC_WEIGHTS ({tmp_path / folder}) has no test_convnext.safetensors" if folder else "WBC_WEIGHTS is not set"
    )
    for part in (state, "timm/test_convnext.r160_in1k", "set WBC_WEIGHTS to it", "init random", "init the path"):
        assert part in message


def test_without_a_network_the_download_is_not_even_tried(monkeypatch, hub):
    hub("http://127.0.0.1:9")
    local, calls = weights.hf_hub_download, []
    monkeypatch.setattr(
        weights, "hf_hub_download", lambda *words, **options: calls.append(options) or local(*words, **options)
    )
    with pytest.raises(ModelError):
        weights.imagenet("test_convnext")
    assert calls == [{"local_files_only": True}]


def test_in_offline_mode_the_error_says_so(monkeypatch, hub):
    hub("http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"OfflineModeIsEnabled.*set WBC_WEIGHTS to it"):
        weights.imagenet("test_convnext")


def test_a_network_without_published_weights_is_refused(monkeypatch):
    monkeypatch.delenv("WBC_WEIGHTS", raising=False)
    bare = next(name for name in timm.list_models("resnet*") if timm.get_pretrained_cfg(name).hf_hub_id is None)
    with pytest.raises(ModelError, match=f"timm publishes no pretrained weights of {bare}; choose init random"):
        weights.imagenet(bare)


class _Hub(BaseHTTPRequestHandler):
    """A hub that publishes one file."""

    protocol_version = "HTTP/1.1"
    path_of_file = "/timm/test_convnext.r160_in1k/resolve/main/model.safetensors"

    def __init__(self, content, asked, *rest):
        self.content, self.asked = content, asked
        super().__init__(*rest)

    def do_HEAD(self):
        self.asked.append((self.command, self.path))
        known = self.path == self.path_of_file
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        if known:
            self.send_header("ETag", '"0123456789abcdef0123456789abcdef"')
            self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(self.content if self.path == self.path_of_file else b"")

    def log_message(self, *_):
        pass


def test_imagenet_weights_are_downloaded_once(tmp_path, hub):
    network = published(tmp_path / "published.safetensors").state_dict()
    asked = []
    content = (tmp_path / "published.safetensors").read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, content, asked)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        hub(f"http://127.0.0.1:{server.server_port}")
        first = build("test_convnext", CLASSES, init="imagenet").backbone.state_dict()
        before = len(asked)
        weights.imagenet("test_convnext")
        server.shutdown()
    assert all(torch.equal(tensor, network[name]) for name, tensor in first.items())
    assert ("GET", _Hub.path_of_file) in asked
    assert len(asked) == before
