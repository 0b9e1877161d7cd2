"""A masked autoencoder round any encoder of patches; what to make of its prediction is left to the objective.

Source: He et al. 2022 (arXiv:2111.06377); one decoder block of four heads as PTACL (Selivanov et al. 2025,
arXiv:2506.20683). The paper does not give the decoder's width: half the encoder's here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.position import STD, LearnedPositions
from cardioloom.nn.transformer import EPS, Block, PatchEncoder, initialised, taken


class Masking(NamedTuple):
    """Which tokens of each input are seen.

    visible: (batch, n visible) indices.
    restore: (batch, token): where each token lies in the row of the visible followed by the masked ones.
    masked: (batch, token), True where a token is not seen.
    """

    visible: Tensor
    restore: Tensor
    masked: Tensor


class Reconstruction(NamedTuple):
    """What a masked autoencoder made of its input.

    predicted, target: (batch, token, values of a patch).
    masked: (batch, token), True where the encoder did not see the target.
    """

    predicted: Tensor
    target: Tensor
    masked: Tensor


def n_visible(n_tokens: int, ratio: float) -> int:
    """Tokens left when a share of them is masked, to the nearest whole.

    Raises:
        UsageError: a share that leaves no token or masks none.
    """
    kept = n_tokens - round(n_tokens * ratio) if 0 < ratio < 1 else 0
    if not 0 < kept < n_tokens:
        raise UsageError(
            f"A mask hides some of the tokens and leaves some, got a share of {ratio} of {n_tokens}: "
            f"give a share between 0 and 1 that does"
        )
    return kept


def masking(draws: Tensor, kept: int) -> Masking:
    """The ``kept`` tokens with the smallest draws are seen.

    Args:
        draws: (batch, token), uniform and independent, so that every set of tokens is as likely as any other.
    """
    order = draws.argsort(dim=1, stable=True)
    restore = order.argsort(dim=1)
    return Masking(order[:, :kept], restore, restore >= kept)


class Decoder(nn.Module):
    """Predicts the values of every patch from the visible tokens.

    Args:
        positions: the encoder's, whose grid and tables are copied in shape: the decoder learns its own.
        encoder_width, width: of the tokens that come in and of the decoder's own.
        n_values: of a patch.
        depth, heads: of the blocks.
    """

    def __init__(
        self, positions: LearnedPositions, *, encoder_width: int, width: int, n_values: int, depth: int, heads: int
    ):
        super().__init__()
        self.embed = nn.Linear(encoder_width, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = LearnedPositions(positions.grid, positions.parts, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.head = nn.Linear(width, n_values)
        self.apply(initialised)
        nn.init.trunc_normal_(self.mask_token, std=STD)

    def forward(self, visible: Tensor, restore: Tensor) -> Tensor:
        """(batch, n visible, encoder width), (batch, token) → (batch, token, values of a patch)."""
        batch, n_tokens = restore.shape
        seen = self.embed(visible)
        unseen = self.mask_token.to(seen.dtype).expand(batch, n_tokens - seen.shape[1], -1)
        tokens = taken(torch.cat([seen, unseen], dim=1), restore) + self.positions()
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens))


class MaskedAutoencoder(nn.Module):
    """Hides a share of the patches, encodes the others and predicts what was hidden.

    Args:
        encoder: kept as ``encoder``; the decoder is thrown away after the training.
        ratio: share of the tokens that is hidden.
        depth, heads, width: of the decoder; width None: half the encoder's.

    Raises:
        UsageError: as `n_visible`; a width that the heads do not divide.
    """

    def __init__(
        self, encoder: PatchEncoder, *, ratio: float, depth: int = 1, heads: int = 4, width: int | None = None
    ):
        super().__init__()
        self.encoder, self.ratio = encoder, ratio
        self.n_visible = n_visible(encoder.n_tokens, ratio)
        self.decoder = Decoder(
            encoder.positions,
            encoder_width=encoder.width,
            width=encoder.width // 2 if width is None else width,
            n_values=encoder.embedding.n_values,
            depth=depth,
            heads=heads,
        )

    def forward(self, x: Tensor, draws: Tensor) -> Reconstruction:
        """Predicts every patch from the visible ones.

        Args:
            x: (batch, *size of the encoder).
            draws: (batch, token), uniform in [0, 1); they alone decide what is hidden.

        Raises:
            UsageError: inputs of another size, draws of another shape.
        """
        if draws.shape != (len(x), self.encoder.n_tokens):
            raise UsageError(
                f"A mask needs one draw a token, {(len(x), self.encoder.n_tokens)}, got {tuple(draws.shape)}: "
                f"draw them for this encoder"
            )
        masks = masking(draws, self.n_visible)
        predicted = self.decoder(self.encoder(x, masks.visible), masks.restore)
        return Reconstruction(predicted, self.encoder.embedding.cut(x), masks.masked)
