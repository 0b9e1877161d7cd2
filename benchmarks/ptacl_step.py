"""A training step of PTACL's masked autoencoders at paper size, beside all tokens and beside its matrix products alone.

    python benchmarks/ptacl_step.py [--json OUT] [--repeats N] [--batch N]

A step is forward, loss, backward and AdamW, float32, one thread. The peer is a `nn.TransformerEncoder` of the encoder's
width, depth and heads that is given every token, a learned one in place of the hidden ones, with a linear head over all
of them, the same loss and the same optimiser (SimMIM, Xie et al. 2022, arXiv:2111.09886). The limit is the time of the
products of matrices that our step cannot do without, listed from the shapes: each linear layer and the two products of
each attention, forward and both ways backward, each timed alone. All three in turns; best of the repeats.
Ratios of processor time are for a machine that others use.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cardioloom.nn.masked import MaskedAutoencoder
from cardioloom.nn.paired import CINE_MASKED, CINE_PAPER, ECG_MASKED, ECG_PAPER
from cardioloom.nn.patch import PatchEmbedding
from cardioloom.nn.transformer import EncoderConfig, PatchEncoder, n_parameters
from cardioloom.objectives.masked import masked_squared_error
from rows import parser, show

DEPTH, HEADS = 1, 4  # of the decoder


@dataclass(frozen=True)
class Case:
    """One of the two autoencoders.

    Args:
        config, hidden: of the encoder; share of the tokens that it does not see.
        goal: how many times as fast as the peer.
    """

    config: EncoderConfig
    hidden: float
    goal: float


CASES = {"ECG": Case(ECG_PAPER, ECG_MASKED, 3.3), "cine": Case(CINE_PAPER, CINE_MASKED, 5.5)}
GOAL_OF_LIMIT = 0.60
Product = tuple[int, int, int, int, str]  # batches, rows, inner, columns, and which of the factors lie transposed


class AllTokens(nn.Module):
    """What one writes with PyTorch's own encoder."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.embedding = PatchEmbedding(config.size, config.patch, config.width)
        self.positions = nn.Parameter(0.02 * torch.randn(self.embedding.n_tokens, config.width))
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.heads,
            int(config.width * config.mlp_ratio),
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        norm = nn.LayerNorm(config.width)
        self.blocks = nn.TransformerEncoder(layer, config.depth, norm, enable_nested_tensor=False)
        self.head = nn.Linear(config.width, self.embedding.n_values)

    def forward(self, x: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, *size), (batch, token) → prediction and target, (batch, token, values)."""
        target = self.embedding.cut(x)
        tokens = torch.where(masked[:, :, None], self.mask_token, self.embedding(target)) + self.positions
        return self.head(self.blocks(tokens)), target


def loss_of_all(net: nn.Module, x: Tensor, draws: Tensor, hidden: float) -> Tensor:
    """The peer's; as many tokens are hidden as in ours."""
    n_hidden = round(draws.shape[1] * hidden)
    masked = draws >= draws.sort(dim=1).values[:, -n_hidden, None]
    predicted, target = net(x, masked)
    return masked_squared_error(predicted, target, masked)


def loss_of_visible(net: nn.Module, x: Tensor, draws: Tensor, hidden: float) -> Tensor:  # noqa: ARG001 (the net knows)
    """Ours."""
    found = net(x, draws)
    return masked_squared_error(found.predicted, found.target, found.masked)


