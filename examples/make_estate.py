#!/usr/bin/env python3
"""Write the example estate: the exports that the made-up company Kestrelvik Freight hands to its auditor.

Run it to write ``estate/``, ``expected.json`` and the tables of README.md again; ``--check`` only compares. What the
company owns stands in tables (vaults, policies, VMs, backup items); the rest is the shapes that Azure gives them.

Beside each vault, policy and VM stands the verdict it should get, and why. These were reasoned out by hand and nothing
here evaluates a rule: a test compares the engine with them, and would prove nothing if they came from a second engine.

All times hang on AS_OF and all other values on names, so that two runs on any day write the same bytes.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import NAMESPACE_DNS, UUID, uuid5

Json = dict[str, object]
Outcome = Literal["pass", "fail", "unknown", "not-applicable"]

AS_OF = datetime.fromisoformat("2026-11-02T06:00:00+00:00")
HERE = Path(__file__).resolve().parent

TENANT = "3c95d7e1-08ab-4e62-9f4d-b7261a50ce88"
PRODUCTION = "7d0c3f52-6b1e-4c8a-9a57-1e5b8f2d4a10"
SHARED = "b84e19c6-2f07-4d5b-8e36-90a1c7d3f521"
TEST = "e2a76b08-53d9-4f1c-b0e8-4c6d9f81a732"
SUBSCRIPTIONS = {
    PRODUCTION: ("kvk-production", ("mg-production", "Production")),
    SHARED: ("kvk-shared-services", ("mg-platform", "Platform")),
    TEST: ("kvk-test", ("mg-nonproduction", "Non-production")),
}


# --- What the company owns ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """A resource group; ``managed_by`` is the resource that made it for its own machines."""

    name: str
    subscription: str
    location: str = "westeurope"
    application: str = ""
    managed_by: str = ""

    @property
    def id(self) -> str:
        """Its ARM id, spelled as Resource Manager keeps it."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.name}"


TMS = Group("rg-tms-prod", PRODUCTION, application="transport-management")
WMS = Group("rg-wms-prod", PRODUCTION, application="warehouse")
ERP = Group("RG-ERP-Prod", PRODUCTION, application="erp")
EDI = Group("rg-edi-prod", PRODUCTION, application="edi")
EDI_BEFORE = Group("rg-integration-prod", PRODUCTION, application="edi")
DUBLIN = Group("rg-depot-dub-prod", PRODUCTION, "northeurope", application="depot")
PORTAL = Group("rg-portal-prod", PRODUCTION, application="customer-portal")
ANALYTICS = Group("rg-analytics-prod", PRODUCTION, application="analytics")
DATABRICKS = Group(
    "databricks-rg-dbw-lake-q2k7xv",
    PRODUCTION,
    managed_by=f"{ANALYTICS.id}/providers/Microsoft.Databricks/workspaces/dbw-lake",
)
PLATFORM = Group("rg-platform-prod", PRODUCTION, application="track-and-trace")
AKS = Group(
    "MC_rg-platform-prod_aks-track_westeurope",
    PRODUCTION,
    managed_by=f"{PLATFORM.id}/providers/Microsoft.ContainerService/managedClusters/aks-track",
)
BACKUP_PROD = Group("rg-backup-prod", PRODUCTION, application="backup")
BACKUP_DUBLIN = Group("rg-backup-dub-prod", PRODUCTION, "northeurope", application="backup")
SNAPSHOTS = Group("AzureBackupRG_westeurope_1", PRODUCTION)
IDENTITY = Group("rg-identity-shared", SHARED, application="identity")
OPERATIONS = Group("rg-ops-shared", SHARED, application="operations")
BUILD = Group("rg-build-shared", SHARED, application="build")
CUSTOMS = Group("rg-customs-shared", SHARED, "francecentral", application="customs")
BACKUP_SHARED = Group("rg-Backup-Shared", SHARED, application="backup")
TMS_TEST = Group("rg-tms-test", TEST, application="transport-management")
WMS_TEST = Group("rg-wms-test", TEST, application="warehouse")
SANDBOX = Group("rg-sandbox-test", TEST, application="sandbox")
BACKUP_TEST = Group("rg-backup-test", TEST, application="backup")
GROUPS = (
    *(TMS, WMS, ERP, EDI, EDI_BEFORE, DUBLIN, PORTAL, ANALYTICS, DATABRICKS, PLATFORM, AKS),
    *(BACKUP_PROD, BACKUP_DUBLIN, SNAPSHOTS, IDENTITY, OPERATIONS, BUILD, CUSTOMS, BACKUP_SHARED),
    *(TMS_TEST, WMS_TEST, SANDBOX, BACKUP_TEST),
)


@dataclass(frozen=True, slots=True)
class Vault:
    """A Recovery Services vault, and what the rule ``vault-redundancy-matches-intent`` should make of it.

    Attributes:
        redundancy: how it stores backups; what Azure calls the standard tier.
        told: the vault's own answer says the redundancy (answers of older API versions do not).
        lock: ``Locked`` or ``Unlocked`` where the vault's storage configuration was exported, else empty.
        soft_delete: state and days; Azure spells ``AlwaysON`` in more than one way.
        alerts: whether job failures raise alerts; None when the answer has no monitoring settings at all.
    """

    name: str
    group: Group
    redundancy: str
    expected: Outcome
    why: str
    told: bool = True
    lock: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    soft_delete: tuple[str, int] = ("Enabled", 14)
    immutability: str = "Disabled"
    guarded: bool = False
    public: bool = True
    alerts: bool | None = True
    cross_region_restore: bool = False
    security_level: str = "Fair"
    location: str = ""

    @property
    def id(self) -> str:
        """Its ARM id."""
        return f"{self.group.id}/providers/Microsoft.RecoveryServices/vaults/{self.name}"

    @property
    def backup_id(self) -> str:
        """Its ARM id as the backup service spells it in what lives in the vault: with a capital S."""
        return self.id.replace("/subscriptions/", "/Subscriptions/", 1)


V_PROD = Vault(
    "rsv-prod-weu-01",
    BACKUP_PROD,
    "GeoRedundant",
    "pass",
    "tag and default say azure, and it is geo-redundant",
    tags={"environment": "production", "backup-primary-endpoint": "azure"},
    soft_delete=("AlwaysON", 30),
    immutability="Locked",
    guarded=True,
    cross_region_restore=True,
    security_level="Excellent",
)
V_DUBLIN = Vault(
    "rsv-prod-neu-01",
    BACKUP_DUBLIN,
    "LocallyRedundant",
    "fail",
    "azure by default, but local: weaker than declared; still empty and Unlocked, so it can be changed",
    told=False,
    lock="Unlocked",
    tags={"environment": "production", "rollout": "depots-2026"},
)
V_SHARED = Vault(
    "rsv-shared-weu-01",
    BACKUP_SHARED,
    "ZoneRedundant",
    "pass",
    "auditor.yaml says zone for its resource group, which beats the tag that says azure",
    tags={"environment": "shared", "Backup-Primary-Endpoint": "azure"},
    soft_delete=("AlwaysOn", 14),
    immutability="Unlocked",
    public=False,
    security_level="Good",
)
V_CUSTOMS = Vault(
    "rsv-shared-frc-01",
    CUSTOMS,
    "GeoRedundant",
    "unknown",
    "its tag says tape-offsite, which is no known intent; a word nobody can read is not taken for the default",
    tags={"environment": "shared", "backup-primary-endpoint": "tape-offsite"},
    alerts=False,
)
V_TEST = Vault(
    "rsv-test-weu-02",
    BACKUP_TEST,
    "LocallyRedundant",
    "pass",
    "auditor.yaml says other for the test subscription, and it is locally redundant",
    tags={"environment": "test"},
    soft_delete=("Disabled", 14),
    alerts=None,
    security_level="Poor",
    location="West Europe",
)
V_TEST_BEFORE = Vault(
    "rsv-test-weu-01",
    BACKUP_TEST,
    "GeoRedundant",
    "fail",
    "other for the test subscription, but geo-redundant: stronger than declared (cost), and Locked",
    lock="Locked",
    tags={"environment": "test", "replaced-by": "rsv-test-weu-02"},
)
VAULTS = (V_PROD, V_DUBLIN, V_SHARED, V_CUSTOMS, V_TEST, V_TEST_BEFORE)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a policy's first run of the day starts, by its own time zone, and its ``schedulePolicy`` for Azure."""

    at: str
    body: Json


