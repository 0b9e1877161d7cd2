"""A model in use: what may change about a record without changing the answer, and when there must be none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cardioloom
import synthetic
from cardioloom.errors import PreparationError, UsageError
from cardioloom.models import Model, Prediction
from cardioloom.models import model as module
from cardioloom.prepare import Preparation, Prepared, prepare
from cardioloom.records import ECG, STANDARD_LEADS, Counts
from models.sentence import is_one_sentence

EIGHT = ("I", "II", *STANDARD_LEADS[6:])
# µV → mV ends in float32 on either way; z-scores of that differ in the last place.
UNIT_TOLERANCE = 1e-5
few = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])


def record(seconds: float = 10.0, *, seed: int = 0, leads: tuple[str, ...] = STANDARD_LEADS, fs: float = 500.0) -> ECG:
    """An ECG whose counts are whole microvolts and whose limb leads fit to half a count."""
    made = synthetic.ecg(seconds=seconds, seed=seed, leads=leads, fs=fs, noise_mv=0.02, bpm=60 + seed)
    return replace(made, samples=microvolts(made))


def microvolts(ecg: ECG) -> Counts:
    values = np.round(ecg.signal.astype(np.float64) * 1000).astype(np.int32)
    return Counts(values, np.full(len(values), 1000.0), np.zeros(len(values)))


def long_record(seconds: int) -> ECG:
    """Ten-second records one after the other; making the beats of many minutes at once takes long."""
    tens = [np.asarray(record(seed=seed).signal) for seed in range(7)]
    signal = np.concatenate([tens[i % 7] for i in range(seconds // 10 + 1)], axis=1)
    return ECG(signal[:, : seconds * 500], STANDARD_LEADS, 500.0)


def changed(ecg: ECG, change: Callable[[np.ndarray], object]) -> ECG:
    """The record with other samples, in mV."""
    signal = np.array(ecg.signal)
    change(signal)
    return replace(ecg, samples=signal)


def logits(prediction: Prediction) -> np.ndarray:
    assert prediction.abstained is None, prediction.abstained
    return np.log(prediction.probabilities / (1 - prediction.probabilities))


def same(a: Prediction, b: Prediction, within: float = 0.0) -> bool:
    """Equal findings but for their wording of numbers, and outputs that differ by no more than ``within``."""
    assert a.abstained is None
    assert b.abstained is None
    furthest = max(float(np.abs(logits(a) - logits(b)).max()), float(np.abs(a.features - b.features).max()))
    return furthest <= within and [f.code for f in a.findings] == [f.code for f in b.findings]


def why(prediction: Prediction) -> str:
    """The reason of an abstention that says nothing else."""
    assert prediction.abstained is not None
    assert prediction.findings == ()
    assert prediction.probabilities.size == prediction.features.size == 0
    return prediction.abstained.why


def codes(prediction: Prediction) -> list[str]:
    return [notice.code for notice in prediction.warnings]


# What changes nothing.


@few
@given(order=st.permutations(STANDARD_LEADS), seed=st.integers(0, 30))
def test_the_order_of_leads_in_a_record_changes_nothing(twelve: Model, order: list[str], seed: int):
    ecg = record(seed=seed)
    assert same(twelve.predict(ecg), twelve.predict(ecg.select(order)))
    signal = replace(ecg, samples=ecg.signal)
    assert same(twelve.predict(signal), twelve.predict(signal.select(order)))


def test_rows_that_change_places_under_the_same_names_do_change_the_answer(twelve: Model):
    """The property above would hold for a model that is blind to its leads."""
    ecg = record()
    swapped = replace(ecg.select([*STANDARD_LEADS[:4], "aVF", "aVL", *STANDARD_LEADS[6:]]), leads=STANDARD_LEADS)
    assert not same(twelve.predict(ecg), twelve.predict(swapped), within=1e-3)


def write_csv(path: Path, ecg: ECG, per_mv: float) -> Path:
    decimals = 3 if per_mv == 1 else 0
    values = np.asarray(ecg.counts.values[:, :]) / 1000 * per_mv  # type: ignore[union-attr]
    lines = [",".join(ecg.leads), *(",".join(f"{value:.{decimals}f}" for value in row) for row in values.T)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_wfdb(folder: Path, name: str, ecg: ECG, unit: str) -> Path:
    """Format 16; the same counts with their gain stated per mV or per uV."""
    header, counts = folder / f"{name}.hea", np.asarray(ecg.counts.values[:, :]).astype("<i2")  # type: ignore[union-attr]
    gain = {"mV": "1000/mV", "uV": "1/uV"}[unit]
    rows = [f"{name}.dat 16 {gain} 16 0 {row[0]} 0 0 {lead}" for lead, row in zip(ecg.leads, counts, strict=True)]
    header.write_text("\n".join([f"{name} {len(ecg.leads)} {ecg.fs:g} {counts.shape[1]}", *rows, ""]))
    header.with_suffix(".dat").write_bytes(counts.T.tobytes())
    return header


def load(path: Path, **told: object) -> ECG:
    ecg = cardioloom.load(path, **told)  # type: ignore[arg-type]
    assert isinstance(ecg, ECG)
    return ecg


@settings(few, max_examples=4)
@given(order=st.permutations(STANDARD_LEADS), seed=st.integers(0, 30))
def test_the_unit_and_order_of_a_file_change_nothing(twelve: Model, tmp_path: Path, order: list[str], seed: int):
    ecg = record(seed=seed)
    truth = twelve.predict(ecg)
    moved = ecg.select(order)
    for unit in ("mV", "uV"):
        assert same(truth, twelve.predict(load(write_wfdb(tmp_path, "counts", moved, unit))))  # exactly
    for unit, per_mv in (("mV", 1.0), ("uV", 1000.0)):
        csv = load(write_csv(tmp_path / "table.csv", moved, per_mv), fs=500, unit=unit)
        assert same(truth, twelve.predict(csv), UNIT_TOLERANCE)
        np.save(tmp_path / "array.npy", (moved.signal.astype(np.float64) * per_mv).astype(np.float32))
        array = load(tmp_path / "array.npy", fs=500, unit=unit, leads=",".join(order))
        assert same(truth, twelve.predict(array), UNIT_TOLERANCE)
    np.savez(tmp_path / "own.npz", signal=moved.signal, leads=np.array(order), fs=500.0)
    assert same(truth, twelve.predict(load(tmp_path / "own.npz")), UNIT_TOLERANCE)


@settings(few, max_examples=5)
@given(gains=st.lists(st.sampled_from([1000.0, 500.0, 250.0, 200.0]), min_size=12, max_size=12), seed=st.integers(0, 9))
def test_the_size_of_a_count_changes_nothing(twelve: Model, gains: list[float], seed: int):
    """Whole numbers of 20 µV in counts of another size a lead."""
    made = synthetic.ecg(seed=seed, noise_mv=0.0)
    steps = np.round(made.signal.astype(np.float64) * 50).astype(np.int32)
    plain = Counts(steps * 20, np.full(12, 1000.0), np.zeros(12))
    factor = np.array(gains, int)[:, None] // 50
    offset = np.arange(12) * 7
    other = Counts((steps * factor + offset[:, None]).astype(np.int32), np.array(gains), offset.astype(float))
    a, b = (twelve.predict(replace(made, samples=samples)) for samples in (plain, other))
    assert same(a, b, 1e-9)


def test_leads_that_are_derived_are_the_same_leads(twelve: Model):
    """Stored limb leads are whole counts, derived ones may be half a count: this record has even counts in I and II."""
    made = synthetic.ecg(noise_mv=0.02)
    eight = made.select(EIGHT)
    even = Counts(2 * np.round(eight.signal * 500).astype(np.int32), np.full(8, 1000.0), np.zeros(8))
    stored = replace(eight, samples=even).with_derived_leads()
    assert stored.leads == STANDARD_LEADS
    derived = twelve.predict(replace(eight, samples=even))
    assert same(twelve.predict(replace(stored, derived=())), derived, 1e-6)  # (I + II) / 2 rounds elsewhere
    assert any("III, aVR, aVL, aVF derived from I and II" in notice.text for notice in derived.warnings)


def test_leads_that_the_model_does_not_take_change_nothing(twelve: Model):
    ecg = record(leads=(*STANDARD_LEADS, "V7", "MLII"))
    assert same(twelve.predict(ecg), twelve.predict(ecg.select(STANDARD_LEADS)))


def test_the_company_in_a_batch_changes_nothing(twelve: Model):
    records = [record(10 + 7 * (seed % 3), seed=seed) for seed in range(5)]
    short, missing = record(1.0), record().select(STANDARD_LEADS[:9])
    alone = [twelve.predict(ecg) for ecg in records]
    for batch in (1, 2, 3, 64):
        together = list(twelve.stream([short, *records[:2], missing, *records[2:]], batch=batch))
        answered = [prediction for prediction in together if prediction.abstained is None]
        assert [prediction.abstained is not None for prediction in together] == [True, *[False] * 2, True, *[False] * 3]
        assert all(same(a, b, 1e-5) for a, b in zip(alone, answered, strict=True))
        assert [a.warnings for a in alone] == [b.warnings for b in answered]
    assert list(twelve.stream([])) == []


def test_no_more_than_a_batch_of_records_is_taken_ahead(twelve: Model):
    taken = 0

    def records():
        nonlocal taken
        for seed in range(9):
            taken += 1
            yield record(seed=seed)

    stream = twelve.stream(records(), batch=3)
    for _ in range(3):
        next(stream)
        assert taken == 3
    next(stream)
    assert taken == 6


@pytest.mark.parametrize(("seconds", "ahead"), [(1.0, 3), (30.0, 1)], ids=["abstentions", "long recordings"])
def test_records_that_put_nothing_in_a_batch_do_not_pile_up(
    twelve: Model, seconds: float, ahead: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PART_WINDOWS", 1)
    taken = 0

    def records():
        nonlocal taken
        for _ in range(9):
            taken += 1
            yield record(seconds)

    next(twelve.stream(records(), batch=3))
    assert taken == ahead


# Lengths.


def test_a_record_of_many_windows_is_the_mean_of_its_windows(twelve: Model):
    ecg = record(34.0)
    whole = twelve.predict(ecg)
    starts = [0, 5000, 10_000, 12_000]  # the last window ends with the record
    parts = [twelve.predict(ecg.window(start, start + 5000)) for start in starts]
    assert whole.probabilities.shape == (4, 3)
    np.testing.assert_allclose(whole.probabilities, np.concatenate([p.probabilities for p in parts]), atol=1e-6)
    np.testing.assert_allclose(whole.features, np.mean([p.features for p in parts], axis=0), atol=1e-5)
    for finding, *each in zip(whole.findings, *(p.findings for p in parts), strict=True):
        assert finding.probability == pytest.approx(np.mean([f.probability for f in each]), abs=2e-6)
        assert "mean of 4 windows" in finding.evidence
        spans = {(s / 500, s / 500 + 10) for s, f in zip(starts, each, strict=True) if f.present}
        assert set(finding.spans_s) == (spans if finding.present else set())


@pytest.mark.parametrize(
    ("seconds", "n_windows", "part"),
    [(700, 70, module.PART_WINDOWS), (40, 4, 4), (43, 5, 4), (73, 8, 4), (80, 8, 4), (83, 9, 4), (75, 8, 1)],
)
def test_a_long_record_goes_part_by_part(
    twelve: Model, seconds: int, n_windows: int, part: int, monkeypatch: pytest.MonkeyPatch
):
    """Against all windows at once, which is what the parts are there to avoid."""
    ecg = long_record(seconds)
    held: list[int] = []

    def watched(some: ECG, preset: Preparation, beyond_s: tuple[float, float]) -> Prepared:
        made = prepare(some, preset, beyond_s)
        held.append(len(made.windows))
        return made

    monkeypatch.setattr(module, "prepare", watched)
    monkeypatch.setattr(module, "PART_WINDOWS", part)
    by_parts = twelve.predict(ecg)
    assert max(held) <= 2 * part
    assert sum(held) == n_windows
    at_once = prepare(ecg, twelve.contract.preparation)
    expected = [twelve.run(at_once.windows[i : i + 1]) for i in range(n_windows)]
    assert by_parts.probabilities.shape == (n_windows, 3)
    np.testing.assert_allclose(logits(by_parts), np.concatenate([e[0] for e in expected]), atol=1e-5)
    np.testing.assert_allclose(by_parts.features, np.concatenate([e[1] for e in expected]).mean(0), atol=1e-5)


@pytest.mark.parametrize("fs", [128.0, 257.0, 360.0, 1000.0])
def test_parts_of_another_rate_have_no_edges(twelve: Model, fs: float, monkeypatch: pytest.MonkeyPatch):
    """A part is resampled with a second of its neighbours: equal to the whole record resampled at once."""
    ecg = record(75.0, fs=fs)
    at_once = prepare(ecg, twelve.contract.preparation)
    monkeypatch.setattr(module, "PART_WINDOWS", 3)
    by_parts = twelve.predict(ecg)
    expected = [twelve.run(at_once.windows[i : i + 1])[0] for i in range(len(at_once.windows))]
    np.testing.assert_allclose(logits(by_parts), np.concatenate(expected), atol=2e-5)


def test_a_short_record_is_filled_and_says_so(twelve: Model):
    prediction = twelve.predict(record(6.0))
    assert prediction.probabilities.shape == (1, 3)
    assert "6 s of signal, filled with zeros to 10 s (for small-ecgfounder)." in [n.text for n in prediction.warnings]


@pytest.mark.parametrize("seconds", [0.1, 1.0, 4.99])
def test_a_record_of_a_second_is_abstained_from(twelve: Model, one: Model, seconds: float):
    for model, name in ((twelve, "ecgfounder"), (one, "ecgfounder_1l")):
        assert why(model.predict(record(seconds))).startswith(f"{name} needs at least 5 s, got ")


@pytest.mark.parametrize("fs", [100.0, 250.0, 400.0, 1000.0])
def test_another_rate_is_resampled_and_says_so(twelve: Model, fs: float):
    prediction = twelve.predict(record(fs=fs, seed=2))
    assert prediction.probabilities.shape == (1, 3)
    assert f"resampled from {fs:g} to 500 Hz (polyphase) (for small-ecgfounder)." in [
        n.text for n in prediction.warnings
    ]
    if fs > 250:  # the filters' band is whole
        original = twelve.predict(record(seed=2))
        assert np.abs(prediction.probabilities - original.probabilities).max() < 0.1


# When there is no answer, or one with a warning.


def test_a_plain_record_has_no_warning(twelve: Model, one: Model):
    assert twelve.predict(record()).warnings == ()
    assert one.predict(record()).warnings == ()


def test_a_missing_lead_is_named(twelve: Model):
    ecg = record().select([lead for lead in STANDARD_LEADS if lead != "V4"])
    assert why(twelve.predict(ecg)).startswith("leads V4 are needed and cannot be derived, got I, II, III,")


def test_limb_leads_that_cannot_be_derived_are_named(twelve: Model):
    ecg = record().select([lead for lead in STANDARD_LEADS if lead not in ("I", "aVL")])
    assert why(twelve.predict(ecg)).startswith("leads I, aVL are needed and cannot be derived")


@pytest.mark.parametrize(
    ("factor", "said"), [(1000.0, "microvolts declared as millivolts"), (1e-3, "implausibly small")]
)
def test_a_unit_that_cannot_be_is_abstained_from(twelve: Model, one: Model, factor: float, said: str):
    ecg = changed(record(), lambda signal: np.multiply(signal, factor, out=signal))
    for model in (twelve, one):
        prediction = model.predict(ecg)
        assert said in why(prediction)
        assert "implausible_unit" in codes(prediction)


def test_a_flat_lead_is_a_warning_and_all_flat_an_abstention(twelve: Model):
    prediction = twelve.predict(changed(record(), lambda signal: signal[9].fill(0.0)))
    assert prediction.abstained is None
    assert "no signal in V4, which small-ecgfounder needs." in [n.text for n in prediction.warnings]
    assert "no signal in I, II, III" in why(twelve.predict(changed(record(), lambda signal: signal.fill(0.0))))
    assert "no signal in I, II, III" in why(twelve.predict(changed(record(), lambda signal: signal.fill(np.nan))))


def test_gaps_are_filled_and_say_so(twelve: Model):
    def gap(signal: np.ndarray) -> None:
        signal[:, 1000:1500] = np.nan

    prediction = twelve.predict(changed(record(), gap))
    assert prediction.abstained is None
    assert any("10 % of the samples were not recorded and became zero" in n.text for n in prediction.warnings)


def test_limb_leads_that_contradict_each_other_are_a_warning(twelve: Model):
    def reverse(signal: np.ndarray) -> None:
        signal[2] *= -1

    prediction = twelve.predict(changed(record(), reverse))
    assert prediction.abstained is None
    assert codes(prediction) == ["einthoven"]
    assert "look at III" in prediction.warnings[0].text


def test_a_lead_for_a_model_of_twelve_is_a_wrong_call(twelve: Model):
    with pytest.raises(UsageError, match="takes 12 leads, got the lead 'II': use a model of one") as caught:
        twelve.predict(record(), lead="II")
    assert is_one_sentence(caught.value)


def test_features_are_of_the_net_and_an_abstention_has_none(twelve: Model):
    features = twelve.embed(record())
    assert features.shape == (16,)
    assert features.dtype == np.float32
    windows = prepare(record(), twelve.contract.preparation).windows
    np.testing.assert_array_equal(features, twelve.run(windows)[1][0])
    with pytest.raises(PreparationError, match="small-ecgfounder abstains: ecgfounder needs at least 5 s") as caught:
        twelve.embed(record(1.0))
    assert is_one_sentence(caught.value)


# One lead.


def lead_of(ecg: ECG, name: str) -> np.ndarray:
    """(time,) mV of a lead, upside down with a minus."""
    row = ecg.signal[ecg.leads.index(name.removeprefix("-"))]
    return -row if name.startswith("-") else row


def as_lead_one(row: np.ndarray) -> ECG:
    return ECG(row[None].copy(), ("I",), 500.0)


def test_lead_one_is_taken_from_twelve(one: Model):
    ecg = record()
    prediction = one.predict(ecg)
    assert prediction.warnings == ()
    assert same(prediction, one.predict(as_lead_one(lead_of(ecg, "I"))), UNIT_TOLERANCE)


@pytest.mark.parametrize("chosen", ["II", "aVL", "-aVR", "aVF", "-III", "-aVF", "V5", "-V1", "V2", "-I"])
def test_any_lead_can_be_given(one: Model, chosen: str):
    ecg = record()
    prediction = one.predict(ecg, lead=chosen)
    assert same(prediction, one.predict(as_lead_one(lead_of(ecg, chosen))), UNIT_TOLERANCE)
    assert codes(prediction) == ["other_lead"]
    said = prediction.warnings[0].text
    assert f"{chosen} is given to a model whose lead is I" in said
    assert ("was not trained on such a lead" in said) == (chosen in ("V5", "-V1", "V2", "-I"))


@pytest.mark.parametrize("spelling", ["avr", "AVR", "lead aVR"])
def test_a_lead_may_be_spelt_in_any_way(one: Model, spelling: str):
    assert same(one.predict(record(), lead=f"-{spelling}"), one.predict(record(), lead="-aVR"))


def test_other_leads_are_given_where_there_is_no_lead_one(one: Model):
    """II first, for which the net was trained too; a monitor's lead with a warning that it was not."""
    ecg = record(leads=("V5", "II", "MLII"))
    prediction = one.predict(ecg)
    assert same(prediction, one.predict(as_lead_one(lead_of(ecg, "II"))), UNIT_TOLERANCE)
    assert [n.text for n in prediction.warnings] == [
        "II is given to a model whose lead is I (for small-ecgfounder_1l)."
    ]
    for lead in ("MLII", "V5"):
        only = one.predict(ecg.select([lead]))
        assert same(only, one.predict(as_lead_one(lead_of(ecg, lead))), UNIT_TOLERANCE)
        assert f"{lead} is given" in only.warnings[0].text
        assert "outside of what was tested" in only.warnings[0].text


