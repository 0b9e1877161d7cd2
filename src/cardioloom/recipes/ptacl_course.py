"""The stages of one PTACL training in their order, each done once and gone on with after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from cardioloom.models import nets, ptacl
from cardioloom.nn.readout import Readout, config_of
from cardioloom.nn.transformer import PatchEncoder
from cardioloom.recipes import keep, ptacl_head, ptacl_judge
from cardioloom.recipes.feed import EcgFeed
from cardioloom.recipes.keep import TEST, TRAIN, VALIDATION
from cardioloom.recipes.loop import Fitted, fit
from cardioloom.recipes.pairs import CINE, PairFeed, feed_of, stored
from cardioloom.recipes.prepared import prepared_ecgs
from cardioloom.recipes.ptacl_keep import LENGTH, Kept, chosen, write_judged
from cardioloom.recipes.ptacl_settings import Settings
from cardioloom.recipes.ptacl_sizes import PRESETS, Length
from cardioloom.recipes.ptacl_stages import Phased, Stage, crossed, encoder_config, masked, pairs, simclr
from cardioloom.recipes.ptacl_told import length_of, told_of
from cardioloom.store import Loader

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from cardioloom.recipes.place import Place
    from cardioloom.recipes.ptacl import Job
    from cardioloom.recipes.run import Run

JUDGED = 64  # studies in a batch without gradients
ENCODERS = ("ecg", "cine")  # in the order of their seeds
ALONE = ("masked_ecg", "masked_cine")  # stages in which no study is compared with another


def modalities_of(settings: Settings) -> tuple[str, ...]:
    """What the cohort must have studies of."""
    method = settings.method_of
    return ("ecg", CINE) if method.pairs else (stored(method.modality),)


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
        encoders = {name: self._new(name) for name in (ENCODERS if both else (method.modality,))}
        if method.first == "labels":
            self._labels(encoders["cine"])
            return encoders
        if method.first is None:
            return encoders
        for name, encoder in encoders.items():
            if method.pairs == "stills" and name == "cine":
                continue  # three frames are no cine: MMCL's picture encoder has no masked stage
            with self._seeded(5 + ENCODERS.index(name)):
                is_masked = method.first == "masked"
                stage = masked(name, encoder) if is_masked else simclr(self.settings, name, encoder)
            self._fitted(f"{method.first}_{name}", stage)
        return encoders

    def together(self, encoders: Mapping[str, PatchEncoder]) -> Any:
        """The net of pairs, trained."""
        build = crossed if self.settings.method_of.pairs == "crossed" else pairs
        with self._seeded(2):
            stage = build(self.settings, encoders["ecg"], encoders["cine"])
        self._fitted("pairs", stage)
        return stage.net

    def head(self, encoder: PatchEncoder) -> Readout:
        """The encoder with its head, trained; the model folder is written."""
        modality = self.settings.method_of.modality
        net = self._readout(modality, self.asked.contract.config)
        net.encoder.load_state_dict(encoder.state_dict())
        length, is_new = length_of(self.settings, "head"), not self.settings.stages

        def do(place: Place) -> Mapping[str, Any]:
            said = self._numbers(net, modality, self.settings.head_of, length, place, is_new=is_new)
            if self.run.is_main:
                self.kept.write("head", net, self._told("head"))
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
        feed, check = self._feed((stored(modality),), TRAIN, length.batch), None
        if VALIDATION in self.asked.folder.cohort().splits:
            check = self._feed((stored(modality),), VALIDATION, JUDGED)
        if head == "probe":
            ptacl_head.probe(net.to(self.fabric.device), feed, modality)
            best = None if check is None else ptacl_head.mean_r2(*ptacl_head.read(net, check, modality)[::2])
            fitted = Fitted(0, best, 0, stopped_early=False, waited=0.0, watched="r2")
        else:
            given = (self.fabric, net, feed, check, length, place)
            fitted = ptacl_head.finetune(*given, modality=modality, is_new=is_new, **self.options)
        spent = asdict(length) if head == "finetune" else {}
        return asdict(fitted) | spent | {"seconds": round(time.perf_counter() - began, 1)}

    def _labels(self, encoder: PatchEncoder) -> None:
        """ECCL's first stage: the cine encoder learns the phenotypes themselves."""
        net = self._readout("cine", config_of(encoder.config, "mean", len(self.asked.targets)))
        net.encoder.load_state_dict(encoder.state_dict())
        length = length_of(self.settings, "labels_cine")

        def do(place: Place) -> Mapping[str, Any]:
            if taken := self._taken("labels_cine", net):
                return taken
            said = self._numbers(net, "cine", "finetune", length, place, is_new=True)
            if self.run.is_main:
                self.kept.write("labels_cine", net, self._told("labels_cine"))
            return said

        self._once("labels_cine", net, do)
        encoder.load_state_dict(net.encoder.state_dict())

    def _fitted(self, name: str, stage: Stage) -> None:
        """Train a stage's net, or take it from this run or from one that the training begins with."""
        length = length_of(self.settings, name)

        def do(place: Place) -> Mapping[str, Any]:
            if taken := self._taken(name, stage.net):
                return taken
            began = time.perf_counter()
            # Of a patient's several studies one an epoch: they are no strangers to each other.
            feed = self._feed(stage.modalities, TRAIN, length.batch, draw="all" if name in ALONE else "one")
            plan = length.plan(len(feed))
            fitted = fit(self.fabric, stage.net, stage.step, feed, plan, place, **self.options)
            if self.run.is_main:
                self.kept.write(name, stage.net, self._told(name))
            seconds = round(time.perf_counter() - began, 1)
            said = asdict(fitted) | {"seconds": seconds, "studies": len(feed.loader.rows)}
            said |= {"left_out": self._n_in(TRAIN) - len(feed.loader.rows), **asdict(length)}
            said |= self._not_taken(name)
            return said | ({"beats": ptacl_judge.beats(feed)} if name == "pairs" else {})

        self._once(name, stage.net, do)

    def _taken(self, name: str, net: nn.Module) -> dict[str, Any]:
        """The stage of a run that the training begins with: what is said of it; nothing where it is trained here."""
        if (found := chosen(self.asked.begun, name, self._told(name))) is None:
            return {}
        told = found.told(name)  # as it was trained, however long the stages of this run are
        found.read(name, net)
        if self.run.is_main:
            self.kept.write(name, net, told)
        return {"begun_with": found.run.name, LENGTH: told[LENGTH]}

    def _not_taken(self, name: str) -> dict[str, Any]:
        """In what the pairs of the runs that the training begins with are others, so that they were trained anew."""
        told = self._told(name)
        found = {begun.run.name: list(begun.differs(name, told)) for begun in self.asked.begun if begun.has(name)}
        return {"not_taken": found} if found else {}

    def _once(self, name: str, net: nn.Module, do: Callable[[Place], Mapping[str, Any]]) -> None:
        """A stage that is done already leaves its net in the run folder."""
        if self.run.facts["stages"].get(name) is not None:
            self.kept.read(name, net)
        self.run.stage(name, do)
        self.fabric.barrier()
        net.to(self.fabric.device)

    def _feed(self, modalities: tuple[str, ...], split: str, batch: int, draw: str = "all") -> PairFeed:
        machine = {"rank": self.fabric.global_rank, "ranks": self.fabric.world_size} if split == TRAIN else {}
        return feed_of(
            self.asked.folder,
            modalities,
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

    @contextmanager
    def _seeded(self, at: int) -> Iterator[None]:
        """Random numbers of one part of the training, which leave no trace in those of the others."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed + at)
            yield

    def _new(self, modality: str) -> PatchEncoder:
        with self._seeded(ENCODERS.index(modality)):
            return PatchEncoder(encoder_config(self.settings, modality))

    def _readout(self, modality: str, config: Mapping[str, Any]) -> Readout:
        with self._seeded(3 + ENCODERS.index(modality)):
            net = nets.NETS[ptacl.NET](config)
        assert isinstance(net, Readout)
        return net

    def _told(self, name: str) -> Mapping[str, Any]:
        """By what the kept weights of a stage are known again."""
        return told_of(self.settings, name, self.asked.folder.facts["fingerprint"], self.asked.targets)
