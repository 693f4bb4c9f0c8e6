"""The fields that a rule may name: ``vm.agent`` is the column ``agent`` of the view ``vm``.

Facts become fields as they are declared (inventory.tables); what is derived from them is declared here. The SQL of a
field is its name, so a rule compiles without any further mapping.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from auditor.inventory.tables import TABLES, Absence, Column

Subject: TypeAlias = Literal["vm", "item", "policy", "vault"]
Relation: TypeAlias = Literal["vm", "item", "policy", "vault", "resource_group", "subscription", "scale_set"]
FieldType: TypeAlias = Literal["text", "number", "boolean", "time", "id", "bounded", "relation"]

SUBJECTS: tuple[Subject, ...] = ("vm", "item", "policy", "vault")
# What a rule sees beside its own subject, in the order in which a person would ask.
SEES: dict[Subject, tuple[Relation, ...]] = {
    "vm": ("vm", "item", "policy", "vault", "resource_group", "subscription", "scale_set"),
    "item": ("item", "vm", "policy", "vault"),
    "policy": ("policy", "vault"),
    "vault": ("vault",),
}
FROM: dict[Subject, str] = {
    "vm": (
        "vm JOIN vm_item AS item ON item.of_vm = vm.n LEFT JOIN policy ON policy.n = item.policy_n"
        " LEFT JOIN vault ON vault.n = item.vault_n LEFT JOIN resource_group ON resource_group.n = vm.group_n"
        " LEFT JOIN subscription ON subscription.n = vm.subscription_n"
        " LEFT JOIN scale_set ON scale_set.n = vm.scale_set_id_n"
    ),
    "item": (
        "item LEFT JOIN vm ON vm.n = item.vm_n LEFT JOIN policy ON policy.n = item.policy_n"
        " LEFT JOIN vault ON vault.n = item.vault_n"
    ),
    "policy": "policy LEFT JOIN vault ON vault.n = policy.vault_n",
    "vault": "vault",
}


def from_sql(subject: Subject, expression: str) -> str:
    """Return ``FROM`` without the relations that an expression does not mention: each join costs what a rule does.

    A relation is joined to the subject or to its item, and never changes how many rows there are.
    """
    return _needed(FROM[subject], expression)


def told_sql(subject: Subject, expression: str) -> str:
    """Return ``TOLD`` without the relations that an expression does not mention."""
    return _needed(TOLD[subject], expression)


def _needed(joined: str, expression: str) -> str:
    first, *joins = joined.split(" LEFT JOIN ")
    needed = [join for join in joins if re.search(rf"\b{join.partition(' ')[0]}\.", expression)]
    return " LEFT JOIN ".join([first, *needed])


# The same with the columns that say it in words: what evidence and messages need.
TOLD: dict[Subject, str] = {
    **FROM,
    "vm": FROM["vm"].replace("vm_item AS item", "vm_item_told AS item"),
    "item": "item_told AS item" + FROM["item"].removeprefix("item"),
}
TABLE_OF: dict[str, str] = {table.relation: table.name for table in TABLES if table.relation}
KIND_NAMES: dict[Subject, tuple[str, str]] = {
    "vm": ("VM", "VMs"),
    "item": ("backup item", "backup items"),
    "policy": ("backup policy", "backup policies"),
    "vault": ("vault", "vaults"),
}
ITEM_STATES = (
    "protected",
    "initial-backup-pending",
    "configuring",
    "stopped",
    "suspended",
    "paused",
    "error",
    "soft-deleted",
    "none",
)


@dataclass(frozen=True, slots=True)
class Field:
    """Something a rule can ask about.

    Attributes:
        name: as rules write it.
        type: ``bounded`` is a number known within two columns, ``NAME_min`` and ``NAME_max``; ``relation`` is whether
            a related resource exists.
        doc: what it says.
        words: its whole vocabulary, when it is closed.
        absent: what the absence of the value means; ``none`` makes ``exists`` meaningful.
        if_null: why it is not known, when nothing better can be said.
        reason: a column of the same view that says why (``RELATION.COLUMN`` for one of another view), or empty.
        source: a column of the same view that says where the value came from, or empty for the row's own.
        facts: columns of its table that it rests on, whose problems explain it.
        tables: tables whose gaps can make it unknown.
        open: a column that is true where a time is only known to be no earlier: a newer one may not have been read.
        note: text for messages only, empty when there is nothing to say; rules cannot compare it.
    """

    name: str
    type: FieldType
    doc: str
    words: tuple[str, ...] = ()
    absent: Absence = "unknown"
    if_null: str = "the answer does not say it"
    reason: str = ""
    source: str = ""
    facts: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    open: str = ""
    note: bool = False

    @property
    def relation(self) -> str:
        """The view it is a column of."""
        return self.name.partition(".")[0]

    @property
    def column(self) -> str:
        """The column."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class TagName:
    """A tag that rules look at: the relation it hangs on, and its folded name."""

    relation: str
    name: str

    @property
    def column(self) -> str:
        """The column of the relation's view that holds the value; its folded twin ends in ``_key``."""
        return "tag_" + self.name.encode().hex()


