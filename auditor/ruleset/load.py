"""Rule files -> rules: read, checked in every way that can be checked before an inventory is seen."""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from auditor.bundled import bundled as bundled_folder
from auditor.declared.config import ParameterValue, Severity
from auditor.errors import Fault, InputErrors, UsageError
from auditor.estate.fields import FIELDS, SEES, SUBJECTS, Subject
from auditor.ruleset.conditions import ConditionReader, check_words
from auditor.ruleset.model import (
    SEVERITIES,
    Age,
    AllOf,
    AnyOf,
    BoundRule,
    Compare,
    Condition,
    Constant,
    Exclusion,
    FieldRef,
    Not,
    Parameter,
    ParameterRef,
    ParameterType,
    Right,
    Rule,
    TagRef,
    leaves,
)
from auditor.text import fold
from auditor.yaml_source import Document, Steps, did_you_mean, read_yaml

T = TypeVar("T", bound=str)
PROFILES = ("baseline", "hardened")
PARAMETER_TYPES: tuple[ParameterType, ...] = ("string", "number", "boolean", "list<string>")
FRAMEWORKS = ("nist-800-53", "iso-27001", "mcsb", "cis", "dora", "soc2", "azure-policy")
_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_BESIDE = {"cases", "controls", "scope"}  # folders beside rules that hold something else
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KEYS = {
    "id": True,
    "title": True,
    "severity": True,
    "resource": True,
    "profiles": False,
    "rationale": True,
    "references": False,
    "controls": False,
    "parameters": False,
    "applies": False,
    "require": True,
    "message": True,
    "fix": False,
    "remedy": False,
    "overrides": False,
}


@dataclass(frozen=True, slots=True)
class RuleFile:
    """Where a rule is read from, and the name to call it in messages."""

    path: Path | Traversable
    shown: str
    own: bool


def bundled_files() -> list[RuleFile]:
    """Return the rule files shipped with the package, by name."""
    folder = bundled_folder("rules")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return [RuleFile(folder / name, f"rules/{name}", own=False) for name in names]


def own_files(paths: Iterable[Path]) -> list[RuleFile]:
    """Return the rule files under some paths: files, and folders with one rule a file.

    Raises:
        UsageError: a path does not exist, or holds no rule.
    """
    files = []
    for path in paths:
        if path.is_dir():
            found = sorted(
                child for child in path.rglob("*.y*ml") if not _BESIDE & set(child.relative_to(path).parts[:-1])
            )
            if not found:
                raise UsageError(f"no rule files in {path}", "A rule is one .yaml file.")
        elif path.exists():
            found = [path]
        else:
            raise UsageError(f"there is no file or folder {path}", "Check the path given to --rules.")
        files += [RuleFile(child, str(child), own=True) for child in found]
    return files


def load_rules(files: Sequence[RuleFile]) -> list[Rule]:
    """Read and check rules.

    Raises:
        InputErrors: all that is wrong with them, at once.
    """
    faults: list[Fault] = []
    rules: dict[str, Rule] = {}
    asked: list[tuple[str, Document, Steps]] = []
    for file in files:
        try:
            document = read_yaml(file.path, file.shown)
        except InputErrors as error:
            faults += error.faults
            continue
        reader = _RuleReader(document)
        rule = reader.read()
        faults += reader.faults
        asked += [(name, document, steps) for name, steps in reader.exempt_from]
        if rule is None:
            continue
        rule = replace(rule, own=file.own)
        before = rules.get(rule.id)
        if before is not None and not rule.overrides and before.sha256 != rule.sha256:
            hint = "Give it another id, or write overrides: true to replace the other one."
            faults.append(document.fault(("id",), f"there is already a rule {rule.id} ({before.place})", hint))
        rules[rule.id] = rule
    names = {Path(file.shown).stem for file in files}  # also of the rules that are faulty themselves
    for name, document, steps in asked:
        if name not in names:
            hint = did_you_mean(name, list(names))
            faults.append(document.fault(steps, f"there is no rule {name} to be exempt from", hint))
        elif name in rules and rules[name].resource != "vm":
            message = f"{name} judges each {rules[name].resource}, so no VM is exempt from it"
            faults.append(document.fault(steps, message, "Name a rule whose resource is vm."))
    if faults:
        raise InputErrors(faults)
    return [rules[rule_id] for rule_id in sorted(rules)]


