"""ECGFounder, for training (Li et al., arXiv:2410.04133; NEJM AI 2025;2(7), doi:10.1056/AIoa2401033).

Input: 10 s of twelve leads or of one, 500 Hz, filtered, z-scored. Net: Net1D (`nn.conv`). Objective: binary
cross-entropy of all labels, in which negatives that nobody wrote down weigh less (`objectives.supervised`). One lead:
lead I, in half of the records replaced by aVL, −aVR, II, −III, aVF or −aVF.
Use: a linear head on frozen features, or fine-tuning with smaller rates for earlier layers (1, 0.1, 0.01, as the
independent benchmark arXiv:2509.25095 does). Numbers (age, NT-proBNP) are trained with the squared error.

Where this differs from the paper: the rate falls with a cosine, not by 10 every 5 epochs; the loss's formula is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.evaluation import target as targets_of
from cardioloom.evaluation.target import Target
from cardioloom.models import ecgfounder as founder
from cardioloom.models import nets
from cardioloom.models.contract import Contract
from cardioloom.nn.augment import EcgAugmentation
from cardioloom.nn.augment.amplitude import ChooseLead
from cardioloom.nn.augment.scaling import standardised
from cardioloom.nn.conv import Net1D, unused
from cardioloom.objectives.supervised import binary_cross_entropy, squared_error
from cardioloom.prepare import PRESETS as PREPARATIONS
from cardioloom.prepare import Preparation
from cardioloom.prepare import ecgfounder as preparation_of
from cardioloom.recipes import frozen, keep
from cardioloom.recipes.begun import begun_with as begun_with
from cardioloom.recipes.ecgfounder_settings import PRESETS, Settings
from cardioloom.recipes.feed import Batch, EcgFeed
from cardioloom.recipes.keep import TRAIN, VALIDATION
from cardioloom.recipes.loop import Fitted, fit
from cardioloom.recipes.plan import Plan
from cardioloom.records import STANDARD_LEADS
from cardioloom.store import Folder, Loader

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning_fabric import Fabric

    from cardioloom.recipes.place import Place
    from cardioloom.recipes.run import Run

NET = Net1D.__name__
RATES = (1.0, 0.1, 0.01)  # of the head, the later and the earlier half of the net, when it is fine-tuned


@dataclass(frozen=True, eq=False)
class Job:
    """A training that was checked and can begin.

    Args:
        folder: the cohort; its splits "train" and, where there is one, "validation" are used.
        settings: what is asked for.
        contract: of the model that will be written.
        targets: what is learned.
        truth: (study, target) standardised, NaN = not known.
        kind: "binary" or "number".
        init, weights: contract and weights of the model that a probe or a fine-tuning begins with.
    """

    folder: Folder
    settings: Settings
    contract: Contract
    targets: tuple[Target, ...]
    truth: NDArray[np.float64]
    kind: str
    init: Contract | None = None
    weights: Mapping[str, Tensor] | None = None


def job(
    folder: Folder,
    settings: Settings,
    name: str,
    init: Contract | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> Job:
    """Check what is asked for against the cohort and the model to begin with.

    Raises:
        UsageError: if a probe has nothing to begin with, a target cannot be read or has one value only, or leads do
            not fit, or an augmentation is unknown.
        RecordError: if the cohort lacks a column.
    """
    if settings.stage != "pretrain" and init is None:
        raise UsageError(f"{settings.stage} begins with a model: name one with --init, or use --stage pretrain")
    _refuse_augment(settings)
    cohort = folder.cohort()
    _refuse_splits(cohort.splits, settings)
    in_training = cohort.column("split") == TRAIN if cohort.splits else np.ones(len(cohort), bool)
    own = cohort.take(in_training)
    targets = targets_of.parse(settings.targets) if settings.targets is not None else targets_of.default(own)
    truth = targets_of.truth(cohort, targets)
    kind = targets_of.kind_of(targets, truth)
    scale = keep.scale_of(truth[in_training], kind, [target.code for target in targets])
    config, preparation = _config(settings, init, len(targets)), _preparation(folder, settings, init)
    contract = keep.contract_of(name, NET, config, preparation, "recipe ecgfounder", founder.CITATION)
    contract = keep.with_task(contract, targets, kind, scale)
    return Job(folder, settings, contract, targets, (truth - scale.mean) / scale.std, kind, init, weights)


def train(
    asked: Job,
    run: Run,
    fabric: Fabric,
    *,
    resume: bool = False,
    watch: Callable[[Mapping[str, Any]], None] | None = None,
) -> Mapping[str, Any]:
    """Net, objective, fit, model folder.

    Args:
        asked: what was checked.
        run: the run folder.
        fabric: launched.
        resume: go on where the run was interrupted.
        watch: is told each line of the log.

    Returns:
        what the stage says of itself.
    """
    net = _begin(asked)
    feed, check = _feeds(asked, fabric)

    def do(place: Place) -> Mapping[str, Any]:
        fitted = _fit(asked, net, feed, check, fabric, place, {"resume": resume, "watch": watch})
        if run.is_main:
            keep.model(net, asked.contract, asked.folder, check, run.folder, asdict(asked.settings), asked.init)
        return asdict(fitted) | {"targets": list(map(str, asked.targets)), "kind": asked.kind}

    return run.stage(asked.settings.stage, do)


def _refuse_augment(settings: Settings) -> None:
    """One that is unknown, would do nothing, or would leave a batch that the net cannot take."""
    if settings.augment is None:
        return
    chain = EcgAugmentation.preset(settings.augment)
    if settings.stage == "probe":
        raise UsageError(f"a probe sees its records as they are, got augment {settings.augment!r}: leave it out")
    if any(isinstance(step.augmentation, ChooseLead) for step in chain.steps):
        raise UsageError(f"augment {settings.augment!r} draws one lead of twelve: leave it out, --leads 1 does that")


def _refuse_splits(splits: tuple[str, ...], settings: Settings) -> None:
    if splits and TRAIN not in splits:
        raise UsageError(f"the cohort has the splits {', '.join(splits)}, none of which is called {TRAIN}: name one so")
    if settings.patience is not None and VALIDATION not in splits:
        raise UsageError(f"patience needs a split called {VALIDATION}, got {', '.join(splits) or 'none'}: leave it out")


def _config(settings: Settings, init: Contract | None, n_targets: int) -> dict[str, Any]:
    if init and init.net != NET:
        raise UsageError(
            f"{init.name} is a {init.net}, and this recipe trains a {NET}: begin with a model of ECGFounder"
        )
    config = dict(init.config) if init else dict(PRESETS[settings.preset].net)
    return {**config, "in_channels": 12 if settings.leads == 12 else 1, "n_classes": n_targets}


def _preparation(folder: Folder, settings: Settings, init: Contract | None) -> Preparation:
    own = folder.layout.leads
    if settings.leads == 0:
        if len(own) != 1:
            raise UsageError(f"leads 0 means the one channel of a cohort, got {len(own)}: use 12 or 1")
        found = preparation_of(f"ecgfounder_{own[0]}", own)
    else:
        found = PREPARATIONS["ecgfounder" if settings.leads == 12 else "ecgfounder_1l"]
    if not init:
        return found
    if len(init.preparation.leads) != len(found.leads):
        raise UsageError(
            f"{init.name} takes {len(init.preparation.leads)} leads, got leads {settings.leads}: train it with its own"
        )
    # Another signal is prepared as the model's own was, whatever that is called.
    return replace(init.preparation, name=found.name, leads=own) if settings.leads == 0 else init.preparation


def _begin(asked: Job) -> Net1D:
    """A net with new weights by the seed, but for those that it begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(asked.settings.seed)
        net = nets.NETS[asked.contract.net](asked.contract.config)
    assert isinstance(net, Net1D)
    if asked.weights is not None:
        encoder = {key: value for key, value in asked.weights.items() if not key.startswith("dense.")}
        net.load_state_dict({**net.state_dict(), **encoder})
    for norm in unused(net):
        norm.requires_grad_(False)  # data-parallel training waits for every gradient that may come
    return net


