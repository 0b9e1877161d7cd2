"""The sizes of a training of PTACL and of what it is compared with: encoders, and how long each stage is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cardioloom.nn.paired import CINE_MASKED, CINE_PAPER, ECG_MASKED, ECG_PAPER
from cardioloom.nn.transformer import EncoderConfig
from cardioloom.recipes.pairs import FRAMES
from cardioloom.recipes.plan import Plan

PHASES = FRAMES // CINE_PAPER.patch[0]  # T of the paper


@dataclass(frozen=True)
class Length:
    """How long and how fast a stage is trained.

    Args:
        epochs: through the studies.
        batch: studies.
        lr: the highest rate.
        weight_decay: of AdamW.
    """

    epochs: int
    batch: int
    lr: float
    weight_decay: float = 0.05

    def plan(self, batches: int, **more: Any) -> Plan:
        """For a feed of so many batches; looked at and saved once an epoch."""
        given = {"lr": self.lr, "weight_decay": self.weight_decay, **more}
        return Plan(steps=batches * self.epochs, validate_every=batches, save_every=batches, **given)


@dataclass(frozen=True)
class Preset:
    """A size: the encoders, and how long each stage is trained.

    Args:
        ecg, cine: encoders, of one width, so that phases can be compared without further weights.
        frozen_blocks: of each encoder, when pairs are trained after a stage alone.
        projection: width of the compared vectors.
        masked_ecg, masked_cine, simclr, paired, crossed, finetune, supervised: stages; "crossed" is of the cross-modal
            autoencoder, "supervised" of new encoders.
    """

    ecg: EncoderConfig
    cine: EncoderConfig
    frozen_blocks: int
    projection: int
    masked_ecg: Length
    masked_cine: Length
    simclr: Length
    paired: Length
    crossed: Length
    finetune: Length
    supervised: Length


def _sized(
    width: int, depths: tuple[int, int], ecg_patch: tuple[int, int], cine_patch: int, pixels: int
) -> tuple[EncoderConfig, EncoderConfig]:
    heads = width // 32
    ecg = replace(ECG_PAPER, patch=ecg_patch, width=width, depth=depths[0], heads=heads)
    cine = replace(CINE_PAPER, size=(FRAMES, pixels, pixels), patch=(2, cine_patch, cine_patch))
    return ecg, replace(cine, width=width, depth=depths[1], heads=heads)


# Tokens are what a processor pays for. The smaller sizes have a sixth of the paper's: two leads and a fifth of a
# second in one, and pieces of a third of the picture, which has half the rows and columns.
PRESETS = {
    "tiny": Preset(
        *_sized(32, (2, 2), (6, 100), 14, 42),
        frozen_blocks=1,
        projection=32,
        masked_ecg=Length(2, 32, 2e-3),
        masked_cine=Length(2, 32, 2e-3),
        simclr=Length(2, 32, 2e-3),
        paired=Length(3, 32, 2e-3),
        crossed=Length(2, 32, 2e-3),
        finetune=Length(2, 32, 1e-3),
        supervised=Length(3, 32, 2e-3),
    ),
    # Small batches where many steps are what is needed: a masked autoencoder of ECGs first predicts zero for hundreds.
    "small": Preset(
        *_sized(128, (4, 4), (2, 100), 14, 42),
        frozen_blocks=2,
        projection=128,
        masked_ecg=Length(10, 16, 1e-3),
        masked_cine=Length(10, 16, 1e-3),
        simclr=Length(2, 64, 1e-3),
        paired=Length(3, 64, 1e-3),
        crossed=Length(2, 64, 1e-3),
        finetune=Length(3, 64, 3e-4),
        supervised=Length(5, 64, 1e-3),
    ),
    "paper": Preset(
        ECG_PAPER,
        CINE_PAPER,
        frozen_blocks=2,
        projection=256,
        masked_ecg=Length(200, 128, 1e-4),
        masked_cine=Length(200, 128, 1e-4),
        simclr=Length(200, 128, 1e-4),
        paired=Length(100, 128, 1e-4),
        crossed=Length(100, 128, 1e-4),
        finetune=Length(30, 64, 3e-5),
        supervised=Length(100, 64, 1e-4),
    ),
}
MASKED = {"ecg": ECG_MASKED, "cine": CINE_MASKED}
