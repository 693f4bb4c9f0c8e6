"""Reads what a customer hands over: files and folders of JSON as Azure's tools write it."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from auditor.arm_id import is_subscription_id, parse_arm_id, subscription_in_url
from auditor.errors import UsageError
from auditor.inventory.decode import Json, JsonError, Row, decode_row, make_row, parse_json
from auditor.inventory.model import EVERY_TABLE, Gap, GapKind, Inventory, Source
from auditor.inventory.projection import MARK, projection_of
from auditor.inventory.quick import quick_answer
from auditor.inventory.shapes import shape_of
from auditor.inventory.spool import Spool
from auditor.inventory.tables import OPTIONAL_TABLES, TABLE_OF_TYPE, TABLES, Table
from auditor.text import fold, visible, without_surrogates

LARGEST_ARRAY = 1_000_000_000
_LINES = (".ndjson", ".jsonl")
_PRINT = "Print the queries again (auditor collect --print-queries), run them and export their answers."
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
    with reader:
        for file in _files(paths):
            if isinstance(file, _File):
                reader.read(file)
            else:
                reader.leave(file)
    return reader.inventory(complete)


class _Left(NamedTuple):
    """Something in a folder that was not read: ``why`` when it might have held facts, empty when it is not JSON."""

    name: str
    why: str


def _files(paths: Iterable[Path]) -> Iterator[_File | _Left]:
    """Yield each file once, in a fixed order, and what a folder holds that is no file to read."""
    seen: set[Path] = set()
    for path in paths:
        try:
            folder = path.is_dir()
            found = [*_inside(path)] if folder else [_File(path, without_surrogates(path.name), named=True)]
            if not folder:
                path.stat()
        except FileNotFoundError as error:
            raise UsageError(f"there is no file or folder {path}", "Check the path given to --inventory.") from error
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}", "Check the permissions.") from error
        for entry in found:
            if isinstance(entry, _File):
                real = entry.path.resolve()
                if real in seen:
                    continue
                seen.add(real)
            yield entry


def _inside(folder: Path) -> Iterator[_File | _Left]:
    """Yield what a folder holds, by name; hidden files are none of Azure's."""
    unreadable: list[OSError] = []
    found: list[_File | _Left] = []
    for place, folders, files in os.walk(folder, onerror=unreadable.append):
        links = [link for name in folders if (link := Path(place) / name).is_symlink()]
        found += [_Left(_shown_name(folder, link), "is a link to a folder, which is not followed") for link in links]
        for name in files:
            path = Path(place) / name
            shown = _shown_name(folder, path)
            if path.suffix.lower() not in _SUFFIXES:
                found += [] if name.startswith(".") else [_Left(shown, "")]
            elif name.startswith("."):
                found.append(_Left(shown, ""))
            elif path.is_file():
                found.append(_File(path, shown, named=False))
            else:
                found.append(_Left(shown, "is no file that can be read"))
    found += [_Left(_shown_name(folder, Path(error.filename)), f"{error.strerror}") for error in unreadable]
    return iter(sorted(found, key=lambda entry: entry.name))


def _shown_name(folder: Path, path: Path) -> str:
    return without_surrogates(f"{folder.resolve().name}/{path.relative_to(folder).as_posix()}")


