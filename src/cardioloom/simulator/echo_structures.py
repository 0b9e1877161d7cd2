"""Thin bright structures of the four-chamber view: leaflets, annuli, devices. Rules of this simulator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.echo_scene import Walls
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.volume_curve import BeatTimes, beat_times

Floats = NDArray[np.floating]
ALONG = np.linspace(0, 1, 12)


def structures(heart: Heart, walls: Walls, phases: Floats) -> tuple[Floats, Floats]:
    """Points of all thin structures: (time, point, 2) places (u, v) in mm and (point,) amplitudes, 1 = muscle."""
    open_ = _opening(beat_times(heart), phases, kicks=beat_times(heart).kick_share > 0)
    clip = "mitral_clip" in heart.devices
    septal, lateral = -walls.tables[:, 0, -1].astype(float), walls.tables[:, 1, -1].astype(float)
    ring = walls.length
    width = lateral - septal
    parts = [
        _leaflet(septal, ring, 0.66 * width, open_ * (0.25 if clip else 1), 1.0, 0.60, 2.6),
        _leaflet(lateral, ring, 0.48 * width, open_ * (0.25 if clip else 1), -1.0, 0.40, 2.2),
    ]
    inner = -walls.tables[:, 2, -1].astype(float)
    outer = inner - 0.95 * walls.tables[:, 4, -1]
    across = inner - outer
    parts += [
        _leaflet(inner, walls.tricuspid, 0.42 * across, open_, -1.0, 0.38, 1.5),
        _leaflet(outer, walls.tricuspid, 0.62 * across, open_, 1.0, 0.62, 1.6),
        _blob(inner + 2, ring + 1, 3.0, 2.4),  # the crux, of fibrous tissue
        _blob(lateral + 1, ring, 2.5, 1.4),
        _blob(outer, walls.tricuspid, 2.5, 1.2),
    ]
    if clip:
        parts.append(_clip(septal + 0.6 * width, ring - 7))
    if "aortic_prosthesis" in heart.devices:
        parts += _prosthesis(septal, ring)
    if "pacemaker_lead" in heart.devices:
        parts.append(_lead(walls))
    return np.concatenate([place for place, _ in parts], 1), np.concatenate([bright for _, bright in parts])


def _opening(times: BeatTimes, phases: Floats, *, kicks: bool) -> Floats:
    """(time,) how far the atrioventricular valves are open, 0–1: wide in early filling and at the atrial kick."""
    ms = np.mod(phases, 1.0) * times.rr
    early = np.sin(np.pi * np.clip((ms - times.filling_starts) / (times.early_ends - times.filling_starts), 0, 1))
    wide = np.maximum(np.clip(early, 0, 1) ** 0.6, 0.0)
    if kicks:
        kick = np.sin(np.pi * np.clip((ms - times.kick_starts) / (times.kick_ends - times.kick_starts), 0, 1))
        wide = np.maximum(wide, 0.8 * np.clip(kick, 0, 1) ** 0.6)
    resting = 0.4 * np.clip((ms - times.filling_starts) / 40, 0, 1) * np.clip((times.kick_ends - ms) / 40, 0, 1)
    return np.maximum(wide, resting)


def _leaflet(
    hinge: Floats, ring: Floats, length: Floats, open_: Floats, towards: float, meets: float, bright: float
) -> tuple[Floats, Floats]:
    """A curved line from the hinge: across the orifice when closed, towards the apex when open.

    Args:
        hinge, ring, length, open_: (time,) u and v of the hinge, mm, the leaflet's length, how far it is open.
        towards: +1 or −1, to which side it closes.
        meets: angle from the ring in radians at which a closed leaflet stands, times 0.5.
        bright: amplitude.
    """
    angle = 0.5 * meets + open_ * (1.45 - 0.5 * meets)
    bow = 0.07 * length * (1 - 0.5 * open_)
    along = length[:, None] * ALONG
    aside = bow[:, None] * np.sin(np.pi * ALONG) * np.where(open_ > 0.5, 1, -1)[:, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    u = hinge[:, None] + towards * (along * cos - aside * sin)
    v = ring[:, None] - (along * sin + aside * cos)
    return np.stack([u, v], 2), bright * (1 - 0.35 * ALONG)


def _blob(u: Floats, v: Floats, radius: float, bright: float) -> tuple[Floats, Floats]:
    turn = np.arange(8) * 2.4
    offset = radius * np.sqrt(np.arange(8) / 8)
    place = np.stack([u[:, None] + offset * np.cos(turn), v[:, None] + offset * np.sin(turn)], 2)
    return place, np.full(8, bright)


def _clip(u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Two arms of 9 mm that hold both leaflets together, with the echoes of the metal behind."""
    arms = np.linspace(-4.5, 4.5, 10)
    behind = np.arange(1, 6) * 3.0
    du = np.concatenate([arms * 0.35 - 1, -arms * 0.35 + 1, np.zeros(5)])
    dv = np.concatenate([arms, arms, 4.5 + behind])
    place = np.stack([u[:, None] + du, v[:, None] + dv], 2)
    return place, np.concatenate([np.full(20, 4.5), 2.2 * 0.7 ** np.arange(5)])


def _prosthesis(septal: Floats, ring: Floats) -> list[tuple[Floats, Floats]]:
    """The frame of an aortic valve beside the crux: two struts of 14 mm and the echoes behind them."""
    struts = np.linspace(-6, 8, 14)
    parts = []
    for offset in (1.0, 13.0):
        du, dv = offset + 0.12 * struts, struts + 1
        parts.append((np.stack([septal[:, None] + du, ring[:, None] + dv], 2), np.full(14, 4.0)))
    behind = np.arange(1, 7) * 4.0
    tail = np.stack([septal[:, None] + 7 + 0 * behind, ring[:, None] + 9 + behind], 2)
    return [*parts, (tail, 2.4 * 0.75 ** np.arange(6))]


def _lead(walls: Walls) -> tuple[Floats, Floats]:
    """A wire from the far wall of the right atrium through the tricuspid valve to the apex of the right ventricle."""
    centre = walls.atria[:, 2]
    inner = -walls.tables[:, 2, -1].astype(float)
    start = np.stack([centre - 4, np.full(len(centre), walls.roof - 3)], 1)
    through = np.stack([inner - 0.42 * walls.tables[:, 4, -1], walls.tricuspid], 1)
    near = 20  # of the steps: where the cavity of the right ventricle is narrow
    tip = np.stack([-walls.tables[:, 2, near] - 0.4 * walls.tables[:, 4, near], 0.25 * walls.length], 1)
    t = np.linspace(0, 1, 46)[:, None]
    control = 2 * through - 0.5 * (start + tip)
    line = (1 - t) ** 2 * start[:, None] + 2 * t * (1 - t) * control[:, None] + t**2 * tip[:, None]
    return line, np.full(46, 3.4)
