"""The training loop against loops written out, and against interruptions of every kind."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from toy_task import RECIPE, ToyTask, interrupt_at

from wbc_utils.fit import FitError, Recipe, fit

PLAIN = Recipe(epochs=3, optimizer="sgd", learning_rate=0.1, schedule="constant", warmup_epochs=0, clip=None)


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def assert_same_training(one, other):
    assert_same_weights(one.model.state_dict(), other.model.state_dict())
    assert one.best_epoch == other.best_epoch
    assert one.history.drop(columns="seconds").equals(other.history.drop(columns="seconds"))


def test_a_training_is_the_loop_written_out():
    recipe = replace(RECIPE, clip=0.5, weight_decay=0.1)
    fitted = fit(ToyTask(scores=[1, 2, 3, 4]), recipe, seed=0)
    task = ToyTask()
    optimizer = torch.optim.AdamW(task.model.parameters(), weight_decay=0.1)
    losses = []
    for epoch in range(4):
        for step, batch in enumerate(task.batches(epoch)):
            optimizer.param_groups[0]["lr"] = recipe.rate(epoch + (step + 0.5) / 5)
            optimizer.zero_grad()
            losses.append(task.loss(task.model, batch))
            losses[-1].backward()
            nn.utils.clip_grad_norm_(task.model.parameters(), 0.5)
            optimizer.step()
    assert_same_weights(fitted.model.state_dict(), task.model.state_dict())
    expected = torch.stack(losses).reshape(4, 5).mean(1).tolist()
    assert fitted.history["loss"].tolist() == pytest.approx(expected, rel=1e-6)
    assert fitted.history["learning_rate"].tolist() == [recipe.rate(epoch + 0.9) for epoch in range(4)]


def test_named_losses_are_summed_and_each_is_recorded():
    whole = fit(ToyTask(scores=[1, 2, 3]), PLAIN, seed=0)
    parts = fit(ToyTask(scores=[1, 2, 3], shares={"loss_box": 0.25, "loss_class": 0.75}), PLAIN, seed=0)
    assert list(parts.history)[:5] == ["epoch", "loss", "loss_box", "loss_class", "score"]
    assert_same_weights(parts.model.state_dict(), whole.model.state_dict())
    assert parts.history["loss"].tolist() == whole.history["loss"].tolist()
    assert (parts.history["loss_box"] * 4).tolist() == pytest.approx(whole.history["loss"].tolist(), rel=1e-6)
    assert (parts.history["loss_class"] / 0.75).tolist() == pytest.approx(whole.history["loss"].tolist(), rel=1e-6)


def test_a_step_is_taken_at_the_rate_of_its_middle_so_that_none_is_lost_or_past_a_restart():
    task = ToyTask(size=20)
    fitted = fit(task, replace(RECIPE, epochs=4, warmup_epochs=1, restart_epochs=1), seed=0)
    assert fitted.history["learning_rate"].tolist() == pytest.approx([0.025, 0.025, 0.025, 0.025])


def test_accumulated_gradients_are_those_of_the_large_batch_also_of_the_rest_of_an_epoch():
    large = fit(ToyTask(size=8, dtype=torch.float64), PLAIN, seed=0)
    small = fit(ToyTask(size=4, dtype=torch.float64), replace(PLAIN, accumulate=2), seed=0)
    for one, other in zip(large.model.parameters(), small.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("factor", [1e4, 1e6])
def test_a_clipped_step_is_as_long_as_the_clip_whatever_the_gradient(factor):
    task = ToyTask(size=20, damage={(0, 0): factor})
    before = nn.utils.parameters_to_vector(task.model.parameters()).detach().clone()
    fitted = fit(task, replace(PLAIN, epochs=1, clip=0.01, weight_decay=0), seed=0)
    moved = nn.utils.parameters_to_vector(fitted.model.parameters()) - before
    assert moved.norm().item() == pytest.approx(0.1 * 1.9 * 0.01, rel=1e-3)  # Nesterov: 1 + momentum at first


def test_weights_without_clipping_are_those_of_a_large_clip():
    one, other = (fit(ToyTask(), replace(PLAIN, clip=clip), seed=0) for clip in (None, 1e6))
    assert_same_weights(one.model.state_dict(), other.model.state_dict())


def test_the_moving_average_is_the_weighted_sum_of_the_weights_and_is_what_is_kept():
    steps = []
    task = ToyTask(dtype=torch.float64, scores=[1, 2, 3])
    task.before = lambda epoch, step: steps.append([weight.detach().clone() for weight in task.model.parameters()])
    trained = fit(ToyTask(dtype=torch.float64, scores=[1, 2, 3]), PLAIN, seed=0).model
    averaged = fit(task, replace(PLAIN, ema=0.7), seed=0).model
    path = [*steps[1:], list(trained.parameters())]  # after each update
    share = 0.3 * 0.7 ** np.arange(len(path))[::-1]
    share[0] /= 0.3  # the average begins with the first weights
    assert share.sum() == pytest.approx(1)
    for number, weight in enumerate(averaged.parameters()):
        expected = sum(part * step[number] for part, step in zip(share, path, strict=True))
        torch.testing.assert_close(weight.detach(), expected.detach(), rtol=1e-10, atol=1e-12)


def test_the_weights_of_the_best_epoch_are_returned_with_all_scores():
    task = ToyTask(scores=[0.1, 0.9, 0.3])
    fitted = fit(task, PLAIN, seed=0)
    assert fitted.best_epoch == 2
    assert_same_weights(fitted.model.state_dict(), task.snapshots[1])
    assert list(fitted.history) == ["epoch", "loss", "score", "nll", "learning_rate", "seconds"]
    assert fitted.history["score"].tolist() == [0.1, 0.9, 0.3]
    assert fitted.history["epoch"].tolist() == [1, 2, 3]
    assert not fitted.model.training


def test_the_first_of_equally_good_epochs_is_kept():
    assert fit(ToyTask(scores=[0.5, 0.9, 0.9]), PLAIN, seed=0).best_epoch == 2


def test_seconds_and_memory_are_those_of_the_process():
    fitted = fit(ToyTask(), PLAIN, seed=0)
    assert fitted.seconds == pytest.approx(fitted.history["seconds"].sum())
    assert fitted.seconds > 0
    assert 2**25 < fitted.peak_memory < 2**36


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (3, 6), (None, 6)])
def test_the_training_stops_after_so_many_epochs_without_a_better_score(patience, epochs):
    task = ToyTask(scores=[0.5, 0.6, 0.6, 0.5, 0.9, 0.8])
    fitted = fit(task, replace(PLAIN, epochs=6, patience=patience), seed=0)
    assert len(fitted.history) == epochs
    assert fitted.best_epoch == (5 if epochs > 4 else 2)


def test_a_training_that_stopped_early_stays_stopped(tmp_path):
    recipe = replace(PLAIN, epochs=6, patience=1)
    fit(ToyTask(scores=[0.5, 0.4]), recipe, seed=0, checkpoint=tmp_path / "a.pt")
    again = fit(ToyTask(before=interrupt_at(2, 0)), recipe, seed=0, checkpoint=tmp_path / "a.pt")
    assert again.history["score"].tolist() == [0.5, 0.4]


def test_bf16_computes_in_bf16_and_learns_nearly_the_same():
    half, full = ToyTask(), ToyTask()
    fitted = fit(half, replace(PLAIN, amp="bf16"), seed=0)
    exact = fit(full, PLAIN, seed=0)
    assert half.dtypes == {torch.bfloat16}
    assert full.dtypes == {torch.float32}
    assert fitted.history["loss"].tolist() == pytest.approx(exact.history["loss"].tolist(), rel=0.05)
    assert {weight.dtype for weight in fitted.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_training_with_epoch_step_and_rate(factor):
    task = ToyTask(damage={(1, 2): factor})
    with pytest.raises(FitError, match=rf"{factor} in step 3 of epoch 2 \(learning rate 0.1\); use a lower"):
        fit(task, PLAIN, seed=0)


def test_a_score_that_is_not_finite_stops_the_training_with_its_name():
    with pytest.raises(FitError, match="score is nan after epoch 2"):
        fit(ToyTask(scores=[0.1, float("nan"), 0.2]), PLAIN, seed=0)


@pytest.mark.parametrize(
    "changes",
    [{}, {"ema": 0.8}, {"accumulate": 2}, {"optimizer": "sgd"}, {"amp": "bf16"}, {"patience": 2}],
    ids=str,
)
@pytest.mark.parametrize("place", [(1, 0), (2, 3), (0, 2)], ids=["epoch's end", "mid-epoch", "first epoch"])
def test_an_interrupted_training_ends_with_the_bits_of_an_undisturbed_one(tmp_path, changes, place):
    recipe = replace(RECIPE, **changes)
    undisturbed = fit(ToyTask(dropout=0.5), recipe, seed=3)
    with pytest.raises(KeyboardInterrupt):
        fit(ToyTask(dropout=0.5, before=interrupt_at(*place)), recipe, seed=3, checkpoint=tmp_path / "a.pt")
    resumed = fit(ToyTask(dropout=0.5), recipe, seed=3, checkpoint=tmp_path / "a.pt")
    assert_same_training(resumed, undisturbed)


def test_a_training_interrupted_again_and_again_ends_the_same(tmp_path):
    for place in [(0, 4), (1, 1), (1, 2), (3, 4)]:
        with pytest.raises(KeyboardInterrupt):
            fit(ToyTask(dropout=0.5, before=interrupt_at(*place)), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    resumed = fit(ToyTask(dropout=0.5), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    assert_same_training(resumed, fit(ToyTask(dropout=0.5), RECIPE, seed=3))


def test_a_killed_process_is_taken_up_where_it_was(tmp_path):
    checkpoint = tmp_path / "a folder" / "a.pt"
    script = (
        "import sys, torch; from pathlib import Path; from toy_task import *; from wbc_utils.fit import fit\n"
        "torch.set_num_threads(1)\n"
        "fit(ToyTask(dropout=0.5, before=kill_at(2, 3)), RECIPE, seed=3, checkpoint=Path(sys.argv[1]))"
    )
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests), str(tests.parent)])
    killed = subprocess.run([sys.executable, "-c", script, checkpoint], env={**os.environ, "PYTHONPATH": paths})
    assert killed.returncode == -9
    written = checkpoint.stat().st_mtime_ns
    taken = []
    task = ToyTask(dropout=0.5, before=lambda *now: taken.append(now))
    assert_same_training(fit(task, RECIPE, seed=3, checkpoint=checkpoint), fit(ToyTask(dropout=0.5), RECIPE, seed=3))
    assert taken[0] == (2, 0)  # two epochs were not repeated
    assert checkpoint.stat().st_mtime_ns > written


def test_a_training_killed_while_it_writes_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    save, written = torch.save, []

    def cut_off(content, file):
        save(content, file)
        if written:
            file.truncate(1000)
            raise KeyboardInterrupt
        written.append(file)

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    monkeypatch.setattr(torch, "save", save)
    resumed = fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    assert_same_training(resumed, fit(ToyTask(), RECIPE, seed=3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_finished_training_is_not_repeated(tmp_path):
    once = fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    again = fit(ToyTask(damage={(0, 0): float("nan")}), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    assert_same_training(again, once)
    assert again.history.equals(once.history)
    assert again.peak_memory == once.peak_memory


@pytest.mark.parametrize(
    ("seed", "key", "recipe"),
    [(4, "data", RECIPE), (3, "other data", RECIPE), (3, "data", replace(RECIPE, learning_rate=0.06))],
    ids=["seed", "key", "recipe"],
)
def test_the_checkpoint_of_another_training_is_refused_and_kept(tmp_path, seed, key, recipe):
    fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt", key="data")
    before = (tmp_path / "a.pt").read_bytes()
    with pytest.raises(FitError, match=r"a\.pt is the checkpoint of another training .* remove it, or"):
        fit(ToyTask(), recipe, seed=seed, checkpoint=tmp_path / "a.pt", key=key)
    assert (tmp_path / "a.pt").read_bytes() == before


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.999])
def test_a_truncated_checkpoint_is_named(tmp_path, share):
    fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    content = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(FitError, match=r"a\.pt is no whole checkpoint .*; remove it"):
        fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")


def test_a_checkpoint_with_a_changed_weight_is_named(tmp_path):
    fitted = fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[content.index(fitted.model[0].weight.detach().numpy().tobytes()) + 5] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(FitError, match=r"a\.pt is no whole checkpoint"):
        fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    torch.save(nn.ReLU(), tmp_path / "a.pt")
    with pytest.raises(FitError, match=r"a\.pt is no whole checkpoint"):
        fit(ToyTask(), RECIPE, seed=3, checkpoint=tmp_path / "a.pt")


def test_the_global_generators_are_left_as_they_were():
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    task = ToyTask(dropout=0.5)
    before = states()
    fit(task, RECIPE, seed=3)
    assert states() == before


def test_the_seed_decides_the_weights_and_the_global_generators_do_not():
    torch.manual_seed(0)
    first = fit(ToyTask(dropout=0.5), RECIPE, seed=3).model.state_dict()
    torch.manual_seed(1)
    assert_same_weights(fit(ToyTask(dropout=0.5), RECIPE, seed=3).model.state_dict(), first)
    other = fit(ToyTask(dropout=0.5), RECIPE, seed=4).model.state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_each_epoch_drops_other_units():
    dropped = []

    class Watched(nn.Dropout):
        def forward(self, x):
            y = super().forward(functional.relu(x) + 1)
            if self.training:
                dropped.append(tuple((y == 0).flatten().tolist()))
            return y

    task = ToyTask(size=20)
    task.model[2] = Watched(0.5)
    fit(task, RECIPE, seed=0)
    assert len(set(dropped)) == len(dropped) == RECIPE.epochs


def test_a_line_of_progress_is_left_after_each_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("WBC_PROGRESS", str(tmp_path / "progress"))
    fit(ToyTask(scores=[0.1, 0.2, 0.25]), PLAIN, seed=0)
    assert (tmp_path / "progress").read_text().startswith("epoch 3 of 3: loss ")
    assert (tmp_path / "progress").read_text().endswith("score 0.250")
