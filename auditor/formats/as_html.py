"""One self-contained HTML page: no script, no network, every value escaped."""

import hashlib
from base64 import b64encode
from typing import BinaryIO, cast

import jinja2

from auditor.assessment.model import Report
from auditor.bundled import bundled
from auditor.estate.fields import KIND_NAMES
from auditor.text import visible

MOST_FINDINGS = 500


def write(report: Report, file: BinaryIO) -> None:
    """Write the page; findings are the worst ``MOST_FINDINGS``, and the page says so."""
    folder = bundled("reports/templates")
    loader = jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=loader,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    style = (folder / "report.css").read_text(encoding="utf-8")
    stream = environment.get_template("report.html.j2").stream(
        report=report,
        style=style,
        style_hash=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        findings=report.findings[:MOST_FINDINGS],
        resources={resource.id: resource for resource in report.resources},
        kind_names=KIND_NAMES,
    )
    stream.enable_buffering(200)
    stream.dump(cast("str", file), encoding="utf-8")  # jinja2 takes any binary file and types it as a name


def _shown(value: object) -> object:
    """Make hostile characters visible in whatever a template prints; the style sheet is not a ``str`` from outside."""
    return visible(value) if type(value) is str else value
