"""Cohorts on disk: shards of integers and a table (`layout` says what lies where); see also `build` and `check`."""

from cardioloom.store.build import Built, Plan
from cardioloom.store.entry import Entry
from cardioloom.store.layout import Layout, Modality, ecg_modality
from cardioloom.store.loader import Batch, Loader
from cardioloom.store.opening import Folder

__all__ = ["Batch", "Built", "Entry", "Folder", "Layout", "Loader", "Modality", "Plan", "ecg_modality"]
