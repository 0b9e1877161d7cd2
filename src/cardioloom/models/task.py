"""What the numbers of a head mean: name, code, group, threshold. De-normalising and thresholds live here alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import ModelError
from cardioloom.models.cards import exact_keys
from cardioloom.records import Finding

UNCALIBRATED = "threshold not calibrated"


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

    def __post_init__(self) -> None:
        for text in (self.code, self.name, self.group, self.snomed or ""):
            if not isinstance(text, str):
                raise ModelError(f"code, name, group and snomed of an output must be texts, got {text!r}")
        for flag in (self.calibrated, self.single_ecg):
            if not isinstance(flag, bool):
                raise ModelError(f"calibrated and single_ecg of {self.code} must be true or false, got {flag!r}")
        is_number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if not is_number or not 0 < self.threshold < 1:
            raise ModelError(f"the threshold of {self.code} must lie between 0 and 1, got {self.threshold!r}")


@dataclass(frozen=True)
class Task:
    """The outputs of a head in the order of its numbers; each is an independent logit (``"multi_label"``)."""

    kind: str
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        if self.kind != "multi_label":
            raise ModelError(f"the task must be multi_label, got {self.kind!r}: use a newer version of cardioloom")
        codes = [output.code for output in self.outputs]
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
        """(…, output) logits → probabilities, float64."""
        return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))  # no overflow, however small

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
        if logits.ndim != 2 or logits.shape[1] != len(self.outputs):
            raise ModelError(
                f"the task has {len(self.outputs)} outputs, got logits {logits.shape}: get the model again"
            )
        if not np.isfinite(logits).all():
            raise ModelError(f"{source} gave values that are not finite: do not use it on this record")
        each = self.probabilities(logits)
        return tuple(self._finding(n, each[:, n], spans_s, source) for n in range(len(self.outputs)))

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
