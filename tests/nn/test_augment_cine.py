"""Augmentations of cines against torch's own resampling, scipy and slow versions, one record at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment import CINE, cine, picture


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def x() -> Tensor:
    """(batch 4, time 6, row 20, col 17), from 0 to 1."""
    return torch.rand(4, 6, 20, 17, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(20, 17), (33, 9), (7, 40)])
def test_resized_crop_is_torchs_resize_of_each_crop(x: Tensor, size: tuple[int, int], generator: torch.Generator):
    part = cine.ResizedCrop(scale=(0.2, 1.0), size=size)
    draws = part.draw(tuple(x.shape), generator)
    y = part.apply(x, draws)
    assert tuple(y.shape) == part.shape_after(tuple(x.shape))
    for i, (top, left, height, width) in enumerate(draws["box"].tolist()):
        given_crop = x[i : i + 1, :, top : top + height, left : left + width]
        expected = F.interpolate(given_crop, size, mode="bilinear", antialias=True, align_corners=False)
        torch.testing.assert_close(y[i : i + 1], expected, atol=2e-6, rtol=0)


@given(
    st.integers(0, 10**6),
    st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_boxes_lie_inside_and_have_the_drawn_area_and_shape(seed, scale, ratio, size):
    part = cine.ResizedCrop(scale=tuple(sorted(scale)), ratio=tuple(sorted(ratio)))
    top, left, height, width = part.draw((30, 2, *size), torch.Generator().manual_seed(seed))["box"].unbind(-1)
    assert (torch.stack((top, left)) >= 0).all()
    assert (torch.stack((height, width)) >= 1).all()
    assert (top + height <= size[0]).all()
    assert (left + width <= size[1]).all()


def test_boxes_have_the_distribution_of_torchvision(generator: torch.Generator):
    """Area uniform on the scale, log of the ratio uniform, places uniform."""
    box = cine.ResizedCrop(scale=(0.1, 0.3)).draw((8000, 1, 400, 400), generator)["box"].double()
    area, log_ratio = box[:, 2] * box[:, 3] / 400**2, (box[:, 3] / box[:, 2]).log()
    np.testing.assert_allclose(np.quantile(area, [0.1, 0.5, 0.9]), [0.12, 0.2, 0.28], atol=0.006)
    edges = math.log(4 / 3)
    np.testing.assert_allclose(np.quantile(log_ratio, [0.1, 0.5, 0.9]), [-0.8 * edges, 0, 0.8 * edges], atol=0.02)
    place = box[:, 0] / (400 - box[:, 2])
    np.testing.assert_allclose(np.quantile(place, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.02)


def test_quarter_turns_are_exact_and_other_angles_are_scipys(x: Tensor):
    square = x[..., :17, :]
    y = picture.rotate(square, torch.tensor([0.0, 90.0, 180.0, -90.0]), mode="nearest")
    for i, quarters in enumerate((0, 1, 2, 3)):
        torch.testing.assert_close(y[i], torch.rot90(square[i], quarters, (-2, -1)))
    smooth = torch.from_numpy(ndimage.gaussian_filter(x.numpy(), 2, axes=(-2, -1)))
    turned = picture.rotate(smooth, torch.tensor([30.0, -12.0, 45.0, 3.0]))
    for i, degrees in enumerate((30.0, -12.0, 45.0, 3.0)):
        expected = ndimage.rotate(smooth[i].numpy(), degrees, (-1, -2), reshape=False, order=1)
        inside = (slice(None), slice(5, -5), slice(5, -5))  # scipy treats the border otherwise
        np.testing.assert_allclose(turned[i][inside], expected[inside], atol=1e-5)


def test_what_enters_by_rotation_is_zero():
    y = picture.rotate(torch.ones(1, 1, 20, 20), torch.tensor([45.0]))
    assert y[0, 0, 0, 0] == y[0, 0, -1, -1] == 0
    torch.testing.assert_close(y[0, 0, 8:12, 8:12], torch.ones(4, 4))


@pytest.mark.parametrize("sigma", [(0.0, 0.0), (0.3, 2.0)])
def test_blur_is_scipys_gaussian(x: Tensor, sigma: tuple[float, float], generator: torch.Generator):
    part = cine.Blur(sigma=sigma)
    draws = part.draw(tuple(x.shape), generator)
    y = part.apply(x, draws)
    for i, width in enumerate(draws["sigma"].tolist()):
        radius = math.ceil(4 * sigma[1])
        expected = ndimage.gaussian_filter(x[i].numpy(), max(width, 1e-6), mode="mirror", radius=radius, axes=(-2, -1))
        np.testing.assert_allclose(y[i], expected, atol=1e-5)


def test_blur_wider_than_the_picture_keeps_the_mean_of_a_flat_one():
    y = picture.blur(torch.full((1, 1, 3, 1), 0.7), torch.tensor([5.0]), radius=20)
    torch.testing.assert_close(y, torch.full((1, 1, 3, 1), 0.7))


@pytest.mark.parametrize("limits", [(0.0, 1.0), None])
def test_intensity_is_changed_record_by_record(x: Tensor, limits, generator: torch.Generator):
    part = cine.ChangeIntensity(brightness=0.5, contrast=0.7, limits=limits)
    draws = part.draw(tuple(x.shape), generator)
    y = part.apply(x, draws)
    cut = (lambda values: np.clip(values, *limits)) if limits else (lambda values: values)
    for i in range(4):
        bright = cut(x[i].numpy() * float(draws["brightness"][i]))
        mean = bright.mean()
        np.testing.assert_allclose(y[i], cut(mean + (bright - mean) * float(draws["contrast"][i])), atol=1e-5)
    factors = cine.ChangeIntensity(brightness=1.5).draw((2000, 1, 1, 1), generator)["brightness"]
    assert 0 <= factors.min() < 0.05
    assert 2.4 < factors.max() <= 2.5


@pytest.mark.parametrize("mode", ["parts", "any"])
def test_sampled_frames_rise_and_their_places_are_told(mode: str, generator: torch.Generator):
    part = cine.SampleFrames(n=26, mode=mode)
    x = torch.arange(50.0)[None, :, None, None].repeat(300, 1, 2, 2)
    draws = part.draw(tuple(x.shape), generator)
    y = part.apply(x, draws)
    assert tuple(y.shape) == (300, 26, 2, 2) == part.shape_after(tuple(x.shape))
    frames = y[:, :, 0, 0]
    assert (frames.diff(dim=-1) > 0).all()
    assert set(frames.flatten().tolist()) == set(range(50))  # each frame is taken now and then
    if mode == "parts":
        edges = torch.arange(27) * 50 // 26
        assert ((frames >= edges[:-1]) & (frames < edges[1:])).all()
    moved = part.moved(torch.tensor([[10.0, torch.nan, 31.0]]).repeat(300, 1), draws, 50)
    assert moved[:, 1].isnan().all()
    for record in range(300):
        for column, frame in ((0, 10), (2, 31)):
            there = (frames[record] == frame).nonzero().flatten().tolist()
            assert moved[record, column].tolist() == there[0] if there else moved[record, column].isnan()


def test_too_few_frames_are_refused(generator: torch.Generator):
    with pytest.raises(UsageError, match="at least 26 frames, got 20"):
        cine.SampleFrames(n=26).draw((1, 20, 4, 4), generator)


def test_flips(x: Tensor):
    assert torch.equal(cine.Flip().apply(x, {}), x.flip(-1))
    assert torch.equal(cine.Flip(axis="row").apply(x, {}), x.flip(-2))
    with pytest.raises(UsageError, match="'time' is unknown: it can be col, row"):
        cine.Flip(axis="time")


@pytest.mark.parametrize("name", sorted(CINE))
def test_channels_share_the_draws_and_gradients_flow(name: str, x: Tensor, generator: torch.Generator):
    part = CINE[name](**{"sample_frames": {"n": 3}}.get(name, {}))
    draws = part.draw(tuple(x.shape), generator)
    two = torch.stack((x, x), dim=1).requires_grad_()  # (batch, channel, time, row, col)
    with_channel = dict(draws)
    if name == "noise":
        with_channel["noise"] = draws["noise"][:, None]
    y = part.apply(two, with_channel)
    assert tuple(y.shape) == part.shape_after(tuple(two.shape))
    expected = part.apply(x, draws)
    torch.testing.assert_close(y[:, 0], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(y[:, 1], expected, atol=1e-5, rtol=0)
    y.square().sum().backward()
    assert two.grad is not None
    assert two.grad.isfinite().all()
    assert two.grad.abs().sum() > 0
