"""The training loop beside a bare one of PyTorch, and the share of its time in which the net waits for batches.

    python benchmarks/fit.py [--json OUT] [--repeats N]

The bare loop has the same net, batches, loss, optimiser, rate and clipped gradient, and nothing else: no log, no check
of losses and gradients, no seed a step, no checkpoint. `fit` writes its log and one checkpoint within the time. Both
are given the same random batches, from memory, and run in turns; before anything is timed their weights are compared.
Waiting is measured on simulated ECGs read from a cohort's shards: in the first epoch each is filtered and z-scored
while the net works, in later ones it is in memory.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from cardioloom.api import begin_training, build_simulated
from cardioloom.nn.conv import Net1D
from cardioloom.objectives.supervised import binary_cross_entropy
from cardioloom.recipes.ecgfounder_settings import PRESETS
from cardioloom.recipes.feed import Batch
from cardioloom.recipes.loop import fit
from cardioloom.recipes.place import Place
from cardioloom.recipes.plan import Plan
from rows import parser, show

LABELS, PATIENTS = 15, 320
LEAST = "a linear layer"
STEPS = {LEAST: 400, "tiny": 24, "small": 10}
GOAL_OVERHEAD, GOAL_WAITED = 1.03, 0.05


class InMemory:
    """A feed of batches that are there already."""

    def __init__(self, batches: list[Batch]):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Batch]:  # noqa: ARG002 (every epoch is the same)
        return iter(self.batches[start:])


class Least(nn.Module):
    """Next to nothing to compute, so that what a loop costs beside it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(12, LABELS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, lead, time) → logits (batch, label), features (batch, lead)."""
        features = x.mean(-1)
        return self.dense(features), features


def net_of(preset: str) -> nn.Module:
    """The same net at each call."""
    torch.manual_seed(0)
    if preset == LEAST:
        return Least()
    return Net1D(in_channels=12, n_classes=LABELS, **PRESETS[preset].net)


def batches_of(preset: str) -> list[Batch]:
    """As many as there are steps."""
    torch.manual_seed(1)
    size, samples = (PRESETS[preset].batch, 5000) if preset in PRESETS else (16, 8)
    made = []
    for _ in range(STEPS[preset]):
        y = (torch.rand(size, LABELS) < 0.2).float()
        made.append(Batch(torch.randn(size, 12, samples), y, tuple(map(str, range(size)))))
    return made


def step(net: nn.Module, batch: Batch) -> Tensor:
    """A supervised loss."""
    return binary_cross_entropy(net(batch.x)[0], batch.y, 1.5)


def bare(net: nn.Module, batches: list[Batch], plan: Plan) -> None:
    """What a tutorial would write."""
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=plan.weight_decay)
    net.train()
    assert plan.clip is not None
    for number, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = plan.rate(number)
        loss = step(net, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), plan.clip)
        optimizer.step()
        optimizer.zero_grad()


def ours(net: nn.Module, batches: list[Batch], plan: Plan, run: Path) -> None:
    """The loop of every recipe."""
    fit(Fabric(accelerator="cpu", devices=1), net, step, InMemory(batches), plan, Place(run, "bench"))


def overhead(preset: str, repeats: int) -> dict[str, object]:
    """Seconds a step of both, in turns, and the ratio of their medians."""
    batches = batches_of(preset)
    plan = Plan(steps=len(batches), lr=1e-3, save_every=len(batches))
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    work: dict[str, list[float]] = {"bare": [], "ours": []}  # of the processor, whatever else it does
    gap = 0.0
    for repeat in range(repeats + 1):  # the first is not counted
        nets = {"bare": net_of(preset), "ours": net_of(preset)}
        with tempfile.TemporaryDirectory() as folder:
            for name in ("bare", "ours") if repeat % 2 else ("ours", "bare"):
                start, begun = time.perf_counter(), time.process_time()
                if name == "bare":
                    bare(nets[name], batches, plan)
                else:
                    ours(nets[name], batches, plan, Path(folder))
                times[name].append((time.perf_counter() - start) / plan.steps)
                work[name].append((time.process_time() - begun) / plan.steps)
        pairs = zip(nets["bare"].parameters(), nets["ours"].parameters(), strict=True)
        gap = max(gap, *(float((left - right).detach().abs().max()) for left, right in pairs))
    cpu = {name: statistics.median(found[1:]) for name, found in work.items()}
    medians = {name: statistics.median(found[1:]) for name, found in times.items()}
    return {
        "bench": "fit",
        "case": f"Net1D {preset}, batch {PRESETS[preset].batch}" if preset in PRESETS else preset,
        "steps": plan.steps,
        "bare_ms_a_step": 1000 * medians["bare"],
        "fit_ms_a_step": 1000 * medians["ours"],
        "ratio": medians["ours"] / medians["bare"],
        "ratio_of_processor_time": cpu["ours"] / cpu["bare"],
        "more_processor_ms_a_step": 1000 * (cpu["ours"] - cpu["bare"]),
        "goal": GOAL_OVERHEAD if preset in PRESETS else None,
        "largest_difference_of_weights": gap,
    }


def waiting(preset: str, cohort: Path) -> list[dict[str, object]]:
    """Share of the time spent waiting, in the first epoch and in the second."""
    lines: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        options = {"preset": preset, "epochs": 2, "accelerator": "cpu", "targets": "male:sex=M"}
        begin_training(
            "ecgfounder", cohort, Path(folder) / "run", watch=lambda line: lines.append(dict(line)), **options
        )
    steps = [line for line in lines if "loss" in line]
    last = [line for line in steps if line["epoch"] == 0][-1]
    spent = [(last["seconds"], last["waited"] * last["seconds"])]
    spent.append((steps[-1]["seconds"] - spent[0][0], steps[-1]["waited"] * steps[-1]["seconds"] - spent[0][1]))
    return [
        {
            "bench": "fit",
            "case": f"waiting for ECGs, Net1D {preset}, epoch {epoch}",
            "steps": sum(line["epoch"] == epoch - 1 for line in steps),
            "fit_ms_a_step": 1000 * seconds / sum(line["epoch"] == epoch - 1 for line in steps),
            "share_of_waiting": waited / seconds,
            "goal": GOAL_WAITED,
        }
        for epoch, (seconds, waited) in enumerate(spent, 1)
    ]


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=9)
    arguments = options.parse_args()
    rows = [overhead(preset, arguments.repeats) for preset in STEPS]
    with tempfile.TemporaryDirectory() as folder:
        cohort = Path(folder) / "cohort"
        build_simulated(cohort, patients=PATIENTS, seed=1, only="ecg,labels", population="hospital")
        waiting("tiny", cohort)  # compiles the filters and is not counted
        rows += [row for preset in STEPS if preset in PRESETS for row in waiting(preset, cohort)]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
