"""The card of a model: where its weights come from, what they saw, what they are for, where they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from cardioloom.errors import ModelError

T = TypeVar("T")
# How a limit ends that `calibrate` takes back, or says of fewer thresholds.
UNCALIBRATED = "thresholds are 0.5 and not calibrated: calibrate them on a local cohort before any label is relied on."
LISTS = ("limits", "numbers", "contamination", "notes")


@dataclass(frozen=True)
class Card:
    """What travels with weights.

    Args:
        title: of the model.
        source: where the weights come from.
        licence: of the weights.
        citation: of the paper.
        trained_on: what they were trained on, in the words that a report shows.
        intended_use: what they are for.
        limits: where they end.
        numbers: published or measured figures: {"metric", "value", "interval", "on", "source"}.
        contamination: public datasets whose records the weights may have seen: no test of them counts there.
        revision: of the source.
        sha256: of the file that the weights were taken from.
        notes: anything else a reader must know.

    Raises:
        ModelError: if a value is not of its kind.
    """

    title: str
    source: str
    licence: str
    citation: str
    trained_on: str
    intended_use: str
    limits: tuple[str, ...] = ()
    numbers: tuple[Mapping[str, Any], ...] = ()
    contamination: tuple[str, ...] = ()
    revision: str | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if part.name in LISTS:
                if not isinstance(value, (tuple, list)):
                    raise ModelError(f"{part.name} of a card must be a list, got {type(value).__name__}")
                object.__setattr__(self, part.name, tuple(value))
            elif not isinstance(value, str) and (value is not None or part.default is not None):
                raise ModelError(f"{part.name} of a card must be a text, got {type(value).__name__}")

    def to_json(self) -> dict[str, Any]:
        """Values that ``json.dumps`` takes; `from_json` gives an equal card back."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_json(cls, values: object) -> Card:
        """The card that `to_json` wrote.

        Raises:
            ModelError: if a key is unknown or absent.
        """
        return cls(**exact_keys("card", values, cls))


def exact_keys(what: str, values: object, cls: type[T]) -> dict[str, Any]:
    """``values`` as a dictionary with exactly the fields of a dataclass.

    Raises:
        ModelError: naming the keys that are unknown or absent.
    """
    names = [part.name for part in fields(cls)]  # type: ignore[arg-type]
    if not isinstance(values, Mapping):
        raise ModelError(f"the {what} must be an object with {', '.join(names)}, got {type(values).__name__}")
    unknown, missing = [str(key) for key in values if key not in names], [name for name in names if name not in values]
    if unknown or missing:
        said = [f"unknown: {', '.join(unknown)}"] if unknown else []
        said += [f"absent: {', '.join(missing)}"] if missing else []
        raise ModelError(f"the {what} must hold exactly {', '.join(names)} ({'; '.join(said)}): get the folder again")
    return dict(values)
