"""An official checkpoint → a model folder: once, in a process with limits, or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from cardioloom.errors import ModelError, UsageError
from cardioloom.models import contract as folders
from cardioloom.models import ecgfounder, golden, installed, mmcl, nets
from cardioloom.models.contract import WEIGHTS, Contract, file_sha256
from cardioloom.models.runtime import TorchRunner

MAX_SECONDS = 600
MAX_CHECKPOINT_BYTES = 2 << 30
# Name → its contract; a system adds its names here.
KNOWN = dict.fromkeys(ecgfounder.CHECKPOINTS, ecgfounder.contract) | dict.fromkeys(mmcl.NAMES, mmcl.contract)
# Name → what reads the net's configuration off the tensors, for systems of several sizes and layouts.
FITTED = dict.fromkeys(mmcl.NAMES, mmcl.fitted)


def known(name: str) -> Contract:
    """The contract that this version has for a name.

    Raises:
        UsageError: if it has none.
    """
    if name not in KNOWN:
        raise UsageError(f"no model is called {name!r}: use one of {', '.join(KNOWN)}")
    return KNOWN[name](name)


def add(name: str, file: Path, *, sha256: str | None = None, revision: str | None = None) -> Path:
    """Convert an official checkpoint into the folder of an installed model.

    Args:
        name: one of `KNOWN`.
        file: ``.pth`` (bare state, or under ``state_dict`` or ``model``, with or without ``module.``) or
            ``.safetensors``.
        sha256: that the file must have, where the caller knows it.
        revision: of the source it was fetched from.

    Returns:
        the model folder.

    Raises:
        UsageError: if the name is unknown.
        ModelError: if the file is another net's, damaged, or holds more than weights; nothing is written then.
    """
    nets.need_torch()
    contract = known(name)
    found = _sum(file)
    if sha256 is not None and found != sha256.lower():
        raise ModelError(f"{file.name} must have SHA-256 {sha256}, got {found}: fetch it again")
    contract = contract.with_card(sha256=found, revision=revision)
    target = installed.models() / name
    with TemporaryDirectory(prefix="cardioloom-") as desk:
        weights = Path(desk) / WEIGHTS
        _unpickle(file, weights)
        if name in FITTED:
            contract = _fit(contract, weights, file.name)
        _check(contract, weights, file.name)
        with installed.arriving(target) as part:
            build(contract, weights, part)
    return target


def build(contract: Contract, weights: Path, folder: Path) -> None:
    """Fill an empty folder: weights, golden pair, contract."""
    copyfile(weights, folder / WEIGHTS)
    net = nets.load(contract.net, contract.config, folder / WEIGHTS)
    golden.write(golden.make(contract, TorchRunner(net)), folder)
    folders.write(contract, folder)


def _sum(file: Path) -> str:
    try:
        if file.exists() and not file.is_file():  # a folder; or a device, which may never end
            raise ModelError(f"{file} is no file: name a checkpoint file")
        if file.stat().st_size > MAX_CHECKPOINT_BYTES:
            raise ModelError(f"{file.name} is larger than {MAX_CHECKPOINT_BYTES >> 30} GB: name a checkpoint")
        return file_sha256(file)
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}): name a checkpoint file") from error


def _unpickle(file: Path, weights: Path) -> None:
    # -P: no module is taken from the folder that this happens to be called in
    command = [sys.executable, "-P", "-m", "cardioloom.models.unpickle", str(file.resolve()), str(weights)]
    try:
        done = subprocess.run(  # noqa: S603 (our own module, no shell)
            command, capture_output=True, text=True, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{file.name} was not read within {MAX_SECONDS} s: it is no checkpoint of this net") from error
    if done.returncode == 0:
        return
    try:
        why = json.loads(done.stdout.splitlines()[-1])["error"]
    except (IndexError, ValueError, KeyError, TypeError):
        why = f"reading it ended with code {done.returncode}, as when a limit on memory or time is passed"
    raise ModelError(f"{file.name} is refused: {why}; nothing was written, get the file from its authors again")


def _fit(contract: Contract, weights: Path, what: str) -> Contract:
    """The contract of the net that is in the file; the file is left with that net's tensors alone."""
    from safetensors.torch import load_file, save_file

    contract, state = FITTED[contract.name](contract, load_file(weights), what)
    part = weights.with_suffix(".part")  # the tensors are views of the file that it replaces
    save_file(state, part)
    part.replace(weights)
    return contract


def _check(contract: Contract, weights: Path, what: str) -> None:
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        found = {}
        for name in file.keys():  # noqa: SIM118 (no mapping)
            tensor = file.get_tensor(name)
            found[name] = (tuple(tensor.shape), str(tensor.dtype))
    nets.check_state(nets.skeleton(contract.net, contract.config), found, what)
