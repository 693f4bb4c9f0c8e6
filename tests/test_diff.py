"""auditor diff: its sections, what it does not claim, and that hostile names do nothing in what it writes."""

import io
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from building import OTHER_SUBSCRIPTION, EstateBuilder, audit_files, estate, vm_id
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from rich.console import Console
from test_baseline import known, named, report_of, written
from test_command import assert_one_error, run
from test_exemptions import entry

from auditor.assessment.baseline import compare
from auditor.assessment.model import Diff, Report
from auditor.errors import UsageError
from auditor.formats import as_json, diff_as_markdown, diff_writer_for
from auditor.formats.diff_terminal import print_diff
from auditor.formats.markdown import inert
from auditor.formats.terminal import print_summary
from auditor.reference import SCHEMAS


def changes(old: Report, new: Report) -> dict[str, tuple[str, str | None, str]]:
    """Return section, outcome before and after, by the name of the resource."""
    return {
        change.resource.rpartition("/")[2]: (change.change, change.before, change.after)
        for change in compare(old, new).changes
    }


def shown(diff: Diff) -> str:
    file = io.StringIO()
    print_diff(diff, Console(file=file, highlight=False, markup=False, emoji=False), [])
    return file.getvalue()


def markdown(diff: Diff) -> str:
    file = io.BytesIO()
    diff_as_markdown.write(diff, file)
    return file.getvalue().decode()


# Sections


@pytest.mark.parametrize(
    ("then", "now", "change"),
    [
        ("Protected", "none", ("new", "pass", "fail")),
        ("NobodyKnows", "none", ("new", "unknown", "fail")),
        ("absent", "none", ("new", None, "fail")),
        ("none", "Protected", ("fixed", "fail", "pass")),
        ("none", "NobodyKnows", ("became-unknown", "fail", "unknown")),
        ("Protected", "NobodyKnows", ("became-unknown", "pass", "unknown")),
        ("absent", "NobodyKnows", ("became-unknown", None, "unknown")),
        ("NobodyKnows", "Protected", ("no-longer-unknown", "unknown", "pass")),
        ("none", "ProtectionStopped", None),
        ("none", "absent", None),
        ("NobodyKnows", "absent", None),
        ("absent", "Protected", None),
        ("Protected", "absent", None),
    ],
)
def test_a_verdict_that_changed_is_in_one_section(
    then: str, now: str, change: tuple[str, str | None, str] | None
) -> None:
    assert changes(known(db=then), known(db=now)) == ({"db": change} if change else {})


def test_what_is_out_of_scope_or_too_new_now_is_not_fixed() -> None:
    out = report_of(named(db="none"), config="scope: {exclude: [{reason: R, field: vm.name, equals: db}]}\n")
    assert changes(known(db="none"), out) == {"db": ("no-longer-applicable", "fail", "not-applicable")}
    assert compare(known(db="none"), out).counts["fixed"] == 0


def test_an_exemption_is_told_when_it_begins_and_its_end_is_new() -> None:
    exempt = report_of(named(db="none"), exemptions=json.dumps([entry()]))
    assert changes(known(db="none"), exempt) == {"db": ("exempt-now", "fail", "fail")}
    assert changes(exempt, known(db="none")) == {"db": ("new", "fail", "fail")}
    assert changes(exempt, exempt) == {}


def test_resources_that_appeared_or_are_gone_are_listed_and_never_fixed() -> None:
    diff = compare(known(gone="none", both="none"), known(both="none", came="Protected"))
    assert [resource.name for resource in diff.appeared] == ["came"]
    assert [resource.name for resource in diff.gone] == ["gone"]
    assert (diff.changes, diff.counts["unchanged"], diff.counts["fixed"]) == ([], 1, 0)


def test_a_resource_that_is_spelled_otherwise_is_the_same() -> None:
    new = report_of(estate().vm("DB", id=vm_id("DB")).vm("always").item("always").whole())
    diff = compare(known(db="none"), new)
    assert (diff.appeared, diff.gone, diff.changes) == ([], [], [])


