"""Global and local contrastive losses of a batch, value and gradients, beside a loop over its patients.

python benchmarks/contrastive.py [--json OUT] [--repeats N]

256 patients, 13 phases, embeddings of 512 and of 256; one thread each. Memory is what a training step keeps for the
gradient, counted by autograd's own hooks, beyond the embeddings themselves.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from cardioloom.objectives.contrastive import info_nce
from cardioloom.objectives.local import alignment, local_loss
from rows import in_turns, parser, show

PHASES, WIDTHS, TEMPERATURE, SIGMA = 13, (512, 256), 0.1, 0.1
BATCH, BATCHES, GOAL = 256, (64, 128, 256), 12.0
Views = tuple[Tensor, Tensor, Tensor, Tensor]


def views(batch: int, width: int) -> Views:
    """Pooled embeddings of both modalities (batch, width), then those of the phases (batch, phase, width)."""
    random = torch.Generator().manual_seed(0)
    shapes = ((batch, width), (batch, width), (batch, PHASES, width), (batch, PHASES, width))
    ecg, cine, ecg_phases, cine_phases = (torch.randn(shape, generator=random).requires_grad_() for shape in shapes)
    return ecg, cine, ecg_phases, cine_phases


def ours(given: Views) -> Tensor:
    """Both losses."""
    return info_nce(given[0], given[1], TEMPERATURE) + local_loss(given[2], given[3], 1.0, SIGMA)


def patient_by_patient(given: Views) -> Tensor:
    """The formulas of the paper, one patient after the other, with unit vectors and products of matrices."""
    ecg, cine, ecg_phases, cine_phases = (F.normalize(x, dim=-1) for x in given)
    shares = alignment(PHASES, SIGMA)
    together, local = [], []
    rows = zip(ecg.unbind(), cine.unbind(), ecg_phases.unbind(), cine_phases.unbind(), strict=True)
    for i, (one, other, one_phases, other_phases) in enumerate(rows):
        for row, all_others in ((one, cine), (other, ecg)):
            together.append(-torch.log_softmax(all_others @ row / TEMPERATURE, -1)[i])
        for left, right in ((one_phases, other_phases), (other_phases, one_phases)):
            local.append(-(shares * torch.log_softmax(left @ right.T, -1)).sum(-1).mean())
    return torch.stack(together).mean() + torch.stack(local).mean()


def step(loss: Callable[[Views], Tensor], given: Views) -> tuple[float, list[Tensor]]:
    """Value and gradients."""
    value = loss(given)
    return float(value.detach()), list(torch.autograd.grad(value, given))


def kept_values(batch: int) -> tuple[int, int]:
    """How many numbers autograd keeps of the global and of the local loss, each storage once, without inputs."""
    given, counts = views(batch, WIDTHS[0]), []
    parts = (lambda: info_nce(given[0], given[1]), lambda: local_loss(given[2], given[3], 1.0, SIGMA))
    for part in parts:
        kept: dict[int, Tensor] = {}

        def keep(x: Tensor, kept: dict[int, Tensor] = kept) -> Tensor:
            kept[x.untyped_storage().data_ptr()] = x
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            value = part()
        counts.append(sum(x.numel() for x in kept.values() if WIDTHS[0] not in x.shape))
        del value
    return counts[0], counts[1]


def speed(width: int, repeats: int) -> list[dict[str, object]]:
    """Median seconds of loss and gradients, interleaved; processor time too, for a machine that others use."""
    given = views(BATCH, width)
    cases = {"loop over patients": patient_by_patient, "cardioloom": ours}
    found = {name: step(case, given) for name, case in cases.items()}
    times = in_turns({name: partial(step, case, given) for name, case in cases.items()}, repeats)
    seconds, processor = ({name: statistics.median(each) for name, each in one.items()} for one in times)
    reference = found["loop over patients"]
    return [
        {
            "bench": "contrastive",
            "case": name,
            "batch": BATCH,
            "width": width,
            "ms": 1000 * seconds[name],
            "ratio": seconds["loop over patients"] / seconds[name],
            "ratio_of_processor_time": processor["loop over patients"] / processor[name],
            "goal": GOAL if name == "cardioloom" else None,
            "difference_of_loss": abs(found[name][0] - reference[0]),
            "largest_difference_of_gradients": max(
                float((a - b).abs().max()) for a, b in zip(found[name][1], reference[1], strict=True)
            ),
        }
        for name in cases
    ]


def memory() -> list[dict[str, object]]:
    """Numbers kept, by the size of the batch: B² for the global loss, B · T² for the local one."""
    found = []
    for batch in BATCHES:
        across, within = kept_values(batch)
        found.append(
            {
                "bench": "contrastive",
                "case": "numbers kept for the gradient",
                "batch": batch,
                "global_over_B²": across / batch**2,
                "local_over_B·T²": within / (batch * PHASES**2),
            }
        )
    return found


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=9)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    show([row for width in WIDTHS for row in speed(width, arguments.repeats)] + memory(), arguments.json)


if __name__ == "__main__":
    main()
