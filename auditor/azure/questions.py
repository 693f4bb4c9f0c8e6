"""Questions that Azure takes by POST, although they change nothing."""

import re
from typing import Any

import msgspec

from auditor.arm_id import parse_arm_id
from auditor.azure.calls import Caller, Failure, Pace
from auditor.remediation import requests

_LOCATIONS = r"/subscriptions/[^/]+/(resourceGroups/[^/]+/)?providers/Microsoft\.RecoveryServices/locations/[^/]+"
# The pipeline lets nothing else through.
QUESTIONS = re.compile(
    _LOCATIONS + "/(backupStatus|backupPreValidateProtection|backupValidateFeatures|checkNameAvailability)",
    re.IGNORECASE,
)


class Status(msgspec.Struct, frozen=True):
    """Where a VM is protected: https://learn.microsoft.com/rest/api/backup/backup-status/get."""

    status: Any = msgspec.field(name="protectionStatus", default="")
    vault: Any = msgspec.field(name="vaultId", default="")

    @property
    def protected(self) -> bool:
        """Whether it is protected anywhere, or is about to be."""
        return str(self.status) in ("Protected", "Protecting", "ProtectionFailed")


def backup_status(caller: Caller, vm_id: str, location: str, pace: Pace) -> Status | Failure:
    """Ask where a VM is protected, in whatever vault and subscription; raises as ``Caller.get`` does."""
    path = f"{locations_of(vm_id)}/{location}/backupStatus"
    body = {"resourceType": "VM", "resourceId": vm_id}
    got = caller.ask(path, requests.BACKUP_VERSION, body, pace, msgspec.json.Decoder(Status).decode)
    if isinstance(got, Failure):
        return got
    status: Status = got.content
    return status


def locations_of(arm_id: str) -> str:
    """Return the path of the provider's regions in the subscription of a resource."""
    return f"/subscriptions/{subscription_of(arm_id)}/providers/{requests.PROVIDER}/locations"


def subscription_of(arm_id: str) -> str:
    """Return the subscription that a resource is in; empty where it is in none."""
    parsed = parse_arm_id(arm_id)
    return parsed.subscription if parsed is not None and parsed.subscription is not None else ""
