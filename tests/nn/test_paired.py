"""Two towers: the sizes of the paper, what is frozen, and that the modalities stay apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cardioloom.nn.masked import MaskedAutoencoder
from cardioloom.nn.paired import CINE_MASKED, CINE_PAPER, ECG_MASKED, ECG_PAPER, Paired, Tower
from cardioloom.nn.transformer import EncoderConfig, PatchEncoder, n_parameters

ECG = replace(ECG_PAPER, size=(3, 100), width=16, depth=3, heads=4)
CINE = replace(CINE_PAPER, size=(4, 24, 24), width=16, depth=3, heads=4)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(5, *ECG.size), torch.randn(5, *CINE.size)


def paired(frozen: int = 2) -> Paired:
    return Paired(PatchEncoder(ECG), PatchEncoder(CINE), projection=8, frozen_blocks=frozen)


@pytest.mark.parametrize(
    ("config", "ratio", "tokens", "visible", "millions", "trained"),
    [(ECG_PAPER, ECG_MASKED, 12 * 50, 150, 19, 12.6), (CINE_PAPER, CINE_MASKED, 13 * 7 * 7, 64, 13, 6.3)],
    ids=["ecg", "cine"],
)
def test_the_paper_sizes_have_the_papers_counts(
    config: EncoderConfig, ratio: float, tokens: int, visible: int, millions: int, trained: float
):
    with torch.device("meta"):
        encoder = PatchEncoder(config)
        net = MaskedAutoencoder(encoder, ratio=ratio)
    assert (encoder.n_tokens, net.n_visible) == (tokens, visible)
    assert round(n_parameters(encoder) / 1e6) == millions
    encoder.freeze(2)
    assert round(n_parameters(encoder, trained_only=True) / 1e6, 1) == trained


def test_vectors_have_length_one_and_come_from_the_mean_of_the_tokens():
    net, (ecg, cine) = paired(), inputs()
    for tower, made, x in zip((net.ecg, net.cine), net(ecg, cine), (ecg, cine), strict=True):
        torch.testing.assert_close(made.tokens, tower.encoder(x))
        torch.testing.assert_close(made.pooled, made.tokens.mean(1))
        projected = made.pooled @ tower.projection.weight.T + tower.projection.bias
        torch.testing.assert_close(made.projected, projected / projected.norm(dim=1, keepdim=True))
        assert made.projected.shape == (5, 8)


def test_one_modality_does_not_change_the_other():
    net, (ecg, cine) = paired(), inputs()
    of_ecg, of_cine = net(ecg, cine)
    assert torch.equal(net(ecg, torch.zeros_like(cine))[0].projected, of_ecg.projected)
    assert torch.equal(net(torch.zeros_like(ecg), cine)[1].projected, of_cine.projected)
    assert torch.equal(net.ecg(ecg).projected, of_ecg.projected)
    assert {id(p) for p in net.ecg.parameters()}.isdisjoint(id(p) for p in net.cine.parameters())


@pytest.mark.parametrize("frozen", [0, 2])
def test_gradients_reach_what_is_not_frozen(frozen: int):
    net, (ecg, cine) = paired(frozen), inputs()
    of_ecg, of_cine = net(ecg, cine)
    (of_ecg.projected * of_cine.projected).sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None}
    before = tuple(
        f"{side}.encoder.{part}"
        for side in ("ecg", "cine")
        for part in ("embedding.", "positions.", "blocks.0.", "blocks.1.")
    )
    assert still == {name for name, _ in net.named_parameters() if frozen and name.startswith(before)}


def test_encoders_of_the_first_stage_are_taken_as_they_are():
    net = MaskedAutoencoder(PatchEncoder(ECG), ratio=ECG_MASKED)
    ecg, _ = inputs()
    assert Tower(net.encoder).encoder is net.encoder
    torch.testing.assert_close(Tower(net.encoder)(ecg).tokens, net.encoder(ecg))
