"""The public ECG encoders that PTACL descends from, from a laboratory's own checkpoint: features of ten seconds.

Turgut et al. 2025 (MMCL; doi:10.1016/j.media.2024.103451, arXiv:2308.05764): a ViT on the patches of each lead, trained
as a masked autoencoder (github.com/oetu/mae) and then against cardiac MRI (github.com/oetu/MMCL-ECG-CMR). Neither
weights nor code of theirs are part of this package. The checkpoints come in several sizes and layouts; `fitted` reads
which it is off the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cardioloom.errors import ModelError
from cardioloom.models.cards import Card
from cardioloom.models.contract import Contract
from cardioloom.models.task import Task
from cardioloom.prepare import PRESETS
from cardioloom.records import STANDARD_LEADS

if TYPE_CHECKING:
    from torch import Tensor

State = Mapping[str, "Tensor"]
PREPARATION, N_LEADS = PRESETS["mmcl"], len(STANDARD_LEADS)
# (width, layers) → name and heads of the published sizes. No tensor's shape tells the number of heads.
SIZES = {
    (384, 3): ("tiny", 6),
    (512, 4): ("small", 8),
    (640, 5): ("medium", 10),  # of oetu/mae
    (640, 6): ("medium", 8),  # of MMCL
    (768, 8): ("big", 8),
    (768, 12): ("base", 12),
    (1024, 24): ("large", 16),
    (1280, 32): ("huge", 16),
}
# What the tensors can be.
LAYOUTS = {
    "autoencoder": "a whole masked autoencoder",
    "bare": "an encoder with its last norm and nothing after it",
    "bare pool": "an encoder with an attention pool and no fc_norm",
    "class": "an encoder with a head on its class token",
    "pooled": "an encoder with fc_norm and without its last norm",
    "pooled, norm kept": "an encoder with fc_norm that keeps its last norm",
}
# Name → title, repository, licence of the code, layouts.
NAMES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "mae-ecg": ("Masked autoencoder of ECGs, its encoder", "oetu/mae", "CC-BY-NC 4.0", ("autoencoder", "bare")),
    "vit-ecg": ("ECG encoder fine-tuned by oetu/mae", "oetu/mae", "CC-BY-NC 4.0", ("class", "pooled")),
    "mmcl-ecg": (
        "ECG encoder of MMCL",
        "oetu/MMCL-ECG-CMR",
        "MIT",
        ("class", "pooled, norm kept", "bare", "bare pool"),
    ),
}
EMBEDDING = "patch_embed.proj.weight"
# What a checkpoint holds beside what features are made of: the head's labels are not known here.
LEFT_OUT = ("head.", "mask_token", "decoder_", "projector.", "predictor.")
ORIGIN = "ECGs that its file does not state (the authors' own weights: UK Biobank)"
LIMITS = (
    "Gives features alone, no findings and no numbers: a head of its own must be trained on them.",
    "Origin and training of the weights are not known to this package: it was given a file of a known form.",
    "Of a record of 5 to 10 s the end of the ten seconds is filled with zeros, which the net never saw.",
)


def contract(name: str) -> Contract:
    """The contract of one of `NAMES` in the smallest published size; `fitted` makes it that of a checkpoint."""
    pool = "normed" if name == "mae-ecg" else "global"
    config = {"img_size": [1, N_LEADS, 2500], "patch_size": [1, 100], "embed_dim": 384, "depth": 3, "num_heads": 6}
    title, repository, licence, _ = NAMES[name]
    card = Card(
        title=title,
        source=f"a file of the user's, in the form of github.com/{repository}",
        licence=f"the weights' own, which their file does not state (the authors' code: {licence})",
        citation="Turgut et al., Unlocking the diagnostic potential of electrocardiograms through information transfer "
        "from cardiac magnetic resonance imaging, Medical Image Analysis 101 (2025) 103451",
        trained_on=ORIGIN,
        intended_use="research: features of resting ECGs of 12 leads; not a diagnosis",
        limits=LIMITS,
    )
    return Contract(name, "CroppedEncoder", config | {"pool": pool}, PREPARATION, Task("embedding", ()), card)


def fitted(known: Contract, state: State, what: str) -> tuple[Contract, dict[str, Tensor]]:
    """The contract of a checkpoint, its configuration read off the tensors, and the tensors that features need.

    Args:
        known: as `contract` gives it.
        state: the checkpoint's, with any prefix, beside any other nets.
        what: the file, for messages.

    Raises:
        ModelError: if the state holds no such encoder or several, one of another layout than the name's, or one whose
            leads, crop or size cannot be.
    """
    own = _encoder(state, what)
    layout = _layout(own)
    if layout not in NAMES[known.name][3]:
        names = [name for name, (*_, taken) in NAMES.items() if layout in taken]
        raise ModelError(f"{what} holds {LAYOUTS[layout]}, not {known.name}: add it as {' or '.join(names)}")
    size, config = _config(own, what)
    pool = "attention" if "attention_pool.in_proj_weight" in own else "cls" if layout == "class" else "global"
    if known.name == "mae-ecg":
        pool = "normed"
    notes = (*_notes(own, pool, config), *_oddities(own, known.name, layout))
    card = replace(known.card, title=f"{known.card.title}, {size}", notes=notes)
    if pool in ("global", "attention"):
        own = {name: value for name, value in own.items() if not name.startswith("norm.")}
    if layout in ("bare", "bare pool") and pool != "normed":
        own |= _plain_norm(config["embed_dim"])
    kept = {f"encoder.{name}": value for name, value in own.items() if not name.startswith(LEFT_OUT)}
    return replace(known, config=config | {"pool": pool}, card=card), kept


def _encoder(state: State, what: str) -> dict[str, Tensor]:
    """The tensors of the one encoder of signals that a state holds, without their prefix."""
    prefixes = [
        name.removesuffix(EMBEDDING)
        for name, value in state.items()
        if name == EMBEDDING or name.endswith(f".{EMBEDDING}")
        if value.ndim == 4 and value.numel() and value.is_floating_point()
    ]
    if not prefixes:
        raise ModelError(f"{what} holds no {EMBEDDING}: it is no encoder of this family, name the model it belongs to")
    if len(prefixes) > 1:
        some = ", ".join(repr(prefix[:40]) for prefix in prefixes[:3])
        raise ModelError(f"{what} holds {len(prefixes)} encoders ({some}): save the one that is wanted alone")
    own = {name.removeprefix(prefixes[0]): t for name, t in state.items() if name.startswith(prefixes[0])}
    if missing := [name for name in ("cls_token", "pos_embed", "blocks.0.attn.qkv.weight") if name not in own]:
        raise ModelError(f"{what} lacks {', '.join(missing)} of this family's encoders: get the file again")
    return own


def _layout(own: State) -> str:
    """One of `LAYOUTS`."""
    if "mask_token" in own:
        return "autoencoder"
    if "fc_norm.weight" in own:
        return "pooled, norm kept" if "norm.weight" in own else "pooled"
    if "attention_pool.in_proj_weight" in own:
        return "bare pool"
    return "class" if "head.weight" in own else "bare"


def _config(own: State, what: str) -> tuple[str, dict[str, Any]]:
    """Name of the size and arguments of the net, from shapes and from the table of positions."""
    weight, positions = own[EMBEDDING], own["pos_embed"]
    width, channels, rows, columns = weight.shape
    is_table = positions.ndim == 3 and len(positions) == 1 and positions.is_floating_point()
    n_tokens = positions.shape[1] - 1 if is_table else 0
    down, uneven = divmod(N_LEADS, rows)
    if channels != 1 or uneven or n_tokens < 1 or n_tokens % down:
        raise ModelError(
            f"{what} takes {channels} channels in patches of {rows} × {columns} and has {n_tokens} positions, which "
            f"is no ECG of {N_LEADS} leads: use an encoder of {N_LEADS}"
        )
    if (found := _rows_of(positions[0, 1:])) not in (None, down):
        raise ModelError(f"{what} has positions for {found} rows of patches instead of {down}: it takes other leads")
    samples = n_tokens // down * columns
    if samples > PREPARATION.window_samples:
        raise ModelError(
            f"{what} takes {samples} samples at once, {PREPARATION.name} prepares {PREPARATION.window_samples}: "
            "use an encoder of shorter crops"
        )
    depth = len({match[1] for name in own if (match := re.match(r"blocks\.(\d+)\.", name))})
    if (width, depth) not in SIZES:
        known = ", ".join(f"{w} wide with {d}" for w, d in SIZES)
        raise ModelError(
            f"{what} is {width} wide with {depth} layers, a size whose number of heads is not published: use one of "
            f"{known}"
        )
    size, heads = SIZES[width, depth]
    shape = {"img_size": [1, N_LEADS, samples], "patch_size": [rows, columns]}
    return size, shape | {"embed_dim": width, "depth": depth, "num_heads": heads}


def _rows_of(positions: Tensor) -> int | None:
    """Rows of the grid that a fixed table of positions was made for; None of a learned one, which does not tell.

    Args:
        positions: (token, width): time in the first half of the width, the row in the second.
    """
    n_tokens, width = positions.shape
    different = len((positions[:, width // 2 :] * 1e4).round().unique(dim=0))
    return different if different < n_tokens else None


def _plain_norm(width: int) -> dict[str, Tensor]:
    import torch

    return {"fc_norm.weight": torch.ones(width), "fc_norm.bias": torch.zeros(width)}


def _notes(own: State, pool: str, config: Mapping[str, Any]) -> list[str]:
    """How the features are made, and what of the configuration could not be read."""
    samples, down = config["img_size"][2], N_LEADS // config["patch_size"][0]
    heads = f"{config['num_heads']}, as published for {config['embed_dim']} wide with {config['depth']} layers"
    notes = [
        f"Features are the mean over the fewest evenly spread crops of {samples} samples that cover the ten seconds.",
        {
            "normed": "A crop's features are the mean of its patch tokens after the last norm; no class token.",
            "cls": "A crop's features are its class token after the last norm.",
            "global": "A crop's features are the mean of its patch tokens, which no last norm has seen, after fc_norm.",
            "attention": "A crop's features are an attention pool of its patch tokens, which no last norm has seen, "
            "asked by their mean, after fc_norm.",
        }[pool],
        f"The configuration was read off the tensors, all but the number of heads, which leaves no trace: {heads}.",
    ]
    if _rows_of(own["pos_embed"][0, 1:]) is None:
        notes.append(f"The positions were learned: nothing but their number tells that they are of {down} rows.")
    return notes


def _oddities(own: State, name: str, layout: str) -> list[str]:
    """Which oddities of the published code this net keeps, and what was left out of the file."""
    notes = []
    if layout in ("pooled", "pooled, norm kept"):
        notes.append(
            "fc_norm is applied once: oetu/mae applies it a second time before the head, and there is none here."
        )
    if name == "vit-ecg":
        notes.append("Tokens stay in their order: oetu/mae shuffles them, which moves no pooled feature.")
    if layout == "pooled, norm kept":
        notes.append("norm.*, which MMCL stores beside fc_norm and never applies, was left out.")
    if layout in ("bare", "bare pool") and name == "mmcl-ecg":
        notes.append(
            "The file holds no fc_norm, which MMCL's export drops: a norm without weights stands in, as fine-tuning "
            "begins with one; norm.*, which MMCL stores and never applies, was left out."
        )
    if "head.weight" in own:
        notes.append("The file's head was left out: what its outputs mean is not in the file.")
    if layout == "autoencoder":
        notes.append("Decoder, projector and predictor were left out.")
    return notes
