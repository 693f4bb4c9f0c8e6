"""Every fact that is read from Azure, declared once: its name, type, place in the ARM object, and meaning when absent.

The reader of exports, the tables of the database, the names that rules may use and docs/fields.md all follow from these
declarations.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

ColumnType: TypeAlias = Literal["text", "number", "boolean", "time", "id", "json"]
Absence: TypeAlias = Literal["unknown", "false", "true", "none", "never"]
Pick: TypeAlias = Literal["presence", "location", "agent-status", "agent-code", "agent-message", "power-state", "luns"]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One fact about one resource.

    Attributes:
        name: the column; together with its table's relation it is the field that rules use (``vm.location``).
        type: ``time`` is microseconds since 1970 UTC; ``id`` is an ARM id, compared without case; ``json`` is kept as
            canonical text.
        paths: where the value stands in the ARM object; the first that is there counts. A leading ``properties.`` is
            left out by ``az`` and read either way.
        doc: what the value says, for docs/fields.md.
        absent: what it means when an answer that was read does not have it.
        given: a boolean column that must be true for ``absent`` to apply (the part of the answer that holds it).
        words: the values Azure documents, spelled as they are shown; another value is not known.
        pick: how to get the value out of what stands at the path, where it is more than taking it.
        refers_to: the table of the resource that an ``id`` names.
    """

    name: str
    type: ColumnType
    paths: tuple[str, ...]
    doc: str
    absent: Absence = "unknown"
    given: str = ""
    words: tuple[str, ...] = ()
    pick: Pick | None = None
    refers_to: str = ""

    @property
    def folded(self) -> bool:
        """Whether it has a folded twin, ``NAME_key``: documented words are always spelled in one way."""
        return self.type in ("text", "id") and not self.words


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The facts of one kind of resource.

    Attributes:
        name: the table.
        relation: the prefix of its fields in rules; empty when rules do not see it directly.
        arm_types: the ARM types whose resources it holds, folded.
        graph_family: tables that Resource Graph answers out of one of its own tables; an answer that is cut short may
            lack rows of each of them.
        columns: besides these every table has those of ``facts``.
        in_vault: the rows live in a Recovery Services vault, which ``VAULT_ID`` names.
        exported_by: how to export it, for the hint when it is missing.
    """

    name: str
    relation: str
    arm_types: tuple[str, ...]
    graph_family: str
    columns: tuple[Column, ...]
    exported_by: str
    in_vault: bool = False


_P = "properties."
_STORAGE = ("Invalid", "GeoRedundant", "LocallyRedundant", "ZoneRedundant", "ReadAccessGeoZoneRedundant")
_ON_OFF = ("Invalid", "Enabled", "Disabled")
# Azure writes the last one AlwaysON too; words are compared without case.
_SOFT_DELETE = ("Invalid", "Enabled", "Disabled", "AlwaysOn")

_KINDS_OF_BACKUP = (
    "Invalid",
    "AzureIaasVM",
    "MAB",
    "DPM",
    "AzureBackupServer",
    "AzureSql",
    "AzureStorage",
    "AzureWorkload",
    "DefaultBackup",
)

VIRTUAL_MACHINES = Table(
    "virtual_machines",
    "vm",
    ("microsoft.compute/virtualmachines",),
    "resources",
    (
        Column("location", "text", ("location",), "Azure region, as `westeurope`", pick="location"),
        Column("created", "time", (_P + "timeCreated",), "When the VM was created", absent="never"),
        Column("size", "text", (_P + "hardwareProfile.vmSize",), "VM size, as `Standard_D2s_v5`"),
        Column(
            "storage_read",
            "boolean",
            (_P + "storageProfile",),
            "The answer described the VM's disks",
            pick="presence",
        ),
        Column("os_type", "text", (_P + "storageProfile.osDisk.osType",), "`Windows` or `Linux`"),
        Column(
            "os_disk_origin",
            "text",
            (_P + "storageProfile.osDisk.createOption",),
            "How the OS disk came to be: `FromImage`, `Attach` (migrated, restored or attached disk), `Copy`, ...",
            words=("FromImage", "Empty", "Attach", "Copy", "Restore"),
        ),
        Column(
            "from_image",
            "boolean",
            (_P + "storageProfile.imageReference",),
            "The VM names the image it was made from",
            absent="false",
            given="storage_read",
            pick="presence",
        ),
        Column("image_publisher", "text", (_P + "storageProfile.imageReference.publisher",), "Publisher of the image"),
        Column("image_offer", "text", (_P + "storageProfile.imageReference.offer",), "Offer of the image"),
        Column(
            "ephemeral_os_disk",
            "boolean",
            (_P + "storageProfile.osDisk.diffDiskSettings",),
            "The OS disk is ephemeral: lost on reallocation, not backed up",
            absent="false",
            given="storage_read",
            pick="presence",
        ),
        Column("provisioning_state", "text", (_P + "provisioningState",), "`Succeeded`, `Creating`, `Failed`, ..."),
        Column(
            "power_state",
            "text",
            (
                _P + "instanceView.statuses",
                _P + "extended.instanceView.powerState.code",
                "powerState",
            ),
            "`running`, `stopped`, `deallocated`, ...",
            pick="power-state",
        ),
        Column(
            "provision_vm_agent",
            "boolean",
            (
                _P + "osProfile.windowsConfiguration.provisionVMAgent",
                _P + "osProfile.linuxConfiguration.provisionVMAgent",
            ),
            "The VM was created with the agent (`provisionVMAgent`); often missing on Linux VMs whose agent runs",
        ),
        Column(
            "allow_extensions",
            "boolean",
            (_P + "osProfile.allowExtensionOperations",),
            "Extensions, such as the one that takes backups, may run; Azure's default is yes",
            absent="true",
            given="storage_read",
        ),
        Column(
            "data_disk_luns",
            "json",
            (_P + "storageProfile.dataDisks",),
            "The LUNs of the data disks",
            pick="luns",
        ),
        Column(
            "instance_view_read",
            "boolean",
            (_P + "instanceView",),
            "The VM's instance view was read (Resource Graph does not have the agent)",
            pick="presence",
        ),
        Column(
            "agent_reported",
            "boolean",
            (_P + "instanceView.vmAgent",),
            "The instance view says something about the agent",
            absent="false",
            given="instance_view_read",
            pick="presence",
        ),
        Column("agent_version", "text", (_P + "instanceView.vmAgent.vmAgentVersion",), "Version the agent reports"),
        Column(
            "agent_status",
            "text",
            (_P + "instanceView.vmAgent.statuses",),
            "Status the agent reports: `Ready`, `Not Ready`",
            pick="agent-status",
        ),
        Column(
            "agent_code",
            "text",
            (_P + "instanceView.vmAgent.statuses",),
            "Code of that status: `ProvisioningState/succeeded`, `ProvisioningState/Unavailable`",
            pick="agent-code",
        ),
        Column(
            "agent_message",
            "text",
            (_P + "instanceView.vmAgent.statuses",),
            "Message of that status",
            pick="agent-message",
        ),
        Column(
            "scale_set_id",
            "id",
            (_P + "virtualMachineScaleSet.id",),
            "The scale set that the VM belongs to",
            absent="none",
            refers_to="scale_sets",
        ),
    ),
    "az vm list, az vm get-instance-view, or az graph query on resources",
)

VAULTS = Table(
    "vaults",
    "vault",
    ("microsoft.recoveryservices/vaults",),
    "resources",
    (
        Column("location", "text", ("location",), "Azure region, as `westeurope`", pick="location"),
        Column("sku", "text", ("sku.name",), "SKU of the vault; it says nothing about redundancy"),
        Column(
            "declared_redundancy",
            "text",
            (_P + "redundancySettings.standardTierStorageRedundancy",),
            "Storage redundancy in the vault's own answer",
            words=_STORAGE,
        ),
        Column(
            "cross_region_restore",
            "text",
            (_P + "redundancySettings.crossRegionRestore",),
            "Cross-region restore",
            words=("Enabled", "Disabled"),
        ),
        Column(
            "declared_soft_delete",
            "text",
            (_P + "securitySettings.softDeleteSettings.softDeleteState",),
            "Soft delete in the vault's own answer",
            words=_SOFT_DELETE,
        ),
        Column(
            "declared_soft_delete_days",
            "number",
            (_P + "securitySettings.softDeleteSettings.softDeleteRetentionPeriodInDays",),
            "Days of soft delete in the vault's own answer",
        ),
        Column(
            "immutability",
            "text",
            (_P + "securitySettings.immutabilitySettings.state",),
            "Whether recovery points can be deleted early: `Unlocked` can be switched off again, `Locked` cannot",
            words=("Disabled", "Unlocked", "Locked"),
        ),
        Column(
            "failure_alerts",
            "text",
            (_P + "monitoringSettings.azureMonitorAlertSettings.alertsForAllJobFailures",),
            "Azure Monitor alerts for failed jobs; whether somebody is notified is not in the vault",
            words=_ON_OFF,
        ),
        Column(
            "multi_user_authorization",
            "text",
            (_P + "securitySettings.multiUserAuthorization",),
            "A resource guard must agree before protection is weakened",
            words=_ON_OFF,
        ),
        Column(
            "cross_subscription_restore",
            "text",
            (_P + "restoreSettings.crossSubscriptionRestoreSettings.crossSubscriptionRestoreState",),
            "Backups can be restored into other subscriptions",
            words=("Invalid", "Enabled", "Disabled", "PermanentlyDisabled"),
        ),
        Column(
            "public_network_access",
            "text",
            (_P + "publicNetworkAccess",),
            "The vault can be reached from public networks",
            words=_ON_OFF,
        ),
        Column(
            "private_endpoint",
            "text",
            (_P + "privateEndpointStateForBackup",),
            "`Enabled` when the vault has a private endpoint for backup",
            words=("None", "Enabled"),
        ),
        Column(
            "key_uri",
            "text",
            (_P + "encryption.keyVaultProperties.keyUri",),
            "The customer-managed key that encrypts the backups",
            absent="none",
        ),
        Column(
            "security_level",
            "text",
            (_P + "bcdrSecurityLevel",),
            "Azure's own rating of the vault's security settings",
            words=("Invalid", "Poor", "Fair", "Good", "Excellent"),
        ),
    ),
    "az backup vault list, or az graph query on resources",
)

STORAGE_CONFIGS = Table(
    "storage_configs",
    "",
    ("microsoft.recoveryservices/vaults/backupstorageconfig",),
    "storage_configs",
    (
        Column("model_type", "text", (_P + "storageModelType",), "`storageModelType`", words=_STORAGE),
        Column("storage_type", "text", (_P + "storageType",), "`storageType`", words=_STORAGE),
        Column(
            "state",
            "text",
            (_P + "storageTypeState",),
            "Whether the redundancy can still be changed",
            words=("Invalid", "Locked", "Unlocked"),
        ),
    ),
    "az backup vault backup-properties show",
    in_vault=True,
)

VAULT_CONFIGS = Table(
    "vault_configs",
    "",
    ("microsoft.recoveryservices/vaults/backupconfig",),
    "vault_configs",
    (
        Column("soft_delete", "text", (_P + "softDeleteFeatureState",), "`softDeleteFeatureState`", words=_SOFT_DELETE),
        Column(
            "soft_delete_days", "number", (_P + "softDeleteRetentionPeriodInDays",), "`softDeleteRetentionPeriodInDays`"
        ),
    ),
    "az rest on backupconfig/vaultconfig of each vault",
    in_vault=True,
)

BACKUP_POLICIES = Table(
    "backup_policies",
    "policy",
    ("microsoft.recoveryservices/vaults/backuppolicies",),
    "recoveryservicesresources",
    (
        Column(
            "management_type",
            "text",
            (_P + "backupManagementType",),
            "Kind of backup: `AzureIaasVM` for VMs",
            words=_KINDS_OF_BACKUP,
        ),
        Column(
            "type",
            "text",
            (_P + "policyType",),
            "`V1` (standard) or `V2` (enhanced); left out on many V1 policies",
            words=("Invalid", "V1", "V2"),
        ),
        Column("schedule_policy", "json", (_P + "schedulePolicy",), "The schedule as Azure gives it"),
        Column("retention_policy", "json", (_P + "retentionPolicy",), "The retention as Azure gives it"),
        Column(
            "instant_restore_days",
            "number",
            (_P + "instantRpRetentionRangeInDays",),
            "Days that snapshots are kept for instant restore",
        ),
        Column("time_zone", "text", (_P + "timeZone",), "Windows name of the time zone of the schedule"),
        Column(
            "snapshot_consistency",
            "text",
            (_P + "snapshotConsistencyType",),
            "`OnlyCrashConsistent`: backups that need no agent",
            absent="none",
        ),
        Column("tiering_policy", "json", (_P + "tieringPolicy",), "When points move to the archive tier"),
        Column("instant_restore_groups", "json", (_P + "instantRPDetails",), "Names of the groups of snapshots"),
        Column(
            "protected_items_count",
            "number",
            (_P + "protectedItemsCount",),
            "Items that Azure counts as protected by the policy",
        ),
    ),
    "az backup policy list, or az graph query on recoveryservicesresources",
    in_vault=True,
)

PROTECTED_ITEMS = Table(
    "protected_items",
    "item",
    (
        "microsoft.recoveryservices/vaults/backupfabrics/protectioncontainers/protecteditems",
        "microsoft.recoveryservices/vaults/replicationfabrics/replicationprotectioncontainers/replicationprotecteditems",
        "microsoft.recoveryservices/vaults/replicationprotecteditems",
    ),
    "recoveryservicesresources",
    (
        Column("arm_type", "text", ("type",), "ARM type of the item"),
        Column(
            "management_type",
            "text",
            (_P + "backupManagementType",),
            "Kind of backup: `AzureIaasVM` for VMs",
            words=_KINDS_OF_BACKUP,
        ),
        Column("item_type", "text", (_P + "protectedItemType",), "Kind of item"),
        Column("friendly_name", "text", (_P + "friendlyName",), "Name that Azure shows; never a key"),
        Column("container_name", "text", (_P + "containerName",), "Container of the item"),
        Column(
            "vm_id",
            "id",
            (
                _P + "sourceResourceId",
                _P + "virtualMachineId",
                _P + "dataSourceInfo.resourceID",
                _P + "dataSourceId",
            ),
            "The VM that the item protects",
            refers_to="virtual_machines",
        ),
        Column(
            "policy_id",
            "id",
            (_P + "policyId",),
            "The backup policy; empty once protection is stopped",
            refers_to="backup_policies",
        ),
        Column(
            "protection_state",
            "text",
            (_P + "protectionState",),
            "State in the vocabulary of the REST API",
            words=(
                "Invalid",
                "IRPending",
                "Protected",
                "ProtectionError",
                "ProtectionStopped",
                "ProtectionPaused",
                "BackupsSuspended",
            ),
        ),
        Column(
            "current_protection_state",
            "text",
            (_P + "currentProtectionState",),
            "State in the vocabulary of Resource Graph",
            words=(
                "Invalid",
                "ConfiguringProtection",
                "ProtectionConfigured",
                "ConfiguringProtectionFailed",
                "ProtectionStopped",
                "SoftDeleted",
                "ProtectionError",
                "IRPending",
                "Protected",
                "ProtectionPaused",
                "BackupsSuspended",
            ),
        ),
        Column(
            "soft_deleted",
            "boolean",
            (_P + "isScheduledForDeferredDelete",),
            "Scheduled for deletion (soft-deleted)",
            absent="false",
        ),
        Column(
            "health",
            "text",
            (_P + "healthStatus",),
            "Health of the item; never a proof of protection",
            words=("Invalid", "Passed", "ActionSuggested", "ActionRequired"),
        ),
        Column("last_backup_status", "text", (_P + "lastBackupStatus",), "Outcome of the last backup"),
        Column("last_backup", "time", (_P + "lastBackupTime",), "When the last backup ran", absent="never"),
        Column(
            "last_recovery_point",
            "time",
            (_P + "lastRecoveryPoint",),
            "When the newest recovery point was taken",
            absent="never",
        ),
        Column(
            "extended_read",
            "boolean",
            (_P + "extendedProperties",),
            "The answer holds the item's extended properties",
            pick="presence",
        ),
        Column(
            "disk_exclusion",
            "json",
            (_P + "extendedProperties.diskExclusionProperties",),
            "The list of disks that are backed up, or are not",
        ),
        Column(
            "datasource_deleted",
            "boolean",
            (_P + "isDatasourceDeleted",),
            "Resource Graph knows that the item's VM was deleted",
        ),
    ),
    "az backup item list (one call for each vault), or az graph query on recoveryservicesresources",
    in_vault=True,
)

BACKUP_JOBS = Table(
    "backup_jobs",
    "",
    ("microsoft.recoveryservices/vaults/backupjobs",),
    "recoveryservicesresources",
    (
        Column(
            "management_type",
            "text",
            (_P + "backupManagementType",),
            "Kind of backup: `AzureIaasVM` for VMs",
            words=_KINDS_OF_BACKUP,
        ),
        Column("operation", "text", (_P + "operation",), "`Backup`, `ConfigureBackup`, ..."),
        Column("status", "text", (_P + "status",), "`Completed`, `Failed`, `InProgress`, ..."),
        Column("started", "time", (_P + "startTime",), "When the job started"),
        Column("ended", "time", (_P + "endTime",), "When the job ended"),
        Column("container_name", "text", (_P + "containerName",), "Container of the item"),
        Column(
            "vm_id",
            "id",
            (_P + "dataSourceId",),
            "The VM; most jobs do not say it",
            refers_to="virtual_machines",
        ),
    ),
    "az backup job list (one call for each vault), or az graph query on recoveryservicesresources",
    in_vault=True,
)

RESOURCE_GROUPS = Table(
    "resource_groups",
    "resource_group",
    ("microsoft.resources/subscriptions/resourcegroups", "microsoft.resources/resourcegroups"),
    "resourcecontainers",
    (
        Column("location", "text", ("location",), "Azure region, as `westeurope`", pick="location"),
        Column(
            "managed_by",
            "id",
            ("managedBy",),
            "The resource that manages the group, such as a Databricks workspace or an AKS cluster",
            absent="none",
        ),
    ),
    "az group list, or az graph query on resourcecontainers",
)

SCALE_SETS = Table(
    "scale_sets",
    "scale_set",
    ("microsoft.compute/virtualmachinescalesets",),
    "resources",
    (
        Column(
            "has_profile",
            "boolean",
            (_P + "virtualMachineProfile",),
            "The set makes its members from a profile; without one its members were attached by hand",
            absent="false",
            pick="presence",
        ),
    ),
    "az vmss list, or az graph query on resources",
)

SUBSCRIPTIONS = Table(
    "subscriptions",
    "subscription",
    ("microsoft.resources/subscriptions",),
    "resourcecontainers",
    (
        Column("display_name", "text", ("name", "displayName"), "Name of the subscription"),
        Column(
            "management_groups",
            "json",
            (_P + "managementGroupAncestorsChain",),
            "Names of the management groups above it, nearest first",
        ),
    ),
    "az graph query on resourcecontainers",
)

TABLES = (
    VIRTUAL_MACHINES,
    VAULTS,
    STORAGE_CONFIGS,
    VAULT_CONFIGS,
    BACKUP_POLICIES,
    PROTECTED_ITEMS,
    BACKUP_JOBS,
    RESOURCE_GROUPS,
    SCALE_SETS,
    SUBSCRIPTIONS,
)
# Read off the id of whatever lives in a vault.
VAULT_ID = Column("vault_id", "id", (), "Its vault", refers_to="vaults")
# Read where there are any; an export without them is whole all the same.
OPTIONAL_TABLES = frozenset({STORAGE_CONFIGS.name, VAULT_CONFIGS.name, SCALE_SETS.name})
# What is read of each resource by itself: a gap in one of these leaves facts of rows unknown, and hides no row.
DETAILS = ("instance_views", STORAGE_CONFIGS.name, VAULT_CONFIGS.name, "vault_items")
TABLE_OF_TYPE = {arm_type: table for table in TABLES for arm_type in table.arm_types}
