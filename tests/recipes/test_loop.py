"""The training loop: equal to a bare loop, resumable at any step to the bit, honest about what goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import toy_training as toys
from cardioloom.recipes.average import Average
from cardioloom.recipes.loop import fit
from cardioloom.recipes.place import METRICS, Place, read_log
from cardioloom.recipes.plan import Plan
from toy_training import (
    PLAN,
    Batch,
    Feed,
    checkpoint,
    equal_to_the_whole,
    killed_after,
    log_of,
    same,
    stop_after,
    toy,
    train,
)

PLAIN = replace(PLAN, ema=None, clip=None)


@pytest.mark.parametrize("step", range(1, PLAN.steps + 1))
def test_a_resumed_run_is_equal_to_the_bit(step: int, whole, tmp_path: Path):
    with pytest.raises(InterruptedError):
        train(tmp_path, watch=stop_after(step))
    torch.manual_seed(step)  # the state of the machine's own random numbers does not matter
    net = toy(seed=step) if step > PLAN.save_every else toy()  # nor do the net's weights, once a checkpoint holds them
    assert train(tmp_path, net, resume=True).steps == PLAN.steps
    equal_to_the_whole(tmp_path, net, whole)


def test_a_run_interrupted_twice_is_equal_to_the_bit(whole, tmp_path: Path):
    for step in (5, 10):
        with pytest.raises(InterruptedError):
            train(tmp_path, watch=stop_after(step), resume=True)
    net = toy()
    train(tmp_path, net, resume=True)
    equal_to_the_whole(tmp_path, net, whole)


def test_a_run_resumed_with_accumulation_is_equal_to_the_bit(tmp_path: Path):
    plan = replace(PLAN, accumulate=3)
    left, right = toy(), toy()
    train(tmp_path / "left", left, plan)
    with pytest.raises(InterruptedError):
        train(tmp_path / "right", toy(), plan, watch=stop_after(8))
    train(tmp_path / "right", right, plan, resume=True)
    assert same(dict(left.state_dict()), dict(right.state_dict()))
    assert log_of(tmp_path / "left") == log_of(tmp_path / "right")


def test_a_finished_run_is_resumed_without_a_step(whole, tmp_path: Path):
    train(tmp_path)
    net, lines = toy(seed=3), []
    fitted = train(tmp_path, net, resume=True, watch=lines.append)
    assert (lines, fitted.steps) == ([], PLAN.steps)
    equal_to_the_whole(tmp_path, net, whole)


def test_a_killed_run_goes_on(whole, tmp_path: Path):
    """kill -9 in the middle of a training in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(toys.__file__).parent)}
    process = subprocess.Popen([sys.executable, "-m", "toy_training", str(tmp_path)], env=environment)
    killed_after(process, tmp_path / METRICS, 8)
    assert checkpoint(tmp_path)["done"] < PLAN.steps
    net = toy()
    train(tmp_path, net, resume=True)
    equal_to_the_whole(tmp_path, net, whole)


def bare_loop(plan: Plan) -> tuple[nn.Module, list[float]]:
    """What a reader expects `fit` to do, without any of its parts; the weights after the last step, and all losses."""
    net, losses, batches = toy(0.0, norm=False), [], []
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=plan.weight_decay)
    while len(batches) < plan.steps * plan.accumulate:
        batches += Feed()(len(batches) // 5)
    for done in range(plan.steps):
        optimizer.zero_grad()
        rising = round(plan.warmup * plan.steps)
        share = (done - rising) / (plan.steps - rising)
        rate = (done + 1) / rising if done < rising else plan.last_lr + (1 - plan.last_lr) * (1 + cos(pi * share)) / 2
        optimizer.param_groups[0]["lr"] = plan.lr * rate
        parts = batches[done * plan.accumulate : (done + 1) * plan.accumulate]
        each = [toys.step(net, part) / plan.accumulate for part in parts]
        loss = torch.stack(each).sum()
        loss.backward()
        losses.append(loss.item())
        if plan.clip is not None:
            norm = sum(float(p.grad.double().square().sum()) for p in net.parameters()) ** 0.5
            for p in net.parameters():
                p.grad *= min(1.0, plan.clip / norm)
        optimizer.step()
    return net, losses


@pytest.mark.parametrize(
    "plan",
    [
        PLAIN,
        replace(PLAIN, clip=0.05),
        replace(PLAIN, accumulate=3),
        replace(PLAIN, warmup=0.5, last_lr=0.2, weight_decay=0.5),
    ],
    ids=["plain", "clipped", "accumulated", "warm-up and decay"],
)
def test_it_does_what_a_bare_loop_does(plan: Plan, tmp_path: Path):
    net, (slow, losses) = toy(0.0, norm=False), bare_loop(plan)
    train(tmp_path, net, plan, validate=None)
    for name, value in slow.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-4, atol=1e-6)
    assert [line["loss"] for line in read_log(tmp_path)] == pytest.approx(losses, rel=1e-4)
    assert [line["epoch"] for line in read_log(tmp_path)] == [
        ((n + 1) * plan.accumulate - 1) // 5 for n in range(plan.steps)
    ]


