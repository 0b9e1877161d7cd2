"""What a training of PTACL and of the methods it is compared with can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import inf

from cardioloom.errors import UsageError
from cardioloom.recipes.plan import LARGEST_LR, LARGEST_SEED
from cardioloom.recipes.ptacl_sizes import PRESETS, Length
from cardioloom.recipes.ptacl_views import Views

AUGMENT = "ptacl"  # of what is augmented, where nothing else is asked for


@dataclass(frozen=True)
class Method:
    """One row of PTACL's second table: what happens between new weights and the head.

    Args:
        modality: "ecg" or "cine": whose encoder the head is put on.
        first: "masked", "simclr", "labels" (the cine encoder on the targets, then held) or None: how encoders are
            trained alone.
        pairs: "global", "local" (global and local), "cosine" (global, and positives only for the phases), "stills"
            (global, with three frames of the cine as channels), "crossed" (cross-modal autoencoder), or None.
        head: "probe" or "finetune", where not asked for otherwise.
        pool: "mean" or "attention", of a fine-tuned head.
    """

    modality: str = "ecg"
    first: str | None = "masked"
    pairs: str | None = None
    head: str = "probe"
    pool: str = "mean"


METHODS: Mapping[str, Method] = {
    "ptacl": Method(pairs="local"),
    "global": Method(pairs="global"),
    "cosine": Method(pairs="cosine"),
    "no_unimodal": Method(first=None, pairs="local"),
    "mmcl": Method(pairs="stills", head="finetune", pool="attention"),
    "cmae": Method(first=None, pairs="crossed"),
    "eccl": Method(first="labels", pairs="global", head="finetune"),
    "mae": Method(),
    "simclr": Method(first="simclr"),
    "supervised": Method(first=None, head="finetune"),
    "random": Method(first=None),
    "cine_mae": Method("cine"),
    "cine_simclr": Method("cine", "simclr"),
    "cine_supervised": Method("cine", None, head="finetune"),
    "cine_random": Method("cine", None),
}


@dataclass(frozen=True)
class Goal:
    """How the two losses are set: the paper has one setting for each of its two uses.

    Args:
        sigma: of the alignment of phases; 0 = hard.
        temperature, local_temperature: of the global and of the local loss.
    """

    sigma: float
    temperature: float
    local_temperature: float


GOALS: Mapping[str, Goal] = {"regression": Goal(0.1, 0.1, 1.0), "retrieval": Goal(0.0, 0.07, 0.07)}


@dataclass(frozen=True)
class Settings:
    """What a training is asked to do.

    Args:
        method: one of `METHODS`.
        goal: one of `GOALS`, of the two losses.
        head: "probe" (least squares on the mean of the tokens) or "finetune" (all weights); None = the method's own.
        pool: of a fine-tuned head, "mean" or "attention"; None = the method's own.
        preset: size and length.
        targets: numbers to predict, as `evaluation.target` reads them; the ten phenotypes that the cohort has if None.
        beta: weight of the local loss; 1 in the paper.
        weight: of the direction from ECG to cine in both losses; the paper does not give it.
        roll: each cine in training begins at a random frame, and its phases are matched where they then lie. Without
            it, as in the paper, each begins at the R peak, and the place of a token tells its phase.
        augment: preset of both ECGs' and cines' augmentation, "none" = crops and frames are drawn and nothing else.
        epochs: of every stage, in place of the preset's.
        batch, lr: of every stage, in place of the preset's.
        seed: of everything random.
    """

    method: str = "ptacl"
    goal: str = "regression"
    head: str | None = None
    pool: str | None = None
    preset: str = "small"
    targets: str | None = None
    beta: float = 1.0
    weight: float = 0.5
    roll: bool = False
    augment: str = AUGMENT
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        known = {"method": METHODS, "goal": GOALS, "preset": PRESETS}
        known |= {"head": ("probe", "finetune", None), "pool": ("mean", "attention", None)}
        for name, values in known.items():
            value = getattr(self, name)
            if not isinstance(value, str | None) or value not in values:
                names = ", ".join(str(one) for one in values if one is not None)
                raise UsageError(f"the {name} must be one of {names}, got {value!r}")
        for name in ("epochs", "batch", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            is_left_out = value is None and name != "seed"
            if not is_left_out and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.batch == 1 and (self.method_of.pairs or self.method_of.first == "simclr"):
            raise UsageError("a batch of 1 has no other patient to be told from, got batch 1: give 2 or more")
        for name, most in (("beta", inf), ("weight", 1.0), ("lr", LARGEST_LR)):
            value = getattr(self, name)
            if not (value is None and name == "lr") and not _is_between(value, most):
                raise UsageError(f"{name} must be a finite number from 0 to {most:g}, got {value!r}")
        if self.lr == 0 or self.seed > LARGEST_SEED:
            raise UsageError(f"lr must be above 0 and seed at most {LARGEST_SEED}, got {self.lr} and {self.seed}")
        if not isinstance(self.targets, str | None):
            raise UsageError(f"targets must be a text, got {self.targets!r}")
        Views(self.augment)
        self._refuse_what_does_nothing()

    def _refuse_what_does_nothing(self) -> None:
        """What was asked for and would not be done."""
        pairs, has_phases = self.method_of.pairs, self.method_of.pairs in ("local", "cosine")
        if self.pool == "attention" and self.head_of == "probe":
            raise UsageError("a probe takes the mean of the tokens, got pool 'attention': use --head finetune")
        if self.method.endswith("supervised") and self.head == "probe":
            raise UsageError(f"{self.method} has trained nothing before its head, got head 'probe': use method random")
        if not isinstance(self.roll, bool) or (self.roll and not has_phases):
            raise UsageError(f"roll is true or false, of methods that match phases, got {self.roll!r}: leave it out")
        if self.beta != 1 and not has_phases:
            raise UsageError(f"{self.method} matches no phases, got beta {self.beta}: leave it out")
        if self.goal != "regression" and not (has_phases or self.method == "global"):
            raise UsageError(f"{self.method} has one setting of its losses, got goal {self.goal!r}: leave it out")
        if self.weight != 0.5 and not pairs:
            raise UsageError(f"{self.method} trains no pairs, got weight {self.weight}: leave it out")
        if self.augment != AUGMENT and self.method_of.first != "simclr" and pairs in (None, "crossed"):
            raise UsageError(f"{self.method} sees plain crops and frames, got augment {self.augment!r}: leave it out")
        given = [f"{name} {value}" for name in ("epochs", "lr") if (value := getattr(self, name)) is not None]
        if given and not self.stages and self.head_of == "probe":
            raise UsageError(f"{self.method} with a probe takes no steps, got {' and '.join(given)}: leave it out")

    @property
    def name(self) -> str:
        """Of the model, where none is given."""
        return f"{self.method}-{self.preset}"

    @property
    def method_of(self) -> Method:
        """The method that is asked for."""
        return METHODS[self.method]

    @property
    def head_of(self) -> str:
        """ "probe" or "finetune"."""
        return self.head or self.method_of.head

    @property
    def pool_of(self) -> str:
        """ "mean" or "attention"."""
        return self.pool or (self.method_of.pool if self.head_of == "finetune" else "mean")

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages before the head, in their order."""
        method = self.method_of
        alone = ("ecg", "cine") if method.pairs and method.pairs != "stills" else (method.modality,)
        first = {None: (), "labels": ("labels_cine",)}.get(
            method.first, tuple(f"{method.first}_{one}" for one in alone)
        )
        return (*first, "pairs") if method.pairs else first

    def length(self, stage: str) -> Length:
        """Of a stage by its name in the preset, with what was asked for in place of the preset's."""
        length: Length = getattr(PRESETS[self.preset], stage)
        given = {field.name: getattr(self, field.name, None) for field in fields(Length)}
        return replace(length, **{name: value for name, value in given.items() if value is not None})


def _is_between(value: object, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most and value < inf