@dataclass(frozen=True, slots=True)
class Policy:
    """A backup policy for VMs, and what the rule ``policy-runs-per-day`` should make of it.

    Attributes:
        schedule: when it runs.
        runs: the runs whose jobs were exported, oldest first (of hourly policies only those since midnight, so that
            the example stays small).
        keep: how long backups are kept: days, weeks, months and years; zero means no such schedule.
        snapshots: days that snapshots are kept for instant restore.
        more: further properties.
    """

    name: str
    vault: Vault
    schedule: Schedule
    runs: Sequence[datetime]
    expected: Outcome
    why: str
    keep: tuple[int, int, int, int] = (30, 0, 0, 0)
    snapshots: int = 2
    time_zone: str = "W. Europe Standard Time"
    more: Mapping[str, object] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its ARM id, as the backup service spells it."""
        return f"{self.vault.backup_id}/backupPolicies/{self.name}"


def _runs(first: str, count: int = 1, hours: int = 24) -> tuple[datetime, ...]:
    """Give the times of ``count`` runs, ``hours`` apart."""
    start = datetime.fromisoformat(first + ":00+00:00")
    return tuple(start + timedelta(hours=hours * n) for n in range(count))


def _standard(at: str, days: Sequence[str] = ()) -> Schedule:
    """Give the schedule of a standard (V1) policy: daily, or weekly on the given days."""
    body: Json = {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Weekly" if days else "Daily",
        "scheduleRunTimes": [f"2026-01-12T{at}:00Z"],
        "scheduleWeeklyFrequency": 0,
    }
    return Schedule(at, body | {"scheduleRunDays": list(days)} if days else body)


def _enhanced(at: str) -> Schedule:
    """Give the schedule of an enhanced (V2) policy that runs once a day."""
    body: Json = {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Daily",
        "dailySchedule": {"scheduleRunTimes": [f"2026-01-12T{at}:00+00:00"]},
    }
    return Schedule(at, body)


def _hourly(at: str, interval: int, window: int) -> Schedule:
    """Give the schedule of an enhanced (V2) policy that runs every ``interval`` hours within a window of hours."""
    body: Json = {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Hourly",
        "hourlySchedule": {
            "interval": interval,
            "scheduleWindowStartTime": f"2026-01-12T{at}:00+00:00",
            "scheduleWindowDuration": window,
        },
    }
    return Schedule(at, body)


P_DAILY = Policy(
    "pol-vm-daily-35d",
    V_PROD,
    _standard("22:00"),
    _runs("2026-10-19T21:00", 14),
    "pass",
    "once a day",
    keep=(35, 12, 12, 3),
)
P_4H_12H = Policy(
    "pol-vm-4h-12h",
    V_PROD,
    _hourly("05:00", 4, 12),
    _runs("2026-11-02T04:00"),
    "pass",
    "every 4 h for 12 h: 3 to 4 a day, within 1 to 5 either way",
    keep=(35, 12, 0, 0),
    snapshots=7,
    more={"policyType": "V2"},
)
P_ENHANCED = Policy(
    "EnhancedPolicy",
    V_PROD,
    _hourly("08:00", 4, 24),
    _runs("2026-11-02T00:00", 2, 4),
    "fail",
    "Azure's default Enhanced policy, in use: every 4 h for 24 h makes 6 a day",
    snapshots=7,
    time_zone="UTC",
    more={"policyType": "V2"},
)
P_UNUSED = Policy(
    "DefaultPolicy", V_PROD, _standard("23:30"), (), "not-applicable", "protects nothing", time_zone="UTC"
)
P_DUBLIN = Policy("DefaultPolicy", V_DUBLIN, _standard("19:30"), (), "not-applicable", "protects nothing")
P_DUBLIN_ENHANCED = Policy(
    "EnhancedPolicy",
    V_DUBLIN,
    _hourly("08:00", 4, 24),
    (),
    "not-applicable",
    "would make 6 a day, but protects nothing",
    snapshots=7,
    time_zone="UTC",
    more={"policyType": "V2"},
)
P_4H_20H = Policy(
    "pol-vm-4h-20h",
    V_SHARED,
    _hourly("04:00", 4, 20),
    _runs("2026-11-02T03:00"),
    "unknown",
    "every 4 h for 20 h: 5 or 6 a day; whether the run at the window's end starts is undocumented",
    keep=(30, 8, 0, 0),
    snapshots=7,
    more={"policyType": "V2"},
)
P_WEEKLY = Policy(
    "pol-vm-weekly",
    V_SHARED,
    _standard("02:00", ["Sunday"]),
    _runs("2026-10-25T01:00", 2, 7 * 24),
    "fail",
    "Sundays only: no run on six days of the week",
    keep=(0, 26, 0, 0),
    snapshots=5,
)
P_CRASH = Policy(
    "pol-vm-crash-consistent",
    V_SHARED,
    _enhanced("03:30"),
    _runs("2026-10-20T02:30", 14),
    "pass",
    "once a day",
    snapshots=7,
    more={"policyType": "V2", "snapshotConsistencyType": "OnlyCrashConsistent"},
)
P_CUSTOMS = Policy(
    "DefaultPolicy",
    V_CUSTOMS,
    _standard("20:30"),
    _runs("2026-10-19T19:30", 14),
    "pass",
    "once a day; a default policy that is in use",
    time_zone="Romance Standard Time",
)
P_TEST = Policy(
    "pol-test-daily-7d",
    V_TEST,
    _standard("05:00"),
    _runs("2026-10-20T04:00", 14),
    "pass",
    "once a day",
    keep=(7, 0, 0, 0),
    more={"policyType": "V1"},
)
P_TEST_BEFORE = Policy(
    "DefaultPolicy",
    V_TEST_BEFORE,
    _standard("05:00"),
    (),
    "not-applicable",
    "its items are stopped, and on no policy any more",
)
POLICIES = (
    *(P_UNUSED, P_ENHANCED, P_DAILY, P_4H_12H, P_DUBLIN, P_DUBLIN_ENHANCED),
    *(P_WEEKLY, P_4H_20H, P_CRASH, P_CUSTOMS, P_TEST_BEFORE, P_TEST),
)


IMAGES = {
    "win2019": ("Windows", "Standard_D2s_v5", "MicrosoftWindowsServer", "WindowsServer", "2019-datacenter-gensecond"),
    "win2022": ("Windows", "Standard_D2s_v5", "MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-g2"),
    "win11": ("Windows", "Standard_D2s_v5", "MicrosoftWindowsDesktop", "windows-11", "win11-24h2-ent"),
    "sql2022": ("Windows", "Standard_E8ds_v5", "MicrosoftSQLServer", "sql2022-ws2022", "standard-gen2"),
    "ubuntu": ("Linux", "Standard_D4ds_v5", "Canonical", "ubuntu-24_04-lts", "server"),
    "rhel": ("Linux", "Standard_D2s_v5", "RedHat", "RHEL", "9-lvm-gen2"),
    "sles": ("Linux", "Standard_E8ds_v5", "SUSE", "sles-15-sp6", "gen2"),
    "appliance": ("Linux", "Standard_D2ds_v5", "northgate-networks", "edge-firewall", "byol"),
    "aks": ("Linux", "Standard_D4ds_v5", "microsoft-aks", "aks", "aks-ubuntu-2404-gen2"),
    "databricks": ("Linux", "Standard_D8ds_v5", "AzureDatabricks", "Databricks", "DatabricksWorkerLinux"),
}
"""Operating system, VM size, and publisher, offer and SKU of the images in use."""
ATTACHED = {"attached-windows": ("Windows", "Standard_E4s_v5"), "attached-linux": ("Linux", "Standard_E8ds_v5")}
"""Images that are none: the OS disk was replicated from the old data centre and attached."""

View = Literal["ready", "not-ready", "no-agent", "not-exported"]


@dataclass(frozen=True, slots=True)
class Vm:
    """A virtual machine, and the verdicts it should get.

    Attributes:
        image: key of IMAGES or ATTACHED.
        created: when it was made; empty where the answer does not say.
        agent: outcome of ``vm-agent-installed``.
        protected: outcome of ``vm-protected``.
        why: the reasons for both.
        view: what its exported instance view says of the agent.
        declared: ``provisionVMAgent`` of the OS profile; None where it does not say.
        more: further properties, beside those every VM has.
        odd_case: the instance view and the backup item spell the VM's id in other letter case than Resource Graph.
    """

    name: str
    group: Group
    image: str
    created: str
    agent: Outcome
    protected: Outcome
    why: str
    view: View = "ready"
    power: str = "running"
    declared: bool | None = True
    data_disks: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)
    ephemeral: bool = False
    odd_case: bool = False

    @property
    def id(self) -> str:
        """Its ARM id, spelled as Resource Manager keeps it."""
        return _vm_id(self.group, self.name)

    @property
    def other_id(self) -> str:
        """Its ARM id as another service happens to spell it."""
        spelled = _vm_id(self.group, self.name.upper()).replace(self.group.name, self.group.name.upper())
        return spelled if self.odd_case else self.id

    @property
    def os(self) -> str:
        """``Windows`` or ``Linux``."""
        return (ATTACHED | IMAGES)[self.image][0]

    @property
    def size(self) -> str:
        """What it is run on."""
        return (ATTACHED | IMAGES)[self.image][1]


def _vm_id(group: Group, name: str) -> str:
    """Give the ARM id of a VM, whether or not it exists."""
    return f"{group.id}/providers/Microsoft.Compute/virtualMachines/{name}"


ORDINARY = "agent ready; protected"

VMS = (
    # Transport management
    Vm("tms-web-01", TMS, "win2022", "2024-02-06T08:31:12", "pass", "pass", ORDINARY),
    Vm("tms-web-02", TMS, "win2022", "2024-02-06T08:33:40", "pass", "pass", ORDINARY),
    Vm("tms-app-01", TMS, "ubuntu", "2024-02-07T10:02:55", "pass", "pass", ORDINARY),
    Vm("tms-app-02", TMS, "ubuntu", "2024-02-07T10:05:21", "pass", "pass", ORDINARY),
    Vm(
        "tms-sql-01",
        TMS,
        "sql2022",
        "2024-02-08T07:45:03",
        "pass",
        "fail",
        "only its databases are backed up; SQL backup does not bring the machine back",
        data_disks=2,
    ),
    Vm(
        "tms-sql-02",
        TMS,
        "sql2022",
        "2024-02-08T07:52:19",
        "pass",
        "pass",
        "agent ready; protected (a disk is left out, which is another rule's matter)",
        data_disks=3,
    ),
    Vm(
        "tms-batch-01",
        TMS,
        "rhel",
        "2026-10-26T14:20:37",
        "fail",
        "pass",
        "agent reports Not Ready; the item is Protected, though no backup ever worked (backup-on-schedule says so)",
        view="not-ready",
    ),
    # Warehouse
    Vm(
        "wms-db-01",
        WMS,
        "sles",
        "2023-11-14T09:10:48",
        "pass",
        "pass",
        "agent ready; protected; its id comes in three letter cases",
        data_disks=2,
        odd_case=True,
    ),
    Vm(
        "wms-app-01",
        WMS,
        "win2019",
        "2023-11-14T09:32:06",
        "pass",
        "pass",
        ORDINARY,
        tags={"ansprechpartner": "Jürgen Weiß, Lagerlogistik Köln"},
    ),
    Vm(
        "wms-app-02",
        WMS,
        "win2019",
        "2023-11-14T09:35:30",
        "pass",
        "fail",
        "protection was stopped on 22 October and its backups kept; the item still looks healthy",
    ),
    Vm(
        "wms-print-01",
        WMS,
        "win2019",
        "2023-12-01T12:15:09",
        "fail",
        "pass",
        "runs, yet its instance view has no agent, whatever was declared; protected",
        view="no-agent",
    ),
    Vm(
        "wms-scale-01",
        WMS,
        "ubuntu",
        "2024-05-21T06:48:51",
        "unknown",
        "pass",
        "no instance view, and the OS profile does not say whether an agent was provisioned; protected",
        view="not-exported",
        declared=None,
    ),
    Vm("file-01", WMS, "win2022", "2024-01-15T15:01:44", "pass", "pass", ORDINARY, data_disks=1),
    # ERP, moved in from the old data centre
    Vm(
        "erp-app-01",
        ERP,
        "attached-windows",
        "2025-03-22T21:14:02",
        "pass",
        "pass",
        "migrated, and the agent was installed by hand: it reports ready; protected",
        odd_case=True,
    ),
    Vm(
        "erp-app-02",
        ERP,
        "attached-windows",
        "2025-03-22T21:40:36",
        "pass",
        "pass",
        "migrated, and the agent was installed by hand: it reports ready; protected",
    ),
    Vm(
        "erp-db-01",
        ERP,
        "attached-linux",
        "2025-03-22T22:05:57",
        "fail",
        "pass",
        "migrated; its agent reports Not Ready; protected, with warnings night after night",
        view="not-ready",
        data_disks=2,
    ),
    Vm(
        "erp-archive-01",
        ERP,
        "attached-windows",
        "2025-03-23T05:30:18",
        "unknown",
        "fail",
        "migrated and switched off: nothing tells of an agent; its backups are soft-deleted",
        view="not-exported",
        power="deallocated",
    ),
    Vm(
        "erp-report-01",
        ERP,
        "win2022",
        "2025-04-02T08:00:25",
        "pass",
        "pass",
        "switched off, so nothing is reported; made from an image with the agent declared; protected",
        view="not-exported",
        power="deallocated",
    ),
    # EDI
    Vm(
        "edi-gw-01",
        EDI,
        "rhel",
        "2024-06-11T11:11:36",
        "pass",
        "fail",
        "moved here from rg-integration-prod; the old item still names the old id and protects nothing",
    ),
    Vm(
        "file-01",
        EDI,
        "win2022",
        "2024-06-12T13:27:08",
        "pass",
        "fail",
        "not backed up; the item of its namesake in rg-wms-prod does not count",
        data_disks=1,
    ),
    # The depot in Dublin, whose vault is not used yet
    Vm("dub-gate-01", DUBLIN, "win2022", "2026-09-30T09:04:12", "pass", "fail", "agent ready; not backed up"),
    Vm(
        "dub-gate-02",
        DUBLIN,
        "ubuntu",
        "2026-11-02T01:03:29",
        "pass",
        "not-applicable",
        "created five hours ago: within the 24 hours of grace",
    ),
    Vm(
        "dub-dispatch-01",
        DUBLIN,
        "win2022",
        "2026-10-01T10:22:47",
        "fail",
        "fail",
        "switched off, and declared to have no agent; not backed up",
        view="not-exported",
        power="deallocated",
        declared=False,
    ),
    # Machines that come and go
    Vm(
        "vmss-portal_8f3c21ab",
        PORTAL,
        "ubuntu",
        "2026-10-30T18:44:10",
        "not-applicable",
        "not-applicable",
        "made by a scale set from its profile",
        view="not-exported",
        more={
            "virtualMachineScaleSet": {
                "id": f"{PORTAL.id}/providers/Microsoft.Compute/virtualMachineScaleSets/vmss-portal"
            }
        },
    ),
    Vm(
        "portal-render-01",
        PORTAL,
        "ubuntu",
        "2025-08-19T16:09:33",
        "not-applicable",
        "not-applicable",
        "its OS disk is ephemeral",
        ephemeral=True,
    ),
    Vm(
        "5f0d2c7e9b1a4e3f8c6d7a2b1e0f9d34",
        DATABRICKS,
        "databricks",
        "2026-10-31T04:12:50",
        "not-applicable",
        "not-applicable",
        "worker of a Databricks workspace",
        view="not-exported",
        tags={"Vendor": "Databricks", "ClusterName": "job-eta-forecast", "ClusterId": "1014-041102-k3v9q8zt"},
    ),
    Vm(
        "aks-nodepool1-31842657-0",
        AKS,
        "aks",
        "2026-09-14T22:37:15",
        "not-applicable",
        "not-applicable",
        "node of an AKS cluster",
        view="not-exported",
        tags={
            "aks-managed-poolName": "nodepool1",
            "aks-managed-orchestrator": "Kubernetes:1.34.2",
            "aks-managed-createOperationID": "b0f6a1d2-57c3-4e98-8d14-6a2c9be70f35",
        },
    ),
    # Shared services
    Vm("dc-01", IDENTITY, "win2022", "2023-09-04T07:05:14", "pass", "pass", ORDINARY, data_disks=1),
    Vm("dc-02", IDENTITY, "win2022", "2023-09-04T07:21:58", "pass", "pass", ORDINARY, data_disks=1),
    Vm(
        "jump-01",
        OPERATIONS,
        "win11",
        "2024-09-17T11:53:26",
        "pass",
        "pass",
        "stopped but not deallocated, so its agent's last report still stands; protected",
        power="stopped",
    ),
    Vm("mon-01", OPERATIONS, "ubuntu", "2023-10-10T10:10:41", "pass", "pass", ORDINARY, data_disks=1),
    Vm(
        "fw-01",
        OPERATIONS,
        "appliance",
        "2023-10-12T16:34:00",
        "not-applicable",
        "pass",
        "backed up crash-consistently only, which needs no agent; protected",
        view="no-agent",
        declared=None,
    ),
    Vm(
        "licence-01",
        OPERATIONS,
        "rhel",
        "2025-11-05T09:29:13",
        "pass",
        "not-applicable",
        "declared without an agent, but one was installed and reports ready; protection was configured four hours ago",
        declared=False,
    ),
    Vm(
        "bld-01",
        BUILD,
        "ubuntu",
        "2026-10-31T23:15:02",
        "not-applicable",
        "not-applicable",
        "excluded by auditor.yaml",
        view="not-exported",
    ),
    Vm(
        "bld-02",
        BUILD,
        "win2022",
        "2026-10-31T23:15:44",
        "not-applicable",
        "not-applicable",
        "excluded by auditor.yaml",
    ),
    Vm(
        "customs-fr-01",
        CUSTOMS,
        "win2022",
        "2025-01-20T13:00:39",
        "pass",
        "pass",
        ORDINARY,
        tags={"responsable": "Équipe Douane, Réception à Gennevilliers"},
    ),
    Vm(
        "customs-fr-02",
        CUSTOMS,
        "rhel",
        "2025-01-20T13:18:07",
        "pass",
        "fail",
        "configured twelve days ago and still waiting for a first backup",
        tags={"responsable": "Équipe Douane, Réception à Gennevilliers"},
    ),
    # Test
    Vm(
        "tms-web-01",
        TMS_TEST,
        "win2022",
        "2024-04-15T08:12:31",
        "pass",
        "pass",
        "two items: stopped in the old vault, Protected in the new one, which counts",
    ),
    Vm(
        "tms-app-01",
        TMS_TEST,
        "ubuntu",
        "2024-04-15T08:15:52",
        "pass",
        "pass",
        "runs, but its instance view was not exported: rests on what was declared; protected",
        view="not-exported",
    ),
    Vm(
        "tms-load-01",
        TMS_TEST,
        "ubuntu",
        "",
        "pass",
        "fail",
        "deallocated: agent declared, not reported; not backed up, and no creation time means no grace",
        view="no-agent",
        power="deallocated",
    ),
    Vm("wms-app-01", WMS_TEST, "win2019", "2024-04-16T09:41:17", "pass", "pass", ORDINARY),
    Vm(
        "sbx-route-01",
        SANDBOX,
        "ubuntu",
        "2026-10-28T15:36:20",
        "pass",
        "fail",
        "agent declared, not reported; not backed up, and five days old",
        view="not-exported",
    ),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A backup item for a VM (a protected item), whatever became of either.

    Attributes:
        policy: the policy it is on, or was on until it was stopped or deleted.
        group: resource group of the VM when the item was made.
        history: one letter for each of the policy's last runs: Completed, CompletedWithWarnings, Failed, InProgress
            (``R``) or no run (``.``); empty stands for all Completed.
        state: ``protectionState``, or ``SoftDeleted``.
        events: other jobs: when and what.
        left_out: LUNs of disks that are not backed up.
        never: Azure answers the year 2001 for the last backup, although some were tried.
        graph_jobs: its jobs were exported from Resource Graph, which knows the VM of a job.
    """

    vm: str
    group: Group
    policy: Policy
    history: str = ""
    state: str = "Protected"
    health: str = "Passed"
    events: tuple[tuple[str, str], ...] = ()
    left_out: tuple[int, ...] = ()
    never: bool = False
    odd_case: bool = False
    graph_jobs: bool = False

    @property
    def live(self) -> bool:
        """Azure counts it among the policy's items."""
        return self.state in {"Protected", "IRPending"}

    @property
    def container(self) -> str:
        """Name of its container; Azure lower-cases the resource group in it."""
        return f"iaasvmcontainerv2;{self.group.name.lower()};{self.vm.lower()}"

    @property
    def id(self) -> str:
        """Its ARM id: most often with a capital S, as the backup service spells it."""
        fabric = "/backupFabrics/Azure/protectionContainers"
        vault = self.policy.vault.id if self.odd_case else self.policy.vault.backup_id
        return f"{vault}{fabric}/IaasVMContainer;{self.container}/protectedItems/VM;{self.container}"

    @property
    def source_id(self) -> str:
        """The VM's id as the item has it."""
        spelled = _vm_id(self.group, self.vm)
        return spelled.replace("/resourceGroups/", "/resourcegroups/").lower() if self.odd_case else spelled

    @property
    def runs(self) -> list[tuple[datetime, str]]:
        """When it was really backed up, and the letter of how that ended."""
        planned = self.policy.runs
        letters = self.history.rjust(len(planned), ".") if self.history else "C" * len(planned)
        late = _number(self.id, 47 * 60) + 60  # Azure starts scheduled backups up to two hours late
        return [(run + timedelta(seconds=late), x) for run, x in zip(planned, letters, strict=True) if x != "."]


