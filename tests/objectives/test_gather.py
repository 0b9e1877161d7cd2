"""Two processes are one process on the joined batch: losses over ranks, masked means, a whole training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import toy_training as toys
from cardioloom.objectives.gather import gathered, mean_over_ranks, ranks
from cardioloom.objectives.supervised import binary_cross_entropy
from cardioloom.recipes.place import read_log

RANKS = 2
pytestmark = pytest.mark.xdist_group("two ranks")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What each of two processes found; they meet over a file, so that no port can be taken."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(toys.work_of_rank, (RANKS, str(folder)), nprocs=RANKS)
    return folder, [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(RANKS)]


def joined() -> toys.Batch:
    """The rows in the order in which ranks have them."""
    whole = toys.batch(0, 0)
    order = [row for rank in range(RANKS) for row in range(toys.ROWS)[toys.rank_rows(rank, RANKS)]]
    return toys.Batch(whole.x[order], whole.y[order], tuple(whole.names[row] for row in order))


def test_alone_there_is_nothing_to_gather():
    x = torch.randn(3, requires_grad=True)
    assert ranks() == 1
    assert gathered(x) is x
    assert mean_over_ranks(x) is x


def test_a_contrastive_loss_compares_all_rows(work):
    net = toys.pair_net()
    loss = toys.contrast(net, joined().x.double())
    loss.backward()
    for found in work[1]:
        value, gradients = found["contrast"]
        torch.testing.assert_close(value, loss.detach(), rtol=1e-12, atol=0)
        for gradient, parameter in zip(gradients, net.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-14)


def test_a_masked_mean_is_that_of_the_joined_batch(work):
    net, given = toys.toy(0.0, norm=False).double(), joined()
    loss = binary_cross_entropy(net(given.x.double()), given.y.double(), 1.5)
    loss.backward()
    masked = [found["masked"] for found in work[1]]
    assert masked[0][2] != masked[1][2]  # the ranks know different numbers of targets
    torch.testing.assert_close((masked[0][0] + masked[1][0]) / RANKS, loss.detach(), rtol=1e-12, atol=0)
    for _, gradients, _ in masked:
        for gradient, parameter in zip(gradients, net.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-14)


def test_a_training_on_two_processes_is_one_on_the_joined_batches(work, tmp_path: Path):
    net, lines = toys.toy(0.0, norm=False), []
    toys.train(tmp_path, net, toys.plan_of_ranks(), watch=lines.append)
    (first, of_first), (second, of_second) = (found["fit"] for found in work[1])
    assert toys.same(first, second)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(first[name], value, rtol=1e-5, atol=1e-7)
    for alone, one, two in zip(lines, of_first, of_second, strict=True):
        if "validation" in alone:
            assert one["validation"]["loss"] == two["validation"]["loss"] == pytest.approx(alone["validation"]["loss"])
        else:
            assert (one["loss"] + two["loss"]) / RANKS == pytest.approx(alone["loss"], rel=1e-5)
            assert one["gradient"] == pytest.approx(alone["gradient"], rel=1e-4)


def test_the_first_rank_alone_writes(work):
    folder, found = work
    assert [line["step"] for line in read_log(folder / "run")] == [line["step"] for line in found[0]["fit"][1]]
    assert not list((folder / "run").rglob("*.part"))
