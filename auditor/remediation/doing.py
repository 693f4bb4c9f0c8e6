"""One step of a plan: look whether it is to be done at all, send it once, follow it to its end, and look again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from auditor.remediation.actuator import Accepted, Actuator, Ended, Job, Operation, Refusal, Stopped
from auditor.remediation.comparing import besides, difference, lacking
from auditor.remediation.journal import DONE, Journal, Kept, Outcome
from auditor.remediation.model import Request, Step
from auditor.remediation.planning import vault_key
from auditor.text import fold

Json = dict[str, Any]
Content: TypeAlias = Json | Refusal | None

_CHANGED = "ChangedSincePlan"
POLICY_WRITES = "PolicyWrites"
_DAY = 86_400.0
# https://learn.microsoft.com/azure/backup/backup-azure-backup-faq: policies made or changed by API in 24 hours
MOST_POLICY_WRITES = 50
_SKEW = 300.0  # seconds by which the clock of whoever planned may differ
_CLOSE = 10.0  # seconds by which what Azure calls the beginning of a job may differ from when it was sent
_AGAIN = 5.0  # seconds until another look
_ONCE = "it was accepted once, and only a new plan sends it again"
_NEW = ("CreateVault", "EnableProtection")
_STOPPED = ("ProtectionStopped", "ProtectionPaused", "BackupsSuspended", "Invalid", "")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a step.

    Attributes:
        step: which one.
        outcome: ``applied``, ``unchanged`` (it was so already), ``failed``, ``skipped`` (it was not sent), or ``open``
            (it was sent, and nobody knows yet what becomes of it).
        code: Azure's own, or a word of ours, where it is not done.
        message: why, on one line.
        job: the name of the job that it is or started.
        earlier: it was done in an earlier run.
    """

    step: Step
    outcome: Outcome
    code: str = ""
    message: str = ""
    job: str = ""
    earlier: bool = False

    @property
    def done(self) -> bool:
        """Whether what the step is for is so now."""
        return self.outcome in DONE


@dataclass(frozen=True, slots=True)
class Limits:
    """How long is waited, in seconds, and how often something is tried.

    Attributes:
        busy: for whatever else is under way at the same resource.
        settle: until what Azure says is done can be seen.
        shows: until a backup that may have been triggered can be seen among the jobs.
        job: for the end of a backup.
        tries: how often a request is sent of which nobody knows whether it arrived; a backup is never sent again.
    """

    busy: float = 1800.0
    settle: float = 120.0
    shows: float = 60.0
    job: float = 86_400.0
    tries: int = 5


@dataclass(frozen=True, slots=True)
class _Done:
    """It is so already."""


@dataclass(frozen=True, slots=True)
class _Changed:
    """It is neither as it was nor as it is to be."""

    why: str


@dataclass(frozen=True, slots=True)
class _Wait:
    """Something is under way."""

    why: str


_State: TypeAlias = _Done | _Changed | _Wait | Refusal | Request


