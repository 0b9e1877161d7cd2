"""Run in a process of its own: a checkpoint → safetensors. ``python -m cardioloom.models.unpickle IN OUT``.

The unpickler is torch's restricted one (``weights_only``), which also takes numpy's numbers here. The process has
limits on memory, time and file size, and what comes out holds numbers alone. It prints one line of JSON: {"ok": true}
or {"error": why}.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

# Address space, not memory in use: torch alone maps several GB.
MAX_ADDRESS_BYTES = 16 << 30
MAX_CPU_S = 300
MAX_FILE_BYTES = 4 << 30
WRAPPERS = ("state_dict", "model")
PREFIX = "module."  # of a net that was trained on several GPUs


# Settings that training code stores beside its weights (argparse, paths; OmegaConf, which Lightning keeps). Nothing of
# theirs is imported or called: `_Note` stands in for each of these names.
NOTES = (
    "argparse.Namespace",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
    *(f"pathlib.{pure}{system}Path" for pure in ("", "Pure") for system in ("", "Posix", "Windows")),
    *(f"pathlib._local.{pure}{system}Path" for pure in ("", "Pure") for system in ("", "Posix", "Windows")),
    *(f"builtins.{kind}" for kind in ("bool", "dict", "float", "int", "list", "str")),
)


class _Note:
    """Whatever it is made from, it holds nothing and does nothing."""

    def __new__(cls, *_: object) -> _Note:
        return object.__new__(cls)

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _filled(*_: object) -> dict[Any, Any]:
    """Stands in for ``collections.defaultdict``: its content is put in afterwards, what makes defaults is left out."""
    return {}


def limit() -> None:
    """Limit this process, where the platform can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit is all there is
        return
    for what, most in (
        (resource.RLIMIT_AS, MAX_ADDRESS_BYTES),
        (resource.RLIMIT_CPU, MAX_CPU_S),
        (resource.RLIMIT_FSIZE, MAX_FILE_BYTES),
    ):
        _, hard = resource.getrlimit(what)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (value, value))


def state_of(loaded: object) -> dict[str, Any]:
    """The state in a checkpoint, out of its wrapper, without the prefix of parallel training.

    Raises:
        ValueError: if it holds anything but named tensors in memory, declares more of them than fits, or holds values
            that are not finite.
    """
    for name in WRAPPERS * 2:  # {"model": {"state_dict": ...}} too
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not loaded:
        found = "an empty dictionary" if isinstance(loaded, Mapping) else _kind(loaded)
        places = " or ".join(WRAPPERS)
        raise ValueError(f"expected named tensors, or a dictionary with them under {places}, found {found}")
    state, n_bytes = {}, 0
    for name, value in loaded.items():
        tensor = _tensor(name, value)
        n_bytes += tensor.numel() * tensor.element_size()  # a small file can declare any size
        if n_bytes > MAX_FILE_BYTES:
            raise ValueError(f"its tensors declare more than {MAX_FILE_BYTES >> 30} GB")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"{name} holds values that are not finite")
        state[name] = tensor.detach().contiguous().clone()
    if all(name.startswith(PREFIX) for name in state):
        state = {name.removeprefix(PREFIX): value for name, value in state.items()}
    return state


def _tensor(name: object, value: object) -> Tensor:
    import torch

    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        raise ValueError(f"expected named tensors alone, found {_kind(value)} under {str(name)[:80]!r}")
    if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
        raise ValueError(f"expected dense tensors of numbers, found another kind under {name[:80]!r}")
    return value


def convert(source: Path, target: Path) -> None:
    """Read a ``.pth`` or ``.safetensors`` file and write its state as safetensors.

    Raises:
        ValueError: in words, if the file is not what it should be.
    """
    import torch
    from safetensors.torch import load_file, save_file

    try:
        if source.suffix == ".safetensors":
            loaded: object = load_file(source)
        else:
            known = [*_numbers(), (_filled, "collections.defaultdict"), *((_Note, name) for name in NOTES)]
            with torch.serialization.safe_globals(known):
                loaded = torch.load(source, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a foreign file fails in any way
        raise ValueError(_why(error)) from error
    save_file(state_of(loaded), target)


def _numbers() -> list[Any]:
    """What numpy's numbers are pickled by: training notes such as the best AUROC lie beside the official weights."""
    import numpy as np

    make = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    old_name, new_name = "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"
    return [(make, old_name), (make, new_name), np.dtype, *kinds]


def _kind(value: object) -> str:
    return "stored settings" if isinstance(value, _Note) else type(value).__name__


def _why(error: Exception) -> str:
    """A refusal in our words; torch's own advise to load the file without protection."""
    from safetensors import SafetensorError

    if named := re.search(r"GLOBAL (\S+)", str(error)):
        return f"expected tensors and numbers alone, found the Python object {named[1][:80]}"
    first = str(error).split("\n", 1)[0].split(". ", 1)[0].strip()
    plain = isinstance(error, (RuntimeError, SafetensorError)) and "weights_only" not in first
    return "it is damaged or no checkpoint" + (f" ({first[:160]})" if plain else "")


def main(source: str, target: str) -> int:
    """Convert within limits; the exit code is 0 where a file was written."""
    limit()
    try:
        convert(Path(source), Path(target))
    except (ValueError, MemoryError, OSError) as error:
        what = "it needs more memory than is allowed" if isinstance(error, MemoryError) else str(error)
        print(json.dumps({"error": what}))
        return 1
    print(json.dumps({"ok": True}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
