"""What a vault is declared to be for, and who declared it.

Microsoft's guidance: keep geo-redundant storage where Azure is the primary backup storage endpoint, choose locally
redundant storage where it is not, and zone-redundant storage for availability within one region
(https://learn.microsoft.com/azure/backup/backup-create-recovery-services-vault#set-storage-redundancy).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditor.arm_id import parse_arm_id
from auditor.declared.config import Intents
from auditor.errors import InputErrors, Place
from auditor.text import fold, visible
from auditor.yaml_source import Document

TAG = "backup-primary-endpoint"
WORDS = ("azure", "other", "zone")
_SCOPE = re.compile(
    r"/subscriptions/[^/]+(/resourcegroups/[^/]+(/providers/microsoft\.recoveryservices/vaults/[^/]+)?)?"
    r"|/providers/microsoft\.management/managementgroups/[^/]+",
)
_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"


@dataclass(frozen=True, slots=True)
class DeclaredIntent:
    """The intent of one vault.

    Attributes:
        intent: ``azure``, ``other``, ``zone``, or ``None`` when it is not known.
        source: who declared it.
        note: what else was said, when it disagrees; may be empty.
        reason: why it is not known; empty when it is.
    """

    intent: str | None
    source: str = ""
    note: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """What is needed of a vault to find its intent; ids and names are folded.

    Attributes:
        key: the vault's id.
        tag: the value of the vault's tag, ``None`` when there is no such tag.
        tag_known: the tags were read and the value could be used.
        management_groups: names of the management groups above the subscription, nearest first; ``None`` when they were
            not read.
    """

    key: str
    tag: str | None
    tag_known: bool
    management_groups: Sequence[str] | None


class IntentMap:
    """Finds the intent of a vault: the scope map, else the vault's tag, else the default."""

    def __init__(self, intents: Intents, document: Document, primary_endpoint: str | None) -> None:
        """Read the scope map.

        Args:
            intents: the part of the configuration.
            document: the file it stands in, for places.
            primary_endpoint: the default from the command line; wins over that of the configuration.

        Raises:
            InputErrors: a scope is not an ARM id, or two are the same but for letter case.
        """
        self.trust_tags = intents.trust_tags
        self.default = primary_endpoint or intents.default
        file = Path(document.file).name  # where the file lies must not change the report
        self.default_source = "--primary-endpoint" if primary_endpoint else f"intents.default in {file}"
        self.scopes: dict[str, tuple[str, Place]] = {}
        faults = []
        for scope, intent in intents.scopes.items():
            steps = ("intents", "scopes", scope)
            parsed = parse_arm_id(scope)
            if parsed is None or _SCOPE.fullmatch(parsed.key) is None:
                hint = "Write the id of a vault, resource group, subscription or management group."
                faults.append(document.fault(steps, f"{scope} is not a scope", hint))
            elif parsed.key in self.scopes:
                faults.append(document.fault(steps, f"{scope} stands twice (ids ignore letter case)", "Keep one."))
            else:
                self.scopes[parsed.key] = (intent, document.place(steps))
        if faults:
            raise InputErrors(faults)
        self.by_management_group = any(_MANAGEMENT_GROUP in scope for scope in self.scopes)

    def of(self, vault: VaultFacts) -> DeclaredIntent:
        """Return the intent of a vault; the most specific scope wins."""
        tag = vault.tag if self.trust_tags else None
        for scope in self._scopes_of(vault):
            if scope in self.scopes:
                intent, place = self.scopes[scope]
                note = ""
                if vault.tag is not None and vault.tag != intent:
                    note = f'The vault\'s tag {TAG} says "{visible(vault.tag)}".'
                return DeclaredIntent(intent, f"scope {scope} in {Path(place.file).name}:{place.line}", note)
        if self.by_management_group and vault.management_groups is None:
            reason = "the management groups above its subscription were not read, and the configuration names some"
            return DeclaredIntent(None, reason=reason)
        if self.trust_tags and not vault.tag_known:
            return DeclaredIntent(None, reason=f"the vault's tag {TAG} could not be read")
        if tag is not None:
            if tag in WORDS:
                return DeclaredIntent(tag, f"tag {TAG}")
            reason = f'its tag {TAG} says "{visible(tag)}", which is none of {", ".join(WORDS)}'
            return DeclaredIntent(None, reason=reason)
        if self.default is not None:
            return DeclaredIntent(self.default, self.default_source)
        return DeclaredIntent(None, reason="nobody declared whether Azure is the primary backup storage endpoint")

    def _scopes_of(self, vault: VaultFacts) -> list[str]:
        parsed = parse_arm_id(vault.key)
        scopes = [vault.key]
        if parsed is not None and parsed.subscription is not None:
            subscription = f"/subscriptions/{parsed.subscription}"
            if parsed.resource_group is not None:
                scopes.append(f"{subscription}/resourcegroups/{parsed.resource_group}")
            scopes.append(subscription)
        scopes.extend(_MANAGEMENT_GROUP + fold(name) for name in vault.management_groups or ())
        return scopes


def tag_value(values: Mapping[str, str | None], *, tags_read: bool) -> tuple[str | None, bool]:
    """Return the folded value of the intent tag, and whether it is known, from a vault's tags by folded name."""
    if TAG not in values:
        return None, tags_read
    value = values[TAG]
    return (fold(value.strip()), True) if value is not None else (None, False)
