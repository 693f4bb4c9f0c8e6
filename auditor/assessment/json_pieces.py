"""A report as JSON, piece by piece: nobody has to hold the text of a million verdicts at once."""

from collections.abc import Iterator

import msgspec

from auditor.assessment.on_disk import OnDisk

_ENTRIES = 1_000  # of a list, that are written at once


def json_pieces(value: object, *, indent: bool, without: str = "", depth: int = 0) -> Iterator[bytes]:
    """Yield the sorted JSON of a value, the same bytes as ``msgspec.json.encode(value, order="sorted")`` in one piece.

    Args:
        value: a struct is written field by field, a list by so many entries, anything else at once.
        indent: one key a line, as ``msgspec.json.format(..., indent=1)`` writes it.
        without: a field to leave out.
        depth: of the value in what is written.
    """
    line = b"\n" + b" " * depth if indent else b""
    before = b"{"
    if isinstance(value, msgspec.Struct):
        for key, name in sorted((field.encode_name, field.name) for field in msgspec.structs.fields(value)):
            if name != without:
                yield before + line + b" " * indent + msgspec.json.encode(key) + b":" + b" " * indent
                yield from json_pieces(getattr(value, name), indent=indent, depth=depth + 1)
                before = b","
        yield line + b"}"
    elif isinstance(value, list | OnDisk) and value:
        before = b"["
        for start in range(0, len(value), _ENTRIES):
            piece = _whole(value[start : start + _ENTRIES], line)
            yield before + piece[1 : -len(line) - 1]
            before = b","
        yield line + b"]"
    else:
        yield _whole([] if isinstance(value, OnDisk) else value, line)


def _whole(value: object, line: bytes) -> bytes:
    encoded = msgspec.json.encode(value, order="sorted")
    return msgspec.json.format(encoded, indent=1).replace(b"\n", line) if line else encoded
