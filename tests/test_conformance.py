"""Recorded answers of Azure and Microsoft's own examples, where there are any: they are no part of the project.

The folder is named by AUDITOR_CONFORMANCE; without it, it is ``shared/conformance`` beside the repository.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from building import Audited, EstateBuilder, Json, audit_files, estate

from auditor.inventory.exports import read_exports
from auditor.inventory.model import Inventory
from auditor.ruleset.load import bundled_files, load_rules

FOLDER = Path(os.environ.get("AUDITOR_CONFORMANCE") or Path(__file__).resolve().parents[2] / "shared" / "conformance")
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason="no recorded answers here: name their folder with AUDITOR_CONFORMANCE, or put them into "
    "shared/conformance beside the repository",
)
RULES: dict[str, set[str]] = {"vm": set(), "item": set(), "policy": set(), "vault": set()}
for bundled_rule in load_rules(bundled_files()):
    if "baseline" in bundled_rule.profiles:
        RULES[bundled_rule.resource].add(bundled_rule.id)
AFTERWARDS = "2021-07-01T00:00:00Z"


def names(folder: str, pattern: str = "*.json") -> list[str]:
    return sorted(path.name for path in (FOLDER / folder).glob(pattern))


def load(folder: str, name: str) -> Any:
    return json.loads((FOLDER / folder / name).read_text(encoding="utf-8"))


def read(tmp_path: Path, content: object) -> Inventory:
    """Read one value as the only file of a folder."""
    export, work = tmp_path / "export", tmp_path / "work"
    for folder in (export, work):
        folder.mkdir(exist_ok=True)
    (export / "a.json").write_text(json.dumps(content), encoding="utf-8")
    return read_exports([export], work)


def of_type(resources: list[Json], suffix: str) -> list[Json]:
    return [entry for entry in resources if str(entry["type"]).lower().endswith(f"/{suffix.lower()}")]


def keys(resources: list[Json]) -> set[str]:
    return {str(entry["id"]).lower() for entry in resources}


@cache
def estate_of(name: str) -> tuple[list[Json], Audited]:
    resources = load("estates", name)["value"]
    text = (FOLDER / "estates" / name).read_text(encoding="utf-8")
    return resources, audit_files({"estate.json": text}, as_of=AFTERWARDS)


@pytest.mark.parametrize("name", names("estates"))
def test_every_recorded_resource_gets_exactly_one_verdict_of_each_rule(name: str) -> None:
    resources, found = estate_of(name)
    report = found.report
    policies = [
        entry
        for entry in of_type(resources, "backupPolicies")
        if entry["properties"]["backupManagementType"] == "AzureIaasVM"
    ]
    expected = {
        "vm": keys(of_type(resources, "virtualMachines")),
        "vault": keys(of_type(resources, "vaults")),
        "policy": keys(policies),
        "item": keys(of_type(resources, "protectedItems")),
    }
    for kind, ids in expected.items():
        judged = [resource.id.lower() for resource in report.resources if resource.kind == kind]
        assert sorted(judged) == sorted(ids)
        assert {rule.id for rule in report.rules if rule.resource == kind} == RULES[kind]
        for rule in RULES[kind]:
            assert len(report.outcomes[rule]) == len(judged)
            assert set(report.outcomes[rule]) <= set("pfun")


@pytest.mark.parametrize("name", names("estates"))
def test_no_recorded_value_is_unusable(name: str) -> None:
    _, found = estate_of(name)
    assert not any("could not be used" in notice for notice in found.report.coverage.notices)
    assert {gap.kind for gap in found.report.gaps} <= {"not-exported"}


@pytest.mark.parametrize("name", names("estates"))
def test_a_recorded_vm_passes_exactly_when_its_own_item_is_protected_now(name: str) -> None:
    resources, found = estate_of(name)
    protected = {
        entry["properties"]["sourceResourceId"].lower()
        for entry in of_type(resources, "protectedItems")
        if entry["properties"]["protectionState"] == "Protected"
        and entry["properties"]["backupManagementType"] == "AzureIaasVM"
        and not entry["properties"].get("isScheduledForDeferredDelete")
    }
    for machine in of_type(resources, "virtualMachines"):
        passes = found.outcome("vm-protected", machine["id"]) == "pass"
        assert passes == (machine["id"].lower() in protected)


def test_some_recorded_vm_passes_and_some_fails() -> None:
    letters = "".join(estate_of(name)[1].report.outcomes["vm-protected"] for name in names("estates"))
    assert {"p", "f"} <= set(letters)


def test_a_stopped_item_never_protects_a_vm() -> None:
    stopped = [
        entry
        for name in names("estates")
        for entry in of_type(estate_of(name)[0], "protectedItems")
        if entry["properties"]["protectionState"] == "ProtectionStopped"
    ]
    vms = {entry["properties"]["sourceResourceId"].lower() for entry in stopped}
    built = EstateBuilder(list(stopped))
    for number, source in enumerate(sorted(vms)):
        built.vm(f"vm-{number}", id=source)
    outcomes = built.whole().audit(as_of=AFTERWARDS).report.outcomes["vm-protected"]
    assert outcomes == "f" * len(vms)
    assert vms


@pytest.mark.parametrize("name", names("estates"))
def test_a_recorded_vault_that_does_not_say_its_redundancy_is_unknown(name: str) -> None:
    resources, found = estate_of(name)
    for vault in of_type(resources, "vaults"):
        if not vault["properties"].get("redundancySettings"):
            outcome = found.outcome("vault-redundancy-matches-intent", vault["id"])
            assert outcome in ("unknown", "not-applicable")


def objects(name: str) -> list[Json]:
    return [entry["object"] for entry in load("recordings", name)["items"]] if FOLDER.is_dir() else []


@pytest.mark.parametrize("number", range(len(objects("backupStorageConfig.json"))))
def test_a_recorded_storage_config_gives_its_vault_the_redundancy(number: int) -> None:
    config = objects("backupStorageConfig.json")[number]
    vault = config["id"].split("/backupstorageconfig/")[0]
    found = estate().vault("v", None, id=vault).add(config).whole().audit(primary_endpoint="azure")
    geo = config["properties"]["storageModelType"] == "GeoRedundant"
    assert found.outcome("vault-redundancy-matches-intent", "v") == ("pass" if geo else "fail")


@pytest.mark.parametrize("number", range(len(objects("backupPolicies.json"))))
def test_a_recorded_policy_of_vms_is_judged_and_others_are_not(number: int, tmp_path: Path) -> None:
    policy = objects("backupPolicies.json")[number]
    inventory = read(tmp_path, policy)
    assert (dict(inventory.rows), inventory.problems) == ({"backup_policies": 1}, ())


def test_recorded_policies_run_once_a_day_or_are_weekly() -> None:
    policies = objects("backupPolicies.json")
    built = estate()
    for number, policy in enumerate(policies):
        built.add({**policy, "id": f"{policy['id']}-{number}"})
    found = built.whole().audit(parameters=["policy-runs-per-day.include_unused=true"])
    for number, policy in enumerate(policies):
        key = f"{policy['id']}-{number}"
        if policy["properties"]["backupManagementType"] != "AzureIaasVM":
            assert key not in {resource.id for resource in found.report.resources}
            continue
        weekly = policy["properties"]["schedulePolicy"]["scheduleRunFrequency"] == "Weekly"
        assert found.outcome("policy-runs-per-day", key) == ("fail" if weekly else "pass")


@pytest.mark.parametrize("name", [name for name in names("recordings") if name != "errors.json"])
def test_recorded_objects_are_read_or_ignored_but_never_damaged(name: str, tmp_path: Path) -> None:
    found = objects(name)
    resources = [entry for entry in found if "type" in entry]
    inventory = read(tmp_path, {"value": resources})
    assert sum(inventory.rows.values()) + sum(inventory.ignored.values()) == len(resources)
    assert inventory.problems == ()


def test_recorded_refusals_are_gaps(tmp_path: Path) -> None:
    bodies = [entry["response_body"] for entry in load("recordings", "errors.json")["items"]]
    assert bodies
    for body in bodies:
        (gap,) = [gap for gap in read(tmp_path, body).gaps if gap.kind != "not-exported"]
        assert (gap.kind, gap.table) == ("refused", "*")
        assert body["error"]["code"] in gap.cause


def bodies_of(name: str) -> list[Any]:
    answers = load("rest-examples", name).get("responses", {}).values()
    return [answer["body"] for answer in answers if isinstance(answer, dict) and "body" in answer]


@pytest.mark.parametrize("name", names("rest-examples"))
def test_official_examples_are_read_or_passed_over(name: str, tmp_path: Path) -> None:
    for body in bodies_of(name):
        inventory = read(tmp_path, body)
        assert inventory.sources or inventory.passed_over
        assert inventory.problems == ()


@pytest.mark.parametrize(
    ("name", "outcome"),
    [("IaaS_v2_hourly.json", "pass"), ("IaaS_v2_daily.json", "pass"), ("ProtectionPolicies_Get.json", "pass")],
)
def test_the_official_policies_run_as_often_as_they_say(name: str, outcome: str) -> None:
    (policy, *_) = bodies_of(name)
    found = estate().add(policy).whole().audit(parameters=["policy-runs-per-day.include_unused=true"])
    assert found.outcome("policy-runs-per-day", policy["id"]) == outcome


@pytest.mark.parametrize("name", names("resource-graph", "*.yaml"))
def test_recorded_graph_answers_say_whether_they_are_whole(name: str, tmp_path: Path) -> None:
    recording = yaml.safe_load((FOLDER / "resource-graph" / name).read_text(encoding="utf-8"))
    for interaction in recording["interactions"]:
        try:
            body = json.loads(interaction["response"]["body"]["string"])
        except ValueError:
            continue
        if not isinstance(body, dict) or "data" not in body:
            continue
        kinds = {gap.kind for gap in read(tmp_path, body).gaps}
        assert ("cut-short" in kinds) == ("$skipToken" in body or body["count"] < body["totalRecords"])
