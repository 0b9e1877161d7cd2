"""Records → arrays: pure functions, and one frozen value that says which of them a model was trained on."""

from cardioloom.prepare.cine import CinePreparation, prepare_cine
from cardioloom.prepare.ecg import PRESETS, Preparation, Prepared, apply, ecgfounder, prepare
from cardioloom.prepare.echo import EchoPreparation, prepare_echo
from cardioloom.prepare.leads import select
from cardioloom.prepare.steps import Step

__all__ = [
    "PRESETS",
    "CinePreparation",
    "EchoPreparation",
    "Preparation",
    "Prepared",
    "Step",
    "apply",
    "ecgfounder",
    "prepare",
    "prepare_cine",
    "prepare_echo",
    "select",
]
