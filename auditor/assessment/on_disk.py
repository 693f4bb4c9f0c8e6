"""Parts of a report that wait in a file, however many they are: read back one by one."""

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from operator import eq
from typing import Generic, Self, TypeVar, overload

import msgspec

PartT = TypeVar("PartT", bound=msgspec.Struct)
_IN_MEMORY = 4_000_000  # bytes that need no file


class OnDisk(Sequence[PartT], Generic[PartT]):
    """A sequence of structs of one type that holds sixteen bytes of memory for each of them.

    What was read back is made anew each time, so it is for being passed once. The file has no name that others could
    open, and is gone with the sequence.
    """

    def __init__(self, kind: type[PartT]) -> None:
        """Begin an empty one."""
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 -- closed when nobody has the sequence
        weakref.finalize(self, self._file.close)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._ends = array("q", [0])
        self._order: Sequence[int] = range(0)

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
        data = self._encode(part)
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))
        self._order = range(len(self._ends) - 1)

    def arrange(self, keys: Sequence[int]) -> None:
        """Put all in the order of their keys, which are in the order in which they were added."""
        self._order = array("q", sorted(range(len(self._ends) - 1), key=keys.__getitem__))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._order)

    @overload
    def __getitem__(self, place: int) -> PartT: ...

    @overload
    def __getitem__(self, place: slice) -> list[PartT]: ...

    def __getitem__(self, place: int | slice) -> PartT | list[PartT]:
        """Read one of them, or several."""
        wanted = self._order[place]
        return self._read(wanted) if isinstance(wanted, int) else [self._read(number) for number in wanted]

    def __iter__(self) -> Iterator[PartT]:
        """Read all, one by one."""
        return map(self._read, self._order)

    def __eq__(self, other: object) -> bool:
        """Compare as lists are compared."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # as those of lists

    def _read(self, number: int) -> PartT:
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        return self._decode(self._file.read(end - start))
