"""What a training runs on: refused in a sentence where it is not to be had."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch

from cardioloom.errors import MissingExtraError, UsageError
from cardioloom.models import runtime
from cardioloom.recipes.machine import Machine


@pytest.mark.parametrize(
    ("name", "value"),
    [("accelerator", "tpu"), ("strategy", "deepspeed"), ("precision", "float16")],
)
def test_an_unknown_word_lists_the_known_ones(name: str, value: str):
    with pytest.raises(UsageError, match=f"the {name} must be one of .*, got '{value}'"):
        Machine(**{name: value})


@pytest.mark.parametrize("name", ["devices", "nodes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", True])
def test_numbers_must_be_whole(name: str, value: Any):
    with pytest.raises(UsageError, match=f"{name} must be a whole number of at least 1"):
        Machine(**{name: value})


def test_a_processor_is_one_process():
    fabric = Machine(accelerator="cpu").start()
    assert (fabric.device.type, fabric.world_size, fabric.global_rank) == ("cpu", 1, 0)


@pytest.mark.parametrize("asked", [{"accelerator": "cuda"}, {"strategy": "fsdp"}])
def test_a_card_that_is_not_there(asked: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA card is to be had here: use --accelerator cpu"):
        Machine(**asked).start()


def test_more_cards_than_there_are(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="this machine has 1 cards, got 2 devices: use fewer"):
        Machine(accelerator="cuda", devices=2).start()


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_on_a_processor_without_it_is_refused(has_bf16: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime, "has_bf16", lambda: has_bf16)
    machine = Machine(accelerator="cpu", precision="bf16")
    if has_bf16:
        assert machine.start().device.type == "cpu"
        return
    with pytest.raises(UsageError, match=r"bf16 needs a card, or a processor with AVX512-BF16 or AMX.*: use float32"):
        machine.start()


def test_processes_of_torchrun_must_be_what_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    """Two processes that each take themselves for the only one would write the same folder."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="torchrun started 4 processes, got 2 devices on 1 nodes"):
        Machine(accelerator="cpu", devices=2).start()


def test_without_fabric_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def refuse(name: str, *args: Any, **options: Any) -> Any:
        if name == "lightning_fabric":
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"lightning_fabric, which is not installed: pip install 'cardioloom\["):
        Machine(accelerator="cpu").start()


def test_a_net_shared_by_several_cards_is_refused():
    with pytest.raises(UsageError, match="fsdp takes one card as yet, got 4: use --strategy ddp"):
        Machine(strategy="fsdp", devices=2, nodes=2)
