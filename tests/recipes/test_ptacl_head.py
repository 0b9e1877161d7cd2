"""Least squares against numpy and scikit-learn, and the heads that are made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from cardioloom.errors import TrainingError, UsageError
from cardioloom.nn.paired import ECG_PAPER
from cardioloom.nn.readout import Readout
from cardioloom.recipes.pairs import Pairs
from cardioloom.recipes.place import Place, read_log
from cardioloom.recipes.ptacl_head import START_RIDGE, finetune, least_squares, mean_r2, probe, read
from cardioloom.recipes.ptacl_sizes import Length

ENCODER = replace(ECG_PAPER, patch=(12, 500), width=8, depth=1, heads=2)
STUDIES = 40


def table(n: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of very different spreads, and three targets with gaps."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, width)) * 10.0 ** random.integers(-2, 3, width) + random.normal(size=width)
    targets = features @ (random.normal(size=(width, 3)) / features.std(0)[:, None]) + random.normal(size=(n, 3))
    targets[random.random((n, 3)) < 0.2] = np.nan
    return features, targets


@pytest.mark.parametrize("n", [30, 200])
def test_least_squares_is_that_of_scikit_learn(n: int):
    features, targets = table(n, 6)
    weights, biases = least_squares(features, targets)
    for k, column in enumerate(targets.T):
        known = ~np.isnan(column)
        fitted = LinearRegression().fit(features[known], column[known])
        np.testing.assert_allclose(weights[k], fitted.coef_, rtol=1e-7)
        np.testing.assert_allclose(biases[k], fitted.intercept_, rtol=1e-7, atol=1e-9)
        own = np.linalg.lstsq(np.c_[features[known], np.ones(known.sum())], column[known], rcond=None)[0]
        np.testing.assert_allclose(np.append(weights[k], biases[k]), own, rtol=1e-6, atol=1e-8)


def test_of_more_features_than_studies_the_smallest_weights_are_taken():
    """In units of each feature's spread; what is known is then met exactly."""
    features, targets = table(12, 30)
    weights, biases = least_squares(features, targets)
    standard = StandardScaler().fit(features)
    for k, column in enumerate(targets.T):
        known = ~np.isnan(column)
        x = standard.transform(features)[known]
        smallest = np.linalg.pinv(x - x.mean(0)) @ (column[known] - column[known].mean())
        np.testing.assert_allclose(weights[k] * standard.scale_, smallest, atol=1e-8)
        np.testing.assert_allclose((features @ weights[k] + biases[k])[known], column[known], atol=1e-8)


def test_what_follows_from_the_other_features_but_for_rounding_is_no_direction():
    """As after a layer norm: the weights stay so small that float32 gives what was fitted."""
    features, targets = table(200, 6)
    z = features - features.mean(1, keepdims=True)
    z = (z / z.std(1, keepdims=True)).astype(np.float32)
    weights, biases = least_squares(z.astype(np.float64), targets)
    assert np.abs(weights).max() < 1e3
    single = z @ weights.T.astype(np.float32) + biases.astype(np.float32)
    for k, column in enumerate(targets.T):
        known = ~np.isnan(column)
        fitted = LinearRegression().fit(z[known, :-1].astype(np.float64), column[known])
        spread = column[known].std()
        np.testing.assert_allclose(single[:, k] / spread, fitted.predict(z[:, :-1]) / spread, atol=1e-4)