def test_lead_one_is_derived_where_two_and_three_are_there(one: Model):
    ecg = record()
    prediction = one.predict(ecg.select(["II", "III"]))
    assert same(prediction, one.predict(as_lead_one(lead_of(ecg, "II") - lead_of(ecg, "III"))), UNIT_TOLERANCE)
    assert [n.text for n in prediction.warnings] == ["I was derived as II − III (for small-ecgfounder_1l)."]


def test_a_limb_lead_is_derived_for_the_caller(one: Model):
    ecg = record()
    prediction = one.predict(ecg.select(["I", "II"]), lead="aVF")
    assert same(prediction, one.predict(as_lead_one(lead_of(ecg, "II") - lead_of(ecg, "I") / 2)), UNIT_TOLERANCE)


def test_a_lead_that_is_not_there_is_named(one: Model):
    reason = why(one.predict(record().select(["II", "V1"]), lead="V9"))
    assert reason == "the lead 'V9' is not recorded: choose one of II, V1"


def test_it_is_the_given_lead_that_must_have_a_signal(one: Model):
    flat_two = changed(record(), lambda signal: signal[1].fill(0.0))
    flat_one = changed(record(), lambda signal: signal[0].fill(0.0))
    assert "no signal in II" in why(one.predict(flat_two, lead="II"))
    assert "no signal in I" in why(one.predict(flat_one))
    assert one.predict(flat_one, lead="V2").abstained is None


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_without_windows_is_a_wrong_call(twelve: Model, batch: int):
    with pytest.raises(UsageError, match="batch"):
        list(twelve.stream([record()], batch=batch))
