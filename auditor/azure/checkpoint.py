"""What was read so far, kept on disk, so that a run that was interrupted goes on where it stopped.

A folder: ``question.json`` says what was asked, ``pages/`` has a file for each page of each part that is whole, and
``details.ndjson`` a line for each detail. A file is there whole or not at all; of the lines only the last can be cut.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from auditor.azure.details import Found, Wanted
from auditor.azure.graph import Part, QueryScope, Read
from auditor.errors import UsageError
from auditor.inventory.tables import Table

STALE = 6 * 3600 * 1_000_000  # microseconds; what was read longer ago is read again
_QUESTION, _PAGES, _DETAILS = "question.json", "pages", "details.ndjson"
_REACH, _LOCK = "reach", "lock"
_OURS = {_PAGES, _LOCK, f".{_QUESTION}"}  # what is there when a run was killed before it had begun
_PART = re.compile(r"([0-9a-f]{16})-(\d+)-of-(\d+)\.(\d+)-of-(\d+)\.json")


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was asked; pages of another question are of no use."""

    tool: str
    endpoint: str
    tenant: str
    principal: str
    scope: list[str]
    instance_views: bool
    queries: str
    started: int


class _Line(msgspec.Struct, frozen=True):
    kind: str
    id: str
    content: Any


_line = msgspec.json.Decoder(_Line).decode


class Checkpoint:
    """Keeps parts and details, and gives them back.

    Attributes:
        folder: where.
        question: with the time at which reading began, perhaps in an earlier run.
        resumed: something of an earlier run is there.
    """

    def __init__(self, folder: Path, question: Question) -> None:
        """Open what is there, or begin anew.

        Raises:
            UsageError: something else is there.
            OSError: it cannot be written.
        """
        self.folder = folder
        held = _question_in(folder)
        if held is not None and question.started - held.started < STALE:
            if msgspec.structs.replace(held, started=question.started) != question:
                hint = "Ask the same again to go on, or remove the folder to begin anew."
                raise UsageError(f"{folder} holds what was read for another question", hint)
            self.question, self.resumed = held, True
        else:
            if held is None and folder.exists() and {path.name for path in folder.iterdir()} - _OURS:
                raise UsageError(f"{folder} is in the way", "It is no folder of ours: move it, or name another -o.")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.question, self.resumed = question, False
            _write(folder / _QUESTION, msgspec.json.encode(question))
        self._lock = _locked(folder)
        (folder / _PAGES).mkdir(exist_ok=True)
        self._details = (folder / _DETAILS).open("ab")
        self._found = self._pages()

    def looks_into(self, reach: str, started: int) -> None:
        """Forget what was read with other permissions, or of other subscriptions: it may have been a part.

        Args:
            reach: a hash of what can be seen, and of what cannot.
            started: when reading began, where it begins anew.
        """
        path = self.folder / _REACH
        held = path.read_text(encoding="ascii") if path.exists() else ""
        if held != reach:
            if held:
                self._details.close()
                shutil.rmtree(self.folder / _PAGES)
                (self.folder / _PAGES).mkdir()
                self._details = (self.folder / _DETAILS).open("wb")
                self._found = {}
                self.question = msgspec.structs.replace(self.question, started=started)
                _write(self.folder / _QUESTION, msgspec.json.encode(self.question))
            _write(path, reach.encode("ascii"))

    def _pages(self) -> dict[tuple[str, str, str, str], dict[str, list[Path]]]:
        """Find what is there: by table, scope, part and number of parts, the pages by how many they are."""
        found: dict[tuple[str, str, str, str], dict[str, list[Path]]] = {}
        for path in sorted((self.folder / _PAGES).glob("*/*.json")):
            match = _PART.fullmatch(path.name)
            if match is not None:
                scope, part, parts, _, count = match.groups()
                found.setdefault((path.parent.name, scope, part, parts), {}).setdefault(count, []).append(path)
        return found

    def pages(self, part: Part) -> list[bytes] | None:
        """Return the pages of a part that was read whole; ``None`` when it was not."""
        key = (part.table.name, part.scope.key, str(part.part), str(part.parts))
        for count, paths in self._found.get(key, {}).items():
            if len(paths) == int(count):
                return [path.read_bytes() for path in paths]
        return None

    def parts_of(self, table: Table, scope: QueryScope) -> tuple[int, int] | None:
        """Return (rows, parts) of a table that does not fit on a page, when that was found out before."""
        try:
            rows, parts = msgspec.json.decode(self._plan(table, scope).read_bytes(), type=tuple[int, int])
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return rows, parts

    def keep(self, read: Read) -> None:
        """Keep a part that is whole, or in how many parts a table is read: others would not fit with these."""
        table, scope, part, parts = read.part
        if read.failure is not None or read.limited:
            return
        path = self._plan(table, scope)
        path.parent.mkdir(exist_ok=True)
        if read.more:
            _write(path, msgspec.json.encode((read.total, read.more)))
        for number, page in enumerate(read.pages, 1):
            name = f"{scope.key}-{part}-of-{parts}.{number:05}-of-{len(read.pages):05}.json"
            _write(path.parent / name, page.body, sync=False)

    def _plan(self, table: Table, scope: QueryScope) -> Path:
        return self.folder / _PAGES / table.name / f"{scope.key}.parts"

    def details(self) -> Iterator[Found]:
        """Yield the details that were read before."""
        path = self.folder / _DETAILS
        whole = 0
        with path.open("rb") as lines:
            for line in lines:
                try:
                    entry = _line(line)
                except msgspec.DecodeError:
                    break
                if not line.endswith(b"\n"):
                    break
                whole += len(line)
                yield Found(Wanted(entry.kind, entry.id), entry.content)
        os.truncate(path, whole)

    def keep_detail(self, found: Found) -> None:
        """Keep a detail that was read."""
        line = _Line(found.wanted.kind, found.wanted.id, found.content)
        self._details.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the files."""
        self._details.close()
        self._lock.close()

    def remove(self) -> None:
        """Remove all of it: what was read stands in a snapshot now."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _question_in(folder: Path) -> Question | None:
    try:
        return msgspec.json.decode((folder / _QUESTION).read_bytes(), type=Question)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def _locked(folder: Path) -> IO[bytes]:
    """Keep others from reading into the same folder; the lock goes with the process."""
    file = (folder / _LOCK).open("ab")
    try:
        import fcntl  # noqa: PLC0415 -- not everywhere

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError as error:
        file.close()
        hint = "Wait until it has ended, or name another -o."
        raise UsageError(f"another run is reading into {folder}", hint) from error
    return file


def _write(path: Path, data: bytes, *, sync: bool = True) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    temporary.replace(path)
