"""Cines that begin at any frame: whether a trained net finds phases by what it sees; the views of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cardioloom.errors import UsageError
from cardioloom.evaluation.phases import best_roll, diagonal_distance, phase_similarity
from cardioloom.nn.transformer import PatchEncoder
from cardioloom.recipes import ptacl_stages
from cardioloom.recipes.pairs import Pairs
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.recipes.ptacl_sizes import PHASES
from cardioloom.recipes.ptacl_stages import Phased, encoder_config, phases_of
from cardioloom.recipes.ptacl_views import SAMPLES, Views, frames, from_peak, rolled, stills

BEAT, N, SHIFT = 500, 12, 4  # samples between R peaks; hearts; time tokens


def hearts(seed: int, *, still: bool = False) -> Pairs:
    """Beats whose ECG and, unless still, whose cine tell the phase, as sine and cosine in leads and in halves."""
    random = torch.Generator().manual_seed(seed)
    start = torch.randint(0, BEAT, (N, 1), generator=random)
    turn = 2 * torch.pi * (torch.arange(2 * SAMPLES) - start) / BEAT
    ecg = torch.stack([turn.cos(), turn.sin()] * 6, dim=1)
    peaks = (start + BEAT * torch.arange(10)).float()
    seen = 2 * torch.pi * torch.arange(26) / 26
    cine = torch.zeros(N, 26, 42, 42)
    cine[..., :21], cine[..., 21:] = (part[None, :, None, None] * 0.5 + 0.5 for part in (seen.cos(), seen.sin()))
    cine = torch.full_like(cine, 0.5) if still else cine
    strength = 1 + 0.1 * torch.randn(N, 1, 1, generator=random)
    return Pairs(ecg * strength, peaks, cine, torch.zeros(N, 1), tuple(map(str, range(N))))


def trained(*, roll: bool, still: bool = False) -> Phased:
    settings = Settings(preset="tiny", method="no_unimodal", goal="retrieval", roll=roll, augment="none")
    torch.manual_seed(0)
    stage = ptacl_stages.pairs(
        settings, *(PatchEncoder(encoder_config(settings, modality)) for modality in ("ecg", "cine"))
    )
    optimizer = torch.optim.Adam(stage.net.parameters(), lr=3e-3)
    for n in range(60):
        stage.step(stage.net, hearts(n, still=still)).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert isinstance(stage.net, Phased)
    return stage.net.eval()


def displaced(net: Phased, shift: int, *, still: bool = False) -> int:
    """By how many tokens the diagonal lies elsewhere when each cine begins so many time tokens later."""
    batch = hearts(1000, still=still)
    operator, usable = phases_of(net.paired.ecg.encoder.config, batch.peaks)
    cine = rolled(frames(batch.cine), torch.full((N,), 2 * shift))
    with torch.inference_mode():
        _, _, left, right = net(batch.ecg[..., :SAMPLES], cine, operator)
    found = diagonal_distance(left.numpy(), right.numpy(), usable.numpy())
    assert shift or found["value"] < found["constant"]  # no answer that is the same for every phase
    return best_roll(phase_similarity(left.numpy(), right.numpy(), usable.numpy()))


def test_with_roll_the_diagonal_follows_the_pictures():
    net = trained(roll=True)
    assert [displaced(net, shift) for shift in (0, SHIFT, -3)] == [0, -SHIFT, 3]


def test_without_roll_phases_are_found_where_there_is_nothing_to_see():
    """The place of a token is enough: the reason for the controls in judged.json."""
    net = trained(roll=False, still=True)
    assert [displaced(net, shift, still=True) for shift in (0, SHIFT)] == [0, 0]


def test_shifted_phases_come_back_in_the_order_of_the_beat():
    settings = Settings(preset="tiny")
    encoders = (PatchEncoder(encoder_config(settings, modality)) for modality in ("ecg", "cine"))
    net, batch = ptacl_stages.pairs(settings, *encoders).net, hearts(0)
    operator, _ = phases_of(net.paired.ecg.encoder.config, batch.peaks)  # type: ignore[union-attr]
    shift = torch.arange(N) % PHASES
    plain = net(batch.ecg[..., :SAMPLES], frames(batch.cine), operator)[3]
    back = net(batch.ecg[..., :SAMPLES], frames(batch.cine), operator, shift)[3]
    for heart in range(N):
        assert torch.equal(back[heart], plain[heart].roll(int(shift[heart]), 0))


def test_a_rolled_cine_begins_at_another_frame():
    cine = torch.arange(2 * 26).float().view(2, 26, 1, 1)
    found = rolled(cine, torch.tensor([3, -1]))
    assert torch.equal(found[0], cine[0].roll(-3, 0))
    assert torch.equal(found[1], cine[1].roll(1, 0))


def test_the_cross_modal_autoencoder_sees_beats_from_a_peak_on():
    batch = hearts(3)
    peaks = batch.peaks.clone()
    peaks[0] = torch.nan  # irregular: from the beginning
    peaks[1] = 4000.0  # too late for a crop
    found = from_peak(Pairs(batch.ecg, peaks, batch.cine, batch.y, batch.names))
    assert torch.equal(found[0], batch.ecg[0, :, :SAMPLES])
    assert torch.equal(found[1], batch.ecg[1, :, -SAMPLES:])
    for heart in range(2, N):
        first = int(peaks[heart, 0])
        assert torch.equal(found[heart], batch.ecg[heart, :, first : first + SAMPLES])


def test_stills_are_augmented_as_cines_are_and_keep_their_three_frames():
    batch = hearts(5)
    plain = Views("none").stills(batch)
    assert torch.equal(plain, stills(batch.cine))
    torch.manual_seed(1)
    changed: Tensor = Views("ptacl").stills(batch)
    assert changed.shape == plain.shape
    assert not torch.equal(changed, plain)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"method": "global", "roll": True}, "roll"),
        ({"method": "global", "beta": 0.5}, "matches no phases"),
        ({"method": "mae", "goal": "retrieval"}, "one setting of its losses"),
        ({"method": "mae", "weight": 0.3}, "trains no pairs"),
        ({"method": "supervised", "head": "probe"}, "use method random"),
        ({"method": "mae", "augment": "mmcl"}, "mae sees plain crops and frames, got augment 'mmcl'"),
        ({"method": "cmae", "augment": "none"}, "cmae sees plain crops and frames, got augment 'none'"),
        ({"method": "supervised", "augment": "mmcl"}, "plain crops and frames"),
        ({"method": "random", "augment": "mmcl"}, "plain crops and frames"),
        ({"method": "cine_mae", "augment": "mmcl"}, "plain crops and frames"),
        ({"method": "cine_supervised", "augment": "mmcl"}, "plain crops and frames"),
        ({"method": "random", "epochs": 77, "lr": 0.5}, "takes no steps, got epochs 77 and lr 0.5: leave it out"),
        ({"method": "cine_random", "epochs": 77}, "takes no steps, got epochs 77: leave it out"),
        ({"method": "cine_supervised", "head": "probe"}, "use method random"),
    ],
)
def test_what_would_do_nothing_is_refused(values: dict[str, object], what: str):
    with pytest.raises(UsageError, match=what):
        Settings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"method": "random", "head": "finetune", "epochs": 7, "lr": 0.5},
        {"method": "random", "batch": 8},  # so many are read at once
        {"method": "mae", "epochs": 7, "lr": 0.5},
        *({"method": method, "augment": "mmcl"} for method in ("ptacl", "mmcl", "eccl", "simclr", "cine_simclr")),
    ],
)
def test_what_does_something_is_taken(values: dict[str, object]):
    assert Settings(**values)  # type: ignore[arg-type]


def test_the_stages_of_a_method_are_those_that_it_trains():
    found = {method: Settings(method=method).stages for method in ("ptacl", "mmcl", "eccl", "cmae", "mae", "random")}
    assert found == {
        "ptacl": ("masked_ecg", "masked_cine", "pairs"),
        "mmcl": ("masked_ecg", "pairs"),
        "eccl": ("labels_cine", "pairs"),
        "cmae": ("pairs",),
        "mae": ("masked_ecg",),
        "random": (),
    }


def test_hearts_of_these_tests_have_beats():
    assert np.isfinite(hearts(0).peaks.numpy()).all()
