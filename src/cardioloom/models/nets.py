"""The nets a contract can name, and a net with its weights from a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from torch import nn


def _net1d(config: Mapping[str, Any]) -> nn.Module:
    from cardioloom.nn.conv import Net1D

    return Net1D(**config)


def _cropped_encoder(config: Mapping[str, Any]) -> nn.Module:
    from cardioloom.nn.crops import CroppedEncoder

    return CroppedEncoder(**config)


def _readout(config: Mapping[str, Any]) -> nn.Module:
    from cardioloom.nn.readout import Readout

    return Readout.of(config)


NETS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "Net1D": _net1d,
    "CroppedEncoder": _cropped_encoder,
    "Readout": _readout,
}
# What a class raises that gets numbers which cannot be: no layer is made for 0 heads, -1 channels or a text.
UNFIT = (TypeError, ValueError, ArithmeticError, RuntimeError, LookupError, AttributeError)


def need_torch() -> None:
    """Raise MissingExtraError where the packages that models need are not installed."""
    try:
        import safetensors
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"models need the package {error.name}, which is not installed: pip install 'cardioloom[models]'"
        ) from error
    del safetensors, torch


def skeleton(net: str, config: Mapping[str, Any]) -> nn.Module:
    """A net without memory for its weights.

    Raises:
        ModelError: if the class is unknown or its configuration cannot be.
    """
    need_torch()
    import torch

    if net not in NETS:
        raise ModelError(f"the class of a net must be one of {', '.join(NETS)}, got {net!r}: use a newer cardioloom")
    try:
        with torch.device("meta"):
            return NETS[net](config).eval()
    except UNFIT as error:
        why = (str(error) or type(error).__name__).split("\n", 1)[0]
        raise ModelError(f"the configuration of {net} cannot be ({why}): get the folder again") from error


def load(net: str, config: Mapping[str, Any], weights: Path) -> nn.Module:
    """A net whose parameters are views of the file, mapped into memory.

    Raises:
        ModelError: if names, shapes or types are not exactly the net's.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    module = skeleton(net, config)
    try:
        state = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights} is not a whole safetensors file ({error}): get the folder again") from error
    check_state(module, {name: (tuple(t.shape), str(t.dtype)) for name, t in state.items()}, weights.name)
    module.load_state_dict(state, strict=True, assign=True)
    return module.requires_grad_(False)


def check_state(module: nn.Module, found: Mapping[str, tuple[tuple[int, ...], str]], what: str) -> None:
    """Refuse a state whose names, shapes or types are not those of a net.

    Args:
        module: the net.
        found: name → (shape, type) of each tensor.
        what: the file, for the message.

    Raises:
        ModelError: with what was expected and what was found, the first few of each.
    """
    expected = {name: (tuple(t.shape), str(t.dtype)) for name, t in module.state_dict().items()}
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    other = [
        f"{name} is {_kind(found[name])} instead of {_kind(expected[name])}"
        for name in expected
        if name in found and found[name] != expected[name]
    ]
    if missing or unknown or other:
        said = [f"{len(missing)} missing ({_first(missing)})"] if missing else []
        said += [f"{len(unknown)} unknown ({_first(unknown)})"] if unknown else []
        said += [f"{len(other)} that differ ({_first(other)})"] if other else []
        raise ModelError(
            f"{what} does not hold the {len(expected)} entries of this net: {'; '.join(said)}; "
            "it is another net's file: name the model that it belongs to"
        )


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _kind(shape_and_type: tuple[tuple[int, ...], str]) -> str:
    shape, kind = shape_and_type
    return f"{kind.removeprefix('torch.')} {list(shape)}"
