"""Column declarations -> the shapes in which JSON is decoded: only what is declared, the rest is skipped unread.

A resource of 5 KB has twenty facts; decoding those alone is several times as fast as decoding all of it.
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from auditor.inventory.tables import Table

Tree: TypeAlias = dict[str, "Tree"]
_ROOT = ("id", "name", "type", "tags", "properties")


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What tells the kind of a resource."""

    id: Any = None
    type: Any = None


class Part(msgspec.Struct, frozen=True, gc=False):
    """A JSON object on the way to a fact. One that is not there is the default of its field, and holds nothing."""


class Shape:
    """How the resources of one table are decoded.

    Attributes:
        paths: the declared paths, each once; ``values`` gives what stands there, in this order.
        absent: what ``values`` gives where nothing stands.
        page: decodes an array of resources; ``one`` decodes a single one. Both raise ``msgspec.ValidationError`` where
            something else stands in the place of an object, and ``msgspec.DecodeError`` for what is not JSON.
    """

    def __init__(self, table: Table) -> None:
        """Make the shape of a table: ARM's nested form and the flattened one of ``az`` in one struct."""
        self.paths = tuple(dict.fromkeys(path for column in table.columns for path in column.paths))
        flat = tuple(path.removeprefix("properties.") for path in self.paths)
        seen = {path for column in table.columns if column.pick == "presence" for path in column.paths}
        seen |= {path.removeprefix("properties.") for path in seen} | {"properties"}
        tree: Tree = {name: {} for name in _ROOT}
        for path in (*self.paths, *flat):
            branch = tree
            for step in path.split("."):
                branch = branch.setdefault(step, {})
        root = _struct(tree, seen, "", {})
        self._nothing = root()
        self._nested, self._flat = _getter(self.paths), _getter(flat)
        self.absent = self._nested(self._nothing)
        assert all(one is other for one, other in zip(self.absent, self._flat(self._nothing), strict=True))
        self.page: Callable[[Any], list[Any]] = msgspec.json.Decoder(list[root]).decode  # type: ignore[valid-type]
        self.one: Callable[[Any], Any] = msgspec.json.Decoder(root).decode

    def values(self, resource: Any) -> Sequence[Any]:  # noqa: ANN401 -- its struct is made at run time
        """Return what stands at each path: a value, or a ``Part`` for an object that is only looked for."""
        get = self._flat if resource.properties is self._nothing.properties else self._nested  # type: ignore[attr-defined]
        try:
            return get(resource)
        except AttributeError:  # null where an object could be, as az writes it
            _fill(resource, self._nothing)
            return get(resource)


@cache
def shape_of(table: Table) -> Shape:
    """Return the shape of a table; it is made once."""
    return Shape(table)


def _struct(tree: Tree, seen: set[str], path: str, made: dict[str, tuple[Tree, type[Part]]]) -> type[Part]:
    """Make the struct of a branch; a branch and its flattened twin are one struct, with one value for "not there"."""
    fields: list[tuple[str, Any, Any]] = []
    for name, branch in tree.items():
        below = f"{path}.{name}" if path else name
        if not branch and below not in seen:
            fields.append((name, Any, None))
            continue
        twin = below.removeprefix("properties.")
        if made.get(twin, ({}, Part))[0] != branch or twin not in made:
            made[twin] = (branch, _struct(branch, seen, below, made))
        part = made[twin][1]
        fields.append((name, part | None, _nothing_of(part)))
    made_now: type[Part] = msgspec.defstruct("Part", fields, bases=(Part,), frozen=True, gc=False)  # type: ignore[assignment]  # by its bases
    return made_now


@cache
def _nothing_of(part: type[Part]) -> Part:
    return part()


def _getter(paths: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    get = attrgetter(*paths)
    return get if len(paths) > 1 else lambda resource: (get(resource),)


def _fill(part: Part, nothing: Part) -> None:
    """Put the empty object in the place of every null that could be one."""
    for name in part.__struct_fields__:
        value, default = getattr(part, name), getattr(nothing, name)
        if value is None and default is not None:
            force_setattr(part, name, default)
        elif isinstance(value, Part) and value is not default:
            _fill(value, default)
