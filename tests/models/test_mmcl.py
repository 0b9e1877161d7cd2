"""Checkpoints of oetu/mae and MMCL: their own features through the contract's net, and what is no such file."""

from __future__ import annotations

import json
import pickle
import re
import sys
import types
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

import cardioloom
from ancestors import TINY, fill, hashed, stored
from cardioloom.errors import ModelError, UsageError
from cardioloom.models import Model, Task, adding, installed, mmcl, nets
from cardioloom.models import golden as goldens
from cardioloom.models.task import Output
from cardioloom.nn.ancestors import PublishedMaskedAutoencoder, PublishedViT
from cardioloom.nn.crops import CroppedEncoder, crop_starts
from cardioloom.prepare import PRESETS, prepare
from cardioloom.records import ECG
from models.sentence import is_one_sentence
from models.test_bad_checkpoints import Shell, run_here
from synthetic import ecg, write_wfdb

State = dict[str, Tensor]
WITHIN = {"rtol": 0, "atol": 2e-5}
VITS = [(f"{family}_small_open_{pool}", name) for family, name in (("vit", "vit-ecg"), ("ecgencoder", "mmcl-ecg"))
        for pool in ("cls", "global", "attention")]  # fmt: skip
SMALL: dict[str, Any] = {"img_size": (1, 12, 2500), "patch_size": (1, 500), "embed_dim": 8, "depth": 1, "num_heads": 2}


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; the sizes of the goldens and of this test are published; the converter runs in this process."""
    monkeypatch.setenv(installed.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(adding.subprocess, "run", run_here)
    monkeypatch.setitem(mmcl.SIZES, (32, 2), ("golden", 4))
    monkeypatch.setitem(mmcl.SIZES, (8, 1), ("smallest", 2))
    monkeypatch.setattr("cardioloom.models.unpickle.limit", lambda: None)
    return tmp_path


def saved(desk: Path, content: object) -> Path:
    torch.save(content, desk / "given.pth")
    return desk / "given.pth"


def added(desk: Path, name: str, content: object) -> Model:
    adding.add(name, saved(desk, content))
    return Model.from_pretrained(name)


def net_of(model: Model) -> CroppedEncoder:
    net = model.run.net  # type: ignore[attr-defined]
    assert isinstance(net, CroppedEncoder)
    return net


def small(pool: Any = "global", *, keeps_norm: bool = True, seed: int = 0) -> State:
    """A small encoder of MMCL."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = PublishedViT(**SMALL, num_classes=2, pool=pool, keeps_norm=keeps_norm).state_dict()
        return {name: value + 0.1 * torch.randn(value.shape) for name, value in state.items()}


def refused(desk: Path, name: str, content: object) -> str:
    with pytest.raises(ModelError) as caught:
        adding.add(name, saved(desk, content))
    assert is_one_sentence(caught.value), caught.value
    assert installed.added() == ()
    return str(caught.value)


# Parity with what was published.


@torch.no_grad()
def test_the_masked_autoencoder_gives_its_own_features(desk: Path, published: Path):
    golden = stored(published, "mae_small_open_io")
    model = added(desk, "mae-ecg", {"model": load_file(published / "mae_small_open.safetensors"), "epoch": 399})
    assert model.contract.config["img_size"] == [1, 12, 400]
    found = net_of(model).features(golden["x"])
    torch.testing.assert_close(found, golden["all_patches_features"][:, 1:].mean(1), **WITHIN)
    assert not any("decoder" in name or "mask" in name for name in net_of(model).state_dict())


@pytest.mark.parametrize(("golden", "name"), VITS)
@torch.no_grad()
def test_fine_tuned_and_mmcl_encoders_give_their_own_features(desk: Path, published: Path, golden: str, name: str):
    io = stored(published, f"{golden}_io")
    model = added(desk, name, {"model": load_file(published / f"{golden}.safetensors")})
    torch.testing.assert_close(net_of(model).features(io["x"]), io["features"], rtol=0, atol=1e-5)
    assert model.contract.config["pool"] == golden.rsplit("_", 1)[1]
    notes = " ".join(model.contract.card.notes)
    assert ("fc_norm is applied once" in notes) == (not golden.endswith("cls"))
    assert ("shuffles" in notes) == (name == "vit-ecg")
    assert ("stores beside fc_norm and never applies" in notes) == (name == "mmcl-ecg" and not golden.endswith("cls"))
    assert ("positions were learned" in notes) == (name == "mmcl-ecg")


