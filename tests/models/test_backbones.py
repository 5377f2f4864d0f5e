import copy

import pytest
import timm
import torch
from torch import nn

from wbc_utils.models import ModelError
from wbc_utils.models.backbones import add_lora, build, parameters_in_millions

CLASSES = ("BL", "EO", "LY")
FAMILIES = ("test_convnext", "test_efficientnet", "test_resnet", "test_vit")


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(n=2, px=32):
    return torch.rand(n, 3, px, px)


@pytest.mark.parametrize("architecture", FAMILIES)
def test_logits_are_the_head_of_the_embedding(architecture):
    model, batch = build(architecture, CLASSES).eval(), images()
    embedding = model.embed(batch)
    assert embedding.shape == (2, model.head.in_features)
    torch.testing.assert_close(model(batch), embedding @ model.head.weight.T + model.head.bias)


def test_the_backbone_is_timms_own_network_on_normalised_images():
    model, batch = build("test_resnet", CLASSES).eval(), images()
    peer = timm.create_model("test_resnet", num_classes=0).eval()
    peer.load_state_dict(model.backbone.state_dict())
    torch.testing.assert_close(model.embed(batch), peer((batch - 0.5) / 0.5))


def drawn(seed):
    torch.manual_seed(seed)
    return torch.cat([tensor.flatten() for tensor in build("test_convnext", CLASSES).parameters()])


def test_random_weights_follow_torchs_generator():
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_vision_transformer_takes_any_multiple_of_its_patch():
    model = build("test_vit", CLASSES).eval()
    assert [model(images(1, px)).shape for px in (32, 64, 160)] == [(1, 3)] * 3


def test_an_image_size_that_cuts_a_patch_is_refused():
    with pytest.raises(ModelError, match=r"test_vit takes no images of \(40, 40\) px .*patch size \(16\)"):
        build("test_vit", CLASSES)(images(1, 40))