EXEMPT_FROM = "vm.exempt_from."


def exempt_from(rule: str) -> Field:
    """Return the field that asks whether a live exemption from a rule covers a VM."""
    return Field(
        EXEMPT_FROM + rule,
        "boolean",
        f"A live exemption from {rule} covers the VM",
        reason=f"exempt_from.{rule} reason",
        source=f"exempt_from.{rule} source",
    )


def field_named(name: str) -> Field | None:
    """Return the field of that name: a declared one, or ``vm.exempt_from.RULE`` for whatever rule."""
    if name.startswith(EXEMPT_FROM):
        return exempt_from(name.removeprefix(EXEMPT_FROM))
    return FIELDS.get(name)


def _note(name: str, doc: str) -> Field:
    return Field(name, "text", doc, note=True)


_ITEMS = ("protected_items",)

_DERIVED = (
    Field(
        "vm.agent",
        "text",
        "State of the Azure VM agent. `ready` and `not-ready` are reported by the instance view; `declared` and "
        "`absent` are what the VM was created with, for VMs that report nothing (deallocated, being created, not read)",
        words=("ready", "not-ready", "declared", "absent"),
        reason="agent_reason",
        source="agent_source",
        facts=(
            "agent_reported",
            "agent_version",
            "agent_status",
            "agent_code",
            "provision_vm_agent",
            "power_state",
            "instance_view_read",
        ),
        tables=("instance_views",),
    ),
    _note("vm.agent_note", "The agent's state in words"),
    Field(
        "vm.origin",
        "text",
        "Where the VM came from: `gallery-image` (the agent is installed by default) or `attached-disk` (attached, "
        "restored or migrated: installed by hand)",
        words=("gallery-image", "attached-disk"),
        if_null="the answer does not say how the OS disk came to be",
        facts=("from_image", "os_disk_origin", "storage_read"),
    ),
    _note("vm.origin_note", "The origin in words"),
    _note("vm.moved_note", "A hint at the backup item of a VM of the same name that is not in the inventory"),
    Field(
        "vm.rpo_hours",
        "number",
        "Hours that the VM's newest recovery point may be old, by the tag that `rpo` in auditor.yaml names",
        absent="none",
        reason="rpo_reason",
        source="rpo_source",
    ),
    Field(
        "item.state",
        "text",
        "State of the VM's live backup item, out of both of Azure's vocabularies; `none` when the VM has no item",
        words=ITEM_STATES,
        reason="state_reason",
        facts=("protection_state", "current_protection_state", "soft_deleted", "management_type", "vm_id"),
        tables=_ITEMS,
    ),
    _note("item.state_note", "The state in words"),
    Field(
        "item.configured",
        "time",
        "When protection was configured, from ConfigureBackup jobs (Azure keeps them for 14 days); never when there is "
        "no such job",
        reason="configured_reason",
        open="configured_open",
        tables=("protected_items", "backup_jobs"),
    ),
    Field(
        "item.agentless",
        "boolean",
        "The item is known to be backed up by a policy that takes crash-consistent backups only, which need no agent",
    ),
    Field(
        "item.ever_backed_up",
        "boolean",
        "The item has, or had, a recovery point",
        facts=("last_recovery_point",),
    ),
    Field(
        "item.recovery_point_age_hours",
        "number",
        "Hours since the newest recovery point; not known where it is later than what counts as now",
        reason="age_reason",
        facts=("last_recovery_point",),
    ),
    Field(
        "item.hours_overdue",
        "bounded",
        "Age of the newest recovery point less the longest gap that the policy plans; negative while none is due",
        reason="overdue_reason",
        facts=("last_recovery_point", "policy_id"),
        tables=("protected_items", "backup_policies"),
    ),
    _note("item.age_note", "How old the newest recovery point is, and how old it may become"),
    Field(
        "item.last_backup_outcome",
        "text",
        "How the last finished backup ended: the item's own word, else its newest finished job",
        words=("Completed", "CompletedWithWarnings", "Failed", "Cancelled"),
        reason="last_backup_reason",
        facts=("last_backup_status",),
        tables=("protected_items", "backup_jobs"),
    ),
    Field(
        "item.finished_backup_jobs",
        "bounded",
        "Backup jobs of the last 14 days that completed or failed; cancelled and running ones are not counted",
        reason="jobs_reason",
        tables=("protected_items", "backup_jobs"),
    ),
    Field(
        "item.job_success_ratio",
        "number",
        "Share of those jobs that completed, with warnings or without",
        reason="jobs_reason",
        tables=("protected_items", "backup_jobs"),
    ),
    _note("item.jobs_note", "How many of the jobs succeeded"),
    Field(
        "item.live_items",
        "bounded",
        "Backup items of the same VM, in whatever vault, that are not soft-deleted",
        reason="live_items_reason",
        facts=("vm_id",),
        tables=_ITEMS,
    ),
    _note("item.twins_note", "Vault and state of each item, where the VM has several"),
    Field(
        "item.excludes_disks",
        "boolean",
        "A disk of the VM is left out of the backup",
        reason="disks_reason",
        facts=("disk_exclusion", "extended_read"),
        tables=("vault_items",),
    ),
    _note("item.disks_note", "The LUNs of the disks that are left out"),
    Field(
        "policy.in_use",
        "boolean",
        "A live VM item references the policy, or Azure counts protected items",
        reason="in_use_reason",
        facts=("protected_items_count",),
        tables=_ITEMS,
    ),
    Field(
        "policy.runs_on_quietest_day",
        "bounded",
        "Backups on the day of the week with the fewest",
        reason="schedule_reason",
        facts=("schedule_policy", "management_type"),
    ),
    Field(
        "policy.runs_on_busiest_day",
        "bounded",
        "Backups on the day of the week with the most",
        reason="schedule_reason",
        facts=("schedule_policy", "management_type"),
    ),
    Field(
        "policy.longest_gap_hours",
        "bounded",
        "Hours between the two backups that lie furthest apart in the schedule",
        reason="longest_gap_reason",
        facts=("schedule_policy", "management_type"),
    ),
    Field(
        "policy.daily_retention_days",
        "number",
        "Days that daily recovery points are kept (7, 30 and 365 to a week, month and year); of a weekly policy, its "
        "weekly ones",
        reason="retention_reason",
        facts=("retention_policy", "management_type"),
    ),
    Field(
        "policy.monthly_retention_months",
        "number",
        "Months that monthly recovery points are kept; 0 when the policy keeps none",
        reason="retention_reason",
        facts=("retention_policy", "management_type"),
    ),
    Field(
        "policy.yearly_retention_years",
        "number",
        "Years that yearly recovery points are kept; 0 when the policy keeps none",
        reason="retention_reason",
        facts=("retention_policy", "management_type"),
    ),
    _note("policy.retention_note", "What is worth knowing about the retention"),
    _note("policy.schedule", "The schedule in words"),
    _note("policy.schedule_note", "What is worth knowing about the schedule"),
    Field(
        "vault.redundancy",
        "text",
        "Storage redundancy: the vault's own answer, else its storage config",
        words=("GeoRedundant", "LocallyRedundant", "ZoneRedundant", "ReadAccessGeoZoneRedundant"),
        reason="redundancy_reason",
        source="redundancy_source",
        facts=("declared_redundancy",),
        tables=("vaults", "storage_configs"),
    ),
    _note("vault.redundancy_note", "How the redundancy differs from what was declared"),
    Field(
        "vault.redundancy_state",
        "text",
        "`Locked` once the vault holds items: the redundancy can no longer be changed",
        words=("Locked", "Unlocked"),
        if_null="no storage config (backupstorageconfig) of the vault is in the inventory",
    ),
    _note("vault.redundancy_state_note", "Whether the redundancy can still be changed"),
    _note("vault.region_note", "What the vault's region allows"),
    Field(
        "vault.intent",
        "text",
        "What the vault is declared to be for: `azure` when Azure is the primary backup storage endpoint, `other` when "
        "it is not, `zone` when backups stay in the region",
        words=("azure", "other", "zone"),
        reason="intent_reason",
        source="intent_source",
    ),
    _note("vault.intent_note", "What else was declared, where it disagrees"),
    Field(
        "vault.holds_only_other_workloads",
        "boolean",
        "The vault is known to hold items, none of them a VM's; an empty vault is not",
    ),
    Field(
        "vault.holds_no_vm_backup",
        "boolean",
        "The vault is known to hold no backup item of a VM",
    ),
    Field(
        "vault.soft_delete",
        "text",
        "Soft delete of backups: the vault's own answer, else its vault config (`backupconfig`)",
        words=("Enabled", "Disabled", "AlwaysOn"),
        reason="soft_delete_reason",
        source="soft_delete_source",
        facts=("declared_soft_delete",),
        tables=("vaults", "vault_configs"),
    ),
    Field(
        "vault.soft_delete_days",
        "number",
        "Days that deleted backups are kept: the vault's own answer, else its vault config",
        reason="soft_delete_days_reason",
        source="soft_delete_days_source",
        facts=("declared_soft_delete_days",),
        tables=("vaults", "vault_configs"),
    ),
    _note("vault.immutability_note", "What the state of immutability means"),
    *(
        Field(
            relation,
            "relation",
            f"Whether there is such a {words}",
            if_null="not all of them were read",
            reason={"item": "state_reason", "vm": "item.vm_reason"}.get(relation, ""),
            tables=(TABLE_OF[relation],),
        )
        for relation, words in (
            ("item", "backup item of the VM"),
            ("vm", "VM of the item"),
            ("policy", "backup policy"),
            ("vault", "vault"),
            ("resource_group", "resource group"),
            ("subscription", "subscription"),
            ("scale_set", "scale set that the VM belongs to"),
        )
    ),
)
# Facts that are not fields: parts that the derived fields above are made of, or that say only how a row was read.
_HIDDEN = {
    "vm.storage_read",
    "vm.agent_reported",
    "vm.instance_view_read",
    "vm.data_disk_luns",
    "vault.declared_soft_delete",
    "vault.declared_soft_delete_days",
    "policy.schedule_policy",
    "policy.retention_policy",
    "policy.tiering_policy",
    "policy.instant_restore_groups",
    "item.arm_type",
    "item.extended_read",
    "item.disk_exclusion",
    "item.datasource_deleted",
    "subscription.management_groups",
}


