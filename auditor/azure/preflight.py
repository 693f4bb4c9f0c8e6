"""Steps of a plan -> what Azure itself has against them, before anybody relies on the plan.

Nothing is changed by asking. Some of these questions are POSTs that a Reader may not send; what is refused is said.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from auditor.arm_id import parse_arm_id
from auditor.azure.calls import Caller, Failure, Pace
from auditor.azure.lists import read_list
from auditor.azure.pace import Rate
from auditor.azure.questions import backup_status, locations_of, subscription_of
from auditor.azure.workers import each
from auditor.remediation import requests
from auditor.remediation.model import Checked, Step, step_id
from auditor.text import fold, visible

LOCKS_VERSION, ASSIGNMENTS_VERSION = "2016-09-01", "2022-06-01"
_WORKERS = 10
_PER_SECOND = 20.0
# Built-in definitions that enable backup by themselves, and then fight with a plan over the vault.
# https://learn.microsoft.com/azure/backup/backup-azure-auto-enable-backup
_ENABLING = {
    "09ce66bc-1220-4153-8104-e3f51c936913",
    "345fa903-145c-4fe1-8bcd-93ec2adccde8",
    "83644c87-93dd-49fe-bf9f-6aff8fd0834e",
    "98d0b9f8-fd90-49c9-88e2-d3baf3b0dd86",
}


_Size: TypeAlias = tuple[str, str, str]


class _Validation(msgspec.Struct, frozen=True):
    status: Any = ""
    code: Any = msgspec.field(name="errorCode", default="")
    message: Any = msgspec.field(name="errorMessage", default="")


class _Support(msgspec.Struct, frozen=True):
    status: Any = msgspec.field(name="supportStatus", default="")


class _Name(msgspec.Struct, frozen=True):
    free: bool = msgspec.field(name="nameAvailable")
    message: Any = ""


class _Provider(msgspec.Struct, frozen=True):
    state: Any = msgspec.field(name="registrationState", default="")


class _LockProperties(msgspec.Struct, frozen=True):
    level: Any = ""


class _Lock(msgspec.Struct, frozen=True):
    id: str
    properties: _LockProperties = _LockProperties()


class _AssignmentProperties(msgspec.Struct, frozen=True):
    definition: Any = msgspec.field(name="policyDefinitionId", default="")
    scope: Any = ""


class _Assignment(msgspec.Struct, frozen=True):
    name: str = ""
    properties: _AssignmentProperties = _AssignmentProperties()


class Preflight:
    """Asks Azure about the steps of one plan."""

    def __init__(self, caller: Caller, sizes: Mapping[str, tuple[str | None, str | None]]) -> None:
        """Begin with nothing asked.

        Args:
            caller: who asks; its session lets questions through.
            sizes: region and size of each VM by folded id.
        """
        self._caller = caller
        self._sizes = sizes
        self._rates: defaultdict[str, Rate] = defaultdict(lambda: Rate(_PER_SECOND, caller.timing))
        self._vetoes: dict[str, str] = {}
        self._notes: defaultdict[str, list[str]] = defaultdict(list)
        self._unchecked: dict[str, None] = {}

    def check(self, steps: Sequence[Step]) -> Checked:
        """Ask everything that may be asked; raises as ``Caller.get`` does."""
        by_subscription: defaultdict[str, list[Step]] = defaultdict(list)
        for step in steps:
            by_subscription[subscription_of(step.target)].append(step)
        more: list[Step] = []
        for subscription, several in by_subscription.items():
            self._rates[subscription]
            more += self._registration(subscription)
            self._locks(subscription, several)
            self._assignments(subscription, several)
        questions = [question for step in steps for question in self._questions(step) if step.id not in self._vetoes]
        by_size: defaultdict[_Size, list[Step]] = defaultdict(list)
        for step in steps:
            if (size := self._size(step)) is not None:
                by_size[size].append(step)
        for size, why in each(self._unsupported, list(by_size), _WORKERS, self._caller.timing):
            for step in by_size[size] if why else ():
                self._vetoes.setdefault(step.id, why)
        for ask in each(lambda question: question(), questions, _WORKERS, self._caller.timing):
            ask()
        return Checked(vetoes=self._vetoes, notes=dict(self._notes), more=more, unchecked=list(self._unchecked))

    def _questions(self, step: Step) -> Iterator[Callable[[], Callable[[], None]]]:
        """Yield what is to be asked of one step: each question gives what to make of its answer."""
        if step.kind == "CreateVault":
            yield lambda: self._name(step)
        if step.kind == "EnableProtection":
            yield lambda: self._status(step)
            if not any(need.startswith("CreateVault-") for need in step.depends_on):
                yield lambda: self._validation(step)

    def _post(self, path: str, body: Mapping[str, Any], kind: type[Any]) -> Any:  # noqa: ANN401 -- of that kind
        pace: Pace = self._rates[subscription_of(path)]
        got = self._caller.ask(path, requests.BACKUP_VERSION, dict(body), pace, msgspec.json.Decoder(kind).decode)
        return got if isinstance(got, Failure) else got.content

    def _not_checked(self, what: str, failure: Failure) -> None:
        self._unchecked[f"{what}: {failure.code}"] = None

    def _status(self, step: Step) -> Callable[[], None]:
        """Ask whether the VM is protected anywhere, in whatever vault and subscription."""
        vm_id = str((step.after or {})["sourceResourceId"])
        location = self._sizes.get(fold(vm_id), (None, None))[0] or ""
        got = backup_status(self._caller, vm_id, location, self._rates[subscription_of(vm_id)])

        def take() -> None:
            if isinstance(got, Failure):
                self._not_checked("whether VMs are protected elsewhere (backupStatus)", got)
            elif got.protected:
                where = visible(str(got.vault)) or "a vault that it does not name"
                self._vetoes.setdefault(step.id, f"Azure says that it is {got.status} in {where}")

        return take

    def _validation(self, step: Step) -> Callable[[], None]:
        """Ask whether the vault would take the VM."""
        vm_id = str((step.after or {})["sourceResourceId"])
        location = self._sizes.get(fold(vm_id), (None, None))[0] or ""
        vault = "/".join(step.target.split("/")[:9])
        body = {"resourceType": "VM", "resourceId": vm_id, "vaultId": vault, "properties": ""}
        got = self._post(f"{locations_of(vm_id)}/{location}/backupPreValidateProtection", body, _Validation)

        def take() -> None:
            if isinstance(got, Failure):
                self._not_checked("whether vaults take the VMs (backupPreValidateProtection)", got)
            elif str(got.status) == "Failed":
                said = visible(f"{got.code}: {got.message}")[:300]
                self._vetoes.setdefault(step.id, f"Azure would refuse it: {said}")

        return take

    def _name(self, step: Step) -> Callable[[], None]:
        """Ask whether the name of a new vault is free: vaults that were deleted keep theirs for a while."""
        arm = parse_arm_id(step.target)
        assert arm is not None
        location = str((step.after or {}).get("location"))
        path = (
            f"/subscriptions/{arm.subscription}/resourceGroups/{arm.resource_group}/providers/{requests.PROVIDER}"
            f"/locations/{location}/checkNameAvailability"
        )
        got = self._post(path, {"type": "Microsoft.RecoveryServices/Vaults", "name": arm.name}, _Name)

        def take() -> None:
            if isinstance(got, Failure):
                self._not_checked("whether names of new vaults are free (checkNameAvailability)", got)
            elif not got.free:
                self._vetoes.setdefault(step.id, f"the name {arm.name} is taken: {visible(str(got.message))[:200]}")

        return take

    def _size(self, step: Step) -> _Size | None:
        if step.kind != "EnableProtection":
            return None
        vm_id = str((step.after or {})["sourceResourceId"])
        location, size = self._sizes.get(fold(vm_id), (None, None))
        return (subscription_of(vm_id), location, size) if location and size else None

    def _unsupported(self, of: _Size) -> tuple[_Size, str]:
        """Ask whether VMs of a size can be backed up in a region; return why not."""
        subscription, location, size = of
        path = (
            f"/subscriptions/{subscription}/providers/{requests.PROVIDER}/locations/{location}/backupValidateFeatures"
        )
        body = {"featureType": "AzureVMResourceBackup", "vmSize": size, "vmSku": ""}
        got = self._post(path, body, _Support)
        if isinstance(got, Failure):
            self._not_checked("whether sizes of VMs are supported (backupValidateFeatures)", got)
            return of, ""
        unfit = str(got.status) in ("NotSupported", "DefaultOFF")
        return of, f"Azure does not back up VMs of size {size} ({got.status})" if unfit else ""

    def _registration(self, subscription: str) -> Iterator[Step]:
        path = f"/subscriptions/{subscription}/providers/{requests.PROVIDER}"
        got = self._caller.get(
            path, requests.PROVIDERS_VERSION, self._rates[subscription], msgspec.json.Decoder(_Provider).decode
        )
        if isinstance(got, Failure):
            self._not_checked("whether the provider of vaults is registered", got)
        elif str(got.content.state).lower() not in ("registered", ""):
            request = requests.register(subscription)
            target = f"/subscriptions/{subscription}"
            yield Step(
                id=step_id("RegisterProvider", target, request),
                kind="RegisterProvider",
                target=target,
                title=f"Register {requests.PROVIDER} in subscription {subscription}",
                request=request,
                before={"registrationState": str(got.content.state)},
                after={"registrationState": "Registered"},
                permission="Contributor on the subscription (Microsoft.RecoveryServices/register/action)",
                reversibility="unregister it while nothing of it is there",
                cost="none",
            )

    def _locks(self, subscription: str, steps: Sequence[Step]) -> None:
        path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/locks"
        locks = read_list(self._caller, path, LOCKS_VERSION, self._rates[subscription], _Lock)
        if isinstance(locks, Failure):
            self._not_checked("locks", locks)
            return
        for lock in locks:
            scope = fold(lock.id).partition("/providers/microsoft.authorization/locks/")[0]
            level = str(lock.properties.level).lower()
            # Snapshots lie in groups of their own: https://learn.microsoft.com/azure/backup/backup-during-vm-creation
            holds_snapshots = scope.count("/") == len(("", "subscriptions")) or "/azurebackuprg" in scope
            for step in steps:
                vm_id = str((step.after or {}).get("sourceResourceId", ""))
                below = any(f"{fold(arm_id)}/".startswith(f"{scope}/") for arm_id in (step.target, vm_id))
                name = visible(lock.id.rpartition("/")[2])
                if level == "readonly" and below:
                    self._vetoes.setdefault(step.id, f"the lock {name} on {visible(scope)} forbids changes")
                elif level != "readonly" and step.kind == "EnableProtection" and holds_snapshots:
                    self._notes[step.id].append(
                        f"The lock {name} keeps snapshots from being cleaned up: backups may fail."
                    )

    def _assignments(self, subscription: str, steps: Sequence[Step]) -> None:
        path = f"/subscriptions/{subscription}/providers/Microsoft.Authorization/policyAssignments"
        found = read_list(self._caller, path, ASSIGNMENTS_VERSION, self._rates[subscription], _Assignment)
        if isinstance(found, Failure):
            self._not_checked("assignments of Azure Policy", found)
            return
        for entry in found:
            if fold(str(entry.properties.definition)).rpartition("/")[2] in _ENABLING:
                scope = fold(str(entry.properties.scope))
                for step in steps:
                    vm_id = fold(str((step.after or {}).get("sourceResourceId", "")))
                    if step.kind == "EnableProtection" and (
                        f"{vm_id}/".startswith(f"{scope}/") or "/managementgroups/" in scope
                    ):
                        note = (
                            f"Azure Policy enables backup here, too (assignment {visible(entry.name)}): who is first?"
                        )
                        self._notes[step.id].append(note)
