"""The loss of a masked autoencoder beside a slow loop."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.masked import masked_squared_error


def case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    predicted, wanted = torch.randn(2, 3, 7, 4, generator=random, dtype=torch.float64)
    return predicted.requires_grad_(), wanted, torch.rand(3, 7, generator=random) < 0.6


def test_it_equals_a_slow_loop():
    predicted, wanted, masked = case()
    squares = []
    for record in range(3):
        for token in range(7):
            if masked[record, token]:
                gaps = predicted[record, token] - wanted[record, token]
                squares += [gap**2 for gap in gaps.tolist()]
    found = masked_squared_error(predicted, wanted, masked)
    assert float(found.detach()) == pytest.approx(sum(squares) / len(squares), rel=1e-12)


def test_visible_tokens_count_for_nothing():
    predicted, wanted, masked = case()
    loss = masked_squared_error(predicted, wanted, masked)
    loss.backward()
    changed = torch.where(masked[..., None], predicted, 99.0)
    torch.testing.assert_close(masked_squared_error(changed, wanted, masked), loss)
    assert predicted.grad is not None
    assert ((predicted.grad != 0).any(-1) == masked).all()
    nothing = masked_squared_error(predicted, wanted, torch.zeros_like(masked))
    assert float(nothing.detach()) == 0


def test_gradients():
    predicted, wanted, masked = case()
    assert torch.autograd.gradcheck(lambda x: masked_squared_error(x, wanted, masked), predicted)


def test_what_cannot_be_is_refused():
    predicted, wanted, masked = case()
    with pytest.raises(UsageError, match=r"one shape of three axes, got \(3, 7, 4\) and \(3, 6, 4\)"):
        masked_squared_error(predicted, wanted[:, :6], masked)
    with pytest.raises(UsageError, match=r"got torch\.float32"):
        masked_squared_error(predicted, wanted, masked.float())
