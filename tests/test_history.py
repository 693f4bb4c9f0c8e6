"""The history: every run is kept once, nothing damages another, and what was said is never said otherwise later."""

import io
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from building import EstateBuilder, estate
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from auditor.assessment.assess import sign
from auditor.assessment.model import Report, TrendRun
from auditor.assessment.trend import MOST_RUNS, History, Run, in_order, run_of, trend_of, with_trend
from auditor.cli.app import app
from auditor.errors import UsageError
from auditor.formats import as_html, as_json
from auditor.formats.from_json import read_report
from auditor.formats.trend_views import chart
from auditor.history.jobs import read_jobs
from auditor.history.runs import keep_run, open_history, read_history

REPOSITORY = Path(__file__).resolve().parent.parent
DAYS = [f"2026-06-{day:02}T12:00:00Z" for day in range(1, 10)]
NEWER = "is of format 2, which a newer version wrote (this one reads up to 1)"
# When the estates are audited whose newest recovery point is of 2026-06-15.
FIRST, SECOND, THIRD = "2026-06-15T12:00:00Z", "2026-06-15T15:00:00Z", "2026-06-30T12:00:00Z"


@cache
def report() -> Report:
    return estate().vm("web").item("web").vm("bare").vault().policy().whole().audit().report


@cache
def run() -> Run:
    return run_of(report())


def run_at(as_of: str | None, number: int = 0, **changed: Any) -> Run:
    """Return a run like the one of the report, of another time and with an id of its own."""
    return msgspec.structs.replace(run(), as_of=as_of, run_id=f"{number:064x}", **changed)


def kept_in(folder: Path, *runs: Run) -> Path:
    folder.mkdir(exist_ok=True)
    open_history(folder)
    for entry in runs:
        keep_run(folder, entry)
    return folder


def trend_after(*runs: Run) -> list[TrendRun]:
    trend = with_trend(report(), History(runs)).trend
    assert trend is not None
    return trend.runs


# Keeping


def test_a_run_is_kept_with_all_that_was_in_force_and_read_again(tmp_path: Path) -> None:
    kept_in(tmp_path / "h", run())
    (found,) = read_history(tmp_path / "h").runs
    assert found == run()
    assert found.options == report().options
    assert found.summary == report().summary
    told = {rule.id: (rule.sha256, rule.severity, rule.parameters, rule.counts) for rule in report().rules}
    assert {rule.id: (rule.sha256, rule.severity, rule.parameters, rule.counts) for rule in found.rules} == told
    assert (found.run_id, found.as_of, found.tool_version) == (
        report().run_id,
        report().as_of,
        report().tool.version,
    )
    assert found.inventory.sha256 == report().inventory.sha256


def test_the_same_run_twice_is_once_and_its_file_stays(tmp_path: Path) -> None:
    folder = kept_in(tmp_path / "h")
    path = keep_run(folder, run())
    assert path is not None
    before = (path.read_bytes(), path.stat().st_ino)
    assert keep_run(folder, run()) is None
    assert (path.read_bytes(), path.stat().st_ino) == before
    assert [entry.name for entry in (folder / "runs").iterdir()] == [f"{run().run_id}.json"]


def test_a_damaged_file_of_the_same_run_is_made_whole(tmp_path: Path) -> None:
    folder = kept_in(tmp_path / "h", run())
    path = folder / "runs" / f"{run().run_id}.json"
    path.write_bytes(path.read_bytes()[:-100])
    assert read_history(folder).runs == []
    assert keep_run(folder, run()) == path
    assert read_history(folder).runs == [run()]


