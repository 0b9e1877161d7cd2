"""A simulated echo shows the heart it was made from, and is the same at every making."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cardioloom.errors import UsageError
from cardioloom.simulator import draw
from cardioloom.simulator.echo import echo, echo_truth
from cardioloom.simulator.heart import Heart


def number(patient: int, population: str = "general") -> Heart:
    return draw(11, patient, population)


@pytest.fixture(scope="module")
def clear() -> list[Heart]:
    """Normal hearts of site A, where noise and dropout are small."""
    hearts = (number(patient) for patient in range(60))
    return [heart for heart in hearts if heart.diagnosis == "normal" and heart.site == "A"][:12]


def test_record():
    made = echo(number(0))
    assert made.frames.shape == (32, 112, 112)
    assert made.view == "a4c"
    assert "not a patient" in made.notes[0]
    assert 16 <= made.fps <= 60
    beats = made.seconds * number(0).electrics.heart_rate_bpm / 60
    assert 1.2 < beats < 2.1
    assert made.pixel_mm is not None
    assert 1.0 < made.pixel_mm[0] < 3.0


def test_same_whatever_was_made_before():
    first = echo(number(4), video=1).frames
    echo(number(5))
    echo(number(4), video=0)
    assert (echo(number(4), video=1).frames == first).all()


def test_another_video_of_the_same_heart_differs():
    heart = number(4)
    one, two = echo(heart), echo(heart, video=1)
    assert (one.frames != two.frames).mean() > 0.2
    a, b = echo_truth(heart), echo_truth(heart, video=1)
    assert a.phases[0] != b.phases[0]


def test_a_longer_video_begins_with_the_shorter():
    heart = number(6)
    assert (echo(heart, n_frames=48).frames[:8] == echo(heart, n_frames=8).frames).all()
    assert (echo_truth(heart, n_frames=48).masks[:8] == echo_truth(heart, n_frames=8).masks).all()


@pytest.mark.parametrize("size", [64, 112, 224])
def test_masks_hold_the_volume(size: int):
    """Discs of the mask give the single-plane volume; that is the heart's but for foreshortening and oval shape."""
    for patient in range(6):
        heart = number(patient, "hospital")
        truth, made = echo_truth(heart, n_frames=6, size=size), echo(heart, n_frames=6, size=size)
        assert made.pixel_mm is not None
        pixel = made.pixel_mm[0]
        area = (truth.masks == 1).sum((1, 2)) * pixel**2
        np.testing.assert_allclose(area, truth.lv_area_mm2, rtol=0.04 if size > 64 else 0.08)
        by_area = 8 / (3 * np.pi) * area**2 / truth.lv_length_mm / 1000  # area–length method
        np.testing.assert_allclose(by_area, truth.single_plane_ml, rtol=0.10)
        np.testing.assert_allclose(truth.single_plane_ml, truth.lv_ml, rtol=0.25)


def test_volumes_reach_those_of_the_heart():
    ratios = []
    for patient in range(12):
        heart = number(patient)
        truth = echo_truth(heart, n_frames=64)
        assert truth.lv_ml.max() <= heart.lv_edv_ml + 1e-6
        assert truth.lv_ml.min() >= heart.lv_esv_ml - 1e-6
        assert truth.lv_ml.max() > 0.97 * heart.lv_edv_ml
        assert truth.lv_ml.min() < heart.lv_esv_ml + 0.05 * heart.stroke_volume_ml
        shown = 1 - truth.single_plane_ml.min() / truth.single_plane_ml.max()
        ratios.append(shown / heart.lv_ef)
    assert 0.93 < np.mean(ratios) < 1.03


def test_blood_is_darker_than_muscle(clear: list[Heart]):
    for heart in clear:
        frames, masks = echo(heart).frames.astype(float), echo_truth(heart).masks
        deep = np.arange(112)[:, None] > 45  # behind the haze of the near field
        blood = frames[(masks == 1) & deep].mean()
        atrium = frames[masks == 4].mean()
        muscle = frames[(masks == 2) & deep].mean()
        assert muscle > 1.3 * blood + 8
        assert muscle > 1.3 * atrium + 8


def test_outside_the_sector_is_black():
    frames = echo(number(3)).frames
    assert frames[:, -1, 0].max() == 0
    assert frames[:, 20, :20].max() == 0
    assert frames[:, :, 40:72].max() > 100


def test_speckle_is_that_of_rayleigh():
    """Amplitude under the pulse has mean over SD of 1.91; three depths together somewhat more."""
    from cardioloom.prepare.median import compiled
    from cardioloom.simulator import echo_kernels as kernels
    from cardioloom.simulator.echo_machine import pulse

    field = np.random.default_rng(1).standard_normal((90, 140, 2)).astype(np.float32)
    gain, power = np.ones((90, 140), np.float32), np.empty((90, 140), np.float32)
    lateral, axial = pulse(1.3, 7, tail=0.03), np.ones(1, np.float32)
    compiled(kernels.blur)(field, lateral, axial, gain, power)
    inner = power[8:-8, 8:-8]
    assert abs(inner.mean() / 8 - 1) < 0.1  # real and imaginary part, weights 1 + 2 + 1
    amplitude = np.sqrt(inner)
    assert 1.91 < amplitude.mean() / amplitude.std() < 3.5