@torch.no_grad()
def test_the_official_tiny_sizes_from_their_training_files(desk: Path, published: Path):
    """As Lightning and as oetu/mae write them; the width and layers alone say that there are six heads."""
    recipe = json.loads((published / "full_tiny_recipe_open.json").read_text())
    golden = stored(published, "full_tiny_recipe_open")
    x = torch.from_numpy(3**0.5 * (2 * hashed(3000, 60000) - 1)).to(torch.float32).reshape(2, 1, 12, 2500)
    encoder = PublishedViT(**TINY, num_classes=2, pool="attention", keeps_norm=True)
    fill(encoder, recipe["ecgencoder"]["keys"], recipe["ecgencoder"]["key_offset"])
    beside = {"encoder_imaging.0.weight": torch.ones(2, 2), "projection_head_ecg.layers.0.weight": torch.ones(3, 3)}
    state = {f"encoder_ecg.{name}": value for name, value in encoder.state_dict().items()}
    model = added(desk, "mmcl-ecg", {"state_dict": state | beside, "pytorch-lightning_version": "1.6.4"})
    assert model.contract.card.title == "ECG encoder of MMCL, tiny"
    expected = golden["ecgencoder_attention_pool_features"]
    torch.testing.assert_close(net_of(model).features(x), expected, rtol=0, atol=1e-4)
    net = PublishedMaskedAutoencoder(**TINY, decoder_embed_dim=256, decoder_depth=2, decoder_num_heads=8)
    fill(net, recipe["mae"]["keys"], recipe["mae"]["key_offset"])
    args = Namespace(input_size=(1, 12, 2500), lr=1e-4)
    model = added(desk, "mae-ecg", {"model": net.state_dict(), "args": args, "epoch": 399})
    expected = golden["mae_all_patches_cls_and_mean"][:, 1]
    torch.testing.assert_close(net_of(model).features(x), expected, rtol=0, atol=1e-4)


def test_the_preparation_gives_the_published_input(shared: Path, published: Path):
    """Of the first five seconds alone, as it was stored; ten are prepared together and then cropped."""
    with np.load(published / "preprocessing_A1980_open.npz") as file:
        golden = dict(file)
    config = mmcl.contract("mmcl-ecg").preparation
    assert config == PRESETS["mmcl"]
    values = golden["x"][None]
    for step in config.steps:
        values = step.run(values, config.fs)
    np.testing.assert_allclose(values[0], golden["processed"], rtol=0, atol=1e-5)


# The window of ten seconds.


@given(size=st.integers(1, 60), extra=st.integers(0, 200))
def test_crops_cover_the_window_and_no_fewer_would(size: int, extra: int):
    n_samples = size + extra
    starts = crop_starts(n_samples, size)
    assert starts[0] == 0
    assert starts[-1] == n_samples - size
    assert all(0 < b - a <= size for a, b in pairwise(starts))
    assert (len(starts) - 1) * size < n_samples <= len(starts) * size
    assert crop_starts(5000, 2500) == (0, 2500)
    with pytest.raises(UsageError, match=f"must lie in its window of {size - 1} samples, got {size}"):
        crop_starts(size - 1, size)


def test_features_are_the_mean_of_both_halves(desk: Path, shared: Path):
    model = added(desk, "mmcl-ecg", small())
    record = cardioloom.load(shared / "data" / "ecg" / "cpsc2018_struct" / "A1980.mat")
    assert isinstance(record, ECG)
    windows = torch.from_numpy(prepare(record, model.contract.preparation).windows)
    plain = PublishedViT(**SMALL, num_classes=2, pool="global", keeps_norm=True)
    plain.load_state_dict(small())
    with torch.no_grad():
        halves = [plain.features(windows[:, None, :, start : start + 2500]) for start in (0, 2500)]
    expected = ((halves[0] + halves[1]) / 2).mean(0)
    assert (halves[0] - halves[1]).abs().max() > 1e-3
    np.testing.assert_allclose(model.embed(record), expected, rtol=0, atol=1e-5)


# Features alone.


def test_a_model_of_features_says_so_and_nothing_else(desk: Path):
    model = added(desk, "mmcl-ecg", small())
    record = ecg(fs=500.0, seconds=10)
    said = model.predict(record)
    assert (said.findings, said.estimates, said.abstained) == ((), (), None)
    assert said.probabilities.shape == (1, 0)
    assert [why.what for why in said.unsaid] == ["mmcl-ecg"]
    assert "features of the ECG alone" in said.unsaid[0].why
    np.testing.assert_array_equal(said.features, model.embed(record))
    read = cardioloom.read(write_wfdb(desk / "a.hea", record), model=["mmcl-ecg"])
    assert isinstance(read, cardioloom.Report)
    assert "mmcl-ecg" in [why.what for why in read.abstained]
    assert not any(finding.source == "mmcl-ecg" for finding in read.findings)


