"""PTACL and all that its paper compares it with, on simulated patients: tables 1 and 2, and the aligned phases.

    python experiments/ptacl.py run WORK      simulate, train every row, evaluate; each step once, resumable
    python experiments/ptacl.py page          docs/results/ptacl.md from experiments/results/ptacl.json

Each run is a process of its own: `cardioloom train ptacl WORK/cohort WORK/runs/NAME …` on one thread; what it says lies
in WORK/logs/NAME.log. Rows whose order the paper states are trained with three seeds, the others with the first.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptacl_differences import differences
from ptacl_kept import cohort_facts, compact, evaluation_facts, run_facts, wall_facts
from ptacl_page import PAGE, RESULTS, write
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cardioloom.writers.atomic import replacing

SEEDS, POPULATION, PARTS = (0, 1, 2), "general", "ecg,cine"
EVALUATED, EVALUATION = "ptacl_ft-0", "evaluation"
LAST_LINES, PAUSE = 8, 0.2  # of a log that are shown; seconds between two looks at the processes
COMMAND = (sys.executable, "-m", "cardioloom.app.cli")


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        name: of its folder.
        options: of the method.
        seed: of everything random.
        needs: runs whose stages it begins with.
    """

    name: str
    options: tuple[str, ...]
    seed: int
    needs: tuple[str, ...] = ()


def planned() -> list[Run]:
    """Every run in the order in which they are wanted: the first seed's ordering rows, its others, the other seeds."""
    return _ordering(0) + _others(0) + [run for seed in SEEDS[1:] for run in _ordering(seed)]


def _ordering(seed: int) -> list[Run]:
    """The rows whose order is to be shown, and what they begin with."""
    masked = (f"mae-{seed}", f"cine_mae-{seed}")
    tuned = ("--method", "ptacl", "--head", "finetune", "--pool", "attention")
    return [
        _run("mae", seed),
        _run("cine_mae", seed),
        _run("ptacl", seed, needs=masked),
        _run("global", seed, needs=masked),
        _run("no_unimodal", seed),
        Run(f"ptacl_ft-{seed}", tuned, seed, (f"ptacl-{seed}",)),
    ]


def _others(seed: int) -> list[Run]:
    """The rows that one seed is enough for."""
    masked, goal = (f"mae-{seed}", f"cine_mae-{seed}"), ("--goal", "retrieval")
    retrieval = [Run(f"{m}_retrieval-{seed}", ("--method", m, *goal), seed, masked) for m in ("global", "ptacl")]
    rolled = [
        Run(f"ptacl_rolled{name}-{seed}", ("--method", "ptacl", "--roll", *options), seed, masked)
        for name, options in (("", ()), ("_retrieval", goal))
    ]
    begun = [*rolled, _run("cosine", seed, needs=masked), _run("mmcl", seed, needs=masked[:1])]
    alone = ("random", "simclr", "supervised", "cine_random", "cine_simclr", "cine_supervised", "cmae", "eccl")
    return retrieval + begun + [_run(method, seed) for method in alone]


def _run(method: str, seed: int, *, needs: tuple[str, ...] = ()) -> Run:
    return Run(f"{method}-{seed}", ("--method", method), seed, needs)