def _common(relation: str) -> list[Field]:
    fields = [Field(f"{relation}.name", "text", "Name"), Field(f"{relation}.id", "id", "Resource id")]
    if relation != "subscription":
        unnamed = "its id does not name one"
        fields.append(Field(f"{relation}.subscription_id", "text", "Id of its subscription", if_null=unnamed))
        if relation != "resource_group":
            fields.append(
                Field(f"{relation}.resource_group_name", "text", "Name of its resource group", if_null=unnamed)
            )
            fields.append(Field(f"{relation}.resource_group_id", "id", "Id of its resource group", if_null=unnamed))
    return fields


def _of_column(relation: str, column: Column) -> Field:
    assert column.type != "json"
    return Field(
        f"{relation}.{column.name}",
        column.type,
        column.doc,
        words=tuple(word for word in column.words if word != "Invalid"),
        absent=column.absent,
        facts=(column.name,),
    )


def _all_fields() -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for table in TABLES:
        if not table.relation:
            continue
        found = _common(table.relation)
        found += [
            _of_column(table.relation, column)
            for column in table.columns
            if f"{table.relation}.{column.name}" not in _HIDDEN
        ]
        fields.update({entry.name: entry for entry in found})
    fields.update({entry.name: entry for entry in _DERIVED})
    return fields


FIELDS = _all_fields()
