"""A dataset's folder or table → the list of what a cohort is built from. One dataset a file; no signal is read here.

Each module has ``listed(source) -> Listed``.
"""

from cardioloom.datasets.listed import Listed, Wanted, WantedCine

# Name on the command line → module. "table" is any CSV of paths and labels.
DATASETS = {
    "table": "cardioloom.datasets.table",
    "ten_sources": "cardioloom.datasets.ten_sources",
}

__all__ = ["DATASETS", "Listed", "Wanted", "WantedCine"]