def _feeds(asked: Job, fabric: Fabric) -> tuple[EcgFeed, EcgFeed | None]:
    """Training, and validation where there is one; where one lead is drawn from twelve, those are prepared."""
    folder, settings, preparation = asked.folder, asked.settings, asked.contract.preparation
    has_twelve = set(STANDARD_LEADS) <= set(folder.layout.leads)
    is_drawn = settings.leads == 1 and settings.stage != "probe" and has_twelve
    size = settings.batch or PRESETS[settings.preset].batch
    splits = folder.cohort().splits
    loader = Loader(
        folder,
        split=TRAIN if splits else None,
        batch=size,
        seed=settings.seed,
        rank=fabric.global_rank,
        ranks=fabric.world_size,
    )
    taken = PREPARATIONS["ecgfounder"] if is_drawn else preparation
    feed = EcgFeed(loader, folder, taken, asked.truth, device=fabric.device)
    if VALIDATION not in splits:
        return feed, None
    loader = Loader(folder, split=VALIDATION, batch=size)
    return feed, EcgFeed(loader, folder, preparation, asked.truth, device=fabric.device)


def _fit(
    asked: Job,
    net: Net1D,
    feed: EcgFeed,
    check: EcgFeed | None,
    fabric: Fabric,
    place: Place,
    options: dict[str, Any],
) -> Fitted:
    settings, preset = asked.settings, PRESETS[asked.settings.preset]
    options |= {"seed": settings.seed}
    watched, direction = ("loss", "min") if check is None else keep.watched(check, asked.kind)
    plan = Plan(
        steps=len(feed) * (settings.epochs or preset.epochs),
        lr=settings.lr or preset.lr * (0.1 if settings.stage == "finetune" else 1.0),
        ema=settings.ema,
        patience=settings.patience,
        validate_every=len(feed),
        save_every=len(feed),
        watched=watched,
        direction=direction,
    )
    loss = loss_of(asked.kind, settings.gamma)
    if settings.stage == "probe":
        return frozen.fit_head(fabric, net, feed, check, loss, plan, place, kind=asked.kind, **options)
    change = augmentation(settings.augment, net.first_conv.conv.in_channels)

    def step(module: nn.Module, batch: Batch) -> Tensor:
        outputs, _ = module(change(batch.x))
        return loss(outputs, batch.y)

    groups = layers(net) if settings.stage == "finetune" else None
    validate = None if check is None else keep.validation(check, asked.kind)
    return fit(fabric, net, step, feed, plan, place, groups=groups, validate=validate, **options)


