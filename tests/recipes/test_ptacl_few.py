"""What PTACL refuses of a cohort with few pairs, in which order, and what it says of stages of another run."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from torch import nn

from cardioloom.errors import RecordError, UsageError
from cardioloom.recipes import pairs
from cardioloom.recipes.pairs import CINE
from cardioloom.recipes.ptacl import job
from cardioloom.recipes.ptacl_keep import Kept, chosen
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.store import Folder
from small_pairs import cohort_at

pytestmark = [pytest.mark.xdist_group("ptacl"), pytest.mark.usefixtures("cache")]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Folder:
    """Three patients with an ECG, one of them with a cine."""
    return cohort_at(tmp_path_factory.mktemp("few") / "c", {"train": 3}, unpaired=(0, 1))


def test_a_cohort_knows_who_has_what(few: Folder):
    assert few.has("ecg").tolist() == [True, True, True]
    assert few.has(CINE).tolist() == [False, False, True]
    with pytest.raises(RecordError, match="this cohort has ecg, cine_sax, not echo"):
        few.has("echo")


@pytest.mark.parametrize(
    ("method", "what"),
    [("ptacl", "ecg and cine_sax"), ("mmcl", "ecg and cine_sax"), ("eccl", "ecg and cine_sax"),
     ("cine_simclr", "cine_sax")],
)  # fmt: skip
def test_one_patient_has_no_other_to_be_told_from(method: str, what: str, few: Folder):
    with pytest.raises(UsageError, match=f"the split train of .* has one patient with {what}, who has no other to be"):
        job(few, Settings(method=method, preset="tiny"), "x")


@pytest.mark.parametrize("method", ["mae", "simclr", "supervised", "cine_mae"])
def test_one_cine_is_enough_where_nothing_is_told_apart_by_it(method: str, few: Folder):
    assert job(few, Settings(method=method, preset="tiny"), "x").settings.method == method


def test_cines_are_looked_at_when_all_else_is_right(few: Folder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pairs, "flat_cines", looked := Mock(side_effect=InterruptedError))
    with pytest.raises(UsageError, match="lv_ef must lie between 3 and 95 % for LVEF"):
        job(few, Settings(preset="tiny", targets="LVEF:lv_ef"), "x")
    with pytest.raises(UsageError, match="--init has no stage that ptacl takes"):
        job(few, Settings(preset="tiny"), "x", (Kept(few.path),))
    looked.assert_not_called()
    with pytest.raises(InterruptedError):
        job(few, Settings(preset="tiny"), "x")


def test_sums_are_cut_where_a_stage_is_of_another_cohort(tmp_path: Path):
    kept = Kept(tmp_path)
    kept.write("masked_ecg", nn.Linear(1, 1), {"cohort": "a1" * 32, "seed": 0, "length": {"epochs": 1}})
    same = {"cohort": "a1" * 32, "seed": 0, "length": {"epochs": 9}}
    assert kept.differs("masked_ecg", same) == {}
    assert chosen((kept,), "masked_ecg", same) == kept
    other = {**same, "cohort": "b2" * 32}
    assert kept.differs("masked_ecg", other) == {"cohort": ("a1" * 32, "b2" * 32)}
    with pytest.raises(UsageError, match='another cohort \\("a1a1a1a1a1a1…", asked is "b2b2b2b2b2b2…"\\): begin'):
        chosen((kept,), "masked_ecg", other)
    with pytest.raises(UsageError, match=r"another seed \(0, asked is null\): begin"):
        chosen((kept,), "masked_ecg", {"cohort": "a1" * 32, "length": None})