class _Reader:
    """Gathers rows, gaps and problems over all files, and writes rows to disk as they come."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)
        self.ignored: Counter[str] = Counter()
        self.gaps: set[Gap] = set()
        self.sources: list[Source] = []
        self.passed_over: list[str] = []
        self.others = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    def leave(self, entry: _Left) -> None:
        """Note what a folder holds and was not read."""
        if entry.why:
            hint = "Put the file itself into the folder, readable."
            self._gap(EVERY_TABLE, "", "unreadable", f"{visible(entry.name)}: {entry.why}", hint)
        else:
            self.others += 1

    def read(self, file: _File) -> None:
        before = self._taken()
        try:
            digest, recognised = self._pages(file)
        except _Damaged as error:
            if file.named:
                raise UsageError(error.said_of(file.name), error.hint) from error
            self._gap(EVERY_TABLE, "", "unreadable", error.said_of(file.name), error.hint)
            taken = self._taken() - before
            if taken:  # the lines before the damage count
                with file.path.open("rb") as handle:
                    self.sources.append(Source(file.name, hashlib.file_digest(handle, "sha256").hexdigest(), taken))
            return
        if not recognised:
            if file.named:
                message = f"{visible(file.name)} holds no answer of Azure's"
                raise UsageError(
                    message, "Export with `az graph query`, `az vm list`, `az backup item list` and so on."
                )
            self.passed_over.append(file.name)
            return
        self.sources.append(Source(file.name, digest, self._taken() - before))

    def _taken(self) -> int:
        return self.spool.rows.total() + self.ignored.total()

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
        if self._quickly(text, file.name):
            return digest, True
        try:
            value = parse_json(text)
        except JsonError as error:
            values = _one_a_line(text)
            if values is None:
                place, _, why = str(error).partition(": ")
                raise _not_json(place, why, text) from error
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
            if self._quickly(text, name):
                recognised = True
                continue
            try:
                value = parse_json(text)
            except JsonError as error:
                place, _, why = str(error).partition(": ")
                raise _not_json(f"{number}:{place.partition(':')[2]}", why) from error
            recognised = self._answer(value, name) or recognised
        return digest.hexdigest(), recognised or empty

    def _quickly(self, text: bytes, name: str) -> bool:
        """Take in an ordinary answer, decoding only what is declared; tell whether it was one.

        Ordinary is a resource, an array of them, or a page of them, in which each has its id and type. Whatever is out
        of the ordinary is left to the careful reading, which knows what to say of it: nothing of it is taken in here.
        """
        answer = quick_answer(text)
        if answer is None or (answer.about and _refusal(answer.about) is not None):
            return False
        if answer.held:
            page = _page({**answer.about, answer.held: answer.resources})  # type: ignore[dict-item]  # only counted
            if page is None:
                return False
            self._check_whole(page, {table.name for table, _, _ in answer.resources if table is not None}, name)
        rows: dict[str, list[Row]] = {}
        for table, resource, arm_id in answer.resources:
            if table is None:
                self.ignored[fold(resource.type)] += 1
                continue
            row = make_row(arm_id, resource.name, resource.tags, shape_of(table).values(resource), table, name)
            rows.setdefault(table.name, []).append(row)
        for spool, taken in rows.items():
            self.spool.add(spool, taken)
        return True

    def _answer(self, value: Json, name: str) -> bool:
        """Take in one JSON value; tell whether it is an answer of Azure's."""
        if isinstance(value, list):
            if value and not any(isinstance(entry, dict) and _is_known(entry) for entry in value):
                return False
            for entry in value:
                if not (isinstance(entry, dict) and not _is_resource(entry) and self._answer(entry, name)):
                    self._resource(entry, name)
            return True
        if not isinstance(value, dict):
            return False
        refusal = _refusal(value)
        if refusal is not None:
            cause = f"{visible(name)} holds a refusal instead of an answer: {visible(refusal)}"
            self._gap(EVERY_TABLE, "", "refused", cause, "Ask for Reader on the scope and export it again.")
        batch = value.get("responses")
        if isinstance(batch, list):
            known = [
                self._answer(part["content"], name) for part in batch if isinstance(part, dict) and "content" in part
            ]
            return any(known)
        page = _page(value)
        if page is not None:
            seen = {table.name for row in page.rows if (table := self._resource(row, name)) is not None}
            self._check_whole(page, seen, name)
        if page is not None or refusal is not None:
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
        if MARK in resource:
            projection = projection_of(table)
            why = projection.fault_of(resource)
            if why:
                cause = f"{visible(name)}: a row of type {visible(arm_type)} {why}"
                self._gap(table.name, "", "unreadable", cause, _PRINT)
                return table
            values = projection.values_of(resource)
            row = make_row(parsed, resource.get("name"), resource.get("tags"), values, table, name)
        else:
            row = decode_row(resource, parsed, table, name)
        self.spool.add(table.name, [row])
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

    def inventory(self, complete: frozenset[str]) -> Inventory:
        for table in TABLES:
            if not self.spool.rows[table.name] and table.name not in OPTIONAL_TABLES:
                words = table.name.replace("_", " ")
                cause = f"no {words} in the export: were they exported?"
                hint = f"Export them ({table.exported_by}), or say that there are none: --complete {table.name}"
                self._gap(table.name, "", "not-exported", cause, hint)
        inventory = Inventory(
            spool=self.spool.paths,
            longest=self.spool.longest,
            rows=dict(self.spool.rows),
            gaps=tuple(sorted(self.gaps)),
            problems=tuple(sorted(set(self.spool.problems))),
            sources=tuple(sorted(self.sources)),
            ignored=dict(sorted(self.ignored.items())),
            passed_over=tuple(sorted(self.passed_over)),
            other_files=self.others,
            ascii=self.spool.ascii,
        )
        return inventory.with_complete(complete)


