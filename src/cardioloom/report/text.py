"""Report → terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cardioloom.records import Report
from cardioloom.report.ranges import label

NOT_A_DIAGNOSIS = "Not a diagnosis. For research use; to be read by a qualified person."
GOOD_SCORE = 0.8


def render(report: Report) -> RenderableType:
    """What the terminal shows of one report."""
    parts: list[RenderableType] = [_head(report)]
    parts += [Text(f"! {text}", style="yellow") for text in report.warnings]
    if report.measurements:
        parts.append(_measurements(report))
    parts.append(_leads(report))
    present = [finding for finding in report.findings if finding.present]
    parts += [Text(f"{finding.name}: {finding.evidence}", style="bold") for finding in present]
    if report.abstained:
        whys: dict[str, list[str]] = {}
        for abstention in report.abstained:
            whys.setdefault(abstention.why, []).append(label(abstention.what))
        parts += [Text(f"Not computed: {', '.join(what)} ({why})", style="dim") for why, what in whys.items()]
    parts.append(Text(NOT_A_DIAGNOSIS, style="italic"))
    name = report.study.ecg.source.file.name if report.study.ecg.source else "ECG"
    return Panel(Group(*parts), title=Text(name), title_align="left", expand=False, width=100)


def show(report: Report, console: Console | None = None) -> None:
    """Print one report."""
    (console or Console()).print(render(report))


def _head(report: Report) -> Text:
    ecg = report.study.ecg
    facts = report.study.facts
    who = [f"{facts['age']:g} years" if "age" in facts else "", str(facts.get("sex", ""))]
    what = [f"{len(ecg.leads)} lead{'s' * (len(ecg.leads) > 1)}", f"{ecg.fs:g} Hz", f"{ecg.seconds:.4g} s"]
    start = ecg.start.strftime("%Y-%m-%d %H:%M:%S") if ecg.start else ""
    parts = [*what, start, ecg.device or "", *who, f"quality {report.quality.score:.2f}"]
    return Text(" · ".join(part for part in parts if part))


def _measurements(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (("measurement", "left"), ("value", "right"), ("± SD", "right"), ("n", "right")):
        table.add_column(title, justify=justify, header_style="dim")  # type: ignore[arg-type]
    for name, value in report.measurements.items():
        digits = 2 if value.unit == "mV" else 0
        sd = "" if value.sd is None else f"{value.sd:.{digits}f}" if value.sd >= 1 or digits else f"{value.sd:.1f}"
        count = "" if value.n is None else str(value.n)
        table.add_row(label(name), f"{value.value:.{digits}f} {value.unit}", sd, count)
    return table


def _leads(report: Report) -> Text:
    line = Text("Leads: ")
    for lead, state in report.quality.leads.items():
        note = f" ({', '.join(state.problems)})" if state.problems else ""
        line.append(f"{lead}{note}  ", style="" if state.score >= GOOD_SCORE else "yellow")
    return line


def line(name: str, report: Report) -> Text:
    """One line for one report among many: name, rate, quality, how many warnings."""
    rate = report.measurements.get("heart_rate")
    beats = f"{rate.value:.0f} bpm" if rate else "no rate"
    warnings = f"{len(report.warnings)} warning{'s' * (len(report.warnings) != 1)}" if report.warnings else ""
    score = report.quality.score
    text = Text(f"{name}  {beats}  quality ")
    text.append(f"{score:.2f}", style="" if score >= GOOD_SCORE else "yellow")
    return text.append(f"  {warnings}".rstrip())