ITEMS = (
    Item("tms-web-01", TMS, P_DAILY),
    Item("tms-web-02", TMS, P_DAILY, "CCCCFCCCCCCCCC"),
    Item("tms-app-01", TMS, P_4H_12H),
    Item("tms-app-02", TMS, P_4H_12H),
    Item("tms-sql-02", TMS, P_ENHANCED, left_out=(2,)),
    Item(
        "tms-batch-01",
        TMS,
        P_DAILY,
        "FFFFFF",
        health="ActionRequired",
        events=(("2026-10-27T09:15:04", "ConfigureBackup"),),
        never=True,
    ),
    Item("wms-db-01", WMS, P_ENHANCED, odd_case=True),
    Item("wms-app-01", WMS, P_DAILY),
    Item(
        "wms-app-02",
        WMS,
        P_DAILY,
        "CCC...........",
        state="ProtectionStopped",
        events=(("2026-10-22T13:40:55", "DisableBackup"),),
    ),
    Item("wms-print-01", WMS, P_DAILY, "WWWWWWWWWWWWWW", health="ActionSuggested"),
    Item("wms-scale-01", WMS, P_DAILY),
    Item("wms-kiosk-03", WMS, P_DAILY, "CCCCCFFFFFFFFF", health="ActionRequired"),
    Item("file-01", WMS, P_DAILY),
    Item("erp-app-01", ERP, P_DAILY, odd_case=True),
    Item("erp-app-02", ERP, P_DAILY),
    Item("erp-db-01", ERP, P_DAILY, "WWWWWWWFWWWWWW", health="ActionSuggested"),
    Item(
        "erp-archive-01",
        ERP,
        P_DAILY,
        "CCCCCCCCCC....",
        state="SoftDeleted",
        events=(("2026-10-29T10:02:41", "DeleteBackupData"),),
    ),
    Item("erp-report-01", ERP, P_DAILY),
    Item("edi-gw-01", EDI_BEFORE, P_DAILY, "CCCCCCCCFFFFFF", health="ActionRequired"),
    Item("dc-01", IDENTITY, P_4H_20H),
    Item("dc-02", IDENTITY, P_4H_20H),
    Item("jump-01", OPERATIONS, P_WEEKLY),
    Item("mon-01", OPERATIONS, P_WEEKLY),
    Item("fw-01", OPERATIONS, P_CRASH),
    Item(
        "licence-01",
        OPERATIONS,
        P_4H_20H,
        ".",
        state="IRPending",
        events=(("2026-11-02T01:42:18", "ConfigureBackup"),),
        never=True,
    ),
    Item("customs-fr-01", CUSTOMS, P_CUSTOMS, graph_jobs=True),
    Item(
        "customs-fr-02",
        CUSTOMS,
        P_CUSTOMS,
        "FFFFFFFFFFFF",
        state="IRPending",
        health="ActionRequired",
        events=(("2026-10-21T08:05:33", "ConfigureBackup"),),
        graph_jobs=True,
    ),
    Item("tms-web-01", TMS_TEST, P_TEST),
    Item("tms-web-01", TMS_TEST, P_TEST_BEFORE, state="ProtectionStopped"),
    Item("tms-app-01", TMS_TEST, P_TEST, "CCCCCCCCCCCCCR"),
    Item("wms-app-01", WMS_TEST, P_TEST),
    Item("tms-int-01", TMS_TEST, P_TEST_BEFORE, state="ProtectionStopped"),
)
STOPPED_BEFORE_THE_JOBS = "2026-08-12T04:11:09.5217346Z"
"""Last recovery point of what was stopped so long ago that none of the exported jobs tells of it."""


