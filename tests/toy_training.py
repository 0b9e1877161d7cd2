"""A net of a hundred parameters and batches that follow from their number, for the tests of the training loop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from cardioloom.objectives.gather import gathered
from cardioloom.objectives.supervised import binary_cross_entropy
from cardioloom.recipes.loop import Fitted, fit
from cardioloom.recipes.place import Place, read_log
from cardioloom.recipes.plan import Plan

N_IN, N_OUT, ROWS = 6, 2, 8
PLAN = Plan(steps=14, lr=0.02, ema=0.9, validate_every=4, save_every=3)


@dataclass(frozen=True)
class Batch:
    """Numbers with targets, some of them unknown."""

    x: Tensor
    y: Tensor
    names: tuple[str, ...]


def batch(epoch: int, number: int, rows: slice = slice(None)) -> Batch:
    """The batch of a place in an epoch, or some of its rows."""
    random = torch.Generator().manual_seed(1000 * epoch + number)
    x = torch.randn(ROWS, N_IN, generator=random)
    y = (x[:, :N_OUT] + torch.randn(ROWS, N_OUT, generator=random) > 0).float()
    y[torch.rand(ROWS, N_OUT, generator=random) < 0.3] = torch.nan
    names = tuple(f"s{epoch}-{number}-{row}" for row in range(ROWS))
    return Batch(x[rows], y[rows], names[rows])


class Feed:
    """Epochs of such batches.

    Args:
        batches: in an epoch.
        change: what is done to the batch of an epoch and a number.
        rows: of each batch.
    """

    def __init__(
        self,
        batches: int = 5,
        change: Callable[[int, int, Batch], Batch] = lambda epoch, number, given: given,
        rows: slice = slice(None),
    ):
        self.batches, self.change, self.rows = batches, change, rows

    def __len__(self) -> int:
        return self.batches

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        for number in range(start, self.batches):
            yield self.change(epoch, number, batch(epoch, number, self.rows))


def toy(dropout: float = 0.2, norm: bool = True, seed: int = 0) -> nn.Sequential:
    """A net whose training needs random numbers, and which has buffers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = [nn.Linear(N_IN, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Dropout(dropout)]
        return nn.Sequential(*parts, nn.Linear(8, N_OUT))


def step(net: nn.Module, given: Batch) -> Tensor:
    """A supervised loss."""
    return binary_cross_entropy(net(given.x), given.y)


def validate(net: nn.Module) -> Mapping[str, float]:
    """The loss on a batch that is not trained on."""
    given = batch(999, 0)
    return {"loss": float(binary_cross_entropy(net(given.x), given.y, alone=True))}


def train(
    run: Path, net: nn.Module | None = None, plan: Plan = PLAN, feed: Feed | None = None, **options: Any
) -> Fitted:
    """`fit` on one processor, with validation."""
    fabric = Fabric(accelerator="cpu", devices=1)
    options = {"validate": validate, "step": step} | options
    own = options.pop("step")
    return fit(
        fabric, toy() if net is None else net, own, Feed() if feed is None else feed, plan, Place(run, "toy"), **options
    )


def log_of(run: Path) -> list[dict[str, Any]]:
    """The log without what a clock says."""
    return [{key: line[key] for key in line if key not in ("seconds", "waited")} for line in read_log(run)]


def checkpoint(run: Path, name: str = "last") -> dict[str, Any]:
    """What a checkpoint holds."""
    return torch.load(run / "checkpoints" / "toy" / f"{name}.ckpt", weights_only=True)


def same(left: Any, right: Any) -> bool:
    """Whether two nests of tensors are equal to the bit."""
    if isinstance(left, Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def stop_after(step: int) -> Any:
    """A watch that interrupts the training when a step is done."""

    def watch(line: Mapping[str, Any]) -> None:
        if line["step"] == step and "loss" in line:
            raise InterruptedError

    return watch


def killed_after(process: subprocess.Popen[bytes], log: Path, n: int) -> None:
    """kill -9 as soon as the log of a training has n lines."""
    try:
        limit = time.monotonic() + 120
        while not log.exists() or len(log.read_text().splitlines()) < n:
            assert time.monotonic() < limit
            assert process.poll() is None, "the training ended before it could be killed"
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL


def equal_to_the_whole(run: Path, net: nn.Module, whole: tuple[Path, dict[str, Tensor]]) -> None:
    assert same(dict(net.state_dict()), dict(whole[1]))
    assert same(checkpoint(run), checkpoint(whole[0]))
    assert same(checkpoint(run, "best"), checkpoint(whole[0], "best"))
    assert log_of(run) == log_of(whole[0])


def contrast(net: nn.Module, x: Tensor) -> Tensor:
    """InfoNCE of two halves of each row, over all rows of all ranks."""
    left, right = (F.normalize(gathered(net(part)), dim=-1) for part in x.chunk(2, dim=-1))
    logits = left @ right.T / 0.2
    return F.cross_entropy(logits, torch.arange(len(logits)))


def pair_net() -> nn.Module:
    """For `contrast`, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def rank_rows(rank: int, ranks: int) -> slice:
    """The rows of a batch that a rank has."""
    return slice(rank, None, ranks)


def work_of_rank(rank: int, ranks: int, folder: str) -> None:
    """What one of several processes does: gathered and masked losses under DDP, then a training; results in a file."""
    from torch.nn.parallel import DistributedDataParallel

    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found: dict[str, Any] = {}
    given = batch(0, 0, rank_rows(rank, ranks))
    net = DistributedDataParallel(pair_net())
    loss = contrast(net, given.x.double())
    loss.backward()
    found["contrast"] = (loss.detach(), [p.grad for p in net.parameters()])
    net = DistributedDataParallel(toy(0.0, norm=False).double())
    loss = binary_cross_entropy(net(given.x.double()), given.y.double(), 1.5)
    loss.backward()
    found["masked"] = (loss.detach(), [p.grad for p in net.parameters()], int((~given.y.isnan()).sum()))
    found["fit"] = _fit_of_rank(rank, ranks, Path(folder))
    torch.save(found, f"{folder}/rank{rank}.pt")
    torch.distributed.barrier()  # none leaves while another still talks to it
    torch.distributed.destroy_process_group()


def fabric_of_rank(rank: int, ranks: int) -> Fabric:
    """For one of several processes that have met already, as if torchrun had begun them."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "GROUP_RANK": "0"}
    os.environ |= {"TORCHELASTIC_RUN_ID": "toy", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    fabric = Fabric(accelerator="cpu", devices=ranks, strategy="ddp")
    fabric.launch()
    return fabric


def _fit_of_rank(rank: int, ranks: int, folder: Path) -> Any:
    fabric = fabric_of_rank(rank, ranks)
    net, lines = toy(0.0, norm=False), []
    feed = Feed(rows=rank_rows(rank, ranks))
    options = {"validate": validate, "watch": lines.append}
    fit(fabric, net, step, feed, plan_of_ranks(), Place(folder / "run", "toy"), **options)
    return net.state_dict(), lines


def plan_of_ranks() -> Plan:
    """Of the training that several processes do together."""
    return replace(PLAN, accumulate=2, ema=0.9)


if __name__ == "__main__":  # a training that waits a little after each step, so that it can be killed
    train(Path(sys.argv[1]), watch=lambda line: time.sleep(0.05))
