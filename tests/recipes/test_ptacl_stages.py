"""The stages of PTACL before the head: what is trained, what is held, and what the losses see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cardioloom.evaluation.phases import best_roll, diagonal_distance, phase_similarity
from cardioloom.models.task import Output, Task
from cardioloom.nn.paired import Paired
from cardioloom.nn.readout import Readout
from cardioloom.nn.transformer import PatchEncoder, n_parameters
from cardioloom.objectives.contrastive import info_nce, nt_xent
from cardioloom.objectives.local import local_loss, phase_cosine
from cardioloom.recipes import ptacl_judge, ptacl_stages
from cardioloom.recipes.pairs import CINE, FRAMES, PairFeed, Pairs, feed_of
from cardioloom.recipes.ptacl_settings import GOALS, Settings
from cardioloom.recipes.ptacl_sizes import PHASES, PRESETS
from cardioloom.recipes.ptacl_stages import Phased, Stage, encoder_config, encoders_of, phases, phases_of
from cardioloom.recipes.ptacl_views import SAMPLES, Views, frames, rolled, stills
from cardioloom.store import Folder
from small_pairs import SPLITS

pytestmark = [pytest.mark.xdist_group("ptacl"), pytest.mark.usefixtures("cache")]
TINY = PRESETS["tiny"]
PIXELS = TINY.cine.size[-1]


def settings(method: str, **options: Any) -> Settings:
    plain = {} if method in ("mae", "cmae") else {"augment": "none"}
    return Settings(method=method, preset="tiny", **plain, **options)


def stage(method: str, seed: int = 0, **options: Any) -> Stage:
    """The stage of pairs with new encoders."""
    asked = settings(method, **options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoders = [PatchEncoder(encoder_config(asked, name)) for name in ("ecg", "cine")]
        build = ptacl_stages.crossed if asked.method_of.pairs == "crossed" else ptacl_stages.pairs
        return build(asked, *encoders)


@pytest.fixture(scope="module")
def truth(pairs: Folder) -> NDArray[np.float64]:
    return np.stack([pairs.columns["lv_edv_ml"], pairs.columns["lv_mass_g"]], axis=1).astype(np.float64)


@pytest.fixture(scope="module")
def feed(pairs: Folder, truth: NDArray[np.float64], cache: Any) -> PairFeed:
    return feed_of(pairs, ("ecg", CINE), truth, split="test", batch=8, pixels=PIXELS)


@pytest.fixture(scope="module")
def batch(feed: PairFeed) -> Pairs:
    """Ten pairs, some of them of hearts in fibrillation."""
    rows = feed.loader.rows
    loose = feed.loose[rows]
    chosen = np.sort(np.concatenate([rows[loose][:3], rows[~loose][:7]]))
    assert loose.sum() >= 2
    return feed.batch(chosen)


def loss_of(made: Stage, batch: Pairs, seed: int = 3) -> Tensor:
    """The same crops and frames each time."""
    torch.manual_seed(seed)
    return made.step(made.net, batch)


def trained(made: Stage, batch: Pairs, steps: int = 2) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights before and after some steps."""
    before = {name: value.clone() for name, value in made.net.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in made.net.parameters() if p.requires_grad], lr=1e-2)
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(made, batch, step).backward()
        optimizer.step()
    return before, dict(made.net.state_dict())


ALL = TINY.cine.depth + 1  # blocks, and the last norm


def held_in(encoder: PatchEncoder, blocks: int) -> set[str]:
    """Names of what lies in the first blocks and before them; with more blocks than there are, of all."""
    if blocks > len(encoder.blocks):
        return set(encoder.state_dict())
    parts = ("embedding.", "positions.", *(f"blocks.{n}." for n in range(blocks)))
    return {name for name in encoder.state_dict() if name.startswith(parts)}


@pytest.mark.parametrize(
    ("method", "ecg", "cine"),
    [
        ("ptacl", TINY.frozen_blocks, TINY.frozen_blocks),
        ("global", TINY.frozen_blocks, TINY.frozen_blocks),
        ("cosine", TINY.frozen_blocks, TINY.frozen_blocks),
        ("no_unimodal", 0, 0),
        ("mmcl", TINY.frozen_blocks, 0),
        ("eccl", 0, ALL),
        ("cmae", 0, 0),
    ],
)
def test_what_is_held_stays_and_all_else_is_trained(method: str, ecg: int, cine: int, batch: Pairs):
    made = stage(method)
    encoders = encoders_of(made.net)
    owners = {id(value): name for name, value in made.net.state_dict(keep_vars=True).items()}
    held = {owners[id(encoders[side].state_dict(keep_vars=True)[name])]
            for side, blocks in (("ecg", ecg), ("cine", cine)) if blocks
            for name in held_in(encoders[side], blocks)}  # fmt: skip
    before, after = trained(made, batch)
    still = {name for name in before if torch.equal(before[name], after[name])}
    idle = {name for name in before if name.endswith("mask_token")} if method == "cmae" else set()
    assert still - idle == held
    assert len(held) < len(before)


