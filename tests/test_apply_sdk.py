"""What Microsoft's own clients send for the steps of a plan is what applying the plan sends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import wanting
from applying import planned, stood
from arm import Arm
from azure.identity import ClientSecretCredential
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.recoveryservices.models import PatchVault, Vault
from azure.mgmt.recoveryservicesbackup import RecoveryServicesBackupClient
from azure.mgmt.recoveryservicesbackup.models import (
    BackupRequestResource,
    ProtectedItemResource,
    ProtectionPolicyResource,
)
from building import SUBSCRIPTION
from wanting import Wanting

from auditor.remediation.model import Step


@contextmanager
def clients(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    for name, value in arm.environment.items():
        monkeypatch.setenv(name, value)
    said = arm.environment
    who = (said["AZURE_TENANT_ID"], said["AZURE_CLIENT_ID"], said["AZURE_CLIENT_SECRET"])
    options: dict[str, Any] = {"base_url": arm.url, "polling_interval": 0}
    with (
        ClientSecretCredential(*who, authority=arm.url, disable_instance_discovery=True) as credential,
        RecoveryServicesClient(credential, SUBSCRIPTION, **options) as vaults,
        RecoveryServicesBackupClient(credential, SUBSCRIPTION, **options) as backup,
    ):
        yield vaults, backup


def send(step: Step, vaults: Any, backup: Any) -> None:
    """Do a step by the SDK, its body taken through the SDK's own models."""
    assert step.request is not None
    parts, body = step.request.path.split("/"), step.request.body or {}
    group, vault = parts[4], parts[8]
    match step.kind:
        case "CreateVault":
            vaults.vaults.begin_create_or_update(group, vault, Vault(body)).result()
        case "SetRedundancy" | "SetVaultProtection":
            vaults.vaults.begin_update(group, vault, PatchVault(body)).result()
        case "DefinePolicy":
            backup.protection_policies.create_or_update(vault, group, parts[10], ProtectionPolicyResource(body))
        case "EnableProtection" | "AssignPolicy":
            names = (vault, group, parts[10], parts[12], parts[14])
            backup.protected_items.begin_create_or_update(*names, ProtectedItemResource(body)).result()
        case _:
            assert step.kind == "TriggerBackup"
            names = (vault, group, parts[10], parts[12], parts[14])
            backup.backups.trigger(*names, BackupRequestResource(body))


@pytest.mark.parametrize("make", [wanting.unprotected, wanting.in_place, wanting.policies])
def test_the_sdk_sends_the_same(make: Callable[[], Wanting], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(make)
    with stood(make, operation_seconds=0) as standing:
        standing.apply()
        ours = sorted(standing.accepted())
    with stood(make, operation_seconds=0) as standing, clients(standing.arm, monkeypatch) as (vaults, backup):
        for step in plan.automatic:
            send(step, vaults, backup)
        theirs = sorted(standing.accepted())
    assert len(ours) == len(plan.automatic)
    assert [entry[:2] for entry in ours] == [entry[:2] for entry in theirs]
    for (_, path, mine), (_, _, its) in zip(ours, theirs, strict=True):
        assert mine == its, path
