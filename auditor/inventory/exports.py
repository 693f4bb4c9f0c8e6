"""Reads what a customer hands over: files and folders of JSON as Azure's tools write it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from auditor.arm_id import is_subscription_id, parse_arm_id, subscription_in_url
from auditor.errors import UsageError
from auditor.inventory.decode import Json, JsonError, decode_row, parse_json
from auditor.inventory.model import EVERY_TABLE, Gap, GapKind, Inventory, Problem, Source
from auditor.inventory.tables import OPTIONAL_TABLES, TABLE_OF_TYPE, TABLES, Table
from auditor.text import fold, visible

LARGEST_ARRAY = 1_000_000_000
_LINES = (".ndjson", ".jsonl")
_SUFFIXES = (".json", *_LINES)


class _File(NamedTuple):
    path: Path
    name: str
    named: bool  # given on the command line by its own name


class _Damaged(Exception):
    """A file that cannot be used: why, what to do, and where in it (``line:column``, empty for the whole file)."""

    def __init__(self, why: str, hint: str, place: str = "") -> None:
        super().__init__(why)
        self.hint = hint
        self.place = place

    def said_of(self, name: str) -> str:
        return f"{visible(name)}{':' if self.place else ''}{self.place}: {self}"


def read_exports(paths: Iterable[Path], folder: Path, complete: frozenset[str] = frozenset()) -> Inventory:
    """Read exports into an inventory.

    Args:
        paths: files and folders; folders are searched for ``.json``, ``.ndjson`` and ``.jsonl``.
        folder: an empty folder for the inventory's own files; it must outlive the inventory.
        complete: names of tables that the caller declares to be whole.

    Raises:
        UsageError: a path does not exist, or a file named by itself cannot be used.
    """
    reader = _Reader(folder)
    others = 0
    for file in _files(paths):
        if file is None:
            others += 1
            continue
        reader.read(file)
    return reader.inventory(complete, others)


def _files(paths: Iterable[Path]) -> Iterator[_File | None]:
    """Yield each file once, in a fixed order; ``None`` for a file in a folder that is not JSON."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            inside = sorted(child for child in path.rglob("*") if child.is_file())
            files = [(child, f"{path.resolve().name}/{child.relative_to(path).as_posix()}") for child in inside]
        elif path.exists():
            files = [(path, path.name)]
        else:
            message = f"there is no file or folder {visible(str(path))}"
            raise UsageError(message, "Check the path given to --inventory.")
        for child, name in files:
            real = child.resolve()
            if real in seen or child.name.startswith("."):
                continue
            seen.add(real)
            usable = child.suffix.lower() in _SUFFIXES or not path.is_dir()
            yield _File(child, name, not path.is_dir()) if usable else None


