"""Rules and their conditions, as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from auditor.declared.config import ParameterValue, Severity
from auditor.errors import Place
from auditor.estate.fields import EXEMPT_FROM, Field, Subject, TagName, field_named
from auditor.yaml_source import Steps

ParameterType: TypeAlias = Literal["string", "number", "boolean", "list<string>"]
Word: TypeAlias = Literal[
    "equals",
    "in",
    "exists",
    "greater",
    "greaterOrEquals",
    "less",
    "lessOrEquals",
    "like",
    "contains",
    "startsWith",
    "endsWith",
]

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a rule lets its users set; ``default`` is ``None`` when it is off until set."""

    name: str
    type: ParameterType
    default: ParameterValue
    description: str
    enum: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterRef:
    """``{parameter: NAME}``."""

    name: str


@dataclass(frozen=True, slots=True)
class FieldRef:
    """``field: NAME`` on the left, ``{field: NAME}`` on the right."""

    name: str

    @property
    def field(self) -> Field:
        """Its declaration."""
        field = field_named(self.name)
        assert field is not None  # checked when the condition was read
        return field


@dataclass(frozen=True, slots=True)
class TagRef:
    """``field: {tag: NAME}``: a tag of the subject, or of another relation with ``of: RELATION``."""

    relation: str
    name: str | ParameterRef

    @property
    def tag(self) -> TagName:
        """The tag, once its name is a literal."""
        assert isinstance(self.name, str)
        return TagName(self.relation, self.name)

    def __str__(self) -> str:
        """Name it as evidence does."""
        return f"{self.relation}.tags.{self.name if isinstance(self.name, str) else self.name.name}"


@dataclass(frozen=True, slots=True)
class Constant:
    """A value written in the rule, or put there for a parameter, whose name it then keeps."""

    value: ParameterValue
    parameter: str = ""


@dataclass(frozen=True, slots=True)
class Age:
    """``{hoursAgo: N}`` or ``{daysAgo: N}``: a time that long before now; ``unit`` is in hours."""

    amount: Constant | ParameterRef
    unit: int


Left: TypeAlias = FieldRef | TagRef | Constant | ParameterRef
Right: TypeAlias = Constant | ParameterRef | FieldRef | Age


@dataclass(frozen=True, slots=True)
class Compare:
    """A leaf: something, a word, and what it is compared with."""

    left: Left
    word: Word
    right: Right


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when some part is."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: "Condition"


Condition: TypeAlias = Compare | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as its file says it.

    Attributes:
        profiles: those it runs in, each with the defaults of parameters that differ there.
        place: where it stands.
        sha256: of its content, independent of layout and comments.
        own: it is the user's, not bundled.
        places: where each part of its conditions stands, by the steps that lead to it.
    """

    id: str
    title: str
    resource: Subject
    severity: Severity
    profiles: Mapping[str, Mapping[str, ParameterValue]]
    rationale: str
    references: tuple[str, ...]
    controls: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Parameter]
    applies: Condition | None
    require: Condition
    message: str
    fix: str
    remedy: str
    overrides: bool
    place: Place
    sha256: str
    own: bool = False
    places: Mapping[Steps, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule with its parameters put in: what is evaluated.

    Attributes:
        rule: what it was made of.
        severity: its own, or that of the configuration.
        values: the parameters in force.
        applies: as in the rule; every ``ParameterRef`` is now a ``Constant``.
        require: likewise.
    """

    rule: Rule
    severity: Severity
    values: Mapping[str, ParameterValue]
    applies: Condition | None
    require: Condition

    @property
    def id(self) -> str:
        """The rule's id."""
        return self.rule.id

    @property
    def subject(self) -> Subject:
        """The kind of resource it judges."""
        return self.rule.resource

    @property
    def changed(self) -> bool:
        """Whether a parameter differs from its default."""
        return any(self.values[name] != parameter.default for name, parameter in self.rule.parameters.items())

    def leaves(self) -> Iterator[Compare]:
        """Yield the leaves of both conditions."""
        yield from leaves(self.applies)
        yield from leaves(self.require)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Resources that are not judged, and why; ``bundled`` when it is one of ours."""

    reason: str
    subject: Subject
    condition: Condition
    place: Place
    bundled: bool = False


def leaves(condition: Condition | None) -> Iterator[Compare]:
    """Yield the leaves of a condition from left to right."""
    match condition:
        case Compare():
            yield condition
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case None:
            return


def tags_of(condition: Condition | None) -> Iterator[TagName]:
    """Yield the tags a bound condition looks at."""
    for leaf in leaves(condition):
        if isinstance(leaf.left, TagRef):
            yield leaf.left.tag


def exemptions_asked_for(condition: Condition | None) -> Iterator[str]:
    """Yield the rules whose exemptions a condition asks for."""
    for asked in fields_of(condition):
        if asked.name.startswith(EXEMPT_FROM):
            yield asked.name.removeprefix(EXEMPT_FROM)


def fields_of(condition: Condition | None) -> Iterator[Field]:
    """Yield the fields a condition looks at, on either side."""
    for leaf in leaves(condition):
        for side in (leaf.left, leaf.right):
            if isinstance(side, FieldRef):
                yield side.field
