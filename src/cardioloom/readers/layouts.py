"""Datasets whose files leave facts out: what their publishers state, in one table. Every use leaves a note."""

from __future__ import annotations

from dataclasses import dataclass

from cardioloom.records.leads import STANDARD_LEADS


@dataclass(frozen=True)
class Layout:
    """What a dataset's publisher states of all of its files.

    Args:
        name: the dataset, as it appears in notes.
        fs: sampling rate, Hz.
        leads: names of the channels, in the files' order.
        unit: unit of the samples.
    """

    name: str
    fs: float
    leads: tuple[str, ...]
    unit: str


# Sources: Liu et al. 2018, doi:10.1166/jmihi.2018.2442 (CPSC-2018); Ribeiro et al. 2021, doi:10.5281/zenodo.4916206
# (CODE-15%: DI … V6 at 400 Hz); Liu et al. 2022, doi:10.1038/s41597-022-01403-5 (SPH); Bousseljot et al. 1995,
# doi:10.13026/C28C71 (PTB, 1000 Hz).
LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("CPSC-2018", 500.0, STANDARD_LEADS, "mV"),
        Layout("CODE-15", 400.0, STANDARD_LEADS, "mV"),
        Layout("SPH", 500.0, STANDARD_LEADS, "mV"),
        Layout("PTB diagnostic", 1000.0, STANDARD_LEADS, "mV"),
    )
}
