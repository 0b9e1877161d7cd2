"""A model as one ONNX file with its contract inside, and such a file run by onnxruntime."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import MissingExtraError, ModelError, UsageError, WriteError
from cardioloom.models import contract as folders
from cardioloom.models import golden as goldens
from cardioloom.models import installed, nets
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.models.onnx_graph import INPUT, OUTPUTS, exported, rewritten
from cardioloom.models.runtime import Outputs
from cardioloom.writers.atomic import replacing

if TYPE_CHECKING:
    from cardioloom.models.model import Model

FORMAT = "cardioloom.onnx/1"
SUFFIX = ".onnx"
# Of onnxruntime's optimisers, the one that takes zeros padded to a max-pool for minus infinity. No graph written here
# holds such padding; without the optimiser a graph that did would still be run as it stands.
DISABLED = ("Pad_Fusion",)


def export(model: Model | str | Path, out: str | Path) -> Path:
    """Write a model as one ONNX file: input ``windows``, outputs ``logits`` and ``features``.

    The metadata hold the contract, the SHA-256 of contract, weights and graph, and the licence. The golden pair is
    replayed on a file that is made; one that the cache holds is checked by its sums. A file is replaced whole.

    Args:
        model: in use, or the name of an installed one, or a model folder.
        out: the file, whose name must end in .onnx.

    Returns:
        the file.

    Raises:
        UsageError: if the name of the file does not end in .onnx.
        ModelError: if the model folder is refused, or the file does not give the model's golden pair.
        WriteError: if the file cannot be written.
        MissingExtraError: if onnx, onnxscript or onnxruntime is not installed.
    """
    from cardioloom.models.model import Model

    out = Path(out)
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"the name of an exported model must end in {SUFFIX}, got {out.name!r}: name it so")
    onnxruntime()
    folder = model.folder if isinstance(model, Model) else installed.folder_of(model)
    Model.from_pretrained(folder)  # every check of the folder
    try:
        if _cached(folder):
            with replacing(out) as part:
                shutil.copyfile(_cache_file(folder), part)
        else:
            _write(folder, out)
    except OSError as error:
        raise WriteError(f"{out} cannot be written ({error.strerror}): name another file") from error
    return out


class OnnxRunner:
    """A net in onnxruntime on the processor, float32.

    Args:
        session: of a file that `export` wrote.
        said: the file's metadata.
    """

    name = "onnxruntime"
    precision = "float32"

    def __init__(self, session: Any, said: Mapping[str, str]):
        self.session, self.said = session, said

    @classmethod
    def of_file(cls, path: Path) -> OnnxRunner:
        """The net of an exported file.

        Raises:
            ModelError: if the file was not written by `export`, or is damaged.
            MissingExtraError: if onnxruntime is not installed.
        """
        session = session_of(path)
        said = session.get_modelmeta().custom_metadata_map
        try:
            known = said["format"] == FORMAT
            n_bytes, expected = int(said["graph_bytes"]), said["graph_sha256"]
            whole = hashlib.sha256(said["contract"].encode()).hexdigest() == said["contract_sha256"]
        except (KeyError, ValueError) as error:
            raise ModelError(f"{path} has no contract: use a file that 'cardioloom weights export' wrote") from error
        if not known:
            raise ModelError(f"{path} must be of format {FORMAT}, got {said['format']!r}: export the model again")
        with path.open("rb") as file:
            whole &= hashlib.sha256(file.read(n_bytes)).hexdigest() == expected
        if not whole:
            raise ModelError(f"{path} is not as it was exported, its sums do not fit: export the model again")
        return cls(session, said)

    @classmethod
    def of_folder(cls, folder: Path) -> OnnxRunner:
        """The net of a model folder whose files were checked; exported once, into the cache.

        Raises:
            ModelError: if the export does not give the golden pair, or the cache cannot be written to.
            MissingExtraError: if onnx, onnxscript or onnxruntime is not installed.
        """
        onnxruntime()
        if runner := _cached(folder):
            return runner
        target = _cache_file(folder)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return _write(folder, target)
        except OSError as error:
            raise ModelError(
                f"{target.parent} cannot be written to ({error.strerror}): set {installed.VARIABLE}"
            ) from error

    def __call__(self, windows: NDArray[np.float32]) -> Outputs:
        """(window, lead, time) → logits (window, output), features (window, feature)."""
        logits, features = self.session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(windows, np.float32)})
        return logits, features


def onnxruntime() -> Any:
    """The package.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            f"this runtime needs the package {error.name}, which is not installed: pip install 'cardioloom[models]'"
        ) from error
    return onnxruntime


def session_of(path: Path) -> Any:
    """An onnxruntime session on the processor with every optimisation but `DISABLED`.

    Raises:
        ModelError: if onnxruntime cannot read the file.
        MissingExtraError: if onnxruntime is not installed.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors; they are raised as well
    try:
        return ort.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(DISABLED)
        )
    except Exception as error:  # its eleven kinds of error have no class in common
        raise ModelError(f"{path} is no ONNX file that onnxruntime can run: export the model again") from error


def _cache_file(folder: Path) -> Path:
    return installed.cache() / "onnx" / f"{folders.identity(*folders.read(folder))}{SUFFIX}"


def _cached(folder: Path) -> OnnxRunner | None:
    """What was exported of a folder before, or None."""
    target = _cache_file(folder)
    if not target.is_file():
        return None
    try:
        runner = OnnxRunner.of_file(target)
    except ModelError:
        return None  # damaged, or of another version: it is only a copy, and is made anew
    contract, sums = folders.read(folder)
    fits = runner.said["contract_sha256"] == contract.sha256() and runner.said["weights_sha256"] == sums[WEIGHTS]
    return runner if fits else None


def _write(folder: Path, out: Path) -> OnnxRunner:
    """Export, replay the golden pair on what was written, and only then let the file appear."""
    contract, sums = folders.read(folder)
    preparation = contract.preparation
    net = nets.load(contract.net, contract.config, folder / WEIGHTS)
    model = rewritten(exported(net, len(preparation.leads), preparation.window_samples))
    graph = model.SerializeToString()
    # Two protobuf messages one after the other are one message: so the metadata can hold the graph's own sum.
    with replacing(out) as part:
        part.write_bytes(graph + _metadata(contract, sums, graph))
        runner = OnnxRunner.of_file(part)
        goldens.replay(goldens.read(folder), contract, runner)
    return runner


def _metadata(contract: Contract, sums: Mapping[str, str], graph: bytes) -> bytes:
    from onnx import ModelProto, helper

    holder = ModelProto()
    said = {
        "format": FORMAT,
        "contract": contract.canonical(),
        "contract_sha256": contract.sha256(),
        "weights_sha256": sums[WEIGHTS],
        "licence": contract.card.licence,
        "graph_bytes": str(len(graph)),
        "graph_sha256": hashlib.sha256(graph).hexdigest(),
    }
    helper.set_model_props(holder, said)
    return holder.SerializeToString()
