"""From the tokens of an input to one vector."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.position import STD


class MeanPool(nn.Module):
    """The mean of the tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, token, width) → (batch, width)."""
        return tokens.mean(1)


class AttentionPool(nn.Module):
    """Attention of several heads from one query to the tokens. Parameters have the names of `nn.MultiheadAttention`.

    Args:
        width, heads: the heads divide the width.
        query: "learned": one vector that the training finds (Lee et al. 2019, arXiv:1810.00825; Yu et al. 2022,
            arXiv:2205.01917); "mean": the mean of the tokens, as the ECG encoders that PTACL descends from.

    Raises:
        UsageError: heads that do not divide the width, a query of another name.
    """

    def __init__(self, width: int, heads: int, query: Literal["learned", "mean"] = "learned"):
        super().__init__()
        if width % heads:
            raise UsageError(f"The heads divide the width evenly, got {heads} heads for {width}: change one of them")
        if query not in ("learned", "mean"):
            raise UsageError(f"The query of an attention pool is 'learned' or 'mean', got {query!r}: name one of them")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        self.query = nn.Parameter(torch.empty(1, 1, width)) if query == "learned" else None
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)
        if self.query is not None:
            nn.init.trunc_normal_(self.query, std=STD)

    @torch.no_grad()
    def begin_as_mean(self) -> None:
        """Weights with which the pool gives the mean of the tokens: a learned query of 0 asks every token alike.

        A head that was fitted to the mean is then as good at the first step of a fine-tuning as it was before (Kumar et
        al. 2022, arXiv:2202.10054, on what a fresh head does to pretrained features).

        Raises:
            UsageError: if the query is not learned.
        """
        if self.query is None:
            raise UsageError("only a learned query can begin as the mean, got the query 'mean': build it as 'learned'")
        self.query.zero_()
        width = self.out_proj.in_features
        for weight in (self.in_proj_weight[2 * width :], self.out_proj.weight):
            weight.copy_(torch.eye(width))
        self.in_proj_bias.zero_()
        self.out_proj.bias.zero_()

    def _parts(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        asked = tokens.mean(1, keepdim=True) if self.query is None else self.query.expand(tokens.shape[0], -1, -1)
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        query, key, value = (
            F.linear(x, weight, bias).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((asked, tokens, tokens), weights, biases, strict=True)
        )
        return query, key, value

    def weights(self, tokens: Tensor) -> Tensor:
        """(batch, token, width) → (batch, head, token): the share of each token; sums to 1 over the tokens."""
        query, key, _ = self._parts(tokens)
        return (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1).squeeze(2)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, token, width) → (batch, width)."""
        mixed = F.scaled_dot_product_attention(*self._parts(tokens))  # (batch, head, 1, width / heads)
        return self.out_proj(mixed.flatten(1))