class _Page(NamedTuple):
    """An answer with several resources, and what it says about being whole."""

    rows: list[Json]
    whole: bool
    why: str
    scope: str
    graph: bool


def _page(answer: dict[str, Json]) -> _Page | None:
    """Recognise ARM's list answers and Resource Graph's two forms, also as ``az`` and PowerShell spell their keys."""
    keys = {name.lower().removeprefix("@odata.").replace("_", "").lstrip("$"): entry for name, entry in answer.items()}
    if "id" in keys:
        return None
    link, total = keys.get("nextlink"), _number(keys.get("totalrecords"))
    rows: Json
    if "value" in keys and "data" not in keys:
        rows, graph = keys["value"], False
    elif "data" in keys or {"columns", "rows"} <= keys.keys():
        data = keys.get("data", answer)
        rows, graph = _from_columns(data) if isinstance(data, dict) else data, True
    else:
        return None
    if rows is not None and not isinstance(rows, list):
        return None
    why = ""
    if rows is None:
        why = "it holds no rows at all"
    elif link:
        why = "it has a nextLink"
    elif keys.get("skiptoken"):
        why = "it has a $skipToken"
    elif str(keys.get("resulttruncated", "false")).strip().lower() in ("true", "1"):
        why = "resultTruncated is true"
    elif len(rows) < max(total, _number(keys.get("count"))):
        why = f"{len(rows)} of {max(total, _number(keys.get('count')))} records"
    scope = subscription_in_url(link) if isinstance(link, str) else None
    return _Page(rows or [], whole=not why, why=why, scope=scope or "", graph=graph)


def _number(value: Json) -> int:
    """Read a count, which some tools write as text; 0 when it is none."""
    try:
        return int(float(value)) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return 0


def _from_columns(table: dict[str, Json]) -> list[Json] | None:
    columns, rows = table.get("columns"), table.get("rows")
    if not isinstance(columns, list) or not isinstance(rows, list):
        return None
    names = [str(column.get("name")) if isinstance(column, dict) else str(column) for column in columns]
    return [dict(zip(names, row, strict=False)) if isinstance(row, list) else row for row in rows]


def _is_known(entry: dict[str, Json]) -> bool:
    return _is_resource(entry) or _page(entry) is not None or _refusal(entry) is not None


def _refusal(answer: dict[str, Json]) -> str | None:
    """Return the code of an error answer, if it is one: ARM's, or one without its wrapper."""
    error = answer.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("message")
    elif error is None and "message" in answer and not _is_resource(answer):
        error = answer.get("code")
    return error if isinstance(error, str) and error else None


def _is_resource(entry: dict[str, Json]) -> bool:
    entry = _as_arm_spells(entry)
    return isinstance(entry.get("id"), str) or isinstance(entry.get("type"), str) or "properties" in entry


def _as_arm_spells(resource: dict[str, Json]) -> dict[str, Json]:
    """Return a resource as ARM spells its keys where PowerShell has spelled them (``Get-AzResource``)."""
    if "id" in resource or "Properties" not in resource:
        return resource  # objects such as those of Get-AzVM spell everything else in their own way, too
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


def _not_json(place: str, why: str, text: bytes = b"") -> _Damaged:
    if text.startswith(b"PK\x03\x04"):
        return _Damaged("not JSON: it is a zip archive, or a workbook", "Unpack it, or export as JSON.", place)
    return _Damaged(f"not JSON: {why}", "The file may be cut off: export it again.", place)