class _Reader:
    """Gathers rows, gaps and problems over all files, and writes rows to disk as they come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spools: dict[str, BinaryIO] = {}
        self.encoder = msgspec.json.Encoder()
        self.rows: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.gaps: set[Gap] = set()
        self.problems: list[Problem] = []
        self.sources: list[Source] = []
        self.passed_over: list[str] = []

    def read(self, file: _File) -> None:
        before = self.rows.total() + self.ignored.total()
        try:
            digest, recognised = self._pages(file)
        except _Damaged as error:
            if file.named:
                raise UsageError(error.said_of(file.name), error.hint) from error
            self._gap(EVERY_TABLE, "", "unreadable", error.said_of(file.name), error.hint)
            return
        if not recognised:
            if file.named:
                message = f"{visible(file.name)} holds no answer of Azure's"
                raise UsageError(
                    message, "Export with `az graph query`, `az vm list`, `az backup item list` and so on."
                )
            self.passed_over.append(file.name)
            return
        self.sources.append(Source(file.name, digest, self.rows.total() + self.ignored.total() - before))

    def _pages(self, file: _File) -> tuple[str, bool]:
        """Read every value of a file; tell its digest and whether any was an answer of Azure's."""
        lines = file.path.suffix.lower() in _LINES
        try:
            size = file.path.stat().st_size
            if not lines and size > LARGEST_ARRAY:
                hint = "Split it, or write one resource a line (NDJSON): jq -c '.[]' or jq -c '.value[]'."
                why = f"{size / 1e9:.1f} GB in one JSON value"
                raise _Damaged(why, hint)
            with file.path.open("rb") as handle:
                if lines:
                    return self._lines(handle, file.name)
                data = handle.read()
        except OSError as error:
            raise _Damaged(error.strerror or "unreadable", "Check the permissions.") from error
        digest = hashlib.sha256(data).hexdigest()
        text = _as_utf8(data)
        if not text.strip():
            why = "the file is empty"
            raise _Damaged(why, "Export it again.")
        try:
            value = parse_json(text)
        except JsonError as error:
            values = _one_a_line(text)
            if values is None:
                place, _, why = str(error).partition(": ")
                raise _not_json(place, why) from error
            recognised = [self._answer(value, file.name) for value in values]
            return digest, any(recognised)
        return digest, self._answer(value, file.name)

    def _lines(self, handle: BinaryIO, name: str) -> tuple[str, bool]:
        digest = hashlib.sha256()
        recognised = False
        empty = True
        for number, line in enumerate(handle, 1):
            digest.update(line)
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                why = "the file is UTF-16"
                raise _Damaged(why, "Save it as UTF-8.")
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            empty = False
            try:
                value = parse_json(text)
            except JsonError as error:
                place, _, why = str(error).partition(": ")
                raise _not_json(f"{number}:{place.partition(':')[2]}", why) from error
            recognised = self._answer(value, name) or recognised
        return digest.hexdigest(), recognised or empty

    def _answer(self, value: Json, name: str) -> bool:
        """Take in one JSON value; tell whether it is an answer of Azure's."""
        if isinstance(value, list):
            known = [entry for entry in value if isinstance(entry, dict) and (_is_resource(entry) or _page(entry))]
            if value and not known:
                return False
            for entry in value:
                if not (isinstance(entry, dict) and _page(entry) and self._answer(entry, name)):
                    self._resource(entry, name)
            return True
        if not isinstance(value, dict):
            return False
        page = _page(value)
        if page is not None:
            seen = {table.name for row in page.rows if (table := self._resource(row, name)) is not None}
            self._check_whole(page, seen, name)
            return True
        error = value.get("error")
        if isinstance(error, dict) and isinstance(error.get("code"), str):
            cause = f"{visible(name)} holds a refusal instead of an answer: {visible(str(error['code']))}"
            self._gap(EVERY_TABLE, "", "refused", cause, "Ask for Reader on the scope and export it again.")
            return True
        if _is_resource(value):
            self._resource(value, name)
            return True
        return False

    def _resource(self, resource: Json, name: str) -> Table | None:
        """Take in one resource; tell the table it went to."""
        if not isinstance(resource, dict):
            self._unreadable(EVERY_TABLE, name, "is not an object")
            return None
        resource = _as_arm_spells(resource)
        arm_id, arm_type = _identity(resource)
        if arm_type is None:
            self._unreadable(EVERY_TABLE, name, "has no type and no id that tells it")
            return None
        table = TABLE_OF_TYPE.get(fold(arm_type))
        if table is None:
            self.ignored[fold(arm_type)] += 1
            return None
        parsed = parse_arm_id(arm_id) if arm_id is not None else None
        if parsed is None:
            self._unreadable(table.name, name, f"of type {visible(arm_type)} has no usable id")
            return table
        row = decode_row(resource, parsed, table, name)
        self._write(table.name, row.cells)
        self.rows[table.name] += 1
        self.problems.extend(row.problems)
        unusable = {problem.column for problem in row.problems}
        for tag, text in row.tags:
            readable = f"tag {tag}" not in unusable
            entry = {"table": table.name, "key": row.key, "name": tag, "name_key": fold(tag)}
            self._write("tags", entry | ({"value": text, "value_key": fold(text)} if readable else {}))
        return table

    def _check_whole(self, page: "_Page", seen: set[str], name: str) -> None:
        if page.whole:
            return
        missing = seen
        if page.graph:
            families = {table.graph_family for table in TABLES if table.name in seen}
            missing = {table.name for table in TABLES if table.graph_family in families}
        cause = f"{visible(name)} is cut short: {page.why}"
        hint = "Export the remaining pages too (az graph query --skip-token, or follow nextLink)."
        for table in sorted(missing) or [EVERY_TABLE]:
            self._gap(table, page.scope, "cut-short", cause, hint)

    def _unreadable(self, table: str, name: str, what: str) -> None:
        hint = "Export whole resources, with their id and type."
        self._gap(table, "", "unreadable", f"{visible(name)}: a row {what}", hint)

    def _gap(self, table: str, scope: str, kind: GapKind, cause: str, hint: str) -> None:
        self.gaps.add(Gap(table, scope, kind, cause, hint))

    def _write(self, spool: str, row: dict[str, Any]) -> None:
        file = self.spools.get(spool)
        if file is None:
            file = self.spools[spool] = (self.folder / f"{spool}.ndjson").open("wb")
        file.write(self.encoder.encode(row) + b"\n")

    def inventory(self, complete: frozenset[str], others: int) -> Inventory:
        for file in self.spools.values():
            file.close()
        for table in TABLES:
            if not self.rows[table.name] and table.name not in OPTIONAL_TABLES:
                words = table.name.replace("_", " ")
                cause = f"no {words} in the export: were they exported?"
                hint = f"Export them ({table.exported_by}), or say that there are none: --complete {table.name}"
                self._gap(table.name, "", "not-exported", cause, hint)
        gaps = [gap for gap in self.gaps if gap.table not in complete]
        paths = {name: self.folder / f"{name}.ndjson" for name in self.spools}
        tags = paths.pop("tags", None)
        return Inventory(
            spool=paths,
            tags=tags,
            rows=dict(self.rows),
            gaps=tuple(sorted(gaps)),
            problems=tuple(sorted(set(self.problems))),
            sources=tuple(sorted(self.sources)),
            ignored=dict(sorted(self.ignored.items())),
            passed_over=tuple(sorted(self.passed_over)),
            other_files=others,
        )


