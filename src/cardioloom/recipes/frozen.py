"""A linear head on features that do not change (Alain & Bengio 2016, arXiv:1610.01644)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cardioloom.recipes import keep
from cardioloom.recipes.feed import Batch, EcgFeed
from cardioloom.recipes.loop import Fitted, Validate, fit
from cardioloom.recipes.place import Place
from cardioloom.recipes.plan import Plan

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from cardioloom.nn.conv import Net1D

PER_BATCH = 64  # studies whose features are computed at once


class FeatureFeed:
    """The studies of another feed as standardised features; computed once.

    Args:
        feed: of prepared signals.
        table: (study of the manifest, feature), standardised; rows of other splits may be anything.
    """

    def __init__(self, feed: EcgFeed, table: Tensor):
        self.feed, self.table = feed, table

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.feed)

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from one on."""
        order, size = self.feed.loader.order(epoch), self.feed.loader.batch
        for number in range(start, len(self)):
            rows = torch.from_numpy(order[number * size : (number + 1) * size])
            y = self.feed.targets[rows].to(self.feed.device)
            yield Batch(self.table[rows].to(self.feed.device), y, tuple(self.feed.names[rows.numpy()].tolist()))


def features(net: Net1D, feed: EcgFeed) -> Tensor:
    """(study of the manifest, feature) of the studies that the feed may show, zero for the others."""
    device = next(net.parameters()).device
    table = torch.zeros(len(feed.targets), net.n_features)
    net.eval()
    with torch.inference_mode():
        for start in range(0, len(feed.loader.rows), PER_BATCH):
            rows = feed.loader.rows[start : start + PER_BATCH]
            table[torch.from_numpy(rows)] = net.features(feed.batch(rows).x.to(device)).float().cpu()
    return table


def fit_head(
    fabric: Fabric,
    net: Net1D,
    feed: EcgFeed,
    check: EcgFeed | None,
    loss: Callable[[Tensor, Tensor], Tensor],
    plan: Plan,
    place: Place,
    *,
    kind: str,
    **options: Any,
) -> Fitted:
    """Train ``net.dense`` alone, on the features of the rest.

    The features are standardised by the training studies; the head that is left in the net takes them as they are.

    Args:
        fabric, plan, place, options: as `loop.fit` takes them.
        net: whose head is trained in place.
        feed, check: training and validation.
        loss: (outputs, targets) → loss.
        kind: of the targets, "binary" or "number".
    """
    net.to(fabric.device)
    table = features(net, feed)
    own = table[torch.from_numpy(feed.loader.rows)]
    mean, std = own.mean(0), own.std(0, unbiased=False).clamp(min=1e-6)
    head = nn.Linear(net.n_features, net.dense.out_features)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def step(module: nn.Module, batch: Batch) -> Tensor:
        return loss(module(batch.x), batch.y)

    validate = None if check is None else _validation(net, check, mean, std, kind)
    standardised = FeatureFeed(feed, (table - mean) / std)
    fitted = fit(fabric, head, step, standardised, plan, place, validate=validate, **options)
    with torch.no_grad():
        weight = head.weight.cpu() / std
        net.dense.weight.copy_(weight)
        net.dense.bias.copy_(head.bias.cpu() - weight @ mean)
    return fitted


def _validation(net: Net1D, check: EcgFeed, mean: Tensor, std: Tensor, kind: str) -> Validate:
    rows = torch.from_numpy(np.sort(check.loader.rows))
    x, y = (features(net, check)[rows] - mean) / std, check.targets[rows].double().numpy()

    def validate(head: nn.Module) -> Mapping[str, float]:
        outputs = head(x.to(check.device))
        return keep.scores(outputs.double().cpu().numpy(), y, kind)

    return validate
