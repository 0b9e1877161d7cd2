"""Parts of ECGs set to zero: patches of time, whole leads; what is masked is zero also where it was not recorded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment.drawing import (
    Augmentation,
    Draws,
    Shape,
    refuse_not_whole,
    refuse_outside,
    refuse_unknown,
    uniform,
)


def patch_starts(weights: Tensor, n_samples: int, patch: int) -> Tensor:
    """First samples of masked patches that do not overlap; what lies between them has lengths in proportion to weights.

    Args:
        weights: (…, n_patches + 1), positive.

    Returns:
        (…, n_patches) int64, rising; rounding may put the last patch a few samples past the end.
    """
    n_patches = weights.shape[-1] - 1
    free = n_samples - patch * n_patches
    between = (weights[..., :-1] * (free / weights.sum(-1, keepdim=True))).round().long()
    return between.cumsum(-1) + patch * torch.arange(n_patches, device=weights.device)


def mask_patches(x: Tensor, starts: Tensor, patch: int) -> Tensor:
    """Zero for ``patch`` samples from each of starts (batch, 1 or lead, n_patches) on; 1 = the same in all leads."""
    n_samples = x.shape[-1]
    ends = (starts + patch).clamp_max(n_samples)
    one = torch.ones((), dtype=torch.int8, device=x.device).expand(starts.shape)
    # Patches entered less patches left; one more place for those that end with the record.
    steps = torch.zeros((*starts.shape[:-1], n_samples + 1), dtype=torch.int8, device=x.device)
    steps = steps.scatter_add(-1, starts.clamp_max(n_samples), one).scatter_add(-1, ends, -one)
    return x.masked_fill(steps.cumsum(-1, dtype=torch.int8)[..., :n_samples] > 0, 0.0)


def mask_leads(x: Tensor, masked: Tensor) -> Tensor:
    """Zero in the leads where masked (batch, lead) is True."""
    return x.masked_fill(masked[..., None], 0.0)


@dataclass(frozen=True)
class MaskPatches(Augmentation):
    """``share`` of each record in patches of ``patch`` samples; of each lead by itself, or the same in all.

    Published (MMCL's code, 200 samples, 0.75), in no preset.
    """

    share: float = 0.75
    patch: int = 200
    mode: str = "random"

    def __post_init__(self) -> None:
        refuse_outside("share of mask_patches", self.share, 0, 1)
        refuse_not_whole("patch of mask_patches", self.patch, 1)
        refuse_unknown("mode of mask_patches", self.mode, ("random", "block"))

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """starts: (batch, lead or 1, n_patches)."""
        n_patches = round(self.share * shape[-1] / self.patch)
        if n_patches * self.patch > shape[-1]:
            raise UsageError(
                f"{n_patches} patches of {self.patch} do not fit into {shape[-1]} samples: lower the share or the patch"
            )
        weights = uniform((shape[0], shape[1] if self.mode == "random" else 1, n_patches + 1), generator)
        # A draw of all zeros has no proportions.
        return {"starts": patch_starts(weights.clamp_min(1e-9), shape[-1], self.patch)}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `mask_patches`."""
        return mask_patches(x, draws["starts"], self.patch)


@dataclass(frozen=True)
class MaskLeads(Augmentation):
    """Each lead masked with probability ``share``, at least one left (Oh et al. 2022, arXiv:2203.06889)."""

    share: float = 0.5

    def __post_init__(self) -> None:
        refuse_outside("share of mask_leads", self.share, 0, 1)

    def draw(self, shape: Shape, generator: Generator) -> Draws:
        """masked: (batch, lead) bool."""
        chance = uniform(shape[:2], generator)
        spared = torch.nn.functional.one_hot(chance.argmax(-1), shape[1]).bool()
        return {"masked": (chance < self.share) & ~spared}

    def apply(self, x: Tensor, draws: Draws) -> Tensor:
        """See `mask_leads`."""
        return mask_leads(x, draws["masked"])