class Work:
    """The folder in which it is done.

    Args:
        folder: WORK.
        preset: of every run.
        results: the file that keeps what was found.
        workers: how many at once.
    """

    def __init__(self, folder: Path, preset: str, results: Path, workers: int):
        self.folder, self.preset, self.results, self.workers = folder.resolve(), preset, results, workers
        self.cohort, self.walls = self.folder / "cohort", self.folder / "walls.jsonl"
        self.evaluation = self.folder / EVALUATION
        self.differences: dict[str, dict[str, Any]] | None = None  # None = not looked for

    def run_folder(self, name: str) -> Path:
        """Of a training."""
        return self.folder / "runs" / name

    def finished(self, name: str) -> Path:
        """The file that is there when a run, or the evaluation, is done."""
        return self.evaluation / "metrics.json" if name == EVALUATION else self.run_folder(name) / "judged.json"

    def simulate(self, patients: int, seed: int) -> None:
        """The cohort, where it is not there already; SystemExit if there is another."""
        facts = self.cohort / "cohort.json"
        if not facts.exists():
            asked = ("--patients", f"{patients}", "--seed", f"{seed}", "--population", POPULATION, "--only", PARTS)
            subprocess.run([*COMMAND, "simulate", str(self.cohort), *asked, "--workers", f"{self.workers}"], check=True)  # noqa: S603
        found = json.loads(facts.read_text())
        there = (found["counts"]["patients"], found["seed"])
        if there != (patients, seed):
            raise SystemExit(
                f"{self.cohort} has {there[0]} patients of seed {there[1]}, asked are {patients} of {seed}: "
                "take another folder"
            )

    def refuse_other_preset(self) -> None:
        """SystemExit where the folder holds runs of another preset, which would be taken for done."""
        for told in sorted(self.folder.glob("runs/*/run.json")):
            if (preset := json.loads(told.read_text())["arguments"]["preset"]) != self.preset:
                raise SystemExit(f"{told.parent} is of preset {preset}, asked is {self.preset}: take another folder")

    def command(self, run: Run) -> list[str]:
        """Of a training, or of the evaluation."""
        if run.name == EVALUATION:
            judged, cohort, out = map(str, (self.run_folder(EVALUATED), self.cohort, self.evaluation))
            return [*COMMAND, "evaluate", judged, cohort, out, "--split", "test", "--baselines", "none"]
        where = self.run_folder(run.name)
        begun = ("--init", ",".join(str(self.run_folder(name)) for name in run.needs)) if run.needs else ()
        options = (*run.options, *begun, "--preset", self.preset, "--seed", f"{run.seed}")
        resume = ("--resume",) if (where / "run.json").exists() else ()
        return [*COMMAND, "train", "ptacl", str(self.cohort), str(where), *options, *resume]

    def start(self, run: Run) -> subprocess.Popen[bytes]:
        """Its process, with a log of its own."""
        log = self.log(run.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        own = {"OMP_NUM_THREADS": "1", "CARDIOLOOM_CACHE": str(self.folder / "cache")}
        with log.open("ab") as out:
            return subprocess.Popen(self.command(run), stdout=out, stderr=subprocess.STDOUT, env=os.environ | own)  # noqa: S603

    def log(self, name: str) -> Path:
        """What a process says."""
        return self.folder / "logs" / f"{name}.log"

    def note(self, name: str, seconds: float, code: int) -> None:
        """How long a process took, for the whole of a run may be several."""
        line = {"name": name, "seconds": round(seconds, 1), "code": code, "at_once": self.workers}
        with self.walls.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def keep(self, ended: str | None = None) -> None:
        """Write the results of all that is done; where a run has ended, only its method's differences are new."""
        method = ended.rpartition("-")[0] if ended and self.differences is not None else None
        self.differences = (self.differences or {}) | differences(self.folder / "runs", SEEDS, method)
        walls = [json.loads(line) for line in self.walls.read_text().splitlines()] if self.walls.exists() else []
        cohort = cohort_facts(json.loads((self.cohort / "cohort.json").read_text()))
        runs: dict[str, dict[str, Any]] = {}
        for run in planned():
            if self.finished(run.name).exists():
                facts = run_facts(self.run_folder(run.name), run.needs, cohort["counts"]["splits"]["train"])
                runs[run.name] = facts | wall_facts([line for line in walls if line["name"] == run.name])
        judged = self.finished(EVALUATION)
        found = {
            "preset": self.preset,
            "at_once": self.workers,
            "planned": len(planned()),
            "cohort": cohort,
            "runs": runs,
            "evaluation": evaluation_facts(json.loads(judged.read_text()), EVALUATED) if judged.exists() else None,
            "differences": self.differences,
        }
        self.results.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.results) as part:
            part.write_text(compact(json.dumps(found, indent=1)) + "\n")


