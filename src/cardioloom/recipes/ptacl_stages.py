"""The stages in which PTACL's encoders, and those of the methods it is compared with, are trained before the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cardioloom.nn.crossed import NAMES, Crossed
from cardioloom.nn.masked import MaskedAutoencoder
from cardioloom.nn.paired import Encoded, Paired, Tower
from cardioloom.nn.phase import beat_operator, picture_phases, signal_phases
from cardioloom.nn.transformer import EncoderConfig, PatchEncoder
from cardioloom.objectives.contrastive import info_nce, nt_xent
from cardioloom.objectives.gather import mean_over_ranks
from cardioloom.objectives.local import local_loss, phase_cosine
from cardioloom.objectives.masked import masked_squared_error
from cardioloom.recipes.pairs import CINE, Pairs, stored
from cardioloom.recipes.ptacl_settings import GOALS, Settings
from cardioloom.recipes.ptacl_sizes import MASKED, PHASES, PRESETS
from cardioloom.recipes.ptacl_views import PLAIN, Views, from_peak, rolled

Step = Callable[[nn.Module, Pairs], Tensor]
SIMCLR_TEMPERATURE = 0.1
MMCL_TEMPERATURE = 0.1  # of MMCL, ECCL and the cross-modal autoencoder's pairing


@dataclass(frozen=True, eq=False)
class Stage:
    """A net and what is done with a batch.

    Args:
        net: in whose parameters the encoders lie.
        step: (net, batch) → loss.
        modalities: of the cohort, that its batches hold.
    """

    net: nn.Module
    step: Step
    modalities: tuple[str, ...]


def encoder_config(settings: Settings, modality: str) -> EncoderConfig:
    """Of the encoder; MMCL's takes three frames of the cine for the channels of a picture."""
    preset = PRESETS[settings.preset]
    if modality == "ecg":
        return preset.ecg
    if settings.method_of.pairs != "stills":
        return preset.cine
    _, *pixels = preset.cine.size
    return replace(preset.cine, size=(3, *pixels), patch=(3, *preset.cine.patch[1:]))


def masked(modality: str, encoder: PatchEncoder) -> Stage:
    """A masked autoencoder that sees crops as they are; the error counts on the masked tokens alone (PTACL 3.1)."""
    views, net = Views(PLAIN), MaskedAutoencoder(encoder, ratio=MASKED[modality])

    def step(module: nn.Module, batch: Pairs) -> Tensor:
        x = views.ecg(batch)[0] if modality == "ecg" else views.cine(batch)
        found = module(x, torch.rand(len(x), encoder.n_tokens, device=x.device))
        return masked_squared_error(found.predicted, found.target, found.masked)

    return Stage(net, step, (stored(modality),))


def simclr(settings: Settings, modality: str, encoder: PatchEncoder) -> Stage:
    """Two augmented views of each record find each other (Chen et al. 2020)."""
    views, net = Views(settings.augment), Projected(Tower(encoder, PRESETS[settings.preset].projection))

    def step(module: nn.Module, batch: Pairs) -> Tensor:
        both = [views.ecg(batch)[0] if modality == "ecg" else views.cine(batch) for _ in range(2)]
        first, second = module(torch.cat(both)).chunk(2)
        return nt_xent(first, second, SIMCLR_TEMPERATURE)

    return Stage(net, step, (stored(modality),))


def pairs(settings: Settings, ecg: PatchEncoder, cine: PatchEncoder) -> Stage:
    """Both encoders on pairs: the global loss, and the local one or what the method has in its place (PTACL 3.2)."""
    method, goal, preset = settings.method_of, GOALS[settings.goal], PRESETS[settings.preset]
    views = Views(settings.augment)
    # What was trained alone is held in its first blocks; a new encoder has nothing worth holding.
    frozen = preset.frozen_blocks if method.first == "masked" else 0
    net = Phased(Paired(ecg, cine, projection=preset.projection, frozen_blocks=0))
    ecg.freeze(frozen)
    if method.first == "labels":
        cine.requires_grad_(False)  # ECCL: trained with labels, then held
    elif method.pairs != "stills":
        cine.freeze(frozen)

    def step(module: nn.Module, batch: Pairs) -> Tensor:
        x, peaks = views.ecg(batch)
        pictures = views.stills(batch) if method.pairs == "stills" else views.cine(batch)
        operator, usable = phases_of(ecg.config, peaks)
        shift = torch.randint(PHASES if settings.roll else 1, (len(x),), device=x.device)  # time tokens
        if settings.roll:
            pictures = rolled(pictures, shift * cine.config.patch[0])
        left, right, left_phases, right_phases = module(x, pictures, operator, shift)
        temperature = goal.temperature if method.pairs in ("local", "cosine") or settings.method == "global" else None
        loss = info_nce(left, right, temperature or MMCL_TEMPERATURE, settings.weight)
        if method.pairs == "local":
            local = local_loss(
                left_phases,
                right_phases,
                temperature=goal.local_temperature,
                sigma=goal.sigma,
                weight=settings.weight,
                usable=usable,
            )
            return loss + settings.beta * local
        if method.pairs == "cosine":
            return loss + settings.beta * phase_cosine(left_phases, right_phases, usable=usable)
        return loss

    return Stage(net, step, ("ecg", CINE))