def loss_of(kind: str, gamma: float) -> Callable[[Tensor, Tensor], Tensor]:
    """(outputs, targets) → loss, for "binary" or "number" targets."""
    if kind == "number":
        return squared_error
    return lambda outputs, targets: binary_cross_entropy(outputs, targets, gamma)


def layers(net: Net1D) -> list[dict[str, Any]]:
    """Parameters with the share of the rate that each is trained with: head, later half, earlier half."""
    stages = [*net.stage_list]
    half = len(stages) // 2
    early = [*net.first_conv.parameters(), *net.first_bn.parameters()]
    early += [p for stage in stages[:half] for p in stage.parameters()]
    late = [p for stage in stages[half:] for p in stage.parameters()]
    parts = ([*net.dense.parameters()], late, early)
    return [{"params": params, "lr_scale": rate} for params, rate in zip(parts, RATES, strict=True)]


def augmentation(preset: str | None, n_leads: int) -> Callable[[Tensor], Tensor]:
    """What is done to a batch (record, lead, time) before the net sees it; random numbers are torch's own.

    Where twelve leads are given to a net of one, that is lead I, or in half of the records another that looks from
    its side, z-scored by itself as a model of one lead is given it.
    """
    steps = EcgAugmentation.preset(preset) if preset else None
    one_lead = EcgAugmentation.preset("ecgfounder_one_lead")

    def change(x: Tensor) -> Tensor:
        generator = torch.default_generator if x.device.type == "cpu" else torch.cuda.default_generators[x.device.index]
        if steps:
            x = steps(x, generator)
        if n_leads == 1 < x.shape[1]:
            x = standardised(one_lead(x, generator), unbiased=False)
        return x

    return change
