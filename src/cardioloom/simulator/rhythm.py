"""When the atria and the ventricles of a simulated heart are activated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.heart import Electrics, Heart
from cardioloom.simulator.pacing import paced
from cardioloom.simulator.streams import stream

WARM_UP_S = 3.0  # the heart beats before the recording begins
NUMBERS = 8  # random numbers a beat
# Sinus rhythm: respiratory, slow (0.1 Hz) and 1/f parts of the variance, as McSharry 2003 has the first two.
LF_HZ, LF_SHARE, RSA_YOUNG, RSA_OLD = 0.1, 0.30, 0.55, 0.20
DRIFTS_BEATS = (3.0, 12.0, 50.0)  # first-order processes that add up to about 1/f
# Atrial fibrillation: a refractory node and a wait (as the node of Lian et al. 2007, doi:10.1186/1475-925X-6-9); that
# the wait has a gamma distribution, and the numbers, are rules of this simulator.
REFRACTORY_SHARE, WAIT_SHAPE = 0.50, 2.6
VENTRICLE_REFRACTORY_S = 0.36  # after a premature beat no sinus beat passes
# A premature ventricular beat also reaches the AV node from below, and the sinus beat after it is not conducted: the
# pause is compensatory. A few are interpolated; how many is a rule of this simulator.
INTERPOLATED_SHARE = 0.05
COUPLING_S = (0.38, 0.62)
COUPLING_SHARE = (0.52, 0.66)  # of the usual interval, within those
AF_PAUSE_SHARE = 0.40  # of the usual interval, that a premature beat adds to the next one in fibrillation
ESCAPE_PAUSE_SHARE = 0.50  # likewise after one that resets an escape focus
ATRIAL_BPM = (70.0, 95.0)  # in complete block
PACED_BPM = 60.0  # at least
PAC_EARLY = (0.58, 0.78)  # share of the RR interval
RECORDING_RATE_SD = 0.03  # from one recording of a patient to the next


@dataclass(frozen=True, eq=False)
class Beats:
    """Activations, s from the start of the recording; those just before and after it are among them.

    Args:
        p_onset_s, p_early: (p,) onsets of P waves, and which of them are premature.
        qrs_onset_s: (beat,) ascending.
        kind: (beat,) "sinus", "pac", "pvc", "af", "escape" or "paced".
        pr_s: (beat,) from the P onset that was conducted; NaN where none was.
        rr_s: (beat,) to the beat before; the first is the usual one.
        usual_rr_s: of the recording.
        breath_hz, breath_phase: of respiration, the phase in radians at 0 s.
    """

    p_onset_s: NDArray[np.float64]
    p_early: NDArray[np.bool_]
    qrs_onset_s: NDArray[np.float64]
    kind: NDArray[np.str_]
    pr_s: NDArray[np.float64]
    rr_s: NDArray[np.float64]
    usual_rr_s: float
    breath_hz: float
    breath_phase: float


@lru_cache(maxsize=4)  # of one patient the recording and what is counted in it ask for the same
def beats(heart: Heart, recording: int, seconds: float) -> Beats:
    """The beats of one recording; a longer recording begins with the same ones. Not to be written to.

    Args:
        heart: whose.
        recording: number of the recording.
        seconds: its length.
    """
    random = stream(heart.seed, heart.patient, f"ecg/{recording}/rhythm")
    own = random.random(6)
    rate = heart.electrics.heart_rate_bpm * exp(RECORDING_RATE_SD * random.standard_normal())
    usual = 60.0 / rate
    breath_hz, breath_phase = 0.2 + 0.12 * own[0], 2 * pi * own[1]
    walk = _Walk(heart, recording, usual, seconds, random, breath_hz, breath_phase, own)
    e = heart.electrics
    if e.av_block == 3 or (paced(heart) and e.rhythm == "atrial_fibrillation"):
        walk.free("paced" if paced(heart) else "escape")
    elif e.rhythm == "atrial_fibrillation":
        walk.fibrillating()
    elif e.av_block == 2:
        walk.dropping()
    else:
        walk.conducted()
    return walk.result()


class _Walk:
    """The activations of one recording, one after the other."""

    def __init__(
        self,
        heart: Heart,
        recording: int,
        usual_rr_s: float,
        seconds: float,
        random: np.random.Generator,
        breath_hz: float,
        breath_phase: float,
        own: NDArray[np.float64],
    ) -> None:
        self.electrics: Electrics = heart.electrics
        self.usual = usual_rr_s
        self.end = seconds + 1.0
        self.random, self.own = random, own
        self.ventricle = stream(heart.seed, heart.patient, f"ecg/{recording}/escape")
        self.ectopy = stream(heart.seed, heart.patient, f"ecg/{recording}/ectopy")
        self.usual_kind = "paced" if paced(heart) else "sinus"
        self.breath_hz, self.breath_phase = breath_hz, breath_phase
        self.p: list[tuple[float, bool]] = []
        self.qrs: list[tuple[float, str, float]] = []
        self.drift = np.zeros(len(DRIFTS_BEATS))
        young = float(np.clip((70 - heart.age_years) / 50, 0, 1))
        self.rsa = RSA_OLD + (RSA_YOUNG - RSA_OLD) * young
        self.start = -WARM_UP_S - usual_rr_s * own[2]
        low, high = COUPLING_SHARE
        self.coupling = float(np.clip(usual_rr_s * (low + (high - low) * own[3]), *COUPLING_S))
        e = heart.electrics
        self.each_pvc = min(0.9, e.pvc_burden / max(1e-6, 1 - e.pvc_burden))  # after a beat that is not one
        self.each_pac = min(0.9, e.pac_burden / max(1e-6, 1 - e.pac_burden))

    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(uniform, normal) of one beat."""
        return self.random.random(NUMBERS), self.random.standard_normal(NUMBERS)

    def premature(self, after: float, normal: float) -> float:
        """When a premature ventricular beat follows a beat, s."""
        return after + max(COUPLING_S[0], self.coupling + 0.012 * normal)

    def sinus_rr(self, at: float, usual: float, normal: NDArray[np.float64]) -> float:
        """The next interval between sinus beats, s."""
        kept = np.exp(-1 / np.array(DRIFTS_BEATS))
        self.drift = kept * self.drift + np.sqrt(1 - kept**2) * normal[:3]
        slow = sqrt(2 * LF_SHARE) * sin(2 * pi * LF_HZ * at + 2 * pi * self.own[4])
        breath = sqrt(2 * self.rsa) * sin(2 * pi * self.breath_hz * at + self.breath_phase)
        rest = sqrt(max(0.0, 1 - LF_SHARE - self.rsa) / len(self.drift)) * float(self.drift.sum())
        change = self.electrics.rr_sd_ms / 1000 * (slow + breath + rest)
        return max(0.3, usual + float(np.clip(change, -0.3 * usual, 0.5 * usual)))

    def conducted(self) -> None:
        """Sinus rhythm with premature beats: the sinus node keeps its time after a ventricular one, not after an
        atrial one."""
        e = self.electrics
        pr = e.pr_ms / 1000
        at, early, blocked_until = self.start, False, -np.inf
        while at < self.end:
            uniform, normal = self.numbers()
            rr = self.sinus_rr(at, self.usual, normal)
            delay = pr + 0.003 * normal[3] + (0.012 if early else 0.0)
            self.p.append((at, early))
            passes = at + delay > blocked_until
            if passes:
                kind = "pac" if early and self.usual_kind == "sinus" else self.usual_kind
                self.qrs.append((at + delay, kind, delay))
            was_early, early = early, False
            if passes and uniform[0] < self.each_pvc:
                pvc = self.premature(self.qrs[-1][0], normal[4])
                self.qrs.append((pvc, "pvc", np.nan))
                at += rr
                pause_ends = pvc if uniform[3] < INTERPOLATED_SHARE else at + pr + 0.1
                blocked_until = max(pvc + VENTRICLE_REFRACTORY_S, pause_ends)
            elif passes and not was_early and uniform[1] < self.each_pac:
                at += max(0.42, rr * (PAC_EARLY[0] + (PAC_EARLY[1] - PAC_EARLY[0]) * uniform[2]))
                early = True
            else:
                at += rr * (1.08 if was_early else 1.0)  # a node that was reset starts a little later

    def fibrillating(self) -> None:
        """Irregular ventricular beats, no P wave."""
        refractory = REFRACTORY_SHARE * self.usual
        wait = (1 - REFRACTORY_SHARE) * self.usual
        at, is_pvc = self.start, False
        while at < self.end:
            uniform, normal = self.numbers()
            self.qrs.append((at, "pvc" if is_pvc else "af", np.nan))
            # Wilson & Hilferty 1931: a gamma variate from a normal one, one number a beat.
            share = max(0.0, 1 - 1 / (9 * WAIT_SHAPE) + normal[0] / (3 * sqrt(WAIT_SHAPE))) ** 3
            rr = max(0.30, refractory + wait * share)
            if not is_pvc and uniform[0] < self.each_pvc:
                rr, is_pvc = max(COUPLING_S[0], min(rr, self.coupling + 0.012 * normal[4])), True
            elif is_pvc:
                rr, is_pvc = rr + AF_PAUSE_SHARE * self.usual, False
            at += rr

    def dropping(self) -> None:
        """Second degree: of every n P waves one is not conducted; its PR grows (Wenckebach) or not (Mobitz II).

        A premature ventricular beat takes the place of the next beat that would have been conducted.
        """
        e = self.electrics
        of = 2 if self.usual > 1.2 else 3 + int(4 * self.own[5])
        growing = of > 2 and self.own[3] < 0.6
        p_to_p = self.usual * (of - 1) / of
        at, n, replaced = self.start, 0, False
        while at < self.end:
            uniform, normal = self.numbers()
            self.p.append((at, False))
            if n % of < of - 1 and replaced:
                replaced = False
            elif n % of < of - 1:
                more = 0.12 * p_to_p * sqrt(n % of) if growing else 0.0
                delay = e.pr_ms / 1000 + more + 0.003 * normal[3]
                self.qrs.append((at + delay, "sinus", delay))
                if uniform[0] < self.each_pvc:
                    self.qrs.append((self.premature(at + delay, normal[4]), "pvc", np.nan))
                    replaced = True
            at += self.sinus_rr(at, p_to_p, normal)
            n += 1

    def free(self, kind: str) -> None:
        """Third degree: atria and ventricles each at their own rate; no atria where they fibrillate.

        A premature ventricular beat resets the escape focus and the pacemaker.
        """
        low, high = ATRIAL_BPM
        p_to_p = 60 / (low + (high - low) * self.own[3])
        at = self.start
        while at < self.end and self.electrics.rhythm == "sinus":
            _, normal = self.numbers()
            self.p.append((at, False))
            at += self.sinus_rr(at, p_to_p, normal)
        at = self.start + p_to_p * self.own[5]
        spread = 0.0005 if kind == "paced" else 0.008
        if kind == "paced":
            self.usual = min(self.usual, 60 / PACED_BPM)
        n = int((self.end - at) / self.usual) + 2
        pause = 0.0 if kind == "paced" else ESCAPE_PAUSE_SHARE * self.usual
        for normal, chance in zip(self.ventricle.standard_normal(n), self.ectopy.random(n), strict=True):
            self.qrs.append((at, kind, np.nan))
            if chance < self.each_pvc:
                at = self.premature(at, normal) + pause
                self.qrs.append((at - pause, "pvc", np.nan))
            at += max(0.3, self.usual * (1 + spread * normal))

    def result(self) -> Beats:
        self.qrs.sort()
        onset = np.array([at for at, _, _ in self.qrs])
        return Beats(
            p_onset_s=np.array([at for at, _ in self.p], np.float64),
            p_early=np.array([early for _, early in self.p], np.bool_),
            qrs_onset_s=onset,
            kind=np.array([kind for _, kind, _ in self.qrs], np.str_),
            pr_s=np.array([delay for _, _, delay in self.qrs]),
            rr_s=np.diff(onset, prepend=onset[:1] - self.usual),
            usual_rr_s=self.usual,
            breath_hz=self.breath_hz,
            breath_phase=self.breath_phase,
        )
