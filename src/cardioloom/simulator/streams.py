"""Random numbers of a patient: one stream a purpose, the same whatever was drawn before and on however many workers."""

from __future__ import annotations

import hashlib

import numpy as np

GENERATOR = "phantom/1"


def stream(seed: int, patient: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose of one patient (Philox, keyed by a sum of generator, seed, patient, purpose).

    Args:
        seed: of the cohort.
        patient: its number.
        purpose: "heart", "ecg/0" …; a new column takes a new purpose, so that no existing one moves.
    """
    digest = hashlib.sha256(f"{GENERATOR}/{seed}/{patient}/{purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