class _Page(NamedTuple):
    """An answer with several resources, and what it says about being whole."""

    rows: list[Json]
    whole: bool
    why: str
    scope: str
    graph: bool


def _page(answer: dict[str, Json]) -> _Page | None:
    """Recognise ARM's list answers and Resource Graph's two forms, also as ``az`` and PowerShell spell their keys."""
    keys = {name.lower().replace("_", "").lstrip("$"): entry for name, entry in answer.items()}
    rows = keys.get("value")
    if isinstance(rows, list) and "id" not in keys:
        link = keys.get("nextlink")
        if not link:
            return _Page(rows, whole=True, why="", scope="", graph=False)
        scope = subscription_in_url(link) if isinstance(link, str) else None
        return _Page(rows, whole=False, why="it has a nextLink", scope=scope or "", graph=False)
    data = keys.get("data", answer if "columns" in keys and "rows" in keys else None)
    if isinstance(data, dict):
        data = _from_columns(data)
    if not isinstance(data, list) or "id" in keys:
        return None
    why = ""
    total = keys.get("totalrecords")
    if keys.get("skiptoken"):
        why = "it has a $skipToken"
    elif str(keys.get("resulttruncated", "false")).lower() in ("true", "1"):
        why = "resultTruncated is true"
    elif isinstance(total, int) and len(data) < total:
        why = f"{len(data)} of {total} records"
    return _Page(data, whole=not why, why=why, scope="", graph=True)


def _from_columns(table: dict[str, Json]) -> list[Json] | None:
    columns, rows = table.get("columns"), table.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return None
    names = [str(column.get("name")) if isinstance(column, dict) else str(column) for column in columns]
    return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]


def _is_resource(entry: dict[str, Json]) -> bool:
    entry = _as_arm_spells(entry)
    return isinstance(entry.get("id"), str) or isinstance(entry.get("type"), str)


def _as_arm_spells(resource: dict[str, Json]) -> dict[str, Json]:
    """Return a resource as ARM spells its keys where PowerShell has spelled them (``Get-AzResource``)."""
    if "id" in resource or not ("ResourceId" in resource or "Id" in resource):
        return resource
    spelled = {name[:1].lower() + name[1:]: value for name, value in resource.items()}
    return {"id": spelled.pop("resourceId", None), "type": spelled.pop("resourceType", None), **spelled}


def _identity(resource: dict[str, Json]) -> tuple[str | None, str | None]:
    """Return id and type; the type is read off the id where it is left out, as in lists of subscriptions."""
    arm_id, arm_type = resource.get("id"), resource.get("type")
    text = arm_id if isinstance(arm_id, str) else None
    if text is not None and is_subscription_id(text) and "tenantId" in resource:
        return f"/subscriptions/{text}", "microsoft.resources/subscriptions"  # az account list
    if isinstance(arm_type, str) and "/" in arm_type:
        return text, arm_type
    parsed = parse_arm_id(text) if text is not None else None
    if parsed is None:
        return text, None
    if parsed.type is not None:
        return text, parsed.type
    if parsed.resource_group is not None:
        return text, "microsoft.resources/subscriptions/resourcegroups"
    return text, "microsoft.resources/subscriptions" if parsed.subscription else None


def _as_utf8(data: bytes) -> bytes:
    """Undo what Windows tools do: a byte order mark, or UTF-16."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode("utf-8", "replace")
        except UnicodeDecodeError as error:
            why = "not UTF-16 text after all"
            raise _Damaged(why, "Save it as UTF-8.") from error
    return data.removeprefix(b"\xef\xbb\xbf")


def _one_a_line(text: bytes) -> list[Json] | None:
    """Read NDJSON that is called ``.json``, or return ``None`` when it is not that either."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or not lines[0].rstrip().endswith(b"}"):
        return None
    try:
        return [parse_json(line) for line in lines]
    except JsonError:
        return None


def _not_json(place: str, why: str) -> _Damaged:
    return _Damaged(f"not JSON: {why}", "The file may be cut off: export it again.", place)
