"""What a training leaves behind: the model folder, with its task, thresholds, intervals and card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from cardioloom.errors import NotEstimableError, TrainingError, UsageError, WriteError
from cardioloom.evaluation.conformal import fit_interval
from cardioloom.evaluation.contamination import dataset_name
from cardioloom.evaluation.discrimination import macro
from cardioloom.evaluation.phenotypes import described
from cardioloom.evaluation.regression import r_squared
from cardioloom.evaluation.target import Target
from cardioloom.evaluation.thresholds import choose_threshold
from cardioloom.models import adding, installed
from cardioloom.models.cards import Card
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.models.task import Output, Task
from cardioloom.objectives.supervised import binary_cross_entropy, squared_error
from cardioloom.prepare import Preparation
from cardioloom.recipes.feed import EcgFeed
from cardioloom.recipes.run import MODEL
from cardioloom.store import Folder

if TYPE_CHECKING:
    from cardioloom.recipes.pairs import PairFeed

TRAIN, VALIDATION, TEST = "train", "validation", "test"  # splits
COVERAGE = 0.9
INSIDE = (1e-6, 1 - 1e-6)  # a threshold of 0 or 1 would say the same of everybody
LIMITS = ("It was trained by this library's recipe on the cohort that the card names: nothing is known of others.",)


@dataclass(frozen=True, eq=False)
class Scale:
    """Means and spreads of the targets, by which numbers are standardised; 0 and 1 for binary ones.

    Args:
        mean, std: (target,).
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def scale_of(truth: NDArray[np.float64], kind: str, codes: Sequence[str]) -> Scale:
    """The scale of the training's targets.

    Args:
        truth: (study, target) of the training split, NaN = not known.
        kind: "binary" or "number".
        codes: of the targets, for the message.

    Raises:
        UsageError: if a target has one value only: there is nothing to learn.
    """
    known = [column[~np.isnan(column)] for column in truth.T]
    for code, values in zip(codes, known, strict=True):
        if len(np.unique(values)) < 2:
            what = f"{len(values)} known values, all {values[0]:g}" if len(values) else "no known value"
            raise UsageError(f"the target {code} needs two different values in training, got {what}: leave it out")
    if kind == "binary":
        return Scale(np.zeros(len(codes)), np.ones(len(codes)))
    return Scale(np.array([v.mean() for v in known]), np.array([v.std() for v in known]))


def contract_of(
    name: str, net: str, config: Mapping[str, Any], preparation: Preparation, recipe: str, citation: str
) -> Contract:
    """A contract whose task is still to come, with a card that says so far by which recipe and after which paper."""
    card = Card(name, f"cardioloom {recipe}", "of the cohort", citation, "not trained yet", "research", LIMITS)
    return Contract(name, net, config, preparation, Task("multi_label", (Output("-", "-", "-"),)), card)


def with_task(contract: Contract, targets: Sequence[Target], kind: str, scale: Scale) -> Contract:
    """The contract with the task that the targets are."""
    outputs = []
    for target, mean, std in zip(targets, scale.mean.tolist(), scale.std.tolist(), strict=True):
        said, unit = described(target, mean) if kind == "number" else (target.code, "")
        outputs.append(Output(target.code, said, "trained", unit=unit, mean=mean, std=std))
    return replace(contract, task=Task("multi_label" if kind == "binary" else "regression", tuple(outputs)))


def predicted(net: nn.Module, feed: EcgFeed) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """(study, target) outputs and targets of all studies of a feed, and their names; the net is in evaluation mode."""
    outputs, targets, names = [], [], []
    was_training, device = net.training, next(net.parameters()).device
    net.eval()
    with torch.inference_mode():
        for batch in feed(0, 0):
            outputs.append(net(batch.x.to(device))[0].double().cpu().numpy())
            targets.append(batch.y.double().cpu().numpy())
            names += batch.names
    net.train(was_training)
    return np.concatenate(outputs), np.concatenate(targets), tuple(names)


def validation(feed: EcgFeed, kind: str) -> Callable[[nn.Module], Mapping[str, float]]:
    """What is measured of a net between steps: the plain loss, and macro AUROC or mean R² where there is one."""

    def validate(net: nn.Module) -> Mapping[str, float]:
        outputs, targets, _ = predicted(net, feed)
        return scores(outputs, targets, kind)

    return validate


def watched(feed: EcgFeed | PairFeed, kind: str) -> tuple[str, str]:
    """By which value of a validation the best is chosen, and whether it is its "max" or its "min".

    The loss is the choice only where nothing better can be had from these studies: it rewards calibration, which is
    mended afterwards, as much as order.
    """
    targets = feed.targets[torch.from_numpy(feed.loader.rows)].double().numpy()
    guess = np.tile(np.linspace(-1, 1, len(targets))[:, None], targets.shape[1])
    name = "auroc" if kind == "binary" else "r2"
    return (name, "max") if name in scores(guess, targets, kind) else ("loss", "min")


