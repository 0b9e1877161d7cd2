"""A published ECG encoder that learned from crops, used on longer windows: the mean over crops that cover them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.ancestors import Pool, PublishedViT

How = Literal["cls", "global", "attention", "normed"]


def crop_starts(n_samples: int, size: int) -> tuple[int, ...]:
    """First samples of the fewest crops that cover a window, evenly spread: of two halves, 0 and the middle.

    Raises:
        UsageError: if a crop is longer than the window.
    """
    if not 0 < size <= n_samples:
        raise UsageError(f"A crop must lie in its window of {n_samples} samples, got {size}: use a longer window")
    n_crops = -(-n_samples // size)
    return tuple(round(i * (n_samples - size) / max(1, n_crops - 1)) for i in range(n_crops))


class CroppedEncoder(nn.Module):
    """Features of a window: the mean over the features of its crops. There is no head, so there are no outputs.

    Args:
        img_size: (1, lead, time) of a crop.
        patch_size, embed_dim, depth, num_heads: as `PublishedViT`'s.
        pool: of a crop's tokens: as `PublishedViT`'s; or "normed": the mean of the patch tokens after the last norm,
            which the published autoencoder compares in its training.

    Raises:
        UsageError: a pool of another name, sizes that do not fit together.
    """

    def __init__(
        self,
        *,
        img_size: Sequence[int],
        patch_size: Sequence[int],
        embed_dim: int,
        depth: int,
        num_heads: int,
        pool: How,
    ):
        super().__init__()
        if pool not in get_args(How):
            raise UsageError(f"The pool must be one of {', '.join(get_args(How))}, got {pool!r}: name one of them")
        channels, leads, self.size = img_size
        if channels != 1:
            raise UsageError(f"An ECG has one channel of leads, got img_size {[*img_size]}: write [1, lead, time]")
        rows, columns = patch_size
        self.is_normed = pool == "normed"
        self.encoder = PublishedViT(
            img_size=(channels, leads, self.size),
            patch_size=(rows, columns),
            num_classes=1,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            pool="cls" if self.is_normed else cast("Pool", pool),
        )
        del self.encoder.head

    def features(self, crops: Tensor) -> Tensor:
        """(crop, 1, lead, time) → (crop, width)."""
        if self.is_normed:
            return self.encoder.norm(self.encoder.tokens(crops))[:, 1:].mean(1)
        return self.encoder.features(crops)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(window, lead, time) → outputs (window, 0), features (window, width)."""
        starts = crop_starts(x.shape[-1], self.size)
        crops = torch.stack([x[..., start : start + self.size] for start in starts], dim=1)
        each = self.features(crops.flatten(0, 1)[:, None])
        features = each.unflatten(0, (-1, len(starts))).mean(1)
        return features[:, :0], features