class Doer:
    """Does the steps of one plan, one call of ``do`` for each, several at the same time."""

    def __init__(
        self,
        azure: Actuator,
        journal: Journal,
        since: float,
        policies: Mapping[str, Sequence[str]],
        *,
        wait_backup: bool = False,
        limits: Limits | None = None,
    ) -> None:
        """Begin with nothing done.

        Args:
            azure: where it is done.
            journal: what was done of the plan before.
            since: when the plan was made, in seconds since 1970 UTC: a backup that began later is the one wanted.
            policies: by vault, the steps that write a policy of it.
            wait_backup: whether to wait for the end of backups.
            limits: how long to wait.
        """
        self._azure = azure
        self._journal = journal
        self._since = since
        self._policies = policies
        self._wait_backup = wait_backup
        self._limits = limits or Limits()

    def do(self, step: Step) -> Result:
        """Do a step, or find that it is done, and note what became of it."""
        try:
            backup = step.kind == "TriggerBackup"
            result = self._back_up(step) if backup else self._change(step)
        except Stopped:
            sent = self._journal.of(step.id).called is not None
            why = "its end was not waited for" if sent else "it was not sent"
            result = Result(step, "open" if sent else "skipped", "Stopped", why)
        self._journal.end(step.id, result.outcome, result.code, result.message, result.job)
        return result

    # What can be sent again

    def _change(self, step: Step) -> Result:
        kept = self._journal.of(step.id)
        operation = kept.operation if self._azure.now() - (kept.called or 0.0) < _DAY else None  # else it is forgotten
        if operation is not None and (result := self._follow(step, operation)) is not None:
            return result
        waiting, tries = _Patience(self._azure, self._limits.busy), 0
        while True:
            state = self._state(step)
            if isinstance(state, _Done):
                return Result(step, "applied" if kept.calls else "unchanged")
            if isinstance(state, _Changed):
                return Result(step, "failed", _CHANGED, state.why)
            if isinstance(state, _Wait):
                if not waiting.again():
                    return Result(step, "failed", "StillUnderWay", state.why)
                continue
            if isinstance(state, Refusal):
                if not (state.busy and waiting.again(state.wait)):
                    outcome: Outcome = "open" if kept.called is not None else "failed"
                    return Result(step, outcome, state.code, f"it could not be looked at: {state.message or state}")
                continue
            if (limited := self._limited(step)) is not None:
                return limited
            answer = self._send(step, state)
            if isinstance(answer, Accepted):
                if (result := self._follow(step, answer.operation)) is not None:
                    return result
                tries += 1
            elif answer.unclear:
                tries += 1
            elif not (answer.busy and waiting.again(answer.wait)):
                return Result(step, "failed", answer.code, answer.message)
            if tries:
                if tries >= self._limits.tries:
                    said = answer if isinstance(answer, Refusal) else Refusal(0, "Unclear", "")
                    why = "whether it was done is not known, and cannot be seen"
                    return Result(step, "failed", said.code, f"{said.message}: {why}" if said.message else why)
                self._azure.pause(_AGAIN)

    def _send(self, step: Step, request: Request) -> Accepted | Refusal:
        """Send a request, with a note before and after."""
        self._azure.pause(0.0)  # nothing is begun once somebody asked to stop
        self._journal.call(step.id)
        try:
            answer = self._azure.send(request)
        except Stopped:
            self._journal.answer(step.id, "unsent")
            raise
        if isinstance(answer, Accepted):
            self._journal.accepted(step.id, answer.code, answer.operation)
        else:
            kind: Literal["unclear", "refused"] = "unclear" if answer.unclear else "refused"
            self._journal.answer(step.id, kind, answer.status, answer.code, answer.message)
        return answer

    def _follow(self, step: Step, operation: Operation) -> Result | None:
        """Wait for the end of what a step started; ``None`` where its target has to be looked at again."""
        ended = self._azure.follow(operation)
        if ended is None:
            return Result(step, "open", "StillRunning", "the operation has not ended: run it again to go on waiting")
        if isinstance(ended, Refusal):
            if ended.status == 404:  # operations are forgotten after a while
                return None
            if isinstance(self._state(step), _Done):
                return Result(step, "applied")
            return Result(step, "open", ended.code, f"what became of it could not be asked: {ended.message or ended}")
        if ended.failure is not None and ended.failure.busy:
            return None
        if ended.failure is not None:
            return Result(step, "failed", ended.failure.code, ended.failure.message, ended.job)
        return self._seen(step, ended)

    def _seen(self, step: Step, ended: Ended) -> Result:
        """Look until what Azure says is done can be seen."""
        registers = step.kind == "RegisterProvider"  # which it says at once, and then takes minutes
        waiting = _Patience(self._azure, self._limits.busy if registers else self._limits.settle)
        while True:
            content = self._azure.look(_target(step), _version(step))
            if isinstance(content, dict) and isinstance(_reached(step, content), _Done):
                return Result(step, "applied", job=ended.job)
            if not waiting.again():
                break
        if isinstance(content, Refusal):
            return Result(step, "open", content.code, f"it could not be looked at again: {content.message or content}")
        said = "it is not there" if content is None else _why_not(step, content)
        return Result(step, "failed", "NotAsPlanned", f"Azure says that it is done, and {said}", ended.job)

    def _state(self, step: Step) -> _State:
        """Look at what a step is about, and at all that it rests on."""
        target, version = _target(step), _version(step)
        content = self._azure.look(target, version)
        if content is None and step.kind in _NEW:  # nothing may be written over one that an answer did not know of
            content = self._azure.look(target, version)
        if isinstance(content, Refusal):
            return content
        if content is not None:
            reached = _reached(step, content)
            if reached is not None:
                return reached
            if step.kind == "AssignPolicy" and (said := _unfit(content)):  # it would be resumed
                return _Changed(said)
            if step.kind in _NEW:  # nothing is ever written over one
                return _Changed(f"there is one already, and it is another: {_why_not(step, content)}")
        seen: dict[tuple[str, str], Content] = {(fold(target), version): content}
        for entry in step.preconditions:
            place = (fold(entry.path), entry.api_version)
            if place not in seen:
                seen[place] = self._azure.look(entry.path, entry.api_version)
            held, name = seen[place], entry.path.rpartition("/")[2]
            if isinstance(held, Refusal):
                return held
            if entry.equals is None:
                if held is not None:
                    return _Changed(f"{name} is there already")
            elif held is None:
                return _Changed(f"{name} is not there any more")
            elif said := difference(held, entry.equals):
                return _Changed(f"of {name}, {said}")
        assert step.request is not None
        if step.kind == "EnableProtection":
            return self._elsewhere(step, seen) or step.request
        if step.kind == "DefinePolicy" and content is not None:
            return _whole(step.request, content)
        return step.request

    def _elsewhere(self, step: Step, seen: Mapping[tuple[str, str], Content]) -> _State | None:
        """Ask whether the VM is protected by now, in whatever vault and subscription, where that may be asked."""
        vm_id = str((step.after or {})["sourceResourceId"])
        machine = next((held for (path, _), held in seen.items() if path == fold(vm_id)), None)
        location = str(machine.get("location", "")) if isinstance(machine, dict) else ""
        vault = self._azure.protection_of(vm_id, location) if location else ""
        if isinstance(vault, Refusal):  # whoever may not ask goes on: Azure refuses it, too
            return None if vault.status == 403 else vault
        if not vault:
            return None
        if vault_key(vault) == vault_key(step.target):
            return _Wait("Azure says that it is protected, and has no item yet")
        return _Changed(f"the VM is protected elsewhere by now, in {vault}")

    def _limited(self, step: Step) -> Result | None:
        """Keep to the number of policies that Azure lets write in a day, as far as they were written here."""
        if step.kind != "DefinePolicy":
            return None
        since = self._azure.now() - _DAY
        steps = self._policies.get(vault_key(step.target), ())
        written = sum(time > since for entry in steps for time in self._journal.of(entry).calls)
        if written < MOST_POLICY_WRITES:
            return None
        why = f"{written} policies of its vault were written within a day, and Azure takes no more: go on tomorrow"
        return Result(step, "skipped", POLICY_WRITES, why)

    # What is sent once

    def _back_up(self, step: Step) -> Result:
        """Trigger a backup, unless there was one since the plan was made; never send it again in the same run."""
        kept = self._journal.of(step.id)
        if kept.operation is not None and (result := self._follow_backup(step, kept.operation)) is not None:
            return result
        waiting = _Patience(self._azure, self._limits.busy)
        sent: Refusal | None = None
        while True:
            job = self._latest(step, kept)
            if isinstance(job, Refusal):
                if not (job.busy and waiting.again(job.wait)):
                    return Result(step, "failed", job.code, f"its jobs could not be looked at: {job.message or job}")
                continue
            if job is not None:
                return self._of_job(step, job, ours=_ours(job, kept))
            called = kept.called
            if called is not None and self._azure.now() - called < self._limits.shows:
                self._azure.pause(_AGAIN)
                continue
            if kept.accepted:
                end = kept.end
                code, why = (end.code, end.message) if end is not None else ("NoJob", "no job of it can be seen")
                why = why if why.endswith(_ONCE) else f"{why}: {_ONCE}"
                return Result(step, "failed", code or "NoJob", why)
            if sent is not None:
                why = "no answer came, and no job of it can be seen: it is not sent again before the next run"
                return Result(step, "failed", sent.code, f"{sent.message}: {why}" if sent.message else why)
            state = self._state_of_item(step)
            if not isinstance(state, Request):
                if isinstance(state, Refusal) and state.busy and waiting.again(state.wait):
                    continue
                code = state.code if isinstance(state, Refusal) else _CHANGED
                return Result(step, "failed", code, str(state) if isinstance(state, Refusal) else state.why)
            answer = self._send(step, state)
            if isinstance(answer, Accepted):
                if (result := self._follow_backup(step, answer.operation)) is not None:
                    return result
            elif answer.unclear:
                sent = answer
            elif not (answer.busy and waiting.again(answer.wait)):
                return Result(step, "failed", answer.code, answer.message)

    def _state_of_item(self, step: Step) -> Request | Refusal | _Changed:
        for entry in step.preconditions:
            held = self._azure.look(entry.path, entry.api_version)
            if isinstance(held, Refusal):
                return held
            if held is None:
                return _Changed("the item is not there any more")
            if entry.equals is not None and (said := difference(held, entry.equals)):
                return _Changed(f"of the item, {said}")
        assert step.request is not None
        return step.request

    def _latest(self, step: Step, kept: Kept) -> Job | Refusal | None:
        """Return the backup that makes another one needless: one under way, or that succeeded, or that was ours."""
        found = self._azure.backups_of(step.target, min([self._since, *kept.calls]) - _SKEW)
        if isinstance(found, Refusal):
            return found
        return next((job for job in found if job.running or job.succeeded or _ours(job, kept)), None)

    def _follow_backup(self, step: Step, operation: Operation) -> Result | None:
        """Wait until Azure names the job; ``None`` where it has to be looked for."""
        ended = self._azure.follow(operation)
        if ended is None or isinstance(ended, Refusal):
            return None
        if ended.failure is not None:
            return Result(step, "failed", ended.failure.code, ended.failure.message, ended.job)
        if not ended.job:
            return None
        return self._of_job(step, Job(ended.job, "InProgress", 0.0), ours=True)

    def _of_job(self, step: Step, job: Job, *, ours: bool) -> Result:
        if self._wait_backup and job.running:
            waiting = _Patience(self._azure, self._limits.job)
            vault = "/".join(step.target.split("/")[:9])
            while job.running:
                if not waiting.again():
                    return Result(step, "open", "StillRunning", "the backup has not ended", job.name)
                found = self._azure.job(vault, job.name)
                if isinstance(found, Refusal):
                    return Result(step, "open", found.code, f"its job cannot be looked at: {found.message}", job.name)
                job = found
        if job.running or job.succeeded:
            why = "" if ours else "a backup began since the plan was made"
            return Result(step, "applied" if ours else "unchanged", message=why, job=job.name)
        error = job.error or Refusal(0, job.status, "")
        return Result(step, "failed", error.code, error.message, job.name)


