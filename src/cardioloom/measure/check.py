"""Is a record fit to be fed to a model? The checks of signal quality that need no beats."""

from __future__ import annotations

import numpy as np

from cardioloom.measure.consistency import broken_identities, identity_errors, scaled_apart, signal_notices
from cardioloom.measure.quality import THROUGHOUT, lead_states
from cardioloom.measure.windows import joined, windows
from cardioloom.records import ECG, Notice

BLOCK_S = 60.0


def check(record: ECG) -> tuple[tuple[Notice, ...], tuple[str, ...]]:
    """Unit, Einthoven's and Goldberger's identities, and leads without a signal; walked in blocks of a minute.

    Args:
        record: of any length.

    Returns:
        notices (``implausible_unit``, ``amplitudes_not_physical``, ``einthoven``) and the names of the leads that
        are flat or not recorded over most of the record.
    """
    seen, errors, apart = [], {}, []
    for offset, part in record.blocks(BLOCK_S, 0.0):
        seen.append(windows(part.signal, part.fs, offset))
        own = identity_errors(part)
        for lead, rows in own.items():
            errors.setdefault(lead, []).append(rows)
        if broken_identities(own):
            apart.append(scaled_apart(part))
    states = dict(zip(record.leads, lead_states(joined(seen)), strict=True))
    broken = broken_identities({lead: np.concatenate(rows) for lead, rows in errors.items()})
    notices = signal_notices(states, broken, physical=not broken or not apart or not all(apart))
    empty = [
        lead
        for lead, state in states.items()
        if state.missing > THROUGHOUT or "missing" in state.problems or state.problems.get("flat", 0.0) > THROUGHOUT
    ]
    return tuple(notices), tuple(empty)
