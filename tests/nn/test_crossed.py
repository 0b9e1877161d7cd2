"""The cross-modal autoencoder against its definition, token by token."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cardioloom.nn.crossed import NAMES, Crossed
from cardioloom.nn.paired import CINE_PAPER, ECG_PAPER
from cardioloom.nn.patch import patches
from cardioloom.nn.transformer import PatchEncoder

ECG = replace(ECG_PAPER, size=(2, 60), patch=(1, 20), width=16, depth=2, heads=4)
CINE = replace(CINE_PAPER, size=(4, 12, 12), patch=(2, 6, 6), width=16, depth=1, heads=4)


@pytest.fixture
def net() -> Crossed:
    torch.manual_seed(0)
    return Crossed(PatchEncoder(ECG), PatchEncoder(CINE), latent=8).double()


@pytest.fixture
def hearts() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(3, *ECG.size, dtype=torch.float64), torch.randn(3, *CINE.size, dtype=torch.float64)


@torch.no_grad()
def test_each_record_is_drawn_from_both_latent_vectors(net, hearts):
    """Every token of a decoder begins as the latent vector, to which its place alone is added."""
    found = net(*hearts)
    latents = {}
    for name, x, latent in zip(NAMES, hearts, found.latents, strict=True):
        mean = net.encoders[name](x).mean(1)
        latents[name] = mean @ net.to_latent[name].weight.T + net.to_latent[name].bias
        torch.testing.assert_close(latent, latents[name])
    drawn = iter(found.drawn)
    for name in NAMES:
        decoder, places = net.decoders[name], net.decoders[name].positions()
        for source in NAMES:
            made = next(drawn)
            for i in range(3):
                begin = decoder.embed.weight @ latents[source][i] + decoder.embed.bias
                tokens = torch.stack([begin + place for place in places])[None]
                for block in decoder.blocks:
                    tokens = block(tokens)
                torch.testing.assert_close(made[i], decoder.head(decoder.norm(tokens))[0])
    torch.testing.assert_close(found.targets[0], patches(hearts[0], ECG.patch))
    torch.testing.assert_close(found.targets[1], patches(hearts[1], CINE.patch))


@torch.no_grad()
def test_what_is_drawn_from_a_record_does_not_know_the_other(net, hearts):
    ecg, cine = hearts
    whole, other = net(ecg, cine), net(ecg, torch.zeros_like(cine))
    assert torch.equal(whole.drawn[0], other.drawn[0])  # ECG from ECG
    assert torch.equal(whole.drawn[2], other.drawn[2])  # cine from ECG
    assert not torch.allclose(whole.drawn[1], other.drawn[1])  # ECG from cine
    assert not torch.allclose(whole.drawn[3], other.drawn[3])  # cine from cine
    assert torch.equal(whole.latents[0], other.latents[0])


@torch.no_grad()
def test_shapes_are_those_of_the_patches(net, hearts):
    found = net(*hearts)
    assert [tuple(one.shape) for one in found.latents] == [(3, 8), (3, 8)]
    assert [tuple(one.shape) for one in found.drawn] == [(3, 6, 20)] * 2 + [(3, 8, 72)] * 2
    assert [tuple(one.shape) for one in found.targets] == [(3, 6, 20), (3, 8, 72)]


def test_every_weight_has_a_gradient(net, hearts):
    """Of the mask tokens it is 0, as nothing is masked: it must be there, since processes wait for each other's."""
    found = net(*hearts)
    (sum(one.square().sum() for one in found.drawn) + sum(one.square().sum() for one in found.latents)).backward()
    without = {name for name, p in net.named_parameters() if p.grad is None}
    still = {name for name, p in net.named_parameters() if p.grad is not None and not p.grad.any()}
    assert without == set()
    assert still == {f"decoders.{name}.mask_token" for name in NAMES}
