"""auditor.yaml: read, checked against its declared shape, errors with their place."""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

import msgspec

from auditor.errors import Fault, InputErrors
from auditor.text import fold, visible
from auditor.yaml_source import Document, Steps, did_you_mean, parse_yaml, read_bytes

Severity: TypeAlias = Literal["critical", "high", "medium", "low"]
Threshold: TypeAlias = Literal[
    "critical", "high", "medium", "low", "never", "new:critical", "new:high", "new:medium", "new:low"
]
CloudName: TypeAlias = Literal["public", "us-government", "china"]
Login: TypeAlias = Literal["default", "workload-identity", "service-principal", "managed-identity", "cli"]
Intent: TypeAlias = Literal["azure", "other", "zone"]
TableName: TypeAlias = Literal[
    "virtual_machines",
    "vaults",
    "storage_configs",
    "vault_configs",
    "backup_policies",
    "protected_items",
    "backup_jobs",
    "resource_groups",
    "scale_sets",
    "subscriptions",
]
ParameterValue: TypeAlias = bool | float | str | list[str] | None


T = TypeVar("T")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping in which an unknown key is an error."""


class Intents(_Strict, frozen=True):
    """What each vault is for, which Azure cannot know.

    ``azure``: Azure is the primary backup storage endpoint, so the vault must be geo-redundant. ``other``: it is not,
    and local redundancy will do. ``zone``: backups stay in their region and survive the loss of a zone.
    """

    default: Annotated[Intent | None, msgspec.Meta(description="The intent where nothing else says it.")] = None
    trust_tags: Annotated[
        bool,
        msgspec.Meta(description="Let the vault's tag backup-primary-endpoint declare the intent."),
    ] = True
    scopes: Annotated[
        dict[str, Intent],
        msgspec.Meta(
            description="Intent by ARM id of a vault, resource group, subscription or management group; the most "
            "specific wins.",
        ),
    ] = msgspec.field(default_factory=dict)


class Scope(_Strict, frozen=True):
    """Which resources are not judged."""

    bundled: Annotated[
        bool,
        msgspec.Meta(description="Leave out what cannot or need not be backed up as a VM: AKS nodes and the like."),
    ] = True
    exclude: Annotated[
        list[dict[str, Any]],
        msgspec.Meta(description="Conditions, each with a reason; a resource that meets one is not judged."),
    ] = msgspec.field(default_factory=list)


class Rpo(_Strict, frozen=True):
    """Recovery point objectives by tag: how old the newest recovery point of a VM may be."""

    tag: Annotated[str, msgspec.Meta(min_length=1, description="The tag of VMs that names their objective.")]
    hours: Annotated[
        dict[str, Annotated[float, msgspec.Meta(gt=0)]],
        msgspec.Meta(min_length=1, description="Hours by value of the tag; letter case does not count."),
    ]


class Exports(_Strict, frozen=True):
    """What is known about the exports."""

    complete: Annotated[
        list[TableName],
        msgspec.Meta(description="Tables that are whole, also when the export holds no row of them."),
    ] = msgspec.field(default_factory=list)


class ExemptionsFile(_Strict, frozen=True):
    """Where exemptions are declared, and for how long at most."""

    file: Annotated[
        str | None,
        msgspec.Meta(description="The file with exemptions, seen from this file."),
    ] = None
    longest_days: Annotated[
        float,
        msgspec.Meta(
            gt=0, description="The longest term of an exemption, from created or else from the time of the audit."
        ),
    ] = 365


class Azure(_Strict, frozen=True):
    """How Azure is read."""

    cloud: Annotated[CloudName, msgspec.Meta(description="Which of Azure's clouds.")] = "public"
    login: Annotated[
        Login,
        msgspec.Meta(description="How to sign in; default tries what azure-identity's DefaultAzureCredential does."),
    ] = "default"
    tenant: Annotated[
        Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9.-]{1,200}$")] | None,
        msgspec.Meta(description="The tenant to sign in to, by id or domain; the identity's own when left out."),
    ] = None
    instance_views: Annotated[
        bool,
        msgspec.Meta(description="Read the instance views of running VMs: what their agents report."),
    ] = True
    details_per_second: Annotated[
        float,
        msgspec.Meta(gt=0, le=1000, description="Instance views and the like that are read a second, by subscription."),
    ] = 20.0


class Engine(_Strict, frozen=True):
    """What the database that judges may take of the machine."""

    memory: Annotated[
        str,
        msgspec.Meta(
            pattern="^[1-9][0-9]{0,5}(MB|GB)$",
            description="Memory that it may hold, as 900MB or 4GB; what is beyond waits on disk.",
        ),
    ] = "900MB"
    spill: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="The folder on whose disk it waits, seen from this file; that of temporary files when left out."
        ),
    ] = None
    threads: Annotated[int, msgspec.Meta(ge=1, le=256, description="Processors that it uses.")] = 2


class VaultTemplate(_Strict, frozen=True):
    """Vaults that remediation creates where none is right."""

    name: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[A-Za-z][A-Za-z0-9{}-]*$",
            description="Their names; {location} and {intent} are put in. 2 to 50 letters, digits and hyphens.",
        ),
    ] = "rsv-{location}-{intent}"
    resource_group: Annotated[
        str | None,
        msgspec.Meta(description="The resource group they go into, in the subscription of the VMs; it must exist."),
    ] = None
    tags: Annotated[dict[str, str], msgspec.Meta(description="Their tags.")] = msgspec.field(default_factory=dict)
    soft_delete_days: Annotated[int, msgspec.Meta(ge=14, le=180, description="Days that deleted backups are kept.")] = (
        14
    )
    public_network_access: Annotated[
        Literal["Enabled", "Disabled"], msgspec.Meta(description="Whether they can be reached from public networks.")
    ] = "Enabled"


class PolicyTemplate(_Strict, frozen=True):
    """Backup policies that remediation defines where none is right."""

    name: Annotated[
        str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9-]{2,100}$", description="The name of the policy in each vault.")
    ] = "auditor-daily"
    type: Annotated[Literal["V1", "V2"], msgspec.Meta(description="V1 (standard) or V2 (enhanced).")] = "V1"
    time: Annotated[
        str,
        msgspec.Meta(
            pattern="^([01][0-9]|2[0-3]):(00|30)$",
            description="When the first backup of a day starts, on the half hour.",
        ),
    ] = "22:00"
    interval_hours: Annotated[
        Literal[4, 6, 8, 12] | None,
        msgspec.Meta(description="V2: a backup every so many hours, instead of one a day."),
    ] = None
    window_hours: Annotated[int, msgspec.Meta(ge=4, le=24, description="V2: for so many hours a day.")] = 12
    time_zone: Annotated[str, msgspec.Meta(min_length=1, description="Windows name of the time zone.")] = "UTC"
    daily_days: Annotated[int, msgspec.Meta(ge=7, le=9999, description="Days that daily points are kept.")] = 30
    weekly_weeks: Annotated[int, msgspec.Meta(ge=0, le=5163, description="Weeks that weekly points are kept.")] = 0
    monthly_months: Annotated[int, msgspec.Meta(ge=0, le=1188, description="Months that monthly points are kept.")] = 0
    yearly_years: Annotated[int, msgspec.Meta(ge=0, le=99, description="Years that yearly points are kept.")] = 0
    instant_restore_days: Annotated[
        int, msgspec.Meta(ge=1, le=30, description="Days that snapshots are kept: 1 to 5 with V1, 1 to 30 with V2.")
    ] = 2


class Remediation(_Strict, frozen=True):
    """What auditor plan makes where nothing that is there is right."""

    vault: Annotated[VaultTemplate, msgspec.Meta(description="Vaults to create.")] = VaultTemplate()
    policy: Annotated[PolicyTemplate, msgspec.Meta(description="Backup policies to define.")] = PolicyTemplate()
    vms_per_vault: Annotated[
        int, msgspec.Meta(ge=1, le=1000, description="VMs that a vault may hold; Azure's limit is 1,000.")
    ] = 1000
    vms_per_policy: Annotated[
        int, msgspec.Meta(ge=1, le=1000, description="VMs that a policy may protect; older limits were 100.")
    ] = 1000


class Config(_Strict, frozen=True):
    """The settings of one organisation: auditor.yaml."""

    organisation: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")] | None,
        msgspec.Meta(description="Whose estate it is, as reports name it."),
    ] = None
    intents: Annotated[Intents, msgspec.Meta(description="What the vaults are for.")] = Intents()
    vaults_in: Annotated[
        Literal["same-subscription", "any"],
        msgspec.Meta(description="Where the vault of a VM may be; decides how far a gap in backup items reaches."),
    ] = "same-subscription"
    profile: Annotated[Literal["baseline", "hardened"], msgspec.Meta(description="Which rules run.")] = "baseline"
    select: Annotated[list[str], msgspec.Meta(description="Run only these rules.")] = msgspec.field(
        default_factory=list,
    )
    ignore: Annotated[list[str], msgspec.Meta(description="Do not run these rules.")] = msgspec.field(
        default_factory=list,
    )
    rules: Annotated[
        list[str],
        msgspec.Meta(description="Files and folders with your own rules, seen from this file."),
    ] = msgspec.field(default_factory=list)
    parameters: Annotated[
        dict[str, dict[str, ParameterValue]],
        msgspec.Meta(description="Values for rules' parameters: RULE: {NAME: VALUE}."),
    ] = msgspec.field(default_factory=dict)
    severities: Annotated[
        dict[str, Severity],
        msgspec.Meta(description="Severities that differ from the rules' own: RULE: SEVERITY."),
    ] = msgspec.field(default_factory=dict)
    rpo: Annotated[
        Rpo | None,
        msgspec.Meta(description="How old the newest recovery point of a VM may be, by its tag."),
    ] = None
    scope: Annotated[Scope, msgspec.Meta(description="Which resources are not judged.")] = Scope()
    azure: Annotated[Azure, msgspec.Meta(description="How Azure is read.")] = Azure()
    engine: Annotated[Engine, msgspec.Meta(description="What the database may take of the machine.")] = Engine()
    remediation: Annotated[Remediation, msgspec.Meta(description="What auditor plan makes.")] = Remediation()
    exports: Annotated[Exports, msgspec.Meta(description="What is known about the exports.")] = Exports()
    exemptions: Annotated[
        ExemptionsFile | str,
        msgspec.Meta(description="The file with exemptions, seen from this file; or that and their longest term."),
    ] = ExemptionsFile()
    attestations: Annotated[
        str | None,
        msgspec.Meta(description="The file with attestations about controls, seen from this file."),
    ] = None
    outputs: Annotated[
        list[str],
        msgspec.Meta(description="Reports to write, as with -o, seen from the current folder."),
    ] = msgspec.field(default_factory=list)
    fail_on: Annotated[
        Threshold,
        msgspec.Meta(
            description="Exit with 1 on a violation of this severity or a higher one; after new: only on one that the "
            "baseline does not know."
        ),
    ] = "high"
    strict: Annotated[bool, msgspec.Meta(description="Exit with 3 on any unknown verdict.")] = False


NO_DOCUMENT = Document("(no configuration file)", {})


def load_config(path: Path) -> tuple[Config, Document, str]:
    """Read auditor.yaml.

    Returns:
        The settings, the document for the places of what stands in it, and the SHA-256 of the file's bytes in hex.

    Raises:
        UsageError: the file cannot be read.
        InputErrors: it says something that is not allowed.
    """
    data = read_bytes(path, str(path))
    document = parse_yaml(data, str(path))
    config = convert_document(document, Config)
    values = list(config.rpo.hours) if config.rpo is not None else []
    twice = [value for number, value in enumerate(values) if fold(value) in map(fold, values[:number])]
    if twice:
        hint = "Letter case does not count in values of tags. Keep one."
        raise InputErrors([document.fault(("rpo", "hours", value), f"{value} stands twice", hint) for value in twice])
    if config.engine.spill is not None:
        spill = path.parent / config.engine.spill
        if not spill.is_dir() or not os.access(spill, os.W_OK | os.X_OK):
            what = "cannot be written to" if spill.is_dir() else "is no folder"
            hint = "Make it, or leave engine.spill out."
            raise InputErrors([document.fault(("engine", "spill"), f"{visible(str(spill))} {what}", hint)])
        config = msgspec.structs.replace(config, engine=msgspec.structs.replace(config.engine, spill=str(spill)))
    return config, document, hashlib.sha256(data).hexdigest()


def convert_document(document: Document, shape: type[T]) -> T:
    """Turn a document into a typed value.

    Raises:
        InputErrors: the document does not have that shape; the fault names the place.
    """
    try:
        return msgspec.convert(document.value if document.value is not None else {}, shape)
    except msgspec.ValidationError as error:
        raise InputErrors([_fault(document, str(error))]) from error


def _fault(document: Document, message: str) -> Fault:
    what, _, where = message.partition(" - at `")
    steps = _steps(where.rstrip("`"), document)
    unknown = re.match(r"Object contains unknown field `(.*)`", what)
    if unknown:
        return document.fault((*steps, unknown[1]), f"unknown key {unknown[1]}", did_you_mean(unknown[1], _keys(steps)))
    enumerated = re.match(r"Invalid enum value '(.*)'", what)
    if enumerated:
        what = f"{enumerated[1]!r} is not one of the allowed values"
        return document.fault(steps, what, did_you_mean(enumerated[1], _allowed(steps)))
    return document.fault(steps, what[:1].lower() + what[1:].replace("`", ""), "See docs/configuration.md.")


def _steps(where: str, document: Document) -> Steps:
    """Read msgspec's path (``$.intents.scopes[...]``); ``[...]`` is some value of a mapping, found by its fault."""
    steps: Steps = ()
    for name, index in re.findall(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]", where):
        if name:
            steps = (*steps, name)
        elif index != "...":
            steps = (*steps, int(index))
        else:
            steps = _first_unlike(document, steps)
    return steps


