"""Blocks against attention written out, and an encoder that sees the visible tokens only."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.transformer import Attention, Block, EncoderConfig, PatchEncoder, n_parameters

SMALL = EncoderConfig(size=(3, 20), patch=(1, 5), positions=((0,), (1,)), width=16, depth=3, heads=4)


def shaken(module: nn.Module) -> nn.Module:
    """Biases and norms that start as 0 and 1 made visible."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module.double()


def attention(x: Tensor, attn: Attention) -> tuple[Tensor, Tensor]:
    """softmax(QKᵀ / √d) V, a record, a head, a token at a time."""
    width = x.shape[-1] // attn.heads
    mixed, weights = torch.zeros_like(x), x.new_zeros(len(x), attn.heads, x.shape[1], x.shape[1])
    for i, tokens in enumerate(x):
        weights3, biases3 = attn.qkv.weight.chunk(3), attn.qkv.bias.chunk(3)
        query, key, value = (tokens @ w.T + b for w, b in zip(weights3, biases3, strict=True))
        for head in range(attn.heads):
            own = slice(head * width, (head + 1) * width)
            for t in range(len(tokens)):
                scores = torch.stack([(query[t, own] * k).sum() for k in key[:, own]]) / width**0.5
                share = scores.exp() / scores.exp().sum()
                weights[i, head, t] = share
                mixed[i, t, own] = sum(share[j] * value[j, own] for j in range(len(tokens)))
    return mixed @ attn.proj.weight.T + attn.proj.bias, weights


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / ((centred**2).mean(-1, keepdim=True) + 1e-6).sqrt() * layer.weight + layer.bias


def block(x: Tensor, part: Block) -> Tensor:
    x = x + attention(norm(x, part.norm1), part.attn)[0]
    hidden = norm(x, part.norm2) @ part.mlp.fc1.weight.T + part.mlp.fc1.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    return x + hidden @ part.mlp.fc2.weight.T + part.mlp.fc2.bias


def encoder(config: EncoderConfig = SMALL) -> PatchEncoder:
    net = PatchEncoder(config)
    shaken(net)
    return net


@torch.no_grad()
def test_attention_is_that_of_a_loop():
    attn, x = Attention(12, 3), torch.randn(2, 5, 12, dtype=torch.float64)
    shaken(attn)
    expected, weights = attention(x, attn)
    torch.testing.assert_close(attn(x), expected)
    torch.testing.assert_close(attn.weights(x), weights)
    torch.testing.assert_close(attn.weights(x).sum(-1), torch.ones(2, 3, 5, dtype=torch.float64))


@torch.no_grad()
def test_the_encoder_is_a_loop_over_its_blocks():
    net, x = encoder(), torch.randn(2, 3, 20, dtype=torch.float64)
    tokens = torch.stack(
        [
            torch.stack([net.embedding.proj(x[i, lead, 5 * t : 5 * t + 5]) for lead in range(3) for t in range(4)])
            for i in range(2)
        ]
    )
    lead, time = net.positions.tables
    tokens = tokens + torch.stack([lead[i] + time[t] for i in range(3) for t in range(4)])
    for part in net.blocks:
        assert isinstance(part, Block)
        tokens = block(tokens, part)
    torch.testing.assert_close(net(x), norm(tokens, net.norm))
    assert net(x).shape == (2, net.n_tokens, net.width)


@torch.no_grad()
def test_all_tokens_visible_in_any_order_are_the_whole_input():
    net, x = encoder(), torch.randn(2, 3, 20, dtype=torch.float64)
    order = torch.stack([torch.randperm(12), torch.randperm(12)])
    expected = torch.stack([tokens[row] for tokens, row in zip(net(x), order, strict=True)])
    torch.testing.assert_close(net(x, order), expected)


def test_what_is_masked_is_never_seen():
    net, x = encoder(), torch.randn(2, 3, 20, dtype=torch.float64)
    visible = torch.tensor([[3, 0, 7], [11, 2, 5]])
    blocks = x.reshape(2, 12, 5).clone()  # patches of one lead: the rows of this view
    for i in range(2):
        for token in set(range(12)) - set(visible[i].tolist()):
            blocks[i, token] = float("nan")
    hidden = blocks.reshape(2, 3, 20).requires_grad_()
    seen = net(hidden, visible)
    assert torch.equal(seen, net(x, visible))
    seen.sum().backward()
    assert hidden.grad is not None
    touched = hidden.grad.reshape(2, 12, 5).ne(0).any(-1)
    assert touched.nonzero().tolist() == [[i, t] for i in range(2) for t in sorted(visible[i].tolist())]


def test_attention_runs_on_the_visible_tokens_only():
    net, lengths = encoder(), []
    for part in net.blocks:
        part.register_forward_hook(lambda module, args, output: lengths.append(args[0].shape[1]))
    net(torch.randn(2, 3, 20, dtype=torch.float64), torch.tensor([[0, 1], [2, 3]]))
    assert lengths == [2, 2, 2]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_frozen_blocks_and_what_lies_before_them_have_no_gradient(n: int):
    net = encoder()
    net.freeze(n)
    net(torch.randn(2, 3, 20, dtype=torch.float64)).square().sum().backward()
    frozen = {name for name, p in net.named_parameters() if p.grad is None}
    before = tuple(["embedding.", "positions.", *(f"blocks.{i}." for i in range(n))] if n else [])
    assert frozen == {name for name, _ in net.named_parameters() if before and name.startswith(before)}
    assert n_parameters(net, trained_only=True) == n_parameters(net) - sum(
        p.numel() for name, p in net.named_parameters() if name in frozen
    )


def test_products_in_half_precision_stay_near():
    net, x = PatchEncoder(SMALL), torch.randn(2, 3, 20)
    with torch.no_grad():
        exact = net(x)
        with torch.autocast("cpu", torch.bfloat16):
            near = net(x, torch.arange(12).expand(2, -1))
    assert F.cosine_similarity(near.float(), exact, dim=-1).min() > 0.999


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="5 heads for 16"):
        Block(16, 5)
    with pytest.raises(UsageError, match="freeze fewer"):
        PatchEncoder(SMALL).freeze(4)
    with pytest.raises(UsageError, match="takes inputs of"):
        PatchEncoder(SMALL)(torch.zeros(1, 3, 25))