@dataclass(frozen=True, slots=True)
class Others:
    """Resources of which a rule says the same, other than of most: their ids, and why."""

    outcome: Outcome
    why: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a rule should make of most resources of a kind (``usual``), and of the others."""

    rule: str
    usual: Outcome
    why: str
    others: tuple[Others, ...] = ()


def _vms(group: Group, *names: str) -> tuple[str, ...]:
    """Give the ids of VMs of a group."""
    return tuple(_vm_id(group, name) for name in names)


OUT_OF_SCOPE = Others(
    "not-applicable",
    "out of scope",
    (
        *_vms(PORTAL, "vmss-portal_8f3c21ab", "portal-render-01"),
        *_vms(DATABRICKS, "5f0d2c7e9b1a4e3f8c6d7a2b1e0f9d34"),
        *_vms(AKS, "aks-nodepool1-31842657-0"),
        *_vms(BUILD, "bld-01", "bld-02"),
    ),
)
WITHOUT_ITEM = Others(
    "not-applicable",
    "no backup item",
    (
        *_vms(TMS, "tms-sql-01"),
        *_vms(EDI, "edi-gw-01", "file-01"),
        *_vms(DUBLIN, "dub-gate-01", "dub-gate-02", "dub-dispatch-01"),
        *_vms(TMS_TEST, "tms-load-01"),
        *_vms(SANDBOX, "sbx-route-01"),
    ),
)
UNUSED = Others("not-applicable", "protects no VM", (P_UNUSED.id, P_DUBLIN.id, P_DUBLIN_ENHANCED.id, P_TEST_BEFORE.id))
EMPTY = Others("not-applicable", "holds no backup of a VM", (V_DUBLIN.id,))
VERDICTS_ON_VMS = (
    Verdicts(
        "backup-on-schedule",
        "pass",
        "the newest recovery point is of the last planned run",
        (
            OUT_OF_SCOPE,
            WITHOUT_ITEM,
            Others("fail", "Protected for a week, and never backed up", _vms(TMS, "tms-batch-01")),
            Others(
                "not-applicable",
                "stopped or soft-deleted: no more backups are planned",
                (*_vms(WMS, "wms-app-02"), *_vms(ERP, "erp-archive-01")),
            ),
            Others(
                "not-applicable",
                "awaits its first backup, which is the business of vm-protected",
                (*_vms(OPERATIONS, "licence-01"), *_vms(CUSTOMS, "customs-fr-02")),
            ),
        ),
    ),
    Verdicts("backup-within-rpo", "not-applicable", "nobody set an objective"),
    Verdicts(
        "item-covers-all-disks",
        "unknown",
        "Resource Graph is not known to say that no disk is left out",
        (
            OUT_OF_SCOPE,
            WITHOUT_ITEM,
            Others("fail", "the third data disk (LUN 2) is excluded", _vms(TMS, "tms-sql-02")),
            Others(
                "pass",
                "az backup item list says it where disks are left out, and here it does not",
                (
                    *_vms(IDENTITY, "dc-01", "dc-02"),
                    *_vms(OPERATIONS, "jump-01", "mon-01", "fw-01", "licence-01"),
                    *_vms(TMS_TEST, "tms-web-01", "tms-app-01"),
                    *_vms(WMS_TEST, "wms-app-01"),
                ),
            ),
        ),
    ),
    Verdicts(
        "last-backup-succeeded",
        "pass",
        "completed, with warnings or without; while one runs, the one before it counts",
        (
            OUT_OF_SCOPE,
            WITHOUT_ITEM,
            Others("fail", "every backup so far failed", (*_vms(TMS, "tms-batch-01"), *_vms(CUSTOMS, "customs-fr-02"))),
            Others("unknown", "none was tried yet", _vms(OPERATIONS, "licence-01")),
        ),
    ),
    Verdicts(
        "vm-allows-extensions",
        "pass",
        "allowed, by itself or by Azure's default",
        (
            OUT_OF_SCOPE,
            Others(
                "fail",
                "the OS profile forbids them",
                (*_vms(DUBLIN, "dub-dispatch-01"), *_vms(OPERATIONS, "licence-01")),
            ),
            Others("not-applicable", "backed up crash-consistently only", _vms(OPERATIONS, "fw-01")),
        ),
    ),
    Verdicts(
        "item-healthy",
        "pass",
        "healthy, or with a suggestion at most, even where it is stopped",
        (
            OUT_OF_SCOPE,
            WITHOUT_ITEM,
            Others("fail", "action is required", (*_vms(TMS, "tms-batch-01"), *_vms(CUSTOMS, "customs-fr-02"))),
        ),
    ),
    Verdicts(
        "job-success-ratio",
        "pass",
        "at most one of 14 jobs failed; 13 with warnings and one failure pass as well",
        (
            OUT_OF_SCOPE,
            WITHOUT_ITEM,
            Others("fail", "every job failed", (*_vms(TMS, "tms-batch-01"), *_vms(CUSTOMS, "customs-fr-02"))),
            Others("not-applicable", "no backup job yet", _vms(OPERATIONS, "licence-01")),
        ),
    ),
    Verdicts(
        "vm-single-item",
        "pass",
        "one item that is not soft-deleted",
        (
            OUT_OF_SCOPE,
            WITHOUT_ITEM,
            Others("fail", "the stopped item in the old vault was left behind", _vms(TMS_TEST, "tms-web-01")),
        ),
    ),
)
VERDICTS_ON_POLICIES = (
    Verdicts(
        "policy-daily-retention",
        "pass",
        "30 or 35 days, or 26 weeks of a weekly policy",
        (UNUSED, Others("fail", "7 days", (P_TEST.id,))),
    ),
    Verdicts("policy-approved", "not-applicable", "no list of approved policies"),
    Verdicts("policy-long-term-retention", "not-applicable", "no months or years are asked for"),
)
VERDICTS_ON_VAULTS = (
    Verdicts(
        "vault-soft-delete",
        "pass",
        "enabled or always on, for 14 days or more",
        (EMPTY, Others("fail", "disabled", (V_TEST.id,))),
    ),
    Verdicts(
        "vault-failure-alerts",
        "pass",
        "alerts are enabled",
        (
            EMPTY,
            Others("fail", "alerts are disabled", (V_CUSTOMS.id,)),
            Others("unknown", "its monitoringSettings are null", (V_TEST.id,)),
        ),
    ),
    Verdicts(
        "vault-immutability",
        "fail",
        "disabled",
        (EMPTY, Others("pass", "Locked, or Unlocked", (V_PROD.id, V_SHARED.id))),
    ),
)
VERDICTS_ON_ITEMS = (
    Verdicts(
        "item-not-orphaned",
        "pass",
        "its VM exists, also where the item is stopped",
        (
            Others(
                "fail",
                "its VM is gone, or moved away",
                tuple(item.id for item in ITEMS if item.vm in ("wms-kiosk-03", "tms-int-01", "edi-gw-01")),
            ),
            Others("not-applicable", "soft-deleted", tuple(item.id for item in ITEMS if item.state == "SoftDeleted")),
        ),
    ),
)

SQL_DATABASES = ("tmsorders", "tmstariffs")
SQL_POLICY = f"{V_PROD.backup_id}/backupPolicies/HourlyLogBackup"


# --- The shapes Azure gives them ------------------------------------------------------------------------------------


def _guid(*names: str) -> UUID:
    """Give the GUID that stands for something: the same on every run."""
    return uuid5(NAMESPACE_DNS, "/".join((*names, "kestrelvik.example")))


def _number(name: str, below: int) -> int:
    """Give a number that looks arbitrary and is always the same for the same name."""
    return _guid("number", name).int % below


def _stamp(when: datetime, of: str) -> str:
    """Write a time as Azure does, with seven digits of a second."""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{_number(of + when.isoformat(), 10**7):07d}Z"


def _graph_row(arm_id: str, name: str, arm_type: str, location: str, more: Json) -> Json:
    """Give a row of Resource Graph, which lower-cases types and resource groups."""
    parts = arm_id.split("/")
    row: Json = {
        "id": arm_id,
        "name": name,
        "type": arm_type.lower(),
        "tenantId": TENANT,
        "kind": "",
        "location": location,
        "resourceGroup": "".join(parts[4:5]).lower(),
        "subscriptionId": parts[2],
        "managedBy": "",
        "sku": None,
        "plan": None,
        "tags": None,
        "identity": None,
        "zones": None,
        "extendedLocation": None,
    }
    return row | more


def _graph_answer(rows: Sequence[Json]) -> Json:
    """Give a whole answer of Resource Graph."""
    return {"totalRecords": len(rows), "count": len(rows), "resultTruncated": "false", "facets": [], "data": rows}


def _vm_tags(vm: Vm) -> dict[str, str] | None:
    """Give the tags that policy puts on every VM of an application, and the VM's own."""
    own = dict(vm.tags)
    if vm.group.application:
        stage = {PRODUCTION: "production", SHARED: "shared", TEST: "test"}[vm.group.subscription]
        own |= {"application": vm.group.application, "environment": stage}
    return own or None


