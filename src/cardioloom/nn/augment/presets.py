"""The published chains of augmentations, as JSON: what happens, in which order, with which parameters.

- ``mmcl``, ``mmcl_light``, ``mmcl_medium``, ``mmcl_heavy``: Turgut et al. 2023 (arXiv:2308.05764), the parameters of
  their public code; 95 of 100 records are augmented. Flips are commented out there and are not here.
- ``mae``: the masked autoencoder that MMCL's ECG encoder is pretrained with, from its public code.
- ``ptacl``: Selivanov et al. 2025 (arXiv:2506.20683) name the augmentations but no numbers; 26 frames follow from their
  13 time tokens of two frames. The ECG's are those of ``mmcl_light``. The cine's are chosen here and gentle: a crop of
  0.6 of the area changes a heart's diameter by as much as hearts differ, and size is what is to be learned.
- ``ecgfounder_one_lead``: Li et al. 2024 (arXiv:2410.04133), lead I and its replacements; rows in the standard order.
- ``mmcl_soft`` of cines is what MMCL trains its classifiers with.
"""

from __future__ import annotations

from typing import Any

SAMPLES = 2500  # of a crop: 5 s at 500 Hz


def _contrastive(surrogate: float, jitter: float, rescale: float) -> dict[str, Any]:
    return {
        "rate": 0.95,
        "steps": [
            {"augmentation": "crop", "length": SAMPLES},
            {"augmentation": "fourier_surrogate", "magnitude": surrogate},
            {"augmentation": "jitter", "sigma": jitter},
            {"augmentation": "rescale", "sigma": rescale},
        ],
    }


def _pictures(degrees: float, intensity: float, smallest: float, rate: float) -> dict[str, Any]:
    return {
        "rate": rate,
        "steps": [
            {"augmentation": "flip", "probability": 0.5},
            {"augmentation": "rotate", "degrees": degrees, "mode": "nearest"},
            {"augmentation": "change_intensity", "brightness": intensity, "contrast": intensity},
            {"augmentation": "resized_crop", "scale": [smallest, 1.0]},
        ],
    }


_LIGHT = (0.05, 0.1, 0.075)

ECG_PRESETS: dict[str, dict[str, Any]] = {
    "mmcl": _contrastive(0.1, 0.25, 0.5),
    "mmcl_light": _contrastive(*_LIGHT),
    "mmcl_medium": _contrastive(0.1, 0.25, 0.3),
    "mmcl_heavy": _contrastive(0.125, 0.4, 0.65),
    "mae": {
        "steps": [
            {"augmentation": "crop", "length": SAMPLES},
            {"augmentation": "fourier_surrogate", "probability": 0.5, "magnitude": 0.075},
            {"augmentation": "jitter", "sigma": 0.2},
            {"augmentation": "rescale", "sigma": 0.5},
        ],
    },
    "ptacl": _contrastive(*_LIGHT),
    "ecgfounder_one_lead": {"steps": [{"augmentation": "choose_lead"}]},
}

CINE_PRESETS: dict[str, dict[str, Any]] = {
    "mmcl": _pictures(45.0, 0.5, 0.6, 0.95),
    "mmcl_soft": _pictures(20.0, 0.25, 0.8, 1.0),
    "ptacl": {
        "steps": [
            {"augmentation": "sample_frames", "n": 26},
            {"augmentation": "flip", "probability": 0.5},
            {"augmentation": "rotate", "degrees": 20.0},
            {"augmentation": "resized_crop", "scale": [0.9, 1.0], "ratio": [0.95, 1.05]},
            {"augmentation": "change_intensity", "brightness": 0.25, "contrast": 0.25},
            {"augmentation": "blur", "probability": 0.5, "sigma": [0.1, 1.0]},
            {"augmentation": "noise", "probability": 0.5, "sigma": [0.0, 0.05]},
        ],
    },
}
