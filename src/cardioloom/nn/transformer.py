"""The vision transformer's blocks, and an encoder of patches that can be given the visible tokens only.

Sources: Vaswani et al. 2017 (attention, arXiv:1706.03762); Dosovitskiy et al. 2021 (ViT, norms before the parts,
arXiv:2010.11929); He et al. 2022 (the encoder sees what is visible only, arXiv:2111.06377). Parameters have the names
of timm's ViT, so that its checkpoints load.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.patch import PatchEmbedding
from cardioloom.nn.position import LearnedPositions

EPS = 1e-6  # of the layer norms, as in ViT


class Attention(nn.Module):
    """Self-attention of several heads.

    Raises:
        UsageError: a width that the heads do not divide.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise UsageError(f"The heads divide the width evenly, got {heads} heads for {width}: change one of them")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, head, token, width / heads) each
        return query, key, value

    def weights(self, x: Tensor) -> Tensor:
        """(batch, token, width) → (batch, head, token, token): how much each token takes of each; rows sum to 1."""
        query, key, _ = self._split(x)
        return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, width) → the same shape."""
        mixed = F.scaled_dot_product_attention(*self._split(x))
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU between, each token for itself."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, width) → the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention and perceptron, each after its norm and added to what came in.

    Args:
        width, heads: as `Attention`.
        mlp_ratio: hidden width of the perceptron as a multiple of the width.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, token, width) → the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def initialised(module: nn.Module) -> None:
    """Linear layers with uniform Xavier weights and no bias, as He et al. 2022; for `nn.Module.apply`.

    Keys begin as the queries, so that a token first asks those that are like it, in place and in what they hold, as
    Trockman & Kolter 2023 (arXiv:2305.09828) found in trained transformers. A masked autoencoder of ECGs then leaves
    the plateau on which it predicts zero after hundreds of steps.
    """
    if isinstance(module, Attention):
        query, key, _ = module.qkv.weight.data.chunk(3)
        key.copy_(query)
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def taken(tokens: Tensor, which: Tensor) -> Tensor:
    """(batch, token, width), (batch, n) indices → (batch, n, width)."""
    return tokens.gather(1, which[:, :, None].expand(-1, -1, tokens.shape[-1]))


@dataclass(frozen=True)
class EncoderConfig:
    """What `PatchEncoder` is built from.

    Args:
        size, patch: of the input and its blocks, without the batch, as `PatchEmbedding`.
        positions: the axes of each learned table, as `LearnedPositions`.
        width, depth, heads, mlp_ratio: of the blocks.
    """

    size: tuple[int, ...]
    patch: tuple[int, ...]
    positions: tuple[tuple[int, ...], ...]
    width: int = 512
    depth: int = 6
    heads: int = 8
    mlp_ratio: float = 4.0


class PatchEncoder(nn.Module):
    """Patches, positions, blocks and a last norm: one vector a token; there is no class token.

    Raises:
        UsageError: a configuration whose numbers do not fit together.
    """

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config, self.width = config, config.width
        self.embedding = PatchEmbedding(config.size, config.patch, config.width)
        self.positions = LearnedPositions(self.embedding.grid, config.positions, config.width)
        self.blocks = nn.ModuleList(Block(config.width, config.heads, config.mlp_ratio) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.apply(initialised)

    @property
    def n_tokens(self) -> int:
        """Tokens of a whole input."""
        return self.embedding.n_tokens

    def forward(self, x: Tensor, visible: Tensor | None = None) -> Tensor:
        """Tokens of the inputs, of the visible patches only where these are named.

        Args:
            x: (batch, *size).
            visible: (batch, n) indices of tokens. No other patch is embedded or attended to.

        Returns:
            (batch, n or all tokens, width), in the order of ``visible`` or of the grid.

        Raises:
            UsageError: an input of another size.
        """
        blocks, positions = self.embedding.cut(x), self.positions()
        if visible is None:
            tokens = self.embedding(blocks) + positions
        else:
            tokens = self.embedding(taken(blocks, visible)) + F.embedding(visible, positions)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def freeze(self, n_blocks: int) -> None:
        """Holds the first blocks fixed, and with them the embedding and positions, whose tokens they were trained on.

        Raises:
            UsageError: more blocks than there are.
        """
        if not 0 <= n_blocks <= len(self.blocks):
            raise UsageError(f"This encoder has {len(self.blocks)} blocks, got {n_blocks} to freeze: freeze fewer")
        if n_blocks:
            for part in (self.embedding, self.positions, *self.blocks[:n_blocks]):
                part.requires_grad_(False)


def n_parameters(module: nn.Module, *, trained_only: bool = False) -> int:
    """Numbers that a module holds, or that its training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained_only)