def test_the_local_loss_has_no_weight_of_its_own():
    own, plain = stage("ptacl").net, stage("global").net
    assert n_parameters(own) == n_parameters(plain) == n_parameters(Paired(*map(PatchEncoder, (TINY.ecg, TINY.cine)),
                                                                           projection=TINY.projection))  # fmt: skip
    assert own.state_dict().keys() == plain.state_dict().keys()
    assert n_parameters(own, trained_only=True) == n_parameters(plain, trained_only=True)


@torch.no_grad()
@pytest.mark.parametrize("goal", ["regression", "retrieval"])
@pytest.mark.parametrize("method", ["ptacl", "global", "cosine", "no_unimodal", "mmcl", "eccl"])
def test_the_losses_of_pairs_are_those_of_the_method(method: str, goal: str, batch: Pairs):
    """Written out: one encoder after the other, and each loss by its name."""
    has_phases, is_theirs = method in ("ptacl", "no_unimodal", "cosine"), method in ("mmcl", "eccl")
    options = {"weight": 0.25} | ({"beta": 0.5} if has_phases else {}) | ({} if is_theirs else {"goal": goal})
    made, own = stage(method, **options), GOALS[goal]
    found = loss_of(made, batch)
    torch.manual_seed(3)
    views, net = Views("none"), made.net.paired
    ecg, peaks = views.ecg(batch)
    cine = stills(batch.cine) if method == "mmcl" else views.cine(batch)
    left, right = net.ecg(ecg), net.cine(cine)
    wanted = info_nce(left.projected, right.projected, 0.1 if is_theirs else own.temperature, 0.25)
    if has_phases:
        operator, usable = phases_of(TINY.ecg, peaks)
        assert not usable.all()
        grid = net.ecg.encoder.embedding.grid
        signal = torch.einsum("bkt,bltw->bkw", operator, left.tokens.unflatten(1, grid)) / grid[0]
        pictures = right.tokens.unflatten(1, net.cine.encoder.embedding.grid).mean((2, 3))
        if method == "cosine":
            local = phase_cosine(signal[usable], pictures[usable])
        else:
            local = local_loss(signal[usable], pictures[usable], own.local_temperature, own.sigma, 0.25)
        wanted = wanted + 0.5 * local
    torch.testing.assert_close(found, wanted)


@torch.no_grad()
def test_the_losses_before_pairs_are_those_of_their_papers(batch: Pairs):
    for modality in ("ecg", "cine"):
        asked = settings("simclr")
        encoder = PatchEncoder(encoder_config(asked, modality))
        made = ptacl_stages.masked(modality, encoder)
        found = loss_of(made, batch)
        torch.manual_seed(3)
        x = Views("none").ecg(batch)[0] if modality == "ecg" else Views("none").cine(batch)
        said = made.net(x, torch.rand(len(x), encoder.n_tokens))
        gaps = [(said.predicted - said.target)[b, t].square().mean() for b, t in said.masked.nonzero().tolist()]
        torch.testing.assert_close(found, sum(gaps) / len(gaps))
        made = ptacl_stages.simclr(asked, modality, encoder)
        found = loss_of(made, batch)
        torch.manual_seed(3)
        draw = (lambda: Views("none").ecg(batch)[0]) if modality == "ecg" else (lambda: Views("none").cine(batch))
        first, second = draw(), draw()
        tower = made.net.tower
        torch.testing.assert_close(found, nt_xent(tower(first).projected, tower(second).projected, 0.1))


