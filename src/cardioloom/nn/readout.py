"""An encoder of patches with a pool and a linear layer: what a pretrained encoder becomes when it is put to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.pool import AttentionPool, MeanPool
from cardioloom.nn.transformer import EncoderConfig, PatchEncoder

POOLS = ("mean", "attention")


def config_of(encoder: EncoderConfig, pool: str, n_outputs: int) -> dict[str, Any]:
    """What `Readout` is built from, in values that ``json.dumps`` takes."""
    return {**asdict(encoder), "pool": pool, "n_outputs": n_outputs}


class Readout(nn.Module):
    """Numbers from an input that is one or several times as long as the encoder's.

    A longer input is cut into crops along its last axis, each is encoded and pooled, and their vectors are averaged:
    the encoder of PTACL (Selivanov et al. 2025, arXiv:2506.20683) sees crops of 5 s and its ECGs last 10 s; the paper
    does not say which crop is judged, here it is the mean of both.

    Args:
        encoder: of the crops.
        pool: "mean" of the tokens or "attention" (the paper's "AP").
        n_outputs: numbers.

    Raises:
        UsageError: a pool of another name.
    """

    def __init__(self, encoder: EncoderConfig, pool: str, n_outputs: int):
        super().__init__()
        if pool not in POOLS:
            raise UsageError(f"the pool must be one of {', '.join(POOLS)}, got {pool!r}")
        self.encoder = PatchEncoder(encoder)
        self.pool = MeanPool() if pool == "mean" else AttentionPool(encoder.width, encoder.heads)
        self.head = nn.Linear(encoder.width, n_outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Readout:
        """From the values of `config_of`.

        Raises:
            TypeError: if one is missing or unknown.
            UsageError: if they do not fit together.
        """
        given = dict(config)
        names = [*(part.name for part in fields(EncoderConfig)), "pool", "n_outputs"]
        if missing := [name for name in names if name not in given]:
            raise TypeError(f"it lacks {', '.join(missing)}")
        if unknown := [name for name in given if name not in names]:
            raise TypeError(f"{', '.join(unknown)} is no value of an encoder")
        pool, n_outputs = given.pop("pool"), given.pop("n_outputs")
        given |= {name: tuple(given[name]) for name in ("size", "patch")}
        given["positions"] = tuple(tuple(part) for part in given["positions"])
        return cls(EncoderConfig(**given), pool, n_outputs)

    def features(self, x: Tensor) -> Tensor:
        """(batch, *size of the encoder, the last axis whole times as long) → (batch, width).

        Raises:
            UsageError: another size.
        """
        *_, length = self.encoder.config.size
        n_crops, left = divmod(x.shape[-1], length)
        if left or not n_crops:
            raise UsageError(f"This net takes whole crops of {length}, got {x.shape[-1]}: crop or resample them")
        crops = torch.stack(x.split(length, dim=-1), dim=1).flatten(0, 1)
        return self.pool(self.encoder(crops)).unflatten(0, (x.shape[0], n_crops)).mean(1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, …) as `features` → numbers (batch, output), features (batch, width)."""
        features = self.features(x)
        return self.head(features), features
