"""What was done of a plan, line by line: written before and after each call, and read again after a kill.

Each line is a JSON object and is on the disk before whatever it announces is done. A line that a kill cut off announced
something that was not done yet, so it counts as not written.
"""

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, TypeAlias

import msgspec

from auditor.errors import AuditorError, ExitCode, UsageError
from auditor.remediation.actuator import Operation
from auditor.text import visible
from auditor.timestamps import parse_time, show_time

FORMAT = 1
Outcome: TypeAlias = Literal["applied", "unchanged", "failed", "skipped", "open"]
DONE: tuple[Outcome, ...] = ("applied", "unchanged")
_SECOND = 1_000_000
_HEAD = b'{"event":"'


class JournalLost(AuditorError):
    """The journal cannot be written any more: nothing else is sent."""

    exit_code = ExitCode.NOT_APPLIED


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A line of a journal.

    Attributes:
        event: ``begun`` and ``finished`` are of a run; ``call`` comes before a request is sent, ``answer`` after it,
            ``end`` once it is known what became of the step.
        at: RFC 3339, by Azure's clock.
        step: whose it is.
        plan: of ``begun``: the plan's digest.
        tool: of ``begun``: who writes.
        format: of ``begun``: of the journal.
        answer: whether Azure took the request, refused it, nobody knows, or it was not sent after all.
        status: of HTTP.
        operation: where to ask what became of it (``Azure-AsyncOperation``).
        result: the same (``Location``).
        outcome: of the step.
        code: Azure's own, where something failed.
        message: what Azure says.
        job: the name of the job that it started.
    """

    event: Literal["begun", "call", "answer", "end", "finished"]
    at: str
    step: str = ""
    plan: str = ""
    tool: str = ""
    format: int = 0
    answer: Literal["", "accepted", "refused", "unclear", "unsent"] = ""
    status: int = 0
    operation: str = ""
    result: str = ""
    outcome: Outcome | None = None
    code: str = ""
    message: str = ""
    job: str = ""


@dataclass(slots=True)
class Kept:
    """What a journal knows of a step.

    Attributes:
        called: when it was last sent, or its answer failed to come, in seconds since 1970 UTC; ``None`` where Azure
            refused it, or cannot have got it.
        operation: what it started, where that has not ended.
        accepted: whether Azure ever took it.
        end: its last end.
        calls: when it was ever sent and not refused.
    """

    called: float | None = None
    operation: Operation | None = None
    accepted: bool = False
    end: Event | None = None
    calls: list[float] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take in what comes next."""
        match event.event:
            case "call":
                self.called = _seconds(event.at)
                self.operation = self.end = None
                self.calls.append(self.called)
            case "answer" if event.answer == "accepted":
                self.operation, self.accepted = Operation(event.operation, event.result), True
            case "answer" if event.answer == "unclear":
                self.called = _seconds(event.at)
            case "answer" if event.answer in ("refused", "unsent"):
                self.called = None
                self.calls = self.calls[:-1]
            case "end":
                self.end = event
                if event.outcome != "open":
                    self.operation = None
            case _:
                pass


