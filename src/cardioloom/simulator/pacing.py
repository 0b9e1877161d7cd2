"""What a pacemaker does to a simulated heart: its rate and its QRS, so that they are those of the recording.

Sizes are rules of this simulator.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cardioloom.simulator.heart import Heart

QRS_MS, AXIS_DEG, RATE_BPM, PR_MS = (140.0, 175.0), (-75.0, -35.0), (60.0, 75.0), 170.0


def paced(heart: Heart) -> bool:
    """Whether the ventricles are stimulated: there is a lead, and what it would do is seen in the QRS or is needed."""
    e = heart.electrics
    return "pacemaker_lead" in heart.devices and (e.conduction == "lbbb" or e.av_block == 3)


def stimulated(heart: Heart, random: np.random.Generator) -> Heart:
    """A heart with a lead whose atrioventricular node does not conduct, as it is with the pacemaker's help.

    Pacing at the right ventricle's apex spreads as left bundle branch block and upwards, and what is paced is not
    blocked. In atrial fibrillation a paced heart beats at the pacemaker's own rate. Another heart stays as it is.

    Args:
        heart: with its devices.
        random: a stream of its own.
    """
    if "pacemaker_lead" not in heart.devices:
        return heart
    e = heart.electrics
    wide, axis, rate = (float(random.uniform(*limits)) for limits in (QRS_MS, AXIS_DEG, RATE_BPM))
    if e.av_block >= 2:
        e = replace(e, av_block=0, conduction="lbbb", qrs_ms=wide, heart_rate_bpm=rate, pr_ms=PR_MS)
    elif e.conduction != "lbbb":
        return heart
    elif e.rhythm == "atrial_fibrillation":
        e = replace(e, heart_rate_bpm=rate)
    return replace(heart, electrics=replace(e, qrs_axis_deg=axis))
