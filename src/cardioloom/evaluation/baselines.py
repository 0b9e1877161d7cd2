"""What is reached without the model: age and sex; measurements and boosted trees; the same net with random weights.

Each is fitted on the patients of the training split and judged on the same studies as the model. A model that does not
beat age and sex has learned who is ill from who is old.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.assess_numbers import metric_of
from cardioloom.evaluation.bootstrap_labels import label_table
from cardioloom.evaluation.checks import Floats
from cardioloom.evaluation.compare import Comparison, compare_macro, delong, paired_bootstrap
from cardioloom.evaluation.estimate import Estimate
from cardioloom.evaluation.judged import Bootstrap, Judged
from cardioloom.evaluation.regression import mean_absolute_error
from cardioloom.evaluation.subgroups import METRIC

BASELINES = ("age_sex", "measure", "random_encoder")
LEAST = 5  # positives, and negatives, that a baseline is fitted on
LEAST_NUMBERS = 20  # studies that a baseline of a number is fitted on
Make = Callable[[], Any]  # → an estimator of scikit-learn


@dataclass(frozen=True, eq=False)
class Sides:
    """What a baseline is fitted on and what it is judged on.

    Args:
        fitted, judged: (study, feature), NaN = not known.
        truth: (study of the fitted side, output), NaN = not known.
        n_patients: on the fitted side.
        features: in words.
    """

    fitted: Floats
    judged: Floats
    truth: Floats
    n_patients: int
    features: str


def asked_for(text: str) -> tuple[str, ...]:
    """ "age_sex,measure" → names; "none" → none.

    Raises:
        UsageError: if one is unknown.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    if unknown := [name for name in names if name not in BASELINES]:
        raise UsageError(f"baselines are {', '.join(BASELINES)} or none, got {', '.join(unknown)}")
    return tuple(dict.fromkeys(names))


def demographics(age: NDArray[Any], sex: NDArray[Any]) -> Floats:
    """(study, 2) age in years and 1 = male, NaN = not known."""
    male = [{"M": 1.0, "F": 0.0}.get(word, np.nan) for word in sex.tolist()]
    return np.stack([age.astype(np.float64), np.array(male, np.float64)], axis=1)


