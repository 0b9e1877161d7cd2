"""Augmentations of ECGs against the published code's results and against slow versions, one record at a time."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.nn.augment import ECG, amplitude, masking, scaling, spectrum, timing

TOLERANCE = 1e-5  # of the stored results


@pytest.fixture(scope="session")
def golden(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "golden" / "ptacl_ancestors" / "augmentations_open.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored}


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def x() -> Tensor:
    """(batch 5, lead 3, time 101): random walks."""
    return torch.randn(5, 3, 101, generator=torch.Generator().manual_seed(1)).cumsum(-1) / 5


def close(ours: Tensor, stored: Tensor) -> None:
    torch.testing.assert_close(ours, stored, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("independent", [0, 1])
@pytest.mark.parametrize("magnitude", ["0.1", "1.0"])
def test_fourier_surrogate_is_as_published(golden: dict[str, Tensor], independent: int, magnitude: str):
    phases = 2 * math.pi * float(magnitude) * golden[f"ftsurrogate_uniform_indep{independent}"].float()[None]
    stored = golden[f"ftsurrogate_mag{magnitude}_indep{independent}"]
    close(spectrum.fourier_surrogate(golden["x"], phases), stored)


def test_jitter_rescale_and_flips_are_as_published(golden: dict[str, Tensor]):
    x = golden["x"]
    close(amplitude.jitter(x, golden["jitter_noise_sigma0.25"]), golden["jitter_sigma0.25"])
    close(amplitude.rescale(x, golden["rescaling_factor"]), golden["rescaling_sigma0.5"])
    close(timing.TimeFlip().apply(x, {}), golden["timeflip"])
    close(amplitude.SignFlip().apply(x, {}), golden["signflip"])


def test_crops_and_undersampling_are_as_published(golden: dict[str, Tensor]):
    x, start, length = golden["x"], torch.tensor([40]), torch.tensor([300])
    close(timing.crop(x, start, 300), golden["crop_fixed300_start40"])
    close(timing.crop_resize(x, start, length, 501), golden["crop_resize_300_start40"])
    close(timing.crop_resize(x, torch.tensor([10]), length, 200), golden["crop_resize_300_to200"])
    close(timing.undersample(x, 2)[0], golden["interpolation_step2"])


def test_masked_patches_are_as_published(golden: dict[str, Tensor]):
    starts = masking.patch_starts(golden["masking_weights"], 501, 50)[None]
    close(masking.mask_patches(golden["x"], starts, 50)[0], golden["masking_random_x2"])
    close(masking.mask_patches(golden["x"], starts[:, :1], 50)[0], golden["masking_block_x2"])


def test_spectral_augmentations_are_as_published(golden: dict[str, Tensor]):
    x = golden["x"]
    close(spectrum.frequency_shift(x, torch.tensor([0.5]), fs=100), golden["freqshift_0.5hz_fs100"])
    close(spectrum.time_to_fourier(x, stacked=True, roll_leads=True)[0], golden["time_to_fourier"])
    close(spectrum.time_to_fourier(x, half=True, roll_leads=True)[0], golden["time_to_fourier_half_cat"])
    frequency = golden["specaugment_draw_lt_half_means_frequency"][None] < 0.5
    start, share = golden["specaugment_start_idx"][None], 0.25
    masked = spectrum.mask_spectrum(x, frequency, start, share=share, n_fft=120)
    close(masked, golden["specaugment_0.25_nfft120"])
    assert int(spectrum.spectrogram_size(501, 120)[0] * share) == golden["specaugment_block"]


def test_normalisations_are_as_published(golden: dict[str, Tensor]):
    x = golden["x"]
    close(scaling.standardised(x)[0], golden["norm_sample_wise_torch"])
    close(scaling.standardised(x, over="lead")[0], golden["norm_channel_wise_torch"])
    close(scaling.ranged(x)[0], golden["minmax_sample"])
    close(scaling.ranged(x, over="lead")[0], golden["minmax_channel"])


@pytest.mark.parametrize("n_samples", [100, 101])
def test_surrogate_keeps_each_records_power_and_turns_by_its_own_phases(n_samples: int, generator: torch.Generator):
    x = torch.randn(4, 3, n_samples, generator=generator)
    surrogate = spectrum.FourierSurrogate(magnitude=1.0, independent=True)
    draws = surrogate.draw(x.shape, generator)
    y = surrogate.apply(x, draws)
    power, power_after = (torch.fft.rfft(part).abs() for part in (x, y))
    torch.testing.assert_close(power_after, power, atol=1e-4, rtol=1e-4)
    n = (n_samples - 1) // 2
    for record in range(4):  # the full transform, mirrored phases, one record at a time
        phases = draws["phases"][record].double().numpy()
        turn = np.ones((3, n_samples), complex)
        turn[:, 1 : 1 + n], turn[:, n_samples - n :] = np.exp(1j * phases), np.exp(-1j * phases[:, ::-1])
        expected = np.fft.ifft(np.fft.fft(x[record].double().numpy()) * turn)
        assert np.abs(expected.imag).max() < 1e-12
        np.testing.assert_allclose(y[record], expected.real, atol=1e-5)


def test_shift_moves_each_record_and_enters_zeros(x: Tensor):
    offsets = torch.tensor([0, 3, -4, 101, -250])
    y = timing.shift(x, offsets)
    for i, offset in enumerate(offsets.tolist()):
        expected = np.zeros((3, 101), np.float32)
        for t in range(101):
            if 0 <= t - offset < 101:
                expected[:, t] = x[i, :, t - offset]
        np.testing.assert_array_equal(y[i], expected)


def test_shift_draws_what_the_padding_gives(generator: torch.Generator):
    """The published way: zeros on both sides, then one of two windows."""
    part, n_samples = timing.Shift(most=9), 12
    x = torch.arange(1.0, n_samples + 1)[None, None].expand(40, 1, -1)
    found = {tuple(row) for row in part.apply(x, part.draw(x.shape, generator))[:, 0].int().tolist()}
    allowed = set()
    for left in range(9):
        right = 9 - left
        padded = [0] * left + list(range(1, n_samples + 1)) + [0] * right
        allowed |= {tuple(padded[:n_samples]), tuple(padded[right : right + n_samples])}
    assert found <= allowed
    assert len(found) > 9


def test_crop_resize_is_numpy_interp_of_each_record(x: Tensor, generator: torch.Generator):
    part = timing.CropResize(share=(0.3, 0.9), length=77)
    draws = part.draw(x.shape, generator)
    y = part.apply(x, draws)
    assert len(set(draws["length"].tolist())) > 1
    for i, (start, length) in enumerate(zip(draws["start"].tolist(), draws["length"].tolist(), strict=True)):
        for lead in range(3):
            given_crop = x[i, lead, start : start + length].double().numpy()
            expected = np.interp(np.linspace(0, length, 77), np.arange(length), given_crop)
            np.testing.assert_allclose(y[i, lead], expected, atol=1e-6)


@given(st.integers(1, 9), st.integers(2, 40))
def test_undersample_is_numpy_interp(step: int, n_samples: int):
    x = torch.randn(2, 1, n_samples, generator=torch.Generator().manual_seed(step))
    y = timing.undersample(x, step)
    for i in range(2):
        kept = np.arange(0, n_samples, step)
        np.testing.assert_allclose(y[i, 0], np.interp(np.arange(n_samples), kept, x[i, 0, kept].numpy()), atol=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 30), st.floats(0, 1))
def test_masked_patches_fill_their_share_and_do_not_overlap(seed: int, patch: int, share: float):
    part = masking.MaskPatches(share=share, patch=patch)
    x = torch.ones(3, 2, 120)
    n_patches = round(share * 120 / patch)
    if n_patches * patch > 120:
        with pytest.raises(UsageError, match="do not fit"):
            part.draw(x.shape, torch.Generator())
        return
    draws = part.draw(x.shape, torch.Generator().manual_seed(seed))
    y = part.apply(x, draws)
    expected = np.ones((3, 2, 120))
    for record, lead in np.ndindex(3, 2):
        starts = draws["starts"][record, lead].tolist()
        assert all(later - earlier >= patch for earlier, later in itertools.pairwise(starts))
        for start in starts:
            expected[record, lead, start : start + patch] = 0
    np.testing.assert_array_equal(y, expected)


def test_masked_leads_leave_one_and_have_the_probability(generator: torch.Generator):
    part = masking.MaskLeads(share=0.5)
    masked = part.draw((4000, 12, 10), generator)["masked"]
    assert abs(masked.float().mean() - 0.5) < 0.01
    assert not masking.MaskLeads(share=1.0).draw((50, 12, 10), generator)["masked"].all(-1).any()
    y = part.apply(torch.ones(4000, 12, 2), {"masked": masked})
    np.testing.assert_array_equal(y[..., 0] == 0, masked)


def test_frequency_shift_moves_a_tone(generator: torch.Generator):
    at = torch.arange(512) / 128
    x = torch.sin(2 * math.pi * 10 * at)[None, None].repeat(3, 1, 1)
    y = spectrum.frequency_shift(x, torch.tensor([0.0, 2.0, -3.0]), fs=128)
    torch.testing.assert_close(y[0], x[0], atol=1e-5, rtol=0)
    assert (torch.fft.rfft(y).abs().argmax(-1)[:, 0] / 4).tolist() == [10, 12, 7]
    both = spectrum.FrequencyShift(2.0, both_ways=True).draw((1000, 1, 9), generator)["shift_hz"]
    assert both.min() < -1.8
    assert both.max() > 1.8
    assert spectrum.FrequencyShift(2.0).draw((3, 1, 9), generator)["shift_hz"].tolist() == [2.0] * 3


def test_masked_spectrum_of_a_batch_is_that_of_each_record(x: Tensor, generator: torch.Generator):
    frequency, start = torch.tensor([True, False, True, False, True]), torch.tensor([0, 2, 3, 1, 4])
    y = spectrum.mask_spectrum(x, frequency, start, share=0.3, n_fft=16)
    window = torch.ones(16)
    for i in range(5):
        stft = torch.stft(x[i], 16, window=window, return_complex=True)
        size = int(stft.shape[-2 if frequency[i] else -1] * 0.3)
        block = slice(int(start[i]), int(start[i]) + size)
        stft[(slice(None), block) if frequency[i] else (..., block)] = 0
        expected = torch.istft(stft, 16, window=window, length=101)
        torch.testing.assert_close(y[i], expected, atol=1e-5, rtol=0)
    part = spectrum.MaskSpectrum(share=0.3, n_fft=16)
    draws = part.draw((2000, 3, 101), generator)
    for kind, size in zip((True, False), spectrum.spectrogram_size(101, 16), strict=True):
        starts = draws["start"][draws["frequency"] == kind]
        assert (starts.min(), starts.max()) == (0, size - int(size * 0.3))
    with pytest.raises(UsageError, match="more than 60 samples, got 60"):
        spectrum.MaskSpectrum().draw((1, 1, 60), generator)


def test_fourier_coefficients_give_the_signal_back(x: Tensor):
    parts = spectrum.time_to_fourier(x, stacked=True)
    torch.testing.assert_close(spectrum.fourier_to_time(parts[:, 0], parts[:, 1]), x, atol=1e-5, rtol=0)
    rows = spectrum.time_to_fourier(x)
    torch.testing.assert_close(rows.unflatten(1, (3, 2)).transpose(1, 2), parts)
    assert spectrum.time_to_fourier(x, factor=2, half=True).shape == (5, 6, 101)


def test_choose_lead_draws_the_published_replacements(generator: torch.Generator):
    """I half the time; else aVL, −aVR, II, −III, aVF, −aVF, each a twelfth."""
    part = amplitude.ChooseLead()
    x = torch.arange(1.0, 13)[None, :, None].repeat(6000, 1, 4)
    y = part.apply(x, part.draw(x.shape, generator))
    assert y.shape == (6000, 1, 4) == part.shape_after(tuple(x.shape))
    values, counts = y[:, 0, 0].unique(return_counts=True)
    shares = dict(zip(values.tolist(), (counts / 6000).tolist(), strict=True))
    assert set(shares) == {1, 5, -4, 2, -3, 6, -6}
    assert abs(shares.pop(1) - 0.5) < 0.02
    assert all(abs(share - 1 / 12) < 0.015 for share in shares.values())
    with pytest.raises(UsageError, match="needs a lead in row 5, got a batch of 3"):
        part.draw((2, 3, 4), generator)


def test_permuted_leads_are_the_same_leads(x: Tensor, generator: torch.Generator):
    part = amplitude.PermuteLeads()
    order = part.draw(x.shape, generator)["order"]
    y = part.apply(x, {"order": order})
    for i in range(5):
        assert sorted(order[i].tolist()) == [0, 1, 2]
        np.testing.assert_array_equal(y[i], x[i][order[i]])


@pytest.mark.parametrize("over", ["record", "lead", [[2], [0, 1]]])
def test_normalisations_count_only_what_was_recorded(x: Tensor, over):
    x[0, 0, 10:30], x[1, 2] = torch.nan, torch.nan
    standard, ranged = scaling.standardised(x, over=over, unbiased=False), scaling.ranged(x, over=over, low=0, high=2)
    groups = {"record": [[0, 1, 2]], "lead": [[0], [1], [2]]}.get(over, over) if isinstance(over, str) else over
    for record in range(5):
        for group in groups:
            part = x[record, group].double().numpy()
            if np.isnan(part).all():
                assert standard[record, group].isnan().all()
                assert ranged[record, group].isnan().all()
                continue
            np.testing.assert_allclose(standard[record, group], (part - np.nanmean(part)) / np.nanstd(part), atol=1e-5)
            low, high = np.nanmin(part), np.nanmax(part)
            np.testing.assert_allclose(ranged[record, group], 2 * (part - low) / (high - low), atol=1e-5)


def test_normalisations_of_a_flat_lead_and_of_wrong_groups(x: Tensor):
    x[0, 0] = 0.1
    assert (scaling.standardised(x, over="lead")[0, 0] == 0).all()
    assert (scaling.ranged(x, over="lead")[0, 0] == -1).all()
    with pytest.raises(UsageError, match="each of 3 rows once"):
        scaling.standardised(x, over=[[0, 1]])
    with pytest.raises(UsageError, match="'leads' is unknown"):
        scaling.ranged(x, over="leads")


@pytest.mark.parametrize("name", sorted(set(ECG) - {"mask_patches", "mask_leads", "choose_lead"}))
def test_gaps_stay_gaps_and_do_not_spread(name: str, generator: torch.Generator):
    """Leads not recorded at all, and a gap; all else finite, whatever is drawn."""
    small = {"crop": {"length": 150}, "shift": {"most": 40}, "mask_spectrum": {"n_fft": 16}}
    part = ECG[name](**small.get(name, {}))
    x = torch.randn(6, 4, 200, generator=generator)
    x[0, 1], x[2, 3, 60:90] = torch.nan, torch.nan
    draws = part.draw(tuple(x.shape), generator)
    y = part.apply(x, draws)
    assert tuple(y.shape) == part.shape_after(tuple(x.shape))
    assert y[[1, 3, 4, 5]].isfinite().all()
    assert y[0].isnan().any(-1).sum() == 1
    assert name == "shift" or y[0].isnan().all(-1).sum() == 1  # zeros enter by a shift
    gaps = y[2].isnan().any(-1)
    assert gaps.sum() <= 1
    assert y[2].isnan().sum() <= 30 * 200 / 150 + 2
    if not part.moves_time and name not in ("permute_leads", "undersample"):
        np.testing.assert_array_equal(y.isnan(), x.isnan())


def test_a_gap_has_no_say_beside_samples_that_are_met():
    x = torch.arange(9.0)[None, None].clone()
    x[..., 4] = torch.nan
    assert timing.undersample(x, 2).isnan()[0, 0].tolist() == [False] * 3 + [True] * 3 + [False] * 3
    whole = timing.crop_resize(x, torch.tensor([1]), torch.tensor([7]), 8)
    assert whole.isnan()[0, 0].tolist() == [False] * 3 + [True] + [False] * 4


def test_masked_samples_are_zero_even_where_not_recorded():
    x = torch.full((1, 2, 8), torch.nan)
    y = masking.mask_patches(x, torch.tensor([[[2]]]), 3)
    assert (y[..., 2:5] == 0).all()
    assert y.isnan().sum() == 10
    assert (masking.mask_leads(x, torch.tensor([[True, False]]))[0, 0] == 0).all()


@pytest.mark.parametrize("name", sorted(ECG))
def test_draws_are_reproducible_differ_between_records_and_leave_the_batch_alone(name: str):
    small = {
        "mask_spectrum": {"n_fft": 16},
        "crop": {"length": 80},
        "shift": {"most": 40},
        "mask_patches": {"patch": 20},
    }
    part = ECG[name](**small.get(name, {}))
    x = torch.randn(1, 12, 200).repeat(8, 1, 1).requires_grad_()
    before = x.detach().clone()
    first, again = (part.draw(tuple(x.shape), torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert all(len(value) == 8 for value in first.values())
    y = part.apply(x, first)
    assert torch.equal(x, before)
    assert y.dtype == torch.float32
    constant = ("sign_flip", "time_flip", "undersample", "frequency_shift")
    assert (len({row.tobytes() for row in y.detach().numpy()}) > 1) == (name not in constant)
    y.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("part", "tolerance"),
    [
        (timing.TimeFlip(), 0),
        (timing.Shift(most=60), 0),
        (timing.Crop(length=120), 0),
        (timing.Crop(length=100, start=30), 0),
        (timing.CropResize(share=(0.5, 0.9)), 1.5),
        (timing.CropResize(share=(0.5, 0.9), length=90), 1.5),
        (spectrum.FourierSurrogate(0.0), 0),
        (amplitude.Rescale(0.0), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_positions_follow_the_samples(part, tolerance: float, generator: torch.Generator):
    """A spike at each record's own place is found where `moved` says, or nowhere where it says so."""
    place = torch.randint(200, (60, 1), generator=generator)
    x = torch.zeros(60, 1, 200).scatter(-1, place[:, None], 1.0)
    draws = part.draw(tuple(x.shape), generator)
    y = part.apply(x, draws)[:, 0]
    moved = part.moved(torch.cat((place.float(), torch.full((60, 1), torch.nan)), 1), draws, 200)
    assert moved[:, 1].isnan().all()
    n_lost = 0
    for row, to in zip(y, moved[:, 0].tolist(), strict=True):
        if math.isnan(to):
            n_lost += 1
            assert row.max() < 0.5 + tolerance
        else:
            assert abs(int(row.argmax()) - to) <= tolerance
    assert n_lost < 60
    assert part.moves_time or torch.equal(moved[:, :1], place.float())


