"""The electrocardiogram and its counts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import RecordError
from cardioloom.records import ECG, STANDARD_LEADS, Counts, Study, printable
from cardioloom.records.leads import derive
from synthetic import ecg as synthetic_ecg

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def counts(values: np.ndarray, gain: float = 200.0, baseline: float = 0.0, invalid: int | None = None) -> Counts:
    n = len(values)
    return Counts(values, np.full(n, gain), np.full(n, baseline), (invalid,) * n)


@pytest.mark.parametrize(
    ("samples", "leads", "fs", "says"),
    [
        (np.zeros((2, 5)), ("I",), 500, "2 leads need as many names"),
        (np.zeros((2, 5)), ("I", "I"), 500, "must differ"),
        (np.zeros((1, 5)), ("I",), 0, "positive number of Hz"),
        (np.zeros((1, 5)), ("I",), float("nan"), "positive number of Hz"),
        (np.zeros((1, 0)), ("I",), 500, "at least one lead and one sample"),
        (np.zeros(5), ("I",), 500, r"shape \(lead, time\)"),
        (np.zeros((1, 5), int), ("I",), 500, "must be floats"),
        (np.array([[0.0, np.inf]]), ("I",), 500, "infinite"),
    ],
)
def test_what_cannot_be_is_refused(samples: np.ndarray, leads: tuple[str, ...], fs: float, says: str):
    with pytest.raises(RecordError, match=says):
        ECG(samples, leads, fs)


def test_derived_leads_must_be_leads():
    with pytest.raises(RecordError, match="derived leads"):
        ECG(np.zeros((1, 5)), ("I",), 500, derived=("III",))


@pytest.mark.parametrize(
    ("gain", "baseline", "invalid"),
    [([0.0], [0.0], ()), ([np.inf], [0.0], ()), ([1.0, 1.0], [0.0], ()), ([1.0], [0.0], (1, 2))],
)
def test_counts_that_cannot_be_are_refused(gain: list[float], baseline: list[float], invalid: tuple[int, ...]):
    with pytest.raises(RecordError):
        Counts(np.zeros((1, 3), np.int16), np.array(gain), np.array(baseline), invalid)


def test_counts_must_be_integers():
    with pytest.raises(RecordError, match="integers"):
        counts(np.zeros((1, 3)))


def test_it_is_frozen():
    with pytest.raises(FrozenInstanceError):
        synthetic_ecg().fs = 250  # type: ignore[misc]


def test_counts_become_millivolts_and_the_invalid_count_nan():
    values = np.array([[0, 200, -100, -32768]], np.int16)
    record = ECG(counts(values, baseline=100, invalid=-32768), ("I",), 500)
    np.testing.assert_array_equal(record.signal, np.array([[-0.5, 0.5, -1.0, np.nan]], np.float32))
    assert record.signal.dtype == np.float32
    assert record.counts is not None
    np.testing.assert_array_equal(record.counts.size_mv, [1 / 200])


@given(
    st.integers(1, 2000),
    st.floats(0.05, 3.0),
    st.floats(0.0, 0.9),
    st.booleans(),
)
def test_blocks_cover_every_sample_once_and_repeat_the_overlap(n: int, seconds: float, share: float, as_counts: bool):
    fs = 100.0
    values = np.arange(n, dtype=np.int32)[None]
    record = ECG(counts(values, 1.0) if as_counts else values.astype(np.float32), ("I",), fs)
    size = max(1, round(seconds * fs))
    overlap = min(round(seconds * share * fs), size - 1) / fs
    seen: list[int] = []
    for offset, block in record.blocks(seconds, overlap):
        first = round(offset * fs)
        assert block.signal[0, 0] == first
        assert first <= len(seen), "a sample was skipped"
        assert not seen or len(seen) - first == round(overlap * fs)
        seen += [int(x) for x in block.signal[0, len(seen) - first :]]
    assert seen == list(range(n))


def test_an_overlap_as_long_as_the_block_is_refused():
    with pytest.raises(RecordError, match="overlap"):
        next(synthetic_ecg().blocks(1.0, 1.0))


def test_select_keeps_order_counts_and_marks():
    record = ECG(counts(np.arange(6, dtype=np.int16).reshape(3, 2)), ("I", "II", "III"), 500, derived=("III",))
    two = record.select(("III", "I"))
    assert two.leads == ("III", "I")
    assert two.derived == ("III",)
    np.testing.assert_array_equal(two.signal, record.signal[[2, 0]])
    assert two.counts is not None
    with pytest.raises(RecordError, match="not V1"):
        record.select(("V1",))


@pytest.mark.parametrize("as_counts", [True, False])
def test_eight_leads_become_twelve(as_counts: bool):
    rng = np.random.default_rng(2)
    values = rng.integers(-3000, 3000, (8, 100)).astype(np.int16)
    values[0, 7] = -32768
    raw = counts(values, gain=400.0, baseline=13.0, invalid=-32768)
    stored = ECG(raw if as_counts else raw.millivolts(), EIGHT, 500)
    full = stored.with_derived_leads()
    assert full.leads == STANDARD_LEADS
    assert full.derived == ("III", "aVR", "aVL", "aVF")
    signal = dict(zip(full.leads, full.signal, strict=True))
    assert np.isnan(signal["III"][7])
    for lead in full.derived:
        np.testing.assert_allclose(signal[lead], derive(lead, signal["I"], signal["II"]), atol=1e-6)
    for row, lead in enumerate(EIGHT):
        np.testing.assert_array_equal(signal[lead], stored.signal[row])
    assert (full.counts is not None) == as_counts


def test_unequal_gains_derive_without_counts():
    raw = Counts(np.ones((8, 4), np.int16), np.arange(1.0, 9.0), np.zeros(8))
    full = ECG(raw, EIGHT, 500).with_derived_leads()
    assert full.counts is None
    np.testing.assert_allclose(full.signal[full.leads.index("III")], 1 / 2 - 1)


def test_nothing_is_derived_where_it_is_not_asked_for():
    for leads in (STANDARD_LEADS, ("I", "II"), (*EIGHT, "III")):
        record = synthetic_ecg(leads=leads)
        assert record.with_derived_leads() is record


@pytest.mark.parametrize("facts", [{"age": -1}, {"age": 131}, {"age": "old"}, {"sex": "x"}])
def test_a_study_refuses_impossible_facts(facts: dict[str, object]):
    with pytest.raises(RecordError):
        Study(synthetic_ecg(), facts)  # type: ignore[arg-type]


class OnFile:
    """A window that counts how many samples are read at once, as one on a long file would be."""

    def __init__(self, values: np.ndarray):
        self.values, self.most = values, 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        part = self.values[key]
        self.most = max(self.most, part.shape[1])
        return part


def test_deriving_and_selecting_read_a_long_file_block_by_block():
    values = np.random.default_rng(5).integers(-999, 999, (8, 1000)).astype(np.int16)
    on_file = OnFile(values)
    long = ECG(Counts(on_file, np.full(8, 200.0), np.zeros(8)), EIGHT, 100).with_derived_leads()
    whole = ECG(counts(values), EIGHT, 100).with_derived_leads()
    for chosen in (STANDARD_LEADS, ("aVF", "V2", "I")):
        parts = [block.signal for _, block in long.select(chosen).blocks(1.0)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole.select(chosen).signal)
    assert on_file.most == 100


CONTROLS = st.characters(categories=["Cc", "Cf", "Cs"], exclude_characters="\u200c\u200d")


@given(control=CONTROLS)
def test_texts_lose_what_steers_a_terminal(control: str):
    text = f"a{control}]0;b"
    ecg = ECG(
        np.zeros((1, 5), np.float32), (f"V1{control}",), 500, derived=(f"{control}V1",), device=text,
        stated=(text,), notes=(text,), measured={f"qt{control}": 1.0},
    )  # fmt: skip
    clean = "a ]0;b" if control.isspace() else "a]0;b"
    assert (ecg.leads, ecg.derived, ecg.measured) == (("V1",), ("V1",), {"qt": 1.0})
    assert (ecg.device, ecg.stated, ecg.notes) == (clean, (clean,), (clean,))


def test_words_keep_their_joiners():
    assert printable("می\u200cخواهم\tÄ \u00a0µ") == "می\u200cخواهم Ä  µ"
