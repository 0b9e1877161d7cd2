"""The losses of a masked autoencoder beside slow loops and the ancestors' values."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.objectives.masked import correlation_loss, masked_squared_error, standardised


def case(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    predicted, wanted = torch.randn(2, 3, 7, 4, generator=random, dtype=torch.float64)
    return predicted.requires_grad_(), wanted, torch.rand(3, 7, generator=random) < 0.6


@pytest.mark.parametrize("every_token", [False, True])
def test_it_equals_a_slow_loop(every_token: bool):
    predicted, wanted, masked = case()
    squares = []
    for record in range(3):
        for token in range(7):
            if masked[record, token] or every_token:
                gaps = predicted[record, token] - wanted[record, token]
                squares += [gap**2 for gap in gaps.tolist()]
    found = masked_squared_error(predicted, wanted, masked, every_token=every_token)
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
    assert torch.autograd.gradcheck(lambda x: correlation_loss(x, wanted), predicted)
    assert torch.autograd.gradcheck(lambda x: standardised(x), predicted)


def test_patches_are_standardised_one_by_one():
    patches = case()[1] * 3 + 5
    for found, patch in zip(standardised(patches).flatten(0, 1), patches.flatten(0, 1), strict=True):
        values = patch.tolist()
        spread = (statistics.variance(values) + 1e-6) ** 0.5
        assert found.tolist() == pytest.approx([(value - statistics.mean(values)) / spread for value in values])
    assert (standardised(torch.full((1, 1, 4), 2.0)) == 0).all()


def test_correlation_of_each_lead():
    predicted, wanted, _ = case()
    pairs = zip(predicted.flatten(0, 1).tolist(), wanted.flatten(0, 1).tolist(), strict=True)
    each = [statistics.correlation(a, b) for a, b in pairs]
    assert float(correlation_loss(predicted, wanted).detach()) == pytest.approx(1 - statistics.mean(each), rel=1e-12)
    assert float(correlation_loss(torch.ones(1, 1, 4), wanted[:1, :1].float())) == 1


@pytest.mark.parametrize("name", ["mae_small_open", "mae_small_multirow_open"])
def test_ancestors_losses(shared, name: str):
    """Every token, blended with the correlation of the plain signal, whichever target the squares have."""
    folder = shared / "golden" / "ptacl_ancestors"
    config = json.loads((folder / f"{name}_config.json").read_text())["constructor"]
    with np.load(folder / f"{name}_io.npz") as file:
        golden = {key: torch.from_numpy(file[key]) for key in file.files}
    share, normal = config["ncc_weight"], config["norm_pix_loss"]
    correlation = correlation_loss(golden["eval_imgs_hat"].flatten(1, 2), golden["x"].flatten(1, 2))
    total = {}
    for is_normal in (False, True):
        wanted = standardised(golden["patchified"]) if is_normal else golden["patchified"]
        squares = masked_squared_error(golden["eval_pred"], wanted, golden["mask"] > 0, every_token=True)
        total[is_normal] = (1 - share) * squares + share * correlation
        if is_normal == normal:
            torch.testing.assert_close(squares, golden["eval_loss_ncc_weight_0"], rtol=0, atol=2e-5)
    torch.testing.assert_close(correlation, golden["eval_loss_ncc_weight_1"], rtol=0, atol=2e-5)
    torch.testing.assert_close(total[normal], golden["eval_loss"], rtol=0, atol=2e-5)
    torch.testing.assert_close(total[not normal], golden["eval_loss_with_norm_pix_toggled"], rtol=0, atol=2e-5)


def test_what_cannot_be_is_refused():
    predicted, wanted, masked = case()
    with pytest.raises(UsageError, match=r"one shape of three axes, got \(3, 7, 4\) and \(3, 6, 4\)"):
        masked_squared_error(predicted, wanted[:, :6], masked)
    with pytest.raises(UsageError, match=r"got torch\.float32"):
        masked_squared_error(predicted, wanted, masked.float())
    with pytest.raises(UsageError, match="of three axes"):
        correlation_loss(predicted[0], wanted[0])