Loss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def stepper(net: nn.Module, loss: Loss, case: Case, batch: int) -> Callable[[], None]:
    """A function that does one step on the same inputs."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    random = torch.Generator().manual_seed(1)
    x = torch.randn((batch, *case.config.size), generator=random)
    n_tokens = PatchEmbedding(case.config.size, case.config.patch, 1).n_tokens

    def step() -> None:
        loss(net, x, torch.rand((batch, n_tokens), generator=random), case.hidden).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def linear(rows: int, into: int, out: int, *, first: bool = False) -> list[Product]:
    """Forward, gradient of the weights, and of the input where that is no recording."""
    found: list[Product] = [(1, rows, into, out, "right"), (1, out, rows, into, "left")]
    return found if first else [*found, (1, rows, out, into, "")]


def blocks(batch: int, tokens: int, width: int, heads: int, depth: int, ratio: float) -> list[Product]:
    """Those of a stack of transformer blocks."""
    rows, hidden, sets, part = batch * tokens, int(width * ratio), batch * heads, width // heads
    one = [*linear(rows, width, 3 * width), *linear(rows, width, width)]
    one += [*linear(rows, width, hidden), *linear(rows, hidden, width)]
    scores: Product = (sets, tokens, part, tokens, "right")  # and the gradient of the weights of attention
    mixed: Product = (sets, tokens, tokens, part, "")  # and the gradient of the queries
    back: Product = (sets, tokens, tokens, part, "left")  # the gradients of keys and of values
    return depth * [*one, *2 * [scores], *2 * [mixed], *2 * [back]]


def products(net: MaskedAutoencoder, batch: int) -> Counter[Product]:
    """All of a step of ours, and how often each is done."""
    config, decoder = net.encoder.config, net.decoder
    n_tokens, n_values, width = net.encoder.n_tokens, net.encoder.embedding.n_values, decoder.embed.out_features
    seen = batch * net.n_visible
    found = linear(seen, n_values, config.width, first=True)
    found += blocks(batch, net.n_visible, config.width, config.heads, config.depth, config.mlp_ratio)
    found += linear(seen, config.width, width)
    found += blocks(batch, n_tokens, width, HEADS, DEPTH, 4.0)
    found += linear(batch * n_tokens, width, n_values)
    return Counter(found)


def factors(product: Product) -> tuple[Tensor, Tensor, Tensor]:
    """Two matrices, or stacks of them, that lie in memory as in a step, and room for what they give."""
    batches, rows, inner, columns, transposed = product
    left = torch.randn(batches, inner, rows).mT if transposed == "left" else torch.randn(batches, rows, inner)
    right = torch.randn(batches, columns, inner).mT if transposed == "right" else torch.randn(batches, inner, columns)
    room = torch.empty(batches, rows, columns)
    return (left[0], right[0], room[0]) if batches == 1 else (left, right, room)


class Best:
    """Fewest seconds, by the clock and of the processor, that each piece of work took."""

    def __init__(self) -> None:
        self.wall: dict[object, float] = {}
        self.processor: dict[object, float] = {}

    def take(self, key: object, work: Callable[[], object]) -> None:
        """Do it once."""
        start, begun = time.perf_counter(), time.process_time()
        work()
        wall, processor = time.perf_counter() - start, time.process_time() - begun
        self.wall[key] = min(wall, self.wall.get(key, wall))
        self.processor[key] = min(processor, self.processor.get(key, processor))


def measured(name: str, case: Case, batch: int, repeats: int) -> list[dict[str, object]]:
    """Rows of one autoencoder: peer, ours, and the limit of ours."""
    torch.manual_seed(0)
    net = MaskedAutoencoder(PatchEncoder(case.config), ratio=case.hidden, depth=DEPTH, heads=HEADS)
    peer = AllTokens(case.config)
    steps = {"peer": stepper(peer, loss_of_all, case, batch), "ours": stepper(net, loss_of_visible, case, batch)}
    needed = products(net, batch)
    given = {product: factors(product) for product in needed}
    best = Best()
    for repeat in range(repeats + 1):
        best = Best() if repeat == 1 else best  # the first is not counted
        for key, work in steps.items():
            best.take(key, work)
        for product, (left, right, room) in given.items():
            product_of = torch.mm if left.ndim == 2 else torch.bmm
            best.take(product, lambda one=left, other=right, out=room, do=product_of: do(one, other, out=out))
    limit, least = (
        sum(seconds[product] * times for product, times in needed.items()) for seconds in (best.wall, best.processor)
    )
    flops = sum(2 * b * m * k * n * times for (b, m, k, n, _), times in needed.items())
    labels = (("nn.TransformerEncoder, all tokens", peer, "peer"), ("cardioloom, visible tokens", net, "ours"))
    found: list[dict[str, object]] = [
        {
            "bench": f"masked autoencoder of {name}, one step",
            "case": label,
            "batch": batch,
            "million_weights": n_parameters(module) / 1e6,
            "ms": 1000 * best.wall[key],
            "samples_per_s": batch / best.wall[key],
            "ratio": best.wall["peer"] / best.wall[key],
            "ratio_of_processor_time": best.processor["peer"] / best.processor[key],
            "goal": case.goal if key == "ours" else None,
            "share_of_limit": limit / best.wall[key] if key == "ours" else None,
            "share_of_processor_time": least / best.processor[key] if key == "ours" else None,
            "goal_of_share": GOAL_OF_LIMIT if key == "ours" else None,
        }
        for label, module, key in labels
    ]
    return [
        *found,
        {
            "bench": found[0]["bench"],
            "case": f"products of matrices of ours alone, {flops / 1e9:.1f} GFLOP",
            "batch": batch,
            "ms": 1000 * limit,
            "samples_per_s": batch / limit,
        },
    ]


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--batch", type=int, default=6)
    arguments = options.parse_args()
    torch.set_num_threads(1)
    found = [row for name, case in CASES.items() for row in measured(name, case, arguments.batch, arguments.repeats)]
    show(found, arguments.json)


if __name__ == "__main__":
    main()
