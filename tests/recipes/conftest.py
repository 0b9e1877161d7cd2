"""A training that was never interrupted, to which others are compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from toy_training import toy, train


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A run that was never interrupted, and the weights it left."""
    run, net = tmp_path_factory.mktemp("whole"), toy()
    train(run, net)
    return run, net.state_dict()
