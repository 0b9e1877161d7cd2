"""Hearts for the tests of the simulator."""

from dataclasses import replace
from typing import Any

from cardioloom.simulator import draw
from cardioloom.simulator.heart import Heart


def healthy(number: int, seed: int = 7, **electrics: Any) -> Heart:
    """A heart without disease, in sinus rhythm without ectopy, then with other values of `Electrics`."""
    plain = {"rhythm": "sinus", "conduction": "normal", "av_block": 0, "pvc_burden": 0.0, "pac_burden": 0.0}
    heart = draw(seed, number)
    while heart.diagnosis != "normal" or heart.electrics.rhythm != "sinus" or heart.electrics.conduction != "normal":
        number += 1000
        heart = draw(seed, number)
    return replace(heart, electrics=replace(heart.electrics, **(plain | electrics)))