def test_two_processes_at_once_keep_all_their_runs(tmp_path: Path) -> None:
    folder = kept_in(tmp_path / "h")
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(run()))
    script = (
        "import sys, msgspec; from pathlib import Path\n"
        "from auditor.assessment.trend import Run; from auditor.history.runs import keep_run\n"
        "run = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Run)\n"
        "for number in range(int(sys.argv[3]), int(sys.argv[3]) + 60):\n"
        "    keep_run(Path(sys.argv[2]), msgspec.structs.replace(run, run_id=f'{number:064x}'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    # The two share half of their runs.
    started = [
        subprocess.Popen([sys.executable, "-c", script, tmp_path / "run.json", folder, str(first)], env=environment)
        for first in (0, 30)
    ]
    while any(process.poll() is None for process in started):
        assert read_history(folder).notices == []  # nothing is ever seen half written
    assert [process.wait(60) for process in started] == [0, 0]
    found = read_history(folder)
    assert [entry.run_id for entry in found.runs] == [f"{number:064x}" for number in range(90)]
    assert found.notices == []
    assert len(list((folder / "runs").iterdir())) == 90


@given(cut=st.floats(0, 0.999), flipped=st.booleans())
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_damage_to_one_file_hides_another_or_goes_untold(
    tmp_path: Path,
    cut: float,
    flipped: bool,  # noqa: FBT001
) -> None:
    folder = kept_in(tmp_path / "h", run_at(DAYS[0], 1), run_at(DAYS[1], 2))
    path = folder / "runs" / f"{2:064x}.json"
    whole = path.read_bytes()
    place = int(cut * len(whole))
    damaged = whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :] if flipped else whole[:place]
    path.write_bytes(damaged)
    found = read_history(folder)
    path.write_bytes(whole)
    assert [entry.run_id for entry in found.runs][:1] == [f"{1:064x}"]
    if len(found.runs) == 2:  # only white space was touched
        assert found.runs[1] == run_at(DAYS[1], 2)
    else:
        (notice,) = found.notices
        assert notice.startswith(f"runs/{2:064x}.json ")
        assert notice.endswith(", so its run is missing.")


def test_a_file_of_a_newer_version_a_foreign_one_and_one_under_another_name_are_told(tmp_path: Path) -> None:
    folder = kept_in(tmp_path / "h", run_at(DAYS[0], 1))
    whole = (folder / "runs" / f"{1:064x}.json").read_bytes()
    (folder / "runs" / f"{2:064x}.json").write_bytes(whole.replace(b'"format": 1', b'"format": 2'))
    (folder / "runs" / f"{3:064x}.json").write_bytes(whole)
    (folder / "runs" / "notes\x1b[31m.txt").write_text("x")
    (folder / "runs" / ".DS_Store").write_text("x")
    (folder / "runs" / f".{4:064x}.json.abc").write_text("left by a run that was killed")
    found = read_history(folder)
    assert found.runs == [run_at(DAYS[0], 1)]
    assert found.notices == [
        f"runs/{2:064x}.json {NEWER}, so its run is missing.",
        f"runs/{3:064x}.json holds another run than its name says, so its run is missing.",
        "runs/notes\\u{001B}[31m.txt is none of the history's own files.",
    ]


def test_a_folder_that_cannot_be_made_or_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        open_history(tmp_path / "none" / "h")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is no folder"):
        open_history(tmp_path / "file")
    with pytest.raises(UsageError, match="is no history"):
        read_history(tmp_path)
    with pytest.raises(UsageError, match="is no history"):
        read_jobs(tmp_path)


# The trend


