"""The plan: steps in order, what each rests on, what comes of it, and a digest that tells whether it was changed."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import msgspec

from auditor.errors import UsageError
from auditor.text import visible

SCHEMA_VERSION = "1.0"
Kind: TypeAlias = Literal[
    "RegisterProvider",
    "CreateVault",
    "SetRedundancy",
    "SetVaultProtection",
    "DefinePolicy",
    "AssignPolicy",
    "EnableProtection",
    "TriggerBackup",
    "Manual",
]
# What has to be there first comes first: https://learn.microsoft.com/azure/backup/backup-azure-arm-vms-prepare
ORDER: dict[Kind, int] = {
    "RegisterProvider": 0,
    "CreateVault": 1,
    "SetRedundancy": 2,
    "SetVaultProtection": 3,
    "DefinePolicy": 4,
    "AssignPolicy": 5,
    "EnableProtection": 6,
    "TriggerBackup": 7,
    "Manual": 9,
}
ENHANCED = "enhanced-policy"
# What Azure never takes back is planned only where it is allowed by one of these words.
ONE_WAY = ("always-on-soft-delete", "locked-immutability", "cross-region-restore", ENHANCED)
IMMUTABILITY_LAST = 8  # a vault becomes immutable once all that is planned in it is done


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Answer(_Part, frozen=True):
    """A failing verdict that a step answers."""

    rule: str
    resource: str


class Request(_Part, frozen=True):
    """The one call that a step makes."""

    method: Literal["PUT", "PATCH", "POST"]
    path: str
    api_version: str
    body: dict[str, Any] | None = None


class Precondition(_Part, frozen=True):
    """What must still be so before the call: a GET of ``path`` has these values, or finds nothing (``None``)."""

    path: str
    api_version: str
    equals: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="values by JSON pointer, texts compared without case and numbers by value; without any it only "
            "has to be there; null: there must be nothing"
        ),
    ]


class Step(_Part, frozen=True):
    """One thing to do."""

    id: Annotated[str, msgspec.Meta(description="derived from the content: the same step has the same id")]
    kind: Kind
    target: Annotated[str, msgspec.Meta(description="id of what is changed; of a Manual step the first of several")]
    title: str
    answers: list[Answer] = []
    depends_on: list[str] = []
    request: Request | None = None
    preconditions: list[Precondition] = []
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    permission: str = ""
    reversibility: Annotated[str, msgspec.Meta(description="how it can be undone, or that it cannot")] = ""
    cost: Annotated[str, msgspec.Meta(description="what it changes in what Azure charges, where that is known")] = ""
    risks: list[str] = []
    notes: list[str] = []
    affects: Annotated[list[str], msgspec.Meta(description="ids of items that change with it")] = []
    recipe: Annotated[list[str], msgspec.Meta(description="of a Manual step: what a person does")] = []


class Projection(_Part, frozen=True):
    """The verdicts that the plan leaves, by the rules, on the inventory as it would then be."""

    failing: int
    unknown: int
    turned: Annotated[int, msgspec.Meta(description="answered verdicts that no longer fail")]
    still_failing: Annotated[list[Answer], msgspec.Meta(description="answered by an automatic step, and failing still")]
    newly_failing: Annotated[list[Answer], msgspec.Meta(description="failing only because of the plan")]


class Projected(_Part, frozen=True):
    """What would be, once the steps are done, and once each new item had its first backup."""

    after_apply: Projection
    after_first_backup: Projection


class JudgedBy(_Part, frozen=True):
    """The flags that say what verdicts are judged by, as they were given, so that the same can be asked again."""

    config: str = ""
    rules: list[str] = []
    profile: str = ""
    ignore: list[str] = []
    parameters: list[str] = []
    primary_endpoint: str = ""
    exemptions: str = ""
    sha256: Annotated[str, msgspec.Meta(description="of all that they come to: rules, parameters, declarations")] = ""


class CreatedFrom(_Part, frozen=True):
    """What the plan was made of."""

    tool: str
    run_id: str
    as_of: str
    inventory_sha256: str
    failing: int
    unknown: int
    judged_by: JudgedBy = JudgedBy()


class PlanOptions(_Part, frozen=True):
    """What was asked for."""

    only: list[str] = []
    rules: list[str] = []
    trigger_backup: bool = False
    edit_policies: bool = False
    allow_reduce: bool = False
    allow_one_way: list[str] = []


class Plan(_Part, frozen=True):
    """Everything that ``auditor apply`` would do, and nothing else."""

    schema_version: str
    digest: str
    tenant: str
    cloud: str
    created_from: CreatedFrom
    options: PlanOptions
    steps: list[Step]
    projected: Projected
    notices: list[str] = []

    @property
    def automatic(self) -> list[Step]:
        """The steps that a program can do."""
        return [step for step in self.steps if step.kind != "Manual"]


_FIELDS = tuple(name for name in Plan.__struct_fields__ if name != "digest")


class Checked(_Part, frozen=True):
    """What Azure itself said of steps before they are planned.

    Attributes:
        vetoes: by step, why it cannot be done.
        notes: by step, what is worth knowing.
        more: steps that have to come first.
        unchecked: what could not be checked, and why.
    """

    vetoes: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    more: list[Step] = []
    unchecked: list[str] = []


def step_id(kind: Kind, target: str, request: Request | None, more: object = None) -> str:
    """Return the name of a step: the same content has the same one."""
    content = msgspec.json.encode([kind, target.lower(), request, more], order="sorted")
    return f"{kind}-{hashlib.sha256(content).hexdigest()[:12]}"


def digest_of(plan: Plan) -> str:
    """Return the SHA-256, in hex, of the sorted compact JSON of a plan without its ``digest``."""
    digest = hashlib.sha256()
    for chunk in _chunks(plan, sorted(_FIELDS), _COMPACT):
        digest.update(chunk)
    return digest.hexdigest()


def signed(plan: Plan) -> Plan:
    """Return the plan with its digest."""
    return msgspec.structs.replace(plan, digest=digest_of(plan))


def encode_plan(plan: Plan) -> Iterator[bytes]:
    """Write a plan as ``plan.json``, bit by bit: the steps of a large estate are larger than all else it takes."""
    yield from _chunks(plan, Plan.__struct_fields__, _INDENTED)


class _Layout(NamedTuple):
    encode: Callable[[object], bytes]
    before_field: str
    before_step: str
    colon: str
    end: str


_COMPACT = _Layout(lambda value: msgspec.json.encode(value, order="sorted"), "", "", ":", "")
_INDENTED = _Layout(lambda value: msgspec.json.format(msgspec.json.encode(value), indent=1), "\n ", "\n  ", ": ", "\n")


def _chunks(plan: Plan, fields: Iterable[str], layout: _Layout) -> Iterator[bytes]:
    """Yield the JSON of some fields of a plan, a step at a time."""
    encode, before_field, before_step, colon, end = layout
    for place, name in enumerate(fields):
        yield f'{"," if place else "{"}{before_field}"{name}"{colon}'.encode()
        if name != "steps" or not plan.steps:
            yield encode(getattr(plan, name)).replace(b"\n", before_field.encode())
            continue
        for number, step in enumerate(plan.steps):
            yield f"{',' if number else '['}{before_step}".encode()
            yield encode(step).replace(b"\n", before_step.encode())
        yield f"{before_field}]".encode()
    yield f"{end}}}{end}".encode()


def decode_plan(data: bytes, name: str) -> Plan:
    """Read ``plan.json``.

    Raises:
        UsageError: it is no plan, of another version, or was changed.
    """
    try:
        plan = msgspec.json.decode(data, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = "Make it again: auditor plan -o plan.json"
        raise UsageError(f"{name} is no plan: {visible(str(error))[:200]}", hint) from error
    if plan.schema_version != SCHEMA_VERSION:
        hint = "Make it again with this version."
        raise UsageError(f"{name} is a plan of version {visible(plan.schema_version)[:20]}", hint)
    if plan.digest != digest_of(plan):
        hint = "Make it again: a plan is applied exactly as it was made, or not at all."
        raise UsageError(f"{name} was changed after it was made (its digest differs)", hint)
    return plan
