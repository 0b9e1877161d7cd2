"""A net → an ONNX graph that every runtime reads alike, and that onnxruntime runs quickly.

Two things are rewritten after the exporter of torch:

- Zeros padded to a max-pool become a floor: ``max(pool(x), 0)`` at the padded ends. onnxruntime's own optimiser
  (``Pad_Fusion``) moves such padding into the pool, whose padding is minus infinity: at odd lengths with negative
  samples the answers change. With the floor there is no padding left to move.
- Convolutions and pools over time become two-dimensional ones of height one, for which onnxruntime has its fast
  blocked kernels.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import MissingExtraError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto
    from torch import nn

INPUT, OUTPUTS = "windows", ("logits", "features")
OVER_TIME = ("Conv", "MaxPool")
ELEMENTWISE = ("Add", "Max", "Mul", "Sigmoid")
LOWEST = np.finfo(np.float32).min


def exported(net: nn.Module, n_leads: int, n_samples: int) -> ModelProto:
    """A net as the exporter of torch writes it: any number of windows, each (n_leads, n_samples).

    Raises:
        MissingExtraError: if onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"export needs the package {error.name}, which is not installed: pip install 'cardioloom[models]'"
        ) from error
    import torch

    with _quiet():
        program = torch.onnx.export(
            net,
            (torch.zeros(2, n_leads, n_samples),),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )
    assert program is not None  # dynamo=True gives a program
    model = program.model_proto
    _strip(model.graph)
    return model


def rewritten(model: ModelProto) -> ModelProto:
    """The same graph with floors for padded zeros and with a height of one; changed in place."""
    import onnx

    _floors(model.graph)
    if _can_lift(model.graph):
        _lift(model.graph)
    onnx.checker.check_model(model)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without two remarks that torch's exporter makes about itself."""
    # It says for each operator of torchvision that torchvision is absent, which it is on purpose.
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch.export copies a class of torch's own that torch has deprecated.
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        log.setLevel(level)


