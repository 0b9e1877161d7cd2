"""ECGFounder: 150 labels from ten seconds of 12 leads, or of one.

Li et al. 2024, arXiv:2410.04133; NEJM AI 2025, doi:10.1056/AIoa2401033. A Net1D of 30.8 million parameters, trained
on 10.8 million clinical ECGs whose labels are phrases of their reports. The weights are the authors'
(huggingface.co/PKUDigitalHealth/ECGFounder) and are not part of this package.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Any

from cardioloom.measure.statements.snomed import codes
from cardioloom.models.cards import UNCALIBRATED, Card
from cardioloom.models.contract import Contract
from cardioloom.models.task import Output, Task
from cardioloom.prepare import PRESETS

REPOSITORY = "PKUDigitalHealth/ECGFounder"
CHECKPOINTS = {"ecgfounder-12l": "12_lead_ECGFounder.pth", "ecgfounder-1l": "1_lead_ECGFounder.pth"}
PREPARATIONS = {"ecgfounder-12l": "ecgfounder", "ecgfounder-1l": "ecgfounder_1l"}
CITATION = "Li et al., An Electrocardiogram Foundation Model Built on over 10 Million Recordings, NEJM AI 2025"
DEFAULT_THRESHOLD = 0.5
# The only configuration that was released (github.com/PKUDigitalHealth/ECGFounder @ 04edac7): its batch norms are
# built and stored, never applied.
CONFIG: dict[str, Any] = {
    "base_filters": 64,
    "ratio": 1,
    "filter_list": [64, 160, 160, 400, 400, 1024, 1024],
    "m_blocks_list": [2, 2, 2, 3, 3, 4, 4],
    "kernel_size": 16,
    "stride": 2,
    "groups_width": 16,
    "n_classes": 150,
    "use_bn": False,
    "use_do": False,
}
LIMITS = (
    f"The {UNCALIBRATED}",
    "Labels are phrases of machine-read, physician-edited reports of one US health network; 22 of them compare with "
    "an earlier ECG and mean nothing for a single one.",
    "The official code holds two input paths that disagree (dataset.py filters, ptbxl_eval.py does not); this follows "
    "dataset.py, which the README calls mandatory.",
    "Records of another rate than 500 Hz are resampled before the filters; the released code never tested that path.",
)
NUMBERS = (
    {
        "metric": "AUROC",
        "value": 0.968,
        "interval": [0.955, 0.982],
        "on": "523 ECGs labelled by a committee, 20 classes",
        "source": "arXiv:2410.04133",
    },
    {
        "metric": "AUROC",
        "value": 0.924,
        "interval": [0.917, 0.931],
        "on": "PTB-XL, labels as they are (the authors' evaluation, unfiltered input)",
        "source": "arXiv:2410.04133",
    },
)


@cache
def task() -> Task:
    """The 150 outputs in the order of the checkpoint's last layer (the authors' tasks.txt)."""
    text = files(__package__ or __name__).joinpath("ecgfounder_labels.csv").read_text(encoding="utf-8")
    outputs = [
        Output(
            code=row["code"],
            name=row["label"],
            group=row["group"],
            threshold=DEFAULT_THRESHOLD,
            single_ecg=row["single_ecg"] == "yes",
            snomed=codes().get(row["code"]),
        )
        for row in csv.DictReader(text.splitlines())
    ]
    return Task("multi_label", tuple(outputs))


def contract(name: str) -> Contract:
    """The contract of "ecgfounder-12l" or "ecgfounder-1l"; its card lacks the source's sum and revision."""
    preparation = PRESETS[PREPARATIONS[name]]
    n_leads = len(preparation.leads)
    card = Card(
        title=f"ECGFounder, {n_leads} lead{'s' * (n_leads > 1)}",
        source=f"huggingface.co/{REPOSITORY}, {CHECKPOINTS[name]}",
        licence="MIT (code); the weights' own licence is stated where they are fetched from",
        citation=CITATION,
        trained_on="clinical ECGs of the Harvard-Emory ECG Database",
        intended_use="research: labels and features of resting ECGs; not a diagnosis",
        limits=LIMITS,
        numbers=NUMBERS if n_leads == 12 else (),
    )
    return Contract(name, "Net1D", {"in_channels": n_leads, **CONFIG}, preparation, task(), card)