@given(st.randoms(use_true_random=False))
@settings(max_examples=examples(20), deadline=None)
def test_the_trend_does_not_depend_on_the_order_of_files(shuffle: random.Random) -> None:
    runs = [run_at(DAYS[number // 2], number + 1) for number in range(8)]
    shuffled = [*runs, runs[3]]
    shuffle.shuffle(shuffled)
    assert trend_after(*shuffled) == trend_after(*runs)
    assert in_order(shuffled) == runs


def test_what_earlier_runs_said_is_not_judged_again() -> None:
    rules = [msgspec.structs.replace(rule, parameters={}, sha256="0" * 64) for rule in run().rules]
    counted = [msgspec.structs.replace(rule, counts=type(rule.counts)(fail=77)) for rule in rules]
    earlier, now = trend_after(run_at(DAYS[0], 1, rules=counted))
    assert {counts.fail for counts in earlier.rules.values()} == {77}
    assert now.rules == {rule.id: rule.counts for rule in report().rules}
    assert {change.rule for change in now.rules_changed} == {rule.id for rule in report().rules}


def test_the_trend_ends_with_the_report_and_leaves_out_what_is_later_or_of_no_known_time() -> None:
    assert report().as_of == "2026-06-15T12:00:00Z"
    later, never, same = run_at("2026-06-16T00:00:00Z", 1), run_at(None, 2), run_at(report().as_of, 3)
    runs = trend_after(later, never, same, run(), run_at(DAYS[0], 4))
    assert [entry.run_id for entry in runs] == [f"{4:064x}", f"{3:064x}", run().run_id]
    timeless = msgspec.structs.replace(report(), as_of=None)
    trend = with_trend(timeless, History([same])).trend
    assert trend is not None
    assert len(trend.runs) == 1


def test_a_long_history_is_cut_and_says_so() -> None:
    runs = [run_at(f"2026-05-01T{number // 60:02}:{number % 60:02}:00Z", number) for number in range(MOST_RUNS + 9)]
    trend = with_trend(report(), History(runs)).trend
    assert trend is not None
    assert (len(trend.runs), trend.left_out) == (MOST_RUNS, 10)
    assert trend.runs[-1].run_id == run().run_id


def with_options(**changed: Any) -> Run:
    return run_at(DAYS[0], 1, options=msgspec.structs.replace(run().options, **changed))


def with_inventory(**changed: Any) -> Run:
    return run_at(DAYS[0], 1, inventory=msgspec.structs.replace(run().inventory, **changed))


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (lambda: with_options(profile="hardened"), "Another profile: hardened, now baseline."),
        (lambda: with_options(framework="dora"), "Another framework: dora, now none."),
        (lambda: with_options(primary_endpoint="other"), "Another primary endpoint: other, now azure."),
        (lambda: with_options(exemptions_sha256="a" * 64), "Another file of exemptions: aaaaaaaaaaaa, now none."),
        (lambda: with_options(subscriptions=["s"]), "Judged: s then, all now."),
        (lambda: with_inventory(scope=["/sub"]), "Asked about: /sub then, all now."),
        (lambda: with_inventory(subscriptions=["gone"]), "Subscriptions that went: gone."),
        (lambda: with_inventory(tenant="t"), "Another tenant: t, now not known."),
        (lambda: run_at(DAYS[0], 1, tool_version="0.0.9"), "Version 0.0.9 judged then, "),
        (lambda: run_at(DAYS[0], 1, tables=[]), "Vaults: missing then, complete now."),
        (lambda: run_at(DAYS[0], 1, rules=run().rules[1:]), f"Run now and not before: {run().rules[0].id}."),
    ],
)
def test_what_makes_numbers_not_comparable_is_marked(before: Callable[[], Run], said: str) -> None:
    assert any(line.startswith(said) for line in trend_after(before())[1].not_comparable)
    assert trend_after(run_at(DAYS[0], 1))[1].not_comparable == []


def test_the_first_run_has_nothing_to_compare_with() -> None:
    assert trend_of([]) == []
    (only,) = trend_of([run()])
    assert (only.rules_changed, only.not_comparable) == ([], [])


# Reports


def page_of(found: Report) -> str:
    file = io.BytesIO()
    as_html.write(found, file)
    return file.getvalue().decode()


def trend_section(page: str) -> str:
    start = page.index('<section aria-labelledby="trend">')
    return page[start : page.index("</section>", start)]


def test_the_page_draws_the_trend_so_that_everybody_can_read_it() -> None:
    changed = [
        msgspec.structs.replace(rule, parameters={**rule.parameters, "grace_hours": 99})
        if rule.id == "vm-protected"
        else rule
        for rule in run().rules
    ]
    history = History([run_at(DAYS[0], 1), run_at(DAYS[1], 2, rules=changed)])
    section = trend_section(page_of(sign(with_trend(report(), history))))
    assert re.search(r'role="img" aria-labelledby="trend-title trend-description"', section)
    assert '<title id="trend-title">' in section
    assert '<desc id="trend-description">From 2026-06-01T12:00:00Z to 2026-06-15T12:00:00Z: ' in section
    assert section.count('class="break"') == 2
    assert section.count('<th scope="row"><span class="word">2026-06-') == 3
    assert "vm-protected judges otherwise: parameter grace_hours 24 -&gt; 99." in section
    assert "comparable: same rules, parameters and scope" not in section
    assert "style=" not in section
    assert "<script" not in section


def test_bars_are_as_high_as_what_they_count() -> None:
    counts = report().summary.counts
    assert counts.fail
    twice = type(counts)(fail=2 * counts.fail, unknown=2 * counts.unknown)
    before = run_at(DAYS[0], 1, summary=msgspec.structs.replace(run().summary, counts=twice))
    trend = with_trend(report(), History([before])).trend
    assert trend is not None
    drawn = chart(trend)
    assert drawn.highest == twice.fail + twice.unknown
    first, second = drawn.bars
    assert first.fail + first.unknown == pytest.approx(100)
    assert second.fail + second.unknown == pytest.approx(50)
    nothing = type(counts)(passed=3)
    clean = msgspec.structs.replace(trend.runs[0], counts=nothing, rules={"r": nothing})
    bars = chart(msgspec.structs.replace(trend, runs=[clean])).bars
    assert [(bar.fail, bar.unknown) for bar in bars] == [(0, 0)]


def test_a_page_without_earlier_runs_says_so_and_names_of_files_are_inert() -> None:
    history = History([], ["runs/<img src=x onerror=alert(1)>\u202e is none of the history's own files."])
    section = trend_section(page_of(sign(with_trend(report(), history))))
    assert "no earlier run" in section
    assert "<img" not in section
    assert "\u202e" not in section
    assert 'id="trend"' not in page_of(report())


def test_a_report_whose_trend_is_of_another_one_is_refused(tmp_path: Path) -> None:
    good = sign(with_trend(report(), History([run_at(DAYS[0], 1)])))
    assert good.trend is not None
    wrong = sign(msgspec.structs.replace(good, trend=msgspec.structs.replace(good.trend, runs=good.trend.runs[:1])))
    for name, found in (("good", good), ("wrong", wrong)):
        with (tmp_path / name).open("wb") as file:
            as_json.write(found, file)
    assert read_report(tmp_path / "good") == good
    with pytest.raises(UsageError, match="its trend does not end with it"):
        read_report(tmp_path / "wrong")


# The commands


def audited(folder: Path, built: EstateBuilder, as_of: str, *flags: str) -> Result:
    (folder / "estate.json").write_text(json.dumps({"value": built.whole().resources}), encoding="utf-8")
    (folder / "auditor.yaml").write_text("", encoding="utf-8")
    asked = ["--inventory", str(folder / "estate.json"), "--config", str(folder / "auditor.yaml")]
    if "--select" not in flags:
        asked += ["--select", "vm-protected"]
    return CliRunner().invoke(app, ["audit", *asked, "--as-of", as_of, "--primary-endpoint", "azure", *flags])


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments])