def crossed(settings: Settings, ecg: PatchEncoder, cine: PatchEncoder) -> Stage:
    """Each record is drawn from its own and from the other's latent vector, and the two vectors are paired (CMAE)."""
    views, net = Views(PLAIN), Crossed(ecg, cine, latent=PRESETS[settings.preset].projection)

    def step(module: nn.Module, batch: Pairs) -> Tensor:
        # Of a crop at random no cine could tell where the beats lie.
        found = module(from_peak(batch), views.cine(batch))
        ecg_latent, cine_latent = found.latents
        pairing = info_nce(ecg_latent, cine_latent, MMCL_TEMPERATURE, settings.weight)
        spreads = [_variance(target) for target in found.targets]
        errors = [
            (drawn - found.targets[n // 2]).square().mean() / spreads[n // 2] for n, drawn in enumerate(found.drawn)
        ]
        return pairing + torch.stack(errors).mean()

    return Stage(net, step, ("ecg", CINE))


def _variance(x: Tensor) -> Tensor:
    """Over the batch of all ranks, without gradient."""
    mean = mean_over_ranks(x.mean())
    return mean_over_ranks((x - mean).square().mean())


def phases_of(config: EncoderConfig, peaks: Tensor) -> tuple[Tensor, Tensor]:
    """`beat_operator` of an ECG encoder's tokens."""
    patch = config.patch[-1]
    return beat_operator(peaks, config.size[-1] // patch, patch, PHASES)


class Projected(nn.Module):
    """A tower of which only the projected vectors are wanted."""

    def __init__(self, tower: Tower):
        super().__init__()
        self.tower = tower

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *size) → (batch, projection)."""
        return self.tower(x).projected


class Phased(nn.Module):
    """Two towers, and the phases of the beat in their tokens: no weight more than the towers have.

    Args:
        paired: the towers.
    """

    def __init__(self, paired: Paired):
        super().__init__()
        self.paired = paired

    def forward(
        self, ecg: Tensor, cine: Tensor, operator: Tensor, shift: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Projected vectors of both, (batch, projection), and their phases, (batch, phase, width).

        Args:
            ecg, cine: as `Paired`.
            operator: as `beat_operator` gives it.
            shift: (batch,) time tokens by which each cine was rolled; its phases are given back in the beat's order.
        """
        left, right = self.paired(ecg, cine)
        signal, pictures = phases(self.paired, left, right, operator)
        if shift is not None:
            n = pictures.shape[1]
            at = (torch.arange(n, device=shift.device) - shift[:, None]) % n
            pictures = pictures.gather(1, at[:, :, None].expand(-1, -1, pictures.shape[2]))
        return left.projected, right.projected, signal, pictures


def phases(paired: Paired, left: Encoded, right: Encoded, operator: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens of an ECG and of a cine → (batch, phase, width) of both."""
    signal = left.tokens.unflatten(1, paired.ecg.encoder.embedding.grid)
    return signal_phases(signal, operator), cine_phases(paired, right)


def cine_phases(paired: Paired, right: Encoded) -> Tensor:
    """Tokens of a cine → (batch, phase, width)."""
    n_times, *places = paired.cine.encoder.embedding.grid
    return picture_phases(right.tokens.unflatten(1, (n_times, places[0] * places[1])))


def encoders_of(net: nn.Module) -> dict[str, PatchEncoder]:
    """The encoders in a stage's net, by modality where it has both; "" where it has one."""
    if isinstance(net, Phased):
        return {"ecg": net.paired.ecg.encoder, "cine": net.paired.cine.encoder}
    if isinstance(net, Crossed):
        return {name: net.encoders[name] for name in NAMES}  # type: ignore[misc]
    return {"": net.tower.encoder if isinstance(net, Projected) else net.encoder}  # type: ignore[dict-item,union-attr]