@pytest.mark.parametrize("ridge", [1e-4, 1e-1, 10.0])
@pytest.mark.parametrize("n", [12, 60])
def test_the_ridge_is_that_of_scikit_learn(ridge: float, n: int):
    """Of features in units of the largest spread among them; so much a study that is known."""
    features, targets = table(n, 20)
    weights, biases = least_squares(features, targets, ridge)
    largest = features.std(0).max()
    for k, column in enumerate(targets.T):
        known = ~np.isnan(column)
        fitted = Ridge(alpha=ridge * known.sum()).fit(features[known] / largest, column[known])
        np.testing.assert_allclose(weights[k], fitted.coef_ / largest, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(biases[k], fitted.intercept_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_a_constant_feature_says_nothing(ridge: float):
    features, targets = table(50, 5)
    alone = least_squares(features, targets, ridge)
    weights, biases = least_squares(np.insert(features, 2, 3.25, axis=1), targets, ridge)
    np.testing.assert_allclose(weights[:, 2], 0, atol=1e-12)
    np.testing.assert_allclose(np.delete(weights, 2, axis=1), alone[0], rtol=1e-7)
    np.testing.assert_allclose(biases, alone[1], rtol=1e-7)


def test_features_and_targets_that_cannot_be_are_refused():
    features, targets = table(20, 4)
    targets[:, 1] = np.nan
    with pytest.raises(UsageError, match="target 2 of 3 is known of no study in training: leave it out"):
        least_squares(features, targets)
    features[3, 2] = np.inf
    with pytest.raises(TrainingError, match="features that are not finite: train it with a lower rate"):
        least_squares(features, targets)


class Feed:
    """Made-up ECGs, whose numbers follow from what is in them; a third of them is not known."""

    def __init__(self, batch: int = 16):
        random = np.random.default_rng(3)
        x = torch.from_numpy(random.normal(size=(STUDIES, 12, 5000)).astype(np.float32))
        x += torch.from_numpy(random.normal(size=(STUDIES, 12, 1)).astype(np.float32))
        self.y = torch.stack([x.mean((1, 2)) * 3, x[:, 2].mean(1)], dim=1)
        self.y[torch.from_numpy(random.random((STUDIES, 2)) < 0.3)] = torch.nan
        self.x, self.size = x, batch
        self.targets, self.loader = self.y, SimpleNamespace(rows=np.arange(STUDIES))

    def __len__(self) -> int:
        return -(-STUDIES // self.size)

    def _batches(self, start: int) -> Iterator[Pairs]:
        for begin in range(start * self.size, STUDIES, self.size):
            rows = slice(begin, begin + self.size)
            x = self.x[rows]
            names = tuple(f"s{n}" for n in range(begin, begin + len(x)))
            yield Pairs(x, torch.full((len(x), 1), torch.nan), torch.empty(0), self.y[rows], names)

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Pairs]:
        return self._batches(start)

    def in_order(self) -> Iterator[Pairs]:
        return self._batches(0)


def net_of(pool: str = "mean") -> Readout:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Readout(ENCODER, pool, 2)


def test_what_is_read_is_what_the_net_says_of_each_study():
    net, feed = net_of(), Feed(7)
    net.train()
    outputs, features, targets = read(net, feed, "ecg")  # type: ignore[arg-type]
    assert net.training
    with torch.inference_mode():
        for n in range(STUDIES):
            alone = net(feed.x[n : n + 1])
            np.testing.assert_allclose(outputs[n], alone[0][0], atol=1e-5)
            np.testing.assert_allclose(features[n], alone[1][0], atol=1e-5)
    np.testing.assert_array_equal(targets, feed.y)


def test_the_head_of_a_probe_is_least_squares_on_the_whole_ecgs():
    net, feed = net_of(), Feed()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    _, features, targets = read(net, feed, "ecg")  # type: ignore[arg-type]
    probe(net, feed, "ecg")  # type: ignore[arg-type]
    outputs = read(net, feed, "ecg")[0]  # type: ignore[arg-type]
    for k in range(2):
        known = ~np.isnan(targets[:, k])
        # After the last norm the features of a study sum to 0 but for rounding: one of them follows from the others.
        fitted = LinearRegression().fit(features[known, :-1], targets[known, k])
        np.testing.assert_allclose(outputs[:, k], fitted.predict(features[:, :-1]), rtol=1e-3, atol=1e-4)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def tuned(run: Path, pool: str, *, is_new: bool, check: Any = None, **length: Any) -> Readout:
    net, fabric = net_of(pool), Fabric(accelerator="cpu", devices=1)
    told = Length(epochs=2, batch=16, lr=1e-3, **length)
    finetune(fabric, net, Feed(), check, told, Place(run, "head"), modality="ecg", is_new=is_new)  # type: ignore[arg-type]
    return net


@pytest.mark.parametrize("pool", ["mean", "attention"])
def test_fine_tuning_begins_with_the_ridge_probe(pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Seen by a training that takes no step: the pool is the mean, and the head the probe's."""
    monkeypatch.setattr("cardioloom.recipes.ptacl_head.fit", lambda *args, **options: None)
    net, plain = tuned(tmp_path, pool, is_new=False), net_of()
    plain.encoder.load_state_dict(net.encoder.state_dict())
    _, features, targets = read(plain, Feed(), "ecg")  # type: ignore[arg-type]
    weights, biases = least_squares(features, targets, START_RIDGE)
    outputs, own, _ = read(net, Feed(), "ecg")  # type: ignore[arg-type]
    np.testing.assert_allclose(own, features, atol=1e-5)
    np.testing.assert_allclose(outputs, features @ weights.T + biases, rtol=1e-3, atol=1e-4)


def test_a_new_encoder_begins_with_a_new_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cardioloom.recipes.ptacl_head.fit", lambda *args, **options: None)
    assert torch.equal(tuned(tmp_path, "mean", is_new=True).head.weight, net_of().head.weight)


@pytest.mark.parametrize("is_new", [True, False])
def test_fine_tuning_leaves_the_best_of_what_it_began_with_and_its_validations(is_new: bool, tmp_path: Path):
    """A new head is bettered at once; the probe on these few studies is not, and stays."""
    feed = Feed()
    net = tuned(tmp_path, "attention", is_new=is_new, check=feed)
    found = {line["step"]: line["validation"]["r2"] for line in read_log(tmp_path) if "validation" in line}
    assert list(found) == [3, 6]
    outputs, _, targets = read(net, feed, "ecg")  # type: ignore[arg-type]
    best = mean_r2(outputs, targets)
    has_learned = not torch.equal(net.encoder.embedding.proj.weight, net_of().encoder.embedding.proj.weight)
    assert has_learned is is_new
    assert best == pytest.approx(max(found.values()), abs=1e-5) if is_new else best > max(found.values())


def test_mean_r2_is_that_of_a_loop():
    features, targets = table(25, 3)
    each = []
    for column, wanted in zip(features.T, targets.T, strict=True):
        known = [n for n in range(25) if not np.isnan(wanted[n])]
        mean = sum(wanted[known]) / len(known)
        wrong = sum((wanted[n] - column[n]) ** 2 for n in known)
        each.append(1 - wrong / sum((wanted[n] - mean) ** 2 for n in known))
    assert mean_r2(features, targets) == pytest.approx(sum(each) / 3)
    features[2, 1] = np.nan
    with pytest.raises(
        TrainingError, match="gives 1 of 75 values of the validation that are not finite: train with a lower rate"
    ):
        mean_r2(features, targets)


def test_mean_r2_leaves_out_a_target_that_does_not_vary():
    """A small validation split may hold one value of it; a training would end there after all its stages."""
    features, targets = table(25, 3)
    whole = mean_r2(features[:, :2], targets[:, :2])
    for value in (1.5, np.nan):
        targets[:, 2] = value
        assert mean_r2(features, targets) == pytest.approx(whole)
    targets[:] = 1.0
    assert mean_r2(features, targets) is None


def test_a_validation_that_says_nothing_leaves_the_last_weights(tmp_path: Path):
    """Nothing can be chosen by it: the loss of the training goes on to its end."""
    feed = Feed()
    feed.y[:] = torch.nan
    feed.y[0] = 1.0
    net = tuned(tmp_path, "mean", is_new=False, check=feed)
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert not torch.equal(net.head.weight, net_of().head.weight)
    assert net.head.weight.isfinite().all()