def test_bytes_are_refused():
    with pytest.raises(ModelError, match=r"images are torch.uint8; give floating point numbers in \[0, 1\]"):
        build("test_resnet", CLASSES)(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("classes", [(), ("BL",), ("BL", "EO", "BL")])
def test_too_few_or_repeated_classes_are_refused(classes):
    with pytest.raises(ModelError, match="give at least two, each once"):
        build("test_resnet", classes)


def test_an_unknown_architecture_is_refused_with_its_neighbours():
    with pytest.raises(ModelError, match=r"knows no network 'convnext_ato'; near it are .*convnext_atto"):
        build("convnext_ato", CLASSES)


def test_an_unknown_tag_is_refused():
    with pytest.raises(ModelError, match=r"Invalid pretrained tag \(blood\)"):
        build("test_resnet.blood", CLASSES)


@pytest.mark.parametrize("init", ["ImageNet", "weights.pth"])
def test_an_unknown_init_is_refused(init):
    with pytest.raises(ModelError, match=f"init '{init}' is neither random, imagenet nor the path"):
        build("test_resnet", CLASSES, init=init)


def test_stochastic_depth_reaches_the_blocks():
    rates = [
        max((module.drop_prob for module in model.modules() if hasattr(module, "drop_prob")), default=0)
        for model in (build("test_convnext", CLASSES), build("test_convnext", CLASSES, drop_path=0.3))
    ]
    assert rates == [0, pytest.approx(0.3)]


def test_stochastic_depth_is_refused_where_there_is_none():
    with pytest.raises(ModelError, match="drop_path_rate"):
        build("vgg11", CLASSES, drop_path=0.1)


# ---- stride of the first convolution


def stem_of(model):
    return next(module for module in model.modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(("architecture", "kernel"), [("test_convnext", 4), ("test_efficientnet", 3), ("resnet18d", 3)])
def test_the_stem_stride_divides_the_side_of_the_first_map(architecture, kernel):
    for stride in range(1, kernel + 1):
        model = build(architecture, CLASSES, stem_stride=stride)
        assert model.stem_stride == stride
        assert abs(stem_of(model)(images(1, 48)).shape[-1] - 48 / stride) <= 1


@pytest.mark.parametrize("architecture", ["test_convnext", "test_efficientnet", "resnet18"])
def test_the_architectures_own_stride_gives_its_own_padding(architecture):
    own = stem_of(build(architecture, CLASSES))
    same = stem_of(build(architecture, CLASSES, stem_stride=own.stride[0]))
    assert (same.stride, same.padding) == (own.stride, own.padding)


@pytest.mark.parametrize("architecture", ["test_convnext", "test_efficientnet", "test_resnet"])
def test_a_lower_stem_stride_changes_no_weight_and_keeps_the_logits_finite(architecture):
    usual, fine = build(architecture, CLASSES), build(architecture, CLASSES, stem_stride=1)
    assert {n: t.shape for n, t in usual.state_dict().items()} == {n: t.shape for n, t in fine.state_dict().items()}
    assert fine.eval()(images()).isfinite().all()


@pytest.mark.parametrize("stride", [0, 5])
def test_a_stem_stride_beyond_the_kernel_is_refused(stride):
    with pytest.raises(ModelError, match=f"a stride of {stride} .* its kernel has 4 px, give 1 to 4"):
        build("test_convnext", CLASSES, stem_stride=stride)


def test_a_stem_stride_of_a_vision_transformer_is_refused():
    with pytest.raises(ModelError, match="test_vit cuts patches, it has no stride to choose"):
        build("test_vit", CLASSES, stem_stride=2)


# ---- freezing


def step(model):
    """Take one step of training with a large rate; batch statistics are updated on the way."""
    optimizer = torch.optim.AdamW(model.parameter_groups(0.1), lr=0.1)
    model.train()
    nn.functional.cross_entropy(model(images()), torch.tensor([0, 2])).backward()
    optimizer.step()


def test_a_frozen_backbone_keeps_weights_and_statistics_while_the_head_learns():
    model = build("test_resnet", CLASSES)
    model.freeze_backbone(True)
    before = copy.deepcopy(model.state_dict())
    step(model)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head.weight", "head.bias"}


def test_a_thawed_backbone_learns_again_with_the_same_optimiser_groups():
    model = build("test_efficientnet", CLASSES)
    model.freeze_backbone(True)
    model.train()
    model.freeze_backbone(False)
    before = copy.deepcopy(model.state_dict())
    step(model)
    same = {name for name, tensor in model.state_dict().items() if torch.equal(before[name], tensor)}
    assert same == {"mean", "std"}


def test_freezing_leaves_the_mode_of_the_head_alone():
    model = build("test_resnet", CLASSES).train()
    model.freeze_backbone(True)
    assert (model.training, model.head.training, model.backbone.training) == (True, True, False)
    model.eval()
    model.freeze_backbone(False)
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_parameter_is_in_one_group_and_only_matrices_decay(architecture):
    model = build(architecture, CLASSES)
    model.freeze_backbone(True)
    decay, plain = model.parameter_groups(0.05)
    assert (decay["weight_decay"], plain["weight_decay"]) == (0.05, 0)
    found = [id(weight) for group in (decay, plain) for weight in group["params"]]
    assert sorted(found) == sorted(id(weight) for weight in model.parameters())
    kept = {id(weight) for weight in plain["params"]}
    assert kept == {
        id(weight) for name, weight in model.named_parameters() if name.endswith(".bias") or weight.ndim == 1
    }


# ---- low-rank updates


def test_low_rank_updates_change_nothing_at_first():
    model, batch = build("test_vit", CLASSES).eval(), images()
    before = model(batch)
    add_lora(model, rank=2, alpha=4)
    torch.testing.assert_close(model(batch), before, rtol=0, atol=0)


def test_only_low_rank_updates_and_the_head_learn():
    model = build("test_vit", CLASSES)
    add_lora(model, rank=2, alpha=4)
    learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
    grouped = [id(weight) for group in model.parameter_groups(0.1) for weight in group["params"]]
    assert sorted(grouped) == sorted(id(weight) for weight in model.parameters() if weight.requires_grad)
    depth = len(model.backbone.blocks)
    assert len(learned) == 2 * depth + 2
    assert all(name.startswith("head.") or name.endswith(("qkv.lora_a", "qkv.lora_b")) for name in learned)


def test_thawing_after_low_rank_updates_thaws_only_them():
    model = build("test_vit", CLASSES)
    add_lora(model, rank=2, alpha=4)
    learned = {name for name, weight in model.named_parameters() if weight.requires_grad}
    model.freeze_backbone(True)
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == {"head.weight", "head.bias"}
    model.freeze_backbone(False)
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == learned


def test_merged_weights_give_the_same_logits_under_the_names_before():
    model, batch = build("test_vit", CLASSES), images()
    plain = build("test_vit", CLASSES)
    add_lora(model, rank=2, alpha=4)
    step(model)
    plain.load_state_dict(model.merged_state())
    torch.testing.assert_close(plain.eval()(batch), model.eval()(batch))
    projection = model.backbone.blocks[0].attn.qkv
    update = projection.merged() - projection.weight
    torch.testing.assert_close(update, 2 * projection.lora_b @ projection.lora_a)
    assert torch.linalg.matrix_rank(update, rtol=1e-3) == 2


def test_without_updates_the_merged_state_is_the_state():
    model = build("test_resnet", CLASSES)
    state, merged = model.state_dict(), model.merged_state()
    assert merged.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in merged.items())


def test_low_rank_updates_need_attention():
    with pytest.raises(ModelError, match="test_convnext has no attention"):
        add_lora(build("test_convnext", CLASSES), rank=2, alpha=4)


def test_a_rank_below_one_and_a_second_call_are_refused():
    model = build("test_vit", CLASSES)
    with pytest.raises(ModelError, match="rank 0 for test_vit"):
        add_lora(model, rank=0, alpha=4)
    add_lora(model, rank=2, alpha=4)
    with pytest.raises(ModelError, match="given once to a network"):
        add_lora(model, rank=2, alpha=4)


def test_parameters_are_counted_in_millions():
    assert parameters_in_millions(nn.Linear(999, 1000)) == 1.0
