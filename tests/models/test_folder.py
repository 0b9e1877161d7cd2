"""A model folder whose parts do not fit together is refused by `from_pretrained` in one sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import small_net
from cardioloom.errors import ModelError, ModelNotFoundError, UsageError
from cardioloom.models import Model, installed
from cardioloom.models.contract import (
    CONTRACT,
    GOLDEN,
    KEYS,
    MAX_CONTRACT_BYTES,
    WEIGHTS,
    check_files,
    file_sha256,
    read,
)
from models.sentence import is_one_sentence

Json = dict[str, Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole folder; never written to."""
    return small_net.model_folder(tmp_path_factory.mktemp("folder") / "small")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def edit(folder: Path, change: Callable[[Json], object]) -> None:
    """Change the contract's JSON and nothing else."""
    values = json.loads((folder / CONTRACT).read_text())
    change(values)
    (folder / CONTRACT).write_text(json.dumps(values))


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Model.from_pretrained(folder)
    assert is_one_sentence(caught.value), caught.value
    return str(caught.value)


def resummed(folder: Path) -> None:
    """Write the sums of the files that are there into the contract, as someone would who means it."""
    edit(folder, lambda v: v.update(sha256={name: file_sha256(folder / name) for name in (WEIGHTS, GOLDEN)}))


