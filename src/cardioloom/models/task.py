"""What the numbers of a head mean: name, code, group, threshold, unit.

Calibration, thresholds and the way from standardised to real values live here alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import ModelError
from cardioloom.models.cards import exact_keys
from cardioloom.records import Estimate, Finding

UNCALIBRATED = "threshold not calibrated"
KINDS = ("multi_label", "regression", "embedding")


@dataclass(frozen=True)
class Output:
    """One output of a head.

    Args:
        code: short code of the Challenge 2021 tables, or of this library's statements (IMI, LMI), where the label means
            the same; else the label in lower case.
        name: the label as the model's authors wrote it.
        group: rhythm, conduction, infarct, hypertrophy, ST-T, pacing … .
        threshold: the finding is present at this probability or above.
        calibrated: False while the threshold is a default that no cohort has set.
        single_ecg: False for phrases that compare with an earlier ECG, which one ECG cannot support.
        snomed: SNOMED CT code.
        slope, intercept: of a site's calibration (Platt 1999): probability = sigmoid(slope · logit + intercept).
        unit: of a number.
        mean, std: of the numbers that the net was trained on: value = mean + std · output.
        half_width: of the interval around a number, with the coverage it was conformed to; None = not known.
        coverage: of that interval.

    Raises:
        ModelError: if a value is not of its kind, or the threshold is not between 0 and 1.
    """

    code: str
    name: str
    group: str
    threshold: float = 0.5
    calibrated: bool = False
    single_ecg: bool = True
    snomed: str | None = None
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    mean: float = 0.0
    std: float = 1.0
    half_width: float | None = None
    coverage: float = 0.9

    def __post_init__(self) -> None:
        for text in (self.code, self.name, self.group, self.snomed or "", self.unit):
            if not isinstance(text, str):
                raise ModelError(f"code, name, group, snomed and unit of an output must be texts, got {text!r}")
        for flag in (self.calibrated, self.single_ecg):
            if not isinstance(flag, bool):
                raise ModelError(f"calibrated and single_ecg of {self.code} must be true or false, got {flag!r}")
        for name in ("threshold", "coverage"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 < value < 1:
                raise ModelError(f"the {name} of {self.code} must lie between 0 and 1, got {value!r}")
        for name in ("slope", "intercept", "mean", "std"):
            if not _is_number(value := getattr(self, name)) or not isfinite(value):
                raise ModelError(f"the {name} of {self.code} must be a finite number, got {value!r}")
        if not (self.slope > 0 and self.std > 0):
            raise ModelError(f"slope and std of {self.code} must be positive, got {self.slope} and {self.std}")
        width = self.half_width
        if width is not None and not (_is_number(width) and 0 <= width < inf):
            raise ModelError(f"the half_width of {self.code} must be a number of at least 0, got {width!r}")


@dataclass(frozen=True)
class Task:
    """The outputs of a head in the order of its numbers.

    Args:
        kind: "multi_label": each is an independent logit; "regression": each is a standardised number; "embedding":
            there is none, the net gives features alone.
        outputs: what each means.

    Raises:
        ModelError: if the kind is unknown, codes are equal, or there are outputs where there can be none, or none
            where there must be.
    """

    kind: str
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ModelError(
                f"the task must be one of {', '.join(KINDS)}, got {self.kind!r}: use a newer version of cardioloom"
            )
        codes = [output.code for output in self.outputs]
        if self.kind == "embedding":
            if codes:
                raise ModelError(
                    f"a task that gives features alone has no outputs, got {len(codes)}: get the folder again"
                )
            return
        if not codes or len(set(codes)) != len(codes):
            raise ModelError(f"a task needs outputs whose codes differ, got {len(codes)}: get the folder again")

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes; `from_json` gives an equal task back."""
        return {"kind": self.kind, "outputs": [asdict(output) for output in self.outputs]}

    @classmethod
    def from_json(cls, values: object) -> Task:
        """The task that `to_json` wrote.

        Raises:
            ModelError: if a key is unknown or absent, or a value cannot be.
        """
        given = exact_keys("task", values, cls)
        if not isinstance(given["outputs"], (list, tuple)):
            raise ModelError(f"the outputs of a task must be a list, got {type(given['outputs']).__name__}")
        return cls(given["kind"], tuple(Output(**exact_keys("output", row, Output)) for row in given["outputs"]))

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """(…, output) logits → calibrated probabilities, float64."""
        slope, intercept = ([getattr(output, name) for output in self.outputs] for name in ("slope", "intercept"))
        calibrated = np.array(slope) * logits.astype(np.float64) + np.array(intercept)
        return np.exp(-np.logaddexp(0.0, -calibrated))  # no overflow, however small

    def values(self, outputs: NDArray[np.floating]) -> NDArray[np.float64]:
        """(…, output) what the net gives → probabilities, or numbers in their units, float64."""
        if self.kind == "multi_label":
            return self.probabilities(outputs)
        mean, std = ([getattr(output, name) for output in self.outputs] for name in ("mean", "std"))
        return np.array(mean) + np.array(std) * outputs.astype(np.float64)

    def estimates(
        self, outputs: NDArray[np.floating], source: str, trained_on: str
    ) -> tuple[tuple[Estimate, ...], tuple[str, ...]]:
        """A record's windows → one estimate an output, and the codes of those that have no interval yet.

        An estimate is the mean over windows. Without an interval there is none: a number alone would look exact.

        Args:
            outputs: (window, output) of a net for regression.
            source: the model's name.
            trained_on: what the report says of its training.

        Raises:
            ModelError: as `decode`.
        """
        self._refuse_odd(outputs, source)
        found, without = [], []
        for output, value in zip(self.outputs, self.values(outputs).mean(axis=0).tolist(), strict=True):
            if output.half_width is None:
                without.append(output.code)
                continue
            interval = (value - output.half_width, value + output.half_width)
            said = (output.code, output.name, value, output.unit, interval, output.coverage, source, trained_on)
            found.append(Estimate(*said))
        return tuple(found), tuple(without)

    def decode(
        self,
        logits: NDArray[np.floating],
        spans_s: Sequence[tuple[float, float]],
        source: str,
    ) -> tuple[Finding, ...]:
        """Logits of a record's windows → one finding an output.

        The probability is the mean over windows; the spans are the windows that reach the threshold on their own.

        Args:
            logits: (window, output).
            spans_s: begin and end of each window in the record, s.
            source: who says so, as the report shows it.

        Raises:
            ModelError: if the number of outputs is not that of the task, or a logit is not finite.
        """
        self._refuse_odd(logits, source)
        each = self.probabilities(logits)
        return tuple(self._finding(n, each[:, n], spans_s, source) for n in range(len(self.outputs)))

    def _refuse_odd(self, given: NDArray[np.floating], source: str) -> None:
        if given.ndim != 2 or given.shape[1] != len(self.outputs):
            raise ModelError(f"the task has {len(self.outputs)} outputs, got logits {given.shape}: get the model again")
        if not np.isfinite(given).all():
            raise ModelError(f"{source} gave values that are not finite: do not use it on this record")

    def _finding(
        self, n: int, each: NDArray[np.float64], spans_s: Sequence[tuple[float, float]], source: str
    ) -> Finding:
        output, probability = self.outputs[n], float(each.mean())
        words = [f"probability {probability:.2f}, threshold {output.threshold:.2f}"]
        if len(each) > 1:
            top = int(each.argmax())
            begin, end = spans_s[top]
            words.append(f"mean of {len(each)} windows, highest {each[top]:.2f} at {begin:.0f}–{end:.0f} s")
        if not output.calibrated:
            words.append(UNCALIBRATED)
        present: bool | None = probability >= output.threshold
        if not output.single_ecg:
            present = None
            words = ["compares with an earlier ECG, which is not at hand"]
        reached = tuple(span for span, own in zip(spans_s, each, strict=True) if own >= output.threshold)
        return Finding(
            code=output.code,
            name=output.name,
            present=present,
            source=source,
            evidence="; ".join(words),
            probability=round(probability, 6),
            threshold=output.threshold,
            spans_s=reached if present else (),
            snomed=output.snomed,
            group=output.group,
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
