"""Tokens of a recording → one embedding for each phase of the heart beat, without weights of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from cardioloom.errors import UsageError

MIN_BEATS = 2


def beat_operator(
    peaks: Tensor, n_tokens: int, patch: int, n_phases: int = 13, min_beats: int = MIN_BEATS
) -> tuple[Tensor, Tensor]:
    """What takes the tokens of a signal to the mean beat: PTACL (Selivanov et al. 2025, arXiv:2506.20683), section 3.2.

    Each beat, from one R peak to the next, is cut into ``n_phases`` equal parts; the middle of a part is interpolated
    linearly between the middles of the two tokens around it; the beats that lie whole within the tokens are averaged.
    The heart rate drops out.

    Args:
        peaks: (record, peak) R peaks in samples from the first token's beginning, ascending; NaN = no more peaks.
            Peaks before and behind the tokens may be there, so subtract where a crop begins and leave it at that.
        n_tokens: along time.
        patch: samples in a token.
        n_phases: T of the paper.
        min_beats: that a record needs.

    Returns:
        (record, phase, token) float32 whose rows sum to 1, or are 0 where a record has too few whole beats; and
        (record,) bool, where it has enough.

    Raises:
        UsageError: if the shape is not (record, peak), peaks do not ascend, or a number is below 1.
    """
    if peaks.ndim != 2 or min(n_tokens, patch, n_phases, min_beats) < 1:
        numbers = f"{n_tokens} tokens of {patch} samples, {n_phases} phases, {min_beats} beats"
        raise UsageError(f"beats need peaks (record, peak) and counts from 1, got {tuple(peaks.shape)} and {numbers}")
    peaks = peaks.to(torch.float64)
    begin, length = peaks[:, :-1], peaks.diff(dim=1)
    if (length <= 0).any():
        raise UsageError("R peaks must ascend within a record: sort them and leave doubles out")
    whole = (begin >= 0) & (begin + length < n_tokens * patch)  # False for NaN
    part = (torch.arange(n_phases, device=peaks.device, dtype=torch.float64) + 0.5) / n_phases
    sample = begin[..., None] + part * length[..., None]
    place = torch.where(whole[..., None], (sample + 0.5) / patch - 0.5, 0.0).clamp(0, n_tokens - 1)
    apart = (place[..., None] - torch.arange(n_tokens, device=peaks.device)).abs()
    weights = ((1 - apart).clamp(min=0) * whole[..., None, None]).sum(1)
    n_beats = whole.sum(1)
    usable = n_beats >= min_beats
    share = torch.where(usable, 1 / n_beats.clamp(min=1).to(torch.float64), 0.0)
    return (weights * share[:, None, None]).to(torch.float32), usable


def signal_phases(tokens: Tensor, operator: Tensor) -> Tensor:
    """Embedding of each phase of the mean beat; leads are averaged.

    Args:
        tokens: (record, lead, token, width).
        operator: (record, phase, token) of `beat_operator`.

    Returns:
        (record, phase, width); zeros for records without enough beats.

    Raises:
        UsageError: if the shapes do not fit.
    """
    if tokens.ndim != 4 or operator.ndim != 3 or (len(tokens), tokens.shape[2]) != (len(operator), operator.shape[2]):
        shapes = f"{tuple(tokens.shape)} and {tuple(operator.shape)}"
        raise UsageError(f"tokens are (record, lead, token, width), operators (record, phase, token), got {shapes}")
    return operator.to(tokens.dtype) @ tokens.mean(1)


def picture_phases(tokens: Tensor) -> Tensor:
    """Embedding of each time token of a beat of pictures; places are averaged.

    Args:
        tokens: (record, time, place, width), the first at the R peak.

    Returns:
        (record, time, width).

    Raises:
        UsageError: if the shape is another.
    """
    if tokens.ndim != 4:
        raise UsageError(f"tokens of pictures are (record, time, place, width), got {tuple(tokens.shape)}")
    return tokens.mean(2)
