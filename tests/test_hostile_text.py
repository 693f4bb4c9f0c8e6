"""Whatever text a report holds, no sink gives it out as it is: not a page, not a table, not a terminal."""

import io
import json
from typing import Any

import msgspec
import pytest
from building import estate, plain
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from auditor.assessment.baseline import compare
from auditor.assessment.model import ExemptionInfo, Report, SourceFile
from auditor.formats import as_csv, as_html, as_json, as_junit, as_markdown, as_ocsf, as_sarif, diff_as_markdown
from auditor.formats.diff_terminal import print_diff
from auditor.formats.terminal import print_exemptions, print_summary
from auditor.text import visible

HOSTILE = (
    "\x00",
    "\x07",
    "\x08",
    "\r",
    "\x1b[2J",
    "\x1b]8;;https://evil.example\x1b\\x",
    "\x9b31m",
    "\x7f",
    "\u00ad",
    "\u200b",
    "\u202e",
    "\u2066",
    "\u2028",
    "\ufeff",
    "\ufdd0",
    "\uffff",
    "\U0001fffe",
    "\U000e0041",
    "[bold red]x[/]",
    "</script><script>x</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7*7 }}",
    "javascript:alert(1)",
    "=1+1",
    "x" * 32_768,
)
FORBIDDEN = {char for text in HOSTILE for char in text if visible(char) != char}
_TEXT = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5)), max_size=3).map("".join)


@pytest.fixture(scope="module")
def base() -> Report:
    built = estate().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return built.audit().report


def spoilt(value: Any, evil: str) -> Any:
    """Put a hostile text into every text of a JSON value, but for those that name things of our own."""
    if isinstance(value, dict):
        own = {
            "schema_version",
            "content_sha256",
            "kind",
            "severity",
            "outcome",
            "verdict",
            "state",
            "status",
            "rule",
            "fail_on",
        }
        own |= {
            "fingerprint",
            "sha256",
            "resource",
            "profile",
            "config_sha256",
            "exemptions_sha256",
            "category",
            "scope_kind",
        }
        return {
            key: part if key in own or (key == "id" and "letters" in value) else spoilt(part, evil)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [spoilt(part, evil) for part in value]
    return value + evil if isinstance(value, str) else value


def forged(base: Report, evil: str) -> Report:
    """Return a report with a hostile text in nearly everything it says, as somebody could sign one."""
    was_said = plain(base)
    made = spoilt(was_said, evil)
    made["outcomes"] = was_said["outcomes"]
    for rule, was in zip(made["rules"], was_said["rules"], strict=True):
        rule["id"], rule["resource"] = was["id"], was["resource"]
    for resource, was in zip(made["resources"], was_said["resources"], strict=True):
        resource["id"] = was["id"]
    for finding, was in zip(made["findings"], was_said["findings"], strict=True):
        finding["resource"] = was["resource"]
    report = msgspec.convert(made, Report)
    exemption = ExemptionInfo(
        id=evil, rule=evil, scope_kind="id", scope=evil, category="waiver", reason=evil, owner=evil, approver=evil,
        ticket=evil, created=evil, expires=evil, status="expired", matched=1, exempted=1,
    )  # fmt: skip
    files = [SourceFile(name=evil, sha256="0" * 64, rows=1)]
    inventory = msgspec.structs.replace(report.inventory, sources=files)
    return msgspec.structs.replace(report, inventory=inventory, exemptions=[exemption])


def texts_of(value: Any) -> str:
    """Return all texts of a JSON value."""
    if isinstance(value, dict):
        return "".join(key + texts_of(part) for key, part in value.items())
    return "".join(map(texts_of, value)) if isinstance(value, list) else str(value)


def terminal(report: Report) -> str:
    """Print what there is to print of a report, on a terminal without colour."""
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=True, color_system=None, width=100, highlight=False, markup=False, emoji=False
    )
    print_summary(report, console, ["out\x1b[2J.html"])
    print_exemptions(report.exemptions, console, matched=True)
    print_diff(compare(report, report), console, ["\x1b"])
    return file.getvalue()


@settings(max_examples=examples(12))
@given(evil=_TEXT)
def test_no_sink_gives_out_what_could_deceive(base: Report, evil: str) -> None:
    report = forged(base, evil)
    page, table, sarif = io.BytesIO(), io.BytesIO(), io.BytesIO()
    as_html.write(report, page)
    as_csv.write(report, table)
    as_sarif.write(report, sarif)
    markdown = io.BytesIO()
    diff_as_markdown.write(compare(base, report), markdown)
    short, cases, events = io.BytesIO(), io.BytesIO(), io.BytesIO()
    as_markdown.write(report, short)
    as_junit.write(report, cases)
    as_ocsf.write(msgspec.structs.replace(report, as_of=base.as_of), events)
    shown = {
        "summary": short.getvalue().decode(),
        "junit": cases.getvalue().decode(),
        "ocsf": "".join(map(texts_of, map(json.loads, events.getvalue().splitlines()))),
        "page": page.getvalue().decode(),
        "csv": table.getvalue().decode("utf-8-sig"),
        "sarif": sarif.getvalue().decode(),
        "markdown": markdown.getvalue().decode(),
        "terminal": terminal(report),
    }
    for sink, text in shown.items():
        assert not set(text) & (FORBIDDEN - set("\r")), sink
    assert "\r" not in shown["page"] + shown["terminal"]
    assert shown["page"].count("<script") == 2
    assert "<img" not in shown["page"]


@given(evil=_TEXT.filter(lambda text: text.isprintable()))
def test_the_canonical_form_keeps_the_original(base: Report, evil: str) -> None:
    report = forged(base, evil)
    file = io.BytesIO()
    as_json.write(report, file)
    assert json.loads(file.getvalue())["findings"][0]["message"] == report.findings[0].message
    assert msgspec.json.decode(file.getvalue(), type=Report) == report
