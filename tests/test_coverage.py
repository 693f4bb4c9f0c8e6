"""What a report says about how far it was read: subscriptions, and what is known to be missing from them."""

import json
from pathlib import Path
from typing import Any

import pytest
from building import (
    NOW,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    EstateBuilder,
    audit_files,
    estate,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.assessment.assess import assess
from auditor.assessment.model import Coverage, SubscriptionCoverage
from auditor.assessment.question import Question
from auditor.cli.question import Flags, settle
from auditor.inventory.exports import read_exports
from auditor.inventory.model import EVERY_TABLE, Gap, Inventory

JUDGED = ["virtual_machines", "protected_items", "backup_policies", "vaults"]
THIRD = "abcdef00-0000-0000-0000-00000000ABCD"


def cut_short(subscription: str, kind: str = "Microsoft.Compute/virtualMachines") -> dict[str, Any]:
    """Return an answer of which a part is missing, for one subscription."""
    link = f"https://management.azure.com/subscriptions/{subscription}/providers/{kind}?$skiptoken=x"
    return {"value": [], "nextLink": link}


def listed(builder: EstateBuilder, subscription: str, name: str | None) -> EstateBuilder:
    return builder.add(
        {"id": f"/subscriptions/{subscription}", "type": "Microsoft.Resources/subscriptions"}
        | ({"displayName": name} if name is not None else {})
    )


def of(builder: EstateBuilder, *answers: dict[str, Any], **flags: Any) -> dict[str, SubscriptionCoverage]:
    files = {"estate.json": json.dumps({"value": builder.resources})}
    files |= {f"more{number}.json": json.dumps(answer) for number, answer in enumerate(answers)}
    found = audit_files(files, **flags).report.coverage.subscriptions
    assert [entry.id.lower() for entry in found] == sorted({entry.id.lower() for entry in found})
    return {entry.id: entry for entry in found}


def test_a_subscription_has_its_name_and_its_vms() -> None:
    built = estate().vm("a").vm("b").vm("c", id=vm_id("c", subscription=OTHER_SUBSCRIPTION)).whole()
    found = of(listed(built, OTHER_SUBSCRIPTION, "elsewhere"))
    assert found == {
        SUBSCRIPTION: SubscriptionCoverage(id=SUBSCRIPTION, name="sub", state="read", vms=2),
        OTHER_SUBSCRIPTION: SubscriptionCoverage(id=OTHER_SUBSCRIPTION, name="elsewhere", state="read", vms=1),
    }


@pytest.mark.parametrize("kind", ["vm", "vault", "policy", "item", "listed"])
def test_a_subscription_is_there_by_whatever_is_of_it(kind: str) -> None:
    vault = vault_id("v", subscription=OTHER_SUBSCRIPTION)
    built = estate().whole()
    match kind:
        case "vm":
            built.vm("web", id=vm_id("web", subscription=OTHER_SUBSCRIPTION))
        case "vault":
            built.vault("v", id=vault)
        case "policy":
            built.policy("p", id=policy_id("p", vault))
        case "item":
            built.item("web", id=item_id("web", vault=vault))
        case _:
            listed(built, OTHER_SUBSCRIPTION, None)
    assert of(built)[OTHER_SUBSCRIPTION] == SubscriptionCoverage(
        id=OTHER_SUBSCRIPTION, name="", state="read", vms=int(kind == "vm")
    )


def test_an_id_is_shown_as_azure_spelled_it() -> None:
    assert list(of(estate().vm("web", id=vm_id("web", subscription=THIRD)))) == [THIRD]
    upper = listed(estate().vm("web", id=vm_id("web", subscription=THIRD.lower())), THIRD.upper(), "third")
    assert of(upper) == {THIRD.upper(): SubscriptionCoverage(id=THIRD.upper(), name="third", state="read", vms=1)}


def test_a_subscription_that_lacks_something_is_partial_and_one_that_is_only_lacking_is_unread() -> None:
    built = estate().vm("web").whole()
    found = of(built, cut_short(SUBSCRIPTION), cut_short(OTHER_SUBSCRIPTION))
    assert {key: entry.state for key, entry in found.items()} == {SUBSCRIPTION: "partial", OTHER_SUBSCRIPTION: "unread"}
    # A list of subscriptions names it; that is nothing of what it holds.
    found = of(listed(built, OTHER_SUBSCRIPTION, "empty"), cut_short(OTHER_SUBSCRIPTION))
    assert found[OTHER_SUBSCRIPTION] == SubscriptionCoverage(id=OTHER_SUBSCRIPTION, name="empty", state="unread", vms=0)


def test_a_gap_without_a_subscription_changes_no_state() -> None:
    found = of(estate().vm("web").whole(), {"value": [], "nextLink": "https://management.azure.com/providers/x?y=z"})
    assert [entry.state for entry in found.values()] == ["read"]


def states(lacking: list[str], *, held: bool, named: bool) -> list[str]:
    """Return the state of the other subscription, of which these tables lack something."""
    built = estate().vm("web").whole()
    if held:
        built.vm("far", id=vm_id("far", subscription=OTHER_SUBSCRIPTION))
    if named:
        listed(built, OTHER_SUBSCRIPTION, "other")
    gaps = tuple(Gap(table, OTHER_SUBSCRIPTION, "refused", f"{table} refused", "") for table in lacking)
    return [entry.state for entry in assessed(built, gaps).subscriptions if entry.id == OTHER_SUBSCRIPTION]


def assessed(built: EstateBuilder, gaps: tuple[Gap, ...] = (), *, brief: bool = False) -> Coverage:
    Path("export.json").write_text(json.dumps({"value": built.resources}), encoding="utf-8")
    work = Path("work")
    work.mkdir(exist_ok=True)
    settled = settle(Flags(select=["vm-protected"], as_of=NOW))
    read = read_exports([Path("export.json")], work)
    inventory = Inventory(
        read.spool, read.longest, read.rows, (*read.gaps, *gaps), read.problems, read.sources, read.ignored, ()
    )
    question = Question(settled.rules, settled.exclusions, settled.intents, settled.config)
    assessment = assess(inventory, work, question, brief=brief)
    assessment.estate.connection.close()
    return assessment.report.coverage


@settings(max_examples=examples(10))
@given(
    lacking=st.lists(st.sampled_from([*JUDGED, EVERY_TABLE, "backup_jobs"]), unique=True),
    held=st.booleans(),
    named=st.booleans(),
)
def test_a_subscription_is_unread_only_where_nothing_of_it_was_read(
    *, lacking: list[str], held: bool, named: bool
) -> None:
    whole = EVERY_TABLE in lacking or set(JUDGED) <= set(lacking)
    if not lacking:
        wanted = ["read"] if held or named else []
    else:
        wanted = ["unread" if not held and (whole or not named) else "partial"]
    assert states(lacking, held=held, named=named) == wanted


def test_a_brief_report_says_it_too() -> None:
    built = estate().vm("web").vm("far", id=vm_id("far", subscription=OTHER_SUBSCRIPTION)).whole()
    assert len(assessed(built).subscriptions) == 2
    assert assessed(built, brief=True).subscriptions == assessed(built).subscriptions


# What the files themselves give away


def test_items_of_a_vault_that_its_policies_count_and_the_export_lacks_are_a_gap() -> None:
    built = estate().vault().policy(protectedItemsCount=2).vm("web").item("web").vm("db")
    audited = built.audit(primary_endpoint="azure")
    assert audited.outcome("vm-protected", vm_id("web")) == "pass"
    assert audited.outcome("vm-protected", vm_id("db")) == "unknown"
    causes = [gap.cause for gap in audited.report.gaps if gap.table == "protected_items"]
    assert causes == [f"the policies of {vault_id()} protect 2 items, and 1 of that vault is in the inventory"]
    declared = built.audit(primary_endpoint="azure", complete=["protected_items"])
    assert declared.outcome("vm-protected", vm_id("db")) == "fail"


def test_a_vault_that_counts_no_more_than_was_exported_is_no_gap() -> None:
    built = estate().vault().policy(protectedItemsCount=0).policy("new", protectedItemsCount=1)
    built.vm("web").item("web").vm("db")  # it went over to the new policy between two exports
    assert built.audit(primary_endpoint="azure").outcome("vm-protected", vm_id("db")) == "fail"


@pytest.mark.parametrize(
    ("as_of", "words"),
    [("2026-06-01T00:00:00Z", "is --as-of too early?"), ("2026-09-01T00:00:00Z", "is --as-of too late"), (NOW, "")],
)
def test_a_time_that_is_not_the_inventorys_is_asked_about(as_of: str, words: str) -> None:
    built = estate().vault().policy().vm("web").item("web")
    said = [notice for notice in built.audit(as_of=as_of).report.coverage.notices if "the newest thing in it" in notice]
    assert [notice for notice in said if words in notice] == said
    assert bool(said) == bool(words)
