"""What tests of losses over pairs share: a slow cosine, and what each of two processes does.

A module of its own, so that it can be spawned.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.objectives.contrastive import info_nce, nt_xent
from cardioloom.objectives.local import local_loss
from cardioloom.objectives.masked import masked_squared_error

ROWS, PHASES, WIDTH = 8, 5, 3
LOSSES = ("info_nce", "nt_xent", "local", "masked")


def net() -> nn.Module:
    """The same weights wherever it is called."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Linear(8, WIDTH)).double()


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """(row, phase, width) of two views, and a mask (row, phase) with another count in each half of the rows."""
    random = torch.Generator().manual_seed(6)
    views = torch.randn(2, ROWS, PHASES, WIDTH, generator=random, dtype=torch.float64)
    return views[0], views[1], torch.rand(ROWS, PHASES, generator=random) < torch.linspace(0.1, 0.9, ROWS)[:, None]


def cosine(a: list[float], b: list[float]) -> float:
    """By the definition, in plain Python."""
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def loss(name: str, model: nn.Module, rows: slice) -> Tensor:
    """One of `LOSSES` on some rows; the right view does not go through the model."""
    left, right, mask = (x[rows] for x in inputs())
    out = model(left)
    if name == "info_nce":
        return info_nce(out.mean(1), right.mean(1), 0.2, 0.7)
    if name == "nt_xent":
        return nt_xent(out.mean(1), F.normalize(right.mean(1), dim=-1), 0.2)
    if name == "local":
        return local_loss(out, right, 0.5, 0.2, 0.3, usable=mask[:, 0])
    return masked_squared_error(out, right, mask)


def work_of_rank(rank: int, ranks: int, folder: str) -> None:
    """Value and averaged gradients of each loss on the rank's own rows, in a file."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found, own = {}, slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    for name in LOSSES:
        model = net()
        value = loss(name, model, own)
        gradients = torch.autograd.grad(value, list(model.parameters()))
        for gradient in gradients:  # as data-parallel training averages
            torch.distributed.all_reduce(gradient)
        found[name] = (value.detach(), [gradient / ranks for gradient in gradients])
    torch.save(found, f"{folder}/rank{rank}.pt")
    torch.distributed.barrier()  # none leaves while another still talks to it
    torch.distributed.destroy_process_group()
