"""What the caller says of a file, and the rule by which it is used: file, else caller, else named layout."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cardioloom.errors import MissingFactError, UsageError
from cardioloom.readers.limits import MAX_FS_HZ
from cardioloom.records import is_ecg_name, printable, standard_lead

# mV per unit, by the unit's name in lower case (with µ, U+00B5 and U+03BC, spelt u).
MILLIVOLTS = {"v": 1e3, "volt": 1e3, "mv": 1.0, "millivolt": 1.0, "uv": 1e-3, "microvolt": 1e-3}
MILLIVOLTS |= {"nv": 1e-6, "nanovolt": 1e-6}
OPTIONS = {"leads": "--leads I,II,…", "fs": "--fs HZ", "unit": "--unit mV (or uV)"}


def millivolts_per(unit: str) -> float | None:
    """mV per ``unit`` in any spelling (``"µV"`` → 0.001), or None where it is no voltage."""
    key = unit.strip().lower().replace("µ", "u").replace("μ", "u").replace(" ", "")
    return MILLIVOLTS.get(key) or MILLIVOLTS.get(key.removesuffix("s"))


@dataclass(frozen=True)
class Told:
    """What the caller says of a file that does not say it itself.

    Args:
        fs: sampling rate, Hz.
        leads: names of the channels, in the file's order.
        unit: unit of the samples: V, mV, uV or nV.
        record: the one that is wanted of a file of many, by its own name; no other is read. None = all.

    Raises:
        UsageError: if a value cannot be.
    """

    fs: float | None = None
    leads: tuple[str, ...] | None = None
    unit: str | None = None
    record: str | None = None

    def __post_init__(self) -> None:
        if self.fs is not None and not 0 < self.fs <= MAX_FS_HZ:
            raise UsageError(f"--fs must be a rate in Hz above 0 and up to {MAX_FS_HZ:g}, got {self.fs}")
        if self.unit is not None and millivolts_per(self.unit) is None:
            raise UsageError(f"--unit must be V, mV, uV or nV, got {self.unit!r}")
        if self.leads is not None and len(set(self.leads)) != len(self.leads):
            raise UsageError(f"--leads must name each channel once, got {','.join(self.leads)}")


def check_told(name: str, told: Told, unstated: Collection[str], n_channels: int) -> None:
    """Ask at once for all that neither the file, its layout nor the caller states.

    Args:
        name: the file's name, for messages.
        told: what the caller says.
        unstated: what the file and its layout leave out: of ``leads``, ``fs`` and ``unit``.
        n_channels: how many there are to be named.

    Raises:
        MissingFactError: naming every option that is missing.
    """
    if lacking := [fact for fact in OPTIONS if fact in unstated and getattr(told, fact) is None]:
        raise _missing(name, lacking, n_channels)


def _missing(name: str, facts: Sequence[str], n_channels: int = 0) -> MissingFactError:
    words = {"leads": f"names for its {n_channels} channels", "fs": "sampling rate", "unit": "unit"}
    *others, last = [f"no {words[fact]}" for fact in facts]
    them = "it" if list(facts) in (["fs"], ["unit"]) else "them"
    return MissingFactError(
        f"{name} states {', '.join(others) + ' and ' if others else ''}{last}: give {them} with "
        f"{' '.join(OPTIONS[fact] for fact in facts)}"
    )


def settle_fs(name: str, stated: float | None, told: Told, layout: tuple[str, float] | None, notes: list[str]) -> float:
    """The sampling rate in Hz: what the file states, else the caller, else the named layout (with a note).

    Args:
        name: the file's name, for messages.
        stated: the rate that the file states, Hz.
        told: what the caller says.
        layout: name of the dataset's layout and its rate, Hz.
        notes: is appended to where something was assumed or overruled.

    Raises:
        MissingFactError: if nobody states the rate.
    """
    if stated is not None:
        if told.fs is not None and told.fs != stated:
            notes.append(f"--fs {told.fs:g} was not used: the file states {stated:g} Hz")
        return stated
    if told.fs is not None:
        return told.fs
    if layout is not None:
        notes.append(f"sampling rate {layout[1]:g} Hz assumed from the {layout[0]} layout: the file states none")
        return layout[1]
    raise _missing(name, ["fs"])


def settle_unit(name: str, stated: str | None, told: Told, layout: tuple[str, str] | None, notes: list[str]) -> float:
    """mV per stored value, by the same order as `settle_fs`.

    Raises:
        MissingFactError: if nobody states the unit, or the file states one that is no voltage.
    """
    if stated is not None:
        factor = millivolts_per(stated)
        if factor is None:
            raise MissingFactError(f"{name} states the unit {stated!r}, which is no voltage: convert it to mV first")
        if told.unit is not None and millivolts_per(told.unit) != factor:
            notes.append(f"--unit {told.unit} was not used: the file states {stated}")
        return factor
    if told.unit is not None:
        return millivolts_per(told.unit) or 1.0
    if layout is not None:
        notes.append(f"unit {layout[1]} assumed from the {layout[0]} layout: the file states none")
        return millivolts_per(layout[1]) or 1.0
    raise _missing(name, ["unit"])


def settle_leads(
    name: str,
    stated: tuple[str, ...] | None,
    n_channels: int,
    told: Told,
    layout: tuple[str, tuple[str, ...]] | None,
    notes: list[str],
) -> tuple[str, ...]:
    """One name a channel, standard leads by their standard names, by the same order as `settle_fs`.

    Names the file gives count as stated only where at least one of them names an ECG lead.

    Raises:
        MissingFactError: if nobody names the leads.
        UsageError: if the caller names more or fewer than there are channels.
    """
    if stated is not None and any(is_ecg_name(lead) for lead in stated):
        if told.leads is not None and standardised(told.leads) != standardised(stated):
            notes.append(f"--leads {','.join(told.leads)} was not used: the file names {','.join(stated)}")
        return standardised(stated)
    if told.leads is not None:
        if len(told.leads) != n_channels:
            raise UsageError(f"{name} has {n_channels} channels, but --leads names {len(told.leads)}: name each once")
        return standardised(told.leads)
    if layout is not None and len(layout[1]) == n_channels:
        notes.append(f"leads {', '.join(layout[1])} assumed from the {layout[0]} layout: the file names none")
        return layout[1]
    if stated is not None:
        return standardised(stated)
    raise _missing(name, ["leads"], n_channels)


def standardised(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name by its standard spelling where it has one; repeated names get a number so that they differ."""
    leads: list[str] = []
    for raw in names:
        lead = standard_lead(raw) or printable(raw) or "unnamed"
        base, n = lead, 2
        while lead in leads:
            lead, n = f"{base} ({n})", n + 1
        leads.append(lead)
    return tuple(leads)
