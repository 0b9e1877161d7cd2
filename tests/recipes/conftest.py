"""What tests of recipes share: a training that was never interrupted, and a cohort of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import Tensor

from cardioloom.models.installed import VARIABLE
from cardioloom.store import Folder
from small_pairs import cohort_at
from toy_training import toy, train


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A run that was never interrupted, and the weights it left."""
    run, net = tmp_path_factory.mktemp("whole"), toy()
    train(run, net)
    return run, net.state_dict()


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Simulated patients with an ECG and a cine each, in splits."""
    return cohort_at(tmp_path_factory.mktemp("pairs") / "cohort")


@pytest.fixture(scope="session")
def prepared_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder, so that ECGs are prepared once for all tests and nothing of the user's is touched."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cache(prepared_at: Path) -> Iterator[Path]:
    """That folder is the cache for the tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(prepared_at))
        yield prepared_at