class _Patience:
    """Waits again and again, ever longer, and no longer than it may in all."""

    def __init__(self, azure: Actuator, longest: float) -> None:
        self._azure = azure
        self._began = azure.elapsed()
        self._longest = longest

    def again(self, wanted: float | None = None) -> bool:
        """Wait for another try; false, at once, where it was long enough."""
        waited = self._azure.elapsed() - self._began
        if waited >= self._longest:
            return False
        self._azure.pause(max(_AGAIN, min(waited / 10, 60.0) if wanted is None else wanted))
        return True


def _ours(job: Job, kept: Kept) -> bool:
    return bool(kept.calls) and job.started >= min(kept.calls) - _CLOSE


def _target(step: Step) -> str:
    assert step.request is not None
    return step.request.path.removesuffix("/register") if step.kind == "RegisterProvider" else step.request.path


def _version(step: Step) -> str:
    assert step.request is not None
    return step.request.api_version


def _reached(step: Step, content: Json) -> _Done | _Wait | _Changed | None:
    """Tell whether a step's target is as the step would make it; ``None`` where it is not."""
    if step.kind == "CreateVault":
        state = str((content.get("properties") or {}).get("provisioningState") or "Succeeded")
        if state == "Failed":
            return _Changed("its creation failed")
        if state != "Succeeded":
            return _Wait(f"it is {state}")
    return None if _why_not(step, content) else _Done()


