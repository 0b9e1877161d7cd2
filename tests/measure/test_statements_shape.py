"""Conduction, voltage, ST, T, Q and QT criteria at their limits, and everything that is not judgeable."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.measure.statements import STATEMENTS, judge
from cardioloom.measure.statements.case import against
from cardioloom.measure.statements.snomed import codes
from cardioloom.records import ECG, STANDARD_LEADS, Measurement
from handmade import Beat, ecg, features, found, like_normal, normal, regular

CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")


def st_at(j: float, j60: float | None = None, j80: float | None = None) -> dict[str, object]:
    return {"st": {"j": j, "j60": j if j60 is None else j60, "j80": j if j80 is None else j80}}


def test_table_is_complete_and_every_statement_is_tried():
    listed = [statement.code for statement in STATEMENTS]
    assert len(set(listed)) == len(listed) > 40
    assert all(statement.name and statement.source for statement in STATEMENTS)
    findings = judge(normal())
    assert [finding.code for finding in findings] == listed
    assert all(finding.evidence and finding.source.startswith("criteria: ") for finding in findings)
    assert {finding.code for finding in findings if finding.present} == {"NSR"}
    assert all(type(finding.present) in (bool, type(None)) for finding in findings)


def test_snomed_codes_are_those_of_the_challenge(shared):
    by_code = {statement.code: statement.snomed for statement in STATEMENTS}
    assert by_code["AF"] == "164889003"
    assert by_code["WPW"] == "74390002"
    assert by_code["PAUSE"] is None
    rows = [line.split(",") for line in (shared / "data/tables/dx_mapping_scored.csv").read_text().splitlines()[1:]]
    assert all(codes()[row[2]] == row[1] for row in rows)


LATE_R = {"r": 0.1, "r_ms": 30, "s": -0.3, "s_ms": 25, "r_prime": 0.8, "r_prime_ms": 70, "r_peak_ms": 95}
BROAD_S = {"r": 0.8, "r_ms": 40, "s": -0.3, "s_ms": 70}
RIGHT = {"V1": LATE_R, "I": BROAD_S, "V6": BROAD_S}
LATE = {"r": 0.9, "r_ms": 130, "s": 0.0, "s_ms": 0.0, "r_peak_ms": 75, "notched": True}
LEFT = {"V1": {"q": -1.2, "q_ms": 120, "r": 0.0, "s": 0.0}} | dict.fromkeys(("I", "aVL", "V5", "V6"), LATE)


@pytest.mark.parametrize(("qrs", "code"), [(119, "IRBBB"), (110, "IRBBB"), (120, "RBBB"), (150, "RBBB")])
def test_right_bundle_branch_block(qrs: float, code: str):
    findings = found(like_normal(RIGHT, {"qrs_duration": qrs}))
    assert {"RBBB", "IRBBB", "LBBB", "NSIVCB"} & {c for c, finding in findings.items() if finding.present} == {code}
    assert findings[code].evidence == f"QRS {qrs} ms, late R or R′ in V1, broad S in I, V6"


def test_a_single_late_r_counts_only_with_a_timely_r_in_v5_and_v6():
    """A paced or infarcted left ventricle, late everywhere, is no right bundle branch block."""
    single = {"V1": {"r": 0.9, "r_ms": 100, "s": -0.1, "r_peak_ms": 80}, "I": BROAD_S, "V6": BROAD_S}
    assert found(like_normal(single, {"qrs_duration": 150}))["RBBB"].present is True
    late_left = single | {"V5": {"r_peak_ms": 90}}
    finding = found(like_normal(late_left, {"qrs_duration": 150}))["RBBB"]
    assert finding.present is False
    assert "late R or R′ in neither V1 nor V2" in finding.evidence
    infarcted = single | {"V5": {"q": -1.0, "r": 0.05, "s": 0.0, "r_peak_ms": 140}}
    assert found(like_normal(infarcted, {"qrs_duration": 150}))["RBBB"].present is True


def test_a_fast_wide_rhythm_is_no_bundle_branch_block():
    """It may be ventricular; fibrillation is not, and keeps its block."""
    findings = found(like_normal(RIGHT, {"qrs_duration": 150, "heart_rate": 140}))
    for code in ("RBBB", "IRBBB", "LBBB", "NSIVCB", "LAnFB", "QAb", "MI", "IAVB"):
        assert findings[code].present is None, code
        assert "rate 140/min with a QRS of 150 ms" in findings[code].evidence
    assert found(like_normal(RIGHT, {"qrs_duration": 150, "heart_rate": 110}))["RBBB"].present is True


def test_left_bundle_branch_block_needs_a_broad_r_in_two_lateral_leads():
    narrow = LEFT | {lead: LATE | {"r_ms": 60} for lead in ("I", "aVL", "V6")}
    finding = found(like_normal(narrow, {"qrs_duration": 125}))["LBBB"]
    assert finding.present is False
    assert finding.evidence.endswith("broad in V5")
    split = LEFT | {lead: LATE | {"r_ms": 50, "r_prime": 0.9, "r_prime_ms": 50} for lead in ("I", "aVL", "V5", "V6")}
    assert found(like_normal(split, {"qrs_duration": 150}))["LBBB"].present is True


def test_left_bundle_branch_block_and_unspecific_delay():
    findings = found(like_normal(LEFT, {"qrs_duration": 150}))
    assert findings["LBBB"].present is True
    assert "V1 negative, I positive without q, R peak after 60 ms in I, V5, V6" in findings["LBBB"].evidence
    assert findings["NSIVCB"].present is False
    assert found(like_normal(LEFT, {"qrs_duration": 118}))["LBBB"].present is False
    unspecific = found(like_normal({}, {"qrs_duration": 130}))
    assert unspecific["NSIVCB"].present is True
    assert unspecific["LBBB"].present is False


def test_bundle_branch_block_with_st_shifts():
    shifted = LEFT | {"V1": LEFT["V1"] | st_at(0.25), "V2": {"r": 0.0, "q": -1.5, "s": 0.0} | st_at(0.3)}
    findings = found(like_normal(shifted, {"qrs_duration": 150}))
    assert findings["STE"].present is None
    assert "left bundle branch block raises ST by itself" in findings["STE"].evidence
    assert findings["QAb"].present is None
    assert findings["SGARBOSSA"].present is False
    assert findings["BARCELONA"].present is False
    acute = shifted | {"V5": LATE | st_at(0.15), "V6": LATE | st_at(0.12)}
    findings = found(like_normal(acute, {"qrs_duration": 150}))
    assert findings["SGARBOSSA"].present is True
    assert "5 points: concordant elevation in V5 (+0.15 mV)" in findings["SGARBOSSA"].evidence
    assert findings["BARCELONA"].present is True
    assert found(like_normal())["SGARBOSSA"].evidence == "no left bundle branch block"


def test_barcelona_finds_excessive_discordance_in_a_small_qrs():
    small = LEFT | {"III": {"r": 0.3, "s": -0.1} | st_at(-0.12)}
    findings = found(like_normal(small, {"qrs_duration": 150}))
    assert findings["BARCELONA"].present is True
    assert "discordant deviation in III" in findings["BARCELONA"].evidence
    assert findings["SGARBOSSA"].present is False


@pytest.mark.parametrize(
    ("axis", "expected"), [(-95, set()), (-60, {"LAD"}), (-30, set()), (60, set()), (90, set()), (120, {"RAD"})]
)
def test_axis_deviation(axis: float, expected: set[str]):
    findings = found(like_normal({}, {"qrs_axis": axis}))
    assert {code for code in ("LAD", "RAD") if findings[code].present} == expected
    assert f"{axis}°" in findings["LAD"].evidence


def test_fascicular_blocks():
    r_s = {"r": 0.2, "s": -0.8}
    anterior = {"aVL": {"q": -0.1, "r": 0.8, "s": 0.0, "r_peak_ms": 50}} | dict.fromkeys(("II", "III", "aVF"), r_s)
    assert found(like_normal(anterior, {"qrs_axis": -60}))["LAnFB"].present is True
    assert found(like_normal(anterior, {"qrs_axis": -40}))["LAnFB"].present is False
    q_r = {"q": -0.1, "r": 0.9, "s": 0.0}
    posterior = {"I": r_s, "aVL": r_s, "III": q_r, "aVF": q_r}
    assert found(like_normal(posterior, {"qrs_axis": 110}))["LPFB"].present is True
    assert found(like_normal(posterior, {"qrs_axis": 80}))["LPFB"].present is False


def test_reversed_arm_electrodes():
    record = ecg(regular(72))
    signal = record.signal.copy()
    lead = {name: signal[n].copy() for n, name in enumerate(STANDARD_LEADS)}
    swapped = {"I": -lead["I"], "II": lead["III"], "III": lead["II"], "aVR": lead["aVL"], "aVL": lead["aVR"]}
    signal = np.stack([swapped.get(name, lead[name]) for name in STANDARD_LEADS])
    findings = found(ECG(signal, STANDARD_LEADS, 500.0))
    assert findings["NSR"].present is True
    for code in ("LAD", "RAD", "LAnFB", "LPFB", "IMI", "LMI"):
        assert findings[code].present is None, code
        assert "the arm electrodes may be swapped" in findings[code].evidence
    assert findings["QAb"].present is False


def delta_beats() -> list[Beat]:
    waves = ((0.12, -0.145, 0.020), (0.35, -0.045, 0.022), (1.2, 0.0, 0.012), (-0.25, 0.03, 0.010), (-0.2, 0.27, 0.045))
    return [Beat(at, waves) for at in np.arange(0.5, 9.6, 60 / 70)]


def test_pre_excitation():
    measured = features(ecg(delta_beats()), [beat.at for beat in delta_beats()])
    short = dict(measured.measurements) | {"pr_interval": Measurement(95.0, "ms", 2.0, 10)}
    finding = found(replace(measured, measurements=short))["WPW"]
    assert finding.present is True
    assert finding.evidence.startswith("PR 95 ms, QRS 1")
    assert "of the steepest slope" in finding.evidence
    no_delta = like_normal({}, {"pr_interval": 95, "qrs_duration": 130})
    assert found(no_delta)["WPW"].present is False
    assert found(like_normal())["WPW"].present is False


def test_left_ventricular_hypertrophy_by_voltage_and_sex():
    findings = found(like_normal({"V1": {"s": -2.0}, "V5": {"r": 1.6}}))
    assert findings["LVH"].present is True
    assert findings["LVH"].evidence.startswith("Sokolow–Lyon S V1 + R V5/V6 3.60 mV (limit 3.5)")
    cornell = {"aVL": {"r": 0.9}, "V3": {"s": -1.5}}
    assert found(like_normal(cornell, sex="F"))["LVH"].present is True
    assert found(like_normal(cornell, sex="M"))["LVH"].present is False
    assert found(like_normal(cornell, sex=None))["LVH"].present is False
    assert found(like_normal({"aVL": {"r": 1.2}}))["LVH"].present is True
    assert found(like_normal(age=9.0))["LVH"].present is None


def test_right_ventricular_hypertrophy_and_low_voltage():
    tall = {"V1": {"r": 0.9, "s": -0.2}, "V6": {"s": -0.5}}
    assert found(like_normal(tall, {"qrs_axis": 110}))["RVH"].present is True
    assert found(like_normal(tall, {"qrs_axis": 60}))["RVH"].present is False
    low = {lead: {"r": 0.3, "s": -0.1} for lead in LIMB}
    finding = found(like_normal(low))["LQRSV"]
    assert finding.present is True
    assert "largest QRS of the limb leads 0.40 mV" in finding.evidence


@pytest.mark.parametrize(
    ("age", "sex", "limit"), [(50, "M", 0.20), (30, "M", 0.25), (50, "F", 0.15), (None, None, 0.25), (30, "F", 0.15)]
)
def test_st_elevation_in_v2_and_v3_by_age_and_sex(age: float | None, sex: str | None, limit: float):
    for level, expected in ((limit + 0.005, True), (limit - 0.005, False)):
        findings = found(like_normal({"V2": st_at(level), "V3": st_at(level)}, age=age, sex=sex))
        assert findings["STE"].present is expected


def test_st_elevation_needs_neighbours_and_0_1_mv_elsewhere():
    assert found(like_normal({"II": st_at(0.11), "aVF": st_at(0.11)}))["STE"].present is True
    lone = found(like_normal({"II": st_at(0.11), "V5": st_at(0.12)}))["STE"]
    assert lone.present is False
    assert "no neighbouring lead" in lone.evidence


def test_st_depression_is_horizontal_or_falling():
    falling = {"V5": st_at(-0.08, -0.09), "V6": st_at(-0.07, -0.07)}
    assert found(like_normal(falling))["STD"].present is True
    assert "60 ms after J V5 -0.09 mV" in found(like_normal(falling))["STD"].evidence
    rising = {"V5": st_at(-0.12, -0.06), "V6": st_at(-0.12, -0.06)}
    assert found(like_normal(rising))["STD"].present is False


def test_inferior_infarction_old_and_acute():
    q = {"q": -0.3, "q_ms": 40}
    old = found(like_normal({"III": q, "aVF": q}))
    assert old["QAb"].present is True
    assert old["IMI"].present is True
    assert old["MI"].present is True
    assert old["AnMI"].present is False
    assert "inferior: III, aVF" in old["QAb"].evidence
    assert found(like_normal({"III": q}))["QAb"].present is False
    acute = {"II": st_at(0.2), "III": st_at(0.3), "aVF": st_at(0.25), "I": st_at(-0.1), "aVL": st_at(-0.15)}
    findings = found(like_normal(acute))
    assert findings["IMI"].present is True
    assert "ST raised in II, III, aVF, lowered opposite in I, aVL" in findings["IMI"].evidence


SMALL_Q, QS = {"q": -0.1, "q_ms": 22}, {"q": -1.0, "q_ms": 90, "r": 0.0, "s": 0.0}


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        ({"V3": SMALL_Q}, False),
        ({"V2": SMALL_Q, "V3": SMALL_Q}, True),
        ({"V1": QS, "V2": SMALL_Q}, True),
        ({"V3": SMALL_Q, "V4": {"q": -0.2, "q_ms": 32}}, True),
        ({"V3": SMALL_Q, "V5": {"q": -0.2, "q_ms": 32}}, False),
        ({"V2": {"q": -0.1, "q_ms": 20}, "V3": {"q": -0.1, "q_ms": 20}}, False),
        ({"V1": QS}, False),
        ({"V2": QS}, True),
    ],
)
def test_q_waves_in_front(waves: dict[str, dict[str, float]], expected: bool):
    findings = found(like_normal(waves))
    assert {findings[code].present for code in ("QAb", "AnMI", "MI")} == {expected}


def test_q_waves_of_children_are_not_judged():
    deep = {"III": {"q": -0.5, "q_ms": 40}, "aVF": {"q": -0.3, "q_ms": 40}}
    assert found(like_normal(deep, age=14.0))["MI"].present is None
    assert found(like_normal(deep, age=16.0))["MI"].present is True


def test_pericarditis_and_brugada():
    leads = ("I", "II", "III", "aVF", "aVL", "V2", "V3", "V4", "V5", "V6")
    assert found(like_normal({lead: st_at(0.16) for lead in leads}))["PERI"].present is True
    assert found(like_normal({"V2": st_at(0.3), "V3": st_at(0.3)}))["PERI"].present is False
    coved = {"V1": st_at(0.3, 0.2, 0.1) | {"t": -0.2}}
    assert found(like_normal(coved))["BRU"].present is True
    assert found(like_normal({"V1": st_at(0.3, 0.3, 0.35) | {"t": 0.3}}))["BRU"].present is False


@pytest.mark.parametrize(
    ("qtc", "sex", "long"),
    [(455, "M", True), (455, "F", False), (460, "F", True), (455, None, False), (449, "M", False)],
)
def test_long_qt_by_sex(qtc: float, sex: str | None, long: bool):
    finding = found(like_normal({}, {"qtc_bazett": qtc}, sex=sex))["LQT"]
    assert finding.present is long
    assert f"QTc (Bazett) {qtc} ms" in finding.evidence


def test_qt_short_fast_or_with_a_wide_qrs():
    assert found(like_normal({}, {"qtc_bazett": 335}))["SQT"].present is True
    assert found(like_normal())["SQT"].present is False
    fast = found(like_normal({}, {"qtc_bazett": 480, "qtc_fridericia": 430, "heart_rate": 110}))["LQT"]
    assert fast.present is False
    assert "Fridericia" in fast.evidence
    wide = found(like_normal({}, {"qtc_bazett": 480, "qt_interval": 450, "qrs_duration": 150}))["LQT"]
    assert wide.present is False


def test_t_inversion():
    finding = found(like_normal({"V5": {"t": -0.2}, "V6": {"t": -0.15}}))["TInv"]
    assert finding.present is True
    assert finding.evidence == "T V5 -0.20 mV, V6 -0.15 mV"
    assert found(like_normal({"V5": {"t": -0.2}}))["TInv"].present is False


@pytest.mark.parametrize(("peak_s", "expected"), [(0.09, None), (0.18, True)])
def test_first_degree_block_is_not_stated_on_an_unsure_onset(peak_s: float, expected: bool | None):
    """PR 290 ms with a P peak 90 ms before the QRS: the onset lies in the T wave before."""
    base = like_normal({}, {"pr_interval": 290})
    over_leads = dict(base.marks.over_leads)
    over_leads["p_peak"] = over_leads["qrs_on"] - peak_s * base.fs
    finding = found(replace(base, marks=replace(base.marks, over_leads=over_leads)))["IAVB"]
    assert finding.present is expected
    assert ("the P onset is not sure" in finding.evidence) is (expected is None)


@pytest.mark.parametrize(("sd", "expected"), [(24.0, True), (26.0, None)])
def test_first_degree_block_needs_a_steady_interval(sd: float, expected: bool | None):
    base = like_normal()
    long = dict(base.measurements) | {"pr_interval": Measurement(230.0, "ms", sd, 12)}
    over_leads = dict(base.marks.over_leads)
    over_leads["p_peak"] = over_leads["qrs_on"] - 0.18 * base.fs
    finding = found(replace(base, measurements=long, marks=replace(base.marks, over_leads=over_leads)))["IAVB"]
    assert finding.present is expected
    assert f"PR 230 ± {sd:.0f} ms" in finding.evidence


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [(59.6, 60.0, "59.6"), (59.96, 60.0, "59.96"), (60.0, 60.0, "60"), (48.3, 60.0, "48"), (100.4, 100.0, "100.4")],
)
def test_words_show_on_which_side_of_a_limit_a_value_lies(value: float, limit: float, text: str):
    assert against(value, limit) == text


def test_unphysical_amplitudes_are_not_judged():
    findings = found(like_normal({"V1": {"s": -3.0}, "V2": st_at(0.5)}, is_physical=False))
    for code in ("LVH", "RVH", "LQRSV", "STE", "STD", "TInv", "QAb", "MI", "PERI", "BRU", "SGARBOSSA"):
        assert findings[code].present is None
        assert findings[code].evidence == "amplitudes are not in physical millivolts", code
    assert findings["NSR"].present is True
    assert findings["RBBB"].present is False


def test_what_needs_absent_leads_is_not_judged():
    base = like_normal()
    limb = replace(base, waves={lead: base.waves[lead] for lead in LIMB}, usable=LIMB)
    findings = found(limb)
    for code in ("RBBB", "LBBB", "LVH", "RVH", "AnMI", "BRU", "PERI"):
        assert findings[code].present in (None, False)
    assert findings["RBBB"].evidence == "needs leads V1, V6, not usable here"
    assert findings["AnMI"].present is None
    assert findings["LAD"].present is False


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 12]), st.sampled_from([120.0, 250.0, 500.0]))
def test_anything_gets_a_verdict_with_words_and_spans_inside(seed: int, n_leads: int, fs: float):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n_leads, int(8 * fs))) * 10.0 ** rng.integers(-3, 2)
    signal = np.cumsum(signal, axis=1) if rng.random() < 0.5 else signal
    signal[rng.random(signal.shape) < 0.02] = np.nan
    findings = judge(features(ECG(signal.astype(np.float32), STANDARD_LEADS[:n_leads], fs)))
    for finding in findings:
        assert finding.evidence
        assert "nan" not in finding.evidence
        assert all(0 <= begin <= end <= 8.001 for begin, end in finding.spans_s)


def test_real_recordings(shared):
    """One clear ECG of each kind; the labels are those of the source."""
    from cardioloom.readers import read

    folder = shared / "data/ecg"
    for name, code in (("cpsc2018/A0004", "AF"), ("cpsc2018/A0001", "RBBB"), ("cpsc2018/A0011", "LBBB")):
        findings = found(next(iter(read(folder / f"{name}.hea"))))
        assert findings[code].present is True, name


ARMS_SWAPPED = {
    "I": {"q": -0.8, "r": 0.0, "s": 0.0, "p": -0.1},
    "aVL": {"r": 1.4, "s": 0.0},
    "V1": {"r": 1.2, "s": -0.3},
    "V3": {"r": 0.6, "s": -0.5},
}


def test_voltages_of_swapped_limb_leads_are_not_believed():
    features = like_normal(ARMS_SWAPPED, {"qrs_axis": 130})
    findings = found(features)
    assert findings["RAD"].present is None
    assert findings["RVH"].present is None
    assert "the arm electrodes may be swapped" in findings["RVH"].evidence
    assert findings["LVH"].present is False
    assert "aVL" not in findings["LVH"].evidence
    assert found(like_normal(ARMS_SWAPPED | {"I": {}}, {"qrs_axis": 130}))["RVH"].present is True


LOW_LIMBS = {lead: {"r": 0.2, "s": 0.0} for lead in LIMB}
LOW_CHEST = {lead: {"r": 0.3, "s": 0.0} for lead in CHEST}


def test_low_limb_voltages_outlive_swapped_arms_but_not_a_swapped_right_leg():
    """Arms swapped, I is turned over, II and III, aVR and aVL change places: the largest of the six is as before."""
    arms = LOW_LIMBS | {"I": {"q": -0.2, "r": 0.0, "s": 0.0, "p": -0.1}}
    findings = found(like_normal(arms))
    assert findings["RAD"].present is None
    assert findings["LQRSV"].present is True
    leg = LOW_LIMBS | {"II": {"r": 0.005, "s": 0.0}}
    assert "right leg may be swapped" in found(like_normal(leg))["RAD"].evidence
    hidden = found(like_normal(leg))["LQRSV"]
    assert hidden.present is False
    assert "limb" not in hidden.evidence
    assert found(like_normal(leg | LOW_CHEST))["LQRSV"].present is True
    no_chest = like_normal(leg)
    no_chest = replace(no_chest, waves={lead: wave for lead, wave in no_chest.waves.items() if lead in LIMB})
    assert found(no_chest)["LQRSV"].present is None
    assert "right leg may be swapped" in found(no_chest)["LQRSV"].evidence
