"""Every net that a contract can name is exported for any number of windows, one among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
torch = pytest.importorskip("torch")

import small_net  # noqa: E402
from cardioloom.models.nets import NETS  # noqa: E402
from cardioloom.models.onnx_graph import exported, rewritten  # noqa: E402
from cardioloom.nn.paired import ECG_PAPER  # noqa: E402
from cardioloom.nn.readout import POOLS, config_of  # noqa: E402

pytestmark = pytest.mark.xdist_group(name="onnx")
SAMPLES = 200
ENCODER = replace(ECG_PAPER, size=(12, SAMPLES // 2), patch=(2, 20), width=16, depth=1, heads=2)
CROPPED = {"img_size": [1, 12, 100], "patch_size": [1, 20], "embed_dim": 16, "depth": 1, "num_heads": 2}
CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("Net1D", {"in_channels": 12, **small_net.CONFIG}),
    *(("CroppedEncoder", {**CROPPED, "pool": pool}) for pool in ("cls", "global", "attention", "normed")),
    *(("Readout", config_of(ENCODER, pool, 3)) for pool in POOLS),
]


def test_every_net_has_a_case():
    assert {name for name, _ in CONFIGS} == set(NETS)


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*:FutureWarning")
@pytest.mark.parametrize(("name", "config"), CONFIGS, ids=[f"{n}-{c.get('pool', '')}" for n, c in CONFIGS])
def test_it_takes_any_number_of_windows(name: str, config: dict[str, Any]):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = NETS[name](config).eval()
    session = ort.InferenceSession(
        rewritten(exported(net, 12, SAMPLES)).SerializeToString(),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["Pad_Fusion"],
    )
    for n_windows in (1, 2, 3, 7):
        windows = np.random.default_rng(n_windows).standard_normal((n_windows, 12, SAMPLES)).astype(np.float32)
        with torch.no_grad():
            expected = net(torch.from_numpy(windows))
        for found, wanted in zip(session.run(["logits", "features"], {"windows": windows}), expected, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