def scores(outputs: NDArray[np.float64], targets: NDArray[np.float64], kind: str) -> dict[str, float]:
    """Loss and macro AUROC, or loss and mean R²; what is not estimable is left out.

    The mean R² is over the targets that vary among the studies in which they are known.

    Args:
        outputs: (study, target) of the net.
        targets: (study, target), NaN = not known.
        kind: "binary" or "number".

    Raises:
        TrainingError: if an output is not finite.
    """
    if not np.isfinite(outputs).all():
        raise TrainingError(
            f"the net gives {(~np.isfinite(outputs)).sum()} of {outputs.size} values of the validation that are not "
            "finite: train with a lower rate"
        )
    loss = binary_cross_entropy if kind == "binary" else squared_error
    found = {"loss": float(loss(torch.from_numpy(outputs), torch.from_numpy(targets), alone=True))}
    if kind == "number":
        each = []
        for wanted, said in zip(targets.T, outputs.T, strict=True):
            known = ~np.isnan(wanted)
            with suppress(NotEstimableError):  # a small validation split may hold one value; the others decide then
                each.append(r_squared(wanted[known], said[known]))
        return found | ({"r2": float(np.mean(each))} if each else {})
    with suppress(NotEstimableError):  # or may lack a class; the loss decides then
        found["auroc"] = macro("auroc", targets, expit(outputs)).value
    return found


def model(
    net: nn.Module,
    contract: Contract,
    folder: Folder,
    check: EcgFeed | None,
    run: Path,
    settings: Mapping[str, Any],
    init: Contract | None,
) -> Path:
    """Write RUN/model: weights, contract with thresholds and intervals from the validation split, golden pair.

    Raises:
        WriteError: if the disk is full or refuses; the checkpoints are whole.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    net = net.cpu().eval()
    if check is not None:
        outputs, targets, _ = predicted(net, check)
        contract = replace(contract, task=calibrated(contract.task, outputs, targets))
    contract = replace(contract, card=card_of(contract, folder, settings, init, has_validation=check is not None))
    target = run / MODEL
    try:
        with TemporaryDirectory(prefix="cardioloom-") as desk, installed.arriving(target) as part:
            weights = Path(desk) / WEIGHTS
            save_file({name: value.contiguous() for name, value in net.state_dict().items()}, weights)
            adding.build(contract, weights, part)
    except (OSError, SafetensorError) as error:
        raise WriteError(
            f"{target} could not be written ({error}); the checkpoints are whole: make room and call again with "
            "--resume"
        ) from error
    return target


def calibrated(task: Task, outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> Task:
    """The task with thresholds (Youden) or intervals (split-conformal) from a validation split, where it gives them.

    Args:
        task: of the model.
        outputs: (study, output) of the net.
        targets: (study, output) what they should be: 0 and 1, or standardised numbers.
    """
    made = []
    for n, output in enumerate(task.outputs):
        known = ~np.isnan(targets[:, n])
        wanted, got = targets[known, n], outputs[known, n]
        try:
            if task.kind == "multi_label":
                chosen = choose_threshold(wanted, expit(got), name=output.code)
                output = replace(output, threshold=float(np.clip(chosen, *INSIDE)), calibrated=True)
            else:
                reach = fit_interval(wanted, got, 1 - COVERAGE).reach
                output = replace(output, half_width=output.std * reach, coverage=COVERAGE, calibrated=True)
        except NotEstimableError:
            pass  # the card says that this output is not calibrated
        made.append(output)
    return replace(task, outputs=tuple(made))


def card_of(
    contract: Contract,
    folder: Folder,
    settings: Mapping[str, Any],
    init: Contract | None,
    *,
    has_validation: bool,
) -> Card:
    """What the model says of itself."""
    facts = folder.facts
    trained_on = trained_on_of(folder)
    began = f"; begun with {init.name}, trained on {init.card.trained_on}" if init else ""
    source = "thresholds and intervals: validation split of the same cohort" if has_validation else ""
    return Card(
        title=f"{contract.name}: {', '.join(output.code for output in contract.task.outputs)}",
        source=f"{contract.card.source}, cohort {facts['fingerprint'][:12]}{_began_with(init)}",
        licence=str(facts.get("licence") or "as the cohort"),
        citation=contract.card.citation,
        trained_on=trained_on + began,
        intended_use="research; not a diagnosis",
        limits=LIMITS,
        contamination=tuple(dict.fromkeys((dataset_name(facts), *(init.card.contamination if init else ())))),
        notes=tuple(filter(None, (f"settings: {dict(settings)}", source))),
    )


def _began_with(init: Contract | None) -> str:
    """What a later calibration must know too: the cohort of the model that the training began with."""
    return f"; begun with {init.name}: {init.card.source}" if init else ""


def trained_on_of(folder: Folder) -> str:
    """What a report shows of a model that was trained on a cohort: on whom of it."""
    facts, cohort = folder.facts, folder.cohort()
    patients = (cohort.split(TRAIN) if cohort.splits else cohort).n_patients
    if "generator" in facts:
        return f"{patients} simulated patients ({facts['generator']}, population {facts['population']})"
    return f"{patients} patients of {facts['source']}"
