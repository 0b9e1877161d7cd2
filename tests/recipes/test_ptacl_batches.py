"""What the nets of PTACL are given: prepared ECGs with their peaks, cines, crops and frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import DamagedFileError, PreparationError, UsageError, WriteError
from cardioloom.models.installed import VARIABLE
from cardioloom.prepare import prepare
from cardioloom.prepare.beats import r_peaks
from cardioloom.prepare.ecg import ptacl as preparation_of
from cardioloom.recipes import flat, prepared
from cardioloom.recipes.flat import flat_cines
from cardioloom.recipes.pairs import CINE, FRAMES, IRREGULAR, PairFeed, Pairs, feed_of, irregular, refuse_cohort
from cardioloom.recipes.prepared import PreparedEcgs, prepared_ecgs
from cardioloom.recipes.ptacl_judge import beats
from cardioloom.recipes.ptacl_sizes import PHASES, PRESETS
from cardioloom.recipes.ptacl_stages import phases_of
from cardioloom.recipes.ptacl_views import SAMPLES, STILLS, Views, frames, stills
from cardioloom.store import Folder
from full_disk import no_file_larger_than
from small_cohort import row_of
from small_pairs import FRAMES as STORED
from small_pairs import SPLITS, cohort_at

pytestmark = [pytest.mark.xdist_group("ptacl"), pytest.mark.usefixtures("cache")]
N = sum(SPLITS.values())


def truth_of(folder: Folder) -> np.ndarray:
    return np.stack([folder.columns["lv_edv_ml"], folder.columns["lv_ef"]], axis=1).astype(np.float64)


def feed(folder: Folder, *modalities: str, split: str | None = "train", batch: int = 7, **options: int) -> PairFeed:
    return feed_of(folder, modalities or ("ecg", CINE), truth_of(folder), split=split, batch=batch, **options)


def test_a_batch_holds_what_the_cohort_has_of_each_study(pairs: Folder):
    rows = np.array([3, 0, N - 1, 17])
    batch = feed(pairs, split=None).batch(rows)
    assert batch.names == tuple(pairs.columns["study_id"][rows])
    np.testing.assert_array_equal(batch.y, truth_of(pairs)[rows].astype(np.float32))
    for k, row in enumerate(rows):
        slow = prepare(pairs.ecg(row_of(pairs, row)), preparation_of()).windows[0]
        np.testing.assert_allclose(batch.ecg[k], slow, atol=1e-5)
        own = r_peaks(slow, 500.0)
        found = batch.peaks[k][~batch.peaks[k].isnan()].numpy()
        rr = np.diff(own)
        is_loose = rr.std() > IRREGULAR * rr.mean()
        assert found.tolist() == ([] if is_loose else own.tolist())


@pytest.mark.parametrize("pixels", [84, 42, 28, 21])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_cines_begin_at_0_and_end_at_1_and_pixels_are_means(pixels: int, dtype: str, pairs: Folder, tmp_path: Path):
    """Of the stored picture least and largest, then the mean of each square of pixels; 16 bits give the same."""
    own = pairs if dtype == "uint8" else cohort_at(tmp_path / "deep", {"train": 3}, dtype=dtype, has_ecg=False)
    cines = feed(own, CINE, pixels=pixels).batch(np.arange(3)).cine
    assert (cines.dtype, tuple(cines.shape)) == (torch.float32, (3, STORED, pixels, pixels))
    side = 84 // pixels
    for n in range(3):
        whole = own.array(row_of(own, n), CINE).astype(np.float64)
        whole = (whole - whole.min()) / (whole.max() - whole.min())
        slow = np.zeros((STORED, pixels, pixels))
        for i in range(side):
            for j in range(side):
                slow += whole[:, i::side, j::side] / side**2
        np.testing.assert_allclose(cines[n], slow, atol=2e-6)


def test_epochs_hold_every_study_once_and_can_be_entered_anywhere(pairs: Folder):
    own = feed(pairs, batch=5)
    assert len(own) == 4
    for epoch in (0, 1):
        names = [name for batch in own(epoch) for name in batch.names]
        assert sorted(names) == sorted(pairs.columns["study_id"][: SPLITS["train"]])
        assert names == pairs.columns["study_id"][own.loader.order(epoch)].tolist()
        late = list(own(epoch, 2))
        assert [name for batch in late for name in batch.names] == names[10:]
    assert [name for batch in own.in_order() for name in batch.names] == pairs.columns["study_id"][:16].tolist()
    shares = [feed(pairs, batch=5, rank=rank, ranks=2).loader.order(1) for rank in (0, 1)]
    assert sorted(np.concatenate(shares)) == list(range(16))


def test_studies_without_a_partner_are_left_out_of_pairs_alone(tmp_path: Path):
    odd = cohort_at(tmp_path / "odd", {"train": 6}, unpaired=(1, 4), without_ecg=(2,))
    names = odd.columns["study_id"]
    for modalities, rows in ((("ecg", CINE), [0, 3, 5]), (("ecg",), [0, 1, 3, 4, 5]), ((CINE,), [0, 2, 3, 5])):
        found = [name for batch in feed(odd, *modalities).in_order() for name in batch.names]
        assert found == names[rows].tolist()


def test_a_cine_that_lost_its_picture_is_named(tmp_path: Path):
    """Its shard was overwritten after the cohort's cines were looked at."""
    own = cohort_at(tmp_path / "own", {"train": 4}, has_ecg=False)
    assert not flat_cines(own, CINE).any()
    (path,) = [path for path in own.path.glob("cine/*.npy") if "scale" not in path.name]
    counts = np.load(path, mmap_mode="r+")
    counts[2] = 7
    counts.flush()
    odd = feed(Folder.at(own.path), CINE)
    with pytest.raises(DamagedFileError, match=r"the cine of sim7-000002-0 has one value only, 7, .* cohort check"):
        odd.batch(np.array([0, 2, 3]))
    odd.batch(np.array([0, 1, 3]))