def test_two_batches_in_a_step_are_one_of_double_size(tmp_path: Path):
    known = {"change": lambda epoch, number, given: replace(given, y=given.y.nan_to_num(0.0))}

    class Doubled(Feed):
        def __call__(self, epoch: int, start: int = 0) -> Iterator[Batch]:
            given = list(super().__call__(epoch))
            for left, right in list(zip(given[::2], given[1::2], strict=True))[start:]:
                yield Batch(torch.cat([left.x, right.x]), torch.cat([left.y, right.y]), left.names + right.names)

        def __len__(self) -> int:
            return self.batches // 2

    one, two = toy(0.0, norm=False), toy(0.0, norm=False)
    train(tmp_path / "one", one, replace(PLAN, accumulate=2), Feed(6, **known))
    train(tmp_path / "two", two, PLAN, Doubled(6, **known))
    for left, right in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_logged_before_it_is_clipped(tmp_path: Path):
    train(tmp_path, toy(0.0), replace(PLAIN, clip=1e-3), validate=None)
    assert min(line["gradient"] for line in read_log(tmp_path)) > 1e-3


def test_layers_have_rates_of_their_own(tmp_path: Path):
    """In the first step of Adam a weight moves by its rate, whatever the gradient."""
    net = toy(0.0)
    before = [p.detach().clone() for p in net.parameters()]
    groups = [
        {"params": [*net[4].parameters()], "lr_scale": 1.0},
        {"params": [*net[1].parameters()], "lr_scale": 0.1},
        {"params": [*net[0].parameters()], "lr_scale": 0.0},
    ]
    plan = replace(PLAIN, steps=1, warmup=0.0, weight_decay=0.0)
    train(tmp_path, net, plan, validate=None, groups=groups)
    moved = [(p.detach() - old).abs().max() / plan.lr for p, old in zip(net.parameters(), before, strict=True)]
    assert torch.stack(moved).tolist() == pytest.approx([0, 0, 0.1, 0.1, 1, 1], abs=1e-2)


def test_the_average_equals_a_slow_one(tmp_path: Path):
    net, seen = toy(), []
    plan = replace(PLAN, ema=0.8)
    slow = {name: value.detach().double().clone() for name, value in net.state_dict().items()}
    watch = lambda line: seen.append({n: v.double().clone() for n, v in net.state_dict().items()})  # noqa: E731
    train(tmp_path, net, plan, validate=None, watch=watch)
    for n, weights in enumerate(seen):
        decay = min(0.8, (1 + n) / (10 + n))
        slow = {name: decay * slow[name] + (1 - decay) * value for name, value in weights.items()}
    for name, value in net.state_dict().items():  # without validation the average is what is left
        wanted = seen[-1][name] if "num_batches" in name else slow[name]
        torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-7)


