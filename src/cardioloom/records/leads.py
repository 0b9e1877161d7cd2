"""Lead names: any spelling → the field's standard name; and the arithmetic of the limb leads."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cardioloom.records.text import printable

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
CHEST_LEADS = STANDARD_LEADS[6:]
DERIVABLE_LEADS = ("III", "aVR", "aVL", "aVF")
# Further chest positions of AHA/IEC practice: right-sided and posterior electrodes.
EXTRA_CHEST_LEADS = (*(f"V{n}R" for n in range(1, 8)), "V7", "V8", "V9")

# Weights of (I, II) that give each derivable lead: Einthoven's law and Goldberger's
# augmented leads (AHA/ACCF/HRS 2007, part I, doi:10.1161/CIRCULATIONAHA.106.180200).
FROM_I_AND_II = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}

_BY_KEY = {lead.upper(): lead for lead in (*STANDARD_LEADS, *EXTRA_CHEST_LEADS)}
# "ECG 1" and "lead 1" are not among them: they number channels, whatever lead those are.
_BY_KEY |= {"DI": "I", "DII": "II", "DIII": "III", "D1": "I", "D2": "II", "D3": "III"}
_BY_KEY |= {"LI": "I", "LII": "II", "LIII": "III", "L1": "I", "L2": "II", "L3": "III"}
_BY_KEY |= {"VR": "aVR", "VL": "aVL", "VF": "aVF"}
_BY_KEY |= {f"C{n}": f"V{n}" for n in range(1, 10)}  # IEC 60601-2-25 names the chest electrodes C1…
_BY_KEY |= {f"C{n}R": f"V{n}R" for n in range(1, 8)}

_PREFIX = re.compile(r"^(?:MDC[_ ])?(?:ECG|EKG|LEAD|ELEC(?:TRODE)?|CHANNEL|CHEST|PRECORDIAL)(?![A-Z])[\s_.:-]*")
_NOISE = re.compile(r"[\s_.:-]+")
_PADDING = re.compile(r"^([VC])0+(?=[1-9])")  # V01
# Names that mark a channel as ECG though it is none of the standard leads: modified limb and chest
# leads (MLII, CM5, CC5, mod.V1), Frank's X Y Z, EASI pairs, Nehb's D A J; or the words ECG, EKG, lead.
_OTHER_LEAD = re.compile(
    r"^(?:M(?:OD)?(?:LI{1,3}|V[1-6]|CL[1-6]|L[1-3])|C[MSCB][1-6]R?|(?:FRANK)?V?[XYZ]|V|ES|AS|AI|NEHB[DAJ]?|D[4-6]|V\d+R?)$"
)
MAX_NAMES = 1024  # kept with their answers: a folder of thousands of files spells its leads alike
_ECG_WORD = re.compile(r"(?<![A-Z])(?:ECG|EKG|LEAD)(?![A-Z])")


@lru_cache(MAX_NAMES)
def standard_lead(name: str) -> str | None:
    """The standard name of a lead in any spelling, or None where it is none of them.

    ``"Lead I (Einthoven)"`` → ``"I"``; ``"avr"`` → ``"aVR"``; ``"ECG C4"`` → ``"V4"``; ``"MLII"`` → None.
    """
    text = re.sub(r"\(.*?\)", " ", printable(name)).strip().upper()
    while (match := _PREFIX.match(text)) and match.end() < len(text):
        text = text[match.end() :]
    text = re.sub(r"[\s_.:-]+(?:ECG|EKG|LEAD)$", "", text)  # "V1 ECG", "II lead"
    return _BY_KEY.get(_PADDING.sub(r"\1", _NOISE.sub("", text)))


@lru_cache(MAX_NAMES)
def is_ecg_name(name: str) -> bool:
    """True where the name alone says that the channel is an ECG lead, standard or not."""
    text = printable(name).upper()
    if standard_lead(name) is not None:
        return True
    return bool(_OTHER_LEAD.match(_NOISE.sub("", text)) or _ECG_WORD.search(text))


def derive(lead: str, one: NDArray[np.floating], two: NDArray[np.floating]) -> NDArray[np.float64]:
    """A limb lead from I and II.

    Args:
        lead: III, aVR, aVL or aVF.
        one, two: leads I and II, (time,), mV.

    Returns:
        (time,), mV; NaN where either is NaN.
    """
    a, b = FROM_I_AND_II[lead]
    return a * one.astype(np.float64) + b * two.astype(np.float64)
