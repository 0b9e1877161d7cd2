"""The model folder: what weights are, what they take and what they give, in files that vouch for each other.

    model.json            schema, class, config, preparation, task, card, and the SHA-256 of the two other files
    weights.safetensors   the parameters, in the order and under the names of the released checkpoint
    golden.safetensors    a record, what it becomes when prepared, and what the model must give; in its metadata the
                          tolerances and the SHA-256 of the contract (model.json without the sums)

An edited contract, other weights or another golden pair do not fit together any more and are refused. That finds
accidents; it is no signature, and someone who means harm can write three new files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardioloom.errors import ModelError, UsageError
from cardioloom.models.cards import Card
from cardioloom.models.task import Task
from cardioloom.prepare import Preparation

SCHEMA = "cardioloom.model/1"
CONTRACT, WEIGHTS, GOLDEN = "model.json", "weights.safetensors", "golden.safetensors"
MAX_CONTRACT_BYTES = 4 << 20
KEYS = ("schema", "name", "class", "config", "preparation", "task", "card", "sha256")


@dataclass(frozen=True)
class Contract:
    """Everything a caller must know of weights.

    Args:
        name: of the model.
        net: class of the net, a key of `nets.NETS`.
        config: keyword arguments of the net.
        preparation: record → array.
        task: the outputs.
        card: origin and limits.
    """

    name: str
    net: str
    config: Mapping[str, Any]
    preparation: Preparation
    task: Task
    card: Card

    def to_json(self) -> dict[str, Any]:
        """The contract as plain values, without the sums of the files."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "class": self.net,
            "config": dict(self.config),
            "preparation": self.preparation.to_json(),
            "task": self.task.to_json(),
            "card": self.card.to_json(),
        }

    def canonical(self) -> str:
        """The contract as JSON with sorted keys and no spaces: the text that `sha256` sums."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def sha256(self) -> str:
        """Sum over `canonical`."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def with_card(self, **changes: Any) -> Contract:
        """The same contract with values of its card changed."""
        return replace(self, card=replace(self.card, **changes))


def write(contract: Contract, folder: Path) -> None:
    """Write ``model.json`` beside the weights and the golden pair that lie in the folder already."""
    sums = {name: file_sha256(folder / name) for name in (WEIGHTS, GOLDEN)}
    text = json.dumps(contract.to_json() | {"sha256": sums}, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / CONTRACT).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> tuple[Contract, Mapping[str, str]]:
    """The contract of a folder and the sums that it states; the files themselves are not looked at yet.

    Raises:
        ModelError: if ``model.json`` is absent, not JSON, of another schema, or holds what cannot be.
    """
    path = folder / CONTRACT
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONTRACT_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{folder} holds no {CONTRACT} that can be read: name a model folder") from error
    if len(text) > MAX_CONTRACT_BYTES:
        raise ModelError(f"{path} is larger than {MAX_CONTRACT_BYTES >> 20} MB: get the folder again")
    try:
        values = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not JSON ({error}): get the folder again") from error
    schema = values.get("schema") if isinstance(values, Mapping) else None
    if schema != SCHEMA:
        raise ModelError(f"{path} must be of schema {SCHEMA}, got {schema!r}: use a version of cardioloom that fits")
    if set(values) != set(KEYS):
        raise ModelError(f"{path} must hold exactly {', '.join(KEYS)}, got {', '.join(values)}: get the folder again")
    try:
        for key in ("config", "preparation", "sha256"):
            if not isinstance(values[key], Mapping):
                raise ValueError(f"{key} must be an object, got {type(values[key]).__name__}")
        sums = dict(values["sha256"])
        if set(sums) != {WEIGHTS, GOLDEN}:
            raise ValueError(f"sha256 must be of {WEIGHTS} and {GOLDEN}, got {', '.join(map(str, sums)) or 'none'}")
        contract = Contract(
            name=str(values["name"]),
            net=str(values["class"]),
            config=dict(values["config"]),
            preparation=Preparation.from_json(values["preparation"]),
            task=Task.from_json(values["task"]),
            card=Card.from_json(values["card"]),
        )
        contract.sha256()
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except (UsageError, TypeError, ValueError, KeyError) as error:
        raise ModelError(f"{path} holds what cannot be ({error}): get the folder again") from error
    return contract, {name: str(value) for name, value in sums.items()}


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def check_files(folder: Path, stated: Mapping[str, str]) -> None:
    """Refuse a folder whose weights or golden pair are not those of its contract.

    Raises:
        ModelError: naming the file.
    """
    for name, expected in stated.items():
        try:
            found = file_sha256(folder / name)
        except OSError as error:
            raise ModelError(f"{folder / name} cannot be read ({error.strerror}): get the folder again") from error
        if found != expected:
            raise ModelError(
                f"{folder / name} is not the file that {CONTRACT} names (SHA-256 {expected[:12]}…, got {found[:12]}…): "
                "get the folder again"
            )


def identity(contract: Contract, sums: Mapping[str, str]) -> str:
    """One sum over contract and weights."""
    return hashlib.sha256(f"{contract.sha256()}{sums[WEIGHTS]}".encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
