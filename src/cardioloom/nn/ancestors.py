"""The ECG encoders that PTACL descends from, as they were published, so that their checkpoints load and give the same.

The masked autoencoder and the ViT of oetu/mae (Turgut et al. 2025, arXiv:2308.05764) and the ECG encoder
of MMCL-ECG-CMR. Parameters have the published names; written anew from what they compute. An ECG is an image here:
(batch, channel, lead, time). What is odd about them stays in this file, and can be switched off where an option says
so; the project's own nets are in `transformer`, `masked` and `pool`.

Models of others' checkpoints are built from `PublishedViT` alone. `PublishedMaskedAutoencoder` with its `Views`, and of
the ViT its head, ``norm_twice``, ``attention_map`` and ``draws``, are what those encoders were trained and published
with: they stand here so that every official output can be compared, and nothing else in the package calls them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardioloom.errors import UsageError
from cardioloom.nn.masked import Masking, masking
from cardioloom.nn.patch import grid_of
from cardioloom.nn.pool import AttentionPool
from cardioloom.nn.position import sincos_2d
from cardioloom.nn.transformer import EPS, Block, taken

Size3 = tuple[int, int, int]
Pool = Literal["cls", "global", "attention"]


def truncated_visible(n_tokens: int, ratio: float) -> int:
    """Tokens that the published mask leaves: rounding errors are cut off, 59 of 300 are left at 0.8 and not 60."""
    return int(n_tokens * (1 - ratio))


def patchified(x: Tensor, patch: Sequence[int]) -> Tensor:
    """(batch, channel, lead, time) → (batch, token, values): by row and column in a patch, the channel fastest."""
    rows, columns = grid_of(x.shape[2:], patch)
    blocks = x.reshape(*x.shape[:2], rows, patch[0], columns, patch[1])
    return blocks.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchified(blocks: Tensor, size: Size3, patch: Sequence[int]) -> Tensor:
    """The inverse of `patchified`."""
    rows, columns = grid_of(size[1:], patch)
    x = blocks.reshape(len(blocks), rows, columns, *patch, size[0]).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(len(blocks), *size)


class _Published(nn.Module):
    """Class token, fixed positions, patch embedding and blocks, which all the published nets share."""

    def __init__(self, img_size: Size3, patch_size: tuple[int, int], embed_dim: int):
        super().__init__()
        self.size, self.patch = img_size, patch_size
        self.grid = grid_of(img_size[1:], patch_size)
        self.n_tokens = prod(self.grid)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = self._positions(embed_dim)

    def _positions(self, width: int) -> nn.Parameter:
        return nn.Parameter(sincos_2d(width, *self.grid).to(torch.float32)[None], requires_grad=False)

    def _add_encoder(self, embed_dim: int, depth: int, num_heads: int, mlp_ratio: float) -> None:
        """After the tensors that a subclass holds directly, so that the state has the published order."""
        embedding = nn.Conv2d(self.size[0], embed_dim, self.patch, self.patch)
        self.patch_embed = nn.Sequential(OrderedDict(proj=embedding))
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, mlp_ratio) for _ in range(depth))

    def _embedded(self, x: Tensor) -> Tensor:
        if x.shape[1:] != torch.Size(self.size):
            raise UsageError(f"This encoder takes inputs of {self.size}, got {tuple(x.shape[1:])}: crop them to it")
        return self.patch_embed(x).flatten(2).transpose(1, 2) + self.pos_embed[:, 1:]

    def _with_class(self, tokens: Tensor) -> Tensor:
        return torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(tokens.shape[0], -1, -1), tokens], dim=1)


class Views(NamedTuple):
    """Losses and by-products of one step of the published pre-training.

    loss: mean squared error and correlation of the reconstruction. cosine_loss: between two maskings, not weighted.
    cosine: mean cosine similarity of the pooled tokens of the two. spread: mean standard deviation over the batch of
    the first pooled tokens, scaled to a length of √width: 0 where they have collapsed, towards 1 where not. images: the
    reconstruction, (batch, channel, lead, time). seen: the same, zero where the encoder saw nothing.
    """

    loss: Tensor
    cosine_loss: Tensor
    cosine: Tensor
    spread: Tensor
    images: Tensor
    seen: Tensor


class PublishedMaskedAutoencoder(_Published):
    """The masked autoencoder with a second masking, whose pooled tokens are drawn together (SimSiam, arXiv:2011.10566).

    Args:
        img_size: (channel, lead, time).
        patch_size: (leads, samples).
        norm_pix_loss: compare with patches of mean 0 and (unbiased) variance 1.
        ncc_weight: share of the correlation in the reconstruction's loss, 0 to 1.
    """

    def __init__(
        self,
        *,
        img_size: Size3,
        patch_size: tuple[int, int],
        embed_dim: int,
        depth: int,
        num_heads: int,
        decoder_embed_dim: int,
        decoder_depth: int,
        decoder_num_heads: int,
        mlp_ratio: float = 4.0,
        norm_pix_loss: bool = False,
        ncc_weight: float = 0.1,
    ):
        super().__init__(img_size, patch_size, embed_dim)
        self.norm_pix_loss, self.ncc_weight = norm_pix_loss, ncc_weight
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_embed_dim))
        self.decoder_pos_embed = self._positions(decoder_embed_dim)
        self._add_encoder(embed_dim, depth, num_heads, mlp_ratio)
        self.norm = nn.LayerNorm(embed_dim, eps=EPS)
        self.decoder_embed = nn.Linear(embed_dim, decoder_embed_dim)
        self.decoder_blocks = nn.ModuleList(
            Block(decoder_embed_dim, decoder_num_heads, mlp_ratio) for _ in range(decoder_depth)
        )
        self.decoder_norm = nn.LayerNorm(decoder_embed_dim, eps=EPS)
        self.decoder_pred = nn.Linear(decoder_embed_dim, prod(patch_size) * img_size[0])
        hidden = (1024, 128)  # fixed in the published net, whatever its width
        self.projector = nn.Sequential(
            nn.Linear(embed_dim, hidden[0], bias=False),
            nn.BatchNorm1d(hidden[0]),
            nn.ReLU(),
            nn.Linear(hidden[0], embed_dim, bias=False),
            nn.BatchNorm1d(embed_dim, affine=False),
        )
        self.predictor = nn.Sequential(
            nn.Linear(embed_dim, hidden[1], bias=False),
            nn.BatchNorm1d(hidden[1]),
            nn.ReLU(),
            nn.Linear(hidden[1], embed_dim, bias=False),
        )

    def encode(self, x: Tensor, draws: Tensor | None = None, ratio: float = 0.0) -> tuple[Tensor, Masking | None]:
        """Class token and visible tokens, in the order of their draws; all of them, in order, without draws.

        Args:
            x: (batch, channel, lead, time).
            draws: (batch, token).
        """
        tokens, masks = self._embedded(x), None
        if draws is not None:
            masks = masking(draws, truncated_visible(self.n_tokens, ratio))
            tokens = taken(tokens, masks.visible)
        tokens = self._with_class(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens), masks

    def decode(self, latent: Tensor, restore: Tensor) -> Tensor:
        """(batch, 1 + visible, width) → (batch, token, values); here the decoder attends to the class token too."""
        tokens = self.decoder_embed(latent)
        unseen = self.mask_token.expand(len(tokens), self.n_tokens + 1 - tokens.shape[1], -1)
        patches = taken(torch.cat([tokens[:, 1:], unseen], dim=1), restore)
        tokens = torch.cat([tokens[:, :1], patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_pred(self.decoder_norm(tokens))[:, 1:]

    def reconstruction_loss(self, x: Tensor, predicted: Tensor) -> Tensor:
        """Over all patches, seen or not. The correlation is with the raw input, also where the error is not."""
        target = patchified(x, self.patch)
        if self.norm_pix_loss:
            target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        error = ((predicted - target) ** 2).mean()
        images = unpatchified(predicted, self.size, self.patch)
        a, b = (signal - signal.mean(-1, keepdim=True) for signal in (x, images))
        correlation = F.cosine_similarity(a, b, dim=-1).mean()
        return (1 - self.ncc_weight) * error + self.ncc_weight * (1 - correlation)

    def forward(self, x: Tensor, first: Tensor, second: Tensor, ratio: float) -> Views:
        """One step of the published pre-training.

        Args:
            first, second: (batch, token) draws of the two maskings; the first one is reconstructed.
            ratio: share that is hidden.
        """
        (latent, masks), (other, _) = self.encode(x, first, ratio), self.encode(x, second, ratio)
        assert masks is not None
        predicted = self.decode(latent, masks.restore)
        pooled = [tokens[:, 1:].mean(1) for tokens in (latent, other)]
        z = [self.projector(vectors) for vectors in pooled]
        p = [self.predictor(vectors) for vectors in z]
        cosines = [F.cosine_similarity(p[i], z[1 - i].detach(), dim=-1).mean() for i in (0, 1)]
        return Views(
            self.reconstruction_loss(x, predicted),
            -(cosines[0] + cosines[1]) / 2,
            F.cosine_similarity(*pooled, dim=-1).mean(),
            F.normalize(pooled[0], dim=-1).std(0).mean() * pooled[0].shape[-1] ** 0.5,
            unpatchified(predicted, self.size, self.patch),
            unpatchified(predicted * ~masks.masked[:, :, None], self.size, self.patch),
        )


class PublishedViT(_Published):
    """The ViT that is fine-tuned, and the encoder of MMCL, which differ in what they do with its tokens.

    Args:
        img_size, patch_size, embed_dim, depth, num_heads: as the autoencoder's.
        num_classes: outputs of the head.
        pool: "cls": the class token after the last norm; "global", "attention": mean or attention pool of the patch
            tokens, which no norm has seen, then ``fc_norm``.
        keeps_norm: hold the tensors of the last norm also where a pool leaves it unused, as MMCL's checkpoints.
        norm_twice: apply ``fc_norm`` a second time before the head, as published; False for what was meant.
    """

    def __init__(
        self,
        *,
        img_size: Size3,
        patch_size: tuple[int, int],
        num_classes: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        pool: Pool,
        keeps_norm: bool = False,
        norm_twice: bool = True,
    ):
        super().__init__(img_size, patch_size, embed_dim)
        self.pool, self.norm_twice = pool, norm_twice
        self._add_encoder(embed_dim, depth, num_heads, 4.0)
        is_pooled = pool != "cls"
        self.norm = nn.LayerNorm(embed_dim, eps=EPS) if keeps_norm or not is_pooled else nn.Identity()
        self.fc_norm = nn.LayerNorm(embed_dim, eps=EPS) if is_pooled else nn.Identity()
        self.head = nn.Linear(embed_dim, num_classes)
        if pool == "attention":
            self.attention_pool = AttentionPool(embed_dim, num_heads, query="mean")

    def tokens(self, x: Tensor, draws: Tensor | None = None) -> Tensor:
        """Class token and patch tokens before any last norm.

        Args:
            x: (batch, channel, lead, time).
            draws: (batch, token): shuffle the patches by them, which the published ViT does with every input.
        """
        tokens = self._shuffled(x, draws)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens

    def _shuffled(self, x: Tensor, draws: Tensor | None) -> Tensor:
        tokens = self._embedded(x)
        return self._with_class(tokens if draws is None else taken(tokens, masking(draws, self.n_tokens).visible))

    def pooled(self, tokens: Tensor) -> Tensor:
        """(batch, 1 + token, width) → (batch, width)."""
        if self.pool == "cls":
            return self.norm(tokens)[:, 0]
        patches = tokens[:, 1:]
        return self.fc_norm(patches.mean(1) if self.pool == "global" else self.attention_pool(patches))

    def features(self, x: Tensor) -> Tensor:
        """(batch, channel, lead, time) → (batch, width)."""
        return self.pooled(self.tokens(x))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, lead, time) → logits (batch, num_classes)."""
        features = self.features(x)
        return self.head(self.fc_norm(features) if self.norm_twice else features)

    def attention_map(self, x: Tensor, draws: Tensor | None = None) -> Tensor:
        """Weights of the last block, (batch, head, 1 + token, 1 + token), in the order of the draws where given."""
        tokens = self._shuffled(x, draws)
        *before, last = self.blocks
        for block in before:
            tokens = block(tokens)
        assert isinstance(last, Block)
        return last.attn.weights(last.norm1(tokens))
