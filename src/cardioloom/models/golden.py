"""The golden pair: a record, what it becomes when prepared, and what the model must give.

The record is a closed form (sums of Gaussians on the phase of the beat), so that no patient's ECG travels with weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import ModelError, PreparationError, RecordError
from cardioloom.models.contract import GOLDEN, Contract
from cardioloom.models.runtime import Runner, TorchRunner
from cardioloom.prepare import prepare
from cardioloom.records import ECG, STANDARD_LEADS

FS, SECONDS, RR_S = 500.0, 10.0, 0.84
# Gaussians of one beat: centre and width in s from the R peak, and their height in mV in I, II, V1 … V6.
WAVES = (
    (-0.16, 0.022, (0.08, 0.14, 0.06, 0.07, 0.08, 0.08, 0.08, 0.07)),  # P
    (-0.026, 0.008, (-0.06, -0.08, 0.00, 0.00, -0.02, -0.08, -0.10, -0.10)),  # Q
    (0.0, 0.011, (0.70, 1.05, 0.25, 0.55, 0.95, 1.55, 1.35, 1.00)),  # R
    (0.028, 0.010, (-0.12, -0.18, -0.85, -1.30, -0.90, -0.55, -0.25, -0.10)),  # S
    (0.29, 0.048, (0.18, 0.28, -0.05, 0.45, 0.48, 0.42, 0.33, 0.25)),  # T
)
INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
# A filter's start state depends on the processor's linear algebra by about 6e-6 standard deviations.
PREPARED_TOLERANCE = 1e-4
LEAST_TOLERANCE = 1e-5
TIMES_FLOAT32 = 30.0  # the tolerance is so many times what separates float32 from float64 …
BF16_SHARE = 0.1  # … and this share of the largest logit, or feature, where bfloat16 was asked for


@dataclass(frozen=True, eq=False)
class Golden:
    """What lies in ``golden.safetensors``.

    Args:
        leads: names of the rows of ``signal``: independent ones, so that order and derivation are tested too.
        signal: (lead, time) mV at 500 Hz.
        windows: (window, lead, time) what the preparation makes of it.
        logits, features: (window, output) and (window, feature), computed in float64.
        tolerance: largest allowed absolute deviation of logits and features in float32.
        contract: SHA-256 of the contract they belong to.
    """

    leads: tuple[str, ...]
    signal: NDArray[np.float32]
    windows: NDArray[np.float32]
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    tolerance: float
    contract: str


def record(leads: Sequence[str]) -> ECG:
    """Ten seconds of a heart that beats every 0.84 s, with a slow baseline, mains hum and no patient behind it.

    The eight independent leads for a preparation of several, the one lead for a preparation of one; for a signal that
    is no standard lead (a pulse wave, MLII) lead II under its name.
    """
    time_s = np.arange(round(FS * SECONDS)) / FS
    since_r = (time_s + RR_S / 2) % RR_S - RR_S / 2
    since_r[since_r > RR_S - 0.24] -= RR_S
    rows = np.zeros((len(INDEPENDENT), len(time_s)))
    for centre, width, heights in WAVES:
        wave = sum(np.exp(-0.5 * ((since_r - centre + shift) / width) ** 2) for shift in (-RR_S, 0.0, RR_S))
        rows += np.outer(heights, wave)
    turns = 2 * np.pi * np.outer(1 + np.arange(len(INDEPENDENT)) / 7, time_s)
    rows += 0.05 * np.sin(0.3 * turns) + 0.01 * np.sin(2 * np.pi * 50 * time_s)
    eight = ECG(rows.astype(np.float32), INDEPENDENT, FS)
    if set(leads) <= set(STANDARD_LEADS) and len(leads) > 1:
        return eight
    if len(leads) == 1 and leads[0] not in STANDARD_LEADS:
        return ECG(eight.select(("II",)).signal, tuple(leads), FS)
    return eight.with_derived_leads().select(leads)


def make(contract: Contract, runner: TorchRunner) -> Golden:
    """The golden pair of weights that are about to be written; the net is run in float64 and in float32."""
    ecg = record(contract.preparation.leads)
    windows = prepare(ecg, contract.preparation).windows
    exact, single = runner.exact(windows), runner(windows)
    gap = max(_furthest(a, b) for a, b in zip(exact, single, strict=True))
    tolerance = max(LEAST_TOLERANCE, TIMES_FLOAT32 * gap)
    logits, features = (values.astype(np.float32) for values in exact)
    return Golden(ecg.leads, ecg.signal, windows, logits, features, tolerance, contract.sha256())


def write(golden: Golden, folder: Path) -> None:
    """Write ``golden.safetensors``."""
    from safetensors.numpy import save_file

    tensors = {name: np.ascontiguousarray(getattr(golden, name)) for name in _TENSORS}
    said = {
        "tolerance": repr(golden.tolerance),
        "contract_sha256": golden.contract,
        "fs": repr(FS),
        "leads": ",".join(golden.leads),
    }
    save_file(tensors, folder / GOLDEN, metadata=said)


def read(folder: Path) -> Golden:
    """The golden pair of a folder.

    Raises:
        ModelError: if the file is damaged or lacks a part.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / GOLDEN
    try:
        with safe_open(path, "np") as file:
            said = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
        leads = tuple(said["leads"].split(","))
        golden = Golden(leads, **tensors, tolerance=float(said["tolerance"]), contract=said["contract_sha256"])
        _check(golden)
        return golden
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} holds no whole golden pair ({error}): get the folder again") from error


