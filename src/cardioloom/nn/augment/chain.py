"""Augmentations in a row: `EcgAugmentation` and `CineAugmentation`, each equal to its JSON.

augment = EcgAugmentation.preset("mmcl_medium")
y = augment(x, generator)                    # draws and applies
drawn = augment.draw(x.shape, generator)     # or in two parts,
y = augment.apply(x, drawn)
peaks = augment.moved(peaks, drawn, x.shape)  # where R peaks lie afterwards
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment import amplitude, cine, masking, spectrum, timing
from cardioloom.nn.augment.drawing import (
    Augmentation,
    Draws,
    Shape,
    per_record,
    refuse_outside,
    refuse_unknown,
    uniform,
)
from cardioloom.nn.augment.presets import CINE_PRESETS, ECG_PRESETS

Known = Mapping[str, type[Augmentation]]

ECG: Known = {
    "jitter": amplitude.Jitter,
    "rescale": amplitude.Rescale,
    "noise": amplitude.Noise,
    "sign_flip": amplitude.SignFlip,
    "permute_leads": amplitude.PermuteLeads,
    "choose_lead": amplitude.ChooseLead,
    "time_flip": timing.TimeFlip,
    "shift": timing.Shift,
    "crop": timing.Crop,
    "crop_resize": timing.CropResize,
    "undersample": timing.Undersample,
    "fourier_surrogate": spectrum.FourierSurrogate,
    "frequency_shift": spectrum.FrequencyShift,
    "mask_spectrum": spectrum.MaskSpectrum,
    "mask_patches": masking.MaskPatches,
    "mask_leads": masking.MaskLeads,
}
CINE: Known = {
    "resized_crop": cine.ResizedCrop,
    "rotate": cine.Rotate,
    "flip": cine.Flip,
    "sample_frames": cine.SampleFrames,
    "change_intensity": cine.ChangeIntensity,
    "blur": cine.Blur,
    "noise": amplitude.Noise,
}


@dataclass(frozen=True)
class Step:
    """One augmentation and the probability that a record undergoes it."""

    augmentation: Augmentation
    probability: float = 1.0

    def __post_init__(self) -> None:
        refuse_outside("probability of a step", self.probability, 0, 1)


@dataclass(frozen=True)
class Drawn:
    """What was drawn for one step: which records undergo it, (batch,) bool, None = all; and the draws of all."""

    records: Tensor | None
    draws: Draws


@dataclass(frozen=True)
class Chain:
    """Steps in their order.

    Args:
        steps: what is done.
        rate: probability that a record is augmented at all; one that is not undergoes only the steps that change
            the shape of the batch (a crop).
    """

    steps: tuple[Step, ...]
    rate: float = 1.0

    known: ClassVar[Known] = {}
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    axes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        refuse_outside("rate", self.rate, 0, 1)
        for step in self.steps:
            if type(step.augmentation) not in self.known.values():
                raise UsageError(
                    f"{type(step.augmentation).__name__} is no augmentation of {type(self).__name__}: take one of "
                    f"{', '.join(sorted(kind.__name__ for kind in self.known.values()))}"
                )

    @classmethod
    def preset(cls, name: str) -> Self:
        """A published chain; an unknown name is a UsageError that lists the known ones."""
        refuse_unknown(f"preset of {cls.__name__}", name, tuple(cls.presets))
        return cls.from_json(cls.presets[name])

    @property
    def moves_time(self) -> bool:
        """Whether a beat or a frame may lie elsewhere afterwards."""
        return any(step.augmentation.moves_time for step in self.steps)

    def changed(self, name: str, **values: Any) -> Self:
        """The chain with other parameters (or ``probability``) in its steps of this name."""
        refuse_unknown("step", name, tuple(dict.fromkeys(step["augmentation"] for step in self.to_json()["steps"])))
        told = self.to_json()
        steps = [step | values if step["augmentation"] == name else step for step in told["steps"]]
        return self.from_json(told | {"steps": steps})

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """The batch augmented; the same state of the generator gives the same result."""
        return self.apply(x, self.draw(x.shape, generator))

    def draw(self, shape: Sequence[int], generator: Generator) -> tuple[Drawn, ...]:
        """All random numbers for a batch of this shape, on the generator's device."""
        self._refuse_other_than_batch(shape)
        shape = tuple(shape)
        is_augmented = uniform(shape[:1], generator) < self.rate
        drawn = []
        for step, before, after in self._shapes(shape):
            is_for_all = before != after or self.rate == step.probability == 1
            chosen = is_augmented & (uniform(shape[:1], generator) < step.probability)
            drawn.append(Drawn(None if is_for_all else chosen, step.augmentation.draw(before, generator)))
        return tuple(drawn)

    def apply(self, x: Tensor, drawn: Sequence[Drawn]) -> Tensor:
        """The batch under what `draw` gave for its shape."""
        self._refuse_other_than_batch(x.shape)
        if not x.is_floating_point():
            raise UsageError(f"augmentation needs floating-point samples, got {x.dtype}: convert first")
        for step, one in zip(self.steps, drawn, strict=True):
            x = _chosen(one.records, step.augmentation.apply(x, _on(x.device, one.draws)), x)
        return x

    def moved(self, samples: Tensor, drawn: Sequence[Drawn], shape: Sequence[int]) -> Tensor:
        """Where positions on the time axis lie after the chain.

        Args:
            samples: (batch, …) float, e.g. R peaks; NaN = none.
            drawn: what `draw` gave.
            shape: of the batch before.

        Raises:
            UsageError: if a step leaves nothing to find again.
        """
        time = self.axes.index("time") - len(self.axes)
        for (step, before, _), one in zip(self._shapes(tuple(shape)), drawn, strict=True):
            there = step.augmentation.moved(samples, _on(samples.device, one.draws), before[time])
            samples = _chosen(one.records, there, samples)
        return samples

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes; `from_json` gives an equal chain back."""
        names = {kind: name for name, kind in self.known.items()}
        steps = [
            {"augmentation": names[type(step.augmentation)], "probability": step.probability}
            | {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(step.augmentation).items()}
            for step in self.steps
        ]
        return {"rate": self.rate, "steps": steps}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The chain that `to_json` wrote; parameters that are left out keep their defaults.

        Raises:
            UsageError: if a name is unknown or a value cannot be.
        """
        for key in values:
            refuse_unknown(f"key of {cls.__name__}", key, ("rate", "steps"))
        steps = values.get("steps", ())
        if not isinstance(steps, (list, tuple)) or not all(isinstance(step, Mapping) for step in steps):
            raise UsageError(f"steps must be a list of mappings such as {{'augmentation': 'jitter'}}, got {steps!r}")
        return cls(tuple(cls._step(step) for step in steps), values.get("rate", 1.0))

    @classmethod
    def _step(cls, values: Mapping[str, Any]) -> Step:
        name = values.get("augmentation")
        refuse_unknown("augmentation", name, tuple(cls.known))
        kind = cls.known[str(name)]
        parameters = {key: value for key, value in values.items() if key not in ("augmentation", "probability")}
        for key in parameters:
            refuse_unknown(f"parameter of {name}", key, ("probability", *(field.name for field in fields(kind))))
        return Step(kind(**parameters), values.get("probability", 1.0))

    def _shapes(self, shape: Shape) -> Iterator[tuple[Step, Shape, Shape]]:
        """Each step with the shape before and after it."""
        for step in self.steps:
            after = step.augmentation.shape_after(shape)
            if after != shape and step.probability < 1:
                raise UsageError(
                    f"a step that changes the shape is for all records, got a probability of {step.probability:g} "
                    f"for {type(step.augmentation).__name__}: leave it at 1"
                )
            yield step, shape, after
            shape = after

    def _refuse_other_than_batch(self, shape: Sequence[int]) -> None:
        extra = len(shape) - len(self.axes)
        if extra not in ((0, 1) if "row" in self.axes else (0,)):
            raise UsageError(f"{type(self).__name__} needs ({', '.join(self.axes)}), got {len(shape)} axes")


@dataclass(frozen=True)
class EcgAugmentation(Chain):
    """For ECGs, (batch, lead, time); NaN = not recorded."""

    known: ClassVar[Known] = ECG
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = ECG_PRESETS
    axes: ClassVar[tuple[str, ...]] = ("batch", "lead", "time")


@dataclass(frozen=True)
class CineAugmentation(Chain):
    """For cines, (batch, time, row, col) or (batch, channel, time, row, col), intensities from 0 to 1."""

    known: ClassVar[Known] = CINE
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = CINE_PRESETS
    axes: ClassVar[tuple[str, ...]] = ("batch", "time", "row", "col")


def _on(device: torch.device, draws: Draws) -> Draws:
    return {key: value.to(device, non_blocking=True) for key, value in draws.items()}


def _chosen(records: Tensor | None, changed: Tensor, given: Tensor) -> Tensor:
    """``changed`` for the records that were drawn, ``given`` for the others."""
    if records is None:
        return changed
    return torch.where(per_record(records.to(given.device, non_blocking=True), given), changed, given)