def _os_profile(vm: Vm) -> Json | None:
    """Give the OS profile, which a VM made from an attached disk does not have."""
    if vm.image in ATTACHED:
        return None
    agent: Json = {} if vm.declared is None else {"provisionVMAgent": vm.declared}
    profile: Json = {
        "computerName": vm.name[:15],
        "adminUsername": "kvkadmin",
        "allowExtensionOperations": vm.declared is not False,
    }
    if vm.os == "Windows":
        return profile | {"windowsConfiguration": agent | {"enableAutomaticUpdates": True}}
    return profile | {"linuxConfiguration": agent | {"disablePasswordAuthentication": True}}


def _storage_profile(vm: Vm) -> Json:
    """Give the disks, and the image unless the OS disk was attached."""
    attached = vm.image in ATTACHED
    disks = f"{vm.group.id}/providers/Microsoft.Compute/disks/{vm.name}"
    os_disk: Json = {
        "name": f"{vm.name}-os",
        "osType": vm.os,
        "createOption": "Attach" if attached else "FromImage",
        "caching": "ReadWrite",
        "managedDisk": {"id": f"{disks}-os", "storageAccountType": "Premium_LRS"},
    }
    if vm.ephemeral:
        os_disk |= {"caching": "ReadOnly", "diffDiskSettings": {"option": "Local", "placement": "ResourceDisk"}}
    storage: Json = {
        "osDisk": os_disk,
        "dataDisks": [
            {
                "lun": lun,
                "name": f"{vm.name}-data{lun}",
                "createOption": "Attach",
                "diskSizeGB": 512,
                "managedDisk": {"id": f"{disks}-data{lun}"},
            }
            for lun in range(vm.data_disks)
        ],
    }
    if attached:
        return storage
    _, _, publisher, offer, sku = IMAGES[vm.image]
    return {"imageReference": {"publisher": publisher, "offer": offer, "sku": sku, "version": "latest"}} | storage


