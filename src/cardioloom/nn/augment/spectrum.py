"""What is done to ECGs in the frequency domain.

Samples that were not recorded (NaN) count as zero in the transform and are NaN again afterwards: a gap does not spread
over its lead. Transforms run in the precision of the batch; the published Fourier surrogate runs in float64, the
difference is below 1e-6 of the signal's height in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment.drawing import (
    Augmentation,
    Draws,
    Shape,
    refuse_not_whole,
    refuse_outside,
    uniform,
    whole,
)

# Measured on 261 beats of 40 real ECGs: up to here R peaks move by 4 ms (median; 14 ms at the 95th percentile) and one
# is lost; at magnitude 1 they move by 71 ms and 47 are lost.
LARGEST_THAT_KEEPS_BEATS = 0.25


def over_gaps(x: Tensor, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """``transform`` of ``x`` with zeros for NaN; NaN where it was NaN."""
    if x.device.type == "cpu" and not x.sum().isnan():  # elsewhere to ask would halt the queue
        return transform(x)
    gaps = x.isnan()
    return torch.where(gaps, x, transform(x.masked_fill(gaps, 0.0)))


def fourier_surrogate(x: Tensor, phases: Tensor) -> Tensor:
    """The batch with each frequency turned by a phase: the power spectrum stays, the shape changes.

    Schwabedal et al. 2018 (arXiv:1806.08675).

    Args:
        x: (batch, lead, time).
        phases: (batch, 1 or lead, (time - 1) // 2) radians, of the frequencies from the lowest up; the mean, and at an
            even length the highest frequency, stay as they are.
    """
    n_samples = x.shape[-1]
    padded = F.pad(phases.to(x.dtype), (1, 1 - n_samples % 2))
    turn = torch.polar(torch.ones_like(padded), padded)
    return over_gaps(x, lambda known: torch.fft.irfft(torch.fft.rfft(known).mul_(turn), n=n_samples))


def frequency_shift(x: Tensor, shift_hz: Tensor, *, fs: float) -> Tensor:
    """All frequencies of a record higher by shift_hz (batch,): real part of the analytic signal, turned.

    As published the record is first padded with zeros to the next power of two.
    """
    n_samples = x.shape[-1]
    n_padded = 1 << (n_samples - 1).bit_length()
    cycles = shift_hz[:, None].to(x.dtype) * (torch.arange(n_padded, device=x.device) / fs)  # (batch, n_padded)
    angle = 2 * math.pi * (cycles - cycles.floor())
    turn = torch.polar(torch.ones_like(angle), angle)[:, None]
    # The analytic signal has twice the positive frequencies, and the mean and the highest once.
    twice = torch.full((n_padded,), 2.0, device=x.device, dtype=x.dtype)
    twice[[0, n_padded // 2]] = 1.0
    twice[n_padded // 2 + 1 :] = 0.0

    def shifted(known: Tensor) -> Tensor:
        analytic = torch.fft.ifft(torch.fft.fft(known, n=n_padded) * twice)
        return (analytic * turn).real[..., :n_samples]

    return over_gaps(x, shifted)


def mask_spectrum(x: Tensor, frequency: Tensor, start: Tensor, *, share: float, n_fft: int) -> Tensor:
    """A block of frequencies or of times of the short-time Fourier transform becomes zero, the same in all leads.

    Park et al. 2019 (arXiv:1904.08779), on the signal's own spectrogram. As published the window is rectangular, the
    hop a quarter of it.

    Args:
        x: (batch, lead, time).
        frequency: (batch,) bool, True = frequencies, False = times.
        start: (batch,), first bin of the block.
    """
    window = torch.ones(n_fft, device=x.device, dtype=x.dtype)
    n_bins, n_frames = spectrogram_size(x.shape[-1], n_fft)

    def block(size: int) -> Tensor:  # (batch, size)
        at = torch.arange(size, device=x.device)
        return (at >= start[:, None]) & (at < start[:, None] + int(size * share))

    by_bin = block(n_bins)[:, None, :, None] & frequency[:, None, None, None]
    by_frame = block(n_frames)[:, None, None, :] & ~frequency[:, None, None, None]

    def masked(known: Tensor) -> Tensor:
        spectrum = torch.stft(known.flatten(0, 1), n_fft, window=window, return_complex=True)
        spectrum = spectrum.unflatten(0, known.shape[:2]).masked_fill(by_bin | by_frame, 0.0)
        return torch.istft(spectrum.flatten(0, 1), n_fft, window=window, length=known.shape[-1]).view(known.shape)

    return over_gaps(x, masked)


def spectrogram_size(n_samples: int, n_fft: int) -> tuple[int, int]:
    """Frequencies and frames of the spectrogram that `mask_spectrum` takes."""
    return n_fft // 2 + 1, n_samples // (n_fft // 4) + 1


def time_to_fourier(
    x: Tensor, *, factor: int = 1, half: bool = False, stacked: bool = False, roll_leads: bool = False
) -> Tensor:
    """Fourier coefficients over their number, negative frequencies first; NaN counts as zero.

    Args:
        x: (batch, lead, time).
        factor: the transform has ``factor · time`` coefficients.
        half: only those from frequency zero up.
        stacked: real and imaginary parts apart, (batch, 2, lead, frequency); else as neighbouring rows,
            (batch, 2 · lead, frequency).
        roll_leads: as the published code, which by oversight also turns the order of the leads by half their number.
    """
    n = factor * x.shape[-1]
    spectrum = torch.fft.fft(x.masked_fill(x.isnan(), 0.0), n=n) / n
    spectrum = torch.fft.fftshift(spectrum, dim=(-2, -1) if roll_leads else -1)[..., n // 2 if half else 0 :]
    if stacked:
        return torch.stack((spectrum.real, spectrum.imag), dim=1)
    return torch.stack((spectrum.real, spectrum.imag), dim=2).flatten(1, 2)


def fourier_to_time(real: Tensor, imaginary: Tensor) -> Tensor:
    """The signal (batch, lead, time) of all coefficients as `time_to_fourier` orders and scales them."""
    spectrum = torch.fft.ifftshift(torch.complex(real, imaginary), dim=-1)
    return (torch.fft.ifft(spectrum) * spectrum.shape[-1]).real


@dataclass(frozen=True)
class FourierSurrogate(Augmentation):
    """Phases ``2π · magnitude · u``, u uniform on [0, 1), the same for all leads unless ``independent``.

    Beats are no longer exactly where they were: `moved` gives the positions back unchanged up to
    `LARGEST_THAT_KEEPS_BEATS`, and refuses above it. Published magnitudes are 0.05 to 0.125.
    """

    moves_time: ClassVar[bool] = True
    magnitude: float = 0.1
    independent: bool = False

    def __post_init__(self) -> None:
        refuse_outside("magnitude of fourier_surrogate", self.magnitude, 0, 1)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """phases: (batch, 1 or lead, (time - 1) // 2)."""
        rows = shape[1] if self.independent else 1
        phases = uniform((shape[0], rows, (shape[-1] - 1) // 2), generator)
        return {"phases": phases.mul_(2 * math.pi * self.magnitude)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `fourier_surrogate`."""
        return fourier_surrogate(x, draws["phases"])

    def moved(self, samples: Tensor, draws: Draws, n_samples: int) -> Tensor:  # noqa: ARG002
        """The same positions, where beats are kept."""
        if self.magnitude > LARGEST_THAT_KEEPS_BEATS:
            raise UsageError(
                f"beats are not found again after a Fourier surrogate of magnitude {self.magnitude:g}: detect them in "
                f"its result, or keep to {LARGEST_THAT_KEEPS_BEATS:g}"
            )
        return samples


@dataclass(frozen=True)
class FrequencyShift(Augmentation):
    """All frequencies of a record higher by ``delta_hz``; where ``both_ways``, by a number uniform on ±``delta_hz``.

    Published as a fixed shift. The rate of the batch, ``fs`` Hz, must be told.
    """

    delta_hz: float = 0.005
    fs: float = 200.0
    both_ways: bool = False

    def __post_init__(self) -> None:
        refuse_outside("delta_hz of frequency_shift", self.delta_hz, -1e6, 1e6)
        refuse_outside("fs of frequency_shift", self.fs, 1e-6)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """shift_hz: (batch,)."""
        if self.both_ways:
            return {"shift_hz": (2 * uniform(shape[:1], generator) - 1) * self.delta_hz}
        return {"shift_hz": torch.full(shape[:1], float(self.delta_hz), device=generator.device)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `frequency_shift`."""
        return frequency_shift(x, draws["shift_hz"], fs=self.fs)


@dataclass(frozen=True)
class MaskSpectrum(Augmentation):
    """With equal chance a block of frequencies or of times of the spectrogram, ``share`` of its side, becomes zero."""

    share: float = 0.2
    n_fft: int = 120

    def __post_init__(self) -> None:
        refuse_outside("share of mask_spectrum", self.share, 0, 1)
        refuse_not_whole("n_fft of mask_spectrum", self.n_fft, 4)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """frequency: (batch,) bool; start: (batch,)."""
        if shape[-1] <= self.n_fft // 2:
            raise UsageError(f"mask_spectrum needs more than {self.n_fft // 2} samples, got {shape[-1]}: lower n_fft")
        starts = [size - int(size * self.share) + 1 for size in spectrogram_size(shape[-1], self.n_fft)]
        frequency = uniform(shape[:1], generator) < 0.5
        return {"frequency": frequency, "start": whole(torch.where(frequency, *starts), shape[:1], generator)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `mask_spectrum`."""
        return mask_spectrum(x, draws["frequency"], draws["start"], share=self.share, n_fft=self.n_fft)
