"""`train`: a cohort → a model, by the recipe of a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from cardioloom import __version__
from cardioloom.errors import MissingExtraError, UsageError

Watch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Trained:
    """What a training left behind.

    Args:
        run: the run folder.
        model: the model folder in it; None of a training that leaves none, such as one of cines alone.
        said: how the stage went: steps, best validation, share of the time spent waiting for batches …
        is_main: False in the further processes of one training, which have nothing to say.
    """

    run: Path
    model: Path | None
    said: Mapping[str, Any]
    is_main: bool = True


def train(
    recipe: Literal["ecgfounder", "ptacl"],
    cohort: Path,
    out: Path,
    /,
    *,
    preset: str | None = None,
    stage: str | None = None,
    init: str | None = None,
    targets: str | None = None,
    leads: int | None = None,
    gamma: float | None = None,
    method: str | None = None,
    goal: str | None = None,
    head: str | None = None,
    pool: str | None = None,
    beta: float | None = None,
    weight: float | None = None,
    roll: bool | None = None,
    augment: str | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    ema: float | None = None,
    patience: int | None = None,
    seed: int | None = None,
    config: Path | None = None,
    resume: bool = False,
    name: str | None = None,
    accelerator: str | None = None,
    devices: int | None = None,
    strategy: str | None = None,
    precision: str | None = None,
    nodes: int | None = None,
    tensorboard: bool = False,
) -> Trained:
    """Train a system on a cohort; run again with --resume to go on after an interruption.

    Args:
        recipe: ecgfounder, or ptacl (pairs of ECG and cine).
        cohort: a cohort folder, of `simulate` or `cohort build`.
        out: the run folder to write; the model is in its folder model.
        preset: tiny, small or paper: the net's size and the length of the training; small if not given.
        stage: of ecgfounder: pretrain (a new net), probe (a head on frozen features) or finetune (all layers); pretrain
            if not given, finetune where --init is.
        init: what a training begins with: for ecgfounder a model's name or folder; for ptacl run folders with comma
            between them, whose stages are not trained again.
        targets: what to learn, comma between them: columns of the cohort (AF:y_AF, age, LVEF:lv_ef*100) or comparisons
            (low_ef:lv_ef<=0.4, RBBB:conduction=rbbb); the cohort's labels of 0 and 1 if not given, for ptacl the ten
            phenotypes of cardiac function.
        leads: of ecgfounder: 12; 1 for a model of lead I; 0 for the one channel of a cohort, whatever it is (a pulse
            wave).
        gamma: of ecgfounder: how much less a negative weighs that the net takes for a positive nobody wrote down; 0 if
            not given, the paper has 1.5.
        method: of ptacl: ptacl if not given, or what it is compared with: global, cosine, no_unimodal, mmcl, cmae,
            eccl, mae, simclr, supervised, random, cine_mae, cine_simclr, cine_supervised, cine_random.
        goal: of ptacl: regression (soft alignment of phases) if not given, or retrieval (hard).
        head: of ptacl: probe (least squares) or finetune (all layers); the method's own if not given.
        pool: of ptacl with a fine-tuned head: mean or attention; the method's own if not given.
        beta: of ptacl: weight of the alignment of phases; 1 if not given.
        weight: of ptacl: of the direction from ECG to cine in both losses; 0.5 if not given.
        roll: of ptacl: let each cine begin at a random frame, so that phases are found by what is seen, not by
            place.
        augment: augmentations by the name of their preset (mae, mmcl …), none if not given; for ptacl, of pairs and
            of SimCLR's views, ptacl if not given, mmcl or none.
        epochs: in place of the preset's.
        batch: studies in a batch, in place of the preset's.
        lr: highest learning rate, in place of the preset's.
        ema: decay of averaged weights, for example 0.999; not averaged if not given.
        patience: epochs without a better validation after which training stops.
        seed: of everything random; 0 if not given.
        config: a TOML file with values for the options of this command; options that are given go before it.
        resume: go on with the run in OUT.
        name: of the model; recipe and stage if not given.
        accelerator: cpu, cuda or auto.
        devices: processes, or cards, on this machine.
        strategy: ddp, fsdp (cards only) or auto.
        precision: float32 or bf16.
        nodes: machines; start with torchrun on each.
        tensorboard: also write the log for TensorBoard, into OUT/tensorboard.

    Returns:
        where run and model lie, and how it went.

    Raises:
        UsageError: if a value given here cannot be, or OUT is in use, by another training too.
        TrainingError: if a loss is not finite; its studies are named.
        WriteError: if the disk is full; the same call with --resume goes on.
        ModelError: if the model to begin with is refused.
        MissingExtraError: if torch or lightning-fabric is not installed.
    """
    given = {name: value for name, value in locals().items() if name not in _NO_SETTING and value is not None}
    return begin_training(recipe, cohort, out, resume=resume, config=config, tensorboard=tensorboard, **given)


_NO_SETTING = ("recipe", "cohort", "out", "config", "resume", "tensorboard")
_RUN_ONLY = ("init", "name")


def begin_training(
    recipe: str,
    cohort: Path,
    out: Path,
    *,
    resume: bool = False,
    config: Path | None = None,
    tensorboard: bool = False,
    watch: Watch | None = None,
    **options: Any,
) -> Trained:
    """`train` with a callback that is told each line of the log."""
    need_train()
    if tensorboard:
        _need_tensorboard()
    from importlib import import_module

    from cardioloom.recipes import RECIPES
    from cardioloom.recipes.machine import Machine
    from cardioloom.recipes.run import MODEL, Run, alone
    from cardioloom.store import Folder

    if recipe not in RECIPES:
        raise UsageError(f"the recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    method = import_module(RECIPES[recipe])
    known = [field.name for kind in (method.Settings, Machine) for field in fields(kind)]
    asked = (_of_file(config, [*known, *_RUN_ONLY]) if config else {}) | options
    init = _text("init", asked.get("init"))
    if "stage" in known:
        asked.setdefault("stage", "finetune" if init else "pretrain")
    if unknown := [option for option in asked if option not in (*known, *_RUN_ONLY)]:
        names = ", ".join(f"--{option}" for option in unknown)
        raise UsageError(f"{recipe} has no option {names}: leave it out, or use {', '.join(known)}")
    settings = _made(method.Settings, asked)
    machine = _made(Machine, asked)
    begun, sha256 = method.begun_with(init)
    name = _text("name", asked.get("name")) or settings.name
    job = method.job(Folder.at(cohort), settings, name, *begun)
    arguments = {"recipe": recipe, **asdict(settings), "init": sha256, **asdict(machine)}
    facts = {"cohort": job.folder.facts["fingerprint"], "cardioloom": __version__, "name": name, "seed": settings.seed}
    run = Run.open(Path(out), arguments, resume=resume, **facts)
    fabric = machine.start()
    fabric.barrier()  # no rank finds the folder taken by the first
    run.begin(is_main=fabric.global_rank == 0)
    watch = watch if run.is_main else None
    with alone(run.folder, fabric):
        board = _board(Path(out), watch) if tensorboard and run.is_main else watch
        said = method.train(job, run, fabric, resume=resume, watch=board)
        fabric.barrier()
    model = Path(out) / MODEL
    return Trained(Path(out), model if model.is_dir() else None, said, run.is_main)


def need_train() -> None:
    """Raise MissingExtraError where the packages that training needs are not installed."""
    try:
        import lightning_fabric
        import safetensors
        import sklearn
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"training needs the package {error.name}, which is not installed: pip install 'cardioloom[train,models]'"
        ) from error
    del lightning_fabric, safetensors, sklearn, torch


def _text(what: str, value: object) -> str | None:
    if value is not None and not isinstance(value, (str, Path)):
        raise UsageError(f"{what} must be a text, got {value!r}")
    return None if value is None else str(value)


def _made(kind: type[Any], asked: Mapping[str, Any]) -> Any:
    return kind(**{field.name: asked[field.name] for field in fields(kind) if field.name in asked})


def _of_file(path: Path, known: list[str]) -> dict[str, Any]:
    """The values of a TOML file.

    Raises:
        UsageError: if it cannot be read, or holds an unknown name.
    """
    import tomllib

    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read as TOML ({error}): write lines like epochs = 5") from error
    if unknown := [name for name in values if name not in known]:
        raise UsageError(f"{path} sets {', '.join(unknown)}, which is no option here: use {', '.join(known)}")
    return values


def _need_tensorboard() -> None:
    try:
        import torch.utils.tensorboard
    except ImportError as error:
        raise MissingExtraError(
            "--tensorboard needs the package tensorboard, which is not installed: pip install tensorboard"
        ) from error
    del torch


def _board(out: Path, watch: Watch | None) -> Watch:
    """A watch that also writes for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(out / "tensorboard"))

    def told(line: Mapping[str, Any]) -> None:
        measured = {f"validation/{name}": value for name, value in line.get("validation", {}).items()}
        for name, value in {**line, **measured}.items():
            if isinstance(value, float):
                writer.add_scalar(name, value, line["step"])
        writer.flush()
        if watch:
            watch(line)

    return told
