"""`train` on two processes of one machine, started by torchrun and by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from cardioloom.models import Model
from cardioloom.models.contract import WEIGHTS
from cardioloom.recipes.place import read_log
from small_cohort import cohort_at
from toy_training import same

pytestmark = pytest.mark.slow
MODULE = ["-m", "cardioloom.app.cli"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
OPTIONS = ["--preset", "tiny", "--batch", "6", "--epochs", "2", "--targets", "male:sex=M", "--accelerator", "cpu"]


def train(start: list[str], cohort: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *start, "train", "ecgfounder", str(cohort), str(out), *OPTIONS, *options]
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