def test_it_is_exported_and_gives_the_same(desk: Path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = added(desk, "mmcl-ecg", small("attention"))
    other = Model.from_pretrained("mmcl-ecg", runtime="onnxruntime")
    x = np.random.default_rng(0).standard_normal((3, 12, 5000)).astype(np.float32)
    for n in (1, 3):
        (none, found), (_, expected) = other.run(x[:n]), model.run(x[:n])
        assert none.shape == (n, 0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    examined = cardioloom.doctor()["models"]
    assert isinstance(examined, list)
    own = [(row["runtime"], row["healthy"]) for row in examined if row["name"] == "mmcl-ecg"]
    assert own == [("torch", True), ("onnxruntime", True)]


def test_in_bfloat16_features_set_the_tolerance_where_there_is_no_output(desk: Path):
    model = added(desk, "mmcl-ecg", small())
    kept = goldens.read(model.folder)
    largest = float(np.abs(kept.features).max())

    class Off:
        name, precision = "torch", "bf16"

        def __init__(self, by: float):
            self.by = by

        def __call__(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return kept.logits, kept.features + np.float32(self.by * largest)

    assert goldens.replay(kept, model.contract, Off(0.05))["features"] == pytest.approx(0.05 * largest, rel=1e-3)
    with pytest.raises(ModelError, match="does not give its golden features"):
        goldens.replay(kept, model.contract, Off(0.2))


def test_a_task_of_features_has_no_outputs_and_another_has_some():
    task = Task("embedding", ())
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task
    assert task.values(np.empty((3, 0))).shape == (3, 0)
    with pytest.raises(ModelError, match="a task that gives features alone has no outputs, got 1"):
        Task("embedding", (Output("a", "A", "rhythm"),))
    for kind in ("multi_label", "regression"):
        with pytest.raises(ModelError, match="needs outputs whose codes differ, got 0"):
            Task(kind, ())


# Layouts.


@pytest.mark.parametrize("prefix", ["", "module.", "encoder_ecg.", "model.encoder."])
@pytest.mark.parametrize("wrapper", ["", "state_dict", "model"])
def test_every_wrapper_and_prefix_gives_the_same_weights(desk: Path, prefix: str, wrapper: str):
    state = {f"{prefix}{name}": value for name, value in small().items()}
    model = added(desk, "mmcl-ecg", {wrapper: state} if wrapper else state)
    own = net_of(model).encoder.state_dict()
    assert set(small()) - set(own) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert all(torch.equal(value, small()[name]) for name, value in own.items())
    assert model.contract.config == dict(mmcl.contract("mmcl-ecg").config) | {
        "patch_size": [1, 500], "embed_dim": 8, "depth": 1, "num_heads": 2
    }  # fmt: skip


def test_an_exported_encoder_gets_a_norm_without_weights(desk: Path):
    """MMCL's own export drops head and fc_norm."""
    state = {name: value for name, value in small().items() if not name.startswith(("head.", "fc_norm."))}
    net = net_of(added(desk, "mmcl-ecg", {"model": state}))
    x = torch.arange(30000.0).cos().reshape(1, 1, 12, 2500)
    with torch.no_grad():
        pooled = net.encoder.tokens(x)[:, 1:].mean(1)
        expected = (pooled - pooled.mean(-1, keepdim=True)) / (pooled.var(-1, correction=0, keepdim=True) + 1e-6).sqrt()
        torch.testing.assert_close(net.features(x), expected)
    assert "a norm without weights stands in" in " ".join(Model.from_pretrained("mmcl-ecg").contract.card.notes)
    net = net_of(added(desk, "mae-ecg", {"model": state}))  # the same tensors are a masked autoencoder's encoder, too
    with torch.no_grad():
        torch.testing.assert_close(net.features(x), net.encoder.norm(net.encoder.tokens(x))[:, 1:].mean(1))


@pytest.mark.parametrize(
    ("name", "pool", "keeps_norm", "said"),
    [
        ("mae-ecg", "global", True, "fc_norm that keeps its last norm, not mae-ecg: add it as mmcl-ecg"),
        ("mae-ecg", "cls", True, "a head on its class token, not mae-ecg: add it as vit-ecg or mmcl-ecg"),
        ("vit-ecg", "attention", True, "keeps its last norm, not vit-ecg: add it as mmcl-ecg"),
        ("mmcl-ecg", "global", False, "without its last norm, not mmcl-ecg: add it as vit-ecg"),
    ],
)
def test_another_names_layout_is_refused_with_the_name(desk: Path, name: str, pool: str, keeps_norm: bool, said: str):
    assert said in refused(desk, name, small(pool, keeps_norm=keeps_norm))


def test_settings_stored_beside_the_weights_are_passed_over(desk: Path, monkeypatch: pytest.MonkeyPatch):
    """OmegaConf's classes under their names, of modules that are gone when the file is read."""
    made = {}
    with monkeypatch.context() as there:
        there.setitem(sys.modules, "omegaconf", types.ModuleType("omegaconf"))
        for path in ("omegaconf.dictconfig.DictConfig", "omegaconf.base.ContainerMetadata", "omegaconf.nodes.AnyNode"):
            module, kind = path.rsplit(".", 1)
            made[kind] = type(kind, (), {"__module__": module})
            fake = types.ModuleType(module)
            setattr(fake, kind, made[kind])
            there.setitem(sys.modules, module, fake)
        settings = made["DictConfig"]()
        settings.__dict__ |= {"_metadata": made["ContainerMetadata"](), "_content": {"lr": made["AnyNode"]()}}
        content = {"state_dict": small(), "hyper_parameters": settings, "hparams_type": made["DictConfig"]}
        path = saved(desk, content | {"notes": defaultdict(dict), "kinds": [int, dict, Any]})
    assert "omegaconf.dictconfig" not in sys.modules
    adding.add("mmcl-ecg", path)
    assert installed.added() == ("mmcl-ecg",)


def test_settings_that_hold_paths_are_passed_over(desk: Path):
    paths = Namespace(data=Path("/nowhere"), out=PureWindowsPath("x"), lrs=defaultdict(list, {"a": [1.0]}))
    added(desk, "mmcl-ecg", {"model": small(), "args": paths, "counts": defaultdict(int, {"steps": 3})})
    assert installed.added() == ("mmcl-ecg",)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"state_dict": {"model": state}},
        lambda state: {"model": {"state_dict": {"model": state}, "epoch": 3}},
        lambda state: defaultdict(list, state),
        lambda state: {"model": defaultdict(list, state), "epoch": 3},
    ],
    ids=["model of state", "state of model", "three deep", "defaultdict", "wrapped defaultdict"],
)
def test_wrappers_within_each_other_give_the_same_weights(desk: Path, wrapped: Callable[[State], object]):
    own = net_of(added(desk, "mmcl-ecg", wrapped(small()))).encoder.state_dict()
    assert all(torch.equal(value, small()[name]) for name, value in own.items())


