"""Creating, changing and deleting backup policies."""

import re
from collections.abc import Iterator

from arm.defaults import policy
from arm.ids import ITEM, Json, key_of
from arm.operations import Operation
from arm.routing import RSV, Route, V
from arm.vault_reads import policy_shape
from arm.web import Answer, Call, Refused, error, provider_error
from arm.world import World, same

_MINUTES = re.compile(r"T\d\d:(\d\d)")
_INTERVALS = (4, 6, 8, 12, 24)
_SCHEDULES = {"SimpleSchedulePolicy": "V1", "SimpleSchedulePolicyV2": "V2"}
# The days that instant restore points can be kept, by the type of the policy.
_INSTANT_DAYS = {"V1": range(1, 6), "V2": range(1, 31)}


class PolicyWrites:
    """Answers writes of policies."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        one = f"{V}/backupPolicies/{{policy}}"
        return [
            Route("PUT", one, self.put, f"{RSV}/backupPolicies/write"),
            Route("DELETE", one, self.delete, f"{RSV}/backupPolicies/delete"),
            Route("GET", f"{one}/operations/{{op}}", self.status, f"{RSV}/backupPolicies/operations/read", 2),
            Route(
                "GET", f"{one}/operationResults/{{op}}", self.result, f"{RSV}/backupPolicies/operationResults/read", 2
            ),
        ]

    def put(self, call: Call) -> Answer:
        vault, properties = self._world.vault(call), _plain_times(call.json().get("properties"))
        identifier = f"{vault['id']}/backupPolicies/{call.names['policy']}"
        known = self._world.estate.get(identifier)
        if not isinstance(properties, dict) or not _accepted(properties):
            raise _invalid()
        if known is not None and _type_of(known.get("properties") or {}) == "V2" and _type_of(properties) == "V1":
            raise provider_error(
                400, "BMSUserErrorInvalidPolicyInput", "An Enhanced policy cannot be changed to a Standard policy."
            )
        if (properties.get("schedulePolicy") or {}).get("schedulePolicyType") == "SimpleSchedulePolicy":
            weekly = {"scheduleWeeklyFrequency": 0, **properties["schedulePolicy"]}
            properties = {**properties, "schedulePolicy": weekly}
        written = policy(str(vault["id"]), call.names["policy"], properties)
        used = any(
            same((entry.get("properties") or {}).get("policyId"), identifier)
            for entry in self._world.estate.inside(str(vault["id"]), ITEM)
        )
        if self._world.settings.policy_writes_answer == 200 and not used:
            self._world.put(written)
            return Answer(body=policy_shape(self._world.estate, written))

        def finish(done: Operation) -> None:
            if done.failure is None:
                self._world.put(written, done.due)

        operation = self._world.start(call, identifier, finish)
        base = call.path.rstrip("/")
        return self._world.accepted(call, operation, f"{base}/operations", f"{base}/operationResults")

    def delete(self, call: Call) -> Answer:
        vault = self._world.vault(call)
        known = self._world.estate.get(call.path)
        if known is None:
            return Answer(204)
        for item in self._world.estate.inside(str(vault["id"]), ITEM):
            if same((item.get("properties") or {}).get("policyId"), known["id"]):
                raise provider_error(400, "BMSUserErrorPolicyInUse", "The policy is in use and cannot be deleted.")
        self._world.remove(str(known["id"]))
        return Answer(200)

    def status(self, call: Call) -> Answer:
        return Answer(body=self._operation(call).as_status())

    def result(self, call: Call) -> Answer:
        operation = self._operation(call)
        base = call.path.rpartition("/operationResults/")[0]
        if operation.status == "InProgress":
            return self._world.accepted(call, operation, f"{base}/operations", f"{base}/operationResults")
        if operation.failure is not None:
            raise Refused(error(400, *operation.failure))
        written = self._world.estate.get(base)
        return Answer(204) if written is None else Answer(body=policy_shape(self._world.estate, written))

    def _operation(self, call: Call) -> Operation:
        operation = self._world.operations.get(call.names["op"])
        if operation is None or operation.vault != key_of(str(self._world.vault(call)["id"])):
            raise provider_error(404, "ResourceNotFound", f"The operation {call.names['op']} could not be found.")
        return operation


def _invalid() -> Refused:
    return provider_error(
        400,
        "BMSUserErrorInvalidPolicyInput",
        "Input for create or update policy is not in proper format\r\nPlease check format of parameters like schedule "
        "time, schedule days, retention time and retention days ",
    )


def _type_of(properties: Json) -> str:
    schedule = str((properties.get("schedulePolicy") or {}).get("schedulePolicyType"))
    return str(properties.get("policyType") or _SCHEDULES.get(schedule, ""))


def _accepted(properties: Json) -> bool:
    """Say whether the service takes a policy: for VMs by what is known of its checks, for others always."""
    if properties.get("backupManagementType") != "AzureIaasVM":
        return bool(properties.get("backupManagementType"))
    schedule, retention = properties.get("schedulePolicy"), properties.get("retentionPolicy")
    if not isinstance(schedule, dict) or not isinstance(retention, dict):
        return False
    kind = _SCHEDULES.get(str(schedule.get("schedulePolicyType")))
    if kind is None or _type_of(properties) != kind:
        return False
    if not any(name.endswith("Schedule") for name in retention):
        return False
    if int(properties.get("instantRpRetentionRangeInDays") or 2) not in _INSTANT_DAYS[kind]:
        return False
    hourly = schedule.get("hourlySchedule")
    if hourly and hourly.get("interval") not in _INTERVALS:
        return False
    times = [*_times(schedule), *_times(retention)]
    if any(match[1] not in ("00", "30") for match in map(_MINUTES.search, times) if match is not None):
        return False
    return kind == "V2" or set(_clock_times(retention)) <= set(_clock_times(schedule))


def _times(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, entry in value.items():
            if name in ("scheduleRunTimes", "retentionTimes"):
                yield from map(str, entry or ())
            else:
                yield from _times(entry)


def _clock_times(value: object) -> Iterator[str]:
    return (time.partition("T")[2][:5] for time in _times(value))


def _plain_times(value: object) -> object:
    """Write times without a fraction, which is how the service gives them back."""
    if isinstance(value, dict):
        return {name: _plain_times(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain_times(entry) for entry in value]
    return re.sub(r"(T\d\d:\d\d:\d\d)\.0+(Z|\+00:00)", r"\1\2", value) if isinstance(value, str) else value