def estimator(name: str, kind: str, seed: int) -> Make:
    """How a baseline is fitted: unknown features are filled with the mean (trees take them as they are)."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    is_label = kind == "multi_label"
    if name == "measure":
        trees: Any = HistGradientBoostingClassifier if is_label else HistGradientBoostingRegressor
        return lambda: trees(random_state=seed, early_stopping=False)
    # Hundreds of random features need more restraint than two that mean something.
    strength = 1.0 if name == "age_sex" else 10.0
    last: Make = lambda: LogisticRegression(C=1 / strength, max_iter=500) if is_label else Ridge(strength)  # noqa: E731
    return lambda: make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), last())


def fitted_scores(make: Make, sides: Sides, codes: Sequence[str], kind: str) -> tuple[Floats, dict[str, str]]:
    """(study, output) what a baseline says of the judged studies, NaN where it could not be fitted; and why not.

    Args:
        make: a new estimator.
        sides: features of both sides.
        codes: of the outputs.
        kind: "multi_label" or "regression".
    """
    scores = np.full((len(sides.judged), len(codes)), np.nan)
    without: dict[str, str] = {}
    for at, code in enumerate(codes):
        known = ~np.isnan(sides.truth[:, at])
        y = sides.truth[known, at]
        if reason := _too_few(y, code, kind):
            without[code] = reason
            continue
        model = make()
        with catch_warnings():
            simplefilter("ignore")  # a baseline that has not quite converged is still a baseline
            model.fit(sides.fitted[known], y)
            if kind == "multi_label":
                scores[:, at] = model.predict_proba(sides.judged)[:, 1]
            else:
                scores[:, at] = model.predict(sides.judged)
    return scores, without


def _too_few(y: Floats, code: str, kind: str) -> str | None:
    """Why a baseline cannot be fitted on these, or None."""
    if kind != "multi_label":
        if len(y) >= LEAST_NUMBERS:
            return None
        return f"a baseline of {code} needs {LEAST_NUMBERS} measured studies to be fitted on, got {len(y)}: add some"
    positives = int(y.sum())
    if min(positives, len(y) - positives) >= LEAST:
        return None
    got = f"{positives} positives and {len(y) - positives} negatives"
    return f"a baseline of {code} needs {LEAST} positives and {LEAST} negatives to be fitted on, got {got}: add some"


def baseline(name: str, judged: Judged, sides: Sides, drawn: Bootstrap) -> dict[str, Any]:
    """One baseline beside the model, as plain values.

    Returns:
        ``fitted_on``, ``features``, ``metric`` ("auroc"; "mae" of numbers), ``labels`` {code: its metric},
        ``difference`` {code: model − baseline}, and of labels ``macro`` of the baseline, ``macro_model`` and
        ``macro_difference`` over the labels that the baseline has.
    """
    scores, without = fitted_scores(estimator(name, judged.kind, drawn.seed), sides, judged.codes, judged.kind)
    found: dict[str, Any] = {
        "fitted_on": f"train split, {len(sides.fitted)} studies of {sides.n_patients} patients",
        "features": sides.features,
        "metric": METRIC[judged.kind],
        "labels": {code: Estimate(None, reason=reason).to_json() for code, reason in without.items()},
        "difference": {code: {"not_estimable": reason} for code, reason in without.items()},
    }
    at = [k for k, code in enumerate(judged.codes) if code not in without]
    if not at:
        return {"not_made": next(iter(without.values()))}
    beside = (_labels if judged.kind == "multi_label" else _numbers)(judged, scores, at, drawn)
    for key in ("labels", "difference"):
        both = found[key] | beside[key]
        beside[key] = {code: both[code] for code in judged.codes}
    return found | beside


def _labels(judged: Judged, scores: Floats, at: list[int], drawn: Bootstrap) -> dict[str, Any]:
    codes = [judged.codes[k] for k in at]
    truth, own, other = judged.truth[:, at], judged.score[:, at], scores[:, at]
    options = {"draws": drawn.draws, "seed": drawn.seed}
    rows, ours = (
        label_table(truth, score, judged.patients, labels=codes, metrics=("auroc",), **options)
        for score in (other, own)
    )
    differences = {
        code: _difference(lambda k=k: _compare(judged, truth[:, k], own[:, k], other[:, k], codes[k], drawn))
        for k, code in enumerate(codes)
    }
    return {
        "labels": {row["label"]: row["auroc"] for row in rows[:-1]},
        "difference": differences,
        "macro": rows[-1]["auroc"],
        "macro_model": ours[-1]["auroc"],
        "macro_difference": _difference(lambda: compare_macro("auroc", truth, own, other, judged.patients, **options)),
    }


def _compare(judged: Judged, truth: Floats, own: Floats, other: Floats, name: str, drawn: Bootstrap) -> Comparison:
    """DeLong's test where each study is of another patient, else paired bootstrap of patients."""
    if judged.is_one_each:
        return delong(truth, own, other, name=name)
    truth, own, other = (values[:, None] for values in (truth, own, other))
    return compare_macro("auroc", truth, own, other, judged.patients, draws=drawn.draws, seed=drawn.seed)


def _numbers(judged: Judged, scores: Floats, at: list[int], drawn: Bootstrap) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for k in at:
        known = ~np.isnan(judged.truth[:, k])
        if not known.any():
            reason = f"no study has {judged.codes[k]} measured: add some"
            labels[judged.codes[k]] = differences[judged.codes[k]] = {"not_estimable": reason}
            continue
        y, own, other = judged.truth[known, k], judged.score[known, k], scores[known, k]
        compared = paired_bootstrap(
            lambda rows, y=y, p=own: mean_absolute_error(y[rows], p[rows]),
            lambda rows, y=y, p=other: mean_absolute_error(y[rows], p[rows]),
            judged.patients[known].tolist(),
            draws=drawn.draws,
            seed=drawn.seed,
        )
        labels[judged.codes[k]] = metric_of(mean_absolute_error, y, other, judged.patients[known], drawn)
        differences[judged.codes[k]] = _plain(compared)
    return {"labels": labels, "difference": differences}


def _difference(compare: Callable[[], Comparison]) -> dict[str, Any]:
    try:
        return _plain(compare())
    except NotEstimableError as error:
        return {"not_estimable": str(error)}


def _plain(compared: Comparison) -> dict[str, Any]:
    """Model − baseline with interval, p and method."""
    return dict(compared.difference.to_json()) | {"p": compared.p, "method": compared.method}


def table_of(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    """(study, name) numbers, NaN where a study lacks one."""
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float64).reshape(-1, len(names))
