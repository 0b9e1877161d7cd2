"""Two encoders whose projected vectors are compared: an ECG's and a cine's, as in PTACL.

Source: Selivanov et al. 2025 (MICCAI, arXiv:2506.20683): mean-pooled tokens, a projection a modality. The paper gives
the number of layers, heads and parameters, not the width: 512 is the one that gives 19 M and 13 M. It gives neither
kind nor width of the projections: one linear layer to 256 here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.nn.pool import MeanPool
from cardioloom.nn.transformer import EncoderConfig, PatchEncoder, initialised

# 2500 samples of twelve leads; 26 frames of 84 × 84
ECG_PAPER = EncoderConfig(size=(12, 2500), patch=(1, 50), positions=((0,), (1,)), width=512, depth=6, heads=8)
CINE_PAPER = EncoderConfig(size=(26, 84, 84), patch=(2, 12, 12), positions=((0,), (1, 2)), width=512, depth=4, heads=8)
ECG_MASKED, CINE_MASKED = 0.75, 0.90  # shares that the autoencoders of the first stage hide
PROJECTION = 256


@dataclass(frozen=True)
class Encoded:
    """What one encoder says of its inputs.

    tokens: (batch, token, width), from which the local embeddings are made.
    pooled: (batch, width), the representation that probes and searches use.
    projected: (batch, projection), of length 1, compared by the global loss.
    """

    tokens: Tensor
    pooled: Tensor
    projected: Tensor


class Tower(nn.Module):
    """An encoder, the mean of its tokens and a projection.

    Args:
        encoder: from its own training, or new.
        projection: width of the compared vectors.
    """

    def __init__(self, encoder: PatchEncoder, projection: int = PROJECTION):
        super().__init__()
        self.encoder = encoder
        self.pool = MeanPool()
        self.projection = nn.Linear(encoder.width, projection)
        self.projection.apply(initialised)

    def forward(self, x: Tensor) -> Encoded:
        """(batch, *size) → tokens, pooled and projected vectors.

        Raises:
            UsageError: an input of another size.
        """
        tokens = self.encoder(x)
        pooled = self.pool(tokens)
        return Encoded(tokens, pooled, F.normalize(self.projection(pooled), dim=-1))


class Paired(nn.Module):
    """The two towers of a cohort of pairs; each can be used without the other.

    Args:
        ecg, cine: encoders from their own training, or new.
        projection: width of the compared vectors, the same on both sides.
        frozen_blocks: of each encoder, with what lies before them; 2 in the paper.

    Raises:
        UsageError: more frozen blocks than an encoder has.
    """

    def __init__(self, ecg: PatchEncoder, cine: PatchEncoder, *, projection: int = PROJECTION, frozen_blocks: int = 2):
        super().__init__()
        self.ecg, self.cine = Tower(ecg, projection), Tower(cine, projection)
        for tower in (self.ecg, self.cine):
            tower.encoder.freeze(frozen_blocks)

    def forward(self, ecg: Tensor, cine: Tensor) -> tuple[Encoded, Encoded]:
        """(batch, lead, time), (batch, frame, row, column): the same hearts in the same order.

        Raises:
            UsageError: an input of another size.
        """
        return self.ecg(ecg), self.cine(cine)