def chosen(runs: Sequence[Run], only: Iterable[str]) -> list[Run]:
    """The runs of these names, and what they begin with; all where none is named."""
    by_name = {run.name: run for run in runs}
    if unknown := [name for name in only if name not in by_name]:
        raise SystemExit(f"no run is called {', '.join(unknown)}: the runs are {', '.join(by_name)}")
    wanted, open_ = set[str](), list(only) or list(by_name)
    while open_:
        name = open_.pop()
        wanted.add(name)
        open_ += by_name[name].needs
    return [run for run in runs if run.name in wanted]


def do(work: Work, runs: Sequence[Run], console: Console) -> list[str]:
    """Every run that is not done, as many at once as there are workers; the names of those that failed."""
    waiting = [run for run in runs if not work.finished(run.name).exists()]
    done = {run.name for run in runs} - {run.name for run in waiting}
    failed: list[str] = []
    running: dict[Run, tuple[subprocess.Popen[bytes], float]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("runs", total=len(runs), completed=len(done))
        try:
            while waiting or running:
                for run in [run for run in waiting if set(run.needs) & set(failed)]:
                    waiting.remove(run)
                    failed.append(run.name)
                    console.print(f"{run.name}: not begun, for a run that it begins with failed")
                ready = [run for run in waiting if set(run.needs) <= done]
                for run in ready[: work.workers - len(running)]:
                    waiting.remove(run)
                    running[run] = work.start(run), time.perf_counter()
                bar.update(task, description=", ".join(run.name for run in running), completed=len(done) + len(failed))
                for run in [run for run, (process, _) in running.items() if process.poll() is not None]:
                    process, began = running.pop(run)
                    _finish(work, run, process.returncode, time.perf_counter() - began, console)
                    (done.add if work.finished(run.name).exists() else failed.append)(run.name)
                time.sleep(PAUSE)
        finally:
            for run, (process, began) in running.items():
                process.terminate()
                work.note(run.name, time.perf_counter() - began, process.wait())
    return failed


def _finish(work: Work, run: Run, code: int, seconds: float, console: Console) -> None:
    """Say how a run ended, and keep what is done."""
    work.note(run.name, seconds, code)
    work.keep(run.name)
    if work.finished(run.name).exists():
        console.print(f"{run.name}: done in {seconds:.0f} s")
        return
    last = work.log(run.name).read_text(errors="replace").splitlines()[-LAST_LINES:]
    console.print(f"{run.name}: failed with code {code} after {seconds:.0f} s", style="red")
    console.print("\n".join(f"  {line}" for line in last), markup=False, highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("action", choices=("run", "page"))
    parser.add_argument("work", nargs="?", type=Path, default=Path("build") / "ptacl")
    parser.add_argument("--patients", type=int, default=9000)
    parser.add_argument("--seed", type=int, default=11, help="of the cohort")
    parser.add_argument("--preset", default="small", choices=("tiny", "small", "paper"))
    parser.add_argument("--workers", type=int, default=2, help="runs at once")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="these runs and what they begin with")
    parser.add_argument("--results", type=Path, default=RESULTS, help="for a trial: another file than the kept one")
    parser.add_argument("--page", type=Path, default=PAGE, help="for a trial: another page than the kept one")
    asked = parser.parse_args()
    if asked.action == "page":
        return write(asked.results, asked.page)
    asked.work.mkdir(parents=True, exist_ok=True)
    work = Work(asked.work, asked.preset, asked.results, max(1, asked.workers))
    work.refuse_other_preset()
    work.simulate(asked.patients, asked.seed)
    runs = chosen([*planned(), Run(EVALUATION, (), 0, (EVALUATED,))], asked.only)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that its processes end with it
    failed = do(work, runs, Console())
    work.keep()
    print(f"wrote {asked.results}")
    return sys.exit(f"failed: {', '.join(failed)}") if failed else None


if __name__ == "__main__":
    main()
