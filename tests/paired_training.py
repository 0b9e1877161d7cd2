"""Stages of PTACL with views that do not depend on chance, so that several processes can be compared with one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from cardioloom.nn.transformer import PatchEncoder
from cardioloom.recipes import ptacl_stages
from cardioloom.recipes.loop import fit
from cardioloom.recipes.pairs import CINE, PairFeed, Pairs, feed_of
from cardioloom.recipes.place import Place, read_log
from cardioloom.recipes.plan import Plan
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.recipes.ptacl_sizes import PRESETS
from cardioloom.recipes.ptacl_stages import Stage, encoder_config
from cardioloom.recipes.ptacl_views import SAMPLES, frames
from cardioloom.store import Folder
from toy_training import fabric_of_rank

JOINED = 8  # studies in a batch, of all processes together
KINDS = ("masked", "simclr", "ptacl", "cosine", "cmae")


class Views:
    """The first crop and 26 frames at equal phases, whoever asks."""

    def __init__(self, augment: str):
        del augment

    def ecg(self, batch: Pairs) -> tuple[Tensor, Tensor]:
        return batch.ecg[..., :SAMPLES], batch.peaks

    def cine(self, batch: Pairs) -> Tensor:
        return frames(batch.cine)


def stage_of(kind: str) -> Stage:
    """A stage of the tiny preset; every row of a batch has the same mask."""

    def rand(n: int, n_tokens: int, **options: Any) -> Tensor:
        return (torch.arange(n_tokens) * 7 % n_tokens / n_tokens).expand(n, -1)

    asked = Settings(method="mae" if kind == "masked" else kind, preset="tiny")
    before = ptacl_stages.Views, ptacl_stages.torch
    ptacl_stages.Views = Views  # type: ignore[misc,assignment]
    ptacl_stages.torch = SimpleNamespace(**vars(torch) | {"rand": rand})  # type: ignore[assignment]
    try:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            encoders = [PatchEncoder(encoder_config(asked, name)) for name in ("ecg", "cine")]
            if kind in ("masked", "simclr"):
                encoder = encoders[0]
                made = (
                    ptacl_stages.simclr(asked, "ecg", encoder)
                    if kind == "simclr"
                    else ptacl_stages.masked("ecg", encoder)
                )
            else:
                made = (ptacl_stages.crossed if kind == "cmae" else ptacl_stages.pairs)(asked, *encoders)
    finally:
        ptacl_stages.Views = before[0]  # type: ignore[misc]
    step = made.step

    def fixed(net: Any, batch: Pairs) -> Tensor:
        with_own = ptacl_stages.torch
        ptacl_stages.torch = SimpleNamespace(**vars(torch) | {"rand": rand})  # type: ignore[assignment]
        try:
            return step(net, batch)
        finally:
            ptacl_stages.torch = with_own

    ptacl_stages.torch = before[1]
    return Stage(made.net, fixed, made.modalities)


def feed_at(cohort: Folder, rank: int = 0, ranks: int = 1) -> PairFeed:
    """Pairs of the training split, a rank's share of each batch."""
    truth = np.zeros((len(cohort.columns["study_id"]), 1))
    options = {"rank": rank, "ranks": ranks, "pixels": PRESETS["tiny"].cine.size[-1]}
    return feed_of(cohort, ("ecg", CINE), truth, split="train", batch=JOINED // ranks, **options)


def double(batch: Pairs) -> Pairs:
    """In float64, in which sums in another order differ by nothing that matters."""
    return Pairs(batch.ecg.double(), batch.peaks, batch.cine.double(), batch.y, batch.names)


def gradient(net: Any, stage: Stage, batch: Pairs) -> dict[str, Any]:
    """Loss and gradients of one batch."""
    loss = stage.step(net, double(batch))
    loss.backward()
    return {"loss": loss.detach(), "gradients": [p.grad for p in net.parameters() if p.requires_grad]}


def trained(fabric: Fabric, feed: PairFeed, run: Path) -> list[dict[str, Any]]:
    """The log of two epochs of PTACL's pairs."""
    made, lines = stage_of("ptacl"), []
    plan = Plan(steps=2 * len(feed), lr=1e-3, weight_decay=0.05, validate_every=len(feed), save_every=len(feed))
    fit(fabric, made.net, made.step, feed, plan, Place(run, "pairs"), watch=lines.append)
    return lines


def work_of_rank(rank: int, ranks: int, folder: str, cohort: str) -> None:
    """What one of several processes does; results in a file."""
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    feed = feed_at(Folder.at(cohort), rank, ranks)
    batch, found = next(iter(feed(0))), {}
    for kind in KINDS:
        made = stage_of(kind)
        found[kind] = gradient(DistributedDataParallel(made.net.double()), made, batch)
    found["lines"] = trained(fabric_of_rank(rank, ranks), feed, Path(folder) / "run")
    found["peaks"] = int(batch.peaks.isnan().all(1).sum())
    torch.save(found, f"{folder}/rank{rank}.pt")
    torch.distributed.barrier()  # none leaves while another still talks to it
    torch.distributed.destroy_process_group()


def log_of(run: Path) -> list[float]:
    """Losses of a run."""
    return [line["loss"] for line in read_log(run)]
