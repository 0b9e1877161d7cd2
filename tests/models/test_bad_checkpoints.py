"""Files that are no checkpoint of the net: refused with what was expected and found, nothing run, nothing written."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import small_net
from cardioloom.errors import CardioloomError, ModelError, UsageError
from cardioloom.models import Model, adding, installed, unpickle
from cardioloom.models.contract import file_sha256
from models.sentence import is_one_sentence

NAME = "small"
REAL_RUN = subprocess.run
State = dict[str, Any]


class Shell:
    """A pickle of this runs a command wherever it is loaded without protection."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def run_here(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    """The converter in this process, without its limits: a process of its own takes seconds."""
    out = io.StringIO()
    with redirect_stdout(out):
        code = unpickle.main(*command[-2:])
    return subprocess.CompletedProcess(command, code, out.getvalue(), "")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for files, an empty cache and an empty temporary folder; the converter runs in this process."""
    for name in ("files", "cache", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setitem(adding.KNOWN, NAME, small_net.contract)
    monkeypatch.setattr(unpickle, "limit", lambda: None)
    monkeypatch.setattr(adding.subprocess, "run", run_here)
    yield tmp_path / "files"
    assert list((tmp_path / "tmp").iterdir()) == []


def refused(desk: Path, file: Path, **options: Any) -> str:
    """The sentence with which a file is refused, after a look that nothing was written."""
    with pytest.raises(ModelError) as caught:
        adding.add(NAME, file, **options)
    assert list((desk.parent / "cache").iterdir()) == []
    assert list((desk.parent / "tmp").iterdir()) == []
    assert is_one_sentence(caught.value), caught.value
    return str(caught.value)


def good() -> State:
    return small_net.state(small_net.contract())


def saved(desk: Path, content: object, **options: Any) -> Path:
    path = desk / "given.pth"
    torch.save(content, path, **options)
    return path


# Layouts that are taken.

LAYOUTS: dict[str, Callable[[State], object]] = {
    "bare": lambda state: state,
    "wrapped": lambda state: {"state_dict": state},
    "prefixed": lambda state: {f"module.{name}": value for name, value in state.items()},
    "wrapped and prefixed": lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    "with training notes": lambda state: {
        "epoch": 7,
        "state_dict": state,
        "best": np.float64(0.9),
        "steps": np.int64(12),
        "optimizer": {"param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}], "state": {0: {"step": torch.ones(())}}},
    },
    "parameters": lambda state: {
        name: torch.nn.Parameter(value) if value.is_floating_point() else value for name, value in state.items()
    },
    "in another order": lambda state: dict(reversed(state.items())),
    "of strided views": lambda state: {name: torch.stack([value, value], -1)[..., 0] for name, value in state.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
def test_every_layout_of_the_same_weights_gives_the_same_model(desk: Path, layout: str, modern: bool):
    path = saved(desk, LAYOUTS[layout](good()), _use_new_zipfile_serialization=modern)
    folder = adding.add(NAME, path, sha256=file_sha256(path).upper(), revision="main")
    assert folder == desk.parent / "cache" / "models" / NAME
    assert [p.name for p in folder.parent.iterdir()] == [NAME]
    assert sorted(p.name for p in folder.iterdir()) == ["golden.safetensors", "model.json", "weights.safetensors"]
    model = Model.from_pretrained(NAME)
    own = model.run.net.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(own[name], value) for name, value in good().items())
    assert model.contract.card.sha256 == file_sha256(path)
    assert model.contract.card.revision == "main"


def test_safetensors_are_taken_too(desk: Path):
    save_file(good(), desk / "given.safetensors")
    adding.add(NAME, desk / "given.safetensors")
    assert installed.added() == (NAME,)


def test_numbers_of_numpy_1_are_read_under_their_old_name(desk: Path):
    path = saved(desk, {"state_dict": good(), "best": np.float64(0.9)})
    renamed = desk / "old.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(renamed, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename.endswith("data.pkl"):
                assert b"numpy._core.multiarray" in content
                content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            target.writestr(info.filename, content)
    assert adding.add(NAME, renamed).is_dir()


# Another net.


def test_another_nets_file_is_refused_with_what_was_expected_and_found(desk: Path):
    said = refused(desk, saved(desk, {"fc.weight": torch.zeros(2, 2), "fc.bias": torch.zeros(2)}))
    n = len(good())
    assert f"given.pth does not hold the {n} entries of this net: {n} missing (first_conv.conv.weight" in said
    assert "2 unknown (fc.bias, fc.weight)" in said


def test_missing_keys_are_named(desk: Path):
    state = {name: value for name, value in good().items() if not name.startswith("dense")}
    assert "2 missing (dense.weight, dense.bias)" in refused(desk, saved(desk, state))


def test_unused_norms_may_not_be_missing(desk: Path):
    state = {name: value for name, value in good().items() if "bn" not in name}
    assert re.search(r"\d+ missing \(first_bn.weight, ", refused(desk, saved(desk, state)))


def test_another_shape_is_named(desk: Path):
    said = refused(desk, saved(desk, good() | {"dense.weight": torch.zeros(4, small_net.N_FEATURES)}))
    assert "1 that differ (dense.weight is float32 [4, 16] instead of float32 [3, 16])" in said


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.int64])
def test_another_type_is_named(desk: Path, dtype: torch.dtype):
    state = good()
    said = refused(desk, saved(desk, state | {"dense.bias": state["dense.bias"].to(dtype)}))
    assert f"dense.bias is {str(dtype).removeprefix('torch.')} [3] instead of float32 [3]" in said


def test_a_prefix_on_some_names_alone_is_no_prefix(desk: Path):
    state = good()
    state["module.dense.bias"] = state.pop("dense.bias")
    assert "1 unknown (module.dense.bias)" in refused(desk, saved(desk, state))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(desk: Path, value: float):
    state = good()
    state["first_conv.conv.weight"][0, 0, 0] = value
    assert "first_conv.conv.weight holds values that are not finite" in refused(desk, saved(desk, state))


# No checkpoint.


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 64, b"hello, this is a text\n", b"PK\x03\x04" + b"\x00" * 100, b"\x80\x02}q\x00."]
)
def test_other_files_are_refused(desk: Path, content: bytes):
    path = desk / "given.pth"
    path.write_bytes(content)
    assert re.search(
        "given.pth is refused: (it is damaged or no checkpoint|expected named tensors)", refused(desk, path)
    )


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
def test_a_truncated_file_is_refused(desk: Path, share: float, modern: bool):
    path = saved(desk, good(), _use_new_zipfile_serialization=modern)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "given.pth is refused: it is damaged or no checkpoint" in refused(desk, path)


