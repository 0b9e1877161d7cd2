"""The run folder: begun once, gone on with by the same call alone, each stage done once."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cardioloom.errors import DamagedFileError, UsageError, WriteError
from cardioloom.recipes.place import Place
from cardioloom.recipes.run import RUN, SCHEMA, Run, commit

ASKED = {"recipe": "ecgfounder", "epochs": 3, "targets": None, "lr": 0.1}
FACTS = {"cohort": "abc", "seed": 0}


def begun(folder: Path, **options: Any) -> Run:
    run = Run.open(folder, ASKED, resume=False, **FACTS)
    run.begin(**({"is_main": True} | options))
    return run


def test_it_says_what_was_asked_and_with_what(tmp_path: Path):
    begun(tmp_path / "run")
    facts = json.loads((tmp_path / "run" / RUN).read_text())
    assert facts["schema"] == SCHEMA
    assert facts["arguments"] == ASKED
    assert {"cohort", "seed", "versions", "commit", "stages"} <= facts.keys()
    assert facts["versions"].keys() >= {"python", "torch", "numpy", "lightning-fabric"}


def test_nothing_is_written_before_it_begins(tmp_path: Path):
    Run.open(tmp_path / "run", ASKED, resume=False)
    assert not (tmp_path / "run").exists()


def test_only_the_first_rank_writes(tmp_path: Path):
    run = begun(tmp_path / "run", is_main=False)
    run.stage("pretrain", lambda place: {"steps": 3})
    assert not (tmp_path / "run").exists()


def test_a_folder_in_use_is_refused(tmp_path: Path):
    begun(tmp_path / "run")
    with pytest.raises(UsageError, match="holds a run: go on with --resume, or name another folder"):
        Run.open(tmp_path / "run", ASKED, resume=False, **FACTS)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_is_not_empty_is_refused(resume: bool, tmp_path: Path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no run: name another folder"):
        Run.open(tmp_path, ASKED, resume=resume)
    with pytest.raises(UsageError, match=r"letter.txt is a file: name a folder"):
        Run.open(tmp_path / "letter.txt", ASKED, resume=resume)


@pytest.mark.parametrize(
    ("arguments", "facts", "said"),
    [
        ({"epochs": 4}, {}, "begun with epochs 3, got 4"),
        ({"targets": "age"}, {}, "begun with targets None, got 'age'"),
        ({"lr": 0.2}, {}, "begun with lr 0.1, got 0.2"),
        ({"new": 1}, {}, "begun with new None, got 1"),
        ({}, {"cohort": "xyz"}, "begun with cohort 'abc', got 'xyz'"),
    ],
)
def test_other_arguments_are_named_on_resumption(
    arguments: dict[str, Any], facts: dict[str, Any], said: str, tmp_path: Path
):
    begun(tmp_path)
    with pytest.raises(UsageError, match=f"{said}: resume with the same, or name another folder"):
        Run.open(tmp_path, ASKED | arguments, resume=True, **(FACTS | facts))


def test_a_stage_is_done_once_and_says_the_same_afterwards(tmp_path: Path):
    done: list[Place] = []

    def do(place: Place) -> dict[str, Any]:
        done.append(place)
        return {"steps": 3, "best": 0.5}

    said = begun(tmp_path).stage("pretrain", do)
    again = Run.open(tmp_path, ASKED, resume=True, **FACTS)
    again.begin(is_main=True)
    assert again.stage("pretrain", do) == said == {"steps": 3, "best": 0.5}
    assert done == [Place(tmp_path, "pretrain")]


def test_a_stage_that_fails_is_not_done(tmp_path: Path):
    def fail(place: Place) -> dict[str, Any]:
        raise WriteError("the disk is full: make room")

    with pytest.raises(WriteError):
        begun(tmp_path).stage("pretrain", fail)
    assert Run.open(tmp_path, ASKED, resume=True, **FACTS).facts["stages"] == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other/1"}', f'{{"schema": "{SCHEMA}"}}'])
def test_a_damaged_or_foreign_run_is_refused(text: str, tmp_path: Path):
    (tmp_path / RUN).write_text(text)
    with pytest.raises((DamagedFileError, UsageError), match=RUN):
        Run.open(tmp_path, ASKED, resume=True)


def test_a_place_that_a_file_takes_is_a_sentence(tmp_path: Path):
    run = Run.open(tmp_path / "file" / "run", ASKED, resume=False)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=r"run.json could not be written \(Not a directory\)"):
        run.begin(is_main=True)


def test_a_commit_says_if_the_code_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = commit()
    assert head is not None
    assert re.fullmatch("[0-9a-f]{40}", head)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run.json").write_text("{}")
    assert commit() == head
    (tmp_path / "runs" / "new.py").write_text("")
    assert commit() == f"{head}+changes"


@pytest.mark.parametrize(
    ("name", "mark"), [("results.json", ""), ("code/net.py", "+changes"), ("pyproject.toml", "+changes")]
)
def test_a_commit_says_if_kept_code_is_another(name: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c")
    (tmp_path / "code").mkdir()
    (tmp_path / name).write_text("first")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    monkeypatch.chdir(tmp_path / "code")  # the whole checkout counts, wherever in it the training is started
    head = commit()
    (tmp_path / name).write_text("second")
    assert commit() == f"{head}{mark}"
