"""ECG → arrays: a frozen value says how, and travels with the weights that were trained on its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError, UsageError
from cardioloom.prepare import filters, leads
from cardioloom.prepare.steps import Step, refuse_other_than_number, refuse_unknown
from cardioloom.records import ECG, STANDARD_LEADS

# What a preparation may say; an unknown word is an error that lists these.
MILLIVOLTS_PER = {"mV": 1.0, "uV": 1e-3}
CHOICES = {
    "unit": tuple(MILLIVOLTS_PER),
    "not_recorded": ("zero", "refuse"),
    "resample": ("polyphase", "refuse"),
    "longer": ("windows_anchored", "windows_dropped", "first_window"),
    "shorter": ("zero_pad_end", "refuse"),
}


@dataclass(frozen=True)
class Preparation:
    """How a record becomes the array a model was trained on; equal to its JSON.

    Args:
        name: by which it is called.
        leads: names and order of the rows.
        unit: of the samples before the steps, ``"mV"`` or ``"uV"``.
        fs: sampling rate of the array, Hz.
        window_seconds: length of a window; a whole number of samples.
        steps: run on each window in this order.
        not_recorded: samples that were not recorded become ``"zero"`` before all else, or are a reason to refuse.
        resample: the rule for records at another rate: ``"polyphase"`` (`filters.resample_polyphase`), or refuse.
        longer: records longer than a window become consecutive windows; the rest is covered by a last window that
            ends with the record and overlaps (``"windows_anchored"``) or left out (``"windows_dropped"``);
            or only the ``"first_window"`` is taken.
        shorter: records shorter than a window are filled with zeros at the end, or refused.
        shortest_seconds: what is shorter than this is refused whatever ``shorter`` says.

    Raises:
        UsageError: if a value is unknown or cannot be.
    """

    name: str
    leads: tuple[str, ...]
    unit: str
    fs: float
    window_seconds: float
    steps: tuple[Step, ...]
    not_recorded: str = "zero"
    resample: str = "polyphase"
    longer: str = "windows_anchored"
    shorter: str = "zero_pad_end"
    shortest_seconds: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "leads", tuple(self.leads))
        object.__setattr__(self, "steps", tuple(self.steps))
        for field, known in CHOICES.items():
            refuse_unknown(field, [getattr(self, field)], known)
        for field in ("fs", "window_seconds", "shortest_seconds"):
            refuse_other_than_number(field, getattr(self, field))
        if not self.leads or len(set(self.leads)) != len(self.leads):
            raise UsageError(f"a preparation needs leads that differ from each other, got {', '.join(self.leads)}")
        samples = self.fs * self.window_seconds
        if not (self.fs > 0 and samples >= 1 and samples == round(samples)):
            raise UsageError(f"a window must be a whole number of samples, got {self.window_seconds} s at {self.fs} Hz")

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return round(self.fs * self.window_seconds)

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes; `from_json` gives an equal preparation back."""
        steps = [{"step": step.name, **dict(step.parameters)} for step in self.steps]
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"leads": list(self.leads), "steps": steps}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preparation:
        """The preparation that `to_json` wrote.

        Raises:
            UsageError: if a key is unknown or absent, or a value cannot be; nothing is assumed.
        """
        known = [field.name for field in fields(cls)]
        refuse_unknown("key of a preparation", values, known)
        if missing := [name for name in known if name not in values]:
            raise UsageError(f"the preparation lacks {', '.join(missing)}: write each value down")
        steps = []
        for step in values["steps"]:
            if not isinstance(step, Mapping) or "step" not in step:
                raise UsageError(f'a step is written as {{"step": name, parameter: value, …}}, got {step!r}')
            steps.append(Step.of(step["step"], **{key: value for key, value in step.items() if key != "step"}))
        return cls(**{**values, "leads": tuple(values["leads"]), "steps": tuple(steps)})


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a model takes, and what each row of it is.

    Args:
        windows: (window, lead, time) float32.
        starts_s: (window,) where each window begins in the record, s.
        real_samples: (window,) how many samples of each window are of the record; the others are zeros at its end.
        notes: what was changed on the way: resampled, filled, derived.
    """

    windows: NDArray[np.float32]
    starts_s: NDArray[np.float64]
    real_samples: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def ecgfounder(name: str = "ecgfounder", order: Sequence[str] = STANDARD_LEADS) -> Preparation:
    """The input of ECGFounder (Li et al. 2024; github.com/PKUDigitalHealth/ECGFounder @ 04edac7).

    The official code holds two paths that contradict each other: dataset.py filters, ptbxl_eval.py does not. This
    follows dataset.py, because the README calls filtering mandatory: NaN → 0, leads, notch, band-pass, minus the
    median, z-score of all leads together. On a 10 s record at 500 Hz the result is equal to the official function's
    on the same machine. The deviations, each on purpose:

    - Leads are ordered by name. dataset.py permutes aVF and aVL by index, which is right for MIMIC-IV alone.
    - Records at another rate are resampled to 500 Hz first, so that the filters work at the rate they name.
      dataset.py filters anything as if it were 500 Hz and loses its own resampled signal; ptbxl_eval.py stretches
      any duration to 5000 samples without anti-aliasing (`filters.resample_official`, kept for parity only).
    - Windows of 10 s are cut or filled before the filters: each has the length the model saw in training.
    - Less than 5 s, half a window, is refused: more than half of what the net saw would be filling.
    - Integer samples are not truncated between the filters, as they are where dataset.py copies the input's type.

    Args:
        name: of the preparation.
        order: its leads; one lead alone is z-scored by itself, as the official 1-lead dataset does.
    """
    steps = (
        Step.of("notch", hz=50.0, q=30.0),
        Step.of("bandpass", low=0.67, high=40.0, order=4),
        Step.of("median_baseline", seconds=0.4),
        Step.of("zscore_record", epsilon=1e-8),
    )
    return Preparation(name, tuple(order), "mV", 500.0, 10.0, steps, shortest_seconds=5.0)


def ptacl() -> Preparation:
    """The ECG of PTACL (Selivanov et al. 2025, arXiv:2506.20683): 10 s, 8 levels of a wavelet, z-score.

    The paper does not name wavelet, levels that are dropped, or what is scaled together: here db6 without the
    approximation and the two finest levels (`wavelet.wavelet_band`), and all leads of a record. Its crops of 2500
    samples are drawn later, in training: the wavelet's ends need the 10 s.
    """
    steps = (Step.of("wavelet_band", levels=8, finest=2), Step.of("zscore_record", epsilon=1e-8))
    return Preparation("ptacl", STANDARD_LEADS, "mV", 500.0, 10.0, steps, shortest_seconds=5.0)


def mmcl() -> Preparation:
    """The ECG of MMCL (Turgut et al. 2025; github.com/oetu/MMCL-ECG-CMR @ 533409f), before its crops of 2500 samples.

    Clipped, without its asymmetric least squares baseline, groups of leads scaled with the population variance.
    """
    steps = (
        Step.of("clip_record", deviations=4.0),
        Step.of("least_squares_baseline", stiffness=1e7, p=0.3, iterations=5),
        Step.of("zscore_groups"),
    )
    return Preparation("mmcl", STANDARD_LEADS, "mV", 500.0, 10.0, steps, shortest_seconds=5.0)


PRESETS = {preset.name: preset for preset in (ecgfounder(), ecgfounder("ecgfounder_1l", ("I",)), ptacl(), mmcl())}


def prepare(ecg: ECG, preset: Preparation, beyond_s: tuple[float, float] = (0.0, 0.0)) -> Prepared:
    """A record → the windows a model takes. Walk recordings of hours as `ECG.blocks`: all windows are held at once.

    Args:
        ecg: any rate and duration; leads in any order, III, aVR, aVL and aVF derived where they are absent.
        preset: one of `PRESETS`, or what a model folder carries.
        beyond_s: seconds at the beginning and at the end that are there for resampling alone and are left out of the
            windows: a part of a longer recording knows its neighbours.

    Raises:
        PreparationError: if leads are missing, or the preparation refuses the rate, the length or gaps.
    """
    if ecg.seconds < preset.shortest_seconds:
        raise PreparationError(
            f"{preset.name} needs at least {preset.shortest_seconds:g} s, got {ecg.seconds:.3g} s: record longer"
        )
    signal = leads.select(ecg, preset.leads)
    notes = []
    if computed := leads.derived(ecg.leads, preset.leads):
        notes.append(f"{', '.join(computed)} derived from I and II")
    signal, share = _filled(signal / MILLIVOLTS_PER[preset.unit], preset)
    if share > 0:
        notes.append(f"{100 * share:.2g} % of the samples were not recorded and became zero")
    seconds_per_sample = 1 / preset.fs
    if ecg.fs != preset.fs:
        if preset.resample == "refuse":
            raise PreparationError(
                f"{preset.name} takes {preset.fs:g} Hz, got {ecg.fs:g} Hz: resample the record first"
            )
        seconds_per_sample = 1 / (float(filters.rate_ratio(ecg.fs, preset.fs)) * ecg.fs)
        signal = filters.resample_polyphase(signal, ecg.fs, preset.fs)
        notes.append(f"resampled from {ecg.fs:g} to {preset.fs:g} Hz ({preset.resample})")
    before, behind = (round(seconds / seconds_per_sample) for seconds in beyond_s)
    windows, starts, real = _cut(signal[:, before : signal.shape[1] - behind], preset)
    if real[0] < preset.window_samples:
        notes.append(
            f"{real[0] * seconds_per_sample:.3g} s of signal, filled with zeros to {preset.window_seconds:g} s"
        )
    return Prepared(apply(windows, preset), (starts * seconds_per_sample).astype(np.float64), real, tuple(notes))


def apply(signals: NDArray[np.number], preset: Preparation) -> NDArray[np.float32]:
    """The steps of a preparation on arrays that are already in its leads, unit, rate and length.

    Args:
        signals: (record, lead, time); integers are not truncated on the way, NaN follows the preparation's rule.
        preset: one of `PRESETS`, or what a model folder carries.

    Returns:
        (record, lead, time) float32; a record's result does not depend on the others.

    Raises:
        PreparationError: if the shape is not the preparation's, or it refuses gaps.
    """
    signals = np.asarray(signals)
    expected = (len(preset.leads), preset.window_samples)
    if signals.ndim != 3 or signals.shape[1:] != expected:
        raise PreparationError(
            f"{preset.name} takes (record, {expected[0]} leads, {expected[1]} samples), got {signals.shape}: "
            "use prepare for records of another layout"
        )
    out = np.empty(signals.shape, np.float32)
    chunk = max(1, 3 * filters.LANES // len(preset.leads))  # 4 records of 12 leads fill the filters' lanes
    for start in range(0, len(signals), chunk):
        values, _ = _filled(signals[start : start + chunk].astype(np.float64), preset)
        for step in preset.steps:
            values = step.run(values, preset.fs)
        out[start : start + chunk] = values
    return out


def _filled(signal: NDArray[np.float64], preset: Preparation) -> tuple[NDArray[np.float64], float]:
    """The signal (written to) with zeros for NaN, and the share of samples that were NaN."""
    gaps = np.isnan(signal)
    share = float(gaps.mean()) if gaps.any() else 0.0
    if share > 0:
        if preset.not_recorded == "refuse":
            raise PreparationError(f"{preset.name} takes no gaps, got {100 * share:.2g} % of samples not recorded")
        signal[gaps] = 0.0
    return signal, share


def _cut(
    signal: NDArray[np.float64], preset: Preparation
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """(lead, time) → windows (window, lead, time), first sample of each, samples of the record in each."""
    size, n_samples = preset.window_samples, signal.shape[1]
    if n_samples < size:
        if preset.shorter == "refuse":
            raise PreparationError(
                f"{preset.name} needs {size} samples, got {n_samples}: record {preset.window_seconds:g} s"
            )
        padded = np.pad(signal, ((0, 0), (0, size - n_samples)))
        return padded[None], np.zeros(1, np.int64), np.array([n_samples])
    starts = list(range(0, n_samples - size + 1, size))
    if preset.longer == "first_window":
        starts = starts[:1]
    elif preset.longer == "windows_anchored" and starts[-1] + size < n_samples:
        starts.append(n_samples - size)
    windows = np.stack([signal[:, start : start + size] for start in starts])
    return windows, np.array(starts, np.int64), np.full(len(starts), size, np.int64)