def _strip(graph: GraphProto) -> None:
    """Remove the exporter's notes: they hold stack traces with the paths of this machine."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _floors(graph: GraphProto) -> None:
    """Write each max-pool of zero-padded samples as a pool and a floor."""
    made = {name: node for node in graph.node for name in node.output}
    lengths = {info.name: _length(info) for info in graph.value_info}
    for node in list(graph.node):
        pad = made.get(node.input[0]) if node.op_type == "MaxPool" else None
        pads = _time_pads(graph, pad) if pad is not None and pad.op_type == "Pad" else None
        if pad is None or pads is None or not (n_samples := lengths.get(pad.input[0])):
            continue
        (left, right), kernel, stride = pads, _ints(node, "kernel_shape")[0], _ints(node, "strides")[0]
        node.input[0] = pad.input[0]
        _set(node, "pads", [left, right])
        if left or right:
            first = np.arange((n_samples + left + right - kernel) // stride + 1) * stride - left
            padded = (first < 0) | (first + kernel > n_samples)
            floor = _new(graph, "floor", np.where(padded, np.float32(0), LOWEST)[None, None])  # (1, 1, time)
            _then(graph, node, "Max", floor)
    _drop_unused(graph)


def _can_lift(graph: GraphProto) -> bool:
    """Whether a height of one changes no answer: every node is known, and time is gone before the outputs."""
    users = [node for node in graph.node if INPUT in node.input]
    ends = [node.op_type for node in graph.node for out in graph.output if out.name in node.output]
    return (
        users == [graph.node[0]]
        and users[0].op_type == "Conv"
        and set(ends) <= {"Gemm", "ReduceMean"}
        and all(_stays(graph, node) for node in graph.node)
    )


def _stays(graph: GraphProto, node: NodeProto) -> bool:
    """Whether a node means the same with a height of one, once `_lift` has seen to it."""
    if node.op_type in OVER_TIME:
        return len(_ints(node, "kernel_shape")) == 1
    if node.op_type == "Pad":
        return len(node.input) < 4 and len(_constant(graph, node.input[1])) == 6
    if node.op_type in ("ReduceMean", "Unsqueeze"):
        kept = any(a.name == "keepdims" and a.i for a in node.attribute)
        return not kept and _constant(graph, node.input[1]).tolist() in ([2], [-1])
    if node.op_type in ELEMENTWISE:  # constants may vary over time alone
        constants = [tensor for tensor in graph.initializer if tensor.name in node.input]
        return all(size == 1 for tensor in constants for size in tensor.dims[:-1])
    return node.op_type in ("Gemm", "BatchNormalization")


def _lift(graph: GraphProto) -> None:
    """(window, channel, time) → (window, channel, 1, time) from the first node to the last mean."""
    from onnx import helper, numpy_helper

    tall, weights = set[str](), {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in OVER_TIME:
            for name in ("kernel_shape", "strides", "dilations"):
                _set(node, name, [1, *_ints(node, name)])
            left, right = _ints(node, "pads")
            _set(node, "pads", [0, left, 0, right])
        if node.op_type == "Conv" and node.input[1] not in tall:
            tall.add(node.input[1])
            weight = weights[node.input[1]]
            shape = [*weight.dims[:2], 1, *weight.dims[2:]]
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).reshape(shape), weight.name))
        elif node.op_type == "Pad":
            a, b, c, d, e, f = _constant(graph, node.input[1])
            node.input[1] = _new(graph, "pads", np.array([a, b, 0, c, d, e, 0, f], np.int64))
        elif node.op_type in ("ReduceMean", "Unsqueeze"):
            node.input[1] = _new(graph, "axes", np.array([2, 3], np.int64))
    axis = _new(graph, "axes", np.array([2], np.int64))
    graph.node[0].input[0] = "windows_tall"
    graph.node.insert(0, helper.make_node("Unsqueeze", [INPUT, axis], ["windows_tall"]))
    del graph.value_info[:]  # shapes of the graph as it was
    _drop_unused(graph)


def _then(graph: GraphProto, node: NodeProto, operator: str, other: str) -> None:
    """Put ``operator(output, other)`` between a node and those that use its output."""
    from onnx import helper

    name = node.output[0]
    node.output[0] = f"{name}_before"
    at = next(i for i, n in enumerate(graph.node) if n.output[0] == node.output[0])
    graph.node.insert(at + 1, helper.make_node(operator, [node.output[0], other], [name]))


def _drop_unused(graph: GraphProto) -> None:
    """Remove padding and constants that nothing uses any more."""
    used = {name for node in graph.node for name in node.input} | {out.name for out in graph.output}
    for node in [node for node in graph.node if node.op_type == "Pad" and node.output[0] not in used]:
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _time_pads(graph: GraphProto, pad: NodeProto) -> tuple[int, int] | None:
    """Zeros added before and after time, or None where other axes, values or modes are padded."""
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    value = _constant(graph, pad.input[2]) if len(pad.input) > 2 and pad.input[2] else np.zeros(1)
    pads = _constant(graph, pad.input[1])
    if mode != b"constant" or value.any() or len(pads) != 6 or pads[[0, 1, 3, 4]].any() or pads.min() < 0:
        return None
    return int(pads[2]), int(pads[5])


def _constant(graph: GraphProto, name: str) -> NDArray[Any]:
    from onnx import numpy_helper

    return np.atleast_1d(numpy_helper.to_array(next(tensor for tensor in graph.initializer if tensor.name == name)))


def _new(graph: GraphProto, name: str, values: NDArray[Any]) -> str:
    from onnx import numpy_helper

    name = f"{name}_{len(graph.initializer)}_{len(graph.node)}"
    graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def _ints(node: NodeProto, name: str) -> list[int]:
    return next(list(a.ints) for a in node.attribute if a.name == name)


def _set(node: NodeProto, name: str, values: list[int]) -> None:
    attribute = next(a for a in node.attribute if a.name == name)
    attribute.ints[:] = values


def _length(info: Any) -> int:
    """Samples of a tensor along its last axis, 0 where that is not fixed."""
    dims = info.type.tensor_type.shape.dim
    return dims[-1].dim_value if dims else 0