def test_cines_without_a_picture_are_left_out_of_every_feed_of_cines(tmp_path: Path):
    odd = cohort_at(tmp_path / "odd", {"train": 6}, constant=(1, 4), without_ecg=(2,), unpaired=(5,))
    names = odd.columns["study_id"]
    assert flat_cines(odd, CINE).tolist() == [False, True, False, False, True, False]
    for modalities, rows in ((("ecg", CINE), [0, 3]), (("ecg",), [0, 1, 3, 4, 5]), ((CINE,), [0, 2, 3])):
        found = [name for batch in feed(odd, *modalities).in_order() for name in batch.names]
        assert found == names[rows].tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_cines_are_looked_at_once_and_as_by_a_loop(dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Of more shards than one, in blocks that end in the middle of them."""
    odd = cohort_at(tmp_path / "odd", {"train": 20}, constant=(0, 7, 18), unpaired=(3,), has_ecg=False, dtype=dtype)
    rows = [n for n, value in enumerate(odd.columns["hash_cine_sax"]) if value is not None]
    slow = np.zeros(len(odd.columns["study_id"]), bool)
    for row in rows:
        values = odd.array(row_of(odd, row), CINE)
        slow[row] = len(set(values.ravel().tolist())) == 1
    monkeypatch.setattr(flat, "PER_READ", 3)
    with cache_at(tmp_path / "cache"):
        assert flat_cines(odd, CINE).tolist() == slow.tolist()
        (kept,) = (tmp_path / "cache" / "prepared").iterdir()
        with monkeypatch.context() as patch:
            patch.setattr(flat, "_looked_for", Mock(side_effect=AssertionError))
            assert flat_cines(odd, CINE).tolist() == slow.tolist()
        for damage in (b"rubbish", kept.read_bytes()[:-2], b""):
            kept.write_bytes(damage)
            assert flat_cines(odd, CINE).tolist() == slow.tolist()
        other = cohort_at(tmp_path / "other", {"train": 4}, has_ecg=False, seed=8)
        assert not flat_cines(other, CINE).any()
        assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 2


def test_a_cache_that_cannot_be_written_to_is_a_sentence(tmp_path: Path):
    own = cohort_at(tmp_path / "own", {"train": 2}, has_ecg=False)
    (tmp_path / "file").write_text("")
    with cache_at(tmp_path / "file"), pytest.raises(WriteError, match=rf"make room there, or set {VARIABLE} to"):
        flat_cines(own, CINE)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"has_cine": False}, "needs ecg and cine_sax, got a cohort with ecg: build one with cine_sax"),
        ({"has_ecg": False}, "needs ecg and cine_sax, got a cohort with cine_sax: build one with ecg"),
        ({"pixels": 42}, "at least 26 frames of 84 x 84 pixels round the heart, got 30 of 42 x 42"),
        ({"frames": 20}, "at least 26 frames of 84 x 84 pixels round the heart, got 20 of 84 x 84"),
    ],
)
def test_cohorts_without_pairs_are_refused(odd: dict, said: str, tmp_path: Path):
    folder = cohort_at(tmp_path / "odd", {"train": 4}, **odd)
    with pytest.raises(UsageError, match=said):
        refuse_cohort(folder, ("ecg", CINE))


# ---- R peaks ----


def made_of(*peaks: list[float]) -> PreparedEcgs:
    table = np.full((len(peaks), max(map(len, peaks))), np.nan, np.float32)
    for row, own in zip(table, peaks, strict=True):
        row[: len(own)] = own
    return PreparedEcgs(np.zeros((len(peaks), 12, 5000), np.float32), table, np.array([-1, *range(len(peaks))]))


@given(st.lists(st.lists(st.integers(100, 900), max_size=12), min_size=1, max_size=5))
def test_irregular_beats_are_those_of_a_loop(intervals: list[list[int]]):
    ecgs = made_of(*[[float(v) for v in np.cumsum([50, *own])] for own in intervals])
    slow = [False]  # a study without an ECG
    for own in intervals:
        mean = sum(own) / max(1, len(own))
        spread = (sum((rr - mean) ** 2 for rr in own) / max(1, len(own))) ** 0.5
        slow.append(spread > IRREGULAR * mean + 1e-9)
    found = irregular(ecgs)
    near = [bool(own) and abs(np.std(own) / np.mean(own) - IRREGULAR) < 1e-6 for own in [[], *intervals]]
    assert [a == b or c for a, b, c in zip(found, slow, near, strict=True)] == [True] * len(slow)


def test_beats_are_counted_as_by_a_loop(pairs: Folder):
    own = feed(pairs, split=None)
    loose = few = 0
    for row in range(N):
        peaks = r_peaks(prepare(pairs.ecg(row_of(pairs, row)), preparation_of()).windows[0], 500.0)
        rr = np.diff(peaks)
        if rr.std() > IRREGULAR * rr.mean():
            loose += 1
        elif sum(1 for peak in peaks if peak < SAMPLES) < 3:
            few += 1
    assert beats(own) == {"studies": N, "irregular": loose, "too_few_beats": few}
    assert 0 < loose < N
    _, usable = phases_of(PRESETS["tiny"].ecg, own.batch(np.arange(N)).peaks)
    assert int((~usable).sum()) == loose + few


def test_fibrillation_is_irregular_and_sinus_rhythm_is_not(pairs: Folder):
    rhythm, loose = pairs.columns["rhythm"], feed(pairs, split=None).loose
    assert loose[rhythm == "atrial_fibrillation"].mean() > 0.7
    assert loose[rhythm == "sinus"].mean() < 0.3


def slow_operator(peaks: list[float], n_tokens: int, patch: int) -> np.ndarray | None:
    """(phase, token): what each token gives to each phase of the mean beat, found by interpolating one-hot tokens."""
    middles = (np.arange(n_tokens) + 0.5) * patch - 0.5
    whole = [(a, b) for a, b in pairwise(peaks) if a >= 0 and b < n_tokens * patch]
    if len(whole) < 2:
        return None
    rows = np.zeros((PHASES, n_tokens))
    for begin, end in whole:
        for k in range(PHASES):
            at = begin + (k + 0.5) / PHASES * (end - begin)
            for token, one in enumerate(np.eye(n_tokens)):
                rows[k, token] += np.interp(at, middles, one) / len(whole)
    return rows


@pytest.mark.parametrize("augment", ["none", "ptacl"])
def test_the_operator_moves_with_the_crop(augment: str, pairs: Folder):
    """A crop that begins at sample s has its peaks s earlier; what is not whole within it counts for nothing."""
    batch, config = feed(pairs, split=None).batch(np.arange(N)), PRESETS["tiny"].ecg
    crops, peaks = {}, {}
    for name in ("none", augment):  # the crop is drawn first, whatever follows it
        torch.manual_seed(5)
        crops[name], peaks[name] = Views(name).ecg(batch)
    operators, usable = phases_of(config, peaks[augment])
    starts = []
    for n in range(N):
        begin = crops["none"][n, 1, :50]
        windows = batch.ecg[n, 1].unfold(0, 50, 1)
        starts.append(int((windows - begin).abs().sum(1).argmin()))
        torch.testing.assert_close(batch.ecg[n, :, starts[-1] : starts[-1] + SAMPLES], crops["none"][n])
        own = batch.peaks[n][~batch.peaks[n].isnan()].tolist()
        if augment == "none":
            slow = slow_operator([peak - starts[-1] for peak in own], config.size[-1] // config.patch[-1],
                                 config.patch[-1])  # fmt: skip
            assert bool(usable[n]) is (slow is not None)
            np.testing.assert_allclose(operators[n], 0 if slow is None else slow, atol=1e-5)
    assert len(set(starts)) > N // 2
    if augment != "none":
        assert not torch.equal(crops[augment], crops["none"])
        torch.testing.assert_close(peaks[augment], peaks["none"], equal_nan=True)


# ---- frames ----


@given(st.integers(FRAMES, 120))
def test_frames_are_the_nearest_to_equal_phases_and_the_first_is_at_the_r_peak(n: int):
    cine = torch.arange(n, dtype=torch.float32)[None, :, None, None].expand(2, n, 3, 3)
    found = frames(cine)[0, :, 0, 0].tolist()
    for k, frame in enumerate(found):
        gap = min(abs(frame / n - k / FRAMES), abs(frame / n - 1 - k / FRAMES))
        assert gap <= 0.5 / n + 1e-9
    assert found[0] == 0
    assert len(found) == FRAMES
    assert found == sorted(found)


def test_a_view_of_a_cine_keeps_the_order_of_its_frames(pairs: Folder):
    """The end of diastole, at which the beat begins, comes first: one frame of each 26th part of the beat."""
    n = 50
    cine = torch.arange(n, dtype=torch.float32)[None, :, None, None].expand(64, n, 2, 2)
    batch = Pairs(torch.empty(0), torch.empty(0), cine, torch.empty(0), ())
    torch.manual_seed(0)
    drawn = Views("none").cine(batch)[:, :, 0, 0]
    assert (drawn[:, 0] == 0).all()
    assert (drawn.diff(dim=1) > 0).all()
    edges = torch.arange(FRAMES + 1) * n // FRAMES
    assert ((drawn >= edges[:-1]) & (drawn < edges[1:])).all()
    assert len({tuple(row) for row in drawn.tolist()}) > 32
    assert torch.equal(Views("none").cine(batch)[:, 0], cine[:, 0])
    own = feed(pairs).batch(np.arange(4))
    assert torch.equal(Views("none").cine(own)[:, 0], own.cine[:, 0])
    assert torch.equal(frames(own.cine)[:, 0], own.cine[:, 0])


@pytest.mark.parametrize("name", ["ptacl", "mmcl"])
def test_augmented_views_have_the_size_of_the_net(name: str, pairs: Folder):
    batch = feed(pairs, pixels=42).batch(np.arange(6))
    torch.manual_seed(0)
    ecg, peaks = Views(name).ecg(batch)
    cine = Views(name).cine(batch)
    assert ecg.shape == (6, 12, SAMPLES)
    assert cine.shape == (6, FRAMES, 42, 42)
    assert peaks.shape == batch.peaks.shape
    assert ecg.isfinite().all()
    assert cine.isfinite().all()


def test_three_frames_stand_for_a_cine():
    cine = torch.arange(50.0)[None, :, None, None].expand(2, 50, 2, 2)
    assert stills(cine)[0, :, 0, 0].tolist() == [round(share * 50) for share in STILLS] == [0, 9, 18]


def test_an_augmentation_of_one_modality_is_refused():
    with pytest.raises(UsageError, match="the augment of pairs must be one of none, mmcl, ptacl, got 'mae'"):
        Views("mae")


# ---- the cache of prepared ECGs ----


@contextmanager
def cache_at(path: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(path))
        yield path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return cohort_at(tmp_path_factory.mktemp("few") / "cohort", {"train": 4}, has_cine=False, without_ecg=(1,))


def test_prepared_ecgs_are_made_once(few: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[int, int]] = []
    with cache_at(tmp_path):
        first = prepared_ecgs(few, preparation_of(), watch=lambda *at: told.append(at))
        monkeypatch.setattr(prepared, "_make", Mock(side_effect=AssertionError))
        again = prepared_ecgs(few, preparation_of())
    assert told == [(3, 3)]
    assert first.place.tolist() == [0, -1, 1, 2]
    for name in ("signals", "peaks", "place"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    signals, peaks = again.take(np.array([3, 0]))
    for k, row in enumerate((3, 0)):
        slow = prepare(few.ecg(row_of(few, row)), preparation_of()).windows[0]
        np.testing.assert_allclose(signals[k], slow, atol=1e-5)
        assert peaks[k][~np.isnan(peaks[k])].tolist() == r_peaks(slow, 500.0).tolist()
    (folder,) = (tmp_path / "prepared").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [prepared.ECGS, prepared.PEAKS, prepared.ROWS]


def test_another_preparation_or_cohort_has_its_own_place(few: Folder, tmp_path: Path):
    other = cohort_at(tmp_path / "other", {"train": 4}, has_cine=False, seed=8)
    with cache_at(tmp_path / "cache"):
        first = prepared_ecgs(few, preparation_of())
        second = prepared_ecgs(few, replace(preparation_of(), name="plain", steps=()))
        third = prepared_ecgs(other, preparation_of())
        assert len(list((tmp_path / "cache" / "prepared").iterdir())) == 3
        again = prepared_ecgs(few, preparation_of())
    assert not np.allclose(first.signals, second.signals)
    assert not np.allclose(first.signals, third.signals[:3])
    np.testing.assert_array_equal(first.signals, again.signals)


def test_a_full_cache_is_a_sentence_and_leaves_nothing(few: Folder, tmp_path: Path):
    with cache_at(tmp_path):
        with no_file_larger_than(400_000), pytest.raises(WriteError, match=f"make room there, or set {VARIABLE}"):
            prepared_ecgs(few, preparation_of())
        assert not list((tmp_path / "prepared").iterdir())
        assert len(prepared_ecgs(few, preparation_of()).signals) == 3


def test_a_cache_that_is_no_folder_is_a_sentence(few: Folder, tmp_path: Path):
    (tmp_path / "cache").write_text("a file")
    with (
        cache_at(tmp_path / "cache"),
        pytest.raises(WriteError, match=r"could not be written .*make room there, or set"),
    ):
        prepared_ecgs(few, preparation_of())


def test_an_ecg_that_cannot_be_prepared_leaves_nothing(few: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refuse = Mock(side_effect=PreparationError("sim7-000002-0: this cannot be"))
    monkeypatch.setattr("cardioloom.recipes.prepared.EcgFeed.batch", refuse)
    with cache_at(tmp_path), pytest.raises(PreparationError, match=r"^sim7-000002-0: this cannot be"):
        prepared_ecgs(few, preparation_of())
    assert not list((tmp_path / "prepared").iterdir())


def test_two_trainings_that_prepare_at_once_end_with_one(few: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The other comes in between, at the last moment."""
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        if not target.exists():
            target.mkdir(parents=True)
            for name in (prepared.ECGS, prepared.PEAKS, prepared.ROWS):
                (target / name).write_bytes((self / name).read_bytes())
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with cache_at(tmp_path):
        assert len(prepared_ecgs(few, preparation_of()).signals) == 3
    assert len(list((tmp_path / "prepared").iterdir())) == 1


@pytest.mark.parametrize("damage", ["cut", "rubbish", "gone"])
def test_a_damaged_cache_is_a_sentence(damage: str, few: Folder, tmp_path: Path):
    with cache_at(tmp_path):
        prepared_ecgs(few, preparation_of())
        (path,) = (tmp_path / "prepared").glob("*/ecg.npy")
        whole = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"rubbish" * 1000)
        with pytest.raises(DamagedFileError, match=r"cannot be read .*: remove the folder"):
            prepared_ecgs(few, preparation_of())
