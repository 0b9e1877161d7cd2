"""Patients with a similar ECG: the words and the numbers of a table, and of a small drawing for each phenotype."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cardioloom.records import Neighbours, Spread
from cardioloom.report import words
from cardioloom.report.ranges import label

WIDTH, HEIGHT, BASE, MARGIN = 240.0, 66.0, 50.0, 8.0  # drawing units; dots lie below the base
DOT_LEVELS = (56.0, 60.0, 64.0)  # where dots come to lie that would cover each other
DOT_WIDTH = 6.0
SHARE = "share"
FACTS = ("Rank", "Study", "Cosine", "Age", "Sex")
N_FACTS = len(FACTS)


@dataclass(frozen=True)
class Plot:
    """One phenotype: the neighbours as dots under the histogram of the index, drawing units.

    Args:
        name, unit: in words.
        area: path of the histogram.
        median_at: of the neighbours.
        box: of their quartiles.
        index_at: median of the index.
        dots: (x, y) one a neighbour.
        low, high: the ends of the axis, in words.
        median, quartiles, index: in words.
        caption: all of it for those who do not see the drawing.
    """

    name: str
    unit: str
    area: str
    median_at: float
    box: tuple[float, float]
    index_at: float
    dots: tuple[tuple[float, float], ...]
    low: str
    high: str
    median: str
    quartiles: str
    index: str
    caption: str
    width: float = WIDTH
    height: float = HEIGHT
    base: float = BASE


@dataclass(frozen=True)
class Section:
    """What the page says of similar patients.

    Args:
        lead: of whom the index is, how it was searched, and whom the model was trained on, in sentences.
        warnings: what to beware of, in sentences.
        notes: how the recording was prepared, in sentences.
        columns: heads of the table.
        rows: cells of each patient.
        plots: one a phenotype.
        is_simulated: whether these are no persons.
    """

    lead: str
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    plots: tuple[Plot, ...]
    is_simulated: bool


def section(found: Neighbours) -> Section:
    """The words and drawings of the neighbours."""
    heads = (f"{abbreviation(own)} {unit(own)}".strip() for own in found.spreads)
    return Section(
        lead=lead(found),
        warnings=warnings(found),
        notes=found.notes,
        columns=(*FACTS, *heads),
        rows=tuple(cells(found)),
        plots=tuple(_plot(own, len(found.nearest)) for own in found.spreads),
        is_simulated=found.is_simulated,
    )


def lead(found: Neighbours) -> str:
    """Of whom the index is, how it was searched, and whom the model was trained on."""
    n = len(found.nearest)
    which = "The study whose ECG is" if n == 1 else f"The {n} studies whose ECGs are"
    how = "all compared" if found.is_exact else "searched approximately"
    whom = f"{found.made_of}; {found.studies:,} {'study' if found.studies == 1 else 'studies'}, {how}"
    note = " These are simulated patients: no persons." if found.is_simulated else ""
    if found.trained_on:
        note += f" The model was trained on {found.trained_on.rstrip('. ')}."
    if found.left_out is not None:
        own = "1 study of the patient is" if found.left_out == 1 else f"{found.left_out} studies of the patient are"
        note += f" {own} left out."
    without = "" if found.spreads else " The index holds no numbers of their hearts."
    return f"{which} most like this one in {found.index} ({whom}), by the features of {found.model}.{note}{without}"


def warnings(found: Neighbours) -> tuple[str, ...]:
    """What to beware of: the recording's own study among the similar ones, and what the model says of the recording."""
    own = "This recording is probably in the index itself: the most similar study has its features."
    advice = (
        " Name its patient with --patient to leave all studies of that patient out." if found.left_out is None else ""
    )
    return (*([own + advice] if found.is_in_index else []), *found.warnings)


def cells(found: Neighbours) -> list[tuple[str, ...]]:
    """Rank, study, cosine, age, sex and the phenotypes of each neighbour; a dash where the index does not know."""
    return [
        (
            str(rank),
            one.study_id,
            words.number(one.cosine, 3),
            "–" if one.age is None else words.number(one.age, 0),
            one.sex or "–",
            *(shown(one.facts.get(own.name), own) for own in found.spreads),
        )
        for rank, one in enumerate(found.nearest, 1)
    ]


def name_of(own: Spread) -> str:
    """In words."""
    if own.title:
        return own.title
    return label(own.name.removesuffix(f"_{own.unit.replace('/', '_')}") if own.unit else own.name)


def abbreviation(own: Spread) -> str:
    """For the head of a table."""
    return own.code or name_of(own)


def unit(own: Spread) -> str:
    """As it is shown: fractions in percent."""
    return "%" if own.unit == SHARE else words.UNITS.get(own.unit, own.unit)


def shown(value: object, own: Spread) -> str:
    """A value of this column, without its unit; a dash where there is none."""
    if not isinstance(value, (int, float)):
        return "–"
    value = 100 * value if own.unit == SHARE else float(value)
    largest = max(abs(own.low), abs(own.high)) * (100 if own.unit == SHARE else 1)
    return words.number(value, 0 if largest >= 50 else 1 if largest >= 5 else 2)


def _plot(own: Spread, n_nearest: int) -> Plot:
    span = (own.high - own.low) or 1.0

    def x(value: float) -> float:
        return round(MARGIN + (value - own.low) / span * (WIDTH - 2 * MARGIN), 1)

    median, index = shown(own.median, own), shown(own.median_index, own)
    quartiles = " to ".join(shown(end, own) for end in own.quartiles)
    counted = "" if len(own.values) == n_nearest else f" ({len(own.values)} of {n_nearest} known)"
    return Plot(
        name=name_of(own) + counted,
        unit=unit(own),
        area=_area(own.counts),
        median_at=x(own.median),
        box=(x(own.quartiles[0]), x(own.quartiles[1])),
        index_at=x(own.median_index),
        dots=_dots([x(value) for value in own.values]),
        low=shown(own.low, own),
        high=shown(own.high, own),
        median=median,
        quartiles=quartiles,
        index=index,
        caption=f"{name_of(own)}, {unit(own)}: median {median}, quartiles {quartiles}; median of the index {index}",
    )


def _area(counts: Sequence[int]) -> str:
    """Steps of the histogram from the base line up; the fullest bin reaches the top."""
    step, most = (WIDTH - 2 * MARGIN) / len(counts), max(max(counts), 1)
    path = f"M{MARGIN:.1f} {BASE:.1f}"
    for at, count in enumerate(counts):
        path += f"V{BASE - count / most * (BASE - 6):.1f}H{MARGIN + (at + 1) * step:.1f}"
    return f"{path}V{BASE:.1f}Z"


def _dots(places: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Each on the highest level on which it touches no other, as far as there are levels."""
    last = [-DOT_WIDTH] * len(DOT_LEVELS)
    dots = []
    for place in sorted(places):
        free = next((level for level, at in enumerate(last) if place - at >= DOT_WIDTH), last.index(min(last)))
        last[free] = place
        dots.append((place, DOT_LEVELS[free]))
    return tuple(dots)