def golden_of(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(folder / GOLDEN, "np") as file:
        return load_file(folder / GOLDEN), dict(file.metadata())


def test_a_whole_folder_is_taken_by_its_path_as_it_stands(made: Path):
    model = Model.from_pretrained(made)
    assert model.name == "small"
    assert set(model.deviations) == {"prepared", "logits", "features"}
    assert max(model.deviations.values()) < 1e-5
    assert Model.from_pretrained(str(made)).sha256 == model.sha256


def test_white_space_and_the_order_of_keys_mean_nothing(folder: Path, made: Path):
    values = json.loads((folder / CONTRACT).read_text())
    (folder / CONTRACT).write_text(json.dumps(dict(reversed(values.items())), indent=7))
    assert Model.from_pretrained(folder).sha256 == Model.from_pretrained(made).sha256


EDITS: dict[str, Callable[[Json], object]] = {
    "name": lambda v: v.update(name="other"),
    "lead order": lambda v: v["preparation"]["leads"].insert(4, v["preparation"]["leads"].pop(5)),
    "lead name": lambda v: v["preparation"]["leads"].__setitem__(0, "MLII"),
    "fewer leads": lambda v: v["preparation"]["leads"].pop(),
    "unit": lambda v: v["preparation"].update(unit="uV"),
    "fs": lambda v: v["preparation"].update(fs=200.0),
    "window": lambda v: v["preparation"].update(window_seconds=1.0),
    "shortest": lambda v: v["preparation"].update(shortest_seconds=0.0),
    "steps": lambda v: v["preparation"]["steps"].append({"step": "zscore_record", "epsilon": 1e-8}),
    "gaps": lambda v: v["preparation"].update(not_recorded="refuse"),
    "longer": lambda v: v["preparation"].update(longer="first_window"),
    "threshold": lambda v: v["task"]["outputs"][1].update(threshold=0.4),
    "calibrated": lambda v: v["task"]["outputs"][1].update(calibrated=True),
    "order of outputs": lambda v: v["task"]["outputs"].reverse(),
    "name of an output": lambda v: v["task"]["outputs"][0].update(name="TWO"),
    "group": lambda v: v["task"]["outputs"][0].update(group="pacing"),
    "snomed": lambda v: v["task"]["outputs"][0].update(snomed="1"),
    "config": lambda v: v["config"].update(use_bn=True),
    "config that cannot be": lambda v: v["config"].update(stride="two"),
    "card's licence": lambda v: v["card"].update(licence="MIT"),
    "card's limits": lambda v: v["card"]["limits"].append("none"),
    "card's sum": lambda v: v["card"].update(sha256="0" * 64),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_contract_is_refused(folder: Path, what: str):
    edit(folder, EDITS[what])
    assert "is not the one its golden pair was made for" in refused(folder)


IMPOSSIBLE: dict[str, tuple[Callable[[Json], object], str]] = {
    "class": (lambda v: v.update({"class": "ResNet"}), "is not the one its golden pair was made for"),
    "unit": (lambda v: v["preparation"].update(unit="inch"), "unit 'inch' is unknown: use mV, uV"),
    "fs is a text": (lambda v: v["preparation"].update(fs="500"), "fs"),
    "a lead twice": (lambda v: v["preparation"]["leads"].__setitem__(0, "II"), "leads that differ"),
    "no leads": (lambda v: v["preparation"].update(leads=[]), "leads that differ"),
    "unknown step": (lambda v: v["preparation"].update(steps=[{"step": "magic"}]), "magic"),
    "steps are a text": (lambda v: v["preparation"].update(steps="notch"), "a step is written as"),
    "key of the preparation": (lambda v: v["preparation"].pop("fs"), "the preparation lacks fs"),
    "preparation": (lambda v: v.update(preparation=None), "preparation must be an object, got NoneType"),
    "threshold": (lambda v: v["task"]["outputs"][0].update(threshold=1.5), "must lie between 0 and 1"),
    "kind of task": (lambda v: v["task"].update(kind="multi_class"), "must be one of multi_label"),
    "outputs": (lambda v: v["task"].update(outputs=3), "the outputs of a task must be a list, got int"),
    "one code twice": (lambda v: v["task"]["outputs"][0].update(code="two"), "outputs whose codes differ"),
    "unknown key of the card": (lambda v: v["card"].update(author="x"), "unknown: author"),
    "absent key of the card": (lambda v: v["card"].pop("licence"), "absent: licence"),
    "config": (lambda v: v.update(config=3), "config must be an object, got int"),
    "sums": (lambda v: v.update(sha256="0" * 64), "sha256 must be an object, got str"),
    "a sum is absent": (lambda v: v["sha256"].pop(WEIGHTS), "sha256 must be of weights.safetensors and"),
    "another file's sum": (lambda v: v["sha256"].update({"../x": "0"}), "sha256 must be of"),
    "unknown key": (lambda v: v.update(hook="os.system"), "must hold exactly schema, name"),
    "a text with half a character": (lambda v: v["card"].update(title="\ud800"), "holds what cannot be"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_contract_that_cannot_be_is_refused(folder: Path, what: str):
    change, said = IMPOSSIBLE[what]
    edit(folder, change)
    assert said in refused(folder)


@pytest.mark.parametrize("key", KEYS)
def test_an_absent_key_is_refused(folder: Path, key: str):
    edit(folder, lambda v: v.pop(key))
    assert ("must be of schema" if key == "schema" else "must hold exactly") in refused(folder)


@pytest.mark.parametrize("schema", ["cardioloom.model/2", "cardioloom.report/1", 1, None])
def test_a_foreign_schema_is_refused(folder: Path, schema: object):
    edit(folder, lambda v: v.update(schema=schema))
    assert f"must be of schema cardioloom.model/1, got {schema!r}" in refused(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 200_000, "is not JSON"),
        ("[1, 2]", "must be of schema cardioloom.model/1, got None"),
        ("null", "must be of schema"),
        ("\xff\xfe", "is not JSON"),
        (" " * (MAX_CONTRACT_BYTES + 1), "is larger than 4 MB"),
    ],
    ids=["empty", "open", "deep", "list", "null", "bytes", "huge"],
)
def test_what_is_no_contract_is_refused(folder: Path, text: str, said: str):
    (folder / CONTRACT).write_bytes(text.encode("latin-1"))
    assert said in refused(folder)


def test_a_number_that_json_does_not_have_is_refused(folder: Path):
    edit(folder, lambda v: v["card"]["numbers"].append({"value": float("nan")}))
    assert "is not JSON (NaN is no number of JSON)" in refused(folder)


# The other files.


def test_swapped_weights_are_refused(folder: Path, tmp_path: Path):
    other = small_net.model_folder(tmp_path / "other", seed=1)
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    assert "weights.safetensors is not the file that model.json names" in refused(folder)


def test_swapped_weights_with_their_sum_are_caught_by_the_golden_pair(folder: Path, tmp_path: Path):
    other = small_net.model_folder(tmp_path / "other", seed=1)
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    resummed(folder)
    assert "small on torch does not give its golden logits: off by" in refused(folder)


def test_one_changed_weight_with_its_sum_is_caught_by_the_golden_pair(folder: Path):
    state = load_file(folder / WEIGHTS)
    state["dense.weight"][1, 2] += 0.01
    save_file(state, folder / WEIGHTS)
    resummed(folder)
    assert "does not give its golden logits" in refused(folder)


def test_the_weights_of_another_net_are_refused(folder: Path):
    state = load_file(folder / WEIGHTS)
    state["dense.weight"] = state["dense.weight"][:2].copy()
    del state["dense.bias"]
    save_file(state, folder / WEIGHTS)
    resummed(folder)
    said = refused(folder)
    assert "1 missing (dense.bias)" in said
    assert "dense.weight is float32 [2, 16] instead of float32 [3, 16]" in said


@pytest.mark.parametrize("name", [WEIGHTS, GOLDEN])
def test_a_flipped_bit_is_refused(folder: Path, name: str):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    assert f"{name} is not the file that model.json names" in refused(folder)


@pytest.mark.parametrize("name", [WEIGHTS, GOLDEN])
def test_a_truncated_file_with_its_sum_is_refused(folder: Path, name: str):
    (folder / name).write_bytes((folder / name).read_bytes()[:-40])
    resummed(folder)
    assert {WEIGHTS: "is not a whole safetensors file", GOLDEN: "holds no whole golden pair"}[name] in refused(folder)


@pytest.mark.parametrize("name", [WEIGHTS, GOLDEN])
def test_a_missing_file_is_refused(folder: Path, name: str):
    (folder / name).unlink()
    assert f"{name} cannot be read (No such file or directory)" in refused(folder)


def test_a_folder_without_a_contract_is_no_model(folder: Path):
    (folder / CONTRACT).unlink()
    with pytest.raises(ModelNotFoundError, match="no model is called") as caught:
        Model.from_pretrained(folder)
    assert is_one_sentence(caught.value)
    with pytest.raises(ModelError, match=r"holds no model\.json that can be read"):
        read(folder)


GOLDEN_EDITS: dict[str, tuple[Callable[[dict[str, np.ndarray], dict[str, str]], object], str]] = {
    "logits": (lambda t, _: t["logits"].__iadd__(0.01), "does not give its golden logits"),
    "features": (lambda t, _: t["features"].__iadd__(0.01), "does not give its golden features"),
    "windows": (lambda t, _: t["windows"].__iadd__(0.01), "does not give its golden prepared"),
    "signal": (lambda t, _: t["signal"].__imul__(1000), "does not give its golden prepared"),
    "swapped leads": (lambda t, _: t.update(signal=t["signal"][::-1].copy()), "does not give its golden prepared"),
    "no tolerance": (lambda _, said: said.pop("tolerance"), "holds no whole golden pair"),
    "any deviation": (lambda _, said: said.update(tolerance="inf"), "the tolerance must be positive and finite"),
    "undefined tolerance": (lambda _, said: said.update(tolerance="nan"), "the tolerance must be positive and finite"),
    "another contract": (lambda _, said: said.update(contract_sha256="0" * 64), "its golden pair was made for"),
    "no logits": (lambda t, _: t.pop("logits"), "holds no whole golden pair"),
    "not finite": (lambda t, _: t["logits"].fill(np.nan), "logits must be finite float32 of 2 axes"),
    "double": (lambda t, _: t.update(windows=t["windows"].astype(float)), "windows must be finite float32 of 3 axes"),
    "fewer outputs": (lambda t, _: t.update(logits=t["logits"][:, :2].copy()), "names 3 outputs and its golden pair"),
    "fewer windows": (lambda t, _: t.update(windows=t["windows"][:1].copy()), "is prepared to"),
    "fewer leads": (lambda t, _: t.update(signal=t["signal"][:3].copy()), "cannot be prepared"),
    "short": (lambda t, _: t.update(signal=t["signal"][:, :100].copy()), "cannot be prepared"),
}


@pytest.mark.parametrize("what", GOLDEN_EDITS)
def test_an_edited_golden_pair_with_its_sum_is_refused(folder: Path, what: str):
    tensors, said = golden_of(folder)
    change, sentence = GOLDEN_EDITS[what]
    change(tensors, said)
    save_file(tensors, folder / GOLDEN, metadata=said)
    resummed(folder)
    assert sentence in refused(folder)


def test_files_are_named_when_they_are_checked(made: Path):
    with pytest.raises(ModelError, match=r"weights.safetensors is not the file .* \(SHA-256 abc…, got [0-9a-f]{12}…\)"):
        check_files(made, {WEIGHTS: "abc"})


# Saving and finding.


def test_a_saved_model_is_the_same_model(made: Path, tmp_path: Path):
    model = Model.from_pretrained(made)
    saved = model.save(tmp_path / "deep" / "saved")
    assert saved == tmp_path / "deep" / "saved"
    assert sorted(path.name for path in saved.iterdir()) == sorted([CONTRACT, WEIGHTS, GOLDEN])
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    again = Model.from_pretrained(saved)
    assert again.sha256 == model.sha256
    assert again.contract == model.contract


def test_a_folder_that_exists_is_not_written_to(made: Path, tmp_path: Path):
    model = Model.from_pretrained(made)
    (tmp_path / "saved").mkdir()
    with pytest.raises(UsageError, match="saved exists: name a folder that does not") as caught:
        model.save(tmp_path / "saved")
    assert is_one_sentence(caught.value)
    assert list((tmp_path / "saved").iterdir()) == []


def test_a_name_that_is_not_installed_lists_those_that_are(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path))
    with pytest.raises(ModelNotFoundError, match=r"no model is called 'small' \(installed: ptacl-phantom\)") as caught:
        Model.from_pretrained("small")
    assert is_one_sentence(caught.value)
    shutil.copytree(made, tmp_path / "models" / "small")
    assert Model.from_pretrained("small").name == "small"
    with pytest.raises(ModelNotFoundError, match=r"\(installed: ptacl-phantom, small\)"):
        Model.from_pretrained("smaller")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["models", "small", CONTRACT, WEIGHTS, GOLDEN])


