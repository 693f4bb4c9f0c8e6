"""What frameworks of controls ask of backup: the catalogue, as it is shipped in rules/controls."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from auditor.bundled import bundled
from auditor.ruleset.model import Rule
from auditor.text import fold
from auditor.yaml_source import read_yaml


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A control; ``note`` says what rules do not show of it, or what evidence it needs where no rule can tell."""

    id: str
    title: str
    note: str = ""


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A framework, as far as it is about backup; ``reference`` is where it is published."""

    id: str
    title: str
    reference: str
    controls: tuple[Control, ...]


def load_frameworks() -> Sequence[Framework]:
    """Return the frameworks shipped with the package, by id."""
    folder = bundled("rules") / "controls"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    found = [msgspec.convert(read_yaml(folder / name, f"rules/controls/{name}").value, Framework) for name in names]
    return sorted(found, key=lambda framework: framework.id)


def control_ids(catalogue: Iterable[Framework], known: Iterable[Rule]) -> Mapping[str, Sequence[str]]:
    """Return by framework the ids of all controls that somebody may attest: those listed, and those that rules name."""
    found: dict[str, dict[str, str]] = {}
    named = [(framework.id, control.id) for framework in catalogue for control in framework.controls]
    named += [(name, control) for rule in known for name, ids in rule.controls.items() for control in ids]
    for name, control in named:
        found.setdefault(name, {}).setdefault(fold(control), control)
    return {name: list(ids.values()) for name, ids in found.items()}