def small() -> EstateBuilder:
    return estate().vm("web").item("web").vault().policy()


def test_the_same_run_gives_the_same_bytes_again_and_offline_and_its_id_knows_no_history(tmp_path: Path) -> None:
    folder = tmp_path / "h"
    plain = tmp_path / "plain.json"
    assert audited(tmp_path, small(), FIRST, "-o", str(plain)).exit_code == 0
    assert audited(tmp_path, small(), FIRST, "--history", str(folder)).exit_code == 0
    made: list[tuple[bytes, bytes]] = []
    for name in ("one", "two"):
        outputs = [tmp_path / f"{name}.json", tmp_path / f"{name}.html"]
        flags = [flag for output in outputs for flag in ("-o", str(output))]
        result = audited(tmp_path, small(), SECOND, "--history", str(folder), *flags)
        assert result.exit_code == 0
        assert "History    0 fail and 0 unknown, 0 and 0 at 2026-06-15T12:00:00Z; 1 earlier run" in result.stdout
        assert ("runs" in result.stdout) == (name == "one")
        made.append((outputs[0].read_bytes(), outputs[1].read_bytes()))
    assert made[0] == made[1]
    assert len(list((folder / "runs").iterdir())) == 2
    rendered = CliRunner().invoke(app, ["render", str(tmp_path / "one.json"), "-o", str(tmp_path / "again.html")])
    assert rendered.exit_code == 0
    assert (tmp_path / "again.html").read_bytes() == made[0][1]
    assert read_report(plain).run_id == read_history(folder).runs[0].run_id
    assert read_report(plain).trend is None


