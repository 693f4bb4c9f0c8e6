"""Rows on their way to the database: written to disk as they come, one NDJSON file for each table."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import msgspec

from auditor.inventory.decode import Row

if TYPE_CHECKING:
    from auditor.inventory.model import Problem

_encode_lines = msgspec.json.Encoder().encode_lines
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Spool:
    """Takes rows of any table, in any order; memory does not grow with them.

    Attributes:
        folder: where the files are; it must outlive what is read from them.
        rows: how many rows each table got.
        problems: the values that could not be used.
        longest: in bytes; no row is longer.
        ascii: nothing goes beyond ASCII, so that no row has a folded twin.
    """

    def __init__(self, folder: Path) -> None:
        """Begin with nothing."""
        self.folder = folder
        self.rows: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.longest = 0
        self.ascii = True
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        """Open nothing yet: a file is made with its first row."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; what was written stays."""
        self.close()

    def close(self) -> None:
        """Close the files: what was written can be read."""
        for file in self._files.values():
            file.close()

    @property
    def paths(self) -> dict[str, Path]:
        """The file of each table that got rows."""
        return {table: self._path(table) for table in self._files}

    def add(self, table: str, rows: Iterable[Row]) -> int:
        """Write rows; return how many they were."""
        cells = []
        for row in rows:
            cells.append(row.cells)
            self.problems += row.problems
        if cells:
            self._write(table, _encode_lines(cells))
            self.rows[table] += len(cells)
        return len(cells)

    def revise(self, table: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
        """Change rows that were written: a later answer knows better. ``None`` takes a row away."""
        if table not in self._files:
            return
        self._files.pop(table).close()
        path, old = self._path(table), self.folder / f"{table}.before.ndjson"
        path.replace(old)
        self.rows[table] = 0
        with old.open("rb") as lines:
            for line in lines:
                cells = change(_decode(line))
                if cells is not None:
                    self._write(table, _encode_lines([cells]))
                    self.rows[table] += 1
        old.unlink()

    def _path(self, table: str) -> Path:
        return self.folder / f"{table}.ndjson"

    def _write(self, table: str, lines: bytes) -> None:
        file = self._files.get(table)
        if file is None:
            file = self._files[table] = self._path(table).open("wb")
        file.write(lines)
        self.ascii = self.ascii and lines.isascii()
        # A bound is enough: several rows that were written at once are taken for one, but for very long ones.
        self.longest = max(self.longest, len(lines) if len(lines) <= _USUAL else max(map(len, lines.splitlines())))


_USUAL = 1_000_000  # bytes; what the database sets aside for a row in any case
