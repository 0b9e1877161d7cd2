"""Fetching weights from a hub that runs in this process."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import small_net
from cardioloom.errors import ModelError, UsageError
from cardioloom.models import Model, adding, fetching, hub, installed, mmcl, unpickle
from cardioloom.models.contract import CONTRACT

IN_A_PROCESS_OF_ITS_OWN = adding._unpickle
REPOSITORY, FILE, NAME = "nobody/small", "small.pth", "small"
COMMIT, LATER = "a" * 40, "b" * 40
CHUNK = 2048


def checkpoint(seed: int) -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": small_net.state(small_net.contract(), seed)}, file)
    return file.getvalue()


def unpickle_here(file: Path, weights: Path) -> None:
    """`adding` without a process of its own, which costs seconds; its own tests are elsewhere."""
    unpickle.convert(file, weights)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Hub:
    """What the server holds and what it was asked.

    Args:
        revisions: branch or commit → commit; each commit's bytes in ``content``.
        drop_after: of the next file that is sent, so many bytes, then the connection is closed.
        status: answers every request for the file itself with this error, where it is set.
        code: answers every HEAD with this status and X-Error-Code, where it is set.
    """

    content: dict[str, bytes]
    revisions: dict[str, str]
    drop_after: int | None = None
    status: int | None = None
    code: tuple[int, str] | None = None
    is_hub: bool = True
    etag: str | None = None
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    port: int = 0


class Handler(BaseHTTPRequestHandler):
    """The part of the hub's protocol that a download needs: /resolve/ names the file, /cdn/ sends it, in ranges."""

    protocol_version = "HTTP/1.1"
    state: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        hub, wanted = self.state, self.headers.get("Range")
        hub.asked.append((self.command, self.path, wanted))
        hub.agents.append(self.headers.get("User-Agent", ""))
        if self.path.startswith("/cdn/"):
            return self.send_file(hub.content[self.path.removeprefix("/cdn/")], wanted)
        parts = self.path.split("/")
        if parts[1:3] != REPOSITORY.split("/") or parts[3] != "resolve" or parts[-1] != FILE:
            return self.finish_with(404, {"X-Error-Code": "RepoNotFound"})
        if hub.code:
            return self.finish_with(hub.code[0], {"X-Error-Code": hub.code[1]})
        commit = hub.revisions.get(parts[4])
        if commit is None:
            return self.finish_with(404, {"X-Error-Code": "RevisionNotFound"})
        content = hub.content[commit]
        facts = {
            "X-Repo-Commit": commit,
            "X-Linked-Size": str(len(content)),
            "X-Linked-ETag": f'"{hub.etag or sha256(content)}"',
            "Location": f"http://localhost:{hub.port}/cdn/{commit}",
        }
        return self.finish_with(302, facts if hub.is_hub else {"Location": facts["Location"]})

    def send_file(self, content: bytes, wanted: str | None) -> None:
        if self.state.status and self.state.drop_after is None:
            return self.finish_with(self.state.status, {})
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        drop, self.state.drop_after = self.state.drop_after, None
        self.wfile.write(content[start:] if drop is None else content[start : start + drop])
        if drop is not None:
            self.close_connection = True
        return None

    def finish_with(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with two commits of a small checkpoint, and a cache of its own."""
    import huggingface_hub
    from huggingface_hub import constants, file_download

    state = Hub({COMMIT: checkpoint(1), LATER: checkpoint(2)}, {"main": COMMIT, COMMIT: COMMIT, LATER: LATER})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"state": state}))
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{state.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", CHUNK)
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None, time=None))
    monkeypatch.setattr(adding, "_unpickle", unpickle_here)
    monkeypatch.setitem(adding.KNOWN, NAME, small_net.contract)
    monkeypatch.setitem(fetching.SOURCES, NAME, (REPOSITORY, FILE))
    huggingface_hub.close_session()
    yield state
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_first_fetch_installs_and_is_recorded(
    served: Hub, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(adding, "_unpickle", IN_A_PROCESS_OF_ITS_OWN)
    shares: list[float] = []
    folder = fetching.fetch(NAME, tick=shares.append)
    model = Model.from_pretrained(NAME)
    assert model.folder == folder
    assert model.contract.card.sha256 == sha256(served.content[COMMIT])
    assert model.contract.card.revision == COMMIT
    assert fetching.recorded() == {f"{REPOSITORY}/{FILE}": fetching.Fetched(COMMIT, sha256(served.content[COMMIT]))}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 3
    assert capfd.readouterr() == ("", "")


def test_nothing_is_told_to_the_hub_but_what_is_asked_for(served: Hub):
    fetching.fetch(NAME)
    assert {path.split("/")[1] for _, path, _ in served.asked} == {"nobody", "cdn"}
    assert not any("torch" in agent or "agent/" in agent for agent in served.agents)
    assert any(agent.startswith("cardioloom/") for agent in served.agents)


def test_a_second_fetch_needs_no_network(served: Hub):
    fetching.fetch(NAME)
    served.asked.clear()
    shutil.rmtree(installed.models())
    assert (fetching.fetch(NAME) / CONTRACT).is_file()
    assert served.asked == []


def test_a_dropped_connection_is_gone_on_with(served: Hub):
    served.drop_after = 3 * CHUNK
    fetching.fetch(NAME)
    sent = [wanted for command, path, wanted in served.asked if command == "GET" and path.startswith("/cdn/")]
    assert sent == [None, f"bytes={3 * CHUNK}-"]
    assert Model.from_pretrained(NAME).contract.card.sha256 == sha256(served.content[COMMIT])


def test_an_interrupted_fetch_is_gone_on_with_by_the_next(served: Hub, monkeypatch: pytest.MonkeyPatch):
    """As when the program is killed: nothing of the first call is left but its file."""

    def interrupt(share: float) -> None:
        if share * len(served.content[COMMIT]) > 2 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(NAME, tick=interrupt)
    assert not installed.models().exists()
    assert fetching.recorded() == {}
    served.asked.clear()
    fetching.fetch(NAME)
    assert [wanted for _, path, wanted in served.asked if path.startswith("/cdn/")] == [f"bytes={2 * CHUNK}-"]
    assert Model.from_pretrained(NAME).contract.card.sha256 == sha256(served.content[COMMIT])
    assert not list((installed.cache() / "hub").rglob("*.part"))


def test_a_hub_that_fails_in_the_middle(served: Hub):
    """The library's own second try is refused; what came before it is kept."""
    served.drop_after, served.status = 2 * CHUNK, 503
    with pytest.raises(ModelError, match=r"HTTP 503 .* run it again later to go on, or download http.* by hand"):
        fetching.fetch(NAME)
    served.status = None
    served.asked.clear()
    fetching.fetch(NAME)
    assert [wanted for _, path, wanted in served.asked if path.startswith("/cdn/")] == [f"bytes={2 * CHUNK}-"]


def test_bytes_that_began_otherwise_are_not_gone_on_with(served: Hub):
    """The part of one ETag is no beginning for another."""

    def interrupt(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetching.fetch(NAME, tick=interrupt)
    served.content[COMMIT] = checkpoint(3)
    fetching.fetch(NAME)
    assert fetching.recorded()[f"{REPOSITORY}/{FILE}"].sha256 == sha256(served.content[COMMIT])


def test_what_is_damaged_on_the_way_is_refused(served: Hub):
    served.etag = "0" * 64
    with pytest.raises(ModelError, match="was damaged on the way"):
        fetching.fetch(NAME)
    assert not [path for path in (installed.cache() / "hub").rglob("*") if path.is_file()]
    assert fetching.recorded() == {}


def test_changed_bytes_are_refused_until_they_are_wanted(served: Hub):
    fetching.fetch(NAME)
    before, old = fetching.recorded(), sha256(served.content[COMMIT])
    new = sha256(served.content[LATER])
    with pytest.raises(ModelError) as caught:
        fetching.fetch(NAME, revision=LATER)
    for word in (old, new, f"--revision {LATER} --sha256 {new}"):
        assert word in str(caught.value)
    assert fetching.recorded() == before
    assert Model.from_pretrained(NAME).contract.card.sha256 == old
    fetching.fetch(NAME, revision=LATER, sha256=new)
    assert fetching.recorded() == {f"{REPOSITORY}/{FILE}": fetching.Fetched(LATER, new)}
    assert Model.from_pretrained(NAME).contract.card.revision == LATER


def test_other_bytes_under_the_same_commit_are_refused(served: Hub):
    fetching.fetch(NAME)
    old = sha256(served.content[COMMIT])
    shutil.rmtree(installed.cache() / "hub")
    served.content[COMMIT] = served.content[LATER]
    with pytest.raises(ModelError, match=f"first received with {old}"):
        fetching.fetch(NAME)


def test_a_branch_that_moved_does_not_move_what_is_fetched(served: Hub):
    fetching.fetch(NAME)
    shutil.rmtree(installed.cache() / "hub")
    served.revisions["main"] = LATER
    fetching.fetch(NAME)
    assert Model.from_pretrained(NAME).contract.card.revision == COMMIT


def test_a_sum_that_was_given_is_checked_at_the_first_fetch(served: Hub):
    right = sha256(served.content[COMMIT])
    with pytest.raises(ModelError, match=f"must have SHA-256 {'0' * 64}, got {right}"):
        fetching.fetch(NAME, sha256="0" * 64)
    assert fetching.recorded() == {}
    assert not installed.models().exists()
    fetching.fetch(NAME, sha256=right.upper())
    with pytest.raises(ModelError, match="name its revision too"):
        fetching.fetch(NAME, sha256="0" * 64)
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        fetching.fetch(NAME, sha256="12ab")


def test_another_nets_file_is_not_recorded(served: Hub):
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, file)
    served.content[COMMIT] = file.getvalue()
    with pytest.raises(ModelError, match="another net's file"):
        fetching.fetch(NAME)
    assert fetching.recorded() == {}


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ((404, "RevisionNotFound"), "has no revision 'main'"),
        ((404, "EntryNotFound"), f"has no file {FILE} at revision 'main'"),
        ((401, "RepoNotFound"), r"is not open to you \(HTTP 401\): log in with 'hf auth login', or download http"),
        ((403, "GatedRepo"), "is not open to you"),
        ((500, ""), "the hub answered HTTP 500"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(served: Hub, code: tuple[int, str], sentence: str):
    served.code = code
    with pytest.raises(ModelError, match=sentence) as caught:
        fetching.fetch(NAME)
    assert "\n" not in str(caught.value)


def test_without_a_network_it_says_what_to_do(served: Hub, monkeypatch: pytest.MonkeyPatch):
    from huggingface_hub import constants

    by_hand = rf"download http\S+/resolve/main/{FILE} by hand, then 'cardioloom weights add {NAME} FILE'"
    with monkeypatch.context() as here:
        here.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match=f"HF_HUB_OFFLINE forbids the network: unset it, or {by_hand}"):
            fetching.fetch(NAME)
    assert served.asked == []
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")  # nothing listens there
    with pytest.raises(ModelError, match=f"did not arrive .* or {by_hand}"):
        fetching.fetch(NAME)


def test_what_answers_must_be_a_hub(served: Hub):
    served.is_hub = False
    with pytest.raises(ModelError, match="is no Hugging Face hub"):
        fetching.fetch(NAME)


def test_a_full_disk_and_a_closed_folder(served: Hub, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as here:
        here.setattr(hub.shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(1000))
        with pytest.raises(ModelError, match=r"no space is left for small\.pth in .*: free some"):
            fetching.fetch(NAME)
    monkeypatch.setenv(installed.VARIABLE, str(installed.cache() / "fetched.lock" / "below-a-file"))
    with pytest.raises(ModelError, match="cannot be written to"):
        fetching.fetch(NAME)


def test_a_disk_that_fills_up_keeps_what_came(served: Hub):
    def full(share: float) -> None:
        if share * len(served.content[COMMIT]) > 2 * CHUNK:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ModelError, match="no space is left"):
        fetching.fetch(NAME, tick=full)
    served.asked.clear()
    fetching.fetch(NAME)
    assert [wanted for _, path, wanted in served.asked if path.startswith("/cdn/")] == [f"bytes={2 * CHUNK}-"]


def test_one_fetch_at_a_time(served: Hub):
    def again(share: float) -> None:
        with pytest.raises(ModelError, match="another fetch is running"):
            fetching.fetch(NAME)

    fetching.fetch(NAME, tick=again)


def test_a_checkpoint_too_large_is_not_downloaded(served: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(adding, "MAX_CHECKPOINT_BYTES", 1000)
    with pytest.raises(ModelError, match="of a checkpoint"):
        fetching.fetch(NAME)
    assert [command for command, _, _ in served.asked] == ["HEAD"]


def test_names_and_records_that_cannot_be(served: Hub):
    with pytest.raises(UsageError, match="no model is called 'nothing'"):
        fetching.fetch("nothing")
    fetching.fetch(NAME)
    (installed.cache() / "fetched.json").write_text("{")
    with pytest.raises(ModelError, match="remove it to trust the next fetch anew"):
        fetching.fetch(NAME)


def test_every_known_model_has_a_source_or_is_of_the_users_own_file():
    assert set(fetching.SOURCES) == set(adding.KNOWN) - set(mmcl.NAMES)