def test_changes_are_counted_by_rule() -> None:
    old = estate().vm("web").item("web").vm("db", osProfile=None).whole().audit().report
    new = estate().vm("web").vm("db").item("db").whole().audit().report
    counts = {
        rule.rule: {name: count for name, count in rule.counts.items() if count} for rule in compare(old, new).rules
    }
    assert counts["vm-protected"] == {"new": 1, "fixed": 1}
    assert counts["vm-agent-installed"] == {"no-longer-unknown": 1}
    assert counts["policy-runs-per-day"] == {}


# What cannot be compared


def said(old: Report, new: Report) -> str:
    return "\n".join(compare(old, new).not_comparable)


def test_nothing_stands_in_the_way_of_comparing_two_reports_made_alike() -> None:
    assert said(known(db="none"), known(db="Protected")) == ""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"select": ["vm-agent-installed"]}, "vm-protected was run in the old report only."),
        ({"select": ["vm-agent-installed"]}, "vm-agent-installed was run in the new report only."),
        ({"profile": "hardened"}, "Another profile: baseline, now hardened."),
        ({"primary_endpoint": "zone"}, "Another primary endpoint: azure, now zone."),
        ({"complete": ["vaults"]}, "Other tables declared to be whole: nothing, now vaults."),
        ({"config": "vaults_in: any\n"}, "VMs' vaults are looked for elsewhere: same-subscription, now any."),
        ({"config": "strict: true\n"}, "Another configuration file: "),
        ({"exemptions": "[]"}, "Another file of exemptions: none, now "),
        ({"as_of": "2026-01-01T00:00:00Z"}, "The old report is of a later time"),
        ({"as_of": None}, "does not say at which time it judged"),
    ],
)
def test_what_was_asked_otherwise_is_named(flags: dict[str, Any], words: str) -> None:
    assert words in said(known(db="none"), report_of(named(db="none"), **flags))


def test_reports_of_different_estates_are_said_to_be() -> None:
    far = report_of(estate().vm("a", id=vm_id("a", subscription=OTHER_SUBSCRIPTION)))
    assert "no subscription in common" in said(report_of(estate().vm("a")), far)


def test_what_was_read_less_well_is_named_and_what_is_gone_may_only_not_have_been_read() -> None:
    old = known(db="none")
    resources = [r for r in named().resources if "db" not in str(r["name"])]
    cut = {"value": resources, "nextLink": "https://management.azure.com/subscriptions?x"}
    new = audit_files({"estate.json": json.dumps(cut)}, select=["vm-protected"]).report
    words = said(old, new)
    assert "were read less well: complete then, partial now." in words
    assert "Not read now: " in words
    assert "1 VM may only not have been read: not all of them were." in words


# What is written


def test_the_json_follows_its_published_schema_and_is_the_same_each_time() -> None:
    diff = compare(known(db="none", gone="none"), known(db="Protected", came="none"))
    file = io.BytesIO()
    as_json.write(diff, file)
    schema = SCHEMAS["diff"]()
    assert list(Draft202012Validator(schema).iter_errors(json.loads(file.getvalue()))) == []
    assert msgspec.json.decode(file.getvalue(), type=Diff) == diff


def test_the_terminal_and_the_page_say_the_same_numbers() -> None:
    diff = compare(known(db="none", gone="none"), known(db="Protected", came="none"))
    for text in (shown(diff), markdown(diff)):
        assert "1 new, 1 fixed, 0 unchanged, appeared: 1 VM, gone: 1 VM" in text
        assert "New: 1" in text
        assert "not there -> fail" in text


def test_long_sections_say_how_many_more_there_are() -> None:
    old, new = known(), known(**{f"vm{number}": "none" for number in range(12)})
    assert "and 2 more: write all with -o diff.md" in shown(compare(old, new))


@given(st.text(max_size=60))
def test_text_in_a_page_is_one_code_span(text: str) -> None:
    span = inert(text)
    assert "|" not in span
    assert not re.search(r"[\x00-\x1f\x7f\u2028\u202e]", span)
    if span:
        (fence,) = re.findall("^`+", span)
        assert span.endswith(fence)
        assert fence not in re.findall("`+", span[len(fence) : -len(fence)])


def test_a_hostile_name_stays_in_its_cell() -> None:
    name = "x` | <img src=x> [a](javascript:b) @ada #1 www.evil.example\n| b |\u202e"
    builder = EstateBuilder().vm("x", id=vm_id(name)).whole()
    page = markdown(compare(report_of(estate().vm("y").whole()), report_of(builder)))
    (row,) = [line for line in page.splitlines() if "img" in line and line.startswith("|")]
    assert row.count("|") == 6
    assert "``" in row
    assert "\u202e" not in page


