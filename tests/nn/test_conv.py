"""Net1D: the goldens of the released class, a plain second implementation, and the traps between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from cardioloom.nn.conv import Net1D, same_padding, shortcut
from nn.plain_net1d import net1d

SMALL = ("small_12lead_nobn", "small_12lead_bn", "small_1lead_nobn")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}  # of the goldens


def config_of(path: Path) -> dict[str, Any]:
    """The constructor's arguments as stored beside a golden, without those that only print."""
    values = json.loads(path.read_text())["constructor"]
    return {name: value for name, value in values.items() if name != "verbose"}


def small(shared: Path, name: str) -> tuple[dict[str, torch.Tensor], dict[str, Any], dict[str, np.ndarray]]:
    """State, configuration, inputs and outputs of a small golden net."""
    folder = shared / "golden" / "ecgfounder"
    state = load_file(folder / f"{name}_open.safetensors")
    with np.load(folder / f"{name}_open_io.npz") as file:
        return state, config_of(folder / f"{name}_open_config.json"), dict(file)


def net_of(state: dict[str, torch.Tensor], config: dict[str, Any]) -> Net1D:
    net = Net1D(**config).eval()
    net.load_state_dict(state, strict=True)
    return net


def furthest(a: tuple[torch.Tensor, ...], b: tuple[torch.Tensor, ...]) -> float:
    assert [x.shape for x in a] == [x.shape for x in b]
    return max(float((x - y).detach().abs().max()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", SMALL)
def test_the_small_nets_give_their_goldens(shared: Path, name: str, dtype: torch.dtype):
    state, config, golden = small(shared, name)
    net = net_of(state, config).to(dtype)
    ending = "_f64" if dtype is torch.float64 else ""
    inputs = [key for key in golden if key.startswith("x")]
    assert len(inputs) >= 2
    for key in inputs:
        x = torch.from_numpy(golden[key]).to(dtype)
        expected = tuple(torch.from_numpy(golden[f"{what}{key[1:]}{ending}"]) for what in ("logits", "features"))
        with torch.inference_mode():
            assert furthest(net(x), expected) <= TOLERANCE[dtype]
        assert furthest(net1d(state, config, x), expected) <= TOLERANCE[dtype]


@pytest.mark.parametrize("leads", [12, 1])
def test_names_order_and_shapes_are_those_of_the_released_checkpoints(shared: Path, leads: int):
    path = shared / "golden" / "ecgfounder" / f"net1d_{leads}lead_keys.json"
    listed = json.loads(path.read_text())
    with torch.device("meta"):
        net = Net1D(**config_of(path))
    own = [(name, list(t.shape), str(t.dtype).removeprefix("torch.")) for name, t in net.state_dict().items()]
    assert own == [(key["name"], key["shape"], key["dtype"]) for key in listed["keys"]]
    assert len(own) == listed["n_state_tensors"]
    assert sum(p.numel() for p in net.parameters()) == listed["n_parameters"]


@pytest.mark.parametrize("name", SMALL[:1])
def test_a_state_of_another_net_does_not_load(shared: Path, name: str):
    state, config, _ = small(shared, name)
    net = Net1D(**config | {"n_classes": 149})
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(state, strict=True)
    missing = {key: value for key, value in state.items() if "bn2" not in key}
    with pytest.raises(RuntimeError, match="Missing key"):
        Net1D(**config).load_state_dict(missing, strict=True)


# Each of these mistakes gives plausible numbers; the distance is what the goldens' tolerance of 1e-5 has to notice.


def test_trap_batch_norm_that_is_stored_must_not_be_applied(shared: Path):
    state, config, golden = small(shared, "small_12lead_nobn")
    x = torch.from_numpy(golden["x0"])
    right, wrong = net1d(state, config, x), net1d(state, config, x, norm=True)
    assert furthest(right, wrong) > 0.1
    assert furthest(net_of(state, config)(x), right) < 1e-5
    assert furthest(net_of(state, config | {"use_bn": True})(x), wrong) < 1e-5


def test_trap_pooling_with_minus_infinity_differs_at_odd_lengths(shared: Path):
    state, config, golden = small(shared, "small_12lead_nobn")
    x = torch.from_numpy(golden["x1"])
    assert x.shape[-1] % 2 == 1
    right, wrong = net1d(state, config, x), net1d(state, config, x, outside=-torch.inf)
    assert furthest(right, wrong) > 1e-4
    assert furthest(net_of(state, config)(x), right) < 1e-5
    below = -torch.rand(1, 3, 7) - 0.5
    assert torch.equal(shortcut(below, 2, 3)[:, :, -1], torch.zeros(1, 3))  # a zero that no sample has


def test_trap_the_first_block_has_no_activation_in_front(shared: Path):
    state, config, golden = small(shared, "small_1lead_nobn")
    x = torch.from_numpy(golden["x0"])
    right, wrong = net1d(state, config, x), net1d(state, config, x, first_is_like_others=True)
    assert furthest(right, wrong) > 1e-3
    assert furthest(net_of(state, config)(x), right) < 1e-5


def test_trap_leads_in_another_order_give_other_numbers(shared: Path):
    state, config, golden = small(shared, "small_12lead_nobn")
    x = torch.from_numpy(golden["x0"])
    net = net_of(state, config)
    swapped = x[:, [0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, 11]]  # aVF before aVL, as in MIMIC-IV
    assert furthest(net(x), net(swapped)) > 1e-2


def test_trap_the_odd_sample_of_padding_goes_right():
    assert same_padding(5000, 16, 2) == (7, 7)
    assert same_padding(5000, 16, 1) == (7, 8)
    assert same_padding(4999, 16, 2) == (7, 8)
    assert same_padding(1, 16, 2) == (7, 8)
    assert same_padding(37, 1, 1) == (0, 0)
    assert same_padding(9, 2, 3) == (0, 0)  # a stride that leaves samples out needs none


def test_trap_new_channels_are_split_front_and_back():
    x = torch.ones(1, 3, 4)
    assert shortcut(x, 1, 8)[0, :, 0].tolist() == [0, 0, 1, 1, 1, 0, 0, 0]
    assert torch.equal(shortcut(x, 1, 3), x)


def test_trap_a_pool_of_three_begins_with_a_zero_at_every_length():
    """As released; a pool that is padded like the convolutions would begin with the first sample at length 9."""
    x = -torch.arange(1.0, 10.0)[None, None]
    assert shortcut(x, 3, 1)[0, 0].tolist() == [0, -3, -6]
    assert shortcut(x[:, :, :8], 3, 1)[0, 0].tolist() == [0, -3, -6]
    assert shortcut(x[:, :, :7], 3, 1)[0, 0].tolist() == [0, -3, 0]


def test_dropout_and_norm_are_for_training_alone():
    torch.manual_seed(0)
    config = {"base_filters": 4, "ratio": 1, "filter_list": [4], "m_blocks_list": [2], "kernel_size": 4, "stride": 2}
    config |= {"in_channels": 2, "groups_width": 2, "n_classes": 3}
    net, x = Net1D(**config, use_do=True), torch.randn(2, 2, 50)
    assert furthest(net.train()(x), net.train()(x)) > 0
    still = Net1D(**config, use_do=False).eval()
    still.load_state_dict(net.state_dict())
    assert furthest(net.eval()(x), still(x)) == 0


@st.composite
def nets(draw: st.DrawFn) -> dict[str, Any]:
    """A small configuration that the released class can build."""
    width = draw(st.sampled_from([1, 2, 4]))
    n_stages = draw(st.integers(1, 3))
    growth = [draw(st.integers(0, 2)) for _ in range(n_stages)]
    base = width * draw(st.integers(1, 3))
    filters = [base + width * sum(growth[: i + 1]) for i in range(n_stages)]
    filters = [max(2, channels) for channels in filters] if width == 1 else filters  # squeeze-excite halves it
    return {
        "in_channels": draw(st.integers(1, 12)),
        "base_filters": min(base, filters[0]),
        "ratio": draw(st.sampled_from([1, 2])),
        "filter_list": filters,
        "m_blocks_list": [draw(st.integers(1, 2)) for _ in filters],
        "kernel_size": draw(st.integers(1, 17)),
        "stride": draw(st.integers(1, 4)),
        "groups_width": width,
        "n_classes": draw(st.integers(1, 5)),
        "use_bn": draw(st.booleans()),
    }


@settings(max_examples=30)
@given(config=nets(), time=st.integers(1, 90), batch=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_any_net_at_any_length_agrees_with_the_plain_one(config: dict[str, Any], time: int, batch: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    net = Net1D(**config).double().eval()
    state = {}
    for name, value in net.state_dict().items():
        drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        drawn = drawn.abs() + 0.5 if "running_var" in name else drawn
        state[name] = drawn.to(value.dtype) if value.dtype.is_floating_point else value
        if name.endswith("conv.weight") or name.endswith("fc1.weight") or name.endswith("fc2.weight"):
            state[name] = state[name] / np.sqrt(value[0].numel())
    net.load_state_dict(state)
    x = torch.randn(batch, config["in_channels"], time, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        ours = net(x)
    theirs = net1d(state, config, x)
    scale = max(1.0, float(theirs[0].abs().max()), float(theirs[1].abs().max()))
    assert furthest(ours, theirs) < 1e-10 * scale


@given(time=st.integers(1, 6000), kernel=st.integers(1, 40), stride=st.integers(1, 5))
def test_same_padding_gives_the_positions_it_promises(time: int, kernel: int, stride: int):
    left, right = same_padding(time, kernel, stride)
    positions = -(-time // stride)
    assert 0 <= right - left <= 1 or (left, right) == (0, 0)
    assert (time + left + right - kernel) // stride + 1 >= positions
    if left + right:
        assert (time + left + right - kernel) // stride + 1 == positions
