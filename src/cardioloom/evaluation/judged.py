"""What is judged: predictions beside the truth, with patients and the groups that studies belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import UsageError
from cardioloom.evaluation.bootstrap import DRAWS, check_draws
from cardioloom.evaluation.checks import Codes, Floats, checked, coded_patients, numbers
from cardioloom.models.task import Output

KINDS = ("multi_label", "regression")


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn.

    Args:
        draws: of the patients.
        seed: of the draws.
    """

    draws: int = DRAWS
    seed: int = 0

    def __post_init__(self) -> None:
        check_draws(1, self.draws, self.seed)


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions of some studies and what is true of them.

    Args:
        kind: "multi_label": scores are probabilities, truth is 0 or 1; "regression": both are numbers in their units.
        outputs: of the model that have a truth, with their thresholds and intervals.
        truth: (study, output), NaN = not known.
        score: (study, output).
        patients: (study,).
        groups: column → (study,) the group of each study, in words.

    Raises:
        UsageError: if they are not that.
    """

    kind: str
    outputs: tuple[Output, ...]
    truth: Floats
    score: Floats
    patients: Codes
    groups: Mapping[str, NDArray[np.object_]]

    @classmethod
    def of(
        cls,
        kind: str,
        outputs: tuple[Output, ...],
        truth: ArrayLike,
        score: ArrayLike,
        patients: Any,
        groups: Mapping[str, ArrayLike] | None = None,
    ) -> Judged:
        """The same from plain values, checked."""
        if kind not in KINDS:
            raise UsageError(f"the kind of what is judged must be one of {', '.join(KINDS)}, got {kind!r}")
        if kind == "multi_label":
            truth, score = checked(truth, score)
        else:
            truth, score = numbers(truth, "truth"), numbers(score, "predictions")
            if not np.isfinite(score).all() or np.isinf(truth).any():
                raise UsageError("predictions must be finite numbers and truth finite or NaN, got others")
        if truth.shape != score.shape or truth.shape[1:] != (len(outputs),):
            raise UsageError(f"truth and scores must both be (study, {len(outputs)} outputs), got {truth.shape}")
        if len(truth) == 0:
            raise UsageError("an evaluation needs studies, got none: choose another split, or build a cohort with them")
        codes = coded_patients(patients, len(truth))
        words = {name: np.asarray(values, object) for name, values in (groups or {}).items()}
        if any(len(values) != len(truth) for values in words.values()):
            raise UsageError(f"groups must have one value a study ({len(truth)})")
        return cls(kind, outputs, truth, score, codes, words)

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def codes(self) -> tuple[str, ...]:
        """Of the outputs."""
        return tuple(output.code for output in self.outputs)

    @property
    def n_patients(self) -> int:
        """Different patients."""
        return len(np.unique(self.patients))

    @property
    def is_one_each(self) -> bool:
        """Whether each study is of another patient, as tests that take records as independent need it."""
        return self.n_patients == len(self)

    def take(self, mask: NDArray[np.bool_]) -> Judged:
        """Some of the studies (study,)."""
        groups = {name: values[mask] for name, values in self.groups.items()}
        patients = np.unique(self.patients[mask], return_inverse=True)[1]
        return replace(self, truth=self.truth[mask], score=self.score[mask], patients=patients, groups=groups)

    def counts(self, at: int) -> dict[str, int]:
        """``n`` and ``events`` of one output; a number has no events."""
        known = self.truth[~np.isnan(self.truth[:, at]), at]
        return {"n": len(known)} | ({"events": int(known.sum())} if self.kind == "multi_label" else {})
