"""The last stage of PTACL: numbers from an encoder, by least squares on what it says or by training all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cardioloom.errors import TrainingError, UsageError
from cardioloom.nn.pool import AttentionPool
from cardioloom.nn.readout import Readout
from cardioloom.objectives.supervised import squared_error
from cardioloom.recipes import keep
from cardioloom.recipes.loop import Fitted, fit
from cardioloom.recipes.pairs import PairFeed, Pairs
from cardioloom.recipes.ptacl_sizes import Length
from cardioloom.recipes.ptacl_views import PLAIN, Views, frames

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from cardioloom.recipes.place import Place

Floats = NDArray[np.float64]
SMALLEST_SPREAD = 1e-6  # of a feature that says nothing
# Of singular values, by the largest. The encoder's last norm makes features of which one follows from the others; what
# float32 leaves of it is rounding, and would be weighted so highly that no second machine gave the same numbers.
ROUNDING = 1e-5
START_RIDGE = 1e-3  # of the head that a fine-tuning begins with: large weights on features of no spread would explode


def judged_input(batch: Pairs, modality: str) -> Tensor:
    """What a net is judged by: the whole ECG, or 26 frames at equal phases."""
    return batch.ecg if modality == "ecg" else frames(batch.cine)


def read(net: nn.Module, feed: PairFeed, modality: str) -> tuple[Floats, Floats, Floats]:
    """(study, output) outputs, (study, width) features, (study, target) targets, in the manifest's order."""
    outputs, features, targets = [], [], []
    was_training, device = net.training, next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        for batch in feed.in_order():
            said, own = net(judged_input(batch, modality).to(device))
            outputs.append(said.double().cpu().numpy())
            features.append(own.double().cpu().numpy())
            targets.append(batch.y.double().cpu().numpy())
    net.train(was_training)
    return np.concatenate(outputs), np.concatenate(features), np.concatenate(targets)


def least_squares(features: Floats, targets: Floats, ridge: float = 0.0) -> tuple[Floats, Floats]:
    """Ordinary least squares, each target on the studies in which it is known; PTACL's linear probe.

    Args:
        features: (study, width).
        targets: (study, target), NaN = not known.
        ridge: of the squared weights of features scaled by the largest spread among them, a study; 0 = none.

    Returns:
        (target, width) weights and (target,) biases for the features as they are. Of features that depend on each
        other the solution of least norm is taken, with each feature scaled to one spread.

    Raises:
        UsageError: if a target is known of no study.
        TrainingError: if a feature is not finite.
    """
    if not np.isfinite(features).all():
        raise TrainingError("the encoder gives features that are not finite: train it with a lower rate")
    mean, std = features.mean(0), features.std(0)
    std = np.full_like(std, std.max()) if ridge else std
    std = np.where(std < SMALLEST_SPREAD, np.inf, std)  # a constant feature gets the weight 0
    table = (features - mean) / std
    weights, biases = np.empty((targets.shape[1], table.shape[1])), np.empty(targets.shape[1])
    for n, column in enumerate(targets.T):
        known = ~np.isnan(column)
        if not known.any():
            raise UsageError(f"target {n + 1} of {targets.shape[1]} is known of no study in training: leave it out")
        x, y = table[known] - table[known].mean(0), column[known] - column[known].mean()
        if ridge:  # the same as so many more rows that pull each weight towards 0
            x = np.vstack([x, np.sqrt(ridge * len(x)) * np.eye(x.shape[1])])
            y = np.append(y, np.zeros(x.shape[1]))
        weights[n] = np.linalg.lstsq(x, y, rcond=ROUNDING)[0] / std
        biases[n] = column[known].mean() - weights[n] @ features[known].mean(0)
    return weights, biases


def probe(net: Readout, feed: PairFeed, modality: str, ridge: float = 0.0) -> None:
    """Gives the head the least-squares solution on the training studies."""
    _, features, targets = read(net, feed, modality)
    weights, biases = least_squares(features, targets, ridge)
    with torch.no_grad():
        net.head.weight.copy_(torch.from_numpy(weights))
        net.head.bias.copy_(torch.from_numpy(biases))


def finetune(
    fabric: Fabric,
    net: Readout,
    feed: PairFeed,
    check: PairFeed | None,
    length: Length,
    place: Place,
    *,
    modality: str,
    is_new: bool,
    **options: Any,
) -> Fitted:
    """All weights on the targets, begun with the probe's head and a pool that is the mean.

    Args:
        fabric, place, options: as `loop.fit` takes them.
        net: is trained in place; its weights are the best validation's.
        feed, check: training and validation; without one, or where none of its targets varies, the last weights stay.
        length: of the training.
        modality: of the encoder: the method's own, or "cine" where ECCL's learns the labels.
        is_new: the encoder has learned nothing yet, so that a probe of it would be no start.
    """
    views = Views(PLAIN)
    net.to(fabric.device)
    if isinstance(net.pool, AttentionPool):
        net.pool.begin_as_mean()
    if not is_new:
        probe(net, feed, modality, START_RIDGE)
    if check is not None and not _can_decide(check):
        check = None

    def step(module: nn.Module, batch: Pairs) -> Tensor:
        x = views.ecg(batch)[0] if modality == "ecg" else views.cine(batch)
        return squared_error(module(x)[0], batch.y)

    def validate(module: nn.Module) -> Mapping[str, float]:
        assert check is not None
        outputs, _, targets = read(module, check, modality)
        found = mean_r2(outputs, targets)
        assert found is not None
        return {"r2": found}

    watched = {} if check is None else {"watched": "r2", "direction": "max"}
    plan = length.plan(len(feed), **watched)
    if check is None:
        return fit(fabric, net, step, feed, plan, place, **options)
    start = {name: value.detach().clone() for name, value in net.state_dict().items()}
    first = validate(net)["r2"]
    fitted = fit(fabric, net, step, feed, plan, place, validate=validate, **options)
    if fitted.best is not None and fitted.best >= first:
        return fitted
    net.load_state_dict(start)  # the probe that it began with was not bettered
    return replace(fitted, best=first, best_step=0)


def mean_r2(outputs: Floats, targets: Floats) -> float | None:
    """Mean over targets of R² over the studies in which each is known.

    A target that does not vary among them is left out; None where none does.

    Raises:
        TrainingError: if an output is not finite.
    """
    return keep.scores(outputs, targets, "number").get("r2")


def _can_decide(check: PairFeed) -> bool:
    return keep.watched(check, "number")[0] == "r2"