def test_positions_are_refused_where_beats_dissolve():
    with pytest.raises(UsageError, match="detect them"):
        spectrum.FourierSurrogate(1.0).moved(torch.zeros(1, 1), {}, 100)


def test_crop_takes_every_start_and_refuses_what_is_too_short(generator: torch.Generator):
    starts = timing.Crop(length=8).draw((500, 1, 10), generator)["start"]
    assert set(starts.tolist()) == {0, 1, 2}
    with pytest.raises(UsageError, match="crop needs 2500 samples, got 1000"):
        timing.Crop().draw((1, 1, 1000), generator)
    with pytest.raises(UsageError, match="crop needs 12 samples, got 10"):
        timing.Crop(length=8, start=4).draw((1, 1, 10), generator)


def test_draws_have_their_distributions(generator: torch.Generator):
    shape = (4000, 2, 9)
    noise = amplitude.Jitter(sigma=0.25).draw(shape, generator)["noise"]
    assert abs(noise.std() - 0.25) < 0.005
    factor = amplitude.Rescale(sigma=0.5).draw(shape, generator)["factor"]
    assert abs(factor.mean() - 1) < 0.03
    assert abs(factor.std() - 0.5) < 0.03
    phases = spectrum.FourierSurrogate(0.1).draw(shape, generator)["phases"]
    assert phases.shape == (4000, 1, 4)
    assert 0 <= phases.min() < 0.01
    assert 0.62 < phases.max() <= 2 * math.pi * 0.1
    added = amplitude.Noise(sigma=(0.1, 0.3)).draw((4000, 2, 50), generator)["noise"].flatten(1).std(1)
    assert 0.07 < added.min() < 0.12
    assert 0.28 < added.max() < 0.37
