"""An encoder with its head: crops, pools, and that its configuration survives JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from cardioloom.errors import ModelError, UsageError
from cardioloom.models.nets import skeleton
from cardioloom.nn.paired import CINE_PAPER, ECG_PAPER
from cardioloom.nn.readout import Readout, config_of

ECG = replace(ECG_PAPER, size=(2, 100), patch=(1, 20), width=16, depth=2, heads=4)
CINE = replace(CINE_PAPER, size=(4, 12, 12), patch=(2, 6, 6), width=16, depth=1, heads=4)


def net_of(pool: str = "mean", n_outputs: int = 3) -> Readout:
    """In float64, with a pool that is no longer what it began as."""
    net = Readout(ECG, pool, n_outputs).double()
    with torch.no_grad():
        for parameter in net.pool.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


@torch.no_grad()
@pytest.mark.parametrize("pool", ["mean", "attention"])
@pytest.mark.parametrize("n_crops", [1, 2, 3])
def test_features_of_a_longer_input_are_the_mean_over_its_crops(pool: str, n_crops: int):
    net, x = net_of(pool), torch.randn(5, 2, 100 * n_crops, dtype=torch.float64)
    outputs, features = net(x)
    for i in range(5):
        each = [net.pool(net.encoder(x[i : i + 1, :, 100 * n : 100 * n + 100]))[0] for n in range(n_crops)]
        mean = sum(each) / n_crops
        torch.testing.assert_close(features[i], mean)
        torch.testing.assert_close(outputs[i], net.head.weight @ mean + net.head.bias)
    assert (outputs.shape, features.shape) == ((5, 3), (5, 16))


@torch.no_grad()
def test_the_order_of_the_crops_does_not_matter():
    net, x = net_of("attention"), torch.randn(3, 2, 200, dtype=torch.float64)
    swapped = torch.cat([x[..., 100:], x[..., :100]], dim=-1)
    torch.testing.assert_close(net(swapped), net(x))
    assert not torch.allclose(net(x.roll(10, dims=-1))[0], net(x)[0])  # what lies in a crop does matter


@torch.no_grad()
def test_a_cine_is_one_crop():
    net = Readout(CINE, "mean", 2)
    x = torch.randn(3, 4, 12, 12)
    torch.testing.assert_close(net(x)[1], net.encoder(x).mean(1))


@torch.no_grad()
def test_a_pool_that_begins_as_the_mean_gives_the_mean():
    net, x = net_of("attention"), torch.randn(4, 2, 100, dtype=torch.float64)
    tokens = net.encoder(x)
    assert not torch.allclose(net.pool(tokens), tokens.mean(1), atol=1e-3)
    net.pool.begin_as_mean()
    torch.testing.assert_close(net.pool(tokens), tokens.mean(1), rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(net.pool.weights(tokens), torch.full((4, 4, 10), 0.1, dtype=torch.float64))


def test_a_pool_that_begins_as_the_mean_can_leave_it():
    """The query is 0, not stuck there: the first steps move it, and then what it asks the keys for."""
    net, x = net_of("attention"), torch.randn(8, 2, 100, dtype=torch.float64)
    net.pool.begin_as_mean()
    optimizer = torch.optim.SGD(net.pool.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(x)[0].square().sum().backward()
        optimizer.step()
    shares = net.pool.weights(net.encoder(x)).detach()
    assert float((shares - 0.1).abs().max()) > 1e-4
    _, keys, _ = net.pool.in_proj_weight.grad.chunk(3)
    assert keys.any()


@torch.no_grad()
@pytest.mark.parametrize("pool", ["mean", "attention"])
def test_the_configuration_survives_json(pool: str):
    net = net_of(pool)
    config = json.loads(json.dumps(config_of(ECG, pool, 3)))
    again = Readout.of(config).double()
    assert again.encoder.config == ECG
    again.load_state_dict(net.state_dict(), strict=True)
    x = torch.randn(2, 2, 200, dtype=torch.float64)
    torch.testing.assert_close(again(x), net(x))


@pytest.mark.parametrize("length", [0, 50, 150, 201])
def test_what_is_no_whole_number_of_crops_is_refused(length: int):
    with pytest.raises(UsageError, match=f"takes whole crops of 100, got {length}: crop or resample"):
        net_of()(torch.randn(2, 2, length, dtype=torch.float64))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pool": "max"}, "the pool must be one of mean, attention, got 'max'"),
        ({"heads": 5}, "5 heads for 16"),
        ({"patch": [1, 30]}, "cut into patches of"),
        ({"positions": [[0]]}, "belongs to one table"),
        ({"colour": 1}, "colour is no value of an encoder"),
        ({"size": None}, "cannot be"),
        ({"width": "16"}, "cannot be"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(change: dict, said: str):
    """By the net, or by the folder that names it."""
    with pytest.raises((ModelError, UsageError), match=said):
        skeleton("Readout", {**config_of(ECG, "mean", 3), **change})


@pytest.mark.parametrize("name", ["size", "patch", "positions", "pool", "n_outputs", "width"])
def test_a_configuration_that_lacks_a_value_is_refused(name: str):
    config = {key: value for key, value in config_of(ECG, "mean", 3).items() if key != name}
    with pytest.raises(ModelError, match=rf"it lacks {name}\): get the folder again"):
        skeleton("Readout", config)
