"""Models of one lead: which lead of a record is given to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cardioloom.errors import PreparationError
from cardioloom.prepare import select
from cardioloom.records import ECG, standard_lead

# Lead I was replaced by one of these in half of ECGFounder's one-lead training (Li et al. 2024); minus = upside down.
SEEN_IN_TRAINING = ("II", "aVL", "-aVR", "aVF", "-III", "-aVF")


def one_lead(ecg: ECG, wanted: str, lead: str | None = None) -> tuple[ECG, tuple[str, ...], str | None]:
    """The one lead of a record that a model of one lead is given, under the name that its preparation asks for.

    Args:
        ecg: the record.
        wanted: the lead of the preparation.
        lead: of the record, by choice of the caller; "-" before it turns it upside down. None: ``wanted``, else the
            first of `SEEN_IN_TRAINING` that is recorded, else the record's first lead.

    Returns:
        the record with that lead, the leads of the record that it comes from, and a warning where it is not the lead
        that was wanted.

    Raises:
        PreparationError: if the lead that was chosen is not in the record and cannot be derived.
    """
    known = {standard_lead(name) or name for name in ecg.leads}
    if wanted in known and lead in (None, wanted):
        return ecg, (wanted,), None
    if lead is None and wanted == "I" and {"II", "III"} <= known:
        return _as(ecg, "II-III", wanted), ("II", "III"), "I was derived as II − III"
    chosen = lead or next((name for name in SEEN_IN_TRAINING if name.removeprefix("-") in known), ecg.leads[0])
    warning = f"{chosen} is given to a model whose lead is {wanted}"
    if chosen not in SEEN_IN_TRAINING:
        warning += ", and it was not trained on such a lead: its answers are outside of what was tested"
    return _as(ecg, chosen, wanted), (chosen.removeprefix("-"),), warning


def _as(ecg: ECG, chosen: str, wanted: str) -> ECG:
    plain = chosen.removeprefix("-")
    plain = plain if plain in ecg.leads else standard_lead(plain) or plain
    if chosen == "II-III":
        two, three = select(ecg, ("II", "III"))
        row = two - three
    elif plain in ecg.leads:
        row = ecg.select([plain]).signal[0]
    else:
        try:
            row = select(ecg, [plain])[0]
        except PreparationError as error:
            raise PreparationError(
                f"the lead {plain!r} is not recorded: choose one of {', '.join(ecg.leads)}"
            ) from error
    signal = np.asarray(-row if chosen.startswith("-") else row, np.float32)[None]
    return replace(ecg, samples=signal, leads=(wanted,), derived=())
