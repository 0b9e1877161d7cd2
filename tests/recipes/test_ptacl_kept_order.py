"""What a training keeps of a cohort belongs to its studies, in whatever order the manifest has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardioloom.models.installed import VARIABLE
from cardioloom.prepare import prepare
from cardioloom.prepare.ecg import ptacl as preparation_of
from cardioloom.recipes.flat import flat_cines
from cardioloom.recipes.pairs import CINE, feed_of
from cardioloom.recipes.prepared import prepared_ecgs
from cardioloom.store import Folder
from small_cohort import row_of
from small_pairs import cohort_at

pytestmark = pytest.mark.xdist_group("ptacl")
N = 6
ODD = {"constant": (1,), "without_ecg": (4,)}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Folder, Folder]:
    """The same studies, built in two orders."""
    folder = tmp_path_factory.mktemp("orders")
    return cohort_at(folder / "a", {"train": N}, **ODD), cohort_at(folder / "b", {"train": N}, is_backwards=True, **ODD)


def test_the_same_studies_in_another_order_have_a_place_of_their_own(
    both: tuple[Folder, Folder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    one, other = both
    assert one.facts["fingerprint"] == other.facts["fingerprint"]
    assert one.columns["study_id"].tolist() == other.columns["study_id"][::-1].tolist()
    for own, constant in ((one, 1), (other, N - 2)):
        assert np.flatnonzero(flat_cines(own, CINE)).tolist() == [constant]
        ecgs = prepared_ecgs(own, preparation_of())
        rows = np.flatnonzero(ecgs.place >= 0)
        for signal, row in zip(ecgs.take(rows)[0], rows.tolist(), strict=True):
            slow = prepare(own.ecg(row_of(own, row)), preparation_of()).windows[0]
            np.testing.assert_allclose(signal, slow, atol=1e-5)
    batches = [feed_of(own, ("ecg", CINE), np.zeros((N, 1)), split=None, batch=N).batch for own in both]
    there, here = batches[0](np.array([0, 2, 3, 5])), batches[1](np.array([5, 3, 2, 0]))
    assert there.names == here.names
    np.testing.assert_array_equal(there.ecg, here.ecg)
    np.testing.assert_array_equal(there.cine, here.cine)
