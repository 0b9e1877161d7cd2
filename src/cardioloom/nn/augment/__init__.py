"""Augmentations of batches of ECGs and cines: parameters, draws and what is done, each apart from the others."""

from cardioloom.nn.augment.chain import CINE, ECG, CineAugmentation, Drawn, EcgAugmentation, Step
from cardioloom.nn.augment.drawing import Augmentation

__all__ = ["CINE", "ECG", "Augmentation", "CineAugmentation", "Drawn", "EcgAugmentation", "Step"]
