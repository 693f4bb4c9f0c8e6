"""Parts of a report that wait in a file, however many they are: read back one by one."""

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from operator import eq
from typing import Generic, Self, TypeVar, overload

import msgspec

PartT = TypeVar("PartT", bound=msgspec.Struct)
_IN_MEMORY = 4_000_000  # bytes that need no file
_AT_ONCE = 500


class OnDisk(Sequence[PartT], Generic[PartT]):
    """A sequence of structs of one type that holds eight bytes of memory for each of them.

    What was read back is made anew each time, so it is for being passed, not for being looked up in. The file has no
    name that others could open, and is gone with the sequence.
    """

    def __init__(self, kind: type[PartT]) -> None:
        """Begin an empty one."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._ends = array("q", [0])
        self._begin()

    @classmethod
    def of(cls, kind: type[PartT], parts: Iterable[PartT]) -> Self:
        """Put parts into one as they come."""
        made = cls(kind)
        for part in parts:
            made.add(part)
        return made

    def add(self, part: PartT) -> None:
        """Put one more at the end.

        Raises:
            OSError: there is no room on the disk.
        """
        self._append(self._encode(part))

    def arrange(self, keys: Sequence[int]) -> None:
        """Put all in the order of their keys, which are in the order in which they were added.

        Raises:
            OSError: there is no room on the disk, where they are twice for as long as it takes.
        """
        file, ends, close = self._file, self._ends, self._close
        self._ends = array("q", [0])
        self._begin()
        for number in sorted(range(len(keys)), key=keys.__getitem__):
            file.seek(ends[number])
            self._append(file.read(ends[number + 1] - ends[number]))
        close()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, place: int) -> PartT: ...

    @overload
    def __getitem__(self, place: slice) -> list[PartT]: ...

    def __getitem__(self, place: int | slice) -> PartT | list[PartT]:
        """Read one of them, or several."""
        wanted = range(len(self))[place]
        if isinstance(wanted, int):
            return next(self._read(wanted, wanted + 1))
        if wanted.step == 1:
            return list(self._read(wanted.start, wanted.stop)) if wanted else []
        return [next(self._read(number, number + 1)) for number in wanted]

    def __iter__(self) -> Iterator[PartT]:
        """Read all, some at a time."""
        for start in range(0, len(self), _AT_ONCE):
            yield from self._read(start, min(start + _AT_ONCE, len(self)))

    def __eq__(self, other: object) -> bool:
        """Compare as lists are compared."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as those of lists

    def _begin(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 -- closed when nobody has the sequence
        self._close = weakref.finalize(self, self._file.close)

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def _read(self, start: int, end: int) -> Iterator[PartT]:
        ends = self._ends[start : end + 1]
        self._file.seek(ends[0])
        data = memoryview(self._file.read(ends[-1] - ends[0]))
        return (self._decode(data[one - ends[0] : other - ends[0]]) for one, other in pairwise(ends))