class Journal:
    """An open journal, which nobody else can open meanwhile.

    Attributes:
        path: where it is.
        resumed: whether a run of the same plan was noted before.
    """

    def __init__(self, path: Path, plan: str, tool: str, now: Callable[[], float]) -> None:
        """Open or begin the journal of a plan.

        Args:
            path: of the file.
            plan: the plan's digest.
            tool: who writes.
            now: seconds since 1970 UTC.

        Raises:
            UsageError: it is another plan's, no journal, damaged, in use, or cannot be written.
        """
        self.path = path
        self._now = now
        self._lock = threading.Lock()
        self._file = _opened(path)
        try:
            self._steps, whole = _read(path, plan)
            self.resumed = whole > 0
            self._file.truncate(whole)
            self._file.seek(0, os.SEEK_END)
            _sync_folder(path.parent)
            self._write(Event(event="begun", at=self._time(), plan=plan, tool=tool, format=FORMAT))
        except JournalLost as error:
            self._file.close()
            raise UsageError(error.message, error.hint) from error
        except BaseException:
            self._file.close()
            raise

    def of(self, step: str) -> Kept:
        """Return what is known of a step; it changes as more is noted."""
        return self._steps[step]

    def call(self, step: str) -> None:
        """Note that a request is about to be sent."""
        self._note(Event(event="call", at=self._time(), step=step))

    def accepted(self, step: str, status: int, operation: Operation) -> None:
        """Note that Azure took it."""
        event = Event(
            event="answer",
            at=self._time(),
            step=step,
            answer="accepted",
            status=status,
            operation=operation.status,
            result=operation.result,
        )
        self._note(event)

    def answer(
        self,
        step: str,
        answer: Literal["refused", "unclear", "unsent"],
        status: int = 0,
        code: str = "",
        message: str = "",
    ) -> None:
        """Note that Azure did not take it, as far as is known."""
        self._note(
            Event(event="answer", at=self._time(), step=step, answer=answer, status=status, code=code, message=message)
        )

    def end(self, step: str, outcome: Outcome, code: str = "", message: str = "", job: str = "") -> None:
        """Note what became of a step."""
        self._note(Event(event="end", at=self._time(), step=step, outcome=outcome, code=code, message=message, job=job))

    def finished(self) -> None:
        """Note that a run came to its end by itself."""
        self._write(Event(event="finished", at=self._time()))

    def close(self) -> None:
        """Let others open it."""
        self._file.close()

    def _time(self) -> str:
        return show_time(int(self._now() * _SECOND))

    def _note(self, event: Event) -> None:
        self._write(event)
        self._steps[event.step].take(event)

    def _write(self, event: Event) -> None:
        """Write a line, and come back once it is on the disk."""
        line = memoryview(msgspec.json.encode(event) + b"\n")
        with self._lock:
            try:
                whole = self._file.tell()
                try:
                    while line:
                        line = line[self._file.write(line) :]
                    os.fsync(self._file.fileno())
                except OSError:
                    with suppress(OSError):
                        self._file.truncate(whole)
                        self._file.seek(whole)
                    raise
            except OSError as error:
                hint = "Make room, then run it again: it goes on from what is noted."
                raise JournalLost(f"cannot write the journal {self.path}: {error.strerror}", hint) from error


def read_journal(path: Path, plan: str) -> dict[str, Kept]:
    """Read what a journal knows of each step, while somebody may be writing it.

    Raises:
        UsageError: there is none, it is another plan's, or it is damaged.
    """
    if not path.is_file():
        raise UsageError(f"there is no journal {path}", "Nothing was applied yet, or it is elsewhere: --journal FILE.")
    return dict(_read(path, plan)[0])


def _read(path: Path, plan: str) -> tuple[defaultdict[str, Kept], int]:
    """Return what is known of each step, and the length of what is whole."""
    steps: defaultdict[str, Kept] = defaultdict(Kept)
    whole = 0
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the journal {path}: {error.strerror}", "Check its permissions.") from error
    *lines, tail = data.rstrip(b"\0").split(b"\n")  # a power cut may leave zeros for what was not written
    if not (tail.startswith(_HEAD) or _HEAD.startswith(tail)):
        hint = "Name another one with --journal FILE, or take away what was added to it."
        raise UsageError(f"{path}:{len(lines) + 1}:1: no line of a journal", hint)
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):  # what follows the last newline was cut off, or is nothing
        try:
            event = msgspec.json.decode(line, type=Event)
            _seconds(event.at)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            hint = "Without it nobody knows what was done: restore it, or make a new plan and begin a new one."
            raise UsageError(f"{path}:{number}:1: no line of a journal: {visible(str(error))[:150]}", hint) from error
        if event.event == "begun" and (event.plan, event.format) != (plan, FORMAT):
            hint = "Name another one with --journal FILE."
            what = "another plan" if event.format == FORMAT else "another version"
            raise UsageError(f"{path} is the journal of {what}", hint)
        if number == 1 and event.event != "begun":
            raise UsageError(f"{path}:1:1: the journal lacks its beginning", "Restore it, or name another one.")
        whole += len(line) + 1
        if event.step:
            steps[event.step].take(event)
    return steps, whole


def _seconds(text: str) -> float:
    time = parse_time(text)
    if time is None:
        raise ValueError(f"{text[:40]} is no time")
    return time / _SECOND


def _opened(path: Path) -> IO[bytes]:
    if path.exists() and not path.is_file():
        raise UsageError(f"the journal {path} is no file", "Name one with --journal FILE.")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        hint = "Name another file with --journal FILE: without a journal nothing is applied."
        raise UsageError(f"cannot write the journal {path}: {error.strerror}", hint) from error
    file = os.fdopen(handle, "r+b", buffering=0)
    lock(file, f"another run of this plan is under way ({path} is locked)")
    return file


def lock(file: IO[bytes], why: str) -> None:
    """Keep others from a file; the lock goes with the process.

    Raises:
        UsageError: somebody else has it.
    """
    try:
        import fcntl  # noqa: PLC0415 -- not everywhere
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UsageError(why, "Wait until it has ended; auditor apply --status tells how far it is.") from error
    except OSError:  # a file system without locks
        return


def _sync_folder(folder: Path) -> None:
    """See to it that the file's name is on the disk, too."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
