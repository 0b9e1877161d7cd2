"""The masked autoencoder: what is hidden, what is seen, and that the order comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import UsageError
from cardioloom.nn.masked import MaskedAutoencoder, masking, n_visible
from cardioloom.nn.transformer import Block, EncoderConfig, PatchEncoder, taken

ECG = EncoderConfig(size=(3, 20), patch=(1, 5), positions=((0,), (1,)), width=16, depth=2, heads=4)
CINE = EncoderConfig(size=(4, 6, 6), patch=(2, 3, 3), positions=((0,), (1, 2)), width=16, depth=2, heads=4)
SIZES = pytest.mark.parametrize("config", [ECG, CINE], ids=["ecg", "cine"])


def net_and_inputs(config: EncoderConfig, ratio: float = 0.75) -> tuple[MaskedAutoencoder, torch.Tensor, torch.Tensor]:
    net = MaskedAutoencoder(PatchEncoder(config), ratio=ratio)
    return net, torch.randn(2, *config.size), torch.rand(2, net.encoder.n_tokens)


@given(st.integers(1, 4), st.integers(2, 12), st.integers(0, 2**31))
def test_the_smallest_draws_are_seen_and_the_order_comes_back(batch: int, tokens: int, seed: int):
    draws = torch.rand(batch, tokens, generator=torch.Generator().manual_seed(seed))
    kept = 1 + seed % (tokens - 1)
    masks = masking(draws, kept)
    for i in range(batch):
        order = sorted(range(tokens), key=lambda token: float(draws[i, token]))
        assert masks.visible[i].tolist() == order[:kept]
        assert masks.masked[i].nonzero().flatten().tolist() == sorted(order[kept:])
        assert [order[place] for place in masks.restore[i].tolist()] == list(range(tokens))


def test_equal_draws_hide_the_last_tokens():
    assert masking(torch.zeros(1, 6), 2).visible.tolist() == [[0, 1]]


def test_every_token_is_hidden_as_often_as_the_others():
    draws = torch.rand(20_000, 12, generator=torch.Generator().manual_seed(1))
    often = masking(draws, 3).masked.float().mean(0)
    assert (often - 0.75).abs().max() < 4 * (0.75 * 0.25 / 20_000) ** 0.5


@pytest.mark.parametrize(("tokens", "ratio", "kept"), [(600, 0.75, 150), (637, 0.9, 64), (300, 0.8, 60), (12, 0.75, 3)])
def test_the_share_is_rounded_to_the_nearest_token(tokens: int, ratio: float, kept: int):
    assert n_visible(tokens, ratio) == kept


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 0.01, 0.99, float("nan")])
def test_a_mask_that_hides_all_or_nothing_is_refused(ratio: float):
    with pytest.raises(UsageError, match="hides some of the tokens"):
        n_visible(12, ratio)


@SIZES
def test_the_prediction_is_that_of_the_parts_put_together_by_hand(config: EncoderConfig):
    net, x, draws = net_and_inputs(config)
    decoder = net.decoder
    with torch.no_grad():
        made = net(x, draws)
        for i in range(2):
            order = draws[i].argsort()
            visible = order[: net.n_visible]
            seen = decoder.embed(net.encoder(x[i : i + 1], visible[None]))[0]
            tokens = decoder.mask_token[0].repeat(net.encoder.n_tokens, 1)
            for place, token in enumerate(visible.tolist()):
                tokens[token] = seen[place]
            tokens = (tokens + decoder.positions())[None]
            for block in decoder.blocks:
                tokens = block(tokens)
            torch.testing.assert_close(made.predicted[i], decoder.head(decoder.norm(tokens))[0])
            assert made.masked[i].nonzero().flatten().tolist() == sorted(order[net.n_visible :].tolist())
    assert torch.equal(made.target, net.encoder.embedding.cut(x))
    assert made.predicted.shape == made.target.shape


@SIZES
def test_what_is_hidden_does_not_change_the_prediction(config: EncoderConfig):
    net, x, draws = net_and_inputs(config)
    masks = masking(draws, net.n_visible)
    x.requires_grad_()
    net(x, draws).predicted.square().sum().backward()
    assert x.grad is not None
    touched = net.encoder.embedding.cut(x.grad).ne(0).any(-1)
    assert torch.equal(touched, ~masks.masked)
    with torch.no_grad():
        hidden = torch.where(x.grad == 0, torch.randn_like(x), x)
        assert torch.equal(net(hidden, draws).predicted, net(x, draws).predicted)
        assert not torch.equal(net(hidden, draws).target, net(x, draws).target)


@SIZES
def test_every_parameter_learns_and_the_target_does_not(config: EncoderConfig):
    net, x, draws = net_and_inputs(config)
    made = net(x, draws)
    assert not made.target.requires_grad
    ((made.predicted - made.target) ** 2)[made.masked].mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_draws_alone_decide_and_the_order_of_the_batch_does_not():
    net, x, draws = net_and_inputs(ECG)
    with torch.no_grad():
        both, turned = net(x, draws).predicted, net(x.flip(0), draws.flip(0)).predicted
        assert torch.equal(both, net(x, draws).predicted)
        torch.testing.assert_close(turned.flip(0), both)


def test_the_decoder_is_light():
    net, _, _ = net_and_inputs(ECG)
    assert net.decoder.embed.out_features == 8
    (block,) = net.decoder.blocks
    assert isinstance(block, Block)
    assert block.attn.heads == 4
    assert {id(p) for p in net.encoder.parameters()}.isdisjoint(id(p) for p in net.decoder.parameters())


def test_a_few_steps_of_training_predict_hidden_patches():
    net = MaskedAutoencoder(PatchEncoder(replace(ECG, width=32, depth=1)), ratio=0.5, width=32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    level = torch.randn(128, 1, 1)  # what one patch tells of all others
    x = level * torch.linspace(0.5, 1.5, 20) * torch.tensor([1.0, -1.0, 0.5])[:, None]
    shares = []
    for _ in range(100):
        made = net(x, torch.rand(128, 12))
        hidden = made.target[made.masked]
        loss = ((made.predicted[made.masked] - hidden) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shares.append(float(loss.detach() / hidden.square().mean()))  # 1 is what a prediction of 0 reaches
    assert shares[0] > 1
    assert sum(shares[-5:]) / 5 < 0.5


def test_wrong_draws_are_refused():
    net, x, _ = net_and_inputs(ECG)
    with pytest.raises(UsageError, match=r"one draw a token, \(2, 12\), got \(2, 11\)"):
        net(x, torch.rand(2, 11))


def test_taken_rows_are_those_named():
    tokens, which = torch.randn(2, 5, 3), torch.tensor([[4, 4, 0], [1, 2, 3]])
    assert torch.equal(taken(tokens, which), torch.stack([tokens[0, which[0]], tokens[1, which[1]]]))
