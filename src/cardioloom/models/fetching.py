"""An official checkpoint from its repository: what was received first is what is received ever after.

No sum is shipped with this package. The first fetch records commit and SHA-256 in ``<cache>/fetched.json``; a later
one must bring the same bytes, unless the caller names the new revision and its sum.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from cardioloom.errors import ModelError, UsageError
from cardioloom.models import adding, ecgfounder, installed, nets
from cardioloom.models.contract import file_sha256
from cardioloom.models.hub import SHA256, HubFile, Tick, download, need_hub
from cardioloom.writers.atomic import replacing

SCHEMA = "cardioloom.fetched/1"
FIRST_REVISION = "main"
# Name → repository and file; a system adds its names here.
SOURCES = {name: (ecgfounder.REPOSITORY, file) for name, file in ecgfounder.CHECKPOINTS.items()}


@dataclass(frozen=True)
class Fetched:
    """What was received first.

    Args:
        revision: the commit.
        sha256: of the file.
    """

    revision: str
    sha256: str


def fetch(name: str, *, revision: str | None = None, sha256: str | None = None, tick: Tick | None = None) -> Path:
    """Get a model's official checkpoint from the Hugging Face hub and convert it (`adding.add`).

    Args:
        name: one of `SOURCES`.
        revision: branch, tag or commit; the recorded commit if there is one, else "main".
        sha256: that the file must have; with ``revision``, it goes before what is recorded.
        tick: is called with the share that has arrived, from 0 to 1.

    Returns:
        the model folder.

    Raises:
        UsageError: if the name is unknown, or the sum is none.
        ModelError: if the file cannot be had, has other bytes than it must, or is another net's.
        MissingExtraError: if torch or huggingface_hub is not installed.
    """
    adding.known(name)
    if name not in SOURCES:
        raise UsageError(f"{name} has no place to be fetched from: give its file to 'cardioloom weights add {name}'")
    sha256 = sha256.lower() if sha256 else None
    if sha256 and not SHA256.fullmatch(sha256):
        raise UsageError(f"--sha256 must be 64 hexadecimal digits, got {sha256!r}: copy all of them")
    nets.need_torch()
    need_hub()
    repository, file = SOURCES[name]
    asked = HubFile(repository, file, f"cardioloom weights add {name} FILE")
    with _alone():
        before = recorded().get(_key(asked))
        if before and sha256 and sha256 != before.sha256 and revision is None:
            raise ModelError(
                f"{file} was first received with SHA-256 {before.sha256}, now {sha256} is asked for: "
                "name its revision too, with --revision"
            )
        where = revision or (before.revision if before else FIRST_REVISION)
        folder = installed.cache() / "hub" / repository.replace("/", "--")
        path, commit = download(asked, where, folder, adding.MAX_CHECKPOINT_BYTES, tick)
        found = file_sha256(path)
        _check(asked, Fetched(commit, found), before, sha256, path)
        target = adding.add(name, path, sha256=found, revision=commit)
        _record(_key(asked), Fetched(commit, found))
    return target


def recorded() -> dict[str, Fetched]:
    """Repository/file → what was received first.

    Raises:
        ModelError: if the record is damaged.
    """
    path = _place()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema {values['schema']!r}")
        return {key: Fetched(str(row["revision"]), str(row["sha256"])) for key, row in values["files"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}): repair it, or remove it to trust the next fetch anew"
        ) from error


def _check(asked: HubFile, now: Fetched, before: Fetched | None, sha256: str | None, path: Path) -> None:
    """Refuse bytes that are not those that were asked for or received first; they are removed."""
    expected = sha256 or (before.sha256 if before else None)
    if expected is None or now.sha256 == expected:
        return
    path.unlink()
    if sha256:
        raise ModelError(
            f"{asked.file} at revision {now.revision} must have SHA-256 {sha256}, got {now.sha256}: "
            "check both; the file is removed"
        )
    raise ModelError(
        f"{asked.file} at revision {now.revision} has SHA-256 {now.sha256}, but was first received with {expected}: "
        f"if the new file is wanted, say so with --revision {now.revision} --sha256 {now.sha256}"
    )


def _record(key: str, fetched: Fetched) -> None:
    files = {name: asdict(value) for name, value in (recorded() | {key: fetched}).items()}
    try:
        with replacing(_place()) as part:
            part.write_text(json.dumps({"schema": SCHEMA, "files": files}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{_place()} cannot be written ({error.strerror}): set {installed.VARIABLE}") from error


@contextmanager
def _alone() -> Iterator[None]:
    """One fetch at a time, so that two do not write into the same file."""
    from filelock import FileLock, Timeout

    folder = installed.cache()
    lock = FileLock(folder / "fetched.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ModelError("another fetch is running: wait until it is done, then run this again") from error
    except OSError as error:
        raise ModelError(f"{folder} cannot be written to ({error.strerror}): set {installed.VARIABLE}") from error
    try:
        yield
    finally:
        lock.release()


def _place() -> Path:
    return installed.cache() / "fetched.json"


def _key(asked: HubFile) -> str:
    return f"{asked.repository}/{asked.file}"
