"""Two processes of one machine: the stages of PTACL are those of one process, and `train` is started both ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

import paired_training
from cardioloom.models import Model
from cardioloom.models.contract import WEIGHTS
from cardioloom.recipes.place import read_log
from cardioloom.store import Folder
from small_cohort import cohort_at
from toy_training import same

pytestmark = pytest.mark.slow
MODULE = ["-m", "cardioloom.app.cli"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
OPTIONS = ["--preset", "tiny", "--batch", "6", "--epochs", "2", "--targets", "male:sex=M", "--accelerator", "cpu"]


def train(
    start: list[str], cohort: Path, out: Path, *options: str, recipe: str = "ecgfounder"
) -> subprocess.CompletedProcess[str]:
    usual = OPTIONS if recipe == "ecgfounder" else [*OPTIONS[:2], *OPTIONS[-2:]]
    command = [sys.executable, *start, "train", recipe, str(cohort), str(out), *usual, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_two_processes_train_one_model(tmp_path: Path):
    """However they are started the run is the same; the first alone writes and speaks."""
    cohort, found = cohort_at(tmp_path / "cohort").path, []
    for name, start in (("torchrun", [*TORCHRUN, *MODULE]), ("devices", MODULE)):
        out = tmp_path / name
        done = train(start, cohort, out, "--devices", "2")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained 4 steps") == done.stdout.count("wrote") == 1
        assert [line["step"] for line in read_log(out)] == [1, 2, 2, 3, 4, 4]
        assert not list(out.rglob("*.part"))
        Model.from_pretrained(out / "model")
        found.append(load_file(out / "model" / WEIGHTS))
        again = train(start, cohort, out, "--devices", "2")
        assert again.returncode != 0
        assert "holds a run: go on with --resume" in " ".join(again.stderr.split())
        done = train(start, cohort, out, "--devices", "2", "--resume")
        assert (done.returncode, done.stdout.count("trained 4 steps")) == (0, 1), done.stderr
    assert same(*found)


def test_torchrun_with_another_number_of_processes_is_refused(tmp_path: Path):
    cohort = cohort_at(tmp_path / "cohort").path
    done = train([*TORCHRUN, *MODULE], cohort, tmp_path / "run")
    assert done.returncode != 0
    assert "torchrun started 2 processes, got 1 devices on 1 nodes" in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_failure_ends_all_processes(tmp_path: Path):
    """A rate at which nothing stays finite; no process waits for another one for ever."""
    cohort = cohort_at(tmp_path / "cohort").path
    for name, start in (("torchrun", [*TORCHRUN, *MODULE]), ("devices", MODULE)):
        done = train(start, cohort, tmp_path / name, "--devices", "2", "--lr", "1e30")
        assert done.returncode != 0
        assert "on the studies sim5-" in " ".join(done.stderr.split())
        assert not (tmp_path / name / "model").exists()


RANKS = 2


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, pairs: Folder, cache: Path) -> tuple[Path, list[dict[str, Any]]]:
    """What each of two processes found of the stages of PTACL; they meet over a file, so that no port can be taken."""
    folder = tmp_path_factory.mktemp("ranks")
    paired_training.feed_at(pairs)  # the ECGs are prepared by now
    given = (RANKS, str(folder), str(pairs.path))
    torch.multiprocessing.spawn(paired_training.work_of_rank, given, nprocs=RANKS)
    return folder, [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.mark.parametrize("kind", paired_training.KINDS)
def test_a_step_of_two_processes_is_that_of_one_on_the_joined_batch(kind: str, work: Any, pairs: Folder):
    """Losses that compare patients see those of both; local losses and masked errors are means over both."""
    found, made = work[1], paired_training.stage_of(kind)
    batch = next(iter(paired_training.feed_at(pairs)(0)))
    alone = paired_training.gradient(made.net.double(), made, batch)
    mean = (found[0][kind]["loss"] + found[1][kind]["loss"]) / RANKS
    torch.testing.assert_close(mean, alone["loss"], rtol=1e-7, atol=0)
    for rank in range(RANKS):
        for one, other in zip(found[rank][kind]["gradients"], alone["gradients"], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)


def test_the_processes_had_different_numbers_of_ecgs_with_phases(work: Any):
    """Otherwise a mean over each would be no worse than one over both."""
    assert work[1][0]["peaks"] != work[1][1]["peaks"]


def test_a_training_on_two_processes_is_one_on_the_joined_batches(work: Any, pairs: Folder, tmp_path: Path):
    fabric = Fabric(accelerator="cpu", devices=1)
    lines = paired_training.trained(fabric, paired_training.feed_at(pairs), tmp_path)
    first, second = (found["lines"] for found in work[1])
    assert [line["step"] for line in first] == [line["step"] for line in lines] == [1, 2, 3, 4]
    for alone, one, two in zip(lines, first, second, strict=True):
        assert (one["loss"] + two["loss"]) / RANKS == pytest.approx(alone["loss"], rel=1e-3)
        assert one["gradient"] == pytest.approx(alone["gradient"], rel=1e-2)
    assert paired_training.log_of(work[0] / "run") == [line["loss"] for line in first]


def test_two_processes_train_ptacl(pairs: Folder, cache: Path, tmp_path: Path):
    found = []
    for name, start in (("torchrun", [*TORCHRUN, *MODULE]), ("devices", MODULE)):
        out = tmp_path / name
        given = (start, pairs.path, out, "--batch", "4", "--epochs", "1", "--devices", "2", "--head", "finetune")
        done = train(*given, recipe="ptacl")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("trained 8 steps") == done.stdout.count("wrote") == 1
        assert not list(out.rglob("*.part"))
        Model.from_pretrained(out / "model")
        stages = json.loads((out / "run.json").read_text())["stages"]
        assert list(stages) == ["masked_ecg", "masked_cine", "pairs", "head", "judge"]
        judged = json.loads((out / "judged.json").read_text())
        assert judged["retrieval"]["n_queries"] == judged["test_studies"] == 18
        found.append((load_file(out / "model" / WEIGHTS), judged))
        done = train(*given, "--resume", recipe="ptacl")
        assert (done.returncode, done.stdout.count("trained 8 steps")) == (0, 1), done.stderr
    assert same(*found)


def test_a_failure_of_ptacl_ends_all_processes(pairs: Folder, cache: Path, tmp_path: Path):
    given = (MODULE, pairs.path, tmp_path / "run", "--batch", "4", "--epochs", "3", "--devices", "2", "--lr", "1e20")
    done = train(*given, recipe="ptacl")
    assert done.returncode != 0
    assert "on the studies sim7-" in " ".join(done.stderr.split())
    assert not (tmp_path / "run" / "model").exists()
