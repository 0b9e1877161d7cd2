"""Chains of augmentations: presets, JSON, probabilities, reproducibility, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardioloom.errors import UsageError
from cardioloom.nn.augment import CINE, ECG, CineAugmentation, EcgAugmentation, Step, amplitude, chain, timing
from cardioloom.nn.augment.presets import CINE_PRESETS, ECG_PRESETS

KINDS = {EcgAugmentation: (torch.randn(6, 12, 3000), ECG), CineAugmentation: (torch.rand(6, 30, 24, 24), CINE)}
PRESETS = [(EcgAugmentation, name) for name in ECG_PRESETS] + [(CineAugmentation, name) for name in CINE_PRESETS]


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("kind", "name"), PRESETS)
def test_presets_run_travel_as_json_and_repeat(kind: type[chain.Chain], name: str):
    augmentation, x = kind.preset(name), KINDS[kind][0]
    assert kind.from_json(json.loads(json.dumps(augmentation.to_json()))) == augmentation
    before = x.clone()
    y = augmentation(x, seeded())
    assert torch.equal(x, before)
    assert torch.equal(y, augmentation(x, seeded()))
    assert not torch.equal(y, augmentation(x, seeded(4)))
    drawn = augmentation.draw(x.shape, seeded())
    assert torch.equal(y, augmentation.apply(x, drawn))
    assert y.isfinite().all()
    assert y.dtype == torch.float32


@pytest.mark.parametrize(("kind", "name"), PRESETS)
def test_presets_put_every_tensor_on_the_batchs_device(kind: type[chain.Chain], name: str):
    """The meta device computes nothing but refuses to mix with the processor's tensors, as a GPU does."""
    x = KINDS[kind][0]
    augmentation = kind.preset(name)
    y = augmentation(x.to("meta"), seeded())
    assert y.device.type == "meta"
    assert y.shape == augmentation(x, seeded()).shape


def test_parameters_are_the_published_ones():
    """From the public code: surrogate, jitter, rescale; probability of the surrogate; rate."""
    published = {
        "mmcl": (0.1, 0.25, 0.5, 1.0, 0.95),
        "mmcl_light": (0.05, 0.1, 0.075, 1.0, 0.95),
        "mmcl_medium": (0.1, 0.25, 0.3, 1.0, 0.95),
        "mmcl_heavy": (0.125, 0.4, 0.65, 1.0, 0.95),
        "mae": (0.075, 0.2, 0.5, 0.5, 1.0),
    }
    for name, (surrogate, jitter, rescale, probability, rate) in published.items():
        told = EcgAugmentation.preset(name).to_json()
        crop, *rest = told["steps"]
        assert crop == {"augmentation": "crop", "probability": 1.0, "length": 2500, "start": None}
        assert rest == [
            {
                "augmentation": "fourier_surrogate",
                "probability": probability,
                "magnitude": surrogate,
                "independent": False,
            },
            {"augmentation": "jitter", "probability": 1.0, "sigma": jitter, "amplitude": 0.6},
            {"augmentation": "rescale", "probability": 1.0, "sigma": rescale},
        ]
        assert told["rate"] == rate


def test_presets_agree_with_the_facts(shared):
    facts = json.loads((shared / "golden" / "ptacl_ancestors" / "augmentation_facts.json").read_text())
    for name in ("light", "medium", "heavy"):
        steps = {step["augmentation"]: step for step in EcgAugmentation.preset(f"mmcl_{name}").to_json()["steps"]}
        assert steps["jitter"]["sigma"] == facts["jitter"][f"mmcl_{name}"]
        assert steps["rescale"]["sigma"] == facts["rescaling"][f"mmcl_{name}"]
        assert steps["fourier_surrogate"]["magnitude"] == facts["ft_surr_phase_noise"][name]
    steps = {step["augmentation"]: step for step in EcgAugmentation.preset("mae").to_json()["steps"]}
    assert steps["fourier_surrogate"]["probability"] == facts["ftsurrogate"]["mae_pretrain_prob"]
    assert steps["fourier_surrogate"]["magnitude"] == facts["ftsurrogate"]["mae_default_magnitude"]
    assert steps["jitter"]["sigma"] == facts["jitter"]["mae_default"]
    assert steps["rescale"]["sigma"] == facts["rescaling"]["mae_default"]
    assert EcgAugmentation.preset("mmcl").rate == facts["mmcl"]["augmentation_rate"]
    assert masked_patch_defaults() == (facts["masking"]["factor"], facts["masking"]["fs"], facts["masking"]["mode"])


def masked_patch_defaults() -> tuple[float, int, str]:
    part = ECG["mask_patches"]()
    return part.share, part.patch, part.mode  # patches of one second at the published rate


@given(st.floats(0, 1), st.floats(0, 1))
def test_records_undergo_a_step_with_rate_times_probability(rate: float, probability: float):
    chained = EcgAugmentation((Step(amplitude.SignFlip(), probability),), rate)
    y = chained(torch.ones(3000, 1, 1), seeded())
    assert abs((y < 0).float().mean() - rate * probability) < 0.04


def test_rate_leaves_whole_records_alone_but_for_their_crop():
    augmentation = EcgAugmentation.preset("mmcl").changed("crop", length=40)
    x = torch.randn(2000, 1, 50)
    drawn = augmentation.draw(x.shape, seeded())
    y = augmentation.apply(x, drawn)
    assert y.shape == (2000, 1, 40)
    cropped = timing.crop(x, drawn[0].draws["start"], 40)
    untouched = (y == cropped).flatten(1).all(1)
    assert abs(untouched.float().mean() - 0.05) < 0.015


