"""Frontal axes of P, QRS and T from net areas in the limb leads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cardioloom.records.leads import FROM_I_AND_II

# Directions (x to the left, y down) and lengths of the limb leads in Einthoven's triangle, lead I of length 1.
_HALF, _HEIGHT = 0.5, 3**0.5 / 2
DIRECTIONS = {"I": (1.0, 0.0), "II": (_HALF, _HEIGHT)}
DIRECTIONS |= {lead: (a + b * _HALF, b * _HEIGHT) for lead, (a, b) in FROM_I_AND_II.items()}


def axis_deg(areas: Mapping[str, float], least: float) -> float | None:
    """Direction of the frontal vector that explains the leads' areas best (least squares).

    Args:
        areas: limb lead → net area in any unit common to the leads; other leads are passed over.
        least: a vector shorter than this, in the unit of the areas, has no direction.

    Returns:
        degrees from −180 to 180, 0 to the left arm, 90 to the feet; None with fewer than two limb leads or a
        vector that is too short.
    """
    leads = [lead for lead in areas if lead in DIRECTIONS and np.isfinite(areas[lead])]
    directions = np.array([DIRECTIONS[lead] for lead in leads]).reshape(-1, 2)
    if len(leads) < 2 or np.linalg.matrix_rank(directions) < 2:
        return None
    vector, *_ = np.linalg.lstsq(directions, np.array([areas[lead] for lead in leads]), rcond=None)
    if float(np.hypot(*vector)) < least:
        return None
    return float(np.degrees(np.arctan2(vector[1], vector[0])))
