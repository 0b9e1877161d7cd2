"""Where the shared recordings are, and the rule that a test without them skips with that reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples at every run, on every machine.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# Beside other test processes torch's threads spend ten times the work on waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


def shared_folder() -> Path:
    return Path(os.environ.get("CARDIOLOOM_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared recordings and goldens; skips where it is absent, fails where CI requires it."""
    folder = shared_folder()
    if not folder.is_dir():
        reason = f"the shared recordings are absent: set CARDIOLOOM_SHARED (looked at {folder.name})"
        if os.environ.get("CARDIOLOOM_REQUIRE_SHARED") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def published(shared: Path) -> Path:
    """Weights, inputs and outputs of the encoders that PTACL descends from."""
    return shared / "golden" / "ptacl_ancestors"
