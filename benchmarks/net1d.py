"""Net1D of ECGFounder's size: packed for the processor, beside the released structure in eager torch and the GEMM rate.

python benchmarks/net1d.py [--json OUT] [--repeats N]

Weights are random: speed does not depend on them. Both cores are used, as a user's call would.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cardioloom.models.ecgfounder import CONFIG
from cardioloom.models.runtime import has_bf16
from cardioloom.nn.conv import Net1D, SameConv1d, same_padding
from cardioloom.nn.packed import pack
from rows import in_turns, parser, show

GOALS = {32: 1.25, 1: 1.5}
GEMM = (2048, 1024, 1024)


def released(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The net as its authors run it: every convolution and pool pads first, x·sigmoid(x) in two steps, time last."""

    def convolve(name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        padded = F.pad(x, same_padding(x.shape[-1], weight.shape[-1], stride))
        return F.conv1d(padded, weight, state[f"{name}.conv.bias"], stride=stride, groups=groups)

    def swish(x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)

    x = swish(convolve("first_conv", x, 2))
    for i, (width, n_blocks) in enumerate(zip(CONFIG["filter_list"], CONFIG["m_blocks_list"], strict=True)):
        for j in range(n_blocks):
            name, stride = f"stage_list.{i}.block_list.{j}", 2 if j == 0 else 1
            y = convolve(f"{name}.conv1", x if i == j == 0 else swish(x))
            y = convolve(f"{name}.conv2", swish(y), stride, width // CONFIG["groups_width"])
            y = convolve(f"{name}.conv3", swish(y))
            gate = swish(F.linear(y.mean(-1), state[f"{name}.se_fc1.weight"], state[f"{name}.se_fc1.bias"]))
            gate = torch.sigmoid(F.linear(gate, state[f"{name}.se_fc2.weight"], state[f"{name}.se_fc2.bias"]))
            if stride > 1:
                x = F.max_pool1d(F.pad(x, same_padding(x.shape[-1], stride, stride)), stride)
            more = width - x.shape[1]
            x = y * gate[:, :, None] + F.pad(x.transpose(1, 2), (more // 2, more - more // 2)).transpose(1, 2)
    features = x.mean(-1)
    return F.linear(features, state["dense.weight"], state["dense.bias"]), features


def flops(net: Net1D, n_samples: int = 5000) -> float:
    """Floating-point operations of one window: two a multiplication of every convolution, counted by running it."""
    total = 0.0

    def count(module: SameConv1d, _given: object, out: torch.Tensor) -> None:
        nonlocal total
        total += 2.0 * module.conv.weight.numel() * out.shape[-1]

    hooks = [part.register_forward_hook(count) for part in net.modules() if isinstance(part, SameConv1d)]
    net(torch.zeros(1, net.first_conv.conv.in_channels, n_samples))
    for hook in hooks:
        hook.remove()
    return total


def measure(cases: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each case, interleaved."""
    for call in cases.values():
        call()
    return {name: statistics.median(found) for name, found in in_turns(cases, repeats).wall.items()}


def gemm() -> Callable[[], object]:
    """A product of matrices of the sizes that most of this net's work has."""
    m, k, n = GEMM
    left, right = torch.randn(m, k), torch.randn(k, n)
    return lambda: left @ right


def rows_of(batch: int, repeats: int) -> list[dict[str, object]]:
    """The released structure, ours, and ours in bfloat16 where the processor has it, for one batch size."""
    torch.manual_seed(0)
    net = Net1D(in_channels=12, **CONFIG).eval().requires_grad_(False)
    state, x = net.state_dict(), torch.randn(batch, 12, 5000)
    packed, compiled = pack(net), torch.compile(released)
    cases: dict[str, Callable[[], object]] = {
        "released structure, eager": lambda: released(state, x),
        "released structure, torch.compile": lambda: compiled(state, x),
        "cardioloom": lambda: packed(x),
        "GEMM": gemm(),
    }
    if has_bf16():
        half = pack(net, torch.bfloat16)
        cases["cardioloom, bf16"] = lambda: half(x)
    reference = released(state, x)[0]
    seconds = measure(cases, repeats)
    work, gemm_rate = flops(net) * batch, 2.0 * GEMM[0] * GEMM[1] * GEMM[2] / seconds["GEMM"]
    rows: list[dict[str, object]] = []
    for name, call in cases.items():
        if name == "GEMM":
            continue
        ratio = seconds["released structure, eager"] / seconds[name]
        logits = call()[0]  # type: ignore[index]
        rows.append(
            {
                "bench": "net1d",
                "case": name,
                "batch": batch,
                "ecg_per_s": batch / seconds[name],
                "ms": 1000 * seconds[name],
                "ratio": ratio,
                "goal": GOALS[batch] if name == "cardioloom" else None,
                "share_of_GEMM": work / seconds[name] / gemm_rate,
                "largest_difference_of_logits": float((logits.float() - reference).abs().max()),
            }
        )
    return rows


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=15)
    arguments = options.parse_args()
    with torch.inference_mode():
        rows = [row for batch in GOALS for row in rows_of(batch, arguments.repeats)]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
