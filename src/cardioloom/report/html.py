"""Report → one HTML page that needs no network: style, script, drawing and samples are all inside."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from cardioloom.records import Estimate, Report
from cardioloom.report import paper, words
from cardioloom.report.json import SCHEMA
from cardioloom.report.strip import Strip, embedded, strip_of
from cardioloom.report.trend import trend_of

if TYPE_CHECKING:
    from jinja2 import Template


def render(report: Report) -> str:
    """The report as one HTML5 document, for the screen and for A4 or Letter paper in landscape.

    It loads nothing from anywhere (its Content-Security-Policy forbids it), shows the ECG without JavaScript too, and
    escapes whatever came from a file. At most the first 60 s of 16 leads are embedded; the page says so.
    """
    ecg = report.study.ecg
    strip = strip_of(ecg)
    scores = {lead: quality.score for lead, quality in report.quality.leads.items()}
    layouts = paper.layouts(strip, scores)
    rows = words.rows(report)
    key = {row.name: row for row in rows}
    findings = [words.finding_row(finding) for finding in report.findings]
    return _template().render(
        report=report,
        ecg=ecg,
        file=ecg.source.file.name if ecg.source else "ECG",
        files=[file.name for file in ecg.source.files] if ecg.source else [],
        header=words.header(report),
        patient=words.patient(report),
        trained_on=list(dict.fromkeys(estimate.trained_on for estimate in report.estimates if estimate.trained_on)),
        warnings=words.warnings(report),
        chips=words.chips(report),
        rows=rows,
        rate=key.get("heart_rate"),
        tiles=[key[name] for name in words.KEY_NUMBERS if name in key],
        child=words.is_child(report),
        sources=list(dict.fromkeys(row.source for row in rows if row.source)),
        shown=[finding for finding in findings if finding["state"] != "absent"],
        absent=[finding for finding in findings if finding["state"] == "absent"],
        estimates=[_estimate(estimate) for estimate in report.estimates],
        device_values=words.measured_by_device(ecg.measured),
        strip=strip,
        layouts=layouts,
        sheet=paper.sheet(strip, layouts[0], r_peaks_s=report.beats.r_peaks_s),
        gains=[strip.gain / 2, strip.gain, strip.gain * 2],
        data=_data(report, strip, layouts),
        trend=trend_of(report.beats.r_peaks_s),
        abstained=[(words.label(item.what), item.why) for item in report.abstained],
        schema=SCHEMA,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cardioloom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = words.number
    environment.filters["duration"] = words.duration
    return environment.get_template("report.html.j2")


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
        "model": estimate.model,
        "trained_on": estimate.trained_on,
    }


def _data(report: Report, strip: Strip, layouts: tuple[paper.Layout, ...]) -> Mapping[str, object]:
    """What the page's script draws from."""
    seconds = strip.seconds
    return {
        **embedded(strip),
        "seconds": seconds,
        "leads": strip.leads,
        "derived": strip.derived,
        "up": strip.up.round(4).tolist(),
        "down": strip.down.round(4).tolist(),
        "gain": strip.gain,
        "layouts": [{"code": layout.code, "rows": layout.rows} for layout in layouts],
        "peaks": [round(float(t), 4) for t in report.beats.r_peaks_s if t < seconds],
        "waves": [_marks(waves) for waves in report.beats.waves if any(t < seconds for t in waves.values())],
        "spans": [
            {
                "code": finding.code,
                "name": finding.name,
                "spans": [span for span in finding.spans_s if span[0] < seconds],
            }
            for finding in report.findings
            if finding.present and any(span[0] < seconds for span in finding.spans_s)
        ],
    }


def _marks(waves: Mapping[str, float]) -> Mapping[str, float]:
    return {name: round(float(t), 4) for name, t in waves.items() if t == t}  # not NaN
