"""What runs a net: torch, or onnxruntime where it is asked for. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import ModelError, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]
PRECISIONS = ("float32", "bf16")
RUNTIMES = ("torch", "onnxruntime")
DEVICES = ("cpu", "cuda")  # the latter also with a number: cuda:1


class Runner(Protocol):
    """Runs the net of one model."""

    name: str
    precision: str

    def __call__(self, windows: NDArray[np.float32]) -> Outputs:
        """(window, lead, time) → logits (window, output), features (window, feature)."""
        ...


class TorchRunner:
    """A net in torch, without gradients.

    Args:
        net: as `nets.load` gives it.
        precision: "float32", or "bf16" on a processor that has instructions for it.
        device: "cpu", "cuda" or "cuda:0" … .

    Raises:
        UsageError: if the device or the precision is unknown.
        ModelError: if the device or the precision is not to be had on this machine.
    """

    name = "torch"

    def __init__(self, net: nn.Module, precision: str = "float32", device: str = "cpu"):
        if precision not in PRECISIONS:
            raise UsageError(f"the precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        if precision == "bf16" and device == "cpu" and not has_bf16():
            raise ModelError(
                "bf16 needs a processor with AVX512-BF16 or AMX, and this one has neither: it would be tens of times "
                "slower than float32, so use that"
            )
        if device.partition(":")[0] not in DEVICES:
            raise UsageError(f"the device must be one of {', '.join(DEVICES)}, got {device!r}")
        self.net, self.precision, self.device = _placed(net, device), precision, device
        self._run = _function(self.net, precision, device)

    def __call__(self, windows: NDArray[np.float32]) -> Outputs:
        """(window, lead, time) → logits (window, output), features (window, feature), float32."""
        import torch

        with torch.inference_mode():
            logits, features = self._run(torch.from_numpy(windows).to(self.device))
        return logits.float().cpu().numpy(), features.float().cpu().numpy()

    def exact(self, windows: NDArray[np.float32]) -> Outputs:
        """The same in float64, slowly."""
        import copy

        import torch

        with torch.inference_mode():
            logits, features = copy.deepcopy(self.net).double()(torch.from_numpy(windows).double().to(self.device))
        return logits.cpu().numpy(), features.cpu().numpy()


def _function(net: nn.Module, precision: str, device: str) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The quickest form of a net for a device and a precision."""
    import torch

    from cardioloom.nn.conv import Net1D
    from cardioloom.nn.packed import pack

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    if isinstance(net, Net1D) and device == "cpu":
        return pack(net, dtype)
    if dtype == torch.float32:
        return net

    def in_bf16(x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(device.partition(":")[0], dtype):
            return net(x)

    return in_bf16


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware."""
    import torch

    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe is not None and probe() for probe in asked)


def _placed(net: nn.Module, device: str) -> nn.Module:
    import torch

    try:
        return net.to(device)
    except (RuntimeError, AssertionError) as error:
        found = "cuda" if torch.cuda.is_available() else "cpu"
        raise ModelError(f"the device {device!r} is not to be had here: use {found}") from error
