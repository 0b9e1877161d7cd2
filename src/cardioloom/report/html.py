"""Report → one HTML page that needs no network: style, script, drawing and samples are all inside."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from cardioloom.records import Estimate, Finding, Report
from cardioloom.report import beat, paper, words
from cardioloom.report.day import day_of
from cardioloom.report.json import SCHEMA
from cardioloom.report.neighbours import section
from cardioloom.report.statements import answers, statements
from cardioloom.report.strip import Strip, embedded, strip_of
from cardioloom.report.trend import trend_of

if TYPE_CHECKING:
    from jinja2 import Environment, Template

WHOLE_SHARE = 0.9  # a finding that covers more than this much of the recording has no place of its own in it


def render(report: Report) -> str:
    """The report as one HTML5 document, for the screen and for A4 or Letter paper in landscape.

    It loads nothing from anywhere (its Content-Security-Policy forbids it), shows the ECG without JavaScript too,
    escapes whatever came from a file and leaves its control characters out. At most the first 60 s of 16 leads are
    embedded; the page says so.
    """
    ecg = report.study.ecg
    strip = strip_of(ecg)
    scores = {lead: quality.score for lead, quality in report.quality.leads.items()}
    layouts = paper.layouts(strip, scores)
    rows = words.rows(report)
    key = {row.name: row for row in rows}
    day = day_of(report)
    return _template().render(
        report=report,
        ecg=ecg,
        file=ecg.source.file.name if ecg.source else "ECG",
        files=[file.name for file in ecg.source.files] if ecg.source else [],
        header=words.header(report),
        patient=words.patient(report),
        trained_on=words.trained_on(report),
        not_a_diagnosis=words.NOT_A_DIAGNOSIS,
        for_research=words.FOR_RESEARCH,
        warnings=words.warnings(report),
        notes=words.notes(report),
        chips=words.chips(report),
        rows=rows,
        rate=key.get("heart_rate"),
        tiles=[key[name] for name in words.KEY_NUMBERS if name in key],
        child=words.is_child(report),
        sources=list(dict.fromkeys(row.source for row in rows if row.source)),
        found=statements(report),
        answers=answers(report),
        similar=section(report.neighbours) if report.neighbours else None,
        estimates=[(model, [_estimate(said) for said in group]) for model, group in words.estimates(report)],
        device_values=words.measured_by_device(ecg.measured),
        strip=strip,
        layouts=layouts,
        sheet=paper.sheet(strip, layouts[0], r_peaks_s=report.beats.r_peaks_s, waves=report.beats.waves),
        has_waves=any(_marks(waves) for waves in report.beats.waves),
        gains=[strip.gain / 2, strip.gain, strip.gain * 2],
        data=_data(report, strip, layouts),
        beat=beat.beat_of(report),
        st=beat.st_table(report),
        st_points=beat.ST_POINTS.values(),
        wheel=beat.wheel_of(report.measurements),
        day=day,
        trend=None if day else trend_of(report.beats.r_peaks_s),
        abstained=words.abstained(report),
        schema=SCHEMA,
    )


@cache
def _template() -> Template:
    return environment().get_template("report.html.j2")


@cache
def environment() -> Environment:
    """Where the templates of the pages are: all that they are given is escaped and without control characters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        return words.clean(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value

    jinja = Environment(
        loader=PackageLoader("cardioloom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters["number"] = words.number
    jinja.filters["duration"] = words.duration
    return jinja


def _estimate(estimate: Estimate) -> Mapping[str, str]:
    digits = words.DIGITS.get(estimate.unit)
    low, high = (words.number(end, digits) for end in estimate.interval)
    return {
        "name": estimate.name,
        "code": estimate.code,
        "value": words.number(estimate.value, digits),
        "unit": words.UNITS.get(estimate.unit, estimate.unit),
        "interval": f"{low} to {high}",
        "coverage": f"{100 * estimate.coverage:.0f} %",
    }


def _data(report: Report, strip: Strip, layouts: tuple[paper.Layout, ...]) -> Mapping[str, object]:
    """What the page's script draws from."""
    seconds = strip.seconds
    return {
        **embedded(strip),
        "seconds": seconds,
        "leads": [words.clean(lead) for lead in strip.leads],
        "derived": [words.clean(lead) for lead in strip.derived],
        "up": strip.up.round(4).tolist(),
        "down": strip.down.round(4).tolist(),
        "gain": strip.gain,
        "layouts": [{"code": layout.code, "rows": layout.rows} for layout in layouts],
        "peaks": [round(float(t), 4) for t in report.beats.r_peaks_s if t < seconds],
        "waves": [_marks(waves) for waves in report.beats.waves if any(t < seconds for t in waves.values())],
        "spans": [
            {
                "code": words.clean(finding.code),
                "name": words.clean(finding.name),
                "spans": [span for span in finding.spans_s if span[0] < seconds],
            }
            for finding in report.findings
            if finding.present and _is_local(finding, report.study.ecg.seconds, seconds)
        ],
    }


def _is_local(finding: Finding, whole_s: float, shown_s: float) -> bool:
    """True where a finding has a place on the paper: a bar under the whole recording would say nothing."""
    covered = sum(stop - start for start, stop in finding.spans_s)
    return covered < WHOLE_SHARE * whole_s and any(span[0] < shown_s for span in finding.spans_s)


def _marks(waves: Mapping[str, float]) -> Mapping[str, float]:
    return {name: round(float(t), 4) for name, t in waves.items() if t == t}  # not NaN