def test_a_forged_report_reaches_no_terminal_as_it_is() -> None:
    old, new = known(db="Protected"), known(db="none")
    evil = "x\x1b[31m\u202e"
    forged = msgspec.structs.replace(
        new,
        as_of=evil,
        rules=[msgspec.structs.replace(rule, id=evil) for rule in new.rules],
        outcomes={evil: new.outcomes["vm-protected"]},
        findings=[msgspec.structs.replace(finding, rule=evil, message=evil) for finding in new.findings],
    )
    diff = compare(old, forged)
    assert diff.counts["new"] == 1
    for text in (shown(diff), markdown(diff)):
        assert not set(text) & set("\x1b\u202e")


@pytest.mark.parametrize(
    ("output", "path"), [("d.json", "d.json"), ("d.md", "d.md"), ("md:d.txt", "d.txt"), ("-", "-")]
)
def test_the_suffix_tells_the_format(output: str, path: str) -> None:
    assert diff_writer_for(output)[1] == path


def test_a_diff_has_no_other_formats() -> None:
    with pytest.raises(UsageError) as caught:
        diff_writer_for("d.html")
    assert "json, md" in caught.value.hint


# The command


def test_the_command_writes_what_it_found_and_exits_with_0(tmp_path: Path) -> None:
    old, new = written(known(db="Protected"), "old.json"), written(known(db="none"), "new.json")
    result = run("diff", str(old), str(new), "-o", "d.json", "-o", "d.md", folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 new" in result.stdout
    assert json.loads((tmp_path / "d.json").read_text())["counts"]["new"] == 1
    piped = run("diff", str(old), str(new), "-o", "-", folder=tmp_path)
    assert json.loads(piped.stdout)["counts"]["new"] == 1
    assert_one_error(run("diff", "old.json", "none.json", folder=tmp_path), 2, "cannot read none.json")
    assert_one_error(run("diff", "old.json", "new.json", "-o", "old.json", folder=tmp_path), 2, "would overwrite")
    (tmp_path / "cut.json").write_bytes(old.read_bytes()[:-9])
    assert_one_error(run("diff", "cut.json", "new.json", folder=tmp_path), 2, "cut.json is not JSON, or cut off")


def test_audit_takes_a_baseline_and_exemptions(tmp_path: Path) -> None:
    (tmp_path / "estate.json").write_text(json.dumps({"value": named(db="none").resources}))
    (tmp_path / "ex.yaml").write_text(json.dumps([entry()]))
    written(known(db="none"), "old.json")
    written(report_of(estate().vm("a", id=vm_id("a", subscription=OTHER_SUBSCRIPTION))), "far.json")
    asked = ["audit", "--inventory", "estate.json", "--as-of", "2026-06-15T12:00:00Z", "--select", "vm-protected"]
    assert run(*asked, folder=tmp_path).returncode == 1
    result = run(*asked, "--baseline", "old.json", "--fail-on", "new:low", "-o", "old.html", folder=tmp_path)
    assert result.returncode == 0
    assert "Baseline   0 new, 1 unchanged, 0 fixed since 2026-06-15T12:00:00Z" in result.stdout
    assert "<b>0 new</b>, <b>0 fixed</b>; 1 finding as before" in (tmp_path / "old.html").read_text()
    result = run(*asked, "--exemptions", "ex.yaml", "-o", "r.json", "-o", "r.html", "-o", "r.csv", folder=tmp_path)
    assert result.returncode == 0
    assert "Exempt     1 verdict is exempt, by 1 exemption (1 active)" in result.stdout
    assert result.stdout.startswith("Not compliant: 1 of 2 verdicts fail (1 critical; 1 exempt)")
    assert "Rebuilt from code" in (tmp_path / "r.html").read_text()
    assert ",fail,critical,true," in (tmp_path / "r.csv").read_text(encoding="utf-8-sig")
    assert_one_error(run(*asked, "--fail-on", "new:high", folder=tmp_path), 2, "needs a baseline")
    assert_one_error(run(*asked, "--baseline", "far.json", folder=tmp_path), 2, "is of another estate")
    assert_one_error(run(*asked, "--baseline", "old.json", "-o", "old.json", folder=tmp_path), 2, "would overwrite")
    assert_one_error(
        run(*asked, "--exemptions", "ex.yaml", "-o", "json:ex.yaml", folder=tmp_path), 2, "would overwrite"
    )
    (tmp_path / "ex.yaml").write_text(json.dumps([entry(rule="x", owner="")]))
    result = run(*asked, "--exemptions", "ex.yaml", folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("error: ex.yaml:1:") == 2


def test_explain_shows_the_exemption_and_needs_no_baseline(tmp_path: Path) -> None:
    (tmp_path / "estate.json").write_text(json.dumps({"value": named(db="none").resources}))
    (tmp_path / "ex.yaml").write_text(json.dumps([entry(ticket="CHG-7")]))
    (tmp_path / "auditor.yaml").write_text("fail_on: new:high\nexemptions: ex.yaml\n")
    asked = ["explain", "db", "--inventory", "estate.json", "--as-of", "2026-06-15T12:00:00Z"]
    result = run(*asked, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    said = "EX-1: Rebuilt from code (ada@example.com, waiver, CHG-7, until 2026-12-31T00:00:00Z)"
    assert f"  exempt    {said}" in result.stdout


def test_exemptions_are_listed_from_a_report_or_from_their_file(tmp_path: Path) -> None:
    both = [entry(), entry("OLD", expires="2026-06-01T00:00:00Z")]
    (tmp_path / "ex.yaml").write_text(json.dumps(both))
    written(report_of(named(db="none"), exemptions=json.dumps(both)), "r.json")
    result = run("exemptions", "--report", "r.json", folder=tmp_path)
    assert result.returncode == 0
    assert re.search(r"^expired +OLD +vm-protected  0 of 1  until 2026-06-01", result.stdout)
    assert re.search(r"^active +EX-1 +vm-protected  1 of 1  until", result.stdout, re.MULTILINE)
    assert result.stdout.endswith("2 exemptions (1 expired, 1 active)\n")
    result = run("exemptions", "--exemptions", "ex.yaml", "--as-of", "2026-06-15T12:00:00Z", folder=tmp_path)
    assert result.stdout.endswith("2 exemptions (1 expired, 1 active)\n")
    assert " of 1" not in result.stdout
    result = run("exemptions", "--exemptions", "ex.yaml", folder=tmp_path)
    assert result.stdout.endswith("2 exemptions (2 time unknown)\n")
    assert "--as-of" in result.stderr
    assert_one_error(run("exemptions", folder=tmp_path), 2, "no exemptions")
    assert_one_error(
        run("exemptions", "--report", "r.json", "--as-of", "x", folder=tmp_path), 2, "--report says it all"
    )


# The summary on a narrow terminal


def test_sentences_are_wrapped_to_a_terminal_and_rows_cut() -> None:
    builder = estate().vm("web").vm("a-vm-with-a-rather-long-name-that-does-not-fit-in-a-row", osProfile=None)
    report = builder.vault("local", "LocallyRedundant").whole().audit().report
    file = io.StringIO()
    console = Console(file=file, width=60, force_terminal=True, color_system=None, highlight=False, markup=False)
    print_summary(report, console, [])
    lines = file.getvalue().splitlines()
    assert all(len(line) <= 60 for line in lines)
    whole = " ".join(" ".join(lines).split())
    assert report.summary.sentence in whole
    assert report.summary.gate.reasons[0] in whole
    assert "Looked at 2 VMs (2 judged) · " in whole
    assert any(line.endswith("…") for line in lines if line.startswith("fail"))


def test_one_of_a_kind_is_said_in_the_singular() -> None:
    def summary(report: Report) -> str:
        file = io.StringIO()
        print_summary(report, Console(file=file, highlight=False), [])
        return file.getvalue()

    assert "1 VM rests on what was declared" in summary(estate().vm("web").item("web").whole().audit().report)
    report = estate().vm("web").audit(strict=True).report
    gate = msgspec.structs.replace(report.summary.gate, reasons=["a", "b", "c", "d"])
    one = msgspec.structs.replace(report, summary=msgspec.structs.replace(report.summary, gate=gate))
    assert "a; b; c; and 1 more reason\n" in summary(one)