@torch.no_grad()
def test_the_loss_of_a_cross_modal_autoencoder_is_four_drawings_and_a_pairing(batch: Pairs):
    made = stage("cmae")
    found = loss_of(made, batch)
    torch.manual_seed(3)
    crops = torch.stack(
        [
            x[:, begin : begin + SAMPLES]
            for x, begin in zip(batch.ecg, batch.peaks[:, 0].nan_to_num(0).int().tolist(), strict=True)
        ]
    )  # from the first R peak on
    said = made.net(crops, Views("none").cine(batch))
    ecg_of_ecg, ecg_of_cine, cine_of_ecg, cine_of_cine = said.drawn
    ecg, cine = said.targets
    gaps = [F.mse_loss(one, ecg) / ecg.var(correction=0) for one in (ecg_of_ecg, ecg_of_cine)]
    gaps += [F.mse_loss(one, cine) / cine.var(correction=0) for one in (cine_of_ecg, cine_of_cine)]
    torch.testing.assert_close(found, info_nce(*said.latents, 0.1, 0.5) + sum(gaps) / 4)


def local_of(batch: Pairs) -> Tensor:
    """The local loss alone: of the same nets on the same crops, the rest is the loss of the global method."""
    return loss_of(stage("ptacl"), batch) - loss_of(stage("global"), batch)


@torch.no_grad()
def test_an_ecg_without_phases_counts_in_the_global_loss_alone(batch: Pairs):
    unusable = batch.peaks.isnan().all(1)
    assert 0 < int(unusable.sum()) < len(unusable)
    changed = replace(batch, ecg=torch.where(unusable[:, None, None], batch.ecg.flip(-1), batch.ecg))
    torch.testing.assert_close(local_of(changed), local_of(batch), rtol=1e-4, atol=1e-5)
    assert abs(loss_of(stage("global"), changed) - loss_of(stage("global"), batch)) > 1e-4
    other = replace(batch, ecg=torch.where(unusable[:, None, None], batch.ecg, batch.ecg.flip(-1)))
    assert abs(local_of(other) - local_of(batch)) > 1e-4


def test_a_batch_without_any_phases_has_the_global_loss_and_its_gradient(batch: Pairs):
    none = replace(batch, peaks=torch.full_like(batch.peaks, torch.nan))
    own, plain = stage("ptacl"), stage("global")
    left, right = loss_of(own, none), loss_of(plain, none)
    torch.testing.assert_close(left, right)
    left.backward()
    right.backward()
    for one, other in zip(own.net.parameters(), plain.net.parameters(), strict=True):
        if one.requires_grad:
            torch.testing.assert_close(one.grad, other.grad)


# ---- rolling the cine ----


def phased(seed: int = 0) -> Phased:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Phased(Paired(PatchEncoder(TINY.ecg), PatchEncoder(TINY.cine), projection=TINY.projection,
                             frozen_blocks=0))  # fmt: skip


@torch.no_grad()
def rolled_phases(positions: str, n: int, batch: Pairs) -> tuple[Tensor, Tensor]:
    """Phases of cines as they are, and of the cines rolled by n tokens.

    Args:
        positions: what is done to the table of times: "removed", "rolled" along with the frames, or "kept".
    """
    net, x = phased(), frames(batch.cine)
    operator, _ = phases_of(TINY.ecg, batch.peaks)
    table = net.paired.cine.encoder.positions.tables[0]
    assert len(table) == PHASES
    if positions == "removed":
        table.zero_()
    before = phases(net.paired, *net.paired(batch.ecg[..., :SAMPLES], x), operator)[1]
    if positions == "rolled":
        table.copy_(table.roll(n, 0))
    moved = x.roll(n * TINY.cine.patch[0], dims=1)
    return before, phases(net.paired, *net.paired(batch.ecg[..., :SAMPLES], moved), operator)[1]


@pytest.mark.parametrize("positions", ["removed", "rolled"])
@pytest.mark.parametrize("n", [-5, -1, 1, 2, 6])
def test_a_cine_that_is_rolled_moves_the_phase_diagonal(positions: str, n: int, batch: Pairs):
    """What is seen in a frame moves with the frame; an ECG that found its phases finds them n tokens later."""
    before, after = rolled_phases(positions, n, batch)
    torch.testing.assert_close(after, before.roll(n, 1), rtol=1e-3, atol=1e-4)
    ecg = before - before.mean(1, keepdim=True)  # the ECG that says the same as the cine, phase by phase
    cine = after - after.mean(1, keepdim=True)
    similarity = phase_similarity(ecg, cine)
    assert best_roll(phase_similarity(ecg, ecg)) == 0
    assert best_roll(similarity) == n
    np.testing.assert_allclose(similarity, np.roll(phase_similarity(ecg, ecg), n, axis=1), atol=1e-3)