def test_the_average_is_validated_and_the_net_gets_its_own_weights_back(tmp_path: Path):
    net, validated, average = toy(0.0), [], toy(0.0)
    averaging = Average(average, 0.9)

    def watch(line: Mapping[str, Any]) -> None:
        if "loss" in line:
            averaging.update(net)
        else:
            averaging.into(average)
            assert same(validated[-1], dict(average.state_dict()))
            assert not same(validated[-1], dict(net.state_dict()))

    def look(module: nn.Module) -> Mapping[str, float]:
        assert not module.training
        assert not torch.is_grad_enabled()
        validated.append({name: value.clone() for name, value in net.state_dict().items()})
        return {"loss": 1.0}

    train(tmp_path, net, validate=look, watch=watch)
    assert len(validated) == 4  # after steps 4, 8, 12 and 14, the last


def test_the_best_validation_is_what_is_left(tmp_path: Path):
    net, seen, values = toy(), [], iter([0.5, 0.7, 0.6, 0.4, 0.69, 0.7, 0.1])

    def look(module: nn.Module) -> Mapping[str, float]:
        seen.append({name: value.clone() for name, value in module.state_dict().items()})
        return {"auroc": next(values), "loss": 1.0}

    plan = replace(PLAIN, validate_every=2, watched="auroc", direction="max")
    fitted = train(tmp_path, net, plan, validate=look)
    assert (fitted.best, fitted.best_step, fitted.steps, fitted.stopped_early) == (0.7, 4, 14, False)
    assert same(dict(net.state_dict()), {name.removeprefix("_forward_module."): v for name, v in seen[1].items()})
    assert [line["step"] for line in read_log(tmp_path) if line.get("best")] == [2, 4]


@pytest.mark.parametrize("stop", [None, 5])
def test_patience_stops_early(stop: int | None, tmp_path: Path):
    plan = replace(PLAIN, validate_every=2, patience=2)

    def look(_: nn.Module) -> Mapping[str, float]:
        return {"loss": {2: 3.0, 4: 2.0, 6: 2.5, 8: 2.0}[read_log(tmp_path)[-1]["step"]]}

    if stop:
        with pytest.raises(InterruptedError):
            train(tmp_path, toy(), plan, validate=look, watch=stop_after(stop))
    fitted = train(tmp_path, toy(), plan, validate=look, resume=True)
    assert (fitted.steps, fitted.best, fitted.best_step, fitted.stopped_early) == (8, 2.0, 4, True)
    assert checkpoint(tmp_path)["done"] == 8
    assert train(tmp_path, toy(), plan, resume=True, validate=look).stopped_early  # and it does not go on


def test_validations_that_are_not_finite_are_never_best(tmp_path: Path):
    values = iter([float("nan"), float("inf"), float("nan"), float("nan")])
    net, last = toy(), []
    watch = lambda line: last.append({n: v.clone() for n, v in net.state_dict().items()})  # noqa: E731
    plan = replace(PLAIN, direction="max")
    fitted = train(tmp_path, net, plan, validate=lambda _: {"loss": next(values)}, watch=watch)
    said = [line["validation"]["loss"] for line in read_log(tmp_path) if "validation" in line]
    assert said == [None] * 4
    assert fitted.best is None
    assert same(dict(net.state_dict()), last[-1])


def test_frozen_parameters_stay(tmp_path: Path):
    net = toy()
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    train(tmp_path, net)
    assert torch.equal(net[0].weight, before)


def test_seeds_differ(whole, tmp_path: Path):
    net = toy()
    train(tmp_path, net, seed=1)  # the draws of dropout are others
    assert not same(dict(net.state_dict()), dict(whole[1]))


def test_in_bf16_the_weights_stay_float32(tmp_path: Path):
    net = toy(0.0, norm=False)
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    fit(fabric, net, toys.step, Feed(), PLAN, Place(tmp_path, "toy"), validate=toys.validate)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    losses = [line["loss"] for line in read_log(tmp_path) if "loss" in line]
    assert losses == pytest.approx(bare_loop(replace(PLAN, clip=1.0))[1], rel=0.05)


def test_a_long_training_keeps_nothing_a_step(tmp_path: Path):
    """`torch.manual_seed` keeps a call with its traceback for each kind of card that is not there."""
    cards = (torch.cuda, torch.xpu, torch.mtia)
    net, before = toy(), [len(card._queued_calls) for card in cards]
    train(tmp_path, net)
    assert [len(card._queued_calls) for card in cards] == before
