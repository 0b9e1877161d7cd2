"""A model of a few thousand parameters, for tests in which the size of the net is not the point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cardioloom.models import adding, nets
from cardioloom.models.cards import Card
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.models.task import Output, Task
from cardioloom.prepare import Preparation
from cardioloom.records import STANDARD_LEADS

CONFIG = {
    "base_filters": 8,
    "ratio": 1,
    "filter_list": [8, 16],
    "m_blocks_list": [1, 1],
    "kernel_size": 16,
    "stride": 2,
    "groups_width": 4,
    "n_classes": 3,
}
N_FEATURES = 16


def contract(name: str = "small", leads: tuple[str, ...] = STANDARD_LEADS) -> Contract:
    """Two seconds at 100 Hz, no steps, three outputs."""
    preparation = Preparation("small", leads, "mV", 100.0, 2.0, (), shortest_seconds=1.0)
    task = Task("multi_label", tuple(Output(code, code.upper(), "rhythm") for code in ("one", "two", "three")))
    card = Card("Small", "made for a test", "none", "none", "numbers without a patient", "tests")
    return Contract(name, "Net1D", {"in_channels": len(leads), **CONFIG}, preparation, task, card)


def state(made: Contract, seed: int = 0) -> dict[str, Any]:
    """Weights that a seed gives."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return dict(nets.NETS[made.net](made.config).state_dict())


def model_folder(folder: Path, made: Contract | None = None, seed: int = 0) -> Path:
    """A model folder with such weights."""
    from safetensors.torch import save_file

    made = made or contract()
    folder.mkdir(parents=True)
    weights = folder.with_name(folder.name + "-" + WEIGHTS)
    save_file(state(made, seed), weights)
    adding.build(made, weights, folder)
    return folder