def _properties(vm: Vm) -> Json:
    """Give what Resource Graph and Compute say of a VM in the same words."""
    properties: Json = {
        "vmId": str(_guid(vm.id)),
        "hardwareProfile": {"vmSize": vm.size},
        "provisioningState": "Succeeded",
        "storageProfile": _storage_profile(vm),
    }
    profile = _os_profile(vm)
    return properties | ({"osProfile": profile} if profile else {}) | dict(vm.more)


def _power(vm: Vm) -> Json:
    """Give the power status."""
    return {"code": f"PowerState/{vm.power}", "level": "Info", "displayStatus": f"VM {vm.power}"}


def virtual_machines() -> Json:
    """Answer ``resources | where type =~ 'microsoft.compute/virtualmachines'``: all there is but the agent."""
    rows = []
    for vm in VMS:
        properties = _properties(vm) | {"extended": {"instanceView": {"powerState": _power(vm)}}}
        if vm.created:
            properties |= {"timeCreated": f"{vm.created}.{_number(vm.id, 10**7):07d}Z"}
        more: Json = {"properties": properties, "tags": _vm_tags(vm)}
        rows.append(_graph_row(vm.id, vm.name, "Microsoft.Compute/virtualMachines", vm.group.location, more))
    return _graph_answer(rows)


def _agent(vm: Vm) -> Json:
    """Give what the agent of a VM reports."""
    silent = timedelta(days=3 if vm.power == "stopped" else 0)
    reported = AS_OF - silent - timedelta(seconds=60 + _number(vm.id, 900))
    status: Json = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Ready",
        "message": "The agent runs and takes new configurations.",
        "time": f"{reported:%Y-%m-%dT%H:%M:%S}+00:00",
    }
    version = "2.7.41491.1183" if vm.os == "Windows" else "2.14.0.1"
    if vm.view == "not-ready":
        version = "Unknown"
        status |= {
            "code": "ProvisioningState/Unavailable",
            "level": "Warning",
            "displayStatus": "Not Ready",
            "message": "Nothing was heard from the agent.",
        }
    return {"vmAgentVersion": version, "extensionHandlers": [], "statuses": [status]}


def _instance_view(vm: Vm) -> Json:
    """Give an instance view; ``az`` writes null for the agent of a machine that runs without one."""
    done: Json = {
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "time": "2026-10-18T03:00:12.402+00:00",
    }
    view: Json = {"hyperVGeneration": "V2", "statuses": [done, _power(vm)]}
    if vm.view == "no-agent":
        return view | ({"vmAgent": None} if vm.power == "running" else {})
    return {"computerName": vm.name[:15], "vmAgent": _agent(vm)} | view


def instance_views() -> list[Json]:
    """Answer ``az vm get-instance-view``, called for most of the running VMs: flat, with nulls and another spelling."""
    rows: list[Json] = []
    for vm in VMS:
        if vm.view == "not-exported":
            continue
        properties = _properties(vm)
        time = f"{vm.created}.{_number(vm.id, 10**7) // 10:06d}+00:00"  # cut to six digits: Python has no more
        rows.append(
            {
                "id": vm.other_id,
                "name": vm.name.upper() if vm.odd_case else vm.name,
                "type": "Microsoft.Compute/virtualMachines",
                "location": vm.group.location,
                "resourceGroup": vm.group.name.upper() if vm.odd_case else vm.group.name,
                "identity": None,
                "instanceView": _instance_view(vm),
                "licenseType": None,
                "osProfile": None,
                "tags": _vm_tags(vm),
                "timeCreated": time if vm.created else None,
                "virtualMachineScaleSet": None,
                "zones": None,
            }
            | properties
            | {"storageProfile": {"imageReference": None} | _storage_profile(vm)}
        )
    return rows


def vaults() -> list[Json]:
    """Answer ``az backup vault list``, called in each subscription."""
    rows: list[Json] = []
    for vault in VAULTS:
        days = vault.soft_delete[1]
        properties: Json = {
            "backupStorageVersion": "V2",
            "bcdrSecurityLevel": vault.security_level,
            "encryption": None,
            "monitoringSettings": None,
            "moveDetails": None,
            "privateEndpointConnections": [],
            "privateEndpointStateForBackup": "None" if vault.public else "Enabled",
            "privateEndpointStateForSiteRecovery": "None",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled" if vault.public else "Disabled",
            "restoreSettings": {
                "crossSubscriptionRestoreSettings": {
                    "crossSubscriptionRestoreState": "Disabled" if vault.guarded else "Enabled"
                }
            },
            "securitySettings": {
                "immutabilitySettings": {"state": vault.immutability},
                "multiUserAuthorization": "Enabled" if vault.guarded else "Disabled",
                "softDeleteSettings": {
                    "enhancedSecurityState": vault.soft_delete[0],
                    "softDeleteRetentionPeriodInDays": days,
                    "softDeleteState": vault.soft_delete[0],
                },
            },
        }
        if vault.alerts is not None:
            alerts = "Enabled" if vault.alerts else "Disabled"
            properties["monitoringSettings"] = {
                "azureMonitorAlertSettings": {"alertsForAllFailoverIssues": alerts, "alertsForAllJobFailures": alerts},
                "classicAlertSettings": {"alertsForCriticalOperations": "Disabled"},
            }
        if vault.told:
            properties["redundancySettings"] = {
                "crossRegionRestore": "Enabled" if vault.cross_region_restore else "Disabled",
                "standardTierStorageRedundancy": vault.redundancy,
            }
        rows.append(
            {
                "etag": None,
                "id": vault.id,
                "identity": None,
                "location": vault.location or vault.group.location,
                "name": vault.name,
                "properties": properties,
                "resourceGroup": vault.group.name,
                "sku": {"name": "RS0", "tier": "Standard"},
                "tags": dict(vault.tags),
                "type": "Microsoft.RecoveryServices/vaults",
            }
        )
    return rows


