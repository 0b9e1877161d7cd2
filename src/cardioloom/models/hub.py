"""A file of a Hugging Face hub repository, downloaded whole or gone on with later."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from cardioloom.errors import MissingExtraError, ModelError
from cardioloom.models.contract import file_sha256

Tick = Callable[[float], None]
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
ENDPOINT = "HF_ENDPOINT"
NO_ENTRY = 404
NEEDS_LOGIN = (401, 403)


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, and what to do where it cannot be had.

    Args:
        repository: owner/name.
        file: in the repository.
        by_hand: the command for a file that was downloaded otherwise.
    """

    repository: str
    file: str
    by_hand: str

    def url(self, revision: str) -> str:
        """Where it lies, on the hub that HF_ENDPOINT names or on huggingface.co."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, self.file, revision=revision, endpoint=os.environ.get(ENDPOINT))


def need_hub() -> None:
    """Raise MissingExtraError where huggingface_hub is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError(
            f"fetching weights needs the package {error.name}, which is not installed: pip install 'cardioloom[models]'"
        ) from error
    del huggingface_hub


def download(
    asked: HubFile, revision: str, folder: Path, most_bytes: int, tick: Tick | None = None
) -> tuple[Path, str]:
    """A file at a revision.

    What was received before an interruption is kept and gone on with at the next call. `hf_hub_download` of the hub's
    own library starts anew then (its version 2 gives each attempt a file of its own), so its parts are used here.

    Args:
        asked: the file.
        revision: branch, tag or commit.
        folder: gets ``<commit>/<file>``; a file that is there already is not downloaded again.
        most_bytes: a larger file is refused before it is downloaded.
        tick: is called with the share that has arrived, from 0 to 1.

    Returns:
        the file and its commit.

    Raises:
        ModelError: in one sentence, whatever stands in the way.
    """
    target = folder / revision / asked.file
    if COMMIT.fullmatch(revision) and target.is_file():
        return target, revision
    with _in_words(asked, revision, folder), _quiet():
        commit, etag, size = _head(asked, revision)
        target = folder / commit / asked.file
        if target.is_file():
            return target, commit
        if size is not None and size > most_bytes:
            raise ModelError(
                f"{asked.file} has {size >> 20} MB, more than the {most_bytes >> 20} MB of a checkpoint: name another"
            )
        part = folder / f"{hashlib.sha256(etag.encode()).hexdigest()[:16]}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        _receive(asked, commit, part, size, tick)
        _check_sum(asked, part, etag)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)
    return target, commit


def _head(asked: HubFile, revision: str) -> tuple[str, str, int | None]:
    """Commit, ETag and size, as the hub states them."""
    from huggingface_hub import get_hf_file_metadata

    said = get_hf_file_metadata(asked.url(revision), endpoint=os.environ.get(ENDPOINT))
    if said.etag is None or not COMMIT.fullmatch(said.commit_hash or ""):
        raise ModelError(
            f"what answers at {asked.url(revision)} is no Hugging Face hub (no commit is named): check {ENDPOINT} "
            "and the proxy"
        )
    return cast(str, said.commit_hash), said.etag, said.size


def _receive(asked: HubFile, commit: str, part: Path, size: int | None, tick: Tick | None) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    if size is None or (part.exists() and part.stat().st_size > size):
        part.unlink(missing_ok=True)  # nothing says whether these bytes are a beginning
    have = part.stat().st_size if part.exists() else 0
    if size is not None and shutil.disk_usage(part.parent).free < size - have:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    headers = build_hf_headers(library_name="cardioloom", library_version=_version())
    with part.open("ab") as file:
        http_get(
            asked.url(commit),
            file,
            resume_size=have,
            headers=headers,
            expected_size=size,
            displayed_filename=asked.file,
            tqdm_class=cast(Any, _bar(tick)),
        )


def _version() -> str:
    try:
        return version("cardioloom")
    except PackageNotFoundError:  # run from its folder
        return "unknown"


def _check_sum(asked: HubFile, part: Path, etag: str) -> None:
    """The ETag of a large file is its SHA-256; a small one's is git's own sum and says nothing here."""
    if SHA256.fullmatch(etag) and (found := file_sha256(part)) != etag:
        part.unlink()
        raise ModelError(
            f"{asked.file} was damaged on the way (SHA-256 {found}, the hub states {etag}) and is removed: fetch again"
        )


def _bar(tick: Tick | None) -> Callable[..., object]:
    """What the hub's library needs of a progress bar: it tells the caller, and never writes."""

    class Bar:
        def __init__(self, *, total: int | None = None, initial: int = 0, **_: object):
            self.total, self.done = total, initial

        def update(self, n: int) -> None:
            self.done += n
            if tick is not None and self.total:
                tick(min(1.0, self.done / self.total))

        def close(self) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

    return Bar


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the hub library's telemetry, which asks the hub for a list of programs and names them to it."""
    from huggingface_hub import constants

    before, constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_TELEMETRY, True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = before


@contextmanager
def _in_words(asked: HubFile, revision: str, folder: Path) -> Iterator[None]:
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage] (of httpx, any version)

    try:
        yield
    except (HTTPError, OSError) as error:
        raise ModelError(_sentence(error, asked, revision, folder)) from error


def _sentence(error: Exception, asked: HubFile, revision: str, folder: Path) -> str:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RevisionNotFoundError

    by_hand = f"download {asked.url(revision)} by hand, then '{asked.by_hand}'"
    if isinstance(error, RevisionNotFoundError):
        return f"{asked.repository} has no revision {revision!r}: name another with --revision"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in NEEDS_LOGIN:
            return f"{asked.repository} is not open to you (HTTP {status}): log in with 'hf auth login', or {by_hand}"
        if status == NO_ENTRY:
            return f"{asked.repository} has no file {asked.file} at revision {revision!r} (HTTP 404): name another"
        return f"the hub answered HTTP {status} for {asked.file}: run it again later to go on, or {by_hand}"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{asked.file} is not here and HF_HUB_OFFLINE forbids the network: unset it, or {by_hand}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"no space is left for {asked.file} in {folder}: free some and run it again, or set CARDIOLOOM_CACHE"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{folder} cannot be written to ({error.strerror}): set CARDIOLOOM_CACHE to a folder that can"
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return f"{asked.file} did not arrive ({reason}): run it again to go on where it stopped, or {by_hand}"
