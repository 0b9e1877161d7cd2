"""Weights and inputs in closed form: an integer hash of (tensor, element), as the goldens' recipe describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cardioloom.models import nets

BETWEEN_ELEMENTS, BETWEEN_TENSORS = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03
MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def uniform(key: int, n: int) -> np.ndarray:
    """(n,) numbers in [0, 1) of the tensor with this key."""
    with np.errstate(over="ignore"):
        z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(BETWEEN_ELEMENTS)
        z += np.uint64(key * BETWEEN_TENSORS % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX[0])
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX[1])
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / 2**53


def tensor(name: str, shape: Sequence[int], key: int, gain: float) -> Tensor:
    """One entry of a state."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(100)
    n = int(np.prod(shape))
    u = uniform(key, n)
    s = 2 * u - 1
    if name.endswith("running_var"):
        values = 0.5 + u
    elif name.endswith(("running_mean", ".bias")):
        values = 0.1 * s
    elif "bn" in name:
        values = 1 + 0.2 * s
    else:
        values = gain * np.sqrt(3 / (n / shape[0])) * s
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def state(shapes: Mapping[str, Sequence[int]], *, key_offset: int = 0, gain: float = 1.0) -> dict[str, Tensor]:
    """A whole state; the key of a tensor is its place in the state plus an offset."""
    return {name: tensor(name, shape, i + key_offset, gain) for i, (name, shape) in enumerate(shapes.items())}


def state_for(net: str, config: Mapping[str, Any], **options: Any) -> dict[str, Tensor]:
    """A state for a net of any size."""
    return state({name: tuple(t.shape) for name, t in nets.skeleton(net, config).state_dict().items()}, **options)


def full_size(shared: Path, leads: int) -> tuple[dict[str, Tensor], np.ndarray, dict[str, np.ndarray]]:
    """State, inputs (2, lead, 5000) and golden outputs of the full-size net; the state is checked against its sums."""
    folder = shared / "golden" / "ecgfounder"
    listed = json.loads((folder / f"net1d_{leads}lead_keys.json").read_text())["keys"]
    said = json.loads((folder / f"full_{leads}lead_recipe_open.json").read_text())
    made = state({key["name"]: key["shape"] for key in listed}, key_offset=said["key_offset"], gain=said["gain"])
    for name, (total, absolute, first, last) in said["weight_checks_sum_abssum_first_last"].items():
        values = made[name].double().flatten()
        found = [values.sum(), values.abs().sum(), values[0], values[-1]]
        np.testing.assert_allclose(found, [total, absolute, first, last], rtol=1e-6, atol=1e-6)
    shape = said["input"]["shape"]
    u = uniform(said["input"]["input_key_index"], int(np.prod(shape)))
    with np.load(folder / f"full_{leads}lead_recipe_open.npz") as file:
        golden = dict(file)
    inputs = (np.sqrt(3) * (2 * u - 1)).astype(np.float32).reshape(shape)
    np.testing.assert_array_equal(inputs[:, :, :16], golden["input_head"])
    return made, inputs, golden


def tolerance(shared: Path, name: str) -> float:
    """The golden's own absolute tolerance in float32."""
    entries = json.loads((shared / "golden" / "manifest.json").read_text())
    words = next(entry["tolerance"] for entry in entries if entry["file"] == f"ecgfounder/{name}")
    return float(words.split()[1])
