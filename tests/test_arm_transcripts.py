"""Recorded sessions of Azure Backup, replayed against the stand-in: it answers as Azure did, request by request."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest
from arm import Arm, Asker, Estate, Fault, Reply
from arm.ids import Json
from arm.recorded import FOLDER, MISSING, load, missing, names

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)
# What the stand-in does not serve: restoring, cancelling, and writes of machines.
_NOT_SERVED = re.compile(r"/recoveryPoints|/restore\?|/cancel\?|/virtualMachines/[^/?]+\?.*(PUT|POST)", re.IGNORECASE)
# What comes of them, or differs by chance: other sessions' points, a vault that was gone before its last poll.
_BY_CHANCE = re.compile(
    r"RestoreOperationStatusKPI$|disk\(s\)$|\.lastRecoveryPoint$|backupJobs: more: .*endTime$"
    r"|200 and not 404: .*InProgress|(?<!000002)/backupProtectedItems: protectionState is"
)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OPERATION, _BACKUP = 100.0, 1000.0


@dataclass
class Session:
    """A replay: ids of operations and jobs that Azure gave, and the stand-in's in their place."""

    arm: Arm
    asker: Asker
    ids: dict[str, str] = field(default_factory=dict)
    strange: set[str] = field(default_factory=set)
    compared: int = 0

    def replay(self, entry: Json) -> list[str]:
        """Send one request again and return how the answers differ."""
        method, url, recorded = entry["method"], entry["url"], entry["response_body"]
        if _NOT_SERVED.search(f"{url}{method}") or any(known in url for known in self.strange):
            self._strange(entry)
            return []
        self._wait_for(url, entry)
        for old, new in self.ids.items():
            url = url.replace(old, new)
        path, _, query = url.partition("?")
        answer = self.asker.ask(method, f"{unquote(path)}?{query}", entry["request_body"])
        self._match(entry, answer)
        self.compared += 1
        told = [f"{method} {path[-70:]}: {difference}" for difference in self._differences(entry, answer, recorded)]
        return [difference for difference in told if not _BY_CHANCE.search(difference)]

    def _differences(self, entry: Json, answer: Reply, recorded: object) -> list[str]:
        if answer.status != entry["status"]:
            return [f"{answer.status} and not {entry['status']}: {answer.body}"]
        told = [f"no header {name}" for name in entry["headers"] if name not in answer.headers]
        if isinstance(recorded, dict):
            told += missing(recorded, answer.body)
            told += [f"more: {difference}" for difference in missing(answer.body, recorded)]
            for name in ("status", "protectionState", "operation"):
                was, now = (_said(body, name) for body in (recorded, answer.body))
                told += [f"{name} is {now} and not {was}"] if was != now else []
        return told

    def _wait_for(self, url: str, entry: Json) -> None:
        """Let the time pass that had passed when Azure gave the answer."""
        body = entry["response_body"] or {}
        if "/backupOperations/" in url and body.get("status") not in ("InProgress", None):
            self.arm.clock.advance(_OPERATION)
        if "/operationResults/" in url and entry["status"] != 202:
            self.arm.clock.advance(_OPERATION)
        if "/backupJobs/" in url and body["properties"]["status"] != "InProgress":
            self.arm.clock.advance(_BACKUP)
        if "/backupProtectedItems" in url and any(_said(it, "protectionState") == "Protected" for it in body["value"]):
            self.arm.clock.advance(_BACKUP)

    def _match(self, entry: Json, answer: Reply) -> None:
        """Take note of the ids that stand for each other."""
        for name, value in entry["headers"].items():
            if name in answer.headers:
                self.ids.update(zip(_ids(value), _ids(answer.headers[name]), strict=False))
        job = _job(entry["response_body"])
        if job:
            self.ids[job] = _job(answer.body)

    def _strange(self, entry: Json) -> None:
        """Pass over what follows from a request that is not served."""
        for value in entry["headers"].values():
            self.strange.update(_ids(value)[-1:])
        self.strange |= {_job(entry["response_body"])} - {""}


def _ids(url: str) -> list[str]:
    return [found for found in _GUID.findall(url) if not found.startswith("00000000")]


def _job(body: object) -> str:
    """Return the job that an operation's status names."""
    return str((body.get("properties") or {}).get("jobId", "")) if isinstance(body, dict) else ""


def _said(body: object, name: str) -> object:
    """Return what an answer says under a name, or each entry of a list of items."""
    if not isinstance(body, dict):
        return None
    if "value" in body:
        items = [entry for entry in body["value"] if "protectedItemType" in (entry.get("properties") or {})]
        return [_said(entry, name) for entry in items]
    return body.get(name) or (body.get("properties") or {}).get(name)


def beginning(interactions: list[Json]) -> list[Json]:
    """Return what was there before the session: what it reads and did not make itself."""
    puts = [entry["url"].partition("?")[0].lower() for entry in interactions if entry["method"] == "PUT"]
    made = [path for path in puts if re.search(r"/vaults/[^/]+$", path)]
    found: dict[str, Json] = {}
    for entry in interactions:
        body = entry["response_body"]
        if entry["method"] != "GET" or entry["status"] != 200:
            continue
        one = "/virtualMachines/" in entry["url"]
        many = re.search(r"/vaults\?|/backupProtectedItems\?", entry["url"]) is not None
        for resource in [body] if one else body["value"] if many else ():
            if any(resource["id"].lower().startswith(path) for path in made):
                continue
            known = found.setdefault(resource["id"], resource)
            if "instanceView" in resource["properties"]:
                found[resource["id"]] = {**known, "properties": resource["properties"]}
    return list(found.values())


def failing(interactions: list[Json], at: int) -> bool:
    """Say whether the job that a request started failed in the end."""
    (*_, operation) = [*_ids(interactions[at]["headers"].get("location", "")), ""]
    after = interactions[at + 1 :]
    polls = [entry["response_body"] for entry in after if f"/backupOperations/{operation}" in entry["url"]]
    jobs = {_job(body) for body in polls} - {""}
    ends = [entry["response_body"] for entry in after if any(f"/backupJobs/{job}" in entry["url"] for job in jobs)]
    return any(_said(body, "status") == "Failed" for body in ends)


@pytest.mark.parametrize("name", names("transcripts"))
def test_a_recorded_session_goes_the_same_way(name: str) -> None:
    interactions = load("transcripts", name)["interactions"]
    there = Estate(beginning(interactions))
    with Arm(there, access="owner", operation_seconds=_OPERATION, backup_seconds=_BACKUP) as arm:
        arm.clock.speed(0)
        arm.token_lifetime(10**7)
        with Asker(arm) as asker:
            session = Session(arm, asker)
            told = []
            for at, entry in enumerate(interactions):
                if entry["url"].partition("?")[0].endswith("/backup") and failing(interactions, at):
                    arm.fault(Fault("~POST .*/backup$", "operation-failed"))
                told += session.replay(entry)
    assert told == []
    assert session.compared > 10
