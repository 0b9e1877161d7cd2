"""Augmenting a batch of ECGs: batched, beside a loop that augments record by record.

    python benchmarks/augment.py [--json OUT] [--repeats N]

The peer restates the published code: one record at a time, the surrogate by a full transform in float64, resizing by
numpy.interp lead by lead. Before anything is timed both are given the same draws and compared. Timed are draws and
augmentation together, interleaved, medians, on one thread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from cardioloom.nn.augment import EcgAugmentation
from rows import in_turns, parser, show

BATCH, LEADS, SAMPLES = 64, 12, 2500
Numpy = np.random.Generator


def surrogate(x: Tensor, phases: np.ndarray) -> Tensor:
    """One record (lead, time) turned by phases (n,), which the upper half of the transform mirrors."""
    spectrum = torch.fft.fft(x.double(), dim=-1)
    middle = np.zeros((x.shape[-1] + 1) % 2)
    turn = torch.from_numpy(np.exp(1j * np.concatenate(([0.0], phases, middle, -phases[::-1]))))
    return torch.fft.ifft(spectrum * torch.tile(turn, (len(x), 1)), dim=-1).real.float()


def crop_resize(x: Tensor, start: int, length: int) -> Tensor:
    """A part of one record stretched to its length, lead by lead."""
    out = torch.zeros_like(x)
    for lead in range(len(x)):
        at = np.linspace(0, length, num=x.shape[-1])
        stretched = np.interp(at, np.arange(length), x[lead, start : start + length].numpy())
        out[lead] = torch.from_numpy(stretched)
    return out


def mask_patches(x: Tensor, starts: np.ndarray, patch: int) -> Tensor:
    """Zeros from each of starts (lead, n) of one record."""
    mask = torch.ones_like(x)
    for lead, of_lead in enumerate(starts):
        for start in of_lead:
            mask[lead, start : start + patch] = 0
    return x * mask


def loop_surrogate(x: Tensor, rng: Numpy) -> list[Tensor]:
    """The published surrogate, record by record."""
    return [surrogate(one, 2 * np.pi * 0.1 * rng.random((SAMPLES - 1) // 2)) for one in x]


def loop_jitter(x: Tensor, _rng: Numpy) -> list[Tensor]:
    """The published jitter, record by record."""
    return [one + 0.6 * one * torch.normal(mean=0, std=0.25, size=one.shape) for one in x]


def loop_crop_resize(x: Tensor, rng: Numpy) -> list[Tensor]:
    """The published crop and resize, record by record."""
    length = int(0.75 * SAMPLES)
    return [crop_resize(one, int(rng.integers(SAMPLES - length)), length) for one in x]


def loop_mask(x: Tensor, rng: Numpy) -> list[Tensor]:
    """The published masking of patches, record by record."""
    patch, out = 200, []
    n_patches = round(0.75 * SAMPLES / patch)
    for one in x:
        weights = rng.random((LEADS, n_patches + 1))
        sizes = np.round(weights[:, :-1].T * ((SAMPLES - patch * n_patches) / weights.sum(-1))).T.astype(np.int32)
        sizes[:, 1:] += patch
        out.append(mask_patches(one, sizes.cumsum(-1), patch))
    return out


def loop_chain(x: Tensor, rng: Numpy) -> list[Tensor]:
    """The published contrastive chain, record by record."""
    out = []
    for record in x:
        start = int(rng.integers(x.shape[-1] - SAMPLES))
        one = record[:, start : start + SAMPLES]
        if rng.random() < 0.95:
            one = surrogate(one, 2 * np.pi * 0.1 * rng.random((SAMPLES - 1) // 2))
            one = one + 0.6 * one * torch.normal(mean=0, std=0.25, size=one.shape)
            one = one * torch.normal(mean=torch.Tensor([1]), std=torch.Tensor([0.5]))
        out.append(one)
    return out


def alone(name: str, **parameters: object) -> EcgAugmentation:
    """A chain of one step."""
    return EcgAugmentation.from_json({"steps": [{"augmentation": name, **parameters}]})


CASES: dict[str, tuple[EcgAugmentation, Callable[[Tensor, Numpy], list[Tensor]], int]] = {
    "MMCL chain (crop, surrogate, jitter, rescale)": (EcgAugmentation.preset("mmcl"), loop_chain, 2 * SAMPLES),
    "Fourier surrogate": (alone("fourier_surrogate"), loop_surrogate, SAMPLES),
    "jitter": (alone("jitter", sigma=0.25), loop_jitter, SAMPLES),
    "crop and resize": (alone("crop_resize"), loop_crop_resize, SAMPLES),
    "masked patches": (alone("mask_patches"), loop_mask, SAMPLES),
}


def difference(augmentation: EcgAugmentation, x: Tensor) -> float:
    """Largest difference between the loop and the batch under the same draws."""
    drawn = augmentation.draw(x.shape, torch.Generator().manual_seed(1))
    ours, peer = augmentation.apply(x, drawn), []
    for i in range(len(x)):
        one = x[i]
        for step, given in zip(augmentation.to_json()["steps"], drawn, strict=True):
            if given.records is None or given.records[i]:
                one = alone_by_loop(one, step, {key: value[i] for key, value in given.draws.items()})
        peer.append(one)
    return float((ours - torch.stack(peer)).abs().max())


def alone_by_loop(x: Tensor, step: dict, draws: dict[str, Tensor]) -> Tensor:
    """One step on one record as the peer does it."""
    match step["augmentation"]:
        case "crop":
            return x[:, draws["start"] : draws["start"] + step["length"]]
        case "fourier_surrogate":
            return surrogate(x, draws["phases"][0].numpy())
        case "jitter":
            return x + 0.6 * x * draws["noise"]
        case "rescale":
            return x * draws["factor"]
        case "crop_resize":
            return crop_resize(x, int(draws["start"]), int(draws["length"]))
        case "mask_patches":
            return mask_patches(x, draws["starts"].numpy(), step["patch"])
    raise NotImplementedError(step["augmentation"])


def measure(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each call, interleaved."""
    found = in_turns(calls, repeats + 1).wall
    return {name: statistics.median(each[1:]) for name, each in found.items()}  # the first one warms up


def row_of(name: str, repeats: int) -> dict[str, object]:
    """One augmentation, loop and batch."""
    augmentation, loop, n_samples = CASES[name]
    x = torch.randn(BATCH, LEADS, n_samples, generator=torch.Generator().manual_seed(0)).cumsum(-1) / 30
    generator, rng = torch.Generator().manual_seed(2), np.random.default_rng(2)
    calls = {"loop": lambda: torch.stack(loop(x, rng)), "ours": lambda: augmentation(x, generator)}
    seconds = measure(calls, repeats)
    return {
        "bench": "augment",
        "case": name,
        "batch": f"{BATCH} × {LEADS} × {n_samples}",
        "loop_ms": 1000 * seconds["loop"],
        "ms": 1000 * seconds["ours"],
        "ratio": seconds["loop"] / seconds["ours"],
        "largest_difference_under_the_same_draws": difference(augmentation, x),
    }


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=15)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    rows = [row_of(name, arguments.repeats) for name in CASES]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
