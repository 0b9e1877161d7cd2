"""The packed form of Net1D gives what Net1D gives, at any length and stride."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.nn import packed
from cardioloom.nn.conv import Net1D
from cardioloom.nn.packed import pack
from nn.test_conv import nets

SMALL = {
    "in_channels": 2,
    "base_filters": 8,
    "ratio": 1,
    "filter_list": [8, 16],
    "m_blocks_list": [2, 1],
    "kernel_size": 4,
    "stride": 2,
    "groups_width": 4,
    "n_classes": 3,
}


def made(config: dict[str, Any], seed: int = 0) -> Net1D:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net1D(**config).eval().requires_grad_(False)


def inputs(batch: int, leads: int, time: int) -> torch.Tensor:
    """Negative samples at the ends tell zeros from minus infinity."""
    return torch.randn(batch, leads, time, generator=torch.Generator().manual_seed(time)) - 1.0


@settings(max_examples=30)
@given(config=nets(), time=st.integers(1, 90), batch=st.integers(1, 3))
def test_any_net_at_any_length_agrees_with_the_structure_as_released(config: dict[str, Any], time: int, batch: int):
    net = made(config | {"use_bn": False})
    x = inputs(batch, config["in_channels"], time)
    with torch.inference_mode():
        for found, expected in zip(pack(net)(x), net(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("time", [9, 36, 54, 90])
def test_a_pool_of_three_begins_with_a_zero_at_every_length(time: int):
    net = made(SMALL | {"stride": 3})
    x = inputs(2, 2, time)
    with torch.inference_mode():
        for found, expected in zip(pack(net)(x), net(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_given_samples_are_not_written_to():
    x = inputs(1, 2, 64)
    before = x.clone()
    with torch.inference_mode():
        pack(made(SMALL))(x)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_a_net_whose_norms_are_applied_is_left_as_it_is():
    net = made(SMALL | {"use_bn": True})
    assert pack(net) is net


@pytest.mark.parametrize("time", [37, 64])
def test_a_wide_convolution_is_cut_into_slices(time: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed, "PAGE", 16)
    monkeypatch.setattr(packed, "SLICE", 8)
    net = made(SMALL | {"filter_list": [8, 32], "groups_width": 4})
    x = inputs(3, 2, time)
    with torch.inference_mode():
        fast = pack(net)
        assert {len(block.conv2.weights) for block in fast.blocks} == {1, 4}
        for found, expected in zip(fast(x), net(x), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
