"""One training loop for every system, on lightning-fabric: one processor, cards, many machines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import inf, isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from cardioloom.errors import TrainingError, UsageError
from cardioloom.recipes.average import Average
from cardioloom.recipes.place import Place
from cardioloom.recipes.plan import Plan

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOOK_EVERY = {"cpu": 1, "cuda": 16}  # steps between looks at the loss: each look makes a card wait
Step = Callable[[nn.Module, Any], Tensor]
Validate = Callable[[nn.Module], Mapping[str, float]]
Watch = Callable[[Mapping[str, Any]], None]


class Feed(Protocol):
    """Batches in epochs. A batch has ``names``, by which a fault can be traced to its studies."""

    def __len__(self) -> int:
        """Batches in an epoch, on this rank."""
        ...

    def __call__(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of an epoch from one on: the same for the same epoch, whenever it is asked."""
        ...


@dataclass(frozen=True)
class Fitted:
    """How a training ended.

    Args:
        steps: that were done, those before a resumption too.
        best: value of the best validation, None = there was none.
        best_step: after which it was.
        stopped_early: whether patience ran out.
        waited: share of the time in which the net waited for batches.
        watched: name of the value that decided.
    """

    steps: int
    best: float | None
    best_step: int
    stopped_early: bool
    waited: float
    watched: str


def fit(
    fabric: Fabric,
    net: nn.Module,
    step: Step,
    feed: Feed,
    plan: Plan,
    place: Place,
    *,
    validate: Validate | None = None,
    groups: Sequence[Mapping[str, Any]] | None = None,
    seed: int = 0,
    resume: bool = False,
    watch: Watch | None = None,
) -> Fitted:
    """Train a net; its weights are the best validation's at the end, or the last where there is no validation.

    The state is the number of the step: the epoch, the place in it, the learning rate and the random numbers of a step
    (dropout, augmentation) follow from it and ``seed``. So a continuation is equal, bit by bit on a processor, to a run
    that was never interrupted.

    Args:
        fabric: launched; it knows processor or cards, ranks and precision.
        net: is trained in place.
        step: (net, batch) → loss, a tensor of no axis. Losses that compare records gather them over ranks.
        feed: the batches.
        plan: the settings.
        place: where checkpoints and log go.
        validate: (net in evaluation mode, without gradients) → values; called on every rank.
        groups: parameters of the optimiser; "lr_scale" multiplies the rate of a group; all parameters if not given.
        seed: of the random numbers.
        resume: go on from the last checkpoint where there is one.
        watch: is told each line of the log.

    Raises:
        UsageError: if the validation lacks the value that decides, or there is nothing to train.
        TrainingError: if a loss or a gradient is not finite; the studies of its batch are named.
        WriteError: if the disk is full; the checkpoint before is whole.
    """
    return _Training(fabric, net, step, feed, plan, place, validate, groups, seed, watch).run(resume)


