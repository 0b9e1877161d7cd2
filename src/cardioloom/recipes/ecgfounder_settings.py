"""What a training of ECGFounder can be asked for, and the sizes it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from cardioloom.errors import UsageError
from cardioloom.models import ecgfounder as founder
from cardioloom.recipes.plan import LARGEST_LR, LARGEST_SEED

STAGES = ("pretrain", "probe", "finetune")
_SMALL = {"ratio": 1, "kernel_size": 16, "stride": 2, "use_bn": True}


@dataclass(frozen=True)
class Preset:
    """A size: the net, and how long it is trained.

    Args:
        net: of `Net1D`, without leads and classes.
        batch: studies.
        epochs: through the studies.
        lr: highest rate when the net is new; a tenth of it when it is fine-tuned.
    """

    net: Mapping[str, Any]
    batch: int
    epochs: int
    lr: float


PRESETS = {
    "tiny": Preset(
        {
            "base_filters": 8,
            "filter_list": [16, 16, 32, 32],
            "m_blocks_list": [1, 1, 1, 1],
            "groups_width": 8,
            **_SMALL,
        },
        batch=16,
        epochs=3,
        lr=3e-3,
    ),
    "small": Preset(
        {
            "base_filters": 16,
            "filter_list": [32, 32, 64, 64, 128, 128, 256],
            "m_blocks_list": [1, 1, 1, 1, 1, 1, 1],
            "groups_width": 16,
            **_SMALL,
        },
        batch=32,
        epochs=10,
        lr=2e-3,
    ),
    "paper": Preset({k: v for k, v in founder.CONFIG.items() if k != "n_classes"}, batch=1024, epochs=20, lr=1e-3),
}


@dataclass(frozen=True)
class Settings:
    """What a training is asked to do.

    Args:
        stage: "pretrain" (a new net), "probe" (a head on frozen features) or "finetune" (all layers).
        preset: size of a new net, and length.
        targets: as `evaluation.target` reads them; the cohort's labels of 0 and 1 if not given.
        leads: 12, 1 (lead I), or 0 = the cohort's own, whatever signal its one channel is.
        gamma: of the loss; 0 = negatives are negatives. The paper has 1.5, for labels that were read out of reports.
        augment: a preset of `nn.augment.EcgAugmentation`, None = records as they are.
        epochs, batch, lr: in place of the preset's.
        ema: decay of the averaged weights, None = not averaged.
        patience: validations without a better value, None = never stop early.
        seed: of everything random.
    """

    stage: str = "pretrain"
    preset: str = "small"
    targets: str | None = None
    leads: int = 12
    gamma: float = 0.0
    augment: str | None = None
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    ema: float | None = None
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("stage", STAGES), ("preset", tuple(PRESETS)), ("leads", (12, 1, 0))):
            value = getattr(self, name)
            if isinstance(value, bool) or value not in known:
                raise UsageError(f"the {name} must be one of {', '.join(map(str, known))}, got {value!r}")
        for name in ("epochs", "batch", "patience", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")
        for name in ("gamma", "lr", "ema"):
            if (value := getattr(self, name)) is not None and not _is_number(value):
                raise UsageError(f"{name} must be a number of at least 0, got {value!r}")
        if self.lr == 0 or (self.ema is not None and self.ema >= 1):
            raise UsageError(
                f"lr must be above 0 and ema below 1, got {self.lr} and {self.ema}: nothing would be learned"
            )
        if (self.lr or 0) > LARGEST_LR or self.seed > LARGEST_SEED:
            raise UsageError(
                f"lr must be at most {LARGEST_LR:g} and seed at most {LARGEST_SEED}, got {self.lr} and {self.seed}: "
                "give smaller ones"
            )
        for name in ("targets", "augment"):
            if not isinstance(value := getattr(self, name), str | None):
                raise UsageError(f"{name} must be a text, got {value!r}")

    @property
    def name(self) -> str:
        """Of the model, where none is given."""
        return f"ecgfounder-{self.stage}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < inf
