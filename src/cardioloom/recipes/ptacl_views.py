"""What the nets of a PTACL training see of a batch: crops and frames, plain or augmented."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment import CineAugmentation, EcgAugmentation
from cardioloom.nn.augment.cine import SampleFrames
from cardioloom.nn.augment.presets import CINE_PRESETS, ECG_PRESETS
from cardioloom.nn.paired import ECG_PAPER
from cardioloom.recipes.pairs import FRAMES, Pairs

SAMPLES = ECG_PAPER.size[1]
STILLS = (0.0, 0.175, 0.35)  # shares of the beat: end-diastole, between, about end-systole
PLAIN = "none"
_CROP = {"steps": [{"augmentation": "crop", "length": SAMPLES}]}
_FRAMES = {"steps": [{"augmentation": "sample_frames", "n": FRAMES}]}


@dataclass(frozen=True)
class Views:
    """Augmentations by the name of their preset, "none" = crops and frames drawn at random and nothing else.

    Raises:
        UsageError: if no preset of both ECGs and cines has the name.
    """

    augment: str

    def __post_init__(self) -> None:
        known = (PLAIN, *(name for name in ECG_PRESETS if name in CINE_PRESETS))
        if self.augment not in known:
            raise UsageError(f"the augment of pairs must be one of {', '.join(known)}, got {self.augment!r}")

    def ecg(self, batch: Pairs) -> tuple[Tensor, Tensor]:
        """(study, lead, 2500) and (study, peak) where the R peaks lie in it."""
        chain = EcgAugmentation.from_json(_CROP) if self.augment == PLAIN else EcgAugmentation.preset(self.augment)
        drawn = chain.draw(batch.ecg.shape, generator(batch.ecg))
        return chain.apply(batch.ecg, drawn), chain.moved(batch.peaks, drawn, batch.ecg.shape)

    def cine(self, batch: Pairs) -> Tensor:
        """(study, 26, row, col), frames drawn from the whole beat in their order."""
        chain = CineAugmentation.from_json(_FRAMES) if self.augment == PLAIN else CineAugmentation.preset(self.augment)
        x = chain(batch.cine, generator(batch.cine))
        return x if x.shape[1] == FRAMES else frames(x)  # presets of still pictures draw no frames

    def stills(self, batch: Pairs) -> Tensor:
        """(study, 3, row, col): MMCL's colours of a picture, augmented as cines are."""
        x = stills(batch.cine)
        if self.augment == PLAIN:
            return x
        chain = CineAugmentation.preset(self.augment)
        steps = tuple(step for step in chain.steps if not isinstance(step.augmentation, SampleFrames))
        return CineAugmentation(steps, chain.rate)(x, generator(x))


def from_peak(batch: Pairs) -> Tensor:
    """(study, lead, 2500) from the first R peak on, so that two crops of one heart are alike; from 0 without one."""
    first = batch.peaks[:, 0].nan_to_num(0.0).clamp(0, batch.ecg.shape[-1] - SAMPLES).long()
    at = first[:, None] + torch.arange(SAMPLES, device=first.device)
    return batch.ecg.gather(2, at[:, None].expand(-1, batch.ecg.shape[1], -1))


def rolled(cine: Tensor, shift: Tensor) -> Tensor:
    """Each cine from another frame on: frame i becomes frame i + shift, round the beat.

    Args:
        cine: (study, frame, row, col) of one whole beat.
        shift: (study,) whole frames.
    """
    n = cine.shape[1]
    at = (torch.arange(n, device=cine.device) + shift[:, None]) % n
    return cine.gather(1, at[:, :, None, None].expand(-1, -1, *cine.shape[2:]))


def generator(x: Tensor) -> Generator:
    """Of the device that a tensor lies on; the training loop seeds it at each step."""
    return torch.default_generator if x.device.type == "cpu" else torch.cuda.default_generators[x.device.index]


def frames(cine: Tensor) -> Tensor:
    """26 frames at equal phases, the nearest of those that are there: what is judged."""
    n = cine.shape[1]
    at = torch.arange(FRAMES, device=cine.device) * n / FRAMES
    return cine[:, at.round().long() % n]


def stills(cine: Tensor) -> Tensor:
    """(study, frame, row, col) of a whole beat → (study, 3, row, col), MMCL's colours of a picture."""
    n = cine.shape[1]
    return cine[:, [round(share * n) for share in STILLS]]