def test_blur_is_the_slow_convolution():
    from cardioloom.prepare.median import compiled
    from cardioloom.simulator import echo_kernels as kernels
    from cardioloom.simulator.echo_machine import pulse

    random = np.random.default_rng(2)
    field = random.standard_normal((20, 30, 2)).astype(np.float32)
    gain = random.random((20, 30)).astype(np.float32)
    lateral, axial, power = pulse(1.2, 3), pulse(0.8, 2), np.empty((20, 30), np.float32)
    compiled(kernels.blur)(field, lateral, axial, gain, power)
    signal = field[..., 0] + 1j * field[..., 1]
    wide = np.pad(signal, ((3, 3), (0, 0)), "edge")
    rows = sum(lateral[k] * wide[k : k + 20] for k in range(7))
    deep = np.pad(rows, ((0, 0), (2, 2)))
    alone = np.abs(sum(axial[k] * deep[:, k : k + 30] for k in range(5))) ** 2
    edged = np.pad(alone, ((0, 0), (1, 1)), "edge")
    np.testing.assert_allclose(power, (edged[:, :-2] + 2 * alone + edged[:, 2:]) * gain, rtol=1e-4, atol=1e-6)


def test_speckle_moves_with_the_wall(clear: list[Heart]):
    """Frames at the same phase of two beats resemble each other more than frames half a beat apart."""
    near, far = [], []
    for heart in clear:
        truth, frames = echo_truth(heart, n_frames=64), echo(heart, n_frames=64).frames.astype(float)
        inside = frames.max(0) > 0
        for t in range(5, 30, 6):
            apart = np.abs((truth.phases - truth.phases[t] + 0.5) % 1 - 0.5)
            apart[: t + 12] = 0.25  # only a later beat
            same, other = int(apart.argmin()), int(np.abs(truth.lv_ml - truth.lv_ml[t]).argmax())
            near.append(np.corrcoef(frames[t][inside], frames[same][inside])[0, 1])
            far.append(np.corrcoef(frames[t][inside], frames[other][inside])[0, 1])
    assert np.mean(near) > np.mean(far) + 0.03


@pytest.mark.parametrize("device", ["pacemaker_lead", "mitral_clip", "aortic_prosthesis"])
def test_a_device_is_bright_and_in_its_place(device: str, clear: list[Heart]):
    for heart in clear[:4]:
        with_it, without = (echo(replace(heart, devices=d)).frames.astype(int) for d in ((device,), ()))
        masks = echo_truth(heart).masks
        more = (with_it - without).max(0)
        row, _ = np.unravel_index(more.argmax(), more.shape)
        assert more.max() > 60
        mean_row = np.argwhere(masks == (5 if device == "pacemaker_lead" else 4)).mean(0)
        if device == "pacemaker_lead":
            bright = np.argwhere(more > 0.5 * more.max())
            right = np.argwhere((masks == 3) | (masks == 5))[:, 2].max()
            assert np.ptp(bright[:, 0]) > 25  # a long line …
            assert (bright[:, 1] <= right + 3).mean() > 0.9  # … in the right heart
        else:
            assert row < mean_row[1]  # above the middle of the left atrium


def test_fibrillation_has_no_even_beats():
    heart = replace(number(2), electrics=replace(number(2).electrics, rr_sd_ms=15.0))
    fast = replace(heart, electrics=replace(heart.electrics, rhythm="atrial_fibrillation", heart_rate_bpm=110.0))
    rates = []
    for one in (heart, fast):
        made = echo(one, n_frames=200)
        starts = np.flatnonzero(np.diff(echo_truth(one, n_frames=200, size=16).phases) < 0)
        beats = np.diff(starts) / made.fps
        rates.append(beats.std() / beats.mean())
    assert rates[1] > 2 * rates[0]


@pytest.mark.parametrize("wrong", [{"video": -1}, {"n_frames": 0}, {"size": 8}, {"size": 5000}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError, match="got video"):
        echo(number(0), **wrong)


def test_the_generator_is_phantom_1():
    """Numbers of `phantom/1`; where they change it is another generator."""
    heart = number(7, "hospital")
    truth, made = echo_truth(heart, n_frames=16, size=64), echo(heart, n_frames=16, size=64)
    counts = np.bincount(truth.masks.ravel(), minlength=6)
    np.testing.assert_allclose(counts, [50069, 7992, 1446, 2497, 1760, 1772], atol=8)
    assert made.fps == pytest.approx(22.099932845618238, rel=1e-9)
    np.testing.assert_allclose(made.frames.mean((1, 2))[:3], [24.569, 24.501, 24.499], atol=0.02)
