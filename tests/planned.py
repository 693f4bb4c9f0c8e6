"""Makes plans of small estates and of the example, so that tests of what they send read as sentences."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from auditor.assessment.assess import Assessment, assess
from auditor.assessment.question import question_of
from auditor.cli.question import Flags, settle
from auditor.inventory.exports import read_exports
from auditor.inventory.facts import Change
from auditor.inventory.model import Inventory
from auditor.remediation.make import Asked, Check, make_plan
from auditor.remediation.model import Plan, PlanOptions
from auditor.remediation.projected import Failing, failing_of
from auditor.ruleset.settings import Settings

NOW = "2026-06-15T12:00:00Z"
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EVERYTHING: dict[str, Any] = {
    "trigger_backup": True,
    "allow_reduce": True,
    "allow_one_way": ["always-on-soft-delete", "cross-region-restore", "enhanced-policy", "locked-immutability"],
}


def settings_of(config: str | Path, as_of: str = NOW, primary_endpoint: str | None = "azure", **flags: Any) -> Settings:
    """Settle what is asked; ``config`` is the text of auditor.yaml, or where it is."""
    with tempfile.TemporaryDirectory() as name:
        path = config if isinstance(config, Path) else Path(name) / "auditor.yaml"
        if isinstance(config, str):
            path.write_text(config, encoding="utf-8")
        return settle(Flags(config=path, as_of=as_of, primary_endpoint=primary_endpoint, **flags))


def plan_of(inventory: Inventory, asked: Settings, **options: Any) -> Plan:
    return plan_and_failing(inventory, asked, **options)[0]


def plan_and_failing(
    inventory: Inventory, asked: Settings, check: Check | None = None, **options: Any
) -> tuple[Plan, Failing]:
    """Return a plan, and what fails before it."""
    question = question_of(asked)
    found: list[Failing] = []

    def judge(room: Path, change: Change | None) -> Assessment:
        assessment = assess(inventory, room, question, brief=True, change=change)
        if change is None:
            found.append(failing_of(assessment))
        return assessment

    with tempfile.TemporaryDirectory() as name:
        plan = make_plan(Asked(inventory, question, PlanOptions(**options), judge, check), Path(name))
    return plan, found[0]


def failing(inventory: Inventory, asked: Settings) -> Failing:
    """Return what fails now."""
    with tempfile.TemporaryDirectory() as name:
        assessment = assess(inventory, Path(name), question_of(asked), brief=True)
        try:
            return failing_of(assessment)
        finally:
            assessment.estate.connection.close()


def plan_of_resources(resources: Iterable[Mapping[str, Any]], config: str, **options: Any) -> Plan:
    """Plan for resources as Resource Manager has them."""
    names = ("select", "ignore", "parameters", "primary_endpoint", "as_of")
    flags = {name: options.pop(name) for name in names if name in options}
    asked = settings_of(config, complete=["backup_jobs"], **flags)
    with tempfile.TemporaryDirectory() as name:
        export, work = Path(name) / "export", Path(name) / "work"
        export.mkdir()
        work.mkdir()
        (export / "all.json").write_text(json.dumps({"value": list(resources)}), encoding="utf-8")
        return plan_of(read_exports([export], work, asked.complete), asked, **options)


def plan_of_example(**options: Any) -> Plan:
    """Plan for the example estate."""
    asked = settings_of(EXAMPLES / "auditor.yaml", "2026-11-02T06:00:00Z")
    with tempfile.TemporaryDirectory() as name:
        return plan_of(read_exports([EXAMPLES / "estate"], Path(name), asked.complete), asked, **options)