class _RuleReader:
    """Reads one rule file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.faults: list[Fault] = []
        self.exempt_from: list[tuple[str, Steps]] = []

    def read(self) -> Rule | None:
        value = self.document.value
        if not isinstance(value, dict):
            self._fault((), "a rule is a mapping that begins with id")
            return None
        for key in value:
            if key not in _KEYS:
                self._fault((key,), f"unknown key {key}", did_you_mean(key, list(_KEYS)))
        for key, needed in _KEYS.items():
            if needed and key not in value:
                self._fault((), f"{key} is missing")
        rule_id = self._text(value, "id")
        if rule_id and not _ID.fullmatch(rule_id):
            self._fault(("id",), f"{rule_id} is not an id", "Write lower-case words with hyphens, as vm-protected.")
        stem = Path(self.document.file).stem
        if rule_id and rule_id != stem:
            self._fault(("id",), f"the id {rule_id} is not the name of the file", f"Call the file {rule_id}.yaml.")
        subject: Subject | None = self._one_of(value, "resource", SUBJECTS)
        severity: Severity | None = self._one_of(value, "severity", SEVERITIES)
        parameters = self._parameters(value.get("parameters"))
        if subject is None:
            return None
        reader = ConditionReader(self.document, subject, parameters)
        applies = reader.read(value["applies"], ("applies",)) if "applies" in value else None
        require = reader.read(value.get("require"), ("require",)) if "require" in value else AllOf(())
        self.faults += reader.faults
        self.exempt_from = reader.exempt_from
        message = self._text(value, "message")
        used = reader.used | self._placeholders(message, subject, parameters)
        for name in parameters:
            if name not in used:
                self._fault(("parameters", name), f"the parameter {name} is not used", "Use it or remove it.")
        rule = Rule(
            id=rule_id,
            title=self._text(value, "title"),
            resource=subject,
            severity=severity or "low",
            profiles=self._profiles(value.get("profiles"), parameters, (applies, require)),
            rationale=self._text(value, "rationale"),
            references=self._references(value.get("references")),
            controls=self._controls(value.get("controls")),
            parameters=parameters,
            applies=applies,
            require=require,
            message=message,
            fix=self._text(value, "fix"),
            remedy=self._text(value, "remedy") or "manual",
            overrides=self._boolean(value, "overrides"),
            place=self.document.place(("id",)),
            sha256=hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest(),
        )
        return None if self.faults else rule

    def _text(self, value: Mapping[str, Any], key: str) -> str:
        text = value.get(key, "")
        if not isinstance(text, str) or (key in value and not text.strip()):
            self._fault((key,), f"{key} is text that is not empty")
            return ""
        return " ".join(text.split()) if key != "fix" else text.strip()

    def _boolean(self, value: Mapping[str, Any], key: str) -> bool:
        if not isinstance(value.get(key, False), bool):
            self._fault((key,), f"{key} is true or false")
        return value.get(key) is True

    def _one_of(self, value: Mapping[str, Any], key: str, words: tuple[T, ...]) -> T | None:
        if key not in value:
            return None
        found: T | None = next((word for word in words if word == value[key]), None)
        if found is None:
            self._fault((key,), f"{key} is never {value[key]}", did_you_mean(str(value[key]), words))
        return found

    def _profiles(
        self,
        value: object,
        parameters: Mapping[str, Parameter],
        conditions: Iterable[Condition | None],
    ) -> dict[str, dict[str, ParameterValue]]:
        """Read the profiles: a list of names, or names with the defaults of parameters that differ there."""
        given = PROFILES if value is None else value
        profiles: dict[Any, Any] = {}
        if isinstance(given, dict):
            profiles = given
        elif isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
            profiles = {name: {} for name in given}
        if not profiles or not all(name in PROFILES for name in profiles):
            self._fault(("profiles",), f"profiles is a list of {' and '.join(PROFILES)}")
            return {}
        defaults: dict[str, dict[str, ParameterValue]] = {}
        for name, values in profiles.items():
            steps = ("profiles", name)
            if not isinstance(values, dict):
                self._fault(steps, "a profile is a mapping of parameters to their defaults in it", "Write {} for none.")
                continue
            defaults[name] = values
            found = [leaf for condition in conditions for leaf in leaves(condition)]
            compared = {leaf.right.name: leaf.left for leaf in found if isinstance(leaf.right, ParameterRef)}
            for parameter, default in values.items():
                here = (*steps, parameter)
                if parameter not in parameters:
                    hint = did_you_mean(str(parameter), list(parameters))
                    self._fault(here, f"unknown parameter {parameter}", hint)
                elif wrong := parameter_fault(parameters[parameter], default):
                    self._fault(here, wrong)
                elif isinstance(left := compared.get(parameter), FieldRef) and left.field.words:
                    self.faults += check_words(self.document, here, default, left.field)
        return defaults

    def _references(self, value: object) -> tuple[str, ...]:
        links = [] if value is None else value
        if not isinstance(links, list) or not all(
            isinstance(link, str) and link.startswith("https://") for link in links
        ):
            self._fault(("references",), "references is a list of https links")
            return ()
        return tuple(links)

    def _controls(self, value: object) -> dict[str, tuple[str, ...]]:
        controls: dict[str, tuple[str, ...]] = {}
        if value is None:
            return controls
        if not isinstance(value, dict):
            self._fault(("controls",), "controls is a mapping of framework to a list of controls")
            return controls
        for name, ids in value.items():
            if name not in FRAMEWORKS:
                self._fault(("controls", name), f"unknown framework {name}", did_you_mean(name, FRAMEWORKS))
            elif not isinstance(ids, list) or not ids or not all(isinstance(entry, str) for entry in ids):
                self._fault(("controls", name), "a framework has a list of controls, as text")
            else:
                controls[name] = tuple(ids)
        return controls

    def _parameters(self, value: object) -> dict[str, Parameter]:
        parameters: dict[str, Parameter] = {}
        if value is None:
            return parameters
        if not isinstance(value, dict):
            self._fault(("parameters",), "parameters is a mapping of names")
            return parameters
        for name, declared in value.items():
            steps = ("parameters", name)
            parameter = self._parameter(name, declared, steps)
            if parameter is not None:
                parameters[name] = parameter
        return parameters

    def _parameter(self, name: str, declared: object, steps: Steps) -> Parameter | None:
        allowed = ("type", "default", "description", "enum")
        if not isinstance(declared, dict) or not {"type", "default", "description"} <= declared.keys():
            self._fault(steps, "a parameter has a type, a default and a description")
            return None
        for key in declared:
            if key not in allowed:
                self._fault((*steps, key), f"unknown key {key}", did_you_mean(key, allowed))
        kind: ParameterType | None = next((word for word in PARAMETER_TYPES if word == declared["type"]), None)
        if kind is None:
            hint = f"One of {', '.join(PARAMETER_TYPES)}."
            self._fault((*steps, "type"), f"unknown type {declared['type']}", hint)
            return None
        if not isinstance(declared["description"], str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            self._fault(steps, "a parameter has a name like grace_hours and a description in words")
            return None
        enum = declared.get("enum", [])
        if not isinstance(enum, list) or not all(isinstance(word, str) for word in enum):
            self._fault((*steps, "enum"), "enum is a list of words")
            return None
        parameter = Parameter(name, kind, declared["default"], declared["description"], tuple(enum))
        wrong = parameter_fault(parameter, parameter.default)
        if wrong and parameter.default is not None:
            self._fault((*steps, "default"), wrong)
            return None
        return parameter

    def _placeholders(self, message: str, subject: Subject, parameters: Mapping[str, Parameter]) -> set[str]:
        seen = [name for name in FIELDS if name.partition(".")[0] in SEES[subject]]
        used = set()
        for name in _PLACEHOLDER.findall(message):
            if name in parameters:
                used.add(name)
            elif name not in seen:
                hint = did_you_mean(name, [*seen, *parameters])
                self._fault(("message",), f"the message names an unknown field or parameter {{{name}}}", hint)
        return used

    def _fault(self, steps: Steps, message: str, hint: str = "") -> None:
        self.faults.append(self.document.fault(steps, message, hint))


def parameter_fault(parameter: Parameter, value: object) -> str:
    """Say what is wrong with a value for a parameter; empty when nothing is."""
    fits = {
        "string": isinstance(value, str),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "list<string>": isinstance(value, list) and all(isinstance(item, str) for item in value),
    }[parameter.type]
    if not fits:
        return f"{parameter.name} is of type {parameter.type}, and {value!r} is not"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{parameter.name} is beyond all numbers"
    words = value if isinstance(value, list) else [value]
    strange = [word for word in words if parameter.enum and word not in parameter.enum]
    return f"{parameter.name} is one of {', '.join(parameter.enum)}, not {strange[0]}" if strange else ""


def bind(rule: Rule, values: Mapping[str, ParameterValue], severity: Severity | None, where: str) -> BoundRule:
    """Put parameters into a rule.

    Args:
        rule: the rule.
        values: what differs from the defaults.
        severity: what differs from the rule's own.
        where: where the values come from, for messages.

    Raises:
        UsageError: a value is for no parameter of the rule, or does not fit it.
    """
    for name, value in values.items():
        if name not in rule.parameters:
            hint = did_you_mean(name, list(rule.parameters)) or f"{rule.id} has no parameters."
            raise UsageError(f"{where}: {rule.id} has no parameter {name}", hint)
        wrong = parameter_fault(rule.parameters[name], value)
        if wrong:
            raise UsageError(f"{where}: {rule.id}: {wrong}", rule.parameters[name].description)
        for leaf in (*leaves(rule.applies), *leaves(rule.require)):
            if isinstance(leaf.right, Age) and leaf.right.amount == ParameterRef(name) and _negative(value):
                raise UsageError(
                    f"{where}: {rule.id}.{name}: an age is never negative", rule.parameters[name].description
                )
            if leaf.right == ParameterRef(name) and isinstance(leaf.left, FieldRef) and leaf.left.field.words:
                faults = check_words(Document(where, None), (), value, leaf.left.field)
                if faults:
                    raise UsageError(f"{where}: {rule.id}.{name}: {faults[0].message}", faults[0].hint)
    effective = {name: values.get(name, parameter.default) for name, parameter in rule.parameters.items()}
    applies = _put(rule.applies, effective) if rule.applies is not None else None
    return BoundRule(rule, severity or rule.severity, effective, applies, _put(rule.require, effective))


def _negative(value: ParameterValue) -> bool:
    return isinstance(value, int | float) and value < 0


def _put(condition: Condition, values: Mapping[str, ParameterValue]) -> Condition:
    match condition:
        case AllOf(parts):
            return AllOf(tuple(_put(part, values) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_put(part, values) for part in parts))
        case Not(part):
            return Not(_put(part, values))
        case Compare(left, word, right):
            if isinstance(left, ParameterRef):
                left = Constant(values[left.name], left.name)
            elif isinstance(left, TagRef) and isinstance(left.name, ParameterRef):
                name = values[left.name.name]
                left = TagRef(left.relation, fold(name)) if isinstance(name, str) else Constant(None, left.name.name)
            return Compare(left, word, _put_right(right, values))


def _put_right(right: Right, values: Mapping[str, ParameterValue]) -> Right:
    match right:
        case ParameterRef(name):
            return Constant(values[name], name)
        case Age(ParameterRef(name), unit):
            return Age(Constant(values[name], name), unit)
        case _:
            return right


def read_exclusions(document: Document, steps: Steps, *, bundled: bool = False) -> list[Exclusion]:
    """Read a list of exclusions: conditions with a ``reason`` beside them.

    Raises:
        InputErrors: all that is wrong with them.
    """
    entries: Any = document.value
    for step in steps:
        entries = entries.get(step, []) if isinstance(entries, dict) else []
    faults: list[Fault] = []
    exclusions = []
    for index, entry in enumerate(entries or []):
        here = (*steps, index)
        condition = (
            {key: value for key, value in entry.items() if key != "reason"} if isinstance(entry, dict) else entry
        )
        subject = _excluded_subject(condition)
        reader = ConditionReader(document, subject, {})
        read = reader.read(condition, here)
        for _, asked in reader.exempt_from:
            hint = "Exempt resources are judged like others; their verdicts count as exempt."
            reader.faults.append(document.fault(asked, "an exclusion cannot ask for exemptions", hint))
        reason = entry.get("reason") if isinstance(entry, dict) else None
        if not isinstance(reason, str) or not reason.strip():
            hint = "The report tells it to the auditor: reason: Build agents are rebuilt every night."
            reader.faults.append(document.fault(here, "an exclusion needs a reason", hint))
        faults += reader.faults
        exclusions.append(Exclusion(" ".join(str(reason).split()), subject, read, document.place(here), bundled))
    if faults:
        raise InputErrors(faults)
    return exclusions


def _excluded_subject(condition: object) -> Subject:
    """An exclusion is about VMs, unless its first field is of a policy, vault or item."""
    for name in _field_names(condition):
        relation = name.partition(".")[0]
        for subject in SUBJECTS:
            if relation == subject:
                return subject
    return "vm"


def _field_names(condition: object) -> Iterator[str]:
    if isinstance(condition, dict):
        for key, value in condition.items():
            if key == "field" and isinstance(value, str):
                yield value
            elif key == "field" and isinstance(value, dict) and isinstance(value.get("of"), str):
                yield value["of"]
            else:
                yield from _field_names(value)
    elif isinstance(condition, list):
        for part in condition:
            yield from _field_names(part)
