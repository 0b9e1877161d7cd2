"""Pools of tokens against loops and against torch's own attention."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cardioloom.errors import UsageError
from cardioloom.nn.pool import AttentionPool, MeanPool


def pool_of(query: str) -> AttentionPool:
    pool = AttentionPool(12, 3, query)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return pool.double()


def test_the_mean_is_that_of_a_loop():
    tokens = torch.randn(3, 5, 4)
    expected = torch.stack([(a + b + c + d + e) / 5 for a, b, c, d, e in tokens])
    torch.testing.assert_close(MeanPool()(tokens), expected)


@torch.no_grad()
@pytest.mark.parametrize("query", ["learned", "mean"])
def test_attention_pooling_is_that_of_a_loop(query: str):
    pool, tokens = pool_of(query), torch.randn(2, 7, 12, dtype=torch.float64)
    made, shares = pool(tokens), pool.weights(tokens)
    (wq, wk, wv), (bq, bk, bv) = pool.in_proj_weight.chunk(3), pool.in_proj_bias.chunk(3)
    for i in range(2):
        asked = wq @ (tokens[i].mean(0) if pool.query is None else pool.query[0, 0]) + bq
        mixed = torch.zeros(12, dtype=torch.float64)
        for head in range(3):
            own = slice(4 * head, 4 * head + 4)
            scores = torch.stack([asked[own] @ (wk @ token + bk)[own] for token in tokens[i]]) / 2
            share = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(shares[i, head], share)
            mixed[own] = sum(share[t] * (wv @ tokens[i, t] + bv)[own] for t in range(7))
        torch.testing.assert_close(made[i], pool.out_proj(mixed))


@torch.no_grad()
@pytest.mark.parametrize("query", ["learned", "mean"])
def test_states_are_those_of_torch(query: str):
    pool, tokens = pool_of(query), torch.randn(2, 7, 12, dtype=torch.float64)
    torchs = nn.MultiheadAttention(12, 3, batch_first=True).double().eval()
    state = {name: value for name, value in pool.state_dict().items() if name != "query"}
    torchs.load_state_dict(state, strict=True)
    asked = tokens.mean(1, keepdim=True) if pool.query is None else pool.query.expand(2, -1, -1)
    expected, weights = torchs(asked, tokens, tokens, average_attn_weights=False)
    torch.testing.assert_close(pool(tokens), expected[:, 0])
    torch.testing.assert_close(pool.weights(tokens), weights[:, :, 0])


@torch.no_grad()
@pytest.mark.parametrize("query", ["learned", "mean"])
def test_the_order_of_the_tokens_does_not_matter(query: str):
    pool, tokens = pool_of(query), torch.randn(2, 7, 12, dtype=torch.float64)
    torch.testing.assert_close(pool(tokens[:, torch.randperm(7)]), pool(tokens))


@pytest.mark.parametrize("query", ["learned", "mean"])
def test_every_parameter_learns(query: str):
    pool = pool_of(query)
    pool(torch.randn(4, 7, 12, dtype=torch.float64)).square().sum().backward()
    assert [name for name, p in pool.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_wrong_pools_are_refused():
    with pytest.raises(UsageError, match="5 heads for 12"):
        AttentionPool(12, 5)
    with pytest.raises(UsageError, match="'learned' or 'mean', got 'max'"):
        AttentionPool(12, 3, "max")  # type: ignore[arg-type]
