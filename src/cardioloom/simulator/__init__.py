"""Simulated patients: one heart's physiology → ECG, cine, echo, report text, outcomes.

Nothing that is made here is a patient. Whatever is trained or measured on it says "simulated patients". The generator
is `GENERATOR`; any change of what an existing column or stream gives makes it another generator.
"""

from cardioloom.simulator.heart import Causes, Electrics, Heart, Ischaemia, Scar
from cardioloom.simulator.population import POPULATIONS, draw
from cardioloom.simulator.streams import GENERATOR, stream

__all__ = ["GENERATOR", "POPULATIONS", "Causes", "Electrics", "Heart", "Ischaemia", "Scar", "draw", "stream"]
