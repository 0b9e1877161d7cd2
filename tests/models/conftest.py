"""Small models with ECGFounder's preparation, of 12 leads and of one, built once a worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file

import small_net
from cardioloom.models import Model, adding
from cardioloom.models.contract import WEIGHTS
from cardioloom.prepare import PRESETS
from models import recipe


def _model(folder: Path, preset: str) -> Model:
    preparation = PRESETS[preset]
    contract = replace(small_net.contract(f"small-{preset}", preparation.leads), preparation=preparation)
    folder.mkdir()
    weights = folder.with_name(f"{folder.name}-{WEIGHTS}")
    # A gain above one, so that the logits of different records differ clearly.
    save_file(recipe.state_for(contract.net, contract.config, gain=2.0), weights)
    adding.build(contract, weights, folder)
    return Model.from_pretrained(folder)


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of 12 leads, three outputs, 16 features."""
    return _model(tmp_path_factory.mktemp("models") / "twelve", "ecgfounder")


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of lead I."""
    return _model(tmp_path_factory.mktemp("models") / "one", "ecgfounder_1l")