def test_a_truncated_safetensors_file_is_refused(desk: Path):
    path = desk / "given.safetensors"
    save_file(good(), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "it is damaged or no checkpoint" in refused(desk, path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(2)], "found list"),
        (torch.zeros(2), "found Tensor"),
        ({}, "found an empty dictionary"),
        ({"state_dict": {}}, "found an empty dictionary"),
        ({"a": 3}, "found int under 'a'"),
        ({"a": "text"}, "found str under 'a'"),
        ({1: torch.zeros(2)}, "found Tensor under '1'"),
        ({"state_dict": torch.zeros(2), "b": 3}, "found int under 'b'"),
        ({"a": torch.zeros(3).to_sparse()}, "another kind under 'a'"),
        ({"a": torch.zeros(3, device="meta")}, "another kind under 'a'"),
    ],
    ids=str,
)
def test_other_contents_are_refused(desk: Path, content: object, found: str):
    assert found in refused(desk, saved(desk, content))


def test_a_tensor_that_declares_terabytes_takes_none(desk: Path):
    path = saved(desk, good() | {"dense.weight": torch.zeros(1).expand(10**12)})
    assert path.stat().st_size < 1 << 20
    assert "its tensors declare more than 4 GB" in refused(desk, path)


def test_a_zip_that_unpacks_to_more_than_it_declares_is_refused(desk: Path):
    path, bomb = saved(desk, {"a": torch.zeros(1000)}), desk / "bomb.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            is_data = info.filename.endswith("data/0")
            target.writestr(info.filename, bytes(1 << 26) if is_data else source.read(info))
    assert bomb.stat().st_size < 1 << 20
    assert "it is damaged or no checkpoint" in refused(desk, bomb)


# Code.


def hostile(desk: Path, kind: str, mark: Path) -> Path:
    path, content = desk / "given.pth", {"state_dict": good(), "note": Shell(mark)}
    if kind.startswith("protocol"):
        path.write_bytes(pickle.dumps({"state_dict": Shell(mark)}, protocol=int(kind[-1])))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize("kind", ["zip", "legacy", "protocol 0", "protocol 2", "protocol 4"])
def test_a_pickle_that_runs_a_command_does_not(desk: Path, kind: str):
    mark = desk.parent / "executed"
    said = refused(desk, hostile(desk, kind, mark))
    assert not mark.exists()
    expected = {"protocol 0": "it is damaged or no checkpoint", "protocol 4": "given.pth is refused: "}
    assert expected.get(kind, "expected tensors and numbers alone, found the Python object posix.system") in said
    pickle.loads(pickle.dumps(Shell(mark)))  # the same content is dangerous where nothing protects
    assert mark.exists()


def test_a_whole_module_is_no_state(desk: Path):
    assert "found the Python object torch.nn.modules.linear.Linear" in refused(desk, saved(desk, torch.nn.Linear(2, 2)))