# What is no such checkpoint.


def without(*names: str) -> State:
    return {name: value for name, value in small().items() if name not in names}


def longer(samples: int) -> State:
    state = small()
    return state | {"pos_embed": torch.randn(1, 1 + 12 * samples // 500, 8)}


REFUSED: dict[str, tuple[object, str]] = {
    "another net": ({"conv.weight": torch.ones(2, 1, 3)}, "holds no patch_embed.proj.weight: it is no encoder"),
    "two encoders": (
        {f"{side}.{name}": value for side in ("online", "target") for name, value in small().items()},
        r"holds 2 encoders \('online.', 'target.'\): save the one that is wanted alone",
    ),
    "no positions": (without("pos_embed"), "lacks pos_embed of this family's encoders"),
    "flat positions": (small() | {"pos_embed": torch.ones(61, 8)}, "has 0 positions, which is no ECG of 12 leads"),
    "no table": (small() | {"pos_embed": torch.ones(0, 61, 8)}, "has 0 positions, which is no ECG"),
    "whole positions": (small() | {"pos_embed": torch.ones(1, 61, 8, dtype=torch.int64)}, "has 0 positions"),
    "pictures": (
        small() | {"patch_embed.proj.weight": torch.ones(8, 3, 16, 16)},
        "takes 3 channels in patches of 16 × 16 and has 60 positions, which is no ECG of 12 leads",
    ),
    "eight leads": (small() | {"pos_embed": torch.randn(1, 41, 8)}, "has 40 positions, which is no ECG of 12 leads"),
    "other rows": (
        small() | {"pos_embed": PublishedViT(
            **dict(SMALL, img_size=(1, 6, 5000)), num_classes=1, pool="cls").state_dict()["pos_embed"]},
        "has positions for 6 rows of patches instead of 12: it takes other leads",
    ),
    "too long": (longer(5500), "takes 5500 samples at once, mmcl prepares 5000: use an encoder of shorter crops"),
    "a missing layer": (without("blocks.0.mlp.fc1.weight"), r"1 missing \(encoder.blocks.0.mlp.fc1.weight\)"),
    "an unknown part": (small() | {"blocks.0.ls1.gamma": torch.ones(8)}, r"1 unknown \(encoder.blocks.0.ls1.gamma\)"),
    "another shape": (
        small() | {"blocks.0.mlp.fc1.weight": torch.ones(16, 8)},
        r"encoder.blocks.0.mlp.fc1.weight is float32 \[16, 8\] instead of float32 \[32, 8\]",
    ),
    "half numbers": (
        {name: value.half() for name, value in small().items()}, "encoder.cls_token is float16",
    ),
    "not finite": (small() | {"cls_token": torch.full((1, 1, 8), np.nan)}, "cls_token holds values that are not"),
    "settings alone": ({"args": Namespace(lr=1.0)}, "found stored settings under 'args'"),
    "settings as a weight": ({"model": {"a": Namespace(lr=1.0)}}, "named tensors alone, found stored settings"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(desk: Path, case: str):
    content, said = REFUSED[case]
    assert re.search(said, refused(desk, "mmcl-ecg", content))


def test_a_size_without_known_heads_is_refused_with_what_was_found(desk: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(mmcl.SIZES, (8, 1))
    said = refused(desk, "mmcl-ecg", small())
    assert "is 8 wide with 1 layers, a size whose number of heads is not published: use one of 384 wide with 3" in said
    assert all(width % heads == 0 for (width, _), (_, heads) in mmcl.SIZES.items())


def test_two_channels_of_six_leads_are_no_ecg_of_twelve(desk: Path, published: Path):
    state = load_file(published / "mae_small_multirow_open.safetensors")
    assert "takes 2 channels in patches of 3 × 40" in refused(desk, "mae-ecg", {"model": state})


@pytest.mark.parametrize("kind", ["zip", "legacy", "protocol 2"])
def test_code_in_a_checkpoint_does_not_run(desk: Path, kind: str):
    mark = desk / "executed"
    path = desk / "given.pth"
    if kind.startswith("protocol"):
        path.write_bytes(pickle.dumps({"model": small(), "args": Shell(mark)}, protocol=2))
    else:
        content = {"model": small(), "args": Namespace(lr=Shell(mark))}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(ModelError, match="is refused: ") as caught:
        adding.add("mae-ecg", path)
    assert is_one_sentence(caught.value)
    assert not mark.exists()
    assert installed.added() == ()


def test_safetensors_are_taken_too(desk: Path):
    save_file(small(), desk / "given.safetensors")
    adding.add("mmcl-ecg", desk / "given.safetensors")
    assert installed.added() == ("mmcl-ecg",)


def test_a_folder_whose_configuration_cannot_be_is_refused(desk: Path):
    config = dict(added(desk, "mmcl-ecg", small()).contract.config)
    for change, said in (
        ({"pool": "max"}, "pool must be one of cls, global, attention, normed, got 'max'"),
        ({"num_heads": 3}, "got 3 heads for 8"),
        ({"img_size": [1, 12]}, "not enough values to unpack"),
        ({"mlp": 3}, "unexpected keyword argument 'mlp'"),
        ({"num_heads": 0}, "cannot be"),
        ({"embed_dim": -8}, "cannot be"),
        ({"patch_size": [1, 0]}, "cannot be"),
        ({"img_size": [2, 12, 2500]}, r"one channel of leads, got img_size \[2, 12, 2500\]"),
        ({"img_size": {"a": 1, "b": 2, "c": 3}}, "one channel of leads"),
        ({"depth": "many"}, "cannot be"),
    ):
        with pytest.raises(ModelError, match=said) as caught:
            nets.skeleton("CroppedEncoder", config | change)
        assert is_one_sentence(caught.value)


@pytest.mark.parametrize("net", [*nets.NETS])
def test_an_empty_configuration_is_refused(net: str):
    with pytest.raises(ModelError, match=f"the configuration of {net} cannot be"):
        nets.skeleton(net, {})