def test_positions_that_stay_are_told_from_what_is_seen(batch: Pairs):
    """In a new net the place of a token says more than what is in it: the phases do not move with the cine."""
    before, after = rolled_phases("kept", 4, batch)
    assert not torch.allclose(after, before.roll(4, 1), rtol=1e-2, atol=1e-2)
    centred = [one - one.mean(1, keepdim=True) for one in (before, after)]
    assert best_roll(phase_similarity(*centred)) == 0


@torch.no_grad()
def test_phases_of_cines_rolled_in_training_are_given_back_in_order(batch: Pairs):
    """Each by its own number of tokens; without a table of times nothing else tells them from those not rolled."""
    net, x = phased(), frames(batch.cine)
    operator, _ = phases_of(TINY.ecg, batch.peaks)
    net.paired.cine.encoder.positions.tables[0].zero_()
    shift = torch.arange(len(x)) * 3 % PHASES
    plain = net(batch.ecg[..., :SAMPLES], x, operator)
    moved = net(batch.ecg[..., :SAMPLES], rolled(x, shift * TINY.cine.patch[0]), operator, shift)
    for one, other in zip(moved, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    for n, by in enumerate(shift.tolist()):
        assert torch.equal(rolled(x, shift)[n], x[n].roll(-by, 0))


# ---- what is judged ----


@torch.no_grad()
def test_pairs_are_judged_by_whole_ecgs_and_the_phases_of_their_first_half(
    feed: PairFeed, truth: NDArray[np.float64], pairs: Folder
):
    net, rows = phased(), feed.loader.rows
    patients = pairs.columns["patient_id"][rows].tolist()
    found = ptacl_judge.paired(net, feed, truth[rows], patients, ["LVEDV", "LVM"])
    left, right, one, other, usable = [], [], [], [], []
    for row in rows:
        alone = feed.batch(np.array([row]))
        halves = [net.paired.ecg(alone.ecg[..., at : at + SAMPLES]) for at in (0, SAMPLES)]
        pooled = (halves[0].pooled + halves[1].pooled) / 2
        left.append(F.normalize(net.paired.ecg.projection(pooled), dim=-1))
        cine = net.paired.cine(frames(alone.cine))
        right.append(cine.projected)
        operator, ok = phases_of(TINY.ecg, alone.peaks)
        ecg_phases, cine_phases = phases(net.paired, halves[0], cine, operator)
        one.append(ecg_phases)
        other.append(cine_phases)
        usable.append(bool(ok))
    told = diagonal_distance(torch.cat(one), torch.cat(other), usable)
    assert found["phases"]["distance"]["value"] == pytest.approx(told["value"], abs=0.2)
    assert found["phases"]["distance"]["n_unusable"] == usable.count(False) > 0
    similarity = phase_similarity(torch.cat(one), torch.cat(other), usable)
    np.testing.assert_allclose(found["phases"]["similarity"], similarity, atol=1e-4)
    cosines = (torch.cat(left) @ torch.cat(right).T).numpy()
    np.fill_diagonal(cosines, -np.inf)  # a patient's own cine is no similar patient
    for k, code in enumerate(("LVEDV", "LVM")):
        y = truth[rows][:, k]
        hits = np.abs(y[cosines.argmax(1)] - y) <= 0.5 * y.std()
        assert found["retrieval"]["phenotypes"][code]["precision"]["1"] == pytest.approx(hits.mean(), abs=1e-9)


def test_too_few_pairs_are_not_searched(pairs: Folder, truth: NDArray[np.float64]):
    few = feed_of(pairs, ("ecg", CINE), truth, split="validation", batch=8, pixels=PIXELS)
    rows = few.loader.rows
    found = ptacl_judge.paired(phased(), few, truth[rows], pairs.columns["patient_id"][rows].tolist(), ["a", "b"])
    assert found["retrieval"] is None
    assert set(found["not_retrieved"]) == {"a", "b"}
    assert found["phases"]["distance"]["n_records"] == SPLITS["validation"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.0, "LVM is 1 of everybody"),
        (np.nan, "0 cines of other patients whose LVM is known, P@15 needs 15"),
    ],
)
def test_a_phenotype_that_does_not_vary_is_said_and_ends_nothing(
    value: float, said: str, feed: PairFeed, truth: NDArray[np.float64], pairs: Folder
):
    """The training is done by then: what can be judged is."""
    rows = feed.loader.rows
    flat = truth[rows].copy()
    flat[:, 1] = value
    patients = pairs.columns["patient_id"][rows].tolist()
    found = ptacl_judge.paired(phased(), feed, flat, patients, ["LVEDV", "LVM"])
    assert found["phases"] is not None
    assert set(found["retrieval"]["phenotypes"]) == {"LVEDV"}
    assert found["not_retrieved"] == {"LVM": said}


