"""Trainings of PTACL's smallest preset through the command line, and what they left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TINY = ("--preset", "tiny", "--batch", "8", "--epochs", "1", "--accelerator", "cpu")


def tiny(*options: str) -> list[str]:
    """What such a training is usually given beside its own options; a new encoder with a probe takes no steps."""
    given = dict(zip(TINY[::2], TINY[1::2], strict=True))
    if "--head" not in options and {"random", "cine_random"} & set(options):
        del given["--epochs"]
    return [word for pair in given.items() if pair[0] not in options for word in pair]


def told(run_folder: Path, name: str = "run.json") -> dict[str, Any]:
    """What a run says of itself, or its ``judged.json``."""
    return json.loads((run_folder / name).read_text())
