"""The machine a training runs on: one processor, cards, several machines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cardioloom.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.strategy import Strategy

CHOICES = {
    "accelerator": ("auto", "cpu", "cuda"),
    "strategy": ("auto", "ddp", "fsdp"),
    "precision": ("float32", "bf16"),
}
_PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}


@dataclass(frozen=True)
class Machine:
    """What to train on.

    Args:
        accelerator: "cpu", "cuda", or "auto" = a card where there is one.
        devices: processes, or cards, on this machine.
        strategy: "ddp" (every device holds the net), "fsdp" (they share it; cards only, and so far only one, see
            docs/training.md), "auto" = ddp for several.
        precision: "float32" or "bf16" (the weights stay float32).
        nodes: machines; `torchrun` starts one process a device on each.

    Raises:
        UsageError: naming the value that is unknown.
    """

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "float32"
    nodes: int = 1

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"the {name} must be one of {', '.join(known)}, got {value!r}")
        for name in ("devices", "nodes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.strategy == "fsdp" and self.devices * self.nodes > 1:
            # The model, the averaged weights and the probe read whole weights, of which each card then has a part.
            raise UsageError(f"fsdp takes one card as yet, got {self.devices * self.nodes}: use --strategy ddp")

    def start(self) -> Fabric:
        """A launched Fabric; with several devices each of them runs the same program from here on.

        Raises:
            MissingExtraError: if lightning-fabric is not installed.
            UsageError: if the cards are not there, torchrun started another number of processes, or bf16 would be
                slow.
        """
        try:
            from lightning_fabric import Fabric
        except ImportError as error:
            raise MissingExtraError(
                f"training needs the package {error.name}, which is not installed: "
                "pip install 'cardioloom[train,models]'"
            ) from error
        import torch

        started = int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else None
        if started is not None and started != self.devices * self.nodes:
            raise UsageError(
                f"torchrun started {started} processes, got {self.devices} devices on {self.nodes} nodes: "
                "let --devices times --nodes be that many"
            )
        has_card = torch.cuda.is_available()
        if (self.accelerator == "cuda" or self.strategy == "fsdp") and not has_card:
            raise UsageError("no CUDA card is to be had here: use --accelerator cpu, without fsdp")
        is_on_cpu = self.accelerator == "cpu" or not has_card
        if not is_on_cpu and self.devices > torch.cuda.device_count():
            raise UsageError(
                f"this machine has {torch.cuda.device_count()} cards, got {self.devices} devices: use fewer"
            )
        if is_on_cpu and self.precision == "bf16":
            from cardioloom.models.runtime import has_bf16

            if not has_bf16():
                raise UsageError(
                    "bf16 needs a card, or a processor with AVX512-BF16 or AMX, and this one has neither: use float32"
                )
        fabric = Fabric(
            accelerator="cpu" if is_on_cpu else "cuda",
            devices=self.devices,
            strategy=_strategy(self.strategy),
            precision=_PRECISIONS[self.precision],  # pyright: ignore[reportArgumentType]
            num_nodes=self.nodes,
        )
        fabric.launch()
        return fabric


def _strategy(name: str) -> str | Strategy:
    """What Fabric takes for a strategy; of a net that is shared between cards a checkpoint is still one file."""
    if name != "fsdp":
        return name
    from lightning_fabric.strategies.fsdp import FSDPStrategy

    return FSDPStrategy(state_dict_type="full")
