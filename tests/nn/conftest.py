"""One thread for torch: beside other test processes its threads spend ten times the work on waiting for each other."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> None:
    torch.set_num_threads(1)
