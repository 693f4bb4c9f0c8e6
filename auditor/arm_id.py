"""Azure resource ids: taken apart with care, since even official examples are malformed."""

import re
from typing import NamedTuple

from auditor.text import fold

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_VAULT = re.compile(r".*?/providers/microsoft\.recoveryservices/vaults/[^/]+", re.IGNORECASE | re.ASCII)
# Only what Azure allows in names, so that no link of ours can lead anywhere else.
_LINKABLE = re.compile(
    r"/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/resourceGroups/[\w.()-]{1,90}"
    r"/providers/Microsoft\.(Compute/virtualMachines|RecoveryServices/vaults)/[\w.-]{1,80}",
    re.IGNORECASE | re.ASCII,
)
_SUBSCRIPTION_IN_URL = re.compile(r"/subscriptions/([0-9a-f-]{36})(?:/|$|\?)", re.IGNORECASE)


class ArmId(NamedTuple):
    """A resource id in its parts, as Azure spelled them; a part that is not there is ``None``.

    Attributes:
        text: the whole id without a trailing slash.
        subscription: the subscription's id.
        resource_group: the name of the resource group.
        type: ``Namespace/type/subtype`` read off the id, or ``None`` for a group or a subscription.
        name: the last segment.
    """

    text: str
    subscription: str | None
    resource_group: str | None
    type: str | None
    name: str

    @property
    def key(self) -> str:
        """The id as it is compared."""
        return fold(self.text)

    @property
    def vault(self) -> str | None:
        """The id of the Recovery Services vault that the resource is, or is in."""
        match = _VAULT.match(self.text)
        return match[0] if match is not None else None


def parse_arm_id(text: str) -> ArmId | None:
    """Take an id apart, or return ``None`` when it is none: not ``/subscriptions/...`` or ``/providers/...``."""
    text = text.strip().rstrip("/")
    parts = text.split("/")
    if len(parts) < 3 or parts[0] or parts.count("") > 1:
        return None
    root = parts[1].lower()
    if root not in ("subscriptions", "providers"):
        return None
    subscription = group = None
    at = 1
    if root == "subscriptions":
        subscription, at = parts[2], 3
        if len(parts) > 4 and parts[3].lower() == "resourcegroups":
            group, at = parts[4], 5
    kind = None
    if len(parts) > at + 2 and parts[at].lower() == "providers":
        kind = "/".join([parts[at + 1], *parts[at + 2 :: 2]])
    return ArmId(text, subscription, group, kind, parts[-1])


def portal_link(text: str) -> str | None:
    """Return the page of a VM or a vault in Azure's portal (public cloud), or of the vault that something is in.

    Returns:
        ``None`` when the id is of something else, or holds anything but what Azure allows in names.
    """
    match = _LINKABLE.match(text)
    if match is None or set(match[0].split("/")) & {".", ".."}:
        return None
    inside = text[match.end() :]
    if inside and (not inside.startswith("/") or match[2].lower().startswith("compute")):
        return None
    return f"https://portal.azure.com/#resource{match[0]}"


def is_subscription_id(text: str) -> bool:
    """Tell whether ``text`` is written as subscription ids are."""
    return _GUID.fullmatch(text) is not None


def subscription_in_url(url: str) -> str | None:
    """Return the folded subscription id that a link such as ``nextLink`` stays within, if it names one."""
    match = _SUBSCRIPTION_IN_URL.search(url)
    return fold(match[1]) if match else None