def replay(golden: Golden, contract: Contract, runner: Runner) -> dict[str, float]:
    """Run the golden record through preparation and net.

    Returns:
        largest absolute deviation of "prepared", "logits" and "features".

    Raises:
        ModelError: if one of them is above its tolerance: whatever this model says here cannot be trusted.
    """
    try:
        prepared = prepare(ECG(golden.signal, golden.leads, FS), contract.preparation).windows
    except (RecordError, PreparationError) as error:
        raise ModelError(
            f"the golden record of {contract.name} cannot be prepared ({error}): get the folder again"
        ) from error
    if prepared.shape != golden.windows.shape:
        raise ModelError(
            f"the golden record of {contract.name} is prepared to {prepared.shape}, not {golden.windows.shape}: "
            "get the folder again"
        )
    if golden.logits.shape[1] != len(contract.task.outputs):
        raise ModelError(
            f"{contract.name} names {len(contract.task.outputs)} outputs and its golden pair has "
            f"{golden.logits.shape[1]}: get the folder again"
        )
    logits, features = runner(golden.windows)
    net_tolerance = golden.tolerance
    if runner.precision == "bf16":
        net_tolerance = BF16_SHARE * _furthest(golden.logits if golden.logits.size else golden.features, 0.0)
    tolerances = {"prepared": PREPARED_TOLERANCE, "logits": net_tolerance, "features": net_tolerance}
    pairs = {
        "prepared": (prepared, golden.windows),
        "logits": (logits, golden.logits),
        "features": (features, golden.features),
    }
    deviations = {}
    for name, (found, expected) in pairs.items():
        if found.shape != expected.shape:
            raise ModelError(f"{contract.name} gives {name} {found.shape}, not {expected.shape}: get the folder again")
        deviations[name] = _furthest(found, expected)
        if not deviations[name] <= tolerances[name]:  # NaN is refused too
            raise ModelError(
                f"{contract.name} on {runner.name} does not give its golden {name}: off by {deviations[name]:.2g}, "
                f"allowed is {tolerances[name]:.2g}: do not use it here"
            )
    return deviations


def _furthest(found: NDArray[np.floating], expected: NDArray[np.floating] | float) -> float:
    """Largest absolute difference, 0 where there is no output to differ."""
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))


def _check(golden: Golden) -> None:
    for name, ndim in _NDIM.items():
        values = getattr(golden, name)
        if values.dtype != np.float32 or values.ndim != ndim or not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite float32 of {ndim} axes, got {values.dtype} {values.shape}")
    if not 0 < golden.tolerance < np.inf:
        raise ValueError(f"the tolerance must be positive and finite, got {golden.tolerance}")


_NDIM = {"signal": 2, "windows": 3, "logits": 2, "features": 2}
_TENSORS = tuple(_NDIM)
