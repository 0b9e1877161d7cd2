"""PTACL: ten phenotypes of cardiac function, and a vector of the heart, from ten seconds of twelve leads.

Selivanov et al. 2025 (MICCAI, arXiv:2506.20683). A transformer on patches of the ECG that was aligned with cines of
the same hearts; the numbers come from a linear layer on the mean, or on an attention pool, of its tokens
(`nn.readout`). The authors' weights need closed data. What this package ships, `ptacl-phantom`, was trained on
simulated patients by its own recipe (`recipes.ptacl`); it answers only where it, or an index that it made, is named,
and every estimate says on whom it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cardioloom.models.contract import Contract

NET = "Readout"
SHIPPED = "ptacl-phantom"
CITATION = (
    "Selivanov et al., Global and Local Contrastive Learning for Joint Representations from Cardiac MRI and ECG, "
    "MICCAI 2025"
)
LIMITS = (
    "It knows simulated hearts only (phantom/1). What it says of a person's ECG is what a simulated heart with such an "
    "ECG would have: no measurement, and no estimate of that person's heart.",
    "Its intervals hold for all simulated patients of the same population together, not in each group (its page has "
    "their coverage by sex); on persons their coverage is unknown.",
    "The ECG is z-scored first, so that its absolute voltage is lost.",
)


def shipped(trained: Contract, numbers: Sequence[Mapping[str, Any]]) -> Contract:
    """The contract of a trained model as the package ships it.

    Args:
        trained: of the run's model.
        numbers: measured figures for the card, on simulated patients.
    """
    card = replace(
        trained.card,
        title="PTACL: ten phenotypes of cardiac function from an ECG, of simulated hearts",
        licence="Apache-2.0",
        intended_use="to try the library and what is built on it; not for any patient",
        limits=LIMITS,
        numbers=tuple(numbers),
    )
    return replace(trained, name=SHIPPED, card=card)