def test_an_installed_model_under_another_name_is_refused(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path))
    shutil.copytree(made, tmp_path / "models" / "large")
    with pytest.raises(ModelError, match="large holds the model small, not large: rename it back") as caught:
        Model.from_pretrained("large")
    assert is_one_sentence(caught.value)


def test_what_a_killed_process_left_is_removed_by_the_next(made: Path, tmp_path: Path):
    target = tmp_path / "small"
    with installed.arriving(target) as part:
        left, young = (
            part.with_name(f".small.abc{installed.ARRIVING}"),
            part.with_name(f".small.def{installed.ARRIVING}"),
        )
    for folder in (left, young, tmp_path / ".small.mine"):
        shutil.copytree(made, folder)
    for folder in (left, tmp_path / ".small.mine"):
        os.utime(folder, (0, 0))
    shutil.rmtree(target)
    installed.copy(made, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["small", ".small.mine", young.name])


def test_the_sum_of_a_model_changes_with_contract_and_weights(made: Path, tmp_path: Path):
    sums = {Model.from_pretrained(made).sha256}
    sums.add(Model.from_pretrained(small_net.model_folder(tmp_path / "weights", seed=1)).sha256)
    changed = small_net.contract().with_card(licence="MIT")
    sums.add(Model.from_pretrained(small_net.model_folder(tmp_path / "contract", changed)).sha256)
    assert len(sums) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runtime": "tensorflow"}, "the runtime must be one of torch, onnxruntime"),
        ({"precision": "int4"}, "the precision must be one of float32, bf16"),
        ({"device": "meta"}, "the device must be one of cpu, cuda, got 'meta'"),
        ({"runtime": "onnxruntime", "precision": "bf16"}, "onnxruntime works in float32 on the cpu here, got bf16"),
        ({"runtime": "onnxruntime", "device": "cuda"}, "onnxruntime works in float32 on the cpu here, got float32 on"),
    ],
)
def test_a_runtime_precision_or_device_that_is_not_there_is_a_wrong_call(
    made: Path, options: dict[str, str], said: str
):
    with pytest.raises(UsageError, match=said):
        Model.from_pretrained(made, **options)


def test_bf16_is_refused_where_the_processor_has_none(made: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cardioloom.models.runtime.has_bf16", lambda: False)
    with pytest.raises(ModelError, match="bf16 needs a processor with AVX512-BF16 or AMX") as caught:
        Model.from_pretrained(made, precision="bf16")
    assert is_one_sentence(caught.value)
