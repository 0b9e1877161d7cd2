"""What several statements ask of one ECG, computed once; and the form of their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.electrodes import LimbSwap, limb_swap
from cardioloom.measure.features import Features, LeadWaves
from cardioloom.measure.statements.beats_apart import Ectopy, find_ectopy

NOT_PHYSICAL = "amplitudes are not in physical millivolts"
LOST_SHARE = 0.5  # of the beats without a measurable QRS: what was found may be no beats at all
PAUSE_S = 3.0  # says something of its own and is no part of the rate
FEW_BEATS = 3  # fewer say nothing about a rhythm

Spans = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Verdict:
    """Present, absent or (None) not judgeable; why, in words; where, in s from the start."""

    present: bool | None
    evidence: str
    spans_s: Spans = ()

    def __post_init__(self) -> None:
        if self.present is not None:
            object.__setattr__(self, "present", bool(self.present))  # numpy's booleans are no JSON


def unknown(why: str) -> Verdict:
    """Not judgeable, with the reason."""
    return Verdict(None, why)


@dataclass(frozen=True, eq=False)
class Case:
    """One ECG under judgement."""

    features: Features
    judged: dict[Callable[[Case], Verdict], Verdict] = field(default_factory=dict)

    def once(self, judge: Callable[[Case], Verdict]) -> Verdict:
        """The verdict of a statement, judged the first time it is asked for."""
        if judge not in self.judged:
            self.judged[judge] = judge(self)
        return self.judged[judge]

    def says(self, judge: Callable[[Case], Verdict]) -> bool:
        """Whether a statement is present."""
        return self.once(judge).present is True

    def value(self, name: str) -> float | None:
        """A measurement's value in its unit, None where it was not measured."""
        found = self.features.measurements.get(name)
        return None if found is None else float(found.value)

    def wave(self, lead: str) -> LeadWaves | None:
        """The amplitudes of a lead, None where the lead is absent or not usable."""
        return self.features.waves.get(lead)

    def st(self, lead: str, point: str = "j") -> float | None:
        """The ST level of a lead, mV, None where it was not measured."""
        wave = self.wave(lead)
        return None if wave is None else wave.st.get(point)

    def absent(self, *leads: str) -> tuple[str, ...]:
        """Those of the leads that were not recorded or not usable."""
        return tuple(lead for lead in leads if self.wave(lead) is None)

    def lacking(self, *leads: str) -> str | None:
        """A sentence that names missing leads, None where all are there."""
        gone = self.absent(*leads)
        return f"needs {'lead' if len(gone) == 1 else 'leads'} {', '.join(gone)}, not usable here" if gone else None

    @cached_property
    def n_beats(self) -> int:
        """Number of beats."""
        return len(self.features.r_peaks_s)

    @cached_property
    def too_few(self) -> str | None:
        """A sentence where too few beats were found to judge a rhythm."""
        if self.n_beats >= FEW_BEATS and np.isfinite(self.features.rr_s).any():
            lost = float(np.isnan(self.features.qrs_ms).mean())
            return f"{lost:.0%} of the beats show no QRS with an onset and an end" if lost > LOST_SHARE else None
        words = {0: "no beat was found", 1: "only one beat was found"}
        return words.get(self.n_beats, f"only {self.n_beats} beats were found") + ", too few to judge a rhythm"

    @cached_property
    def ectopy(self) -> Ectopy:
        """Which beats are premature or of ventricular shape."""
        return find_ectopy(self.features)

    @cached_property
    def normal_rr(self) -> NDArray[np.float64]:
        """(interval,) s: RR intervals between two beats that are not ectopic; pauses left out."""
        apart = self.ectopy.any
        rr = self.features.rr_s
        keep = np.isfinite(rr) & ~apart[:-1] & ~apart[1:] & ~self.is_pause if len(rr) else np.zeros(0, bool)
        return rr[keep]

    @cached_property
    def is_pause(self) -> NDArray[np.bool_]:
        """(interval,) whether an RR interval is a pause: 3 s or more, and more than twice the usual interval."""
        rr = self.features.rr_s
        usual = float(np.nanmedian(rr)) if np.isfinite(rr).any() else np.inf
        return (rr >= PAUSE_S) & (rr > 2 * usual)

    @property
    def rate(self) -> float | None:
        """The heart rate of the report, 1/min: of the mean RR interval, all beats counted; pauses left out."""
        if not self.is_pause.any():
            return self.value("heart_rate")
        rest = self.features.rr_s[np.isfinite(self.features.rr_s) & ~self.is_pause]
        return float(60.0 / rest.mean()) if len(rest) else self.value("heart_rate")

    @cached_property
    def p_count(self) -> tuple[int, int]:
        """(beats with a P wave, beats looked at): of the dominant shape and not premature."""
        looked = (self.features.beat_class == 0) & ~self.ectopy.any
        return int((self.features.p_present & looked).sum()), int(looked.sum())

    @cached_property
    def p_share(self) -> float:
        """Share of those beats with a P wave; 0 where there is none to look at."""
        with_p, looked = self.p_count
        return with_p / looked if looked else 0.0

    @cached_property
    def limb_swap(self) -> LimbSwap | None:
        """Limb electrodes that seem to be swapped."""
        return limb_swap(self.features)

    @property
    def reversal(self) -> str | None:
        """A sentence where limb electrodes seem to be swapped: axes and limb leads are then not believed."""
        return f"limb leads are not believed: {self.limb_swap.text}" if self.limb_swap else None

    @cached_property
    def is_wide(self) -> bool | None:
        """QRS of 120 ms or more; None where it was not measured."""
        qrs = self.value("qrs_duration")
        return None if qrs is None else qrs >= 120.0

    def spans(self, beats: NDArray[np.bool_], before_s: float = 0.3, after_s: float = 0.4) -> Spans:
        """Times round the beats of a (beat,) mask, s."""
        peaks = self.features.r_peaks_s[beats]
        end = self.features.seconds
        return tuple((round(max(0.0, float(t) - before_s), 2), round(min(end, float(t) + after_s), 2)) for t in peaks)

    @property
    def whole(self) -> Spans:
        """The whole recording as a span."""
        return ((0.0, round(self.features.seconds, 2)),)


def against(value: float, limit: float) -> str:
    """A value with as many digits as show on which side of a limit it lies: 59.6 beside 60, not 60."""
    texts = (f"{value:.{digits}f}" for digits in range(4))
    return next((text for text in texts if value == limit or float(text) != limit), f"{value:.4f}")


def together(leads: Sequence[str]) -> str:
    """``["II", "III"]`` → ``"II, III"``."""
    return ", ".join(leads)
