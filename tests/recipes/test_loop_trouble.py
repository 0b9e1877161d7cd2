"""What goes wrong in a training: batches that are not finite, full disks, damaged files, other settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

import toy_training as toys
from cardioloom.errors import DamagedFileError, TrainingError, UsageError, WriteError
from cardioloom.recipes.place import METRICS, Place, read_log
from full_disk import no_file_larger_than
from toy_training import PLAN, Batch, Feed, checkpoint, equal_to_the_whole, same, stop_after, toy, train

PLAIN = replace(PLAN, ema=None, clip=None)


def test_a_batch_whose_loss_is_not_finite_is_named(tmp_path: Path):
    def change(epoch: int, number: int, given: Batch) -> Batch:
        return replace(given, x=given.x * torch.inf) if (epoch, number) == (1, 2) else given

    with pytest.raises(TrainingError, match=r"the loss is nan at step 8 \(epoch 1, batch 2\)") as caught:
        train(tmp_path, feed=Feed(change=change))
    assert all(f"s1-2-{row}" in str(caught.value) for row in range(toys.ROWS))
    assert "s1-1-0" not in str(caught.value)
    kept = checkpoint(tmp_path)
    assert kept["done"] == 6
    assert all(value.isfinite().all() for value in kept["net"].values())
    assert [line["step"] for line in read_log(tmp_path)][-1] == 7


def test_a_batch_whose_gradient_is_not_finite_is_named(tmp_path: Path):
    """The loss is 0 and its gradient 0 · ∞: unnoticed, it would be in the next checkpoint."""

    def step(net: nn.Module, given: Batch) -> Tensor:
        loss = toys.step(net, given)
        return loss + (loss * 0).sqrt() if given.names[0] == "s0-4-0" else loss

    for clip in (None, 1.0):
        run = tmp_path / str(clip)
        with pytest.raises(TrainingError, match=r"the gradient is nan at step 5 .* s0-4-0, "):
            train(run, plan=replace(PLAIN, clip=clip), step=step)
        assert checkpoint(run)["done"] == 3
        assert all(value.isfinite().all() for value in checkpoint(run)["net"].values())


@pytest.mark.parametrize("n_bytes", [300, 3000])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on(n_bytes: int, whole, tmp_path: Path):
    """300 bytes do not take the log, 3000 not the checkpoint."""
    with pytest.raises(InterruptedError):
        train(tmp_path, watch=stop_after(5))
    before = checkpoint(tmp_path)

    def crowd(line: Mapping[str, Any]) -> None:
        if line["step"] == 5:
            limit.enter_context(no_file_larger_than(n_bytes))

    with ExitStack() as limit, pytest.raises(WriteError, match=r"could not be written .* make room .* --resume"):
        train(tmp_path, resume=True, watch=crowd)
    assert same(checkpoint(tmp_path), before)
    assert not list(tmp_path.rglob("*.ckpt.part"))
    net = toy()
    train(tmp_path, net, resume=True)
    equal_to_the_whole(tmp_path, net, whole)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save = Fabric.save

    def refuse(self: Fabric, path: Path, state: dict[str, Any], **options: Any) -> None:
        save(self, path, state, **options)
        if state.get("done") == 6:
            raise error

    monkeypatch.setattr(Fabric, "save", refuse)
    with pytest.raises(WriteError, match=r"No space left|PytorchStreamWriter"):
        train(tmp_path)
    assert checkpoint(tmp_path)["done"] == 3


def test_a_torn_last_line_of_the_log_is_left_out(whole, tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(tmp_path, watch=stop_after(7))
    with (tmp_path / METRICS).open("ab") as file:
        file.write(b'{"stage": "toy", "step": 8, "lo\xc3')
    assert [line["step"] for line in read_log(tmp_path)][-1] == 7
    net = toy()
    train(tmp_path, net, resume=True)
    equal_to_the_whole(tmp_path, net, whole)


def test_another_damaged_line_of_the_log_is_named(tmp_path: Path):
    (tmp_path / METRICS).write_text('{"stage": "toy", "step": 1}\n{"st\n{"stage": "toy", "step": 3}\n')
    with pytest.raises(DamagedFileError, match=r"line 2 of .*metrics.jsonl is no JSON: mend or remove it"):
        train(tmp_path)


def test_lines_of_other_stages_are_kept(tmp_path: Path):
    line = {"stage": "before", "step": 99, "loss": 1.0}
    (tmp_path / METRICS).write_text(json.dumps(line) + "\n")
    train(tmp_path)
    assert read_log(tmp_path)[0] == line


@pytest.mark.parametrize("damage", ["cut", "rubbish", "empty", "pickle"])
def test_a_damaged_checkpoint_is_refused(damage: str, tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(tmp_path, watch=stop_after(7))
    path = Place(tmp_path, "toy").last
    whole = path.read_bytes()
    if damage == "pickle":
        torch.save({"net": InterruptedError()}, path)
    else:
        path.write_bytes({"cut": whole[: len(whole) // 2], "rubbish": b"rubbish" * 50, "empty": b""}[damage])
    with pytest.raises(DamagedFileError, match=r"last.ckpt is no checkpoint of this net"):
        train(tmp_path, resume=True)


def test_a_checkpoint_of_another_net_is_refused(tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(tmp_path, watch=stop_after(7))
    with pytest.raises(DamagedFileError, match=r"no checkpoint of this net .* resume with the settings"):
        train(tmp_path, nn.Linear(toys.N_IN, toys.N_OUT), resume=True)


def test_other_settings_are_refused_on_resumption(tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(tmp_path, watch=stop_after(7))
    with pytest.raises(UsageError, match="begun with seed 0, got 1"):
        train(tmp_path, seed=1, resume=True)
    with pytest.raises(UsageError, match="begun with average, which was not asked for"):
        train(tmp_path, plan=replace(PLAN, ema=None), resume=True)


def test_an_average_that_the_checkpoint_lacks_is_refused(tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(tmp_path, plan=PLAIN, watch=stop_after(7))
    with pytest.raises(DamagedFileError, match="resume with the settings"):
        train(tmp_path, plan=PLAN, resume=True)


def test_what_cannot_be_trained_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="validation gives loss, not auroc: watch one of these"):
        train(tmp_path, plan=replace(PLAN, watched="auroc"))
    with pytest.raises(UsageError, match="nothing is left to train: every parameter is frozen"):
        train(tmp_path, toy().requires_grad_(False))
    with pytest.raises(UsageError, match="the feed has no batch"):
        train(tmp_path, feed=Feed(0))