def test_draws_given_again_repeat_the_augmentation_on_another_batch():
    augmentation = EcgAugmentation.preset("mae").changed("crop", length=100)
    x = torch.randn(4, 3, 120)
    drawn = augmentation.draw(x.shape, seeded())
    chosen = drawn[1].records
    assert chosen is not None
    expected = timing.crop(2 * x, drawn[0].draws["start"], 100)
    for i in range(1, 4):
        part = augmentation.steps[i].augmentation.apply(expected, drawn[i].draws)
        expected = torch.where(chosen[:, None, None], part, expected) if i == 1 else part
    torch.testing.assert_close(augmentation.apply(2 * x, drawn), expected)


def test_positions_go_through_the_whole_chain():
    chained = EcgAugmentation(
        (
            Step(timing.TimeFlip(), 0.5),
            Step(timing.Crop(length=150)),
            Step(amplitude.Rescale(0.1), 0.5),
            Step(timing.Shift(most=30), 0.5),
        )
    )
    assert chained.moves_time
    place = torch.randint(200, (300,), generator=seeded())
    x = torch.zeros(300, 2, 200).scatter(-1, place[:, None, None].expand(-1, 2, 1), 1.0)
    drawn = chained.draw(x.shape, seeded())
    y, moved = chained.apply(x, drawn), chained.moved(place.float()[:, None], drawn, x.shape)[:, 0]
    lost = moved.isnan()
    assert 0 < lost.sum() < 200
    assert torch.equal(y[~lost, 0].argmax(-1).float(), moved[~lost])
    assert (y[lost] == 0).all()


def test_positions_of_frames_and_of_beats():
    sampled = CineAugmentation.preset("ptacl")
    x = torch.rand(4, 50, 8, 8)
    drawn = sampled.draw(x.shape, seeded())
    frames = drawn[0].draws["frames"]
    assert sampled.moved(frames.float(), drawn, x.shape).tolist() == [list(range(26))] * 4
    assert not CineAugmentation.preset("mmcl").moves_time
    beats = EcgAugmentation.preset("ptacl")
    drawn = beats.draw((4, 12, 5000), seeded())
    moved = beats.moved(drawn[0].draws["start"].float()[:, None] + 7, drawn, (4, 12, 5000))
    assert moved.tolist() == [[7.0]] * 4


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: EcgAugmentation.preset("strong"), "preset of EcgAugmentation 'strong' is unknown: it can be mmcl,"),
        (
            lambda: EcgAugmentation.from_json({"steps": [{"augmentation": "rotate"}]}),
            "augmentation 'rotate' is unknown",
        ),
        (lambda: EcgAugmentation.from_json({"steps": [{}]}), "augmentation None is unknown"),
        (lambda: EcgAugmentation.from_json({"steps": ["jitter"]}), "steps must be a list of mappings"),
        (lambda: EcgAugmentation.from_json({"step": []}), "'step' is unknown: it can be rate, steps"),
        (
            lambda: EcgAugmentation.from_json({"steps": [{"augmentation": "jitter", "sigm": 1}]}),
            "parameter of jitter 'sigm' is unknown: it can be probability, sigma, amplitude",
        ),
        (
            lambda: EcgAugmentation.from_json({"steps": [{"augmentation": "jitter", "probability": 1.5}]}),
            "probability of a step must be a number from 0 to 1, got 1.5",
        ),
        (lambda: EcgAugmentation((), rate="all"), "rate must be a number from 0 to 1, got 'all'"),
        (lambda: EcgAugmentation((Step(CINE["flip"]()),)), "Flip is no augmentation of EcgAugmentation"),
        (lambda: EcgAugmentation.preset("mmcl").changed("blur", sigma=1), "step 'blur' is unknown: it can be crop,"),
        (lambda: EcgAugmentation.preset("mmcl")(torch.zeros(2, 12), seeded()), r"\(batch, lead, time\), got 2 axes"),
        (lambda: CineAugmentation.preset("mmcl")(torch.zeros(2, 3, 4), seeded()), r"row, col\), got 3 axes"),
        (
            lambda: EcgAugmentation.preset("mmcl")(torch.zeros(2, 12, 3000, dtype=torch.int16), seeded()),
            "needs floating-point samples, got torch.int16",
        ),
        (
            lambda: EcgAugmentation((Step(timing.Crop(length=3), 0.5),))(torch.zeros(1, 1, 5), seeded()),
            "a step that changes the shape is for all records, got a probability of 0.5 for Crop",
        ),
        (lambda: ECG["jitter"](sigma=-1), "sigma of jitter must be a number of at least 0, got -1"),
        (lambda: ECG["jitter"](sigma=float("nan")), "sigma of jitter must be a number of at least 0, got nan"),
        (lambda: ECG["crop_resize"](share=(0.9, 0.5)), "must have the smaller number first"),
        (lambda: ECG["crop_resize"](share=0.5), "must be two numbers"),
        (lambda: ECG["crop"](length=2.5), "must be a whole number of at least 1, got 2.5"),
        (lambda: ECG["choose_lead"](others=5), "must be a list of whole numbers, got 5"),
        (lambda: ECG["choose_lead"](others=[1, 2], signs=[1, 0]), "a sign of 1 or -1 for each"),
        (lambda: CINE["resized_crop"](size=[5]), r"must be rows and columns, got \[5\]"),
        (lambda: CINE["rotate"](mode="cubic"), "'cubic' is unknown: it can be bilinear, nearest"),
    ],
)
def test_wrong_calls_are_refused_in_a_sentence(call, sentence: str):
    with pytest.raises(UsageError, match=sentence):
        call()