def _first_unlike(document: Document, steps: Steps) -> Steps:
    """Find the entry of a mapping that does not have the shape of its siblings."""
    value: Any = document.value
    for step in steps:
        value = value[step]
    shapes: dict[Steps, Any] = {
        ("intents", "scopes"): Intent,
        ("severities",): Severity,
        ("rpo", "hours"): Annotated[float, msgspec.Meta(gt=0)],
        ("parameters",): dict[str, ParameterValue],
    }
    shape = shapes.get(steps, ParameterValue if steps[:1] == ("parameters",) and isinstance(value, dict) else str)
    for name, entry in value.items() if isinstance(value, dict) else enumerate(value):
        try:
            msgspec.convert(entry, shape)
        except msgspec.ValidationError:
            return (*steps, name)
    return steps


_SHAPES: dict[Steps, type[msgspec.Struct]] = {
    (): Config,
    ("intents",): Intents,
    ("scope",): Scope,
    ("rpo",): Rpo,
    ("azure",): Azure,
    ("engine",): Engine,
    ("remediation",): Remediation,
    ("remediation", "vault"): VaultTemplate,
    ("remediation", "policy"): PolicyTemplate,
    ("exports",): Exports,
    ("exemptions",): ExemptionsFile,
}


def _keys(steps: Steps) -> list[str]:
    shape = _SHAPES.get(steps)
    return [field.name for field in msgspec.structs.fields(shape)] if shape else []


def _allowed(steps: Steps) -> list[str]:
    named: dict[object, Any] = {
        "profile": ("baseline", "hardened"),
        "vaults_in": ("same-subscription", "any"),
        "fail_on": get_args(Threshold),
        "cloud": get_args(CloudName),
        "login": get_args(Login),
        "default": get_args(Intent),
    }
    if steps[:2] == ("intents", "scopes"):
        return list(get_args(Intent))
    if steps[:1] == ("severities",):
        return list(get_args(Severity))
    if steps[:2] == ("exports", "complete"):
        return list(get_args(TableName))
    return list(named.get(steps[-1] if steps else "", ()))