def _why_not(step: Step, content: Json) -> str:
    """Return in words how a step's target differs from what the step would make of it; empty where it does not."""
    if step.kind == "RegisterProvider":
        state = str(content.get("registrationState", ""))
        return "" if fold(state) == "registered" else f"its state is {state}"
    assert step.request is not None
    said = lacking(content, step.request.body)
    if said or step.kind not in ("EnableProtection", "AssignPolicy", "DefinePolicy"):
        return said
    return _more(step.request, content) if step.kind == "DefinePolicy" else _unfit(content)


def _more(request: Request, content: Json) -> str:
    """Return in words what a policy does besides what it is to do; empty where it does nothing more."""
    held, wanted = content.get("properties") or {}, (request.body or {}).get("properties", {})
    for part in ("schedulePolicy", "retentionPolicy"):
        if extra := besides(held.get(part), wanted.get(part) or {}):
            return f"its {part} also has {', '.join(extra)}"
    return ""


def _unfit(content: Json) -> str:
    """Return in words why an item is not one that is backed up; empty where it is."""
    properties = content.get("properties") or {}
    state = str(properties.get("protectionState") or "")
    if properties.get("isScheduledForDeferredDelete"):
        return "the item was deleted, and is kept for a while"
    return f"its state is {state or 'not told'}" if state in _STOPPED else ""


def _whole(request: Request, content: Json) -> Request:
    """Return the request that writes a policy whole: what the plan does not say of it stays as it is."""
    held = {name: value for name, value in (content.get("properties") or {}).items() if name not in _READ_ONLY}
    body = {"properties": {**held, **(request.body or {}).get("properties", {})}}
    return msgspec.structs.replace(request, body=body)


_READ_ONLY = ("protectedItemsCount", "resourceGuardOperationRequests")
