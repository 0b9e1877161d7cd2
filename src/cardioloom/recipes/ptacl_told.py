"""By what the kept weights of a PTACL training's stages are known again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cardioloom.evaluation.target import Target
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.recipes.ptacl_sizes import Length
from cardioloom.recipes.ptacl_stages import encoder_config


def length_of(settings: Settings, name: str) -> Length:
    """How long a stage of the run folder is trained."""
    if name == "head":
        return settings.length("finetune" if settings.stages else "supervised")
    if name == "pairs":
        return settings.length("crossed" if settings.method_of.pairs == "crossed" else "paired")
    if name == "labels_cine":
        return settings.length("supervised")
    return settings.length("simclr" if name.startswith("simclr") else name)


def told_of(settings: Settings, name: str, fingerprint: str, targets: Sequence[Target]) -> Mapping[str, Any]:
    """All that the weights of a stage follow from, for the header of its file.

    Args:
        settings: what is asked for.
        name: of the stage in the run folder.
        fingerprint: of the cohort.
        targets: that the head learns.
    """
    last = name.rpartition("_")[2]  # of masked_cine and the like
    modalities = {"pairs": ("ecg", "cine"), "head": (settings.method_of.modality,)}.get(name, (last,))
    told: dict[str, Any] = {
        "preset": settings.preset,
        "encoders": [asdict(encoder_config(settings, modality)) for modality in modalities],
        "cohort": fingerprint,
        "seed": settings.seed,
        "length": asdict(length_of(settings, name)),
    }
    if name == "labels_cine":
        told["targets"] = list(map(str, targets))
    if name == "pairs":
        told |= {key: getattr(settings, key) for key in ("method", "goal", "beta", "weight", "roll")}
    if name == "pairs" or name.startswith("simclr"):
        told["augment"] = settings.augment
    return told
