"""The published ECG encoders: their own weights give their own outputs, and what is odd about them is where it says."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ancestors import TINY, fill, hashed, stored
from cardioloom.errors import UsageError
from cardioloom.nn.ancestors import PublishedMaskedAutoencoder, PublishedViT, patchified, truncated_visible
from cardioloom.nn.masked import n_visible
from cardioloom.nn.position import sincos_1d, sincos_2d
from cardioloom.nn.transformer import n_parameters

POOLS = pytest.mark.parametrize("pool", ["cls", "global", "attention"])
MAES = pytest.mark.parametrize("name", ["mae_small", "mae_small_multirow"])
WITHIN = {"rtol": 0, "atol": 2e-5}  # of the autoencoders' goldens; of the ViTs':
WITHIN_VIT = {"rtol": 0, "atol": 1e-5}


def arguments(config: dict[str, Any]) -> dict[str, Any]:
    made = {name: tuple(value) if isinstance(value, list) else value for name, value in config["constructor"].items()}
    made.pop("drop_path_rate", None)  # in training only
    return made


def load(net: torch.nn.Module, published: Path, name: str, config: dict[str, Any]) -> None:
    """The published weights, whose names, order and shapes the net must have."""
    assert [[key, list(value.shape)] for key, value in net.state_dict().items()] == config["state_keys"]
    net.load_state_dict(load_file(published / f"{name}.safetensors"), strict=True)
    net.eval()


def mae(published: Path, name: str) -> tuple[PublishedMaskedAutoencoder, dict[str, Tensor], float]:
    config = json.loads((published / f"{name}_open_config.json").read_text())
    net = PublishedMaskedAutoencoder(**arguments(config))
    load(net, published, f"{name}_open", config)
    assert truncated_visible(net.n_tokens, config["mask_ratio"]) == config["len_keep"]
    return net, stored(published, f"{name}_open_io"), config["mask_ratio"]


def vit(published: Path, pool: Any, family: str = "vit") -> tuple[PublishedViT, dict[str, Tensor]]:
    name = f"{family}_small_open_{pool}"
    config = json.loads((published / f"{name}_config.json").read_text())
    net = PublishedViT(**arguments(config), pool=pool, keeps_norm=family == "ecgencoder")
    load(net, published, name, config)
    return net, stored(published, f"{name}_io")


def test_the_position_tables_are_as_published(published: Path):
    tables = stored(published, "pos_embed_open")
    for grid in ((12, 25), (1, 8), (3, 4)):
        made = sincos_2d(32, *grid)
        torch.testing.assert_close(made, tables[f"pos2d_d32_{grid[0]}x{grid[1]}"], rtol=0, atol=1e-6)
    torch.testing.assert_close(sincos_1d(16, torch.arange(10)), tables["pos1d_d16_n10"][1:], rtol=0, atol=1e-6)


@MAES
@torch.no_grad()
def test_the_autoencoder_encodes_and_predicts_as_published(published: Path, name: str):
    net, io, ratio = mae(published, name)
    torch.testing.assert_close(patchified(io["x"], net.patch), io["patchified"])
    latent, masks = net.encode(io["x"], io["noise1"], ratio)
    assert masks is not None
    assert torch.equal(masks.masked.float(), io["mask"])
    assert torch.equal(masks.restore, io["ids_restore"])
    torch.testing.assert_close(latent, io["eval_latent"], **WITHIN)
    torch.testing.assert_close(net.decode(latent, masks.restore), io["eval_pred"], **WITHIN)
    whole, none = net.encode(io["x"])
    assert none is None
    torch.testing.assert_close(whole, io["all_patches_features"], **WITHIN)


@MAES
@pytest.mark.parametrize("mode", ["eval", "train"])
@torch.no_grad()
def test_the_losses_of_a_step_are_as_published(published: Path, name: str, mode: str):
    net, io, ratio = mae(published, name)
    views = net.train(mode == "train")(io["x"], io["noise1"], io["noise2"], ratio)
    made = {"loss": views.loss, "loss_cos": views.cosine_loss, "cos_embed": views.cosine, "z_std": views.spread}
    for key, value in made.items():
        torch.testing.assert_close(value, io[f"{mode}_{key}"], **WITHIN)
    torch.testing.assert_close(views.images, io["eval_imgs_hat"], **WITHIN)
    torch.testing.assert_close(views.seen, io["eval_imgs_hat_masked"], **WITHIN)


@MAES
def test_the_gradients_are_those_of_the_published_reconstruction(published: Path, name: str):
    net, io, ratio = mae(published, name)
    net(io["x"], io["noise1"], io["noise2"], ratio).loss.backward()
    parameters = dict(net.named_parameters())
    keys = [key for key in io if key.startswith("grad_")]
    assert len(keys) == 3
    for key in keys:
        torch.testing.assert_close(parameters[key.removeprefix("grad_")].grad, io[key], **WITHIN)
    assert parameters["pos_embed"].grad is None


@MAES
@torch.no_grad()
def test_the_options_of_the_loss_are_as_published(published: Path, name: str):
    net, io, _ = mae(published, name)
    for weight in (0, 1):
        net.ncc_weight = weight
        made = net.reconstruction_loss(io["x"], io["eval_pred"])
        torch.testing.assert_close(made, io[f"eval_loss_ncc_weight_{weight}"], **WITHIN)
    net, io, _ = mae(published, name)
    net.norm_pix_loss = not net.norm_pix_loss
    made = net.reconstruction_loss(io["x"], io["eval_pred"])
    torch.testing.assert_close(made, io["eval_loss_with_norm_pix_toggled"], **WITHIN)


@torch.no_grad()
def test_the_published_loss_counts_patches_that_were_seen(published: Path):
    net, io, _ = mae(published, "mae_small")
    net.ncc_weight = 0.0
    error = ((io["eval_pred"] - io["patchified"]) ** 2).mean(-1)
    loss = net.reconstruction_loss(io["x"], io["eval_pred"])
    torch.testing.assert_close(loss, error.mean())
    assert (loss - error[io["mask"] == 1].mean()).abs() > 1e-3


@pytest.mark.parametrize(("weight", "is_normal"), [(0.0, False), (0.0, True), (1.0, True), (0.3, False)])
@torch.no_grad()
def test_the_reconstruction_loss_is_that_of_a_slow_loop(weight: float, is_normal: bool):
    """Squares over every patch, of mean 0 and variance 1 where so asked; the correlation of each lead as it is."""
    net = smallest(norm_pix_loss=is_normal, ncc_weight=weight)
    x, predicted = torch.randn(2, 1, 2, 20), torch.randn(2, 8, 5)
    squares, correlations = [], []
    for record in range(2):
        for lead in range(2):
            rows = predicted[record, 4 * lead : 4 * lead + 4]  # the patches of a lead follow each other
            correlations.append(statistics.correlation(x[record, 0, lead].tolist(), rows.flatten().tolist()))
            for patch, row in zip(x[record, 0, lead].split(5), rows, strict=True):
                wanted = patch.tolist()
                if is_normal:
                    middle, spread = statistics.mean(wanted), (statistics.variance(wanted) + 1e-6) ** 0.5
                    wanted = [(value - middle) / spread for value in wanted]
                squares += [(a - b) ** 2 for a, b in zip(row.tolist(), wanted, strict=True)]
    expected = (1 - weight) * statistics.mean(squares) + weight * (1 - statistics.mean(correlations))
    assert float(net.reconstruction_loss(x, predicted)) == pytest.approx(expected, rel=1e-5)


def smallest(**options: Any) -> PublishedMaskedAutoencoder:
    """Of two leads in eight patches of five samples."""
    sizes = {"embed_dim": 8, "depth": 1, "num_heads": 2}
    return PublishedMaskedAutoencoder(
        img_size=(1, 2, 20),
        patch_size=(1, 5),
        **sizes,
        **{f"decoder_{name}": n for name, n in sizes.items()},
        **options,
    )


def test_the_other_views_projections_are_held_fixed_in_the_cosine_loss():
    net = smallest()
    x, draws = torch.arange(160.0).sin().reshape(4, 1, 2, 20), torch.arange(64.0).cos().reshape(2, 4, 8)
    net(x, *draws, 0.5).cosine_loss.backward()
    weight = next(net.projector.parameters())
    assert weight.grad is not None
    assert weight.grad.any()
    net.zero_grad()
    last = torch.nn.Linear(128, 8)  # predicts the same whatever comes in: nothing else is left to learn
    torch.nn.init.zeros_(last.weight)
    net.predictor[3] = last
    net(x, *draws, 0.5).cosine_loss.backward()
    assert last.bias.grad is not None
    assert last.bias.grad.any()
    assert not weight.grad.any()


@POOLS
@torch.no_grad()
def test_the_vit_gives_its_features_and_logits(published: Path, pool: str):
    net, io = vit(published, pool)
    torch.testing.assert_close(net.features(io["x"]), io["features"], **WITHIN_VIT)
    torch.testing.assert_close(net(io["x"]), io["logits"], **WITHIN_VIT)
    net.norm_twice = False
    torch.testing.assert_close(net(io["x"]), io["logits_if_head_applied_once"], **WITHIN_VIT)
    assert ((io["logits"] - net(io["x"])).abs().max() > 1e-3) == (pool != "cls")


@POOLS
@torch.no_grad()
def test_shuffled_tokens_shuffle_the_attention_and_not_the_features(published: Path, pool: str):
    net, io = vit(published, pool)
    shuffled, plain = net.attention_map(io["x"], io["noise"]), net.attention_map(io["x"])
    torch.testing.assert_close(shuffled, io["attn_map_last_shuffled"], **WITHIN_VIT)
    torch.testing.assert_close(plain, io["attn_map_last_identity_order"], **WITHIN_VIT)
    order = torch.cat([torch.zeros(3, 1, dtype=torch.long), 1 + io["noise"].argsort(1)], dim=1)
    for i in range(3):
        torch.testing.assert_close(plain[i][:, order[i]][:, :, order[i]], shuffled[i], **WITHIN_VIT)
    pooled = net.pooled(net.tokens(io["x"], io["noise"]))
    torch.testing.assert_close(pooled, io["features"], **WITHIN_VIT)


@POOLS
@torch.no_grad()
def test_the_mmcl_encoder_gives_its_features_and_tokens(published: Path, pool: str):
    net, io = vit(published, pool, "ecgencoder")
    torch.testing.assert_close(net.features(io["x"]), io["features"], **WITHIN_VIT)
    torch.testing.assert_close(net.tokens(io["x"])[:, 1:], io["localized"], **WITHIN_VIT)


def test_the_published_sizes_have_their_counts(published: Path):
    sizes = json.loads((published / "vit_sizes.json").read_text())
    assert len(sizes) == 4
    for size in sizes.values():
        shape = {"img_size": (1, 12, 2500), "patch_size": (1, 100), "num_classes": 2, "embed_dim": size["embed_dim"]}
        with torch.device("meta"):
            net = PublishedViT(**shape, depth=size["depth"], num_heads=size["heads"], pool="attention")
        assert n_parameters(net) == size["n_params"]  # the fixed positions too


@torch.no_grad()
def test_the_official_tiny_size_gives_its_outputs(published: Path):
    recipe = json.loads((published / "full_tiny_recipe_open.json").read_text())
    golden = stored(published, "full_tiny_recipe_open")
    x = torch.from_numpy(3**0.5 * (2 * hashed(3000, 60000) - 1)).to(torch.float32).reshape(2, 1, 12, 2500)
    first, second = (torch.from_numpy(hashed(key, 600)).to(torch.float32).reshape(2, 300) for key in (3001, 3002))
    torch.testing.assert_close(x[..., :16], golden["x_head"])
    torch.testing.assert_close(first[:, :8], golden["noise1_head"])
    net = PublishedMaskedAutoencoder(**TINY, decoder_embed_dim=256, decoder_depth=2, decoder_num_heads=8)
    fill(net, recipe["mae"]["keys"], recipe["mae"]["key_offset"])
    counts = {True: 0, False: 0}
    for name, parameter in net.named_parameters():
        counts[name.startswith("decoder")] += parameter.numel() * parameter.requires_grad
    assert [counts[False], counts[True]] == [recipe["mae"][f"n_trainable_{side}"] for side in ("encoder", "decoder")]
    views = net(x, first, second, recipe["mae"]["mask_ratio"])
    made = {"loss": views.loss, "loss_cos": views.cosine_loss, "cos_embed": views.cosine, "z_std": views.spread}
    for key, number in made.items():
        torch.testing.assert_close(number, golden[f"mae_{key}"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(views.images[..., :50], golden["mae_imgs_hat_first50"], rtol=0, atol=1e-4)
    tokens = net.encode(x)[0]
    both = torch.stack([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1)
    torch.testing.assert_close(both, golden["mae_all_patches_cls_and_mean"], rtol=0, atol=1e-4)
    encoder = PublishedViT(**TINY, num_classes=2, pool="attention", keeps_norm=True)
    fill(encoder, recipe["ecgencoder"]["keys"], recipe["ecgencoder"]["key_offset"])
    made = encoder.features(x)
    torch.testing.assert_close(made, golden["ecgencoder_attention_pool_features"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("tokens", "ratio", "kept"), [(300, 0.8, 59), (60, 0.8, 11), (96, 0.75, 24)])
def test_the_published_mask_cuts_off_where_ours_rounds(tokens: int, ratio: float, kept: int):
    assert truncated_visible(tokens, ratio) == kept
    assert n_visible(tokens, ratio) == round(tokens * (1 - ratio))


def test_an_input_of_another_size_is_refused():
    net = PublishedViT(
        img_size=(1, 12, 100), patch_size=(1, 50), num_classes=2, embed_dim=8, depth=1, num_heads=2, pool="cls"
    )
    with pytest.raises(UsageError, match=r"takes inputs of \(1, 12, 100\), got \(12, 100\)"):
        net(torch.zeros(2, 12, 100))
