"""The model that a training begins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cardioloom.models import Model
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.models.nets import load

if TYPE_CHECKING:
    from torch import Tensor


def begun_with(init: str | None) -> tuple[tuple[Contract, Mapping[str, Tensor]] | tuple[()], str | None]:
    """Contract and weights of a model, and its sum; nothing where none is named.

    Raises:
        ModelNotFoundError: if there is none of this name.
        ModelError: if it is refused.
    """
    if init is None:
        return (), None
    model = Model.from_pretrained(init)  # its golden pair is replayed: a damaged start is worse than none
    net = load(model.contract.net, model.contract.config, model.folder / WEIGHTS)
    return (model.contract, {name: value.clone() for name, value in net.state_dict().items()}), model.sha256
