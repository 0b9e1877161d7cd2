"""The stages of one PTACL training in their order, each done once and gone on with after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from cardioloom.models import nets, ptacl
from cardioloom.nn.readout import Readout, config_of
from cardioloom.nn.transformer import PatchEncoder
from cardioloom.recipes import keep, ptacl_head, ptacl_judge, ptacl_stages
from cardioloom.recipes.feed import EcgFeed
from cardioloom.recipes.keep import TEST, TRAIN, VALIDATION
from cardioloom.recipes.loop import Fitted, fit
from cardioloom.recipes.pairs import CINE, PairFeed, feed_of
from cardioloom.recipes.prepared import prepared_ecgs
from cardioloom.recipes.ptacl_keep import Kept, write_judged
from cardioloom.recipes.ptacl_settings import PRESETS, Length, Settings
from cardioloom.recipes.ptacl_stages import Phased, Stage, encoder_config, encoders_of
from cardioloom.store import Loader

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from cardioloom.recipes.place import Place
    from cardioloom.recipes.ptacl import Job
    from cardioloom.recipes.run import Run

JUDGED = 64  # studies in a batch without gradients
ALONE = ("masked_ecg", "masked_cine")  # stages in which no study is compared with another


def modalities_of(settings: Settings) -> tuple[str, ...]:
    """What the cohort must have studies of."""
    method = settings.method_of
    if method.pairs:
        return ("ecg", CINE)
    return ("ecg",) if method.modality == "ecg" else (CINE,)


class Course:
    """The stages of one training in their order."""

    def __init__(self, asked: Job, run: Run, fabric: Fabric, options: dict[str, Any]):
        self.asked, self.run, self.fabric = asked, run, fabric
        self.settings = asked.settings
        self.options: dict[str, Any] = {**options, "seed": asked.settings.seed}
        self.kept = Kept(run.folder)
        if "ecg" in modalities_of(asked.settings):
            if fabric.global_rank == 0:  # one for all: a large cohort's take minutes and gigabytes
                prepared_ecgs(asked.folder, asked.contract.preparation)
            fabric.barrier()
        self.pixels = PRESETS[asked.settings.preset].cine.size[-1]

    def alone(self) -> dict[str, PatchEncoder]:
        """New encoders, or such as were trained each by itself."""
        method = self.settings.method_of
        both = method.pairs is not None
        encoders = {name: self._new(name) for name in (("ecg", "cine") if both else (method.modality,))}
        if method.first == "labels":
            self._labels(encoders["cine"])
            return encoders
        if method.first is None:
            return encoders
        for name, encoder in encoders.items():
            if method.pairs == "stills" and name == "cine":
                continue  # three frames are no cine: MMCL's picture encoder has no masked stage
            build = ptacl_stages.masked if method.first == "masked" else ptacl_stages.simclr
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.settings.seed + 5 + ("ecg", "cine").index(name))
                stage = build(self.settings, name, encoder)
            self._fitted(f"{method.first}_{name}", stage)
        return encoders

    def together(self, encoders: Mapping[str, PatchEncoder]) -> Any:
        """The net of pairs, trained."""
        build = ptacl_stages.crossed if self.settings.method_of.pairs == "crossed" else ptacl_stages.pairs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed + 2)
            stage = build(self.settings, encoders["ecg"], encoders["cine"])
        self._fitted("pairs", stage)
        return stage.net

    def head(self, encoder: PatchEncoder) -> Readout:
        """The encoder with its head, trained; the model folder is written."""
        modality = self.settings.method_of.modality
        net = self._readout(modality, self.asked.contract.config)
        net.encoder.load_state_dict(encoder.state_dict())
        length = self.settings.length("supervised" if self._is_new() else "finetune")

        def do(place: Place) -> Mapping[str, Any]:
            said = self._numbers(net, modality, self.settings.head_of, length, place, is_new=self._is_new())
            if self.run.is_main:
                self.kept.write("head", net, self._told(net.encoder, length=length))
                if modality == "ecg":
                    self._model(net)
            return said | {"targets": list(map(str, self.asked.targets)), "kind": "number"}

        self._once("head", net, do)
        return net

    def judge(self, readout: Readout, net: Any) -> Mapping[str, Any]:
        """On the test split, where there is one; judged.json and judged.parquet are written."""

        def do(_: Place) -> Mapping[str, Any]:
            if not self.run.is_main or TEST not in self.asked.folder.cohort().splits:
                return {}
            return write_judged(self.run.folder, *self._judged(readout, net))

        return self.run.stage("judge", do)

    def _judged(self, readout: Readout, net: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is found on the whole split, and of each study."""
        settings, task = self.settings, self.asked.contract.task
        feed = self._feed(modalities_of(settings), TEST, JUDGED)
        rows, columns = np.sort(feed.loader.rows), self.asked.folder.columns
        by_study: dict[str, Any] = {name: columns[name].astype(str)[rows] for name in ("study_id", "patient_id")}
        found: dict[str, Any] = {"method": settings.method, "goal": settings.goal, "head": settings.head_of}
        found |= {"pool": settings.pool_of, "preset": settings.preset, "seed": settings.seed}
        found |= {"trained_on": keep.trained_on_of(self.asked.folder), "test_studies": len(feed.loader.rows)}
        found |= {"test_left_out": self._n_in(TEST) - len(feed.loader.rows)}
        found |= ptacl_judge.phenotypes(readout, feed, settings.method_of.modality, task)
        by_study |= found.pop("by_study")
        if isinstance(net, Phased) and settings.method_of.pairs != "stills":
            codes = [output.code for output in task.outputs]
            found |= ptacl_judge.paired(net, feed, self.asked.truth[rows], by_study["patient_id"].tolist(), codes)
            by_study |= found.pop("by_study")
            found["beats"] = ptacl_judge.beats(feed)
        return found, by_study

    def _numbers(
        self, net: Readout, modality: str, head: str, length: Length, place: Place, *, is_new: bool
    ) -> dict[str, Any]:
        """A head, by least squares or by training; the validation's mean R² is said of both."""
        began = time.perf_counter()
        stored = ("ecg",) if modality == "ecg" else (CINE,)
        feed, check = self._feed(stored, TRAIN, length.batch), None
        if VALIDATION in self.asked.folder.cohort().splits:
            check = self._feed(stored, VALIDATION, JUDGED)
        if head == "probe":
            ptacl_head.probe(net.to(self.fabric.device), feed, modality)
            best = None if check is None else ptacl_head.mean_r2(*ptacl_head.read(net, check, modality)[::2])
            fitted = Fitted(0, best, 0, stopped_early=False, waited=0.0, watched="r2")
        else:
            given = (self.fabric, net, feed, check, self.settings, length, place)
            fitted = ptacl_head.finetune(*given, modality=modality, is_new=is_new, **self.options)
        spent = asdict(length) if head == "finetune" else {}
        return asdict(fitted) | spent | {"seconds": round(time.perf_counter() - began, 1)}

    def _labels(self, encoder: PatchEncoder) -> None:
        """ECCL's first stage: the cine encoder learns the phenotypes themselves."""
        net = self._readout("cine", config_of(encoder.config, "mean", len(self.asked.targets)))
        net.encoder.load_state_dict(encoder.state_dict())
        length = self.settings.length("supervised")
        told = self._told(net.encoder, length=length) | {"targets": list(map(str, self.asked.targets))}

        def do(place: Place) -> Mapping[str, Any]:
            if taken := self._taken("labels_cine", net, told):
                return taken
            said = self._numbers(net, "cine", "finetune", length, place, is_new=True)
            if self.run.is_main:
                self.kept.write("labels_cine", net, told)
            return said

        self._once("labels_cine", net, do)
        encoder.load_state_dict(net.encoder.state_dict())

    def _fitted(self, name: str, stage: Stage) -> None:
        """Train a stage's net, or take it from this run or from one that the training begins with."""
        length = self.settings.length(stage.length)
        told = self._told(*encoders_of(stage.net).values(), length=length)
        if name == "pairs":
            told |= {key: getattr(self.settings, key) for key in ("method", "goal", "beta", "weight", "roll")}
        if not name.startswith("masked"):
            told |= {"augment": self.settings.augment}

        def do(place: Place) -> Mapping[str, Any]:
            if taken := self._taken(name, stage.net, told):
                return taken
            began = time.perf_counter()
            # Of a patient's several studies one an epoch: they are no strangers to each other.
            feed = self._feed(stage.modalities, TRAIN, length.batch, draw="all" if stage.length in ALONE else "one")
            plan = length.plan(len(feed))
            fitted = fit(self.fabric, stage.net, stage.step, feed, plan, place, **self.options)
            if self.run.is_main:
                self.kept.write(name, stage.net, told)
            seconds = round(time.perf_counter() - began, 1)
            said = asdict(fitted) | {"seconds": seconds, "studies": len(feed.loader.rows)}
            said |= {"left_out": self._n_in(TRAIN) - len(feed.loader.rows), **asdict(length)}
            said |= self._not_taken(name, told)
            return said | ({"beats": ptacl_judge.beats(feed)} if name == "pairs" else {})

        self._once(name, stage.net, do)

    def _taken(self, name: str, net: nn.Module, told: Mapping[str, Any]) -> dict[str, Any]:
        """The stage of a run that the training begins with: what is said of it; nothing where none has it.

        A stage alone must be the same; pairs by another method are trained anew.
        """
        there = [begun for begun in self.asked.begun if begun.has(name)]
        same = [begun for begun in there if begun.fits(name, told)]
        if not (found := same if name == "pairs" else same or there):
            return {}
        found[0].read(name, net, told)
        if self.run.is_main:
            self.kept.write(name, net, told)
        return {"begun_with": found[0].run.name}

    def _not_taken(self, name: str, told: Mapping[str, Any]) -> dict[str, Any]:
        """In what the pairs of the runs that the training begins with are others, so that they were trained anew."""
        there = [begun for begun in self.asked.begun if begun.has(name)]
        return {"not_taken": {begun.run.name: begun.differs(name, told) for begun in there}} if there else {}

    def _once(self, name: str, net: nn.Module, do: Callable[[Place], Mapping[str, Any]]) -> None:
        """A stage that is done already leaves its net in the run folder."""
        if self.run.facts["stages"].get(name) is not None:
            self.kept.read(name, net)
        self.run.stage(name, do)
        self.fabric.barrier()
        net.to(self.fabric.device)

    def _feed(self, modalities: tuple[str, ...], split: str, batch: int, draw: str = "all") -> PairFeed:
        machine = {"rank": self.fabric.global_rank, "ranks": self.fabric.world_size} if split == TRAIN else {}
        named = tuple(CINE if name == "cine" else name for name in modalities)
        return feed_of(
            self.asked.folder,
            named,
            self.asked.truth,
            split=split,
            batch=batch,
            draw=draw,
            seed=self.settings.seed,
            pixels=self.pixels,
            device=self.fabric.device,
            **machine,
        )

    def _model(self, net: Readout) -> None:
        folder, check = self.asked.folder, None
        if VALIDATION in folder.cohort().splits:
            loader = Loader(folder, split=VALIDATION, batch=JUDGED)
            check = EcgFeed(loader, folder, self.asked.contract.preparation, self.asked.truth)
        settings = asdict(self.settings) | {"init": [begun.run.name for begun in self.asked.begun]}
        keep.model(net, self.asked.contract, folder, check, self.run.folder, settings, None)

    def _n_in(self, split: str) -> int:
        """Studies of a split, with those that lack what a stage needs."""
        return len(self.asked.folder.cohort().split(split))

    def _is_new(self) -> bool:
        method = self.settings.method_of
        return method.first is None and method.pairs is None

    def _new(self, modality: str) -> PatchEncoder:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed + ("ecg", "cine").index(modality))
            return PatchEncoder(encoder_config(self.settings, modality))

    def _readout(self, modality: str, config: Mapping[str, Any]) -> Readout:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed + 3 + ("ecg", "cine").index(modality))
            net = nets.NETS[ptacl.NET](config)
        assert isinstance(net, Readout)
        return net

    def _told(self, *encoders: PatchEncoder, length: Length) -> dict[str, Any]:
        """By what kept weights are known again."""
        return {
            "preset": self.settings.preset,
            "encoders": [asdict(encoder.config) for encoder in encoders],
            "cohort": self.asked.folder.facts["fingerprint"],
            "seed": self.settings.seed,
            "length": asdict(length),
        }
