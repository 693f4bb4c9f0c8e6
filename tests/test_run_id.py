"""The hash of what went in: the same for the same question and facts, another one for anything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from building import NOW, EstateBuilder, audit_files, estate, vault_id
from test_exemptions import LATER, entry
from test_snapshot import Run, run_fixture, snapshot, write

from auditor.assessment.assess import assess
from auditor.assessment.model import Report
from auditor.assessment.question import Question
from auditor.cli.question import Flags, settle
from auditor.inventory.model import Inventory
from auditor.inventory.read import _together, read_inventory
from auditor.inventory.snapshot import MANIFEST

run = run_fixture

OWN = (
    "id: vm-named\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nmessage: m\n"
    "require: {field: vm.name, notEquals: x}\n"
)


def facts(*vms: str) -> str:
    builder = estate().vault().policy().vm("web").item("web")
    for name in vms:
        builder.vm(name)
    return json.dumps({"value": builder.whole().resources})


def audited(files: dict[str, str] | None = None, **flags: Any) -> Report:
    return audit_files(files or {"estate.json": facts()}, **flags).report


def rule_in(folder: str, text: str = OWN, name: str = "vm-named.yaml") -> list[Path]:
    path = Path(folder).resolve() / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [path]


def without_run_id(report: Report) -> Report:
    return msgspec.structs.replace(report, run_id="", content_sha256="0" * 64)


# Each is one step away from the plain audit, and from every other.
STEPS: dict[str, Callable[[], Report]] = {
    "nothing": audited,
    "a fact": lambda: audited({"estate.json": facts("db")}),
    "layout": lambda: audited({"estate.json": facts() + " "}),
    "name of a file": lambda: audited({"other.json": facts()}),
    "one more file": lambda: audited({"estate.json": facts(), "more.json": facts()}),
    "a file without answers": lambda: audited({"estate.json": facts(), "more.json": "{}"}),
    "a file of another kind": lambda: audited({"estate.json": facts(), "read.me": ""}),
    "a file that is cut off": lambda: audited({"estate.json": facts(), "more.json": "["}),
    "time": lambda: audited(as_of="2026-06-15T12:00:00.000001Z"),
    "no time": lambda: audited(as_of=None),
    "profile": lambda: audited(profile="hardened"),
    "selection": lambda: audited(select=["vm-protected"]),
    "another selection": lambda: audited(select=["vm-agent-installed"]),
    "what is ignored": lambda: audited(ignore=["vm-protected"]),
    "a parameter": lambda: audited(parameters=["vm-protected.grace_hours=25"]),
    "another value": lambda: audited(parameters=["vm-protected.grace_hours=26"]),
    "a parameter by configuration": lambda: audited(config="parameters: {vm-protected: {grace_hours: 25}}\n"),
    "a severity": lambda: audited(config="severities: {vm-protected: low}\n"),
    "a comment in the configuration": lambda: audited(config="# severities: {vm-protected: low}\n"),
    "an exclusion": lambda: audited(config="scope: {exclude: [{reason: R, field: vm.name, equals: x}]}\n"),
    "endpoint": lambda: audited(primary_endpoint="other"),
    "complete": lambda: audited(complete=["scale_sets"]),
    "fail_on": lambda: audited(fail_on="low"),
    "strict": lambda: audited(strict=True),
    "exemptions": lambda: audited(exemptions=json.dumps([entry()])),
    "other exemptions": lambda: audited(exemptions=json.dumps([entry(expires=LATER, owner="somebody else")])),
    "own rule": lambda: audited(rules=rule_in("own")),
    "own rule further down in its file": lambda: audited(rules=rule_in("lower", f"# lower\n{OWN}")),
    "own rule with another content": lambda: audited(rules=rule_in("changed", OWN.replace("x}", "y}"))),
    "baseline": lambda: audited(baseline=audited()),
    "another baseline": lambda: audited(baseline=audited(strict=True)),
}


def test_every_step_gives_another_run_id() -> None:
    found = {name: make().run_id for name, make in STEPS.items()}
    by_id: dict[str, list[str]] = {}
    for name, run_id in found.items():
        by_id.setdefault(run_id, []).append(name)
    assert [names for names in by_id.values() if len(names) > 1] == []
    assert all(len(run_id) == 64 for run_id in by_id)


@pytest.mark.parametrize("step", ["nothing", "own rule", "exemptions", "baseline"])
def test_the_same_gives_the_same(step: str) -> None:
    assert STEPS[step]() == STEPS[step]()


def test_where_files_lie_makes_no_difference() -> None:
    assert audited(rules=rule_in("here")) == audited(rules=rule_in("there"))


def test_another_version_gives_another_run_id(monkeypatch: pytest.MonkeyPatch) -> None:
    before = audited().run_id
    monkeypatch.setattr("auditor.assessment.run_id.__version__", "99.0")
    assert audited().run_id != before


def test_a_flag_that_says_what_the_configuration_says_is_another_input() -> None:
    said = audited(config="intents: {default: azure}\n")
    silent = audited(config="intents: {default: azure}\n", primary_endpoint=None)
    assert said.options == silent.options
    assert said.run_id != silent.run_id


# Several inventories


def report_of(paths: list[str], *, brief: bool = False) -> Report:
    work = Path("work").resolve()
    work.mkdir(exist_ok=True)
    settled = settle(Flags(primary_endpoint="azure"))
    inventory = read_inventory([Path(path) for path in paths], work)
    question = Question(settled.rules, settled.exclusions, settled.intents, settled.config)
    assessment = assess(inventory, work, question, brief=brief)
    assessment.estate.connection.close()
    return assessment.report


def two_snapshots(run: Run, folder: Path) -> None:
    snapshot(run, folder, estate().vm("web").vm("Ä"), "west")
    east = estate().vault("v").policy("p", id=f"{vault_id('v')}/backupPolicies/p").item("web", state="Nobody")
    snapshot(run, folder, east, "east", "2026-06-15T13:00:00Z")


def test_the_order_of_snapshots_makes_no_difference(run: Run, tmp_path: Path) -> None:
    two_snapshots(run, tmp_path)
    assert report_of(["west", "east"]) == report_of(["east", "west"]) == report_of(["east", "west", "east"])
    assert report_of(["west"]).run_id != report_of(["east"]).run_id != report_of(["east", "west"]).run_id


def test_the_order_of_exports_and_folders_makes_no_difference(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.json", estate().vm("web", tags={"a": "1"}).vault())
    write(tmp_path / "two" / "b.json", estate().vm("web", tags={"a": "2"}).item("web"))
    snapshot(run, tmp_path, estate().vm("web").vm("db"), "snap")
    wanted = report_of(["one", "two", "snap"])
    for order in (["two", "one", "snap"], ["snap", "two", "one"], ["one", "snap", "two"]):
        assert report_of(order) == wanted


def test_the_order_of_paths_does_not_order_what_is_said_of_them() -> None:
    parts = [Inventory({}, 0, {}, (), (), (), {}, (), notices=(said,)) for said in ("b", "a")]
    assert _together(parts, frozenset()) == _together(parts[::-1], frozenset())


def test_a_snapshot_may_be_called_and_lie_otherwise(run: Run, tmp_path: Path) -> None:
    before = report_of([str(snapshot(run, tmp_path, estate().vm("web"), "west"))])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "west").rename(tmp_path / "elsewhere" / "other")
    assert report_of(["elsewhere/other"]) == before


def test_what_a_snapshot_holds_counts_and_not_only_what_it_was_made_of(run: Run, tmp_path: Path) -> None:
    def sources(folder: str) -> object:
        return json.loads((tmp_path / folder / MANIFEST).read_text(encoding="utf-8"))["sources"]

    snapshot(run, tmp_path, estate().vm("web"), "west")
    before = report_of(["west"])
    # Another time of the same export: the sources are the same, the manifest is not.
    assert run("collect", "--inventory", "west-export.json", "-o", "late", "--as-of", "2026-06-16T12:00:00Z")[0] == 0
    assert (
        run("collect", "--inventory", "west-export.json", "-o", "whole", "--as-of", NOW, "--complete", "vaults")[0] == 0
    )
    assert sources("west") == sources("late") == sources("whole")
    assert len({before.run_id, report_of(["late"]).run_id, report_of(["whole"]).run_id}) == 3
    # Somebody changed a table and the hash of it.
    manifest = json.loads((tmp_path / "west" / MANIFEST).read_text(encoding="utf-8"))
    snapshot(run, tmp_path, EstateBuilder().vm("other"), "strange")
    other = json.loads((tmp_path / "strange" / MANIFEST).read_text(encoding="utf-8"))
    (tmp_path / "strange" / "virtual_machines.parquet").rename(tmp_path / "west" / "virtual_machines.parquet")
    manifest["tables"]["virtual_machines"] = other["tables"]["virtual_machines"]
    (tmp_path / "west" / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    after = report_of(["west"])
    assert after.inventory.sha256 == before.inventory.sha256
    assert [resource.name for resource in after.resources if resource.kind == "vm"] == ["other"]
    assert after.run_id != before.run_id


def test_a_brief_report_has_the_run_id_of_the_whole_one(run: Run, tmp_path: Path) -> None:
    snapshot(run, tmp_path, estate().vm("web"), "west")
    assert report_of(["west"], brief=True).run_id == report_of(["west"]).run_id