def scale_sets() -> list[Json]:
    """Give the scale sets: one that makes its members from a profile."""
    return [
        {
            "id": f"{PORTAL.id}/providers/Microsoft.Compute/virtualMachineScaleSets/vmss-portal",
            "name": "vmss-portal",
            "type": "Microsoft.Compute/virtualMachineScaleSets",
            "location": "westeurope",
            "resourceGroup": PORTAL.name,
            "sku": {"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 1},
            "orchestrationMode": "Flexible",
            "provisioningState": "Succeeded",
            "virtualMachineProfile": {
                "priority": "Regular",
                "storageProfile": {"osDisk": {"createOption": "FromImage", "osType": "Linux"}},
            },
            "tags": {"application": "customer-portal"},
        }
    ]


def storage_configs() -> list[Json]:
    """Give the storage configurations of the vaults that were asked for theirs."""
    return [
        {
            "id": f"{vault.id}/backupstorageconfig/vaultstorageconfig",
            "name": "vaultstorageconfig",
            "type": "Microsoft.RecoveryServices/vaults/backupstorageconfig",
            "properties": {
                "storageModelType": vault.redundancy,
                "storageType": vault.redundancy,
                "storageTypeState": vault.lock,
                "crossRegionRestoreFlag": vault.cross_region_restore,
                "dedupState": "Disabled",
                "xcoolState": "Disabled",
            },
        }
        for vault in VAULTS
        if vault.lock
    ]


def _retention(policy: Policy) -> Json:
    """Give the retention of a policy, with a schedule for each unit it keeps backups in."""
    days, weeks, months, years = policy.keep
    times = [f"2026-01-12T{policy.schedule.at}:00Z"]  # Azure wants those of the schedule
    first_sunday = {"daysOfTheWeek": ["Sunday"], "weeksOfTheMonth": ["First"]}
    retention: Json = {"retentionPolicyType": "LongTermRetentionPolicy"}
    if days:
        duration: Json = {"count": days, "durationType": "Days"}
        retention["dailySchedule"] = {"retentionTimes": times, "retentionDuration": duration}
    if weeks:
        retention["weeklySchedule"] = {
            "daysOfTheWeek": ["Sunday"],
            "retentionTimes": times,
            "retentionDuration": {"count": weeks, "durationType": "Weeks"},
        }
    if months:
        retention["monthlySchedule"] = {
            "retentionScheduleFormatType": "Weekly",
            "retentionScheduleWeekly": first_sunday,
            "retentionTimes": times,
            "retentionDuration": {"count": months, "durationType": "Months"},
        }
    if years:
        retention["yearlySchedule"] = {
            "retentionScheduleFormatType": "Weekly",
            "monthsOfYear": ["January"],
            "retentionScheduleWeekly": first_sunday,
            "retentionTimes": times,
            "retentionDuration": {"count": years, "durationType": "Years"},
        }
    return retention


def _sql_policy() -> Json:
    """Give the policy for databases that Azure puts into a vault by itself; no rule about VMs may look at it."""
    daily: Json = {
        "retentionTimes": ["2026-01-12T19:30:00Z"],
        "retentionDuration": {"count": 30, "durationType": "Days"},
    }
    return {
        "backupManagementType": "AzureWorkload",
        "workLoadType": "SQLDataBase",
        "settings": {"timeZone": "UTC", "issqlcompression": False, "isCompression": False},
        "subProtectionPolicy": [
            {
                "policyType": "Full",
                "schedulePolicy": _standard("19:30").body,
                "retentionPolicy": {"retentionPolicyType": "LongTermRetentionPolicy", "dailySchedule": daily},
            },
            {
                "policyType": "Log",
                "schedulePolicy": {"schedulePolicyType": "LogSchedulePolicy", "scheduleFrequencyInMins": 60},
                "retentionPolicy": {
                    "retentionPolicyType": "SimpleRetentionPolicy",
                    "retentionDuration": {"count": 30, "durationType": "Days"},
                },
            },
        ],
        "protectedItemsCount": len(SQL_DATABASES),
    }


def backup_policies() -> Json:
    """Give the list answers of all vaults' policies, put together."""
    bodies: list[tuple[str, Json]] = [(SQL_POLICY, _sql_policy())]
    for policy in POLICIES:
        body: Json = {
            "backupManagementType": "AzureIaasVM",
            "instantRPDetails": {},
            "schedulePolicy": policy.schedule.body,
            "retentionPolicy": _retention(policy),
            "instantRpRetentionRangeInDays": policy.snapshots,
            "timeZone": policy.time_zone,
            "protectedItemsCount": sum(item.policy is policy and item.live for item in ITEMS),
        }
        bodies.append((policy.id, body | dict(policy.more)))
    kind = "Microsoft.RecoveryServices/vaults/backupPolicies"
    return {
        "value": [
            {"id": arm_id, "name": arm_id.rpartition("/")[2], "type": kind, "properties": body}
            for arm_id, body in bodies
        ]
    }


STATUS = {"C": "Completed", "W": "CompletedWithWarnings", "F": "Failed", "R": "InProgress"}


def _item_state(item: Item) -> Json:
    """Give the words for an item's state: those of the backup service and those of Resource Graph.

    Both keep their own; that a soft-deleted item says ProtectionStopped and Healthy is no mistake of this file. While
    the first backup is awaited, Resource Graph's own word is left out: which one it uses is not documented.
    """
    state: Json = {
        "protectionState": "ProtectionStopped" if item.state == "SoftDeleted" else item.state,
        "currentProtectionState": "ProtectionConfigured" if item.state == "Protected" else item.state,
        "protectionStatus": "Healthy" if item.health == "Passed" else "Unhealthy",
        "healthStatus": item.health,
        "isScheduledForDeferredDelete": item.state == "SoftDeleted",
        "policyId": item.policy.id if item.live else "",
        "policyName": item.policy.name if item.live else "",
    }
    if item.state == "IRPending":
        del state["currentProtectionState"]
    if item.state == "SoftDeleted":
        state |= {"deferredDeleteTimeInUTC": item.events[0][0] + "Z", "isDeferredDeleteScheduleUpcoming": False}
    return state


def _item_history(item: Item) -> Json:
    """Give when an item was last backed up; the year 2001 is Azure's way to say never."""
    good = [run for run, letter in item.runs if letter in "CW"]
    history: Json = {"lastBackupStatus": "", "lastBackupTime": "2001-01-01T00:00:00Z"}
    if item.runs:
        last, letter = item.runs[-1]
        history["lastBackupStatus"] = STATUS[letter]
        if not item.never:
            history["lastBackupTime"] = _stamp(last, item.id)
    if good:
        history["lastRecoveryPoint"] = _stamp(good[-1] + timedelta(seconds=4), item.id)
    if item.state == "ProtectionStopped" and not item.runs:
        history = {
            "lastBackupStatus": "Completed",
            "lastBackupTime": STOPPED_BEFORE_THE_JOBS,
            "lastRecoveryPoint": STOPPED_BEFORE_THE_JOBS,
        }
    return history


def _vm_item(item: Item) -> Json:
    """Give the row of a VM's backup item."""
    properties: Json = {
        "protectedItemType": "Microsoft.Compute/virtualMachines",
        "backupManagementType": "AzureIaasVM",
        "workloadType": "VM",
        "friendlyName": item.vm,
        "containerName": item.container,
        "sourceResourceId": item.source_id,
        "vaultId": item.policy.vault.id,
    }
    properties |= _item_state(item) | _item_history(item)
    if item.left_out:
        disks: Json = {"diskLunList": list(item.left_out), "isInclusionList": False}
        properties["extendedProperties"] = {"diskExclusionProperties": disks}
    kind = "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"
    name = f"VM;{item.container}"
    return _graph_row(item.id, name, kind, item.policy.vault.group.location, {"properties": properties})


def _sql_item(database: str) -> Json:
    """Give the row of a database that is backed up inside a VM, and names that VM as its source."""
    vm = _vm_id(TMS, "tms-sql-01")
    name = f"SQLDataBase;mssqlserver;{database}"
    container = f"VMAppContainer;Compute;{TMS.name};tms-sql-01"
    fabric = f"{V_PROD.backup_id}/backupFabrics/Azure/protectionContainers/{container}/protectedItems/{name}"
    latest = _stamp(datetime.fromisoformat("2026-11-02T05:03:00+00:00"), database)
    properties: Json = {
        "protectedItemType": "AzureVmWorkloadSQLDatabase",
        "backupManagementType": "AzureWorkload",
        "workloadType": "SQLDataBase",
        "friendlyName": database,
        "parentName": "MSSQLSERVER",
        "serverName": "tms-sql-01",
        "containerName": container,
        "sourceResourceId": vm,
        "dataSourceId": vm,
        "protectionState": "Protected",
        "currentProtectionState": "ProtectionConfigured",
        "protectionStatus": "Healthy",
        "healthStatus": "Passed",
        "isScheduledForDeferredDelete": False,
        "policyId": SQL_POLICY,
        "policyName": "HourlyLogBackup",
        "lastBackupStatus": "Healthy",
        "lastBackupTime": latest,
        "lastRecoveryPoint": latest,
        "vaultId": V_PROD.id,
    }
    kind = "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems"
    return _graph_row(fabric, name, kind, V_PROD.group.location, {"properties": properties})


def protected_items() -> Json:
    """Answer ``recoveryservicesresources | where type =~ '.../protecteditems'``: of two regions, of all workloads."""
    rows = [_vm_item(item) for item in ITEMS if item.policy.vault not in LISTED]
    return _graph_answer([*rows, *map(_sql_item, SQL_DATABASES)])


LISTED = (V_SHARED, V_TEST, V_TEST_BEFORE)
"""Vaults whose items were exported with ``az backup item list``."""


def listed_items() -> list[Json]:
    """Answer ``az backup item list`` for some vaults: without the words of Resource Graph."""
    rows: list[Json] = []
    for item in ITEMS:
        if item.policy.vault in LISTED:
            row = _vm_item(item)
            properties = row["properties"]
            assert isinstance(properties, dict)
            properties.pop("currentProtectionState", None)
            rows.append(
                {
                    "id": item.id,
                    "name": row["name"],
                    "type": "Microsoft.RecoveryServices/vaults/backupFabrics/protectionContainers/protectedItems",
                    "location": None,
                    "properties": properties,
                    "resourceGroup": item.policy.vault.group.name,
                    "tags": None,
                }
            )
    return rows


ERRORS = {
    "W": (400531, "UserErrorGuestAgentStatusUnavailable", "The snapshot was taken without the help of the VM's agent."),
    "F": (400227, "ExtensionSnapshotFailedNoNetwork", "The backup extension on the VM could not be reached."),
}
MINUTES = {"Backup": 41, "ConfigureBackup": 1, "DisableBackup": 1, "DeleteBackupData": 3}


def _job(item: Item, start: datetime, operation: str, letter: str) -> tuple[datetime, Json]:
    """Give a job of a VM's item, and when it started: as the backup service tells it, or as Resource Graph does."""
    vault = item.policy.vault
    key = str(_guid("job", item.id, start.isoformat()))
    seconds = MINUTES[operation] * 60 + _number(key, 1500 if operation == "Backup" else 50)
    properties: Json = {
        "backupManagementType": "AzureIaasVM",
        "operation": operation,
        "status": STATUS[letter],
        "entityFriendlyName": item.vm,
        "containerName": item.container,
        "startTime": _stamp(start, item.id),
    }
    if letter != "R":
        properties["endTime"] = _stamp(start + timedelta(seconds=seconds), key)
    if letter in ERRORS:
        code, title, text = ERRORS[letter]
        properties["errorDetails"] = [{"errorCode": code, "errorTitle": title, "errorString": text}]
    kind = "Microsoft.RecoveryServices/vaults/backupJobs"
    arm_id = f"{vault.backup_id}/backupJobs/{key}"
    if item.graph_jobs:
        row = _graph_row(arm_id, key, kind, vault.group.location, {})
        properties["dataSourceId"] = item.source_id
        return start, {k: v for k, v in row.items() if v} | {"properties": properties}
    return start, {"id": arm_id, "name": key, "type": kind, "properties": properties}


def _sql_job(database: str) -> tuple[datetime, Json]:
    """Give last night's full backup of a database, which no count of VM backups may take in."""
    start = datetime.fromisoformat("2026-11-01T19:31:00+00:00") + timedelta(seconds=_number(database, 90))
    key = str(_guid("job", database))
    properties: Json = {
        "backupManagementType": "AzureWorkload",
        "workloadType": "SQLDataBase",
        "operation": "Backup (Full)",
        "status": "Completed",
        "entityFriendlyName": f"{database} [tms-sql-01]",
        "startTime": _stamp(start, key),
        "endTime": _stamp(start + timedelta(minutes=11), key),
    }
    kind = "Microsoft.RecoveryServices/vaults/backupJobs"
    return start, {"id": f"{V_PROD.backup_id}/backupJobs/{key}", "name": key, "type": kind, "properties": properties}


def backup_jobs() -> list[Json]:
    """Give the jobs of the last 14 days, newest first: lists of the vaults and rows of Resource Graph, mixed."""

    def all_jobs() -> Iterator[tuple[datetime, Json]]:
        for item in ITEMS:
            for run, letter in item.runs:
                yield _job(item, run, "Backup", letter)
            for when, operation in item.events:
                yield _job(item, datetime.fromisoformat(when + "+00:00"), operation, "C")
        yield from map(_sql_job, SQL_DATABASES)

    return [job for _, job in sorted(all_jobs(), key=lambda pair: pair[0], reverse=True)]


def resource_groups() -> Json:
    """Answer ``resourcecontainers | where type =~ 'microsoft.resources/subscriptions/resourcegroups'``."""
    rows = []
    for group in GROUPS:
        more: Json = {"properties": {"provisioningState": "Succeeded"}, "managedBy": group.managed_by}
        if group.application:
            more["tags"] = {"application": group.application}
        kind = "Microsoft.Resources/subscriptions/resourceGroups"
        rows.append(_graph_row(group.id, group.name, kind, group.location, more))
    return _graph_answer(rows)


def subscriptions() -> Json:
    """Answer ``resourcecontainers | where type =~ 'microsoft.resources/subscriptions'``."""
    rows = []
    for guid, (name, parent) in SUBSCRIPTIONS.items():
        above = (parent, ("mg-kestrelvik", "Kestrelvik Freight"), (TENANT, "Tenant Root Group"))
        properties: Json = {
            "state": "Enabled",
            "managementGroupAncestorsChain": [{"name": mg, "displayName": shown} for mg, shown in above],
        }
        more: Json = {"properties": properties}
        rows.append(_graph_row(f"/subscriptions/{guid}", name, "Microsoft.Resources/subscriptions", "", more))
    return _graph_answer(rows)


def expected() -> dict[str, dict[str, Outcome]]:
    """Give the outcome that each rule should come to, by lower-cased resource id."""
    return {
        "policy-runs-per-day": {policy.id.lower(): policy.expected for policy in POLICIES},
        "vault-redundancy-matches-intent": {vault.id.lower(): vault.expected for vault in VAULTS},
        "vm-exclusion-is-exempted": {vm.id.lower(): "not-applicable" for vm in VMS},  # nobody uses the tag
        "vm-agent-installed": {vm.id.lower(): vm.agent for vm in VMS},
        "vm-protected": {vm.id.lower(): vm.protected for vm in VMS},
        **_by_id(VERDICTS_ON_VMS, [vm.id for vm in VMS]),
        **_by_id(VERDICTS_ON_POLICIES, [policy.id for policy in POLICIES]),
        **_by_id(VERDICTS_ON_VAULTS, [vault.id for vault in VAULTS]),
        **_by_id(VERDICTS_ON_ITEMS, [item.id for item in ITEMS]),
    }


def _by_id(verdicts: Sequence[Verdicts], ids: Sequence[str]) -> dict[str, dict[str, Outcome]]:
    """Give the outcome of each rule for each of some resources."""
    return {
        entry.rule: {arm_id.lower(): entry.usual for arm_id in ids}
        | {arm_id.lower(): others.outcome for others in entry.others for arm_id in others.ids}
        for entry in verdicts
    }


CAST = ("<!-- cast: written by make_estate.py -->\n", "<!-- end of cast -->\n")


def _cast() -> Iterator[str]:
    """Give the tables of README.md, line by line: vaults, policies, and the VMs there is something to say about."""
    yield "**vault-redundancy-matches-intent**\n\n| vault | expected | because |\n|---|---|---|\n"
    for vault in VAULTS:
        yield f"| {vault.name} | {vault.expected} | {vault.why} |\n"
    yield "\n**policy-runs-per-day**\n\n| policy | in vault | expected | because |\n|---|---|---|---|\n"
    for policy in POLICIES:
        yield f"| {policy.name} | {policy.vault.name} | {policy.expected} | {policy.why} |\n"
    yield "\n**vm-agent-installed** and **vm-protected**\n\n"
    yield "| VM | in group | vm-agent-installed | vm-protected | because |\n|---|---|---|---|---|\n"
    for vm in VMS:
        if vm.why != ORDINARY:
            yield f"| {vm.name} | {vm.group.name} | {vm.agent} | {vm.protected} | {vm.why} |\n"
    others = sum(vm.why == ORDINARY for vm in VMS)
    yield f"\nThe other {others} VMs pass both: their agent reports ready and they are protected.\n"
    yield "\n**The other rules**\n\n| rule | expected | of | because |\n|---|---|---|---|\n"
    for verdicts in (*VERDICTS_ON_VMS, *VERDICTS_ON_POLICIES, *VERDICTS_ON_VAULTS, *VERDICTS_ON_ITEMS):
        yield f"| {verdicts.rule} | {verdicts.usual} | most | {verdicts.why} |\n"
        for entry in verdicts.others:
            if entry not in (OUT_OF_SCOPE, WITHOUT_ITEM, UNUSED, EMPTY):
                names = ", ".join(arm_id.rpartition("/")[2].rpartition(";")[2] for arm_id in entry.ids)
                yield f"| | {entry.outcome} | {names} | {entry.why} |\n"
    yield "\nNot applicable besides: VMs out of scope; to rules about backups, VMs without an item; policies that\n"
    yield "protect no VM; vaults that hold no backup of one.\n"


def readme() -> str:
    """Give README.md with its tables brought up to date; the rest of the page is written by hand."""
    before, start, rest = (HERE / "README.md").read_text(encoding="utf-8").partition(CAST[0])
    _, end, after = rest.partition(CAST[1])
    return "".join((before, start, "\n", *_cast(), "\n", end, after))


# --- Files ----------------------------------------------------------------------------------------------------------


def _pretty(value: object) -> str:
    """Write JSON to be read and compared by people."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _lines(rows: Sequence[Json]) -> str:
    """Write JSON objects one to a line."""
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def files() -> dict[str, str]:
    """Give every generated file: its path below this folder, and its text."""
    return {
        "README.md": readme(),
        "estate/backup-jobs.ndjson": _lines(backup_jobs()),
        "estate/backup-policies.json": _pretty(backup_policies()),
        "estate/instance-views.json": _pretty(instance_views()),
        "estate/backup-items.json": _pretty(listed_items()),
        "estate/protected-items.json": _pretty(protected_items()),
        "estate/resource-groups.json": _pretty(resource_groups()),
        "estate/scale-sets.json": _pretty(scale_sets()),
        "estate/storage-configs.json": _pretty(storage_configs()),
        "estate/subscriptions.json": _pretty(subscriptions()),
        "estate/vaults.json": _pretty(vaults()),
        "estate/virtual-machines.json": _pretty(virtual_machines()),
        "expected.json": _pretty(expected()),
    }


def _is_current(path: Path, text: str) -> bool:
    """Tell whether a file holds exactly this text."""
    return path.is_file() and path.read_bytes() == text.encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` name those that are not as they would be written."""
    parser = argparse.ArgumentParser(description="Write the example estate beside this script.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check: bool = parser.parse_args(arguments).check
    stale = {name: text for name, text in files().items() if not _is_current(HERE / name, text)}
    for name, text in stale.items():
        if not check:
            (HERE / name).parent.mkdir(exist_ok=True)
            (HERE / name).write_bytes(text.encode())
        sys.stdout.write(f"{'out of date' if check else 'wrote'}: {name}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