def test_runs_are_listed_and_written_as_json(tmp_path: Path) -> None:
    runs = [run_at(DAYS[0], 1), with_options(profile="hardened"), run_at(None, 3)]
    runs[1] = msgspec.structs.replace(runs[1], run_id=f"{2:064x}", as_of=DAYS[1])
    folder = kept_in(tmp_path / "h", *runs)
    result = asked(str(folder))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1].startswith("(unknown time)")
    assert lines[2].startswith("2026-06-01T12:00:00Z  Not compliant       1")
    assert lines[3].startswith("2026-06-02T12:00:00Z")
    assert lines[4] == "  not comparable with the run before: Another profile: baseline, now hardened."
    assert lines[-1] == "3 runs"
    told = json.loads(asked(str(folder), "-o", "-").stdout)
    assert [entry["as_of"] for entry in told] == [None, *DAYS[:2]]
    assert asked(str(folder), "-o", str(tmp_path / "all.json")).exit_code == 0
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8")) == told


def test_damage_is_told_the_rest_is_shown_and_the_code_is_2(tmp_path: Path) -> None:
    folder = kept_in(tmp_path / "h", run_at(DAYS[0], 1), run_at(DAYS[1], 2))
    (folder / "runs" / f"{2:064x}.json").write_text('{"format": 1', encoding="utf-8")
    result = asked(str(folder))
    assert result.exit_code == 2
    assert "1 run\n" in result.stdout
    assert f"Note: history: runs/{2:064x}.json is not JSON, or cut off" in result.stderr
    audit = audited(tmp_path, small(), FIRST, "--history", str(folder), "-o", str(tmp_path / "r.json"))
    assert audit.exit_code == 0
    assert "is not JSON, or cut off" in audit.stderr
    trend = read_report(tmp_path / "r.json").trend
    assert trend is not None
    assert len(trend.runs) == 2
    assert len(trend.notices) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none"], "none is no history"),
        (["h", "web"], "what is asked of web is not said"),
        (["h", "-o", "runs.csv"], "cannot tell the format of runs.csv"),
    ],
)
def test_what_is_asked_wrongly_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    kept_in(tmp_path / "h")
    result = asked(*arguments)
    assert isinstance(result.exception, UsageError)
    assert said in result.exception.message


def test_a_history_inside_the_inventory_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    flags = ["--inventory", str(tmp_path / "exports"), "--history", str(tmp_path / "exports" / "h")]
    result = CliRunner().invoke(app, ["audit", *flags])
    assert isinstance(result.exception, UsageError)
    assert "lies in the inventory" in result.exception.message
    assert not (tmp_path / "exports" / "h").exists()


# Jobs


def with_jobs(*jobs: tuple[str, str, str, str]) -> EstateBuilder:
    built = small()
    for name, operation, started, status in jobs:
        ended = {} if status == "InProgress" else {"endTime": started.replace("T0", "T1")}
        built.job("web", operation, started, status=status, backupManagementType="AzureIaasVM", **ended)
        built.resources[-1]["id"] = built.resources[-1]["id"].rpartition("/")[0] + f"/{name}"
    return built


BACKUP = ("b1", "Backup", "2026-06-14T01:00:00Z", "Completed")
RESTORE = ("r1", "Restore", "2026-06-14T02:00:00Z", "InProgress")
RESTORED = ("r1", "Restore", "2026-06-14T02:00:00Z", "Completed")
LATER = ("b2", "Backup", "2026-06-29T01:00:00Z", "Failed")


def test_jobs_that_azure_forgets_are_kept_with_who_saw_them_first_in_whatever_order_runs_come(tmp_path: Path) -> None:
    told = []
    steps = [(FIRST, with_jobs(BACKUP, RESTORE)), (SECOND, with_jobs(BACKUP, RESTORED)), (THIRD, with_jobs(LATER))]
    for name, order in (("one", steps), ("two", steps[::-1])):
        for as_of, built in order:
            assert audited(tmp_path, built, as_of, "--history", str(tmp_path / name)).exit_code in (0, 1)
        told.append(read_jobs(tmp_path / name))
    assert told[0] == told[1]
    runs = {entry.as_of: entry.run_id for entry in read_history(tmp_path / "one").runs}
    found = {job.id.rpartition("/")[2]: job for job in told[0].jobs}
    assert list(found) == ["b1", "r1", "b2"]
    restore = found["r1"]
    assert (restore.operation, restore.status, restore.vm) == ("Restore", "Completed", "web")
    assert (restore.first_seen, restore.first_run) == (FIRST, runs[FIRST])
    assert (restore.state_seen, restore.state_run) == (SECOND, runs[SECOND])
    assert (restore.started, restore.ended) == ("2026-06-14T02:00:00Z", "2026-06-14T12:00:00Z")
    assert (found["b2"].first_seen, found["b2"].status) == (THIRD, "Failed")


