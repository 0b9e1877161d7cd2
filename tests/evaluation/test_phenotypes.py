"""The ten phenotypes: their columns, units and limits; numbers of another unit are refused with what to write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import RecordError, UsageError
from cardioloom.evaluation.phenotypes import BY_CODE, TEN, described, refuse_odd, refuse_other_unit, targets_of
from cardioloom.evaluation.target import Target, truth
from cardioloom.records.cohort import Cohort
from cardioloom.simulator.population import draw

# Means of healthy men and women: Kawel-Boehm et al. 2015 as tabulated in doi:10.21037/cdt-20-530, table 3; right
# ventricle Hudsmith et al. 2005, its stroke volume and ejection fraction reckoned from the volumes.
HEALTHY = {
    "LVEDV": (160, 132),
    "LVESV": (54, 44),
    "LVSV": (108, 87),
    "LVEF": (67, 67),
    "LVM": (134, 98),
    "RVEDV": (190, 148),
    "RVESV": (78, 56),
    "RVSV": (112, 92),
    "RVEF": (59, 62),
}


def cohort(**columns: object) -> Cohort:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    ids = {"study_id": [f"s{k}" for k in range(n)], "patient_id": [f"p{k}" for k in range(n)]}
    return Cohort({name: np.asarray(values) for name, values in (ids | columns).items()}, lambda row: row)


def simulated(n: int = 40) -> Cohort:
    hearts = [draw(3, k, "hospital") for k in range(n)]
    names = ("lv_edv_ml", "lv_esv_ml", "lv_ef", "lv_mass_g", "rv_edv_ml", "rv_esv_ml", "rv_ef", "stroke_volume_ml")
    columns = {name: [getattr(heart, name) for heart in hearts] for name in names}
    output = [heart.stroke_volume_ml * 70 / 1000 for heart in hearts]  # 70 beats a minute
    return cohort(**columns, cardiac_output_l_min=output)


def test_there_are_ten_with_names_of_their_own():
    assert len(TEN) == len({one.code for one in TEN}) == len({one.name for one in TEN}) == 10
    assert {one.unit for one in TEN} == {"ml", "g", "l/min", "%"}
    for one in TEN:
        assert Target.of(one.target).code == one.code
        assert str(Target.of(one.target)) == one.target


@pytest.mark.parametrize(("code", "means"), HEALTHY.items())
def test_what_is_healthy_lies_far_within_the_limits(code: str, means: tuple[float, float]):
    own = BY_CODE[code]
    assert 4 * own.low <= min(means)
    assert max(means) <= (own.high if own.unit == "%" else own.high / 4)
    # No wrong unit can pass: a factor of a hundred or a thousand leads out of the limits from every healthy mean.
    wrong = 100 if own.unit == "%" else 1000
    assert all(mean / wrong < own.low and mean * wrong > own.high for mean in means)


def test_simulated_hearts_have_all_ten_in_their_units():
    made = simulated()
    targets = targets_of(made)
    values = truth(made, targets)
    assert [target.code for target in targets] == [one.code for one in TEN]
    refuse_odd(targets, values)
    of = dict(zip([target.code for target in targets], values.T, strict=True))
    np.testing.assert_allclose(of["LVEDV"] - of["LVESV"], of["LVSV"])
    np.testing.assert_allclose(100 * of["RVSV"] / of["RVEDV"], of["RVEF"])
    assert [described(target, column.mean()) for target, column in zip(targets, values.T, strict=True)] == [
        (one.name, one.unit) for one in TEN
    ]


def test_a_cohort_that_has_some_gives_some():
    some = cohort(rv_esv_ml=[60.0, 70.0], lv_ef=[0.5, 0.6], age=[50.0, 60.0])
    assert [str(target) for target in targets_of(some)] == ["LVEF:lv_ef*100", "RVESV:rv_esv_ml"]


def test_a_cohort_that_has_none_is_told_what_is_looked_for():
    with pytest.raises(
        RecordError, match=r"lv_edv_ml, .*rv_ef, got study_id, patient_id, ef: name targets, for example"
    ):
        targets_of(cohort(ef=[50.0, 60.0]))


@pytest.mark.parametrize(
    ("text", "typical"),
    [("LVEF:lv_ef", 0.6), ("LVEDV:lv_edv_l", 0.15), ("LVEF:lv_ef<=0.4", 0.2), ("age", 60), ("LVM:y", float("nan"))],
)
def test_what_cannot_be_the_phenotype_gets_no_unit(text: str, typical: float):
    target = Target.of(text)
    assert described(target, typical) == (target.code, "")


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("LVEF:lv_ef*100", 5500.0, r"lv_ef\*100 must lie between 3 and 95 %.* its median is 5500: .*write LVEF:lv_ef$"),
        ("LVEF:lv_ef", 0.55, r"lv_ef must .* its median is 0.55: .*write LVEF:lv_ef\*100$"),
        ("LVEF:lv_ef_percent", 0.55, r"lv_ef_percent must .*write LVEF:lv_ef_percent\*100$"),
        ("ef:lv_ef", 55.0, r"lv_ef must lie between 0.03 and 0.95 \(a share\) .* median is 55: .*write LVEF:lv_ef$"),
        ("ef:lv_ef*100", 5500.0, r"lv_ef must lie .* its median is 55: .*write LVEF:lv_ef$"),
        ("rv_ef_percent", 0.5, r"between 3 and 95 % for RVEF, its median is 0.5: .*write RVEF:rv_ef_percent\*100$"),
        ("LVEDV:edv", 0.15, r"edv must lie between 20 and 800 ml .*write LVEDV:edv\*1000$"),
        ("volume:lv_edv_ml", 0.15, r"lv_edv_ml must lie between 20 and 800 ml .*write LVEDV:lv_edv_ml\*1000$"),
        ("LVEDV:lv_edv_ml*1000", 150000.0, r"its median is 150000: .*write LVEDV:lv_edv_ml$"),
        ("LVM:lv_mass_g", 0.1, r"15 and 800 g .*write LVM:lv_mass_g\*1000$"),
        ("LVCO:output", 5200.0, r"0.5 and 40 l/min .*write LVCO:output\*0.001$"),
        ("LVCO:output", 0.08, "its median is 0.08: bring output to l/min$"),  # l/s
        ("RVSV:rv_edv_ml - rv_esv_ml", 0.09, "bring rv_edv_ml and rv_esv_ml to ml$"),
        ("RVSV:rv_esv_ml - rv_edv_ml", -90.0, "its median is -90: bring rv_esv_ml and rv_edv_ml to ml$"),
    ],
)
def test_another_unit_is_refused_with_what_to_write(text: str, value: float, said: str):
    values = value * np.array([[0.8], [1.0], [1.2], [np.nan]])
    with pytest.raises(UsageError, match=said):
        refuse_odd([Target.of("age"), Target.of(text)], np.concatenate([np.full((4, 1), 9e9), values], axis=1))


@given(
    one=st.sampled_from(TEN),
    share=st.floats(0, 1),
    power=st.sampled_from([0.001, 0.01, 1, 100, 1000]),
)
def test_what_is_advised_is_taken(one, share: float, power: float):
    """Whoever writes the target as the message says has numbers that pass."""
    value = one.low + share * (one.high - one.low)
    target = Target(one.code, "column", factor=2.0)
    column = np.full((5, 1), value / power / 2)
    try:
        refuse_odd([target], 2 * column)
    except UsageError as error:
        words = str(error)
        if "write " in words:
            advised = Target.of(words.rpartition("write ")[2])
            refuse_odd([advised], column * advised.factor)
        else:
            assert words.endswith(f"bring column to {one.unit}")
    else:
        assert one.low <= 2 * column[0, 0] <= one.high


def test_two_units_in_one_column_are_refused_though_the_median_is_right():
    values = np.r_[np.full(94, 55.0), np.full(6, 0.55)][:, None]
    with pytest.raises(UsageError, match=r"6 of 100 values do not \(median 55\): bring all to one unit"):
        refuse_odd([Target.of("LVEF:ef")], values)
    refuse_odd([Target.of("LVEF:ef")], np.r_[values[:-1], [[55.0]]])  # 5 of 100 may be slips


def test_comparisons_and_what_is_not_known_pass():
    refuse_odd([Target.of("LVEF:lv_ef<=0.4"), Target.of("LVM:m")], np.array([[0.0, np.nan], [1.0, np.nan]]))


@pytest.mark.parametrize(
    ("text", "unit", "value", "said"),
    [
        ("LVEF:lv_ef", "%", 0.55, r"lv_ef must lie between 3 and 95 % for LVEF.*write LVEF:lv_ef\*100$"),
        ("LVEF:any", "%", 0.55, r"write LVEF:any\*100$"),
        ("ef:lv_ef", "%", 0.55, r"lv_ef must lie between 3 and 95 % for LVEF.*write ef:lv_ef\*100$"),
        ("LVM:mass", "g", 0.1, r"between 15 and 800 g for LVM.*write LVM:mass\*1000$"),
        ("volume:lv_edv_ml*0.001", "ml", 0.15, r"for LVEDV.*write volume:lv_edv_ml$"),
        ("LVEF:lv_ef", "", 0.55, None),  # a model that was trained on the share
        ("LVEF:lv_ef*100", "%", 55.0, None),
        ("LVM:mass", "kg", 0.1, None),
        ("age:lv_ef", "years", 60.0, None),
        ("LVEF:lv_ef<=0.4", "%", 0.0, None),
        ("LVEF:none", "%", np.nan, None),
        ("difference:lv_ef - rv_ef", "%", 0.05, None),  # no phenotype
    ],
)
def test_the_truth_of_an_output_must_be_in_its_unit(text: str, unit: str, value: float, said: str | None):
    values = value * np.array([0.8, 1.0, 1.2, np.nan])
    if said is None:
        return refuse_other_unit(Target.of(text), unit, values)
    with pytest.raises(UsageError, match=said):
        refuse_other_unit(Target.of(text), unit, values)
