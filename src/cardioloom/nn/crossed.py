"""A cross-modal autoencoder: one latent vector a heart, from which each of two records can be drawn again.

Source: Radhakrishnan et al. 2023 (Nat Commun 14:2436): an encoder and a decoder a modality, all four ways from a record
to a record, and a contrastive term that pairs the latent vectors. The encoders and decoders here are those of the
other methods, so that the objectives are compared and not the nets.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cardioloom.nn.masked import Decoder
from cardioloom.nn.pool import MeanPool
from cardioloom.nn.transformer import PatchEncoder, initialised

NAMES = ("ecg", "cine")
HEADS = 4  # of the decoders' block


class Crossing(NamedTuple):
    """What a cross-modal autoencoder made of pairs.

    latents: (batch, latent) of the ECG and of the cine.
    drawn: ECG from ECG, ECG from cine, cine from ECG, cine from cine: (batch, token, values).
    targets: (batch, token, values) of the ECG and of the cine.
    """

    latents: tuple[Tensor, Tensor]
    drawn: tuple[Tensor, Tensor, Tensor, Tensor]
    targets: tuple[Tensor, Tensor]


class Crossed(nn.Module):
    """Two encoders, a latent space, two decoders.

    Args:
        ecg, cine: encoders, kept under these names.
        latent: width of the latent vector.
    """

    def __init__(self, ecg: PatchEncoder, cine: PatchEncoder, *, latent: int = 256):
        super().__init__()
        self.encoders = nn.ModuleDict({"ecg": ecg, "cine": cine})
        self.pool = MeanPool()
        self.to_latent = nn.ModuleDict(
            {name: nn.Linear(one.width, latent) for name, one in (("ecg", ecg), ("cine", cine))}
        )
        self.to_latent.apply(initialised)
        self.decoders = nn.ModuleDict()
        for name, encoder in (("ecg", ecg), ("cine", cine)):
            self.decoders[name] = Decoder(
                encoder.positions,
                encoder_width=latent,
                width=encoder.width // 2,
                n_values=encoder.embedding.n_values,
                depth=1,
                heads=HEADS,
            )

    def forward(self, ecg: Tensor, cine: Tensor) -> Crossing:
        """(batch, lead, time), (batch, frame, row, column): the same hearts in the same order."""
        given = {"ecg": ecg, "cine": cine}
        latents = {name: self.to_latent[name](self.pool(self.encoders[name](x))) for name, x in given.items()}
        drawn = [self._drawn(latents[source], name) for name in NAMES for source in NAMES]
        targets = [self.encoders[name].embedding.cut(given[name]) for name in NAMES]  # type: ignore[union-attr]
        return Crossing((latents["ecg"], latents["cine"]), tuple(drawn), tuple(targets))  # type: ignore[arg-type]

    def _drawn(self, latent: Tensor, name: str) -> Tensor:
        """Every token begins as the latent vector at its place."""
        n_tokens = self.encoders[name].n_tokens
        everywhere = torch.arange(n_tokens, device=latent.device).expand(len(latent), -1)  # type: ignore[call-overload]
        return self.decoders[name](latent[:, None].expand(-1, n_tokens, -1), everywhere)  # type: ignore[arg-type]