def test_kept_jobs_change_no_verdict(tmp_path: Path) -> None:
    failed = [(f"f{day}", "Backup", f"2026-06-{day:02}T01:00:00Z", "Failed") for day in range(8, 15)]
    about_jobs = ["--select", "job-success-ratio,last-backup-succeeded"]
    audited(tmp_path, with_jobs(*failed), FIRST, *about_jobs, "--history", str(tmp_path / "h"))
    assert len(read_jobs(tmp_path / "h").jobs) == 7
    found = []
    for name, flags in (("with", ["--history", str(tmp_path / "h")]), ("without", [])):
        path = tmp_path / f"{name}.json"
        audited(tmp_path, with_jobs(BACKUP), SECOND, *about_jobs, "-o", str(path), *flags)
        found.append(read_report(path))
    assert found[0].trend is not None
    assert [entry.outcomes for entry in found] == [{"job-success-ratio": "p", "last-backup-succeeded": "p"}] * 2
    assert msgspec.structs.replace(found[0], trend=None, content_sha256=found[1].content_sha256) == found[1]


def test_jobs_are_listed_of_all_or_of_a_vm_or_vault_and_written_as_json(tmp_path: Path) -> None:
    folder = tmp_path / "h"
    audited(tmp_path, with_jobs(BACKUP, RESTORED), FIRST, "--history", str(folder))
    (run_id,) = [entry.run_id for entry in read_history(folder).runs]
    result = asked(str(folder), "--jobs", "WEB")
    assert result.exit_code == 0
    first, second, count = result.stdout.splitlines()
    assert "Backup   Completed" in first
    assert f"Restore  Completed              web  vault  first seen {FIRST} by run {run_id[:12]}" in second
    assert count == "2 jobs"
    misspelt = asked(str(folder), "--jobs", "we")  # nobody shall think that there were none
    assert (misspelt.exit_code, misspelt.stdout) == (2, "") or isinstance(misspelt.exception, UsageError)
    assert asked(str(folder), "--jobs", "vault").stdout.endswith("2 jobs\n")
    assert asked(str(folder), "--jobs").stdout.endswith("2 jobs\n")
    told = json.loads(asked(str(folder), "--jobs", "-o", "-").stdout)
    assert [entry["operation"] for entry in told] == ["Backup", "Restore"]
    assert {entry["first_run"] for entry in told} == {run_id}


def test_jobs_of_other_workloads_are_not_kept(tmp_path: Path) -> None:
    built = with_jobs(BACKUP)
    built.job("sql", "Backup", "2026-06-14T03:00:00Z", backupManagementType="AzureWorkload")
    audited(tmp_path, built, FIRST, "--history", str(tmp_path / "h"))
    assert [job.id.rpartition("/")[2] for job in read_jobs(tmp_path / "h").jobs] == ["b1"]


def test_a_damaged_file_of_jobs_is_told_and_loses_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "h"
    audited(tmp_path, with_jobs(BACKUP), FIRST, "--history", str(folder))
    audited(tmp_path, with_jobs(LATER), THIRD, "--history", str(folder))
    files = {path.name[:64]: path for path in (folder / "jobs").iterdir()}
    first = files[read_history(folder).runs[0].run_id]
    first.write_bytes(first.read_bytes()[:-20])
    (folder / "jobs" / "notes.txt").write_text("x")
    result = asked(str(folder), "--jobs")
    assert result.exit_code == 2
    assert result.stdout.endswith("1 job\n")
    assert "was edited or damaged: it is not what its name says, so jobs that only it holds are missing." in (
        result.stderr
    )
    assert "jobs/notes.txt is none of the history's own files." in result.stderr
    again = audited(tmp_path, with_jobs(BACKUP), FIRST, "--history", str(folder))
    assert "was edited or damaged" in again.stderr
    assert len(read_jobs(folder).jobs) == 2
