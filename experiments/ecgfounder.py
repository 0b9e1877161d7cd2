"""Does pretraining on simulated patients help on real ECGs? ECGFounder's recipe, small, on a processor.

    python experiments/ecgfounder.py run WORK      simulate, build, pretrain, cross-validate; each step once, resumable
    python experiments/ecgfounder.py page          docs/results/ecgfounder.md from experiments/results/ecgfounder.json

The real recordings are those of the folder that CARDIOLOOM_SHARED names (else ../shared): 396 ECGs of ten sources.
Patients are on one side of each of five folds. Every method predicts each recording once, when its patient is left out.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ecgfounder_page import FOLDS, METHODS, REAL, RESULTS, write
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cardioloom import api, measure
from cardioloom.errors import NotEstimableError
from cardioloom.evaluation.bootstrap_labels import label_table
from cardioloom.evaluation.checks import check_folds
from cardioloom.evaluation.compare import compare_macro, delong
from cardioloom.models import Model, nets
from cardioloom.models.contract import WEIGHTS
from cardioloom.nn.conv import Net1D
from cardioloom.objectives.supervised import binary_cross_entropy
from cardioloom.prepare import PRESETS as PREPARATIONS
from cardioloom.recipes import frozen, keep
from cardioloom.recipes.ecgfounder import layers
from cardioloom.recipes.ecgfounder_settings import PRESETS
from cardioloom.recipes.feed import EcgFeed
from cardioloom.recipes.loop import fit
from cardioloom.recipes.machine import Machine
from cardioloom.recipes.place import Place
from cardioloom.recipes.plan import Plan
from cardioloom.store import Folder, Loader

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", HERE.parent.parent / "shared"))
PATIENTS, SEED, EPOCHS, BATCH = 4000, 11, 15, 32
# What the simulated patients teach; several names are those of the real labels.
SIMULATED = (
    "AF:rhythm=atrial_fibrillation,RBBB:conduction=rbbb,LBBB:conduction=lbbb,IAVB:av_block>=1,"
    "PVC:pvc_count>=1,PAC:pac_count>=1,acute:ischaemia_site!=none,STE:infarct_type=STEMI,scar:diagnosis=ischaemic_scar,"
    "low_ef:lv_ef<=0.4,large:lv_edv_ml>=220,thick:lv_mass_g>=150,female:sex=F,old:age>=65"
)
PAIRS = (
    ("simulated, probe", "random net, probe"),
    ("simulated, fine-tuned", "no pretraining"),
    ("simulated, probe", "measurements"),
    ("simulated, fine-tuned", "measurements"),
    ("simulated, probe", "statements"),
)
Scores = NDArray[np.float64]


class Real:
    """The real recordings with their labels and folds.

    Args:
        folder: the cohort built of them.
    """

    def __init__(self, folder: Folder):
        self.folder, self.cohort = folder, folder.cohort()
        self.truth = np.stack([self.cohort.column(f"y_{code}").astype(np.float64) for code in REAL], axis=1)
        self.patients = self.cohort.column("patient_id").astype(str)
        signal = self.cohort.column("hash").astype(str)
        owners = {name: len(set(self.patients[signal == name])) for name in signal}
        self.is_twice = np.array([owners[name] > 1 for name in signal])  # one signal, two patients: not scored
        check_folds(self.patients, FOLDS)
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
        source = self.cohort.column("source").astype(str)
        self.folds = [test for _, test in folds.split(source, source, self.patients)]

    def left_out(self, predict: Callable[[NDArray[np.int64], NDArray[np.int64], int], Scores]) -> Scores:
        """(study, label) scores, each from the fold in which its patient was left out: predict(train, test, fold)."""
        scores = np.full(self.truth.shape, np.nan)
        for number, test in enumerate(self.folds):
            train = np.setdiff1d(np.arange(len(self.truth)), test)
            assert not set(self.patients[train]) & set(self.patients[test])
            scores[test] = predict(train, test, number)
        return scores

    def loader(self, rows: NDArray[np.int64], seed: int = 0) -> Loader:
        """Batches of some studies."""
        return Loader(self.folder, rows=rows, batch=BATCH, seed=seed)


def run(work: Path) -> None:
    """All stages; what lies in WORK already is not done again."""
    if not (work / "simulated" / "cohort.json").exists():
        api.simulate(work / "simulated", patients=PATIENTS, seed=SEED, only="ecg", population="hospital")
    if not (work / "real" / "cohort.json").exists():
        api.cohort("build", SHARED / "data" / "ecg", work / "real", dataset="ten_sources")
    pretrained = work / "pretrain"
    is_begun = (pretrained / "run.json").exists()
    api.train(
        "ecgfounder", work / "simulated", pretrained, targets=SIMULATED, preset="small", seed=SEED, resume=is_begun
    )
    real = Real(Folder.at(work / "real"))
    for name in METHODS:
        path = work / "scores" / f"{name}.npy"
        if not path.exists():
            print(f"{name} …", flush=True)
            path.parent.mkdir(exist_ok=True)
            np.save(path, _scores(name, real, work))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(_judged(real, work), indent=1) + "\n")


def _scores(name: str, real: Real, work: Path) -> Scores:
    model = Model.from_pretrained(work / "pretrain" / "model")
    contract = model.contract
    if name == "age and sex":
        sex = np.array([{"M": 1.0, "F": 0.0}.get(value, 0.5) for value in real.cohort.column("sex")])
        age = real.cohort.column("age").astype(np.float64)
        return _linear(real, np.stack([np.nan_to_num(age, nan=np.nanmean(age)), sex], axis=1))
    if name == "statements":
        return _measured(real, work)[0]
    if name == "measurements":
        return _boosted(real, _measured(real, work)[1])
    if name.endswith("probe"):
        weights = model.folder / WEIGHTS if name.startswith("simulated") else None
        return _linear(real, _features(real, _net(contract.config, weights)))
    if name == "simulated, as it is":
        codes = [output.code for output in contract.task.outputs]
        said = np.stack([p.probabilities.mean(axis=0) for p in model.stream(map(real.folder.ecg, _rows(real)))])
        return np.stack([said[:, codes.index(c)] if c in codes else np.full(len(said), np.nan) for c in REAL], axis=1)
    weights = model.folder / WEIGHTS if name == "simulated, fine-tuned" else None
    return _trained(real, contract.config, weights, work / "runs" / name)


def _rows(real: Real) -> list[dict[str, object]]:
    return [real.cohort.row(number) for number in range(len(real.cohort))]


def _measured(real: Real, work: Path) -> tuple[Scores, Scores]:
    """(study, label) statements as 0 and 1, what cannot be judged as 0; (study, measurement), NaN = not measured."""
    path = work / "measured.npz"
    if not path.exists():
        found = []
        for row in _rows(real):
            ecg = real.folder.ecg(row)
            found.append(measure.ecg(ecg, age=row["age"], sex=row["sex"]))
        present = [{f.code for f in each.findings if f.present} for each in found]
        names = sorted({name for each in found for name in each.measurements})
        values = [[m[n].value if n in (m := each.measurements) else np.nan for n in names] for each in found]
        statements = [[float(code in codes) for code in REAL] for codes in present]
        np.savez(path, statements=np.array(statements), values=np.array(values))
    kept = np.load(path)
    return kept["statements"], kept["values"]


def _linear(real: Real, x: NDArray[np.floating]) -> Scores:
    """Logistic regression a label; the strength of its L2 penalty is chosen by patients within the training folds."""

    def predict(train: NDArray[np.int64], test: NDArray[np.int64], _: int) -> Scores:
        return np.stack([_one_linear(real, x, train, test, n) for n in range(len(REAL))], axis=1)

    return real.left_out(predict)


def _one_linear(
    real: Real, x: NDArray[np.floating], train: NDArray[np.int64], test: NDArray[np.int64], n: int
) -> Scores:
    known = train[~np.isnan(real.truth[train, n])]
    y, groups = real.truth[known, n].astype(int), real.patients[known]
    inner = list(StratifiedGroupKFold(3, shuffle=True, random_state=SEED).split(x[known], y, groups))
    head = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6),
        cv=inner,
        scoring="neg_log_loss",
        max_iter=2000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    return make_pipeline(StandardScaler(), head).fit(x[known], y).predict_proba(x[test])[:, 1]


def _boosted(real: Real, x: Scores) -> Scores:
    def predict(train: NDArray[np.int64], test: NDArray[np.int64], _: int) -> Scores:
        columns = []
        for n in range(len(REAL)):
            known = train[~np.isnan(real.truth[train, n])]
            trees = HistGradientBoostingClassifier(
                max_iter=100, learning_rate=0.05, min_samples_leaf=10, random_state=SEED
            )
            columns.append(trees.fit(x[known], real.truth[known, n]).predict_proba(x[test])[:, 1])
        return np.stack(columns, axis=1)

    return real.left_out(predict)


def _net(config: dict[str, object], weights: Path | None) -> Net1D:
    """The net of the pretraining, with its weights or with those of a seed; a new head for the real labels."""
    torch.manual_seed(SEED)
    net = nets.NETS["Net1D"]({**config, "n_classes": len(REAL)})
    assert isinstance(net, Net1D)
    if weights is not None:
        kept = {k: v.clone() for k, v in nets.load("Net1D", config, weights).state_dict().items() if k[:6] != "dense."}
        net.load_state_dict({**net.state_dict(), **kept})
    return net


def _features(real: Real, net: Net1D) -> Scores:
    everyone = real.loader(np.arange(len(real.truth)))
    feed = EcgFeed(everyone, real.folder, PREPARATIONS["ecgfounder"], real.truth)
    return frozen.features(net, feed).double().numpy()


def _trained(real: Real, config: dict[str, object], weights: Path | None, place: Path) -> Scores:
    """The net trained on the training folds; with weights as the recipe fine-tunes, without as it pretrains."""
    fabric = Machine(accelerator="cpu").start()

    def predict(train: NDArray[np.int64], test: NDArray[np.int64], fold: int) -> Scores:
        net = _net(config, weights)
        feed = EcgFeed(real.loader(train, SEED), real.folder, PREPARATIONS["ecgfounder"], real.truth)
        lr = PRESETS["small"].lr * (1.0 if weights is None else 0.1)
        plan = Plan(steps=len(feed) * EPOCHS, lr=lr, save_every=len(feed) * EPOCHS)
        groups = None if weights is None else layers(net)
        where = Place(place, f"fold{fold}")
        where.run.mkdir(parents=True, exist_ok=True)

        def step(module: torch.nn.Module, batch: object) -> torch.Tensor:
            return binary_cross_entropy(module(batch.x)[0], batch.y)

        fit(fabric, net, step, feed, plan, where, groups=groups, seed=SEED, resume=True)
        outputs, _, names = keep.predicted(net, EcgFeed(real.loader(test), real.folder, feed.preparation, real.truth))
        order = {name: number for number, name in enumerate(names)}
        studies = real.cohort.column("study_id").astype(str)[test]
        return 1 / (1 + np.exp(-outputs[[order[name] for name in studies]]))

    return real.left_out(predict)


def _judged(real: Real, work: Path) -> dict[str, object]:
    scores = {name: np.load(work / "scores" / f"{name}.npy") for name in METHODS}
    real.truth[real.is_twice] = np.nan
    rows = {name: _row(real, values) for name, values in scores.items()}
    return {
        "recordings": len(real.truth),
        "patients": len(set(real.patients)),
        "same_signal": int(real.is_twice.sum()),
        "positives": {code: int(np.nansum(real.truth[:, n])) for n, code in enumerate(REAL)},
        "labelled": {code: int((~np.isnan(real.truth[:, n])).sum()) for n, code in enumerate(REAL)},
        "simulated": {
            "patients": PATIENTS,
            "seed": SEED,
            "generator": Folder.at(work / "simulated").facts["generator"],
        },
        "pretraining": json.loads((work / "pretrain" / "run.json").read_text())["stages"]["pretrain"],
        "methods": rows,
        "pairs": [_pair(real, first, second, scores) for first, second in PAIRS],
    }


def _row(real: Real, scores: Scores) -> dict[str, object]:
    there = [n for n in range(len(REAL)) if not np.isnan(scores[:, n]).any()]
    found = label_table(real.truth[:, there], scores[:, there], real.patients, labels=[REAL[n] for n in there])
    return {str(row["label"]): row["auroc"] for row in found}


def _pair(real: Real, first: str, second: str, scores: dict[str, Scores]) -> dict[str, object]:
    a, b = scores[first], scores[second]
    macro = compare_macro("auroc", real.truth, a, b, real.patients)
    each = {}
    for n, code in enumerate(REAL):
        try:
            each[code] = delong(real.truth[:, n], a[:, n], b[:, n], name=code).to_json()
        except NotEstimableError as error:
            each[code] = {"not_estimable": str(error)}
    return {"first": first, "second": second, "macro": macro.to_json(), "labels": each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("run", "page"))
    parser.add_argument("work", nargs="?", type=Path, default=Path("build") / "ecgfounder")
    asked = parser.parse_args()
    if asked.action == "run":
        asked.work.mkdir(parents=True, exist_ok=True)
        run(asked.work)
    write()


if __name__ == "__main__":
    main()