def test_an_array_of_objects_is_no_number(desk: Path):
    """Numbers of numpy are taken; its arrays, which can hold any object, are not."""
    path = saved(desk, {"state_dict": good(), "note": np.array([{"a": 1}], dtype=object)})
    assert "found the Python object numpy._core.multiarray._reconstruct" in refused(desk, path)


def test_no_message_tells_to_switch_the_protection_off(desk: Path):
    for content in ({"note": Shell(desk)}, torch.nn.Linear(2, 2)):
        said = refused(desk, saved(desk, content))
        assert "weights_only" not in said
        assert "allowlist" not in said


# The process that reads it.


def test_code_is_not_run_in_the_process_that_reads_either(desk: Path, monkeypatch: pytest.MonkeyPatch):
    """With the real process, from a folder that offers it another torch."""
    monkeypatch.setattr(adding.subprocess, "run", REAL_RUN)
    mark, trap = desk.parent / "executed", desk.parent / "imported"
    (desk / "torch.py").write_text(f"open({str(trap)!r}, 'w')\n")
    monkeypatch.chdir(desk)
    said = refused(desk, hostile(desk, "zip", mark))
    assert "found the Python object posix.system" in said
    assert not mark.exists()
    assert not trap.exists()


def test_a_file_that_takes_too_long_is_given_up(desk: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(adding.subprocess, "run", REAL_RUN)
    monkeypatch.setattr(adding, "MAX_SECONDS", 0.05)
    assert "given.pth was not read within 0.05 s" in refused(desk, saved(desk, good()))


@pytest.mark.parametrize("output", ["", "Killed", "3\n", '{"ok": true}\n', "[]\n"])
def test_a_process_that_dies_is_a_refusal(desk: Path, monkeypatch: pytest.MonkeyPatch, output: str):
    dead = subprocess.CompletedProcess([], -9, output, "")
    monkeypatch.setattr(adding.subprocess, "run", lambda *_, **__: dead)
    assert "ended with code -9, as when a limit on memory or time is passed" in refused(desk, saved(desk, good()))


def test_the_process_limits_itself():
    resource = pytest.importorskip("resource")
    code = "from cardioloom.models import unpickle as u; import json, resource as r; u.limit();"
    code += "print(json.dumps([r.getrlimit(k)[0] for k in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE)]))"
    done = REAL_RUN([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    limits = json.loads(done.stdout)
    most = (unpickle.MAX_ADDRESS_BYTES, unpickle.MAX_CPU_S, unpickle.MAX_FILE_BYTES)
    assert all(0 < limit <= high for limit, high in zip(limits, most, strict=True))
    assert resource.RLIM_INFINITY not in limits


# The file itself.


def test_a_file_of_another_sum_is_not_even_opened(desk: Path, monkeypatch: pytest.MonkeyPatch):
    path = saved(desk, good())
    monkeypatch.setattr(adding.subprocess, "run", lambda *_, **__: pytest.fail("it was opened"))
    said = refused(desk, path, sha256="0" * 64)
    assert f"given.pth must have SHA-256 {'0' * 64}, got {file_sha256(path)}" in said


def test_a_folder_a_device_and_nothing_are_no_checkpoint(desk: Path):
    assert "is no file" in refused(desk, desk)
    assert "cannot be read (No such file or directory)" in refused(desk, desk / "absent.pth")
    if Path("/dev/zero").exists():
        assert "is no file" in refused(desk, Path("/dev/zero"))


def test_a_file_that_is_too_large_is_refused(desk: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(adding, "MAX_CHECKPOINT_BYTES", 1 << 10)
    assert "is larger than" in refused(desk, saved(desk, good()))


def test_an_unknown_name_is_a_wrong_call(desk: Path):
    with pytest.raises(UsageError, match="no model is called 'ecgfinder': use one of ecgfounder-12l, ecgfounder-1l"):
        adding.add("ecgfinder", desk / "absent.pth")


def test_a_model_that_is_there_survives_a_bad_file(desk: Path):
    adding.add(NAME, saved(desk, good()))
    before = Model.from_pretrained(NAME).sha256
    with pytest.raises(CardioloomError):
        adding.add(NAME, saved(desk, {"a": torch.zeros(2)}))
    assert Model.from_pretrained(NAME).sha256 == before
    adding.add(NAME, saved(desk, small_net.state(small_net.contract(), seed=1)))
    assert Model.from_pretrained(NAME).sha256 != before
    assert [path.name for path in installed.models().iterdir()] == [NAME]


def test_a_failure_while_writing_leaves_nothing(desk: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise ModelError("the golden pair of this test is broken on purpose: mend the test")

    monkeypatch.setattr(adding.golden, "make", broken)
    with pytest.raises(ModelError, match="on purpose"):
        adding.add(NAME, saved(desk, good()))
    assert installed.added() == ()
    assert list(installed.models().iterdir()) == []
