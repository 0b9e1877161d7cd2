"""Report → terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cardioloom.records import Neighbours, Report
from cardioloom.report import neighbours as similar
from cardioloom.report import words
from cardioloom.report.ranges import label
from cardioloom.report.statements import answers, statements

GOOD_SCORE = 0.8
WIDE = 132  # characters of a table of neighbours with all their numbers
MAX_NARROW = 4  # of these numbers on a narrower terminal
MAX_ANSWERS = 12  # labels of a model on the terminal; the page has them all


def render(report: Report) -> RenderableType:
    """What the terminal shows of one report; control characters of the file's texts never reach it."""
    parts: list[RenderableType] = [_head(report)]
    parts += [_text(f"! {text}", style="yellow") for text in words.warnings(report)]
    parts += [_text(f"· {text}", style="dim") for text in words.notes(report)]
    parts += _findings(report)
    parts += _answers(report)
    parts += _estimates(report)
    if report.neighbours:
        parts.append(phenotypes(report.neighbours))
    if report.measurements:
        parts.append(_measurements(report))
    parts.append(_leads(report))
    parts += [_text(f"Not computed: {what} ({why})", style="dim") for what, why in words.abstained(report)]
    parts.append(Text(f"{words.NOT_A_DIAGNOSIS} {words.FOR_RESEARCH}", style="italic"))
    name = report.study.ecg.source.file.name if report.study.ecg.source else "ECG"
    return Panel(Group(*parts), title=_text(name), title_align="left", expand=False, width=100)


def show(report: Report, console: Console | None = None) -> None:
    """Print one report."""
    (console or Console()).print(render(report))


def _text(text: str, style: str = "") -> Text:
    return Text(words.clean(text), style=style)


def _head(report: Report) -> Text:
    ecg = report.study.ecg
    what = [f"{len(ecg.leads)} lead{'s' * (len(ecg.leads) > 1)}", f"{ecg.fs:g} Hz", words.duration(ecg.seconds)]
    start = ecg.start.strftime("%Y-%m-%d %H:%M:%S") if ecg.start else ""
    parts = [*what, start, ecg.device or "", words.patient(report), f"quality {report.quality.score:.2f}"]
    return _text(" · ".join(part for part in parts if part))


def _findings(report: Report) -> list[RenderableType]:
    found = statements(report)
    parts: list[RenderableType] = []
    for finding in found.present:
        text = _text(finding["name"], style="bold")
        parts.append(
            text.append(words.clean(f": {finding['evidence']}"), style="not bold") if finding["evidence"] else text
        )
    if found.tried:
        n_absent, n_unjudged = len(found.absent), found.n_unjudged
        counts = f"{found.tried} statements tried: {n_absent} not found, {n_unjudged} not judgeable"
        parts.append(Text(counts, style="dim"))
    return parts


def _answers(report: Report) -> list[RenderableType]:
    """What models say: the labels at or above their thresholds, most probable first."""
    parts: list[RenderableType] = []
    for said in answers(report):
        head = _text(f"{said.model}, trained on {said.trained_on}", style="bold")
        parts.append(head.append(words.clean("".join(f"; {note}" for note in said.notes)), style="not bold"))
        shown = said.present[:MAX_ANSWERS]
        for answer in shown:
            text = f"  {answer.probability:.2f}  {answer.name} (threshold {answer.threshold:.2f})"
            parts.append(_text(text))
        below = sum(len(entries) for _, entries in said.others)
        more = len(said.present) - len(shown)
        what = "label below its threshold" if below == 1 else "labels below their thresholds"
        counts = f"  {below} {what}" + (f", {more} more above them" if more else "")
        if said.n_unjudged:
            counts += f", {said.n_unjudged} that compare with an earlier ECG not judged"
        parts.append(Text(counts, style="dim"))
    return parts


def _estimates(report: Report) -> list[RenderableType]:
    """Numbers that models give, each with its interval and what its model was trained on."""
    parts: list[RenderableType] = []
    for (model, trained_on), group in words.estimates(report):
        parts.append(_text(f"{model}, trained on {trained_on}", style="bold"))
        for said in group:
            low, high = (words.number(end, words.DIGITS.get(said.unit)) for end in said.interval)
            value = words.quantity(said.value, said.unit)
            parts.append(_text(f"  {said.name} {value} ({100 * said.coverage:.0f} % interval {low} to {high})"))
    return parts


def neighbours(found: Neighbours, width: int) -> RenderableType:
    """Patients with a similar ECG, a row each, with as many numbers of their hearts as fit; and what is in the middle.

    Args:
        found: by `similar`.
        width: of the terminal, in characters.
    """
    section = similar.section(found)
    n_shown = len(section.columns) if width >= WIDE else similar.N_FACTS + MAX_NARROW
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(section.columns[:n_shown]):
        table.add_column(_text(head), justify="left" if place in (1, 4) else "right", header_style="dim")
    for row in section.rows:
        table.add_row(*map(_text, row[:n_shown]))
    return Group(phenotypes(found), table)


def phenotypes(found: Neighbours) -> RenderableType:
    """Of whom the index is, and a row a phenotype: the neighbours' median and quartiles, the median of the index."""
    section = similar.section(found)
    lead: list[RenderableType] = [_text(section.lead, style="yellow" if found.is_simulated else "")]
    lead += [_text(f"! {text}", style="yellow") for text in section.warnings]
    lead += [_text(f"· {text}", style="dim") for text in section.notes]
    if not section.plots:
        return Group(*lead)
    table = Table(box=None, pad_edge=False)
    for head, justify in (("similar patients", "left"), ("median", "right"), ("quartiles", "left"), ("index", "right")):
        table.add_column(head, justify=justify, header_style="dim")  # type: ignore[arg-type]
    for plot in section.plots:
        table.add_row(*map(_text, (plot.name, f"{plot.median} {plot.unit}".strip(), plot.quartiles, plot.index)))
    return Group(*lead, table)


def _measurements(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (("measurement", "left"), ("value", "right"), ("± SD", "right"), ("n", "right")):
        table.add_column(title, justify=justify, header_style="dim")  # type: ignore[arg-type]
    for name, value in words.ordered(report):
        count = "" if value.n is None else str(value.n)
        shown = words.quantity(value.value, value.unit)
        table.add_row(_text(label(name)), _text(shown), words.spread(value).removeprefix("± "), count)
    return table


def _leads(report: Report) -> Text:
    line = Text("Leads: ")
    for lead, state in report.quality.leads.items():
        note = f" ({', '.join(state.problems)})" if state.problems else ""
        line.append(words.clean(f"{lead}{note}  "), style="" if state.score >= GOOD_SCORE else "yellow")
    return line


def line(name: str, report: Report) -> Text:
    """One line for one report among many: name, rate, quality, how many warnings."""
    rate = report.measurements.get("heart_rate")
    beats = words.quantity(rate.value, rate.unit) if rate else "no rate"
    count = len(words.warnings(report))
    warnings = f"{count} warning{'s' * (count != 1)}" if count else ""
    score = report.quality.score
    text = _text(f"{name}  {beats}  quality ")
    text.append(f"{score:.2f}", style="" if score >= GOOD_SCORE else "yellow")
    return text.append(f"  {warnings}".rstrip())