class _Training:
    def __init__(
        self,
        fabric: Fabric,
        net: nn.Module,
        step: Step,
        feed: Feed,
        plan: Plan,
        place: Place,
        validate: Validate | None,
        groups: Sequence[Mapping[str, Any]] | None,
        seed: int,
        watch: Watch | None,
    ):
        params = [dict(group) for group in groups] if groups else [{"params": [*net.parameters()]}]
        for group in params:
            group["params"] = [p for p in group["params"] if p.requires_grad]
        if not any(group["params"] for group in params):
            raise UsageError("nothing is left to train: every parameter is frozen")
        optimizer = torch.optim.AdamW(params, lr=plan.lr, weight_decay=plan.weight_decay, fused=True)
        self.raw = net
        self.net, self.optimizer = fabric.setup(net, optimizer)
        self.average = None if plan.ema is None else Average(net, plan.ema)
        self.fabric, self.step, self.feed, self.plan, self.place = fabric, step, feed, plan, place
        self.validate, self.seed, self.watch = validate, seed, watch
        self.done, self.best, self.best_step, self.stale = 0, None, 0, 0
        self.waited = self.took = 0.0
        self.unseen: list[tuple[int, str, Tensor, Sequence[str]]] = []  # step, what it is, value, its studies

    def run(self, resume: bool) -> Fitted:
        if resume and self.place.last.exists():
            self._load()
        if self.fabric.global_rank == 0:
            self.place.rewind(self.done)
        self.fabric.barrier()
        self.net.train()
        batches = self._batches(self.done * self.plan.accumulate)
        while self.done < self.plan.steps and not self._is_stale():
            self._one(batches)
            if self.validate and (self.done % self.plan.validate_every == 0 or self.done == self.plan.steps):
                self._validate(self.validate)
            if self.done % self.plan.save_every == 0 or self.done == self.plan.steps or self._is_stale():
                self._look()
                self.place.save(self.fabric, self.place.last, self._state())
        if self.validate and self.best is not None:
            self.place.load(self.fabric, self.place.best, {"net": self.net})
        elif self.average:
            self.average.into(self.raw)
        waited = self.waited / self.took if self.took else 0.0
        stopped_early = self._is_stale() and self.done < self.plan.steps
        return Fitted(self.done, self.best, self.best_step, stopped_early, waited, self.plan.watched)

    def _is_stale(self) -> bool:
        return self.plan.patience is not None and self.stale >= self.plan.patience

    def _batches(self, number: int) -> Iterator[Any]:
        if len(self.feed) < 1:
            raise UsageError("the feed has no batch: give more studies or a smaller batch")
        while True:
            epoch, start = divmod(number, len(self.feed))
            for batch in self.feed(epoch, start):
                yield batch
                number += 1

    def _one(self, batches: Iterator[Any]) -> None:
        """One step of the optimiser."""
        begin, rate, total = perf_counter(), self.plan.rate(self.done), 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        losses, names = [], []
        for part in range(self.plan.accumulate):
            asked = perf_counter()
            batch = next(batches)
            self.waited += perf_counter() - asked
            self._seed(part)
            is_last = part == self.plan.accumulate - 1
            with self.fabric.no_backward_sync(self.net, enabled=not is_last):
                loss = self.step(self.net, batch)
                self.fabric.backward(loss / self.plan.accumulate)
            losses.append(loss.detach())
            names += batch.names
            self.unseen.append((self.done, "loss", losses[-1], batch.names))
        # Without a limit nothing is clipped, but the norm is known: weights that are not finite are never saved.
        limit = inf if self.plan.clip is None else self.plan.clip
        norm = self.fabric.clip_gradients(self.net, self.optimizer, max_norm=limit, error_if_nonfinite=False)
        assert norm is not None  # Fabric gives none where a value is clipped, not the norm
        self.unseen.append((self.done, "gradient", norm, names))
        if self.done % LOOK_EVERY.get(self.fabric.device.type, 1) == 0:
            self._look()
            total = float(torch.stack(losses).mean())
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update(self.raw)
        self.done += 1
        self.took += perf_counter() - begin
        if not self.unseen:
            line = {"step": self.done, "epoch": (self.done * self.plan.accumulate - 1) // len(self.feed)}
            line |= {"loss": total, "lr": rate, "gradient": float(norm)}
            self._log(line | {"seconds": round(self.took, 3), "waited": round(self.waited / self.took, 4)})

    def _seed(self, part: int) -> None:
        """Random numbers of a batch; `torch.manual_seed` would keep a traceback a call for cards that are not there."""
        key, device = _key(self.seed, self.fabric.global_rank, self.done, part), self.fabric.device
        torch.default_generator.manual_seed(key)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(key)

    def _look(self) -> None:
        """Refuse a loss or a gradient that is not finite, with the names of the studies that it came from."""
        for number, what, value, names in self.unseen:
            if not isfinite(value):
                epoch, at = divmod(number * self.plan.accumulate, len(self.feed))
                raise TrainingError(
                    f"the {what} is {float(value)} at step {number + 1} (epoch {epoch}, batch {at}) on the studies "
                    f"{', '.join(names)}: check them, or train with a lower rate; the last checkpoint is from before"
                )
        self.unseen.clear()

    def _validate(self, validate: Validate) -> None:
        self._look()
        with _averaged(self.average, self.raw), torch.inference_mode():
            self.net.eval()
            # The first rank's values decide for all, so that all stop and save together.
            found = self.fabric.broadcast({name: float(value) for name, value in validate(self.net).items()})
            if self.plan.watched not in found:
                raise UsageError(
                    f"the validation gives {', '.join(found)}, not {self.plan.watched}: watch one of these"
                )
            value = found[self.plan.watched]
            if self.plan.is_better(value, self.best):
                self.best, self.best_step, self.stale = value, self.done, 0
                self.place.save(self.fabric, self.place.best, {"net": self.net})
            else:
                self.stale += 1
        self.net.train()
        finite = {name: value if isfinite(value) else None for name, value in found.items()}
        self._log({"step": self.done, "validation": finite, "best": self.best_step == self.done})

    def _log(self, line: Mapping[str, Any]) -> None:
        if self.fabric.global_rank == 0:
            self.place.log(line)
        if self.watch:
            self.watch(line)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"net": self.net, "optimizer": self.optimizer, "done": self.done, "best": self.best}
        state |= {"best_step": self.best_step, "stale": self.stale, "seed": self.seed}
        return state | ({"average": self.average.shadow} if self.average else {})

    def _load(self) -> None:
        state = self._state()
        left = self.place.load(self.fabric, self.place.last, state)
        if left:
            raise UsageError(
                f"the run was begun with {', '.join(map(str, left))}, which was not asked for now: ask for it"
            )
        if state["seed"] != self.seed:
            raise UsageError(f"the run was begun with seed {state['seed']}, got {self.seed}: resume with that")
        self.done, self.best = state["done"], state["best"]
        self.best_step, self.stale = state["best_step"], state["stale"]
        if self.average:
            self.average.restore(state["average"])


def _averaged(average: Average | None, net: nn.Module) -> Any:
    return nullcontext() if average is None else average.in_place_of(net)


def _key(*parts: int) -> int:
    """A seed that follows from numbers; torch takes 64 bits."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:8], "little") >> 1