def test_other_studies_of_a_patient_are_no_candidates(feed: PairFeed, truth: NDArray[np.float64]):
    """Of 18 studies with four of one patient, 14 are left to that patient's ECGs."""
    rows = feed.loader.rows
    patients = ["p"] * 4 + [f"q{n}" for n in range(len(rows) - 4)]
    found = ptacl_judge.paired(phased(), feed, truth[rows], patients, ["LVEDV", "LVM"])
    assert found["retrieval"] is None
    assert "14 cines of other patients whose LVEDV is known" in found["not_retrieved"]["LVEDV"]
    patients[3] = "another"
    found = ptacl_judge.paired(phased(), feed, truth[rows], patients, ["LVEDV", "LVM"])
    assert (found["retrieval"]["n_queries"], found["not_retrieved"]) == (len(rows), {})


def test_phenotypes_are_judged_in_their_units(feed: PairFeed, truth: NDArray[np.float64]):
    rows, net = feed.loader.rows, Readout(TINY.ecg, "mean", 3)
    mean, std = [150.0, 120.0, 7.0], [30.0, 25.0, 2.0]
    outputs = tuple(
        Output(code, f"the {code}", "function", unit=unit, mean=m, std=s)
        for code, unit, m, s in zip(("LVEDV", "LVM", "X"), ("ml", "g", ""), mean, std, strict=True)
    )
    standard = np.full((len(truth), 3), np.nan)
    standard[:, :2] = (truth - mean[:2]) / std[:2]
    standard[rows[3], 0] = np.nan
    own = PairFeed(feed.loader, _folder(feed), standard, feed.ecgs, pixels=PIXELS)
    found = ptacl_judge.phenotypes(net, own, "ecg", Task("regression", outputs))
    with torch.inference_mode():
        said = torch.cat([net(batch.ecg)[0] for batch in own.in_order()]).double().numpy() * std + mean
    for k, row in enumerate(found["outputs"][:2]):
        known = ~np.isnan(standard[rows, k])
        y, p = truth[rows, k][known], said[known, k]
        wanted: Mapping[str, Any] = {
            "n": known.sum(),
            "r2": 1 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum(),
            "r": np.corrcoef(y, p)[0, 1],
            "mae": np.abs(y - p).mean(),
        }
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-4)
        assert (row["code"], row["unit"]) == (("LVEDV", "ml"), ("LVM", "g"))[k]
    assert (found["outputs"][2]["n"], found["outputs"][2]["r2"]) == (0, None)
    assert "measured" in found["outputs"][2]["why"]


@torch.no_grad()
def test_a_net_that_says_one_thing_of_everybody_has_no_correlation_but_counts(
    feed: PairFeed, truth: NDArray[np.float64]
):
    """Left out of the mean, the worst output would make it better."""
    net, rows = Readout(TINY.ecg, "mean", 2), feed.loader.rows
    net.head.weight[0] = 0
    outputs = tuple(Output(code, code, "function", unit="ml", mean=0.0, std=1.0) for code in ("LVEDV", "LVM"))
    own = PairFeed(feed.loader, _folder(feed), truth, feed.ecgs, pixels=PIXELS)
    found = ptacl_judge.phenotypes(net, own, "ecg", Task("regression", outputs))
    first, second = found["outputs"]
    y = truth[rows, 0]
    wanted = 1 - np.mean((y - float(net.head.bias[0])) ** 2) / y.var()
    assert (first["r"], first["r2"]) == (None, pytest.approx(wanted, rel=1e-4))
    assert found["mean_r2"] == pytest.approx((first["r2"] + second["r2"]) / 2)
    assert found["mean_r2"] == pytest.approx(np.mean([row["r2"] for row in found["outputs"][:2]]))


def _folder(feed: PairFeed) -> Any:
    """What a feed takes of a cohort: the names."""

    class Named:
        columns: Mapping[str, Any] = {"study_id": feed.names}

    return Named()


def test_frames_and_phases_fit():
    """Thirteen time tokens of two frames; the same width on both sides, so that phases can be compared."""
    for preset in PRESETS.values():
        assert preset.cine.size[0] == FRAMES
        assert FRAMES // preset.cine.patch[0] == PHASES
        assert preset.ecg.width == preset.cine.width
        assert preset.ecg.size[-1] == SAMPLES
